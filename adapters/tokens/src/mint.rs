//! Tokens for a demonstration: what an identity provider would issue.

use jsonwebtoken::{EncodingKey, Header};
use novagate_kernel::Timestamp;
use novagate_ports_base::{FaultKind, PortError};
use serde::Serialize;

#[derive(Serialize)]
struct DemoClaims<'a> {
    sub: &'a str,
    exp: i64,
}

/// An HS256 token (RFC 7519) of `subject` until `expires_at`, signed with the UTF-8 bytes of `secret`: for `novagate dev`,
/// which has no identity provider.
pub fn mint_hs256(secret: &str, subject: &str, expires_at: Timestamp) -> Result<String, PortError> {
    let claims = DemoClaims { sub: subject, exp: expires_at.as_seconds() };
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).map_err(PortError::wrap("token.mint", FaultKind::Misuse))
}

#[cfg(test)]
mod tests {
    use novagate_ports_edge::TokenVerifier as _;

    use super::*;
    use crate::EdgeTokenVerifier;

    #[test]
    fn a_minted_token_verifies_at_the_gateway() {
        let secret = "0123456789abcdef0123456789abcdef";
        let token = mint_hs256(secret, "demo-app", Timestamp::from_seconds(4_000_000_000)).unwrap();
        let facts = EdgeTokenVerifier::new(Some(secret), &[]).unwrap().verify(&token).unwrap();
        assert_eq!(facts.subject.as_deref(), Some("demo-app"));
    }
}
