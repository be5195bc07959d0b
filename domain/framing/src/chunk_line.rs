//! The line before the data of a chunk: its size and extensions.
//!
//! Decides the grammar of RFC 9112 7.1 without its optional white space: `1*HEXDIG *( ";" token [ "=" ( token /
//! quoted-string ) ] ) CRLF`, at most 16 digits and 512 bytes a line. Always: a line that ends early is told from one that
//! is wrong. Not here: extensions over the whole body, and what the size means (`chunked`).

use crate::{
    facts::MAX_LENGTH,
    fields::line_feed,
    tables::{self, HEX, QDTEXT, TOKEN, VALUE},
    violation::Violation,
};

/// Digits of a chunk size: those of 64 bits.
const MAX_SIZE_DIGITS: usize = 16;
/// Bytes of a whole line. A held line is scanned again when more of it comes, so this also bounds that work.
const MAX_LINE_BYTES: usize = 512;

/// A valid line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkLine {
    /// Bytes of the line with its line end.
    pub(crate) len: usize,
    /// Bytes of data that follow; zero is the last chunk.
    pub(crate) size: u64,
    /// Bytes of the extensions.
    pub(crate) extension_bytes: usize,
}

/// Reads the line at the beginning of the bytes; nothing when they end inside it.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<ChunkLine>, Violation> {
    let view = bytes.get(..MAX_LINE_BYTES).unwrap_or(bytes);
    match line(view)? {
        None if view.len() >= MAX_LINE_BYTES => Err(Violation::ChunkExtensionTooLong),
        outcome => Ok(outcome),
    }
}

fn line(view: &[u8]) -> Result<Option<ChunkLine>, Violation> {
    let digits_end = tables::end_of_run(view, 0, HEX);
    if digits_end > MAX_SIZE_DIGITS {
        return Err(Violation::ChunkSizeOverflow);
    }
    let mut at = match view.get(digits_end) {
        None => return Ok(None),
        Some(b'\r' | b';') if digits_end > 0 => digits_end,
        Some(b' ' | b'\t') if digits_end > 0 => return Err(Violation::SpaceAfterChunkSize),
        Some(&byte) => return Err(Violation::of_byte(byte, Violation::BadChunkSize)),
    };
    while view.get(at) == Some(&b';') {
        match extension(view, at + 1)? {
            Some(end) => at = end,
            None => return Ok(None),
        }
    }
    // Every extension ends before `;`, before `\r`, or with the bytes.
    if at >= view.len() || !line_feed(view, at + 1)? {
        return Ok(None);
    }
    let size = hexadecimal(view.get(..digits_end).unwrap_or_default());
    if size > MAX_LENGTH {
        return Err(Violation::ChunkSizeOverflow);
    }
    Ok(Some(ChunkLine { len: at + 2, size, extension_bytes: at - digits_end }))
}

/// The end of the extension whose name begins at `from`; nothing when the bytes end inside it.
fn extension(view: &[u8], from: usize) -> Result<Option<usize>, Violation> {
    let name_end = tables::end_of_run(view, from, TOKEN);
    let end = match view.get(name_end) {
        None => return Ok(None),
        Some(b'=') if name_end > from => match value(view, name_end + 1)? {
            Some(end) => end,
            None => return Ok(None),
        },
        Some(_) if name_end > from => name_end,
        Some(&byte) => return Err(Violation::of_byte(byte, Violation::BadChunkExtension)),
    };
    match view.get(end) {
        None => Ok(None),
        Some(b';' | b'\r') => Ok(Some(end)),
        Some(&byte) => Err(Violation::of_byte(byte, Violation::BadChunkExtension)),
    }
}

/// The end of the token or quoted string at `from`; nothing when the bytes end inside it.
fn value(view: &[u8], from: usize) -> Result<Option<usize>, Violation> {
    if view.get(from) == Some(&b'"') {
        return quoted(view, from + 1);
    }
    let end = tables::end_of_run(view, from, TOKEN);
    match view.get(end) {
        None => Ok(None),
        Some(&byte) if end == from => Err(Violation::of_byte(byte, Violation::BadChunkExtension)),
        Some(_) => Ok(Some(end)),
    }
}

fn quoted(view: &[u8], from: usize) -> Result<Option<usize>, Violation> {
    let mut at = from;
    loop {
        at = tables::end_of_run(view, at, QDTEXT);
        match view.get(at) {
            None => return Ok(None),
            Some(b'"') => return Ok(Some(at + 1)),
            Some(b'\\') => match view.get(at + 1) {
                None => return Ok(None),
                Some(&escaped) if tables::is(escaped, VALUE) => at += 2,
                Some(&byte) => return Err(Violation::of_byte(byte, Violation::BadChunkExtension)),
            },
            Some(&byte) => return Err(Violation::of_byte(byte, Violation::BadChunkExtension)),
        }
    }
}

/// The number in at most sixteen hexadecimal digits.
fn hexadecimal(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |sum, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            _ => (digit | 0x20).wrapping_sub(b'a' - 10),
        };
        (sum << 4) | u64::from(value & 0x0F)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of(text: &str) -> Result<Option<u64>, Violation> {
        read(text.as_bytes()).map(|line| line.map(|line| line.size))
    }

    #[test]
    fn sizes_are_hexadecimal_in_either_case() {
        assert_eq!(size_of("0\r\n"), Ok(Some(0)));
        assert_eq!(size_of("aBcDeF09\r\n"), Ok(Some(0xABCD_EF09)));
        assert_eq!(size_of("0000000000000010\r\n"), Ok(Some(16)));
        assert_eq!(size_of("7fffffffffffffff\r\n"), Ok(Some(MAX_LENGTH)));
        assert_eq!(size_of("8000000000000000\r\n"), Err(Violation::ChunkSizeOverflow));
        assert_eq!(size_of("00000000000000001"), Err(Violation::ChunkSizeOverflow));
    }

    #[test]
    fn extensions_follow_the_grammar() {
        let line = "5;a;b=c;d=\"x \\\" \t;\\\\\"\r\nhello";
        assert_eq!(read(line.as_bytes()), Ok(Some(ChunkLine { len: line.len() - 5, size: 5, extension_bytes: 20 })));
        for text in
            ["5;\r\n", "5;;a\r\n", "5;=b\r\n", "5;a=\r\n", "5;a b\r\n", "5; a\r\n", "5;a=\"b\"c\r\n", "5;a=b=c\r\n"]
        {
            assert_eq!(size_of(text), Err(Violation::BadChunkExtension), "{text}");
        }
        assert_eq!(size_of("5;a=\"\u{1}\"\r\n"), Err(Violation::BadChunkExtension));
        assert_eq!(size_of("5;a=\"\n"), Err(Violation::BareLf));
        assert_eq!(size_of("5;a=\"\\\0"), Err(Violation::NulByte));
    }

    #[test]
    fn every_prefix_of_a_line_is_incomplete() {
        let line = b"1F;name=\"va\\\"lue\";other=token\r\n";
        for end in 0..line.len() {
            assert_eq!(read(&line[..end]), Ok(None), "{end}");
        }
        assert!(matches!(read(line), Ok(Some(_))));
    }

    #[test]
    fn line_beyond_its_bound_is_refused_when_the_bound_is_reached() {
        let long = format!("5;{}", "a".repeat(600));
        assert_eq!(read(&long.as_bytes()[..511]), Ok(None));
        assert_eq!(read(&long.as_bytes()[..512]), Err(Violation::ChunkExtensionTooLong));
        assert_eq!(read(long.as_bytes()), Err(Violation::ChunkExtensionTooLong));
    }
}
