//! The chunked transfer coding (RFC 9112, section 7.1): taken off what comes in, put on what goes out.
//!
//! Always: what does not follow the grammar is an error, whatever the cut of the bytes; chunk extensions are dropped; sizes,
//! extensions and trailers are bounded. Not here: which trailers go on (`request`, `response`).

use super::grammar::{is_token, is_value};

/// Longest chunk-size line, extensions included.
const MAX_SIZE_LINE: usize = 4096;
/// Longest trailer section.
const MAX_TRAILERS: usize = 8 * 1024;

/// Why bytes are not chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadChunks;

/// A part of a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// Bytes of the content; never empty.
    Data(&'a [u8]),
    /// A line of the trailer section, without its line end.
    Trailer(&'a [u8]),
}

/// How far the bytes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// Bytes that are done with; what follows them has to be presented again.
    pub(crate) consumed: usize,
    /// Whether the body has ended.
    pub(crate) ended: bool,
}

/// Takes the coding off.
#[derive(Debug, Clone)]
pub(crate) struct ChunkDecoder {
    state: State,
    trailer_bytes: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    SizeLine,
    Data(u64),
    DataEnd,
    DataLineFeed,
    Trailers,
    Ended,
}

impl ChunkDecoder {
    pub(crate) const fn new() -> Self {
        Self { state: State::SizeLine, trailer_bytes: 0 }
    }

    /// Decodes as much as there is and hands each part to `sink`.
    pub(crate) fn decode(&mut self, bytes: &[u8], mut sink: impl FnMut(Part<'_>)) -> Result<Decoded, BadChunks> {
        let mut rest = bytes;
        loop {
            match self.state {
                State::SizeLine => {
                    let Some((line, behind)) = split_line(rest, MAX_SIZE_LINE)? else { break };
                    rest = behind;
                    let size = size_of_line(line)?;
                    self.state = if size == 0 { State::Trailers } else { State::Data(size) };
                }
                State::Data(left) => {
                    let here = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                    let (data, behind) = rest.split_at(here);
                    if data.is_empty() {
                        break;
                    }
                    sink(Part::Data(data));
                    rest = behind;
                    let left = left - here as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                }
                State::DataEnd | State::DataLineFeed => {
                    let wanted = if matches!(self.state, State::DataEnd) { b'\r' } else { b'\n' };
                    let Some((&byte, behind)) = rest.split_first() else { break };
                    if byte != wanted {
                        return Err(BadChunks);
                    }
                    rest = behind;
                    self.state = if byte == b'\r' { State::DataLineFeed } else { State::SizeLine };
                }
                State::Trailers => {
                    let Some((line, behind)) = split_line(rest, MAX_TRAILERS)? else { break };
                    rest = behind;
                    self.trailer_bytes += line.len();
                    if line.is_empty() {
                        self.state = State::Ended;
                    } else if self.trailer_bytes <= MAX_TRAILERS && is_field_line(line) {
                        sink(Part::Trailer(line));
                    } else {
                        return Err(BadChunks);
                    }
                }
                State::Ended => break,
            }
        }
        Ok(Decoded { consumed: bytes.len() - rest.len(), ended: matches!(self.state, State::Ended) })
    }
}

/// Puts the coding on one piece of content; nothing for nothing, which would end the body.
pub(crate) fn push_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    push_size(out, data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// The line before a piece of content of this many bytes, which are not none.
pub(crate) fn push_size(out: &mut Vec<u8>, bytes: usize) {
    push_hex(out, bytes);
    out.extend_from_slice(b"\r\n");
}

/// The end of the content; lines of trailers and an empty line follow.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n";

fn push_hex(out: &mut Vec<u8>, number: usize) {
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = (number >> (place * 4)) & 0xf;
        out.push(b"0123456789abcdef".get(digit).copied().unwrap_or(b'0'));
    }
}

/// A line, and what is behind it.
type Split<'a> = (&'a [u8], &'a [u8]);

/// A line without its CRLF and what is behind it; `None` when it is not complete.
fn split_line(bytes: &[u8], max: usize) -> Result<Option<Split<'_>>, BadChunks> {
    let view = bytes.get(..max + 2).unwrap_or(bytes);
    let Some(at) = view.iter().position(|&byte| byte == b'\r' || byte == b'\n') else {
        return if view.len() < max + 2 { Ok(None) } else { Err(BadChunks) };
    };
    let (line, end) = bytes.split_at(at);
    match end {
        [b'\r', b'\n', behind @ ..] => Ok(Some((line, behind))),
        [b'\r'] => Ok(None),
        _ => Err(BadChunks),
    }
}

