//! The fields of a head that decide about host, body and life of the connection.
//!
//! Always: each of Host, Content-Length, Transfer-Encoding and Expect counts once and has one reading; a combination with
//! two readings is a violation. Not here: other fields, which only have to be well-formed (`fields`).

use crate::{
    host::{Authority, KnownHost},
    info::{BodyKind, Span, Version},
    limits::Limits,
    tables::{self, TOKEN},
    target::AbsoluteAuthority,
    violation::Violation,
};

/// Digits of the largest 64-bit number; longer texts are out of range whatever they say.
const MAX_LENGTH_DIGITS: usize = 19;
/// Upstreams count in signed 64-bit numbers, and hyper gives the topmost unsigned ones a meaning of their own.
pub(crate) const MAX_LENGTH: u64 = i64::MAX as u64;

/// What was seen so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    host: Option<Span>,
    content_length: Option<u64>,
    chunked: bool,
    expect_continue: bool,
    connection: Connection,
    upgrade: bool,
}

#[derive(Debug, Clone, Copy)]
struct Connection {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
}

/// What the fields say together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conclusion {
    pub(crate) host: Option<Span>,
    pub(crate) body: BodyKind,
    pub(crate) close: bool,
    pub(crate) expect_continue: bool,
    pub(crate) upgrade: bool,
}

impl Facts {
    /// Nothing seen yet.
    pub(crate) const fn new() -> Self {
        Self {
            host: None,
            content_length: None,
            chunked: false,
            expect_continue: false,
            connection: Connection { close: false, keep_alive: false, upgrade: false },
            upgrade: false,
        }
    }

    /// Takes note of a field. `value_at` is the place of its value.
    pub(crate) fn observe(
        &mut self,
        name: &[u8],
        value: &[u8],
        value_at: usize,
        known: &mut KnownHost,
    ) -> Result<(), Violation> {
        // The length tells nearly all other fields away before a byte is compared.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(value, value_at, known),
            6 if name.eq_ignore_ascii_case(b"expect") => self.expect(value),
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrade = true;
                Ok(())
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.connection.observe(value);
                Ok(())
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(value),
            _ => Ok(()),
        }
    }

    /// What all fields of the head say together.
    pub(crate) fn conclude(
        &self,
        head: &[u8],
        version: Version,
        absolute: Option<AbsoluteAuthority>,
        limits: &Limits,
    ) -> Result<Conclusion, Violation> {
        let is_11 = version == Version::Http11;
        if is_11 && self.host.is_none() {
            return Err(Violation::MissingHost);
        }
        if let (Some(host), Some(absolute)) = (self.host, absolute) {
            same_authority(host.of(head), absolute.span.of(head), absolute.default_port)?;
        }
        let close = self.connection.close || !(is_11 || self.connection.keep_alive);
        Ok(Conclusion {
            host: self.host,
            body: self.body(version, limits)?,
            close,
            // RFC 9110 10.1.1: in an HTTP/1.0 request the expectation is ignored.
            expect_continue: is_11 && self.expect_continue,
            upgrade: is_11 && self.upgrade && self.connection.upgrade,
        })
    }

    fn body(&self, version: Version, limits: &Limits) -> Result<BodyKind, Violation> {
        match (self.chunked, self.content_length) {
            (true, Some(_)) => Err(Violation::LengthAndEncoding),
            (true, None) if version == Version::Http10 => Err(Violation::TransferEncodingInHttp10),
            (true, None) => Ok(BodyKind::Chunked),
            (false, Some(length)) if !limits.admit_body(length) => Err(Violation::BodyTooLarge),
            (false, Some(length)) => Ok(BodyKind::Length(length)),
            (false, None) => Ok(BodyKind::None),
        }
    }

    fn host(&mut self, value: &[u8], value_at: usize, known: &mut KnownHost) -> Result<(), Violation> {
        if self.host.is_some() {
            return Err(Violation::DuplicateHost);
        }
        let (skipped, host) = tables::trim(value);
        if host.is_empty() {
            return Err(Violation::EmptyHost);
        }
        if !known.admits(host) {
            return Err(Violation::BadHost);
        }
        let start = value_at + skipped;
        self.host = Some(Span::new(start, start + host.len()));
        Ok(())
    }

    fn expect(&mut self, value: &[u8]) -> Result<(), Violation> {
        let (_, expectation) = tables::trim(value);
        if self.expect_continue || !expectation.eq_ignore_ascii_case(b"100-continue") {
            return Err(Violation::UnknownExpectation);
        }
        self.expect_continue = true;
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.content_length.is_some() {
            return Err(Violation::DuplicateContentLength);
        }
        let (_, digits) = tables::trim(value);
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(Violation::BadContentLength);
        }
        if digits.len() > MAX_LENGTH_DIGITS {
            return Err(Violation::ContentLengthOverflow);
        }
        // Nineteen digits cannot overflow 64 bits.
        let length = digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        if length > MAX_LENGTH {
            return Err(Violation::ContentLengthOverflow);
        }
        self.content_length = Some(length);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.chunked {
            return Err(Violation::DuplicateTransferEncoding);
        }
        let (_, codings) = tables::trim(value);
        if !codings.eq_ignore_ascii_case(b"chunked") {
            return Err(refused_codings(codings));
        }
        self.chunked = true;
        Ok(())
    }
}

