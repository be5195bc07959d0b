//! Gateway keys.

use async_trait::async_trait;
use novagate_access::{GatewayKeyRecord, KeyDigest, TenantScope};
use novagate_kernel::{GatewayKeyId, Timestamp};
use novagate_ports_base::{FaultKind, PortError};
use novagate_ports_control::outbound::{GatewayKeyStore, Inserted, KeyRevocation};
use novagate_records::AuditRecord;

use super::{Gone, MemoryStore, State};

impl State {
    fn gateway_keys(&self) -> impl Iterator<Item = &GatewayKeyRecord> {
        self.tenants.values().flat_map(|tenant| &tenant.keys)
    }
}

#[async_trait]
impl GatewayKeyStore for MemoryStore {
    async fn find_key(&self, digest: &KeyDigest) -> Result<Option<GatewayKeyRecord>, PortError> {
        Ok(self.state().gateway_keys().find(|key| key.digest.matches(digest)).cloned())
    }

    async fn keys(&self, scope: &TenantScope) -> Result<Vec<GatewayKeyRecord>, PortError> {
        let mut keys = self.with(scope, |tenant| tenant.keys.clone()).unwrap_or_default();
        keys.sort_by_key(|key| (key.created_at, key.id));
        Ok(keys)
    }

    async fn insert_key(
        &self,
        scope: &TenantScope,
        key: &GatewayKeyRecord,
        audit: &AuditRecord,
    ) -> Result<Inserted, PortError> {
        let mut state = self.state();
        let known = state.gateway_keys().any(|known| known.id == key.id || known.digest.matches(&key.digest));
        let tenant = state.tenants.get_mut(&scope.tenant());
        let tenant = tenant.ok_or_else(|| PortError::new("store.insert_key", FaultKind::Conflict, Gone))?;
        if known {
            return Ok(Inserted::AlreadyThere);
        }
        tenant.keys.push(key.clone());
        tenant.audit.push(audit.clone());
        Ok(Inserted::New)
    }

    async fn revoke_key(
        &self,
        scope: &TenantScope,
        id: GatewayKeyId,
        at: Timestamp,
        audit: &AuditRecord,
    ) -> Result<KeyRevocation, PortError> {
        let revocation = self.with(scope, |tenant| {
            let Some(key) = tenant.keys.iter_mut().find(|key| key.id == id) else { return KeyRevocation::Unknown };
            if key.revoked_at.is_some() {
                return KeyRevocation::AlreadyRevoked(key.clone());
            }
            key.revoked_at = Some(at);
            tenant.audit.push(audit.clone());
            KeyRevocation::Revoked(key.clone())
        });
        Ok(revocation.unwrap_or(KeyRevocation::Unknown))
    }
}