fn size_of_line(line: &[u8]) -> Result<u64, BadChunks> {
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (number, extensions) = line.split_at(digits);
    // BWS before an extension is allowed; anything else behind the number is not.
    let extensions = extensions.trim_ascii_start();
    let is_extension = extensions.is_empty() || (extensions.first() == Some(&b';') && is_value(extensions));
    if number.is_empty() || number.len() > 16 || !is_extension {
        return Err(BadChunks);
    }
    let hex = |byte: u8| u64::from(char::from(byte).to_digit(16).unwrap_or(0));
    Ok(number.iter().fold(0, |size, &byte| size * 16 + hex(byte)))
}

fn is_field_line(line: &[u8]) -> bool {
    let mut parts = line.splitn(2, |&byte| byte == b':');
    match (parts.next(), parts.next()) {
        (Some(name), Some(value)) => is_token(name) && is_value(value),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Content, trailers, and whether the end was reached.
    type Content = (Vec<u8>, Vec<Vec<u8>>, bool);

    fn decode(pieces: &[&[u8]]) -> Result<Content, BadChunks> {
        let (mut data, mut trailers, mut unread) = (Vec::new(), Vec::new(), Vec::new());
        let mut decoder = ChunkDecoder::new();
        let mut ended = false;
        for piece in pieces {
            unread.extend_from_slice(piece);
            let done = decoder.decode(&unread, |part| match part {
                Part::Data(bytes) => data.extend_from_slice(bytes),
                Part::Trailer(line) => trailers.push(line.to_vec()),
            })?;
            unread.drain(..done.consumed);
            ended = done.ended;
        }
        Ok((data, trailers, ended && unread.is_empty()))
    }

    #[test]
    fn content_trailers_and_end_are_told_apart() {
        let (data, trailers, ended) =
            decode(&[b"5;name=\"value\"\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n"]).unwrap();
        assert_eq!(data, b"hello0123456789");
        assert_eq!(trailers, [b"X-Sum: 1".to_vec()]);
        assert!(ended);
    }

    #[test]
    fn what_breaks_the_grammar_is_refused() {
        for bad in [
            &b"\r\n"[..],
            b"x\r\n",
            b"-1\r\n",
            b"11112222333344445\r\n",
            b"5\nhello\r\n",
            b"5\r\nhelloX\r\n",
            b"5 x\r\n",
            b"0x5\r\nhello\r\n",
            b"5\rX",
            b"0\r\nno colon\r\n",
            b"0\r\nbad name: 1\r\n",
            b"0\r\n: 1\r\n",
            b"5;\0\r\n",
            b"0\r\nX: a\0\r\n",
            b"5\r\nhello\nX",
        ] {
            assert_eq!(decode(&[bad]).map(|_| ()), Err(BadChunks), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn endless_lines_are_refused() {
        let line = [&b"5;"[..], &vec![b'a'; MAX_SIZE_LINE]].concat();
        assert_eq!(decode(&[&line]).map(|_| ()), Err(BadChunks));
        let trailers = [&b"0\r\n"[..], &b"X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(300)].concat();
        assert_eq!(decode(&[&trailers]).map(|_| ()), Err(BadChunks));
    }

    proptest! {
        #[test]
        fn what_was_put_on_is_taken_off_whatever_the_cut(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..70), 0..6), cut in 1_usize..9,
        ) {
            let mut coded = Vec::new();
            for piece in &pieces {
                push_chunk(&mut coded, piece);
            }
            coded.extend_from_slice(LAST_CHUNK);
            coded.extend_from_slice(b"\r\n");
            let cuts: Vec<_> = coded.chunks(cut).collect();
            let (data, trailers, ended) = decode(&cuts).unwrap();
            prop_assert_eq!(data, pieces.concat());
            prop_assert!(trailers.is_empty() && ended);
        }

        #[test]
        fn no_bytes_panic_and_the_cut_changes_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 1_usize..20) {
            let cuts: Vec<_> = bytes.chunks(cut).collect();
            let (whole, cut) = (decode(&[&bytes]), decode(&cuts));
            prop_assert_eq!(whole.is_err(), cut.is_err());
            if let (Ok(whole), Ok(cut)) = (whole, cut) {
                prop_assert_eq!(whole, cut);
            }
        }
    }
}
