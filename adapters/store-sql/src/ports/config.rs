//! Configuration and its history.

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{Epoch, Head, ObjectKind, ObjectRef, Revision, RouteId, Timestamp};
use novagate_policies::ConfigObject;
use novagate_ports_base::PortError;
use novagate_ports_control::outbound::{
    Commit, ConfigChanges, ConfigStore, Edit, PendingUpdate, RevisionRecord, StoredObject,
};
use novagate_ports_control::{Page, PageRequest};

use crate::error::StoreError;
use crate::placement::{Mode, TenantTx};
use crate::store::SqlStore;
use crate::tenant::commit::Targets;
use crate::{platform, tenant};

#[async_trait]
impl ConfigStore for SqlStore {
    async fn head(&self, scope: &TenantScope) -> Result<Option<Head>, PortError> {
        self.call("store.head", scope, || async {
            let Some(tx) = self.begin_in(scope, Mode::Read).await? else { return Ok(None) };
            let head = tenant::head::read(&tx).await?;
            tx.end().await?;
            Ok(head)
        })
        .await
    }

    async fn load(&self, scope: &TenantScope) -> Result<Option<(Head, Vec<StoredObject>)>, PortError> {
        self.call("store.load", scope, || async {
            let Some(tx) = self.begin_in(scope, Mode::Read).await? else { return Ok(None) };
            let Some(head) = tenant::head::read(&tx).await? else { return Ok(None) };
            let objects = tenant::objects::load(&tx).await?;
            tx.end().await?;
            Ok(Some((head, objects)))
        })
        .await
    }

    async fn find(&self, scope: &TenantScope, object: ObjectRef) -> Result<Option<StoredObject>, PortError> {
        self.call("store.find", scope, || async {
            let Some(tx) = self.begin_in(scope, Mode::Read).await? else { return Ok(None) };
            let found = tenant::objects::find(&tx, object).await?;
            tx.end().await?;
            Ok(found)
        })
        .await
    }

    async fn list(
        &self,
        scope: &TenantScope,
        kind: ObjectKind,
        parent: Option<ObjectRef>,
        page: &PageRequest,
    ) -> Result<Page<StoredObject>, PortError> {
        self.call("store.list", scope, || async {
            let Some(tx) = self.begin_in(scope, Mode::Read).await? else {
                return Ok(Page { items: Vec::new(), next: None });
            };
            let found = tenant::objects::list(&tx, kind, parent, page).await?;
            tx.end().await?;
            Ok(found)
        })
        .await
    }

    async fn commit(&self, scope: &TenantScope, edit: &Edit) -> Result<Commit, PortError> {
        self.call("store.commit", scope, || async {
            if edit.next.revision != edit.base.revision.next() {
                return Err(StoreError::Misuse("an edit does not lead to the next revision"));
            }
            let targets = self.targets(edit);
            let tx = self.edit_in(scope, edit.next, edit.at).await?.ok_or(StoreError::Gone)?;
            if !tenant::head::replace(&tx, edit.base, edit.next).await? {
                let head = tenant::head::read(&tx).await?.ok_or(StoreError::Gone)?;
                tx.end().await?;
                return Ok(Commit::Moved(head));
            }
            tenant::commit::write(&tx, edit, &targets).await?;
            tx.commit().await?;
            self.note_head(scope, edit.next, edit.at).await;
            Ok(Commit::Committed(edit.next))
        })
        .await
    }

    async fn changes_since(&self, scope: &TenantScope, from: Revision) -> Result<Option<ConfigChanges>, PortError> {
        self.call("store.changes_since", scope, || async {
            let Some(tx) = self.begin_in(scope, Mode::Read).await? else { return Ok(None) };
            let found = changes_since(&tx, from).await?;
            tx.end().await?;
            Ok(found)
        })
        .await
    }

    async fn load_at(&self, scope: &TenantScope, seq: u64) -> Result<Option<Vec<StoredObject>>, PortError> {
        self.call("store.load_at", scope, || async {
            let Some(tx) = self.begin_in(scope, Mode::Read).await? else { return Ok(None) };
            let found = match kept(&tx, seq).await? {
                Some(_) => Some(tenant::history::at(&tx, seq).await?),
                None => None,
            };
            tx.end().await?;
            Ok(found)
        })
        .await
    }

    async fn revisions(&self, scope: &TenantScope, page: &PageRequest) -> Result<Page<RevisionRecord>, PortError> {
        self.call("store.revisions", scope, || async {
            let Some(tx) = self.begin_in(scope, Mode::Read).await? else {
                return Ok(Page { items: Vec::new(), next: None });
            };
            let found = tenant::revisions::list(&tx, page).await?;
            tx.end().await?;
            Ok(found)
        })
        .await
    }

