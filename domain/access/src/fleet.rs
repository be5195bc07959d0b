//! The secret that the gateways of a fleet share, and what is derived from it.
//!
//! Always: the secret itself is not kept; each purpose has a key of its own (HKDF-SHA256, RFC 5869, without salt), so that
//! what one of them gives away tells nothing about another. Not here: which setting the secret comes from.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The root of a fleet's keys.
pub struct FleetKey(Zeroizing<[u8; 32]>);

impl FleetKey {
    /// From a secret of any length; the same text gives the same keys on every machine.
    pub fn new(secret: &str) -> Self {
        let mut extract = keyed(&[0; 32]);
        extract.update(secret.as_bytes());
        Self(Zeroizing::new(extract.finalize().into_bytes().into()))
    }

    /// The key for one purpose.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut expand = keyed(&self.0);
        expand.update(purpose.as_bytes());
        expand.update(&[1]);
        expand.finalize().into_bytes().into()
    }

    /// A keyed hash for one purpose.
    pub fn hash(&self, purpose: &str) -> KeyedHash {
        KeyedHash(keyed(&self.derive(purpose)))
    }
}

impl fmt::Debug for FleetKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("FleetKey(redacted)")
    }
}

/// HMAC-SHA256 (RFC 2104) under a key that is known already; input comes in parts.
#[derive(Clone)]
pub struct KeyedHash(Hmac<Sha256>);

impl KeyedHash {
    /// Adds a part of the input.
    pub fn feed(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    /// The first 128 bits.
    pub fn first_half(self) -> [u8; 16] {
        let whole: [u8; 32] = self.0.finalize().into_bytes().into();
        whole.first_chunk().copied().unwrap_or_default()
    }
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyedHash(redacted)")
    }
}

/// HMAC fills keys shorter than a block (64 bytes) with zeros (RFC 2104, section 2).
pub(crate) fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = [0_u8; 64];
    let (front, _) = block.split_at_mut(key.len());
    front.copy_from_slice(key);
    Hmac::new(&block.into())
}

#[cfg(test)]
mod tests {
    use novagate_kernel::encode_hex;

    use super::*;

    #[test]
    fn keys_are_those_of_rfc_5869_without_salt_and_info() {
        // RFC 5869, A.3: 22 bytes of 0x0b, no salt, no info; the first 32 bytes of the output.
        let secret = "\u{b}".repeat(22);
        let okm = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d";
        assert_eq!(encode_hex(&FleetKey::new(&secret).derive("")), okm);
    }

    #[test]
    fn each_purpose_and_each_secret_has_a_key_of_its_own() {
        let key = FleetKey::new("one secret");
        assert_eq!(key.derive("rl"), FleetKey::new("one secret").derive("rl"));
        assert_ne!(key.derive("rl"), key.derive("cfg"));
        assert_ne!(key.derive("rl"), FleetKey::new("another secret").derive("rl"));
    }

    #[test]
    fn parts_are_hashed_as_one_input() {
        let hash = FleetKey::new("secret").hash("rl");
        let of = |parts: &[&[u8]]| {
            let mut hash = hash.clone();
            for part in parts {
                hash.feed(part);
            }
            hash.first_half()
        };
        assert_eq!(of(&[b"ab", b"c"]), of(&[b"abc"]));
        assert_ne!(of(&[b"abc"]), of(&[b"abd"]));
    }

    #[test]
    fn nothing_of_a_key_is_printed() {
        let key = FleetKey::new("secret");
        assert_eq!(format!("{key:?} {:?}", key.hash("rl")), "FleetKey(redacted) KeyedHash(redacted)");
    }
}