impl Connection {
    fn observe(&mut self, value: &[u8]) {
        for option in value.split(|&byte| byte == b',') {
            let (_, option) = tables::trim(option);
            match option.len() {
                5 => self.close |= option.eq_ignore_ascii_case(b"close"),
                7 => self.upgrade |= option.eq_ignore_ascii_case(b"upgrade"),
                10 => self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive"),
                _ => {}
            }
        }
    }
}

/// Which rule a list of codings other than `chunked` breaks. RFC 9112 6.1 and 6.3: when chunked is the last and only the
/// codings below it are unknown, 501; when the end of the body cannot be known, 400.
fn refused_codings(codings: &[u8]) -> Violation {
    let mut inner_chunked = false;
    let mut last_chunked = false;
    for coding in codings.split(|&byte| byte == b',') {
        let (_, coding) = tables::trim(coding);
        if coding.is_empty() || tables::end_of_run(coding, 0, TOKEN) != coding.len() {
            return Violation::BadTransferEncoding;
        }
        inner_chunked |= last_chunked;
        last_chunked = coding.eq_ignore_ascii_case(b"chunked");
    }
    if last_chunked && !inner_chunked { Violation::UnknownTransferCoding } else { Violation::BadTransferEncoding }
}

fn same_authority(host: &[u8], target: &[u8], default_port: u16) -> Result<(), Violation> {
    match (Authority::parse(host), Authority::parse(target)) {
        (Some(host), Some(target)) if host.same_as(&target, default_port) => Ok(()),
        _ => Err(Violation::HostMismatch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(fields: &[(&str, &str)], version: Version) -> Result<Conclusion, Violation> {
        let mut facts = Facts::new();
        let mut known = KnownHost::new();
        facts.observe(b"Host", b"a", 0, &mut known)?;
        for (name, value) in fields {
            facts.observe(name.as_bytes(), value.as_bytes(), 0, &mut known)?;
        }
        facts.conclude(b"a", version, None, &Limits::default())
    }

    #[test]
    fn connection_options_are_read_from_every_line_and_close_wins() {
        let close = |fields: &[(&str, &str)], version| after(fields, version).unwrap().close;
        assert!(!close(&[], Version::Http11));
        assert!(close(&[], Version::Http10));
        assert!(close(&[("Connection", "x, CLOSE\t")], Version::Http11));
        assert!(close(&[("connection", "close"), ("Connection", "keep-alive")], Version::Http11));
        assert!(!close(&[("Connection", "Keep-Alive")], Version::Http10));
        assert!(close(&[("Connection", "keep-alive, close")], Version::Http10));
        assert!(!close(&[("Connection", "closed, not-close")], Version::Http11));
    }

    #[test]
    fn upgrade_needs_both_fields_and_version_1_1() {
        let both = [("Upgrade", "websocket"), ("Connection", "keep-alive, Upgrade")];
        assert!(after(&both, Version::Http11).unwrap().upgrade);
        assert!(!after(&both, Version::Http10).unwrap().upgrade);
        assert!(!after(&both[..1], Version::Http11).unwrap().upgrade);
        assert!(!after(&both[1..], Version::Http11).unwrap().upgrade);
    }

    #[test]
    fn largest_content_length_is_63_bits() {
        let length = |text: &str| after(&[("Content-Length", text)], Version::Http11).map(|conclusion| conclusion.body);
        assert_eq!(length("9223372036854775807"), Ok(BodyKind::Length(MAX_LENGTH)));
        assert_eq!(length("9223372036854775808"), Err(Violation::ContentLengthOverflow));
        assert_eq!(length("9999999999999999999"), Err(Violation::ContentLengthOverflow));
        assert_eq!(length("99999999999999999999"), Err(Violation::ContentLengthOverflow));
        assert_eq!(length(" 007\t"), Ok(BodyKind::Length(7)));
    }

    #[test]
    fn codings_below_a_last_chunked_are_not_implemented_and_the_rest_is_malformed() {
        for (text, expected) in [
            ("gzip, chunked", Violation::UnknownTransferCoding),
            ("identity,Chunked", Violation::UnknownTransferCoding),
            ("gzip", Violation::BadTransferEncoding),
            ("identity", Violation::BadTransferEncoding),
            ("xchunked", Violation::BadTransferEncoding),
            ("chunked, identity", Violation::BadTransferEncoding),
            ("chunked, chunked", Violation::BadTransferEncoding),
            ("chunked, gzip, chunked", Violation::BadTransferEncoding),
            ("chunked,", Violation::BadTransferEncoding),
            (",chunked", Violation::BadTransferEncoding),
            ("\"chunked\"", Violation::BadTransferEncoding),
            ("chunked;q=1", Violation::BadTransferEncoding),
            ("chunked chunked", Violation::BadTransferEncoding),
            ("", Violation::BadTransferEncoding),
        ] {
            let refused = after(&[("Transfer-Encoding", text)], Version::Http11);
            assert_eq!(refused.map(|conclusion| conclusion.body), Err(expected), "{text}");
        }
    }
}
