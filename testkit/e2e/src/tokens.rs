//! Tokens as their issuers make them, and as attackers do.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;
use serde_json::Value;

/// What a client's token says.
#[derive(Debug, Clone, Serialize)]
pub struct EdgeClaims {
    /// Whom it speaks of: a consumer's name or id, or anybody.
    pub sub: String,
    /// When it ends, seconds since 1970.
    pub exp: u64,
}

/// What a platform token says.
#[derive(Debug, Clone, Serialize)]
pub struct PlatformClaims {
    /// The issuer; `novagate` in real ones.
    pub iss: String,
    /// The tenant's id.
    pub sub: String,
    /// When it was issued, seconds since 1970.
    pub iat: u64,
    /// When it ends, seconds since 1970.
    pub exp: u64,
    /// The account's token generation.
    pub r#gen: u64,
}

/// Now, in seconds since 1970.
pub fn now_seconds() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

/// A token for `subject` that the gateway accepts for ten minutes.
pub fn edge_token(secret: &str, subject: &str) -> String {
    let claims = EdgeClaims { sub: subject.to_owned(), exp: now_seconds() + 600 };
    encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret.as_bytes()))
        .expect("plain claims can be signed")
}

/// A platform token of these claims.
pub fn platform_token(secret: &str, claims: &PlatformClaims) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret.as_bytes()))
        .expect("plain claims can be signed")
}

/// A token as an attacker assembles it: any header, any claims, and an HS256, HS384 or HS512 signature with any secret.
pub fn forged(header: &Value, claims: &Value, secret: &[u8], algorithm: Algorithm) -> String {
    let message = format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).expect("a shared secret signs");
    format!("{message}.{signature}")
}

impl PlatformClaims {
    /// What the control plane itself would say of a tenant's first token.
    pub fn of(tenant: &str, generation: u64) -> Self {
        let iat = now_seconds();
        Self { iss: "novagate".into(), sub: tenant.to_owned(), iat, exp: iat + 3600, r#gen: generation }
    }
}

/// RFC 4648, section 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let word =
            group.iter().enumerate().fold(0_usize, |word, (at, &byte)| word | usize::from(byte) << (16 - 8 * at));
        for at in 0..=group.len() {
            out.push(char::from(ALPHABET[word >> (18 - 6 * at) & 63]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_follows_the_examples_of_rfc_4648() {
        for (plain, coded) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64url(plain.as_bytes()), coded);
        }
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
    }
}
