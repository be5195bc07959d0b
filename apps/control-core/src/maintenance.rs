//! Work over all tenants: retention, and what operators do on the command line.

use std::collections::BTreeMap;
use std::time::Duration;

use novagate_access::{EmailAddress, Password, TenantScope};
use novagate_kernel::{Epoch, Head, Revision, TenantId};
use novagate_ports_base::PortError;
use novagate_ports_control::{
    PageRequest,
    inbound::{CreatedTenant, Refusal},
    outbound::{TenantState, Wake},
};
use novagate_records::{Actor, AuditAction, AuditRecord};

use crate::{
    Control,
    accounts::{Asked, busy},
};

/// Tenants per step of a walk over all of them.
const STEP: u16 = 100;

impl Control {
    /// Removes telemetry older than `keep` of every tenant; answers how many rows went. One tenant's trouble does not keep
    /// the others from their turn.
    pub async fn prune_telemetry(&self, keep: Duration) -> Result<u64, PortError> {
        let before = self.deps.clock.now().minus(keep);
        let mut removed = 0;
        for tenant in self.all_tenants().await? {
            match self.deps.telemetry.prune(&TenantScope::for_maintenance(tenant), before).await {
                Ok(rows) => removed += rows,
                Err(error) => {
                    tracing::warn!(%tenant, error = %error, cause = %error.source, "telemetry was not pruned");
                }
            }
        }
        Ok(removed)
    }

    /// Forgets gateways that have given no sign of life for `silence`; answers how many. One that comes back is known again
    /// with its hello.
    pub async fn forget_silent_nodes(&self, silence: Duration) -> Result<u64, PortError> {
        let mut forgotten = 0;
        for tenant in self.all_tenants().await? {
            match self.forget_silent_nodes_of(&TenantScope::for_maintenance(tenant), silence).await {
                Ok(nodes) => forgotten += nodes,
                Err(error) => {
                    tracing::warn!(%tenant, error = %error, cause = %error.source, "nodes were not forgotten");
                }
            }
        }
        Ok(forgotten)
    }

    async fn forget_silent_nodes_of(&self, scope: &TenantScope, silence: Duration) -> Result<u64, PortError> {
        let beats: BTreeMap<_, _> = self.deps.presence.online(scope).await?.into_iter().collect();
        let now = self.deps.clock.now();
        let mut forgotten = 0;
        for record in self.deps.nodes.nodes(scope).await? {
            let heard = beats.get(&record.node).copied().unwrap_or(record.last_seen).max(record.last_seen);
            if now.since(heard) < silence {
                continue;
            }
            let entry = self.audit_entry(Actor::System, AuditAction::NodeForgotten);
            let entry = AuditRecord { subject: Some(record.node.as_uuid()), ..entry };
            forgotten += u64::from(self.deps.nodes.forget(scope, record.node, &entry).await?);
        }
        if forgotten > 0 {
            self.settle_if_confirmed(scope).await?;
        }
        Ok(forgotten)
    }

    /// All provisioned tenants.
    pub async fn all_tenants(&self) -> Result<Vec<TenantId>, PortError> {
        let mut page = PageRequest::first(STEP);
        let mut tenants = Vec::new();
        loop {
            let found = self.deps.tenants.tenants(&page).await?;
            tenants.extend(found.items);
            match found.next {
                Some(next) => page.after = Some(next),
                None => return Ok(tenants),
            }
        }
    }

    /// Creates a tenant for an operator, whatever the registration mode.
    pub async fn create_tenant_as_operator(
        &self,
        name: String,
        email: EmailAddress,
        password: Password,
    ) -> Result<CreatedTenant, Refusal> {
        crate::accounts::check_name(&name)?;
        let hash = self.deps.hasher.hash(password).await.map_err(busy)?;
        let asked = Asked { name, email: email.key(), password: hash, actor: Actor::Operator, claim: None };
        self.create_tenant(self.new_tenant_id(), asked).await
    }

    /// Suspends or reactivates a tenant; its sessions end. Gateways go on serving. `false`: there is no such tenant.
    pub async fn set_tenant_state(&self, tenant: TenantId, state: TenantState) -> Result<bool, PortError> {
        let scope = TenantScope::for_maintenance(tenant);
        let known = self.deps.tenants.set_state(&scope, state, self.deps.clock.now()).await?;
        if known && state == TenantState::Suspended {
            self.deltas.forget(tenant);
            self.wake(&Wake::TenantClosed { tenant }).await;
        }
        Ok(known)
    }

    /// Draws a new epoch for a tenant, as after a restore from backup: every gateway gets a snapshot. `false`: there is no
    /// such tenant.
    pub async fn renew_epoch(&self, tenant: TenantId) -> Result<bool, PortError> {
        let scope = TenantScope::for_maintenance(tenant);
        let Some(head) = self.deps.configs.head(&scope).await? else { return Ok(false) };
        let next = Epoch::from_entropy(self.deps.entropy.bytes());
        let renewed = self.deps.configs.renew_epoch(&scope, head.revision.epoch, next).await?;
        self.cache.forget(tenant);
        self.deltas.forget(tenant);
        if renewed {
            let head = Head { revision: Revision { epoch: next, ..head.revision }, ..head };
            self.wake(&Wake::Config { tenant, head }).await;
        }
        Ok(renewed)
    }
}
