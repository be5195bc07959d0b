//! The port of configurations.

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{Epoch, Head, ObjectKind, ObjectRef, Revision};
use novagate_ports_base::PortError;
use novagate_ports_control::{
    Page, PageRequest,
    outbound::{Commit, ConfigChanges, ConfigStore, Edit, PendingUpdate, RevisionRecord, StoredObject},
};

use super::MemoryStore;
use crate::page::{Direction, Position, check, page_of};

const fn nothing<T>() -> Page<T> {
    Page { items: Vec::new(), next: None }
}

#[async_trait]
impl ConfigStore for MemoryStore {
    async fn head(&self, scope: &TenantScope) -> Result<Option<Head>, PortError> {
        Ok(self.with(scope, |tenant| tenant.config.head()))
    }

    async fn load(&self, scope: &TenantScope) -> Result<Option<(Head, Vec<StoredObject>)>, PortError> {
        Ok(self.with(scope, |tenant| (tenant.config.head(), tenant.config.objects().values().cloned().collect())))
    }

    async fn find(&self, scope: &TenantScope, object: ObjectRef) -> Result<Option<StoredObject>, PortError> {
        Ok(self.with(scope, |tenant| tenant.config.objects().get(&object).cloned()).flatten())
    }

    async fn list(
        &self,
        scope: &TenantScope,
        kind: ObjectKind,
        parent: Option<ObjectRef>,
        page: &PageRequest,
    ) -> Result<Page<StoredObject>, PortError> {
        const OP: &str = "store.list";
        check(OP, page)?;
        let position = |object: &StoredObject| Position::of(object.created_at, object.reference.id.as_u128());
        let wanted =
            |object: &&StoredObject| object.reference.kind == kind && (parent.is_none() || object.parent == parent);
        let found = self.with(scope, |tenant| {
            let objects = tenant.config.objects().values().filter(wanted);
            page_of(OP, objects, Direction::Ascending, position, page)
        });
        found.unwrap_or(Ok(nothing()))
    }

    async fn commit(&self, scope: &TenantScope, edit: &Edit) -> Result<Commit, PortError> {
        self.with_living("store.commit", scope, |tenant| {
            let outcome = tenant.config.commit(edit)?;
            if matches!(outcome, Commit::Committed(_)) {
                tenant.audit.extend(edit.audit.iter().cloned());
            }
            Ok(outcome)
        })?
    }

    async fn changes_since(&self, scope: &TenantScope, from: Revision) -> Result<Option<ConfigChanges>, PortError> {
        Ok(self.with(scope, |tenant| tenant.config.changes_since(from)).flatten())
    }

    async fn load_at(&self, scope: &TenantScope, seq: u64) -> Result<Option<Vec<StoredObject>>, PortError> {
        let load = |objects: Vec<&StoredObject>| objects.into_iter().cloned().collect();
        Ok(self.with(scope, |tenant| tenant.config.objects_at(seq).map(load)).flatten())
    }

    async fn revisions(&self, scope: &TenantScope, page: &PageRequest) -> Result<Page<RevisionRecord>, PortError> {
        const OP: &str = "store.revisions";
        check(OP, page)?;
        let position = |record: &RevisionRecord| Position::of_id(u128::from(record.head.revision.seq));
        let found = self
            .with(scope, |tenant| page_of(OP, tenant.config.revisions().iter(), Direction::Descending, position, page));
        found.unwrap_or(Ok(nothing()))
    }

    async fn revision(&self, scope: &TenantScope, seq: u64) -> Result<Option<RevisionRecord>, PortError> {
        Ok(self.with(scope, |tenant| tenant.config.revision(seq).cloned()).flatten())
    }

    async fn renew_epoch(&self, scope: &TenantScope, expected: Epoch, next: Epoch) -> Result<bool, PortError> {
        Ok(self.with(scope, |tenant| tenant.config.renew_epoch(expected, next)).unwrap_or(false))
    }

    async fn pending(&self, page: &PageRequest) -> Result<Page<PendingUpdate>, PortError> {
        let state = self.state();
        let of_tenant = |(&id, tenant): (_, &super::Tenant)| tenant.config.pending(id);
        let standing: Vec<PendingUpdate> = state.tenants.iter().filter_map(of_tenant).collect();
        let position = |update: &PendingUpdate| Position::of_id(update.tenant.as_u128());
        page_of("store.pending", standing.iter(), Direction::Ascending, position, page)
    }

    async fn settle(&self, scope: &TenantScope, revision: Revision) -> Result<(), PortError> {
        self.with(scope, |tenant| tenant.config.settle(revision));
        Ok(())
    }
}