    async fn revision(&self, scope: &TenantScope, seq: u64) -> Result<Option<RevisionRecord>, PortError> {
        self.call("store.revision", scope, || async {
            let Some(tx) = self.begin_in(scope, Mode::Read).await? else { return Ok(None) };
            let found = kept(&tx, seq).await?;
            tx.end().await?;
            Ok(found)
        })
        .await
    }

    async fn renew_epoch(&self, scope: &TenantScope, expected: Epoch, next: Epoch) -> Result<bool, PortError> {
        self.call("store.renew_epoch", scope, || async {
            // An edit beside this one moves the head within its epoch: then there is another head to renew.
            loop {
                let Some((before, at)) = self.newest(scope).await? else { return Ok(false) };
                if before.revision.epoch != expected {
                    return Ok(false);
                }
                let after = Head { revision: Revision { epoch: next, ..before.revision }, ..before };
                if self.replace_head(scope, before, after, at).await? {
                    return Ok(true);
                }
            }
        })
        .await
    }

    async fn pending(&self, page: &PageRequest) -> Result<Page<PendingUpdate>, PortError> {
        self.call_platform("store.pending", || async {
            let tx = self.begin_platform(Mode::Read).await?;
            let found = platform::pending::list(&tx, page).await?;
            tx.end().await?;
            Ok(found)
        })
        .await
    }

    async fn settle(&self, scope: &TenantScope, revision: Revision) -> Result<(), PortError> {
        self.call_platform("store.settle", || async {
            let tx = self.begin_platform(Mode::Derive).await?;
            platform::pending::settle(&tx, scope.tenant(), revision).await?;
            Ok(tx.commit().await?)
        })
        .await
    }
}

impl SqlStore {
    /// Which services the routes of an edit forward to, of several the first. A body that this version cannot read forwards nowhere it knows.
    fn targets(&self, edit: &Edit) -> Targets {
        let routes = edit.upserts.iter().filter(|write| write.reference.kind == ObjectKind::Route);
        let target = |write: &novagate_ports_control::outbound::ObjectWrite| match self.codec().decode(
            write.reference.kind,
            write.reference.id,
            &write.body,
        ) {
            Ok(ConfigObject::Route(config)) => {
                let service = config.route.action.services().next()?.clone();
                Some((RouteId::from_uuid(write.reference.id), service))
            }
            Ok(ConfigObject::Service(_) | ConfigObject::Consumer(_) | ConfigObject::ConsumerKey(_)) | Err(_) => None,
        };
        routes.filter_map(target).collect()
    }

    /// The head, and when it was made.
    async fn newest(&self, scope: &TenantScope) -> Result<Option<(Head, Timestamp)>, StoreError> {
        let Some(tx) = self.begin_in(scope, Mode::Read).await? else { return Ok(None) };
        let newest = match tenant::head::read(&tx).await? {
            Some(head) => {
                let made = tenant::revisions::find(&tx, head.revision.seq).await?;
                Some((head, made.map_or(Timestamp::UNIX_EPOCH, |record| record.at)))
            }
            None => None,
        };
        tx.end().await?;
        Ok(newest)
    }

    /// Gives the newest revision another epoch; `false` when it is not the newest one any more.
    async fn replace_head(
        &self,
        scope: &TenantScope,
        before: Head,
        after: Head,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(tx) = self.edit_in(scope, after, at).await? else { return Ok(false) };
        if !tenant::head::replace(&tx, before, after).await? {
            tx.end().await?;
            return Ok(false);
        }
        tenant::revisions::renew_epoch(&tx, after.revision.seq, after.revision.epoch).await?;
        tx.commit().await?;
        self.note_head(scope, after, at).await;
        Ok(true)
    }

    /// The commit is durable; what is derived from it is healed when the store is opened, should this fail.
    async fn note_head(&self, scope: &TenantScope, head: Head, at: Timestamp) {
        if let Err(error) = self.placement().note_head(scope, head, at).await {
            tracing::warn!(error = %error.0, tenant = %scope.tenant(), "a pending update was not noted");
        }
    }
}

/// A revision, if it belongs to the present epoch.
async fn kept(tx: &TenantTx, seq: u64) -> Result<Option<RevisionRecord>, StoreError> {
    let Some(head) = tenant::head::read(tx).await? else { return Ok(None) };
    let record = tenant::revisions::find(tx, seq).await?;
    Ok(record.filter(|record| record.head.revision.epoch == head.revision.epoch))
}

async fn changes_since(tx: &TenantTx, from: Revision) -> Result<Option<ConfigChanges>, StoreError> {
    let Some(head) = tenant::head::read(tx).await? else { return Ok(None) };
    if from.epoch != head.revision.epoch || kept(tx, from.seq).await?.is_none() {
        return Ok(None);
    }
    let difference = tenant::history::since(tx, from.seq).await?;
    Ok(Some(ConfigChanges { head, upserts: difference.upserts, deletes: difference.deletes }))
}
