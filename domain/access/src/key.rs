//! Gateway keys and consumer keys.

use std::fmt;

use novagate_kernel::{GatewayKeyId, TenantId, Timestamp, decode_hex, encode_hex};
use zeroize::Zeroizing;

use crate::{KeyDigest, Verified};

/// Why a text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not `gw_<tenantId>_<32 hex>`.
    #[error("not gw_<tenantId>_<32 lower-case hexadecimal characters>")]
    NotGatewayKey,
    /// Not `ck_<32 hex>`.
    #[error("not ck_<32 lower-case hexadecimal characters>")]
    NotConsumerKey,
}

/// A key with which a tenant's gateways authenticate to the control plane: `gw_<tenantId>_<32 hex>`.
pub struct GatewayKey {
    tenant: TenantId,
    text: Zeroizing<String>,
}

impl GatewayKey {
    /// A new key of `tenant` from 128 random bits.
    pub fn generate(tenant: TenantId, entropy: [u8; 16]) -> Self {
        Self { tenant, text: Zeroizing::new(format!("gw_{tenant}_{}", encode_hex(&entropy))) }
    }

    /// Reads a presented key. Only the shape is checked; [`GatewayKey::verify`] decides.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (tenant, random) =
            text.strip_prefix("gw_").and_then(|rest| rest.split_once('_')).ok_or(KeyError::NotGatewayKey)?;
        decode_hex::<16>(random).map_err(|_| KeyError::NotGatewayKey)?;
        let id = TenantId::parse(tenant).map_err(|_| KeyError::NotGatewayKey)?;
        // One spelling per key: an upper-case tenant id would have another digest.
        if id.to_string() != tenant {
            return Err(KeyError::NotGatewayKey);
        }
        Ok(Self { tenant: id, text: Zeroizing::new(text.to_owned()) })
    }

    /// Whose key it claims to be.
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// What is stored.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(self.text.as_bytes())
    }

    /// The plaintext, for the one answer that shows it and for the gateway's own `Authorization` header.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Decides about a presented key against what is stored under its digest.
    pub fn verify(self, stored: Option<&GatewayKeyRecord>) -> Result<Verified<GatewayKeyRecord>, KeyRefusal> {
        let record = stored.ok_or(KeyRefusal::Unknown)?;
        if record.tenant != self.tenant || !record.digest.matches(&self.digest()) {
            return Err(KeyRefusal::Unknown);
        }
        if record.revoked_at.is_some() {
            return Err(KeyRefusal::Revoked);
        }
        Ok(Verified::proven(record.clone()))
    }
}

impl fmt::Debug for GatewayKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "GatewayKey(gw_{}_redacted)", self.tenant)
    }
}

/// A gateway key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayKeyRecord {
    /// Its id.
    pub id: GatewayKeyId,
    /// Whose key it is.
    pub tenant: TenantId,
    /// SHA-256 of the plaintext.
    pub digest: KeyDigest,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

/// Why a gateway key was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// No such key.
    #[error("unknown gateway key")]
    Unknown,
    /// It was valid once.
    #[error("revoked gateway key")]
    Revoked,
}

/// A credential of a consumer at the gateway: `ck_<32 hex>`.
pub struct ConsumerKey(Zeroizing<String>);

impl ConsumerKey {
    /// A new key from 128 random bits.
    pub fn generate(entropy: [u8; 16]) -> Self {
        Self(Zeroizing::new(format!("ck_{}", encode_hex(&entropy))))
    }

    /// Reads a key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let random = text.strip_prefix("ck_").ok_or(KeyError::NotConsumerKey)?;
        decode_hex::<16>(random).map_err(|_| KeyError::NotConsumerKey)?;
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The digest of a presented key when it has the shape of one; for the request path, which keeps no copy.
    pub fn digest_of_presented(text: &[u8]) -> Option<KeyDigest> {
        let random = text.strip_prefix(b"ck_")?;
        let well_formed = random.len() == 32 && random.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        well_formed.then(|| KeyDigest::of(text))
    }

    /// What is stored.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(self.0.as_bytes())
    }

    /// The plaintext, for the one answer that shows it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ConsumerKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ConsumerKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> TenantId {
        TenantId::from_entropy([7; 16])
    }

    fn record(key: &GatewayKey) -> GatewayKeyRecord {
        GatewayKeyRecord {
            id: GatewayKeyId::from_entropy([1; 16]),
            tenant: key.tenant(),
            digest: key.digest(),
            created_at: Timestamp::UNIX_EPOCH,
            revoked_at: None,
        }
    }

    #[test]
    fn promise_c2_a_gateway_key_has_the_documented_shape_and_reads_back() {
        let key = GatewayKey::generate(tenant(), [0xab; 16]);
        assert_eq!(key.expose(), format!("gw_{}_{}", tenant(), "ab".repeat(16)));
        assert_eq!(GatewayKey::parse(key.expose()).unwrap().digest(), key.digest());
    }

    #[test]
    fn promise_c2_a_key_never_prints_its_random_part() {
        let key = GatewayKey::generate(tenant(), [0xab; 16]);
        assert!(!format!("{key:?}").contains("abab"));
        assert_eq!(format!("{:?}", ConsumerKey::generate([0xab; 16])), "ConsumerKey(redacted)");
    }

    #[test]
    fn texts_that_are_nearly_keys_are_refused() {
        let good = GatewayKey::generate(tenant(), [0xab; 16]).expose().to_owned();
        for bad in [good.to_uppercase(), good.replace("gw_", "gx_"), format!("{good}0"), good.replace('_', "-")] {
            assert_eq!(GatewayKey::parse(&bad).err(), Some(KeyError::NotGatewayKey), "{bad}");
        }
        for bad in ["", "ck_", "ck_ABABABABABABABABABABABABABABABAB", "ck_00", "xx_00000000000000000000000000000000"] {
            assert!(ConsumerKey::parse(bad).is_err(), "{bad}");
            assert!(ConsumerKey::digest_of_presented(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_the_stored_unrevoked_key_of_the_same_tenant_verifies() {
        let key = || GatewayKey::generate(tenant(), [0xab; 16]);
        let stored = record(&key());
        assert_eq!(key().verify(Some(&stored)).unwrap().scope().tenant(), tenant());
        assert_eq!(key().verify(None).err(), Some(KeyRefusal::Unknown));
        let other = GatewayKey::generate(tenant(), [0xac; 16]);
        assert_eq!(other.verify(Some(&stored)).err(), Some(KeyRefusal::Unknown));
        let foreign = GatewayKeyRecord { tenant: TenantId::from_entropy([8; 16]), ..stored.clone() };
        assert_eq!(key().verify(Some(&foreign)).err(), Some(KeyRefusal::Unknown));
        let revoked = GatewayKeyRecord { revoked_at: Some(Timestamp::UNIX_EPOCH), ..stored };
        assert_eq!(key().verify(Some(&revoked)).err(), Some(KeyRefusal::Revoked));
    }

    #[test]
    fn a_presented_consumer_key_has_the_digest_of_the_generated_one() {
        let key = ConsumerKey::generate([3; 16]);
        assert_eq!(ConsumerKey::digest_of_presented(key.expose().as_bytes()), Some(key.digest()));
        assert_eq!(ConsumerKey::parse(key.expose()).unwrap().digest(), key.digest());
    }
}
