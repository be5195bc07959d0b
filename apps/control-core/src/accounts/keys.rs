//! Gateway keys: several may be active, so that they rotate with overlap.

use novagate_access::{GatewayKey, GatewayKeyRecord, TenantScope};
use novagate_kernel::{ErrorCode, GatewayKeyId};
use novagate_ports_control::{
    inbound::{NewGatewayKey, Refusal},
    outbound::{Inserted, KeyRevocation, Wake},
};
use novagate_records::AuditAction;

use crate::Control;

/// Most keys of a tenant that are not revoked.
const MAX_ACTIVE_KEYS: u64 = 20;

impl Control {
    pub(super) async fn new_gateway_key(&self, scope: &TenantScope) -> Result<NewGatewayKey, Refusal> {
        let active = self.deps.keys.keys(scope).await?.iter().filter(|key| key.revoked_at.is_none()).count();
        if active as u64 >= MAX_ACTIVE_KEYS {
            return Err(Refusal::plan_limit("active gateway keys", MAX_ACTIVE_KEYS));
        }
        let key = GatewayKey::generate(scope.tenant(), self.deps.entropy.bytes());
        let record = GatewayKeyRecord {
            id: GatewayKeyId::from_entropy(self.deps.entropy.bytes()),
            tenant: scope.tenant(),
            digest: key.digest(),
            created_at: self.deps.clock.now(),
            revoked_at: None,
        };
        let audit = self.subject_audit(AuditAction::GatewayKeyCreated, record.id.as_uuid());
        match self.deps.keys.insert_key(scope, &record, &audit).await? {
            Inserted::New => Ok(NewGatewayKey { record, key }),
            Inserted::AlreadyThere => Err(Refusal::new(ErrorCode::Conflict, "try again")),
        }
    }

    pub(super) async fn end_gateway_key(&self, scope: &TenantScope, id: GatewayKeyId) -> Result<(), Refusal> {
        let at = self.deps.clock.now();
        let audit = self.subject_audit(AuditAction::GatewayKeyRevoked, id.as_uuid());
        match self.deps.keys.revoke_key(scope, id, at, &audit).await? {
            KeyRevocation::Revoked(_) | KeyRevocation::AlreadyRevoked(_) => {
                self.wake(&Wake::GatewayKeyRevoked { tenant: scope.tenant(), key: id }).await;
                Ok(())
            }
            KeyRevocation::Unknown => Err(Refusal::not_found()),
        }
    }
}
