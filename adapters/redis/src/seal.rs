//! Sealing of what lies in Redis and only the gateways of a fleet may read.
//!
//! Always: AES-256-GCM under a key derived for this purpose alone, with a random nonce in front; what was changed, cut or
//! sealed elsewhere does not open. Not here: what is inside.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use novagate_access::FleetKey;
use novagate_ports_base::Entropy;

/// Seals and opens.
pub(crate) struct Seal(LessSafeKey);

/// It does not open, or could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it was not sealed by this fleet, or was changed since")]
pub(crate) struct SealError;

impl Seal {
    pub(crate) fn new(fleet: &FleetKey) -> Result<Self, SealError> {
        UnboundKey::new(&AES_256_GCM, &fleet.derive("cfg"))
            .map(|key| Self(LessSafeKey::new(key)))
            .map_err(|_| SealError)
    }

    /// `name` is where it will lie: it opens nowhere else.
    pub(crate) fn seal(&self, name: &str, mut content: Vec<u8>, entropy: &dyn Entropy) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE_LEN] = entropy.bytes();
        let (aad, used) = (Aad::from(name.as_bytes()), Nonce::assume_unique_for_key(nonce));
        self.0.seal_in_place_append_tag(used, aad, &mut content).map_err(|_| SealError)?;
        content.splice(0..0, nonce);
        Ok(content)
    }

    pub(crate) fn open(&self, name: &str, mut sealed: Vec<u8>) -> Result<Vec<u8>, SealError> {
        let content = sealed.split_off(NONCE_LEN.min(sealed.len()));
        let nonce = Nonce::try_assume_unique_for_key(&sealed).map_err(|_| SealError)?;
        let mut content = content;
        let length =
            self.0.open_in_place(nonce, Aad::from(name.as_bytes()), &mut content).map_err(|_| SealError)?.len();
        content.truncate(length);
        Ok(content)
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Seal(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use novagate_fixtures::SeededEntropy;

    use super::*;

    #[test]
    fn what_was_sealed_opens_in_its_place_and_by_its_fleet_only() {
        let seal = |secret| Seal::new(&FleetKey::new(secret)).unwrap();
        let entropy = SeededEntropy::new(1);
        let sealed = seal("a").seal("config", b"content".to_vec(), &entropy).unwrap();
        assert!(!sealed.windows(7).any(|part| part == b"content"));
        assert_ne!(sealed, seal("a").seal("config", b"content".to_vec(), &entropy).unwrap());
        assert_eq!(seal("a").open("config", sealed.clone()).unwrap(), b"content");
        assert_eq!(seal("b").open("config", sealed.clone()), Err(SealError));
        assert_eq!(seal("a").open("revoked", sealed), Err(SealError));
    }

    #[test]
    fn what_was_changed_or_cut_does_not_open() {
        let seal = Seal::new(&FleetKey::new("a")).unwrap();
        let sealed = seal.seal("config", b"content".to_vec(), &SeededEntropy::new(2)).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(seal.open("config", changed), Err(SealError));
            assert_eq!(seal.open("config", sealed[..at].to_vec()), Err(SealError));
        }
    }
}
