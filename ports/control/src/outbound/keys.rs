//! Gateway keys.

use async_trait::async_trait;
use novagate_access::{GatewayKeyRecord, KeyDigest, TenantScope};
use novagate_kernel::{GatewayKeyId, Timestamp};
use novagate_ports_base::PortError;
use novagate_records::AuditRecord;

use super::Inserted;

/// The outcome of revoking a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRevocation {
    /// It worked until now.
    Revoked(GatewayKeyRecord),
    /// It had been revoked before; its time is unchanged.
    AlreadyRevoked(GatewayKeyRecord),
    /// The tenant has no such key.
    Unknown,
}

/// Gateway keys. Contract: another tenant's key is never seen through a scope; a revoked key stays listed; `find` sees a
/// committed revocation at once.
#[async_trait]
pub trait GatewayKeyStore: Send + Sync + 'static {
    /// The key with this digest, of whatever tenant: the first step of authenticating a gateway.
    async fn find_key(&self, digest: &KeyDigest) -> Result<Option<GatewayKeyRecord>, PortError>;

    /// The tenant's keys, oldest first (at most 100 exist).
    async fn keys(&self, scope: &TenantScope) -> Result<Vec<GatewayKeyRecord>, PortError>;

    /// Adds a key. A known id or digest changes nothing.
    async fn insert_key(
        &self,
        scope: &TenantScope,
        key: &GatewayKeyRecord,
        audit: &AuditRecord,
    ) -> Result<Inserted, PortError>;

    /// Revokes a key.
    async fn revoke_key(
        &self,
        scope: &TenantScope,
        id: GatewayKeyId,
        at: Timestamp,
        audit: &AuditRecord,
    ) -> Result<KeyRevocation, PortError>;
}
