//! A tenant's configuration and its history.

use async_trait::async_trait;
use bytes::Bytes;
use novagate_access::TenantScope;
use novagate_kernel::{Digest, Epoch, Head, Name, ObjectKind, ObjectRef, Revision, TenantId, Timestamp};
use novagate_ports_base::PortError;
use novagate_records::{Actor, AuditRecord};

use crate::{Page, PageRequest};

/// A config object as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Kind and id.
    pub reference: ObjectRef,
    /// Its name; keys have none.
    pub name: Option<Name>,
    /// What it belongs to: a key's consumer.
    pub parent: Option<ObjectRef>,
    /// The canonical body, exactly as written.
    pub body: Bytes,
    /// SHA-256 of the body.
    pub digest: Digest,
    /// The sequence number that last changed it.
    pub seq: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// An object to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectWrite {
    /// Kind and id.
    pub reference: ObjectRef,
    /// Its name; keys have none.
    pub name: Option<Name>,
    /// What it belongs to.
    pub parent: Option<ObjectRef>,
    /// The canonical body.
    pub body: Bytes,
    /// SHA-256 of the body.
    pub digest: Digest,
}

/// One atomic change of a tenant's configuration.
#[derive(Debug, Clone)]
pub struct Edit {
    /// The head the change was worked out against.
    pub base: Head,
    /// The head it leads to: the same epoch, `seq + 1`.
    pub next: Head,
    /// How it came about.
    pub kind: RevisionKind,
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// New and changed objects; at most one per reference.
    pub upserts: Vec<ObjectWrite>,
    /// Objects that go; each exists in `base`.
    pub deletes: Vec<ObjectRef>,
    /// Entries for the audit log, written in the same transaction.
    pub audit: Vec<AuditRecord>,
}

/// How a revision came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevisionKind {
    /// The empty configuration of a new tenant.
    Initial,
    /// One object was edited.
    Edit,
    /// The whole configuration was put.
    Apply,
    /// The content of an earlier revision was put back.
    Rollback {
        /// Which one.
        to: u64,
    },
}

/// The outcome of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// The edit is durable; this is the new head.
    Committed(Head),
    /// Somebody else committed first; nothing was done. This is the present head.
    Moved(Head),
}

/// What happened to one object in a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevisionChangeOp {
    /// It came into being.
    Created,
    /// Its body changed.
    Updated,
    /// It went.
    Deleted,
}

/// One line of a revision's change list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionChange {
    /// Which object.
    pub object: ObjectRef,
    /// Its name, if it has one.
    pub name: Option<Name>,
    /// What happened.
    pub op: RevisionChangeOp,
}

/// One revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionRecord {
    /// Which, with which content.
    pub head: Head,
    /// How it came about.
    pub kind: RevisionKind,
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// What changed, in compile order.
    pub changes: Vec<RevisionChange>,
}

/// The net difference from an earlier revision to the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChanges {
    /// The head it leads to.
    pub head: Head,
    /// Objects that are new or different.
    pub upserts: Vec<StoredObject>,
    /// Objects that are gone.
    pub deletes: Vec<ObjectRef>,
}

/// A tenant whose newest revision is not confirmed by all its known nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingUpdate {
    /// Whose.
    pub tenant: TenantId,
    /// Which revision.
    pub revision: Revision,
    /// Since when.
    pub since: Timestamp,
}

/// A tenant's configuration. Contract, checked by `testkit/contracts`:
/// each method is one transaction; `commit` is atomic and durable, only succeeds from `base`, and writes objects, their
/// history, the revision, its audit entries and the pending update together; every read is of one consistent revision;
/// bodies come back byte for byte; names are unique per kind; nothing of another tenant is ever seen.
#[async_trait]
pub trait ConfigStore: Send + Sync + 'static {
    /// The newest revision; `None` when the tenant is gone.
    async fn head(&self, scope: &TenantScope) -> Result<Option<Head>, PortError>;

    /// The whole configuration with its head, in the order of [`ObjectRef`]; `None` when the tenant is gone.
    async fn load(&self, scope: &TenantScope) -> Result<Option<(Head, Vec<StoredObject>)>, PortError>;

    /// One object.
    async fn find(&self, scope: &TenantScope, object: ObjectRef) -> Result<Option<StoredObject>, PortError>;

    /// Objects of a kind, by creation time, then id; with a parent only that parent's.
    async fn list(
        &self,
        scope: &TenantScope,
        kind: ObjectKind,
        parent: Option<ObjectRef>,
        page: &PageRequest,
    ) -> Result<Page<StoredObject>, PortError>;

    /// Makes an edit.
    async fn commit(&self, scope: &TenantScope, edit: &Edit) -> Result<Commit, PortError>;

    /// The net difference from revision `from` to the head; `None` when `from` is not a revision of this epoch's kept
    /// history.
    async fn changes_since(&self, scope: &TenantScope, from: Revision) -> Result<Option<ConfigChanges>, PortError>;

    /// The objects as they were at revision `seq` of the present epoch; `None` when it is not kept.
    async fn load_at(&self, scope: &TenantScope, seq: u64) -> Result<Option<Vec<StoredObject>>, PortError>;

    /// Revisions, newest first.
    async fn revisions(&self, scope: &TenantScope, page: &PageRequest) -> Result<Page<RevisionRecord>, PortError>;

    /// One revision of the present epoch.
    async fn revision(&self, scope: &TenantScope, seq: u64) -> Result<Option<RevisionRecord>, PortError>;

    /// Draws a new epoch: replaces `expected` by `next` in the head and answers whether it did. Seq and content stay.
    async fn renew_epoch(&self, scope: &TenantScope, expected: Epoch, next: Epoch) -> Result<bool, PortError>;

    /// Tenants with unconfirmed revisions, for healing at start.
    async fn pending(&self, page: &PageRequest) -> Result<Page<PendingUpdate>, PortError>;

    /// All known nodes have confirmed up to `revision`: removes the pending update unless a newer one stands.
    async fn settle(&self, scope: &TenantScope, revision: Revision) -> Result<(), PortError>;
}
