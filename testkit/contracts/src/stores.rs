//! What the suites of stores share: a store of one's own with tenants in it.

use std::future::Future;
use std::time::Duration;

use novagate_access::TenantScope;
use novagate_fixtures::{ConfigModel, Mint, START, audit_entry, new_tenant};
use novagate_kernel::{Head, Timestamp};
use novagate_ports_base::FaultKind;
use novagate_ports_control::{
    PageRequest,
    outbound::{
        AuditStore, Commit, ConfigStore, Edit, GatewayKeyStore, IdempotencyStore, Inserted, NewTenant, NodeStore,
        TelemetryStore, TenantStore,
    },
};
use novagate_records::{AuditAction, AuditRecord};

/// One store that answers every storage port of the control plane.
pub trait Stores:
    TenantStore + GatewayKeyStore + ConfigStore + NodeStore + TelemetryStore + AuditStore + IdempotencyStore
{
}

impl<T> Stores for T where
    T: TenantStore + GatewayKeyStore + ConfigStore + NodeStore + TelemetryStore + AuditStore + IdempotencyStore
{
}

/// A store for one case, with nothing in it.
pub trait StoreFixture: Sized + Send + Sync {
    /// The store.
    type Store: Stores;

    /// An empty store that no other case knows.
    fn fresh() -> impl Future<Output = Self> + Send;

    /// The store.
    fn store(&self) -> &Self::Store;

    /// Decides which ids a case makes. Where cases share something that is named by ids, each needs others.
    fn seed(&self) -> u64 {
        0x6e6f_7661
    }

    /// The same data after the end of the process: the store is dropped without any farewell and opened again. `None` when
    /// it does not outlive its process.
    fn reopened(self) -> impl Future<Output = Option<Self>> + Send;
}

/// A store and a mint for what goes into it.
pub(crate) struct World<F> {
    fixture: F,
    pub(crate) mint: Mint,
}

/// A provisioned tenant.
pub(crate) struct Tenant {
    pub(crate) scope: TenantScope,
    pub(crate) fresh: NewTenant,
    pub(crate) model: ConfigModel,
}

impl<F: StoreFixture> World<F> {
    pub(crate) async fn fresh() -> Self {
        let fixture = F::fresh().await;
        let mint = Mint::new(fixture.seed());
        Self { fixture, mint }
    }

    pub(crate) fn store(&self) -> &F::Store {
        self.fixture.store()
    }

    pub(crate) async fn reopened(self) -> Option<Self> {
        let mint = self.mint;
        self.fixture.reopened().await.map(|fixture| Self { fixture, mint })
    }

    /// Provisions a tenant at [`START`].
    pub(crate) async fn tenant(&self) -> Tenant {
        let (scope, fresh) = new_tenant(&self.mint, START);
        assert_eq!(self.store().provision(&scope, &fresh).await.unwrap(), Inserted::New);
        let model = ConfigModel::empty(fresh.head);
        Tenant { scope, fresh, model }
    }

    /// The right to touch a tenant that does not exist.
    pub(crate) fn nobody(&self) -> TenantScope {
        TenantScope::for_maintenance(self.mint.tenant())
    }

    pub(crate) fn audit(&self, action: AuditAction) -> AuditRecord {
        self.audit_at(action, after(1))
    }

    pub(crate) fn audit_at(&self, action: AuditAction, at: Timestamp) -> AuditRecord {
        audit_entry(&self.mint, action, at)
    }

    /// Commits an edit that must succeed and keeps the tenant's model in step.
    pub(crate) async fn commit(&self, tenant: &mut Tenant, edit: &Edit) -> Head {
        let committed = self.store().commit(&tenant.scope, edit).await.unwrap();
        assert_eq!(committed, Commit::Committed(edit.next));
        tenant.model.apply(edit);
        edit.next
    }

    /// The newest audit entries of a tenant.
    pub(crate) async fn audit_of(&self, scope: &TenantScope) -> Vec<AuditRecord> {
        AuditStore::audit(self.store(), scope, &PageRequest::first(100)).await.unwrap().items
    }
}

/// So many seconds after [`START`].
pub(crate) fn after(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

/// The smallest difference between two times.
pub(crate) const MICROSECOND: Duration = Duration::from_micros(1);

/// That a call failed, and as what.
#[track_caller]
pub(crate) fn assert_fault<T: std::fmt::Debug>(
    outcome: Result<T, novagate_ports_base::PortError>,
    expected: FaultKind,
) {
    assert_eq!(outcome.expect_err("a failure").kind, expected);
}
