//! What an attacker can write: tokens of any header and claims, signed with anything.

use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::Value;

/// The platform's or the tenant's secret, and another of the same length.
pub(crate) const SECRET: &str = "a-secret-of-32-characters-or-more";
pub(crate) const OTHER: &str = "b-secret-of-32-characters-or-more";

pub(crate) fn hmac(secret: &str) -> EncodingKey {
    EncodingKey::from_secret(secret.as_bytes())
}

/// Signs these exact texts, whatever the header claims.
pub(crate) fn forge_text(header: &str, claims: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = unsigned(header, claims);
    format!("{message}.{}", crypto::sign(message.as_bytes(), key, algorithm).unwrap())
}

pub(crate) fn forge(header: &Value, claims: &Value, key: &EncodingKey, algorithm: Algorithm) -> String {
    forge_text(&header.to_string(), &claims.to_string(), key, algorithm)
}

/// `header.claims` without a signature.
pub(crate) fn unsigned(header: &str, claims: &str) -> String {
    format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()))
}

/// RFC 4648, section 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = (0..3).fold(0_usize, |sum, at| (sum << 8) | chunk.get(at).map_or(0, |&byte| usize::from(byte)));
        for at in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(number >> (18 - 6 * at)) & 63]));
        }
    }
    text
}
