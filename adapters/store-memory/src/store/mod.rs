//! All storage ports over one value behind one lock: each method is one step, so each is a transaction.

mod accounts;
mod audit;
mod config;
mod configs;
mod keys;
mod nodes;
mod posts;
mod telemetry;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use novagate_access::{EmailKey, GatewayKeyRecord, KeyDigest, TenantScope};
use novagate_kernel::{Digest, NodeId, TenantId, Timestamp};
use novagate_ports_base::{FaultKind, PortError};
use novagate_ports_control::outbound::{Account, NodeRecord, PostClaim};
use novagate_records::AuditRecord;

use self::{config::Config, posts::Post, telemetry::Telemetry};

/// Every store of the control plane, in memory. Clones are the same store.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    tenants: HashMap<TenantId, Tenant>,
    /// Registrations whose address is not proven.
    waiting: HashMap<EmailKey, Waiting>,
}

/// A provisioned tenant.
#[derive(Debug)]
struct Tenant {
    account: Account,
    reset: Option<Link>,
    keys: Vec<GatewayKeyRecord>,
    config: Config,
    nodes: HashMap<NodeId, NodeRecord>,
    telemetry: Telemetry,
    /// In the order they were written.
    audit: Vec<AuditRecord>,
    posts: HashMap<Digest, Post>,
    /// The POST that made it.
    claim: Option<PostClaim>,
}

#[derive(Debug)]
struct Waiting {
    account: Account,
    link: Link,
}

/// A link that was sent by mail.
#[derive(Debug)]
struct Link {
    digest: KeyDigest,
    expires_at: Timestamp,
}

/// The tenant was erased, or never was.
#[derive(Debug, thiserror::Error)]
#[error("the tenant is gone")]
struct Gone;

impl Link {
    fn is(&self, digest: &KeyDigest) -> bool {
        self.digest.matches(digest)
    }

    fn is_alive(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

impl MemoryStore {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in the middle of a step is a defect that has been reported; the data is as good as it gets.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with a tenant's data; `None` when the tenant is gone.
    fn with<T>(&self, scope: &TenantScope, work: impl FnOnce(&mut Tenant) -> T) -> Option<T> {
        self.state().tenants.get_mut(&scope.tenant()).map(work)
    }

    /// The same, where a tenant that is gone is a failure.
    fn with_living<T>(
        &self,
        op: &'static str,
        scope: &TenantScope,
        work: impl FnOnce(&mut Tenant) -> T,
    ) -> Result<T, PortError> {
        self.with(scope, work).ok_or_else(|| PortError::new(op, FaultKind::Conflict, Gone))
    }
}
