//! Keyed hashes: what stands in counters and caches for something that must not be written there.

use std::fmt;

use hmac::{Hmac, Mac as _};
use novagate_kernel::{Digest, encode_hex};
use sha2::Sha256;

use crate::fleet::keyed;

/// Makes keyed hashes (HMAC-SHA256, RFC 2104) of addresses and names, so that counters hold neither.
#[derive(Clone)]
pub struct Fingerprinter(Hmac<Sha256>);

impl Fingerprinter {
    /// A fingerprinter with a secret key.
    pub fn new(key: [u8; 32]) -> Self {
        Self(keyed(&key))
    }

    /// The first 128 bits, in hexadecimal, of the hash of `scope NUL subject`.
    pub fn of(&self, scope: &str, subject: &[u8]) -> String {
        encode_hex(self.digest_of(scope, subject).as_bytes().get(..16).unwrap_or_default())
    }

    /// The whole hash of `scope NUL subject`.
    pub fn digest_of(&self, scope: &str, subject: &[u8]) -> Digest {
        let mut mac = self.0.clone();
        mac.update(scope.as_bytes());
        mac.update(&[0]);
        mac.update(subject);
        Digest::from_bytes(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for Fingerprinter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Fingerprinter(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_depends_on_key_scope_and_subject() {
        let base = Fingerprinter::new([1; 32]).of("login", b"a@b.co");
        assert_eq!(base.len(), 32);
        assert_eq!(base, Fingerprinter::new([1; 32]).of("login", b"a@b.co"));
        for other in [
            Fingerprinter::new([2; 32]).of("login", b"a@b.co"),
            Fingerprinter::new([1; 32]).of("reset", b"a@b.co"),
            Fingerprinter::new([1; 32]).of("login", b"a@b.cp"),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn it_is_hmac_sha_256_as_published() {
        // RFC 4231, section 4.2 has a 20-byte key; zero padding makes it the same as its 32-byte form.
        let mut key = [0_u8; 32];
        key[..20].copy_from_slice(&[0x0b; 20]);
        let fingerprinter = Fingerprinter::new(key);
        let mut mac = fingerprinter.0.clone();
        mac.update(b"Hi There");
        assert_eq!(encode_hex(&mac.finalize().into_bytes()[..8]), "b0344c61d8db3853");
    }
}
