//! A chunked body, element by element.
//!
//! Always: a size line, the line end after data and the trailer section pass as a whole or not at all; data passes as it
//! comes. Trailers are held to the rules of a head and may not carry fields that change framing, routing, authentication
//! or the reading of the content (RFC 9110 6.5.1). Not here: re-encoding; what passes is passed unchanged.

use crate::{
    chunk_line,
    fields::{FieldScanner, Scan},
    limits::Limits,
    violation::Violation,
};

/// Bytes of extensions in one body. hyper gives up at twice as many.
const MAX_EXTENSION_BYTES: usize = 8 * 1024;
/// Bytes of a trailer section. hyper gives up at twice as many.
const MAX_TRAILER_BYTES: usize = 8 * 1024;
/// Fields that a trailer section may not hold, in lower case.
const FORBIDDEN_TRAILERS: [&[u8]; 34] = [
    b"age",
    b"authorization",
    b"cache-control",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"cookie",
    b"date",
    b"expect",
    b"expires",
    b"forwarded",
    b"host",
    b"http2-settings",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"if-unmodified-since",
    b"keep-alive",
    b"max-forwards",
    b"pragma",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"range",
    b"set-cookie",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"via",
    b"www-authenticate",
];

/// One step through a body; the numbers are bytes from the beginning of what was presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    /// These bytes belong to the body and are valid.
    Valid(usize),
    /// So do these, and they end it.
    Last(usize),
    /// The bytes end inside an element.
    Partial,
}

/// Where a body stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChunkedBody {
    phase: Phase,
    /// Bytes of data declared so far.
    declared: u64,
    /// Bytes of extensions so far.
    extension_bytes: usize,
    /// A bound on data below that of the connection.
    most: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    SizeLine,
    /// Bytes of data still to come, never zero.
    Data(u64),
    DataEnd,
    Trailers(FieldScanner),
}

impl ChunkedBody {
    /// A body before its first chunk.
    pub(crate) const fn new() -> Self {
        Self { phase: Phase::SizeLine, declared: 0, extension_bytes: 0, most: None }
    }

    /// Sets a bound on what is still to be declared; the lower one counts.
    pub(crate) fn narrow(&mut self, most: u64) {
        self.most = Some(self.most.map_or(most, |known| known.min(most)));
    }

    /// The next element of the body.
    pub(crate) fn next(&mut self, bytes: &[u8], limits: &Limits) -> Result<Element, Violation> {
        match &mut self.phase {
            Phase::SizeLine => self.size_line(bytes, limits),
            Phase::Data(_) if bytes.is_empty() => Ok(Element::Partial),
            Phase::Data(left) => {
                let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= taken as u64;
                if *left == 0 {
                    self.phase = Phase::DataEnd;
                }
                Ok(Element::Valid(taken))
            }
            Phase::DataEnd => match bytes {
                [] | [b'\r'] => Ok(Element::Partial),
                [b'\r', b'\n', ..] => {
                    self.phase = Phase::SizeLine;
                    Ok(Element::Valid(2))
                }
                _ => Err(Violation::MissingChunkEnd),
            },
            Phase::Trailers(scanner) => trailers(scanner, bytes, limits),
        }
    }

    fn size_line(&mut self, bytes: &[u8], limits: &Limits) -> Result<Element, Violation> {
        let Some(line) = chunk_line::read(bytes)? else { return Ok(Element::Partial) };
        self.extension_bytes += line.extension_bytes;
        if self.extension_bytes > MAX_EXTENSION_BYTES {
            return Err(Violation::ChunkExtensionTooLong);
        }
        self.declared = self.declared.saturating_add(line.size);
        if !limits.admit_body(self.declared) || self.most.is_some_and(|most| self.declared > most) {
            return Err(Violation::BodyTooLarge);
        }
        self.phase = if line.size == 0 { Phase::Trailers(FieldScanner::new(0)) } else { Phase::Data(line.size) };
        Ok(Element::Valid(line.len))
    }
}

/// The trailer section, which begins with the bytes.
fn trailers(scanner: &mut FieldScanner, bytes: &[u8], limits: &Limits) -> Result<Element, Violation> {
    let max_bytes = limits.max_head_bytes().min(MAX_TRAILER_BYTES);
    let view = bytes.get(..max_bytes).unwrap_or(bytes);
    loop {
        match scanner.next(view, limits.max_headers())? {
            Scan::Field { name, .. } if is_forbidden(name) => return Err(Violation::ForbiddenTrailer),
            Scan::Field { .. } => {}
            Scan::End(at) => return Ok(Element::Last(at)),
            Scan::Partial if view.len() >= max_bytes => return Err(Violation::TrailerTooLarge),
            Scan::Partial => return Ok(Element::Partial),
        }
    }
}

fn is_forbidden(name: &[u8]) -> bool {
    FORBIDDEN_TRAILERS.iter().any(|forbidden| forbidden.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_pass_whole_and_data_as_it_comes() {
        let limits = Limits::default();
        let mut body = ChunkedBody::new();
        assert_eq!(body.next(b"5", &limits), Ok(Element::Partial));
        assert_eq!(body.next(b"5\r\nhel", &limits), Ok(Element::Valid(3)));
        assert_eq!(body.next(b"hel", &limits), Ok(Element::Valid(3)));
        assert_eq!(body.next(b"", &limits), Ok(Element::Partial));
        assert_eq!(body.next(b"lo\r", &limits), Ok(Element::Valid(2)));
        assert_eq!(body.next(b"\r", &limits), Ok(Element::Partial));
        assert_eq!(body.next(b"\r\n0\r\n", &limits), Ok(Element::Valid(2)));
        assert_eq!(body.next(b"0\r\n", &limits), Ok(Element::Valid(3)));
        assert_eq!(body.next(b"X-Sum: 1\r\n", &limits), Ok(Element::Partial));
        assert_eq!(body.next(b"X-Sum: 1\r\n\r\nGET", &limits), Ok(Element::Last(12)));
    }

    #[test]
    fn sum_of_declared_chunks_is_bounded_before_the_data_comes() {
        let limits = Limits::default().with_max_body_bytes(Some(8));
        let mut body = ChunkedBody::new();
        assert_eq!(body.next(b"5\r\n", &limits), Ok(Element::Valid(3)));
        assert_eq!(body.next(b"hello", &limits), Ok(Element::Valid(5)));
        assert_eq!(body.next(b"\r\n", &limits), Ok(Element::Valid(2)));
        assert_eq!(body.next(b"4\r\n", &limits), Err(Violation::BodyTooLarge));
    }

    #[test]
    fn extensions_are_bounded_over_the_whole_body() {
        let limits = Limits::default();
        let mut body = ChunkedBody::new();
        let line = format!("1;{}\r\n", "e".repeat(500));
        let refused = (0..100).find_map(|round| {
            let outcome = body.next(line.as_bytes(), &limits);
            let _ = body.next(b"x", &limits);
            let _ = body.next(b"\r\n", &limits);
            outcome.err().map(|violation| (round, violation))
        });
        assert_eq!(refused, Some((MAX_EXTENSION_BYTES / 501, Violation::ChunkExtensionTooLong)));
    }

    #[test]
    fn forbidden_list_is_sorted_and_lower_case() {
        assert!(FORBIDDEN_TRAILERS.is_sorted());
        assert!(FORBIDDEN_TRAILERS.iter().all(|name| name.iter().all(|byte| !byte.is_ascii_uppercase())));
        assert!(is_forbidden(b"Content-LENGTH") && !is_forbidden(b"x-checksum"));
    }
}
