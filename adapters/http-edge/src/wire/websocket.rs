//! A WebSocket handshake (RFC 6455, section 4) as it shows in heads.
//!
//! Always: what is recognised is told anew in both directions; no other protocol of an `Upgrade` field goes on. Not here:
//! whether key and answer fit together, which both ends check; frames, which nobody in between reads.

use novagate_framing::HeadInfo;

use super::fields::Fields;
use super::names::{FieldName, options};

/// The lines that offer the switch, and those that accept it.
pub(crate) const SWITCH: &[u8] = b"connection: upgrade\r\nupgrade: websocket\r\n";

/// Whether a request that offers another protocol begins a WebSocket: a GET without content, with one key and one version.
/// Anything else is a request like any other (RFC 9110, section 7.8).
pub(crate) fn is_offered(head: &[u8], info: &HeadInfo, fields: Fields<'_>) -> bool {
    let has = |name| fields.single_named(name).is_some_and(|value| !value.is_empty());
    info.method.of(head) == b"GET"
        && info.ends_message()
        && fields.values(FieldName::Upgrade).flat_map(options).any(is_websocket)
        && has(b"sec-websocket-key")
        && has(b"sec-websocket-version")
}

/// Whether the fields of a 101 switch to a WebSocket and to nothing else.
pub(crate) fn is_accepted(fields: Fields<'_>) -> bool {
    fields.single(FieldName::Upgrade).is_some_and(is_websocket) && fields.has_option(b"upgrade")
}

fn is_websocket(protocol: &[u8]) -> bool {
    protocol.eq_ignore_ascii_case(b"websocket")
}

#[cfg(test)]
mod tests {
    use novagate_framing::{Limits, RequestFraming, Step};

    use super::super::fields::scan;
    use super::*;

    const HANDSHAKE: &str =
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n";

    fn offers(line: &str, fields: &str) -> bool {
        let head = format!("{line}\r\nHost: a\r\n{fields}\r\n");
        let Step::Head(info) = RequestFraming::new(Limits::default()).feed(head.as_bytes()) else { panic!("a head") };
        let mut list = Vec::new();
        scan(head.as_bytes(), line.len() + 2, &mut list);
        info.upgrade && is_offered(head.as_bytes(), &info, Fields::new(head.as_bytes(), &list))
    }

    #[test]
    fn a_handshake_is_recognised_without_case_and_among_other_protocols() {
        assert!(offers("GET / HTTP/1.1", HANDSHAKE));
        assert!(offers("GET / HTTP/1.1", &HANDSHAKE.to_ascii_uppercase()));
        assert!(offers("GET / HTTP/1.1", &HANDSHAKE.replace(": websocket", ": h2c, WebSocket")));
        assert!(offers("GET / HTTP/1.1", &format!("Upgrade: h2c\r\n{HANDSHAKE}Content-Length: 0\r\n")));
    }

    #[test]
    fn whatever_is_less_than_a_handshake_is_none() {
        for line in ["POST / HTTP/1.1", "HEAD / HTTP/1.1", "GET / HTTP/1.0", "get / HTTP/1.1"] {
            assert!(!offers(line, HANDSHAKE), "{line}");
        }
        for (part, instead) in [
            ("Upgrade: websocket\r\n", ""),
            ("Upgrade: websocket\r\n", "Upgrade: h2c\r\n"),
            ("Upgrade: websocket\r\n", "Upgrade: websocket/13\r\n"),
            ("Connection: Upgrade\r\n", "Connection: keep-alive\r\n"),
            ("Sec-WebSocket-Key: k\r\n", ""),
            ("Sec-WebSocket-Key: k\r\n", "Sec-WebSocket-Key: \r\n"),
            ("Sec-WebSocket-Key: k\r\n", "Sec-WebSocket-Key: k\r\nSec-WebSocket-Key: k\r\n"),
            ("Sec-WebSocket-Version: 13\r\n", ""),
            ("Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Version: 13\r\nContent-Length: 3\r\n"),
            ("Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Version: 13\r\nTransfer-Encoding: chunked\r\n"),
        ] {
            assert!(!offers("GET / HTTP/1.1", &HANDSHAKE.replace(part, instead)), "{instead:?} for {part:?}");
        }
    }

    #[test]
    fn only_a_switch_to_a_websocket_is_accepted() {
        for (fields, accepted) in [
            ("Upgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n", true),
            ("Upgrade: websocket\r\n", false),
            ("Connection: upgrade\r\n", false),
            ("Upgrade: h2c\r\nConnection: upgrade\r\n", false),
            ("Upgrade: websocket, h2c\r\nConnection: upgrade\r\n", false),
            ("Upgrade: websocket\r\nUpgrade: websocket\r\nConnection: upgrade\r\n", false),
        ] {
            let (head, mut list) = (format!("{fields}\r\n"), Vec::new());
            scan(head.as_bytes(), 0, &mut list);
            assert_eq!(is_accepted(Fields::new(head.as_bytes(), &list)), accepted, "{fields:?}");
        }
    }
}
