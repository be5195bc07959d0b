//! A message of HTTP/1.1, as the pipeline writes it, as the parts of one of HTTP/2, in either direction.
//!
//! Always: how the bytes were cut makes no other parts; a message has an end only when its bytes have. Not here: heads
//! (`response`, `upstream::http2::request`), frames and windows (`stream`).

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::wire::chunks::{ChunkDecoder, Part};

/// The end of a head.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// The bytes are not what the pipeline writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadMessage;

/// A part of a body.
#[derive(Debug)]
pub(crate) enum BodyPart<'a> {
    /// Bytes of it; never empty.
    Data(&'a [u8]),
    /// Nothing comes behind it.
    End(Option<HeaderMap>),
}

/// Collects a head.
#[derive(Debug, Default)]
pub(crate) struct HeadBuffer(Vec<u8>);

/// Reads one body.
#[derive(Debug)]
pub(crate) enum BodyReader {
    /// Bytes that are still to come.
    Known(u64),
    /// With what is not a whole line yet.
    Chunked {
        decoder: ChunkDecoder,
        trailers: HeaderMap,
        rest: Vec<u8>,
    },
    /// Bytes that are no message's.
    Raw,
    Ended,
}

impl HeadBuffer {
    /// Takes what belongs to the head: how many bytes that is, and whether it is complete.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        // The end may have begun in what came before.
        let (before, from) = (self.0.len(), self.0.len().saturating_sub(HEAD_END.len() - 1));
        self.0.extend_from_slice(bytes);
        let fresh = self.0.get(from..).unwrap_or_default();
        let Some(at) = fresh.windows(HEAD_END.len()).position(|window| window == HEAD_END) else {
            return (bytes.len(), false);
        };
        let end = from + at + HEAD_END.len();
        self.0.truncate(end);
        (end - before, true)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Begins anew.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl BodyReader {
    pub(crate) fn chunked() -> Self {
        Self::Chunked { decoder: ChunkDecoder::new(), trailers: HeaderMap::new(), rest: Vec::new() }
    }

    pub(crate) const fn has_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }

    /// Reads as much as there is and hands each part to `sink`; how many bytes are done with, some of what is not nothing.
    pub(crate) fn read(&mut self, bytes: &[u8], sink: &mut impl FnMut(BodyPart<'_>)) -> Result<usize, BadMessage> {
        match self {
            Self::Known(left) => {
                let count = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                if let Some(data) = bytes.get(..count).filter(|data| !data.is_empty()) {
                    sink(BodyPart::Data(data));
                }
                *left -= count as u64;
                if *left == 0 {
                    self.end(None, sink);
                }
                Ok(count)
            }
            Self::Chunked { decoder, trailers, rest } => {
                let ended = decode(decoder, trailers, rest, bytes, sink)?;
                if ended {
                    let trailers = std::mem::take(trailers);
                    self.end(Some(trailers).filter(|trailers| !trailers.is_empty()), sink);
                }
                Ok(bytes.len())
            }
            Self::Raw => {
                sink(BodyPart::Data(bytes));
                Ok(bytes.len())
            }
            Self::Ended => Err(BadMessage),
        }
    }

    fn end(&mut self, trailers: Option<HeaderMap>, sink: &mut impl FnMut(BodyPart<'_>)) {
        *self = Self::Ended;
        sink(BodyPart::End(trailers));
    }
}

/// Takes the chunked coding off; whether the body has ended. Of an unfinished line, which has a bound, a copy is kept.
fn decode(
    decoder: &mut ChunkDecoder,
    trailers: &mut HeaderMap,
    rest: &mut Vec<u8>,
    bytes: &[u8],
    sink: &mut impl FnMut(BodyPart<'_>),
) -> Result<bool, BadMessage> {
    let mut is_bad = false;
    let had_rest = !rest.is_empty();
    if had_rest {
        rest.extend_from_slice(bytes);
    }
    let so_far = decoder.decode(if had_rest { rest } else { bytes }, |part| match part {
        Part::Data(data) => sink(BodyPart::Data(data)),
        Part::Trailer(line) => is_bad |= push_trailer(trailers, line).is_err(),
    });
    let so_far = so_far.map_err(|_bad| BadMessage)?;
    if had_rest {
        rest.drain(..so_far.consumed);
    } else {
        rest.extend_from_slice(bytes.get(so_far.consumed..).unwrap_or_default());
    }
    if is_bad || (so_far.ended && !rest.is_empty()) { Err(BadMessage) } else { Ok(so_far.ended) }
}

fn push_trailer(trailers: &mut HeaderMap, line: &[u8]) -> Result<(), BadMessage> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or(BadMessage)?;
    let (name, value) = line.split_at(colon);
    push(trailers, name, value.get(1..).unwrap_or_default().trim_ascii())
}

/// Adds a field.
pub(crate) fn push(fields: &mut HeaderMap, name: &[u8], value: &[u8]) -> Result<(), BadMessage> {
    let name = HeaderName::from_bytes(name).map_err(|_bad| BadMessage)?;
    let value = HeaderValue::from_bytes(value).map_err(|_bad| BadMessage)?;
    fields.try_append(name, value).map(drop).map_err(|_full| BadMessage)
}
