//! Editing a configuration.

use async_trait::async_trait;
use novagate_access::{ConsumerKey, TenantScope};
use novagate_kernel::{ConsumerId, Head, Name, ObjectKind, ObjectRef, Timestamp};
use novagate_policies::ConfigObject;

use super::{NodeReceipt, Refusal};
use crate::{
    Page, PageRequest,
    outbound::{RevisionChangeOp, RevisionRecord},
};

/// A config object with its place in history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectView {
    /// The object.
    pub object: ConfigObject,
    /// The sequence number that last changed it: its version, for [`Precondition::Unchanged`].
    pub seq: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What must hold for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing: the last write wins.
    None,
    /// The object is still at this version (its [`ObjectView::seq`]).
    Unchanged(u64),
    /// There is no such object: the write creates it.
    Absent,
}

/// A write that succeeded.
#[derive(Debug, Clone)]
pub struct Written {
    /// The object as it is.
    pub view: ObjectView,
    /// The tenant's head: newer than before, unless the write changed nothing.
    pub head: Head,
    /// Whether the object is new.
    pub created: bool,
}

/// A consumer key at the only moment its plaintext exists.
#[derive(Debug)]
pub struct NewConsumerKey {
    /// What is stored.
    pub view: ObjectView,
    /// The plaintext.
    pub key: ConsumerKey,
    /// The tenant's head.
    pub head: Head,
}

/// One line of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffEntry {
    /// What would happen or has happened.
    pub op: RevisionChangeOp,
    /// The kind.
    pub kind: ObjectKind,
    /// The name; keys have none.
    pub name: Option<Name>,
    /// The object before; `None` when created.
    pub before: Option<ConfigObject>,
    /// The object after; `None` when deleted.
    pub after: Option<ConfigObject>,
}

/// The outcome of putting a whole configuration, or of trying to.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The head afterwards; of a dry run: the present one.
    pub head: Head,
    /// The differences, in compile order; empty: nothing changed and no revision was made.
    pub diff: Vec<DiffEntry>,
    /// Remarks that refuse nothing: routes that can never be reached.
    pub warnings: Vec<String>,
}

/// A revision with its receipts.
#[derive(Debug, Clone)]
pub struct RevisionView {
    /// The revision.
    pub record: RevisionRecord,
    /// Where it is, node by node.
    pub receipts: Vec<NodeReceipt>,
}

/// Editing. Every write is checked as a whole configuration first: a revision that is published compiles. Drafts carry the
/// id that the caller wants; `create` replaces it by a fresh one.
#[async_trait]
pub trait ConfigAdmin: Send + Sync + 'static {
    /// One object.
    async fn get(&self, scope: &TenantScope, object: ObjectRef) -> Result<ObjectView, Refusal>;

    /// Objects of a kind, by creation; keys of one consumer with `parent`.
    async fn list(
        &self,
        scope: &TenantScope,
        kind: ObjectKind,
        parent: Option<ObjectRef>,
        page: &PageRequest,
    ) -> Result<Page<ObjectView>, Refusal>;

    /// Creates a service, route or consumer.
    async fn create(&self, scope: &TenantScope, draft: ConfigObject) -> Result<Written, Refusal>;

    /// Replaces an object, or creates it with [`Precondition::Absent`]. A renamed service takes its routes along.
    async fn replace(
        &self,
        scope: &TenantScope,
        draft: ConfigObject,
        precondition: Precondition,
    ) -> Result<Written, Refusal>;

    /// Deletes an object; a consumer takes its keys along. A service with routes is `IN_USE`.
    async fn delete(&self, scope: &TenantScope, object: ObjectRef, precondition: Precondition)
    -> Result<Head, Refusal>;

    /// Makes a consumer key.
    async fn create_consumer_key(&self, scope: &TenantScope, consumer: ConsumerId) -> Result<NewConsumerKey, Refusal>;

    /// The whole configuration, keys included, in compile order.
    async fn export(&self, scope: &TenantScope) -> Result<(Head, Vec<ObjectView>), Refusal>;

    /// Puts a whole configuration of services, routes and consumers: matched by name, ids and consumer keys kept, what is
    /// missing deleted. A dry run only tells the difference.
    async fn apply(
        &self,
        scope: &TenantScope,
        drafts: Vec<ConfigObject>,
        precondition: Option<Head>,
        dry_run: bool,
    ) -> Result<Applied, Refusal>;

    /// The present head.
    async fn head(&self, scope: &TenantScope) -> Result<Head, Refusal>;

    /// Revisions, newest first.
    async fn revisions(&self, scope: &TenantScope, page: &PageRequest) -> Result<Page<RevisionRecord>, Refusal>;

    /// One revision, and who serves it.
    async fn revision(&self, scope: &TenantScope, seq: u64) -> Result<RevisionView, Refusal>;

    /// Publishes the content of an earlier revision as a new one. Consumer keys revoked since stay revoked.
    async fn rollback(&self, scope: &TenantScope, seq: u64) -> Result<Applied, Refusal>;
}
