//! A WebSocket over HTTP/2 (RFC 8441) as the handshake of one over HTTP/1.1 (RFC 6455, section 4).
//!
//! Always: over HTTP/2 a handshake has no key, so the gateway makes one and holds the answer to it. Not here: what a
//! handshake must be (`wire::websocket`).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::wire::fields::Fields;
use crate::wire::response::push_line;
use crate::wire::websocket::SWITCH;

/// What the key is hashed with.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
pub(crate) const KEY_FIELD: &[u8] = b"sec-websocket-key";
pub(crate) const ACCEPT_FIELD: &str = "sec-websocket-accept";

/// A handshake that was begun.
#[derive(Debug)]
pub(crate) struct Handshake {
    key: Vec<u8>,
}

impl Handshake {
    /// With a random nonce.
    pub(crate) fn new(nonce: [u8; 16]) -> Self {
        Self { key: base64(&nonce) }
    }

    /// Writes the lines that ask for the switch.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(SWITCH);
        push_line(out, KEY_FIELD, &self.key);
    }

    /// Whether the fields of a 101 answer this key.
    pub(crate) fn is_answered_by(&self, fields: Fields<'_>) -> bool {
        fields.single_named(ACCEPT_FIELD.as_bytes()).is_some_and(|answer| answer == accept(&self.key))
    }
}

/// The answer to a key.
pub(crate) fn accept(key: &[u8]) -> Vec<u8> {
    base64(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat()).as_ref())
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let octet = |at: usize| u32::from(three.get(at).copied().unwrap_or_default());
        let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
        for place in 0..4 {
            let digit = DIGITS.get((bits >> (18 - 6 * place)) as usize & 63).copied().unwrap_or_default();
            text.push(if place <= three.len() { digit } else { b'=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fields::scan;

    #[test]
    fn bytes_are_written_in_base_64() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text.as_bytes());
        }
    }

    #[test]
    fn a_key_has_the_answer_that_the_standard_gives_as_its_example() {
        let handshake = Handshake { key: b"dGhlIHNhbXBsZSBub25jZQ==".to_vec() };
        assert_eq!(accept(&handshake.key), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for (fields, is_answered) in [
            ("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", true),
            ("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp=\r\n", false),
            ("", false),
        ] {
            let (head, mut list) = (format!("{fields}\r\n"), Vec::new());
            scan(head.as_bytes(), 0, &mut list);
            assert_eq!(handshake.is_answered_by(Fields::new(head.as_bytes(), &list)), is_answered);
        }
    }
}
