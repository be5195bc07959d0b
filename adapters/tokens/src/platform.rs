//! Platform tokens: HS256 with `PLATFORM_JWT_SECRET`, seven days.

use std::fmt;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, encode};
use novagate_access::{PlatformClaims, Verified};
use novagate_kernel::{TenantId, Timestamp};
use novagate_ports_base::{FaultKind, PortError};
use novagate_ports_control::outbound::{PlatformTokens, TokenFault};
use serde::{Deserialize, Serialize};

use crate::wire::{MIN_SECRET_BYTES, NumericDate, verified};

/// The `iss` of every platform token.
pub const PLATFORM_ISSUER: &str = "novagate";

/// The longest a platform token lives.
pub const PLATFORM_LIFETIME: Duration = Duration::from_hours(7 * 24);

/// How far ahead of this machine's clock another control node's may be, and how far this one may be set back without ending
/// the tokens that it has just issued.
const CLOCK_SKEW: Duration = Duration::from_mins(1);

/// Why a secret is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlatformSecretError {
    /// Too short to resist guessing.
    #[error("the secret must have at least 32 bytes")]
    TooShort,
}

/// Signs and verifies platform tokens.
pub struct PlatformTokenSigner {
    sign: EncodingKey,
    verify: Vec<DecodingKey>,
}

/// The claims; `gen` is the account's token generation.
#[derive(Serialize)]
struct Issued<'a> {
    iss: &'a str,
    sub: String,
    iat: i64,
    exp: i64,
    r#gen: u64,
}

#[derive(Deserialize)]
struct Presented {
    iss: String,
    sub: String,
    iat: NumericDate,
    exp: NumericDate,
    r#gen: u64,
}

impl PlatformTokenSigner {
    /// Signs with `secret`; tokens signed with `previous` are accepted too, until that secret is taken out.
    pub fn new(secret: &str, previous: Option<&str>) -> Result<Self, PlatformSecretError> {
        let secrets = || std::iter::once(secret).chain(previous);
        if secrets().any(|text| text.len() < MIN_SECRET_BYTES) {
            return Err(PlatformSecretError::TooShort);
        }
        Ok(Self {
            sign: EncodingKey::from_secret(secret.as_bytes()),
            verify: secrets().map(|text| DecodingKey::from_secret(text.as_bytes())).collect(),
        })
    }

    fn read(&self, token: &str) -> Option<Presented> {
        let (header, claims) = self.verify.iter().find_map(|key| verified(token, key, &[Algorithm::HS256]))?;
        // We never write these: a token that carries them was made by somebody who hopes that we follow them.
        let plain = header.kid.is_none()
            && header.jwk.is_none()
            && header.jku.is_none()
            && header.x5u.is_none()
            && header.x5c.is_none();
        plain.then_some(claims)
    }
}

impl PlatformTokens for PlatformTokenSigner {
    /// Times are cut to whole seconds. A life of more than seven days is refused as [`FaultKind::Misuse`].
    fn issue(&self, claims: &PlatformClaims) -> Result<String, PortError> {
        if claims.expires_at.since(claims.issued_at) > PLATFORM_LIFETIME {
            return Err(PortError::new("tokens.issue", FaultKind::Misuse, "a platform token lives seven days at most"));
        }
        let body = Issued {
            iss: PLATFORM_ISSUER,
            sub: claims.tenant.to_string(),
            iat: claims.issued_at.as_seconds(),
            exp: claims.expires_at.as_seconds(),
            r#gen: claims.generation,
        };
        encode(&Header::new(Algorithm::HS256), &body, &self.sign)
            .map_err(PortError::wrap("tokens.issue", FaultKind::Misuse))
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<Verified<PlatformClaims>, TokenFault> {
        let claims = self.read(token).ok_or(TokenFault::Invalid)?;
        let tenant = TenantId::parse(&claims.sub).map_err(|_| TokenFault::Invalid)?;
        let (issued_at, expires_at) = (claims.iat.0, claims.exp.0);
        let from_the_future = issued_at > now.plus(CLOCK_SKEW);
        let lives_too_long = expires_at.since(issued_at) > PLATFORM_LIFETIME;
        if claims.iss != PLATFORM_ISSUER || from_the_future || lives_too_long || expires_at <= issued_at {
            return Err(TokenFault::Invalid);
        }
        if now >= expires_at {
            return Err(TokenFault::Expired);
        }
        Ok(Verified::assert(PlatformClaims { tenant, generation: claims.r#gen, issued_at, expires_at }))
    }
}

impl fmt::Debug for PlatformTokenSigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PlatformTokenSigner(redacted)")
    }
}

#[cfg(test)]
#[path = "platform_tests.rs"]
mod tests;
