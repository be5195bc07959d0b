//! Tokens in mailed links: password reset and address verification.

use std::fmt;
use std::time::Duration;

use novagate_kernel::{decode_hex, encode_hex};
use zeroize::Zeroizing;

use crate::KeyDigest;

/// How long a reset link works.
pub const RESET_LIFETIME: Duration = Duration::from_hours(1);

/// How long a verification link works.
pub const VERIFY_LIFETIME: Duration = Duration::from_hours(1);

/// Why a text is not a link token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 64 lower-case hexadecimal characters")]
pub struct TokenError;

/// 32 random bytes in hexadecimal; only its digest is stored.
pub struct LinkToken(Zeroizing<String>);

impl LinkToken {
    /// A new token.
    pub fn generate(entropy: [u8; 32]) -> Self {
        Self(Zeroizing::new(encode_hex(&entropy)))
    }

    /// Reads a presented token.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        decode_hex::<32>(text).map_err(|_| TokenError)?;
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// What is stored.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(self.0.as_bytes())
    }

    /// The plaintext, for the mailed link.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LinkToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LinkToken(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promise_c5_a_link_token_is_32_random_bytes_in_hexadecimal() {
        let token = LinkToken::generate([0xcd; 32]);
        assert_eq!(token.expose(), "cd".repeat(32));
        assert!(LinkToken::parse(token.expose()).unwrap().digest().matches(&token.digest()));
        assert!(LinkToken::parse("CD").is_err());
        assert_eq!(format!("{token:?}"), "LinkToken(redacted)");
    }
}
