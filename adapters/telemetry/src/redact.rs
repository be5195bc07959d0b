//! The last defence: blacks out what looks like a secret or an address in a line of diagnostics.
//!
//! Nothing should ever get here: secrets have no `Display` and records have no place for personal data. This exists for the
//! day that somebody logs an error text of a library that quotes its input.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::LazyLock;

use regex::Regex;

/// Keys of ours, JWTs, credentials in URLs and headers, e-mail addresses, IPv4 addresses with a port left in place.
const PATTERN: &str = concat!(
    r"gw_[0-9a-fA-F-]{36}_[0-9a-fA-F]{8,}",
    r"|ck_[0-9a-fA-F]{8,}",
    r"|eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)?",
    r"|(?i-u:bearer|basic) [A-Za-z0-9._~+/=-]{6,}",
    r"|\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{20,}",
    r"|[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+",
);

static SECRETS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(PATTERN).ok());

/// The same text with everything that looks like a secret or an address replaced by `[redacted]`.
pub fn redact(text: &str) -> Cow<'_, str> {
    match SECRETS.as_ref() {
        Some(secrets) => secrets.replace_all(text, "[redacted]"),
        // A pattern that does not compile would be caught by this crate's tests; then nothing is better than a leak.
        None => Cow::Borrowed("[redacted]"),
    }
}

/// Writes each line redacted. `tracing` writes one event per call.
pub(crate) struct Redacting<W>(pub(crate) W);

impl<W: Write> Write for Redacting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(redact(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promise_n3_secrets_and_addresses_are_blacked_out() {
        let secrets = [
            "gw_0198c0de-0000-4000-8000-0000000000ff_00112233445566778899aabbccddeeff",
            "ck_00112233445566778899aabbccddeeff",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl",
            "Bearer abcdef123456",
            "canary.person+tag@mail.example.org",
            "$2b$10$abcdefghijklmnopqrstuvabcdefghijklmnopqrstuvabcdefghij",
        ];
        for secret in secrets {
            let line = format!("error: could not use \"{secret}\": refused");
            assert_eq!(redact(&line), "error: could not use \"[redacted]\": refused", "{secret}");
        }
    }

    #[test]
    fn ordinary_lines_are_untouched() {
        for line in ["listening on 127.0.0.1:8000", "route `get-user` at revision 17.4", "a@b", "2026-01-02T03:04:05Z"]
        {
            assert_eq!(redact(line), line);
        }
    }
}
