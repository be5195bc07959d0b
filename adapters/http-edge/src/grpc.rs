//! What gRPC wants of a proxy beside HTTP/2: its own form of refusals, and how long a call may take.
//!
//! Always: a call that the gateway refuses gets a status of gRPC in a response without a body ("Trailers-Only" of gRPC over
//! HTTP/2); what the record says is not changed by it. Not here: messages, which pass as any other body.

use std::time::Duration;

use http::HeaderMap;

use crate::refusal::{Manner, Refusal};
use crate::wire::grammar::push_number;
use crate::wire::response::push_line;

/// Digits of a `grpc-timeout`.
const MAX_DIGITS: usize = 8;

/// What the head of a call says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    /// How long the client waits for the end of it all.
    pub(crate) timeout: Option<Duration>,
}

impl Call {
    /// Of a request of HTTP/2; nothing when it is none of gRPC.
    pub(crate) fn of(fields: &HeaderMap) -> Option<Self> {
        let kind = fields.get("content-type")?.as_bytes();
        is_grpc(kind).then(|| {
            let mut told = fields.get_all("grpc-timeout").iter();
            let timeout = told.next().filter(|_| told.next().is_none());
            Self { timeout: timeout.and_then(|timeout| timeout_of(timeout.as_bytes())) }
        })
    }
}

/// `application/grpc`, with a format or parameters behind it; gRPC-Web is another protocol.
fn is_grpc(kind: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let (is_so, rest) = (kind.get(..GRPC.len()), kind.get(GRPC.len()..).unwrap_or_default());
    is_so.is_some_and(|start| start.eq_ignore_ascii_case(GRPC)) && matches!(rest, [] | [b'+' | b';' | b' ', ..])
}

/// A number of up to eight digits and a unit; nothing for anything else.
fn timeout_of(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !(1..=MAX_DIGITS).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(number * 3600)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// Writes the refusal of a call.
pub(crate) fn write_refusal(out: &mut Vec<u8>, refusal: Refusal, manner: &Manner<'_>) {
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\ngrpc-status: ");
    push_number(out, u64::from(status_of(refusal.code.status())));
    out.extend_from_slice(b"\r\ngrpc-message: ");
    for part in [refusal.code.as_str(), ": ", refusal.message] {
        push_encoded(out, part);
    }
    out.extend_from_slice(b"\r\n");
    push_line(out, b"date", manner.date);
    push_line(out, b"x-request-id", manner.request_id);
    out.extend_from_slice(manner.extra);
    out.extend_from_slice(b"\r\n");
}

/// The status of gRPC for one of HTTP: "HTTP to gRPC Status Code Mapping", but where gRPC has a word of its own for what
/// the gateway says: a limit that was reached, and a time that was too long.
const fn status_of(status: u16) -> u8 {
    match status {
        // DEADLINE_EXCEEDED
        408 | 504 => 4,
        403 => 7,
        // RESOURCE_EXHAUSTED
        413 | 414 | 429 | 431 => 8,
        // UNIMPLEMENTED
        404 | 405 | 501 => 12,
        // INTERNAL
        400 | 500 => 13,
        // UNAVAILABLE
        502 | 503 => 14,
        // UNAUTHENTICATED
        401 => 16,
        // UNKNOWN
        _ => 2,
    }
}

/// Everything but visible ASCII and blanks in hexadecimal, and the sign for that too.
fn push_encoded(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use novagate_kernel::ErrorCode;

    use super::*;

    fn call(kind: &str, timeout: &[&str]) -> Option<Call> {
        let mut fields = HeaderMap::new();
        fields.insert("content-type", HeaderValue::from_str(kind).unwrap());
        for value in timeout {
            fields.append("grpc-timeout", HeaderValue::from_str(value).unwrap());
        }
        Call::of(&fields)
    }

    #[test]
    fn a_call_is_known_by_its_content_type() {
        for kind in ["application/grpc", "Application/GRPC+proto", "application/grpc; charset=utf-8"] {
            assert_eq!(call(kind, &[]), Some(Call { timeout: None }), "{kind}");
        }
        for kind in ["application/grpc-web", "application/grpc-web+proto", "application/json", "grpc", ""] {
            assert_eq!(call(kind, &[]), None, "{kind}");
        }
        assert_eq!(Call::of(&HeaderMap::new()), None);
    }

    #[test]
    fn a_timeout_is_read_in_all_units_and_nothing_is_made_of_what_is_none() {
        for (value, millis) in [("2H", 7_200_000), ("3M", 180_000), ("99999999S", 99_999_999_000), ("250m", 250)] {
            assert_eq!(timeout_of(value.as_bytes()), Some(Duration::from_millis(millis)), "{value}");
        }
        assert_eq!(timeout_of(b"5000u"), Some(Duration::from_millis(5)));
        assert_eq!(timeout_of(b"0n"), Some(Duration::ZERO));
        for value in ["", "S", "1", "1s", "-1S", "1.5S", "123456789S", " 1S", "1 S"] {
            assert_eq!(timeout_of(value.as_bytes()), None, "{value}");
        }
        assert_eq!(call("application/grpc", &["1S"]).unwrap().timeout, Some(Duration::from_secs(1)));
        assert_eq!(call("application/grpc", &["1S", "2S"]).unwrap().timeout, None);
    }

    #[test]
    fn a_refusal_is_a_head_with_a_status_of_grpc() {
        let manner = Manner {
            request_id: b"ID",
            date: b"NOW",
            extra: b"retry-after: 3\r\n",
            without_body: false,
            close: true,
            say_keep_alive: false,
        };
        let mut out = Vec::new();
        write_refusal(&mut out, Refusal::of(ErrorCode::RateLimitExceeded), &manner);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\ngrpc-status: 8\r\n\
             grpc-message: RATE_LIMIT_EXCEEDED: too many requests\r\ndate: NOW\r\nx-request-id: ID\r\n\
             retry-after: 3\r\n\r\n"
        );
    }

    #[test]
    fn every_code_has_a_status_that_is_no_success() {
        for code in ErrorCode::ALL {
            assert!((1..=16).contains(&status_of(code.status())), "{code:?}");
        }
        let said = [400, 401, 403, 404, 408, 413, 429, 502, 503, 504].map(status_of);
        assert_eq!(said, [13, 16, 7, 12, 4, 8, 8, 14, 14, 4]);
    }

    #[test]
    fn what_is_not_visible_is_encoded() {
        let mut out = Vec::new();
        push_encoded(&mut out, "100% \u{e4}\n");
        assert_eq!(out, b"100%25 %C3%A4%0A");
    }
}
