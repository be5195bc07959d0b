//! SHA-256 of a high-entropy secret: what is stored in its place.

use std::fmt;

use novagate_kernel::{HexError, decode_hex, encode_hex};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// The SHA-256 (FIPS 180-4) of a key or token. Those carry 128 to 256 random bits, so a digest needs no salt or pepper.
///
/// `==` and hashing exist for look-ups by digest, which an attacker cannot steer; what decides about access is
/// [`KeyDigest::matches`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// The digest of a secret's exact bytes.
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Wraps a stored digest.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 lower-case hexadecimal characters.
    pub fn parse(text: &str) -> Result<Self, HexError> {
        decode_hex(text).map(Self)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether both are the digest of one secret, in time that does not depend on where they differ.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for KeyDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&encode_hex(&self.0))
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyDigest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_published_sha_256() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(KeyDigest::of(b"abc").to_string(), abc);
        assert!(KeyDigest::parse(abc).unwrap().matches(&KeyDigest::of(b"abc")));
        assert!(!KeyDigest::of(b"abd").matches(&KeyDigest::of(b"abc")));
    }
}
