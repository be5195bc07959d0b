//! Editing a configuration. Every write is one revision that compiles, or nothing.

mod cache;
mod change;
mod publish;

use async_trait::async_trait;
use novagate_access::{ConsumerKey, TenantScope};
use novagate_kernel::{ConsumerId, ConsumerKeyId, ErrorCode, Head, ObjectKind, ObjectRef};
use novagate_policies::{ConfigObject, ConsumerKeyGrant};
use novagate_ports_control::{
    Page, PageRequest,
    inbound::{Applied, ConfigAdmin, NewConsumerKey, ObjectView, Precondition, Refusal, RevisionView, Written},
    outbound::{RevisionKind, RevisionRecord, StoredObject},
};
use uuid::Uuid;

pub(crate) use self::cache::{ConfigCache, is_behind};
use self::{
    cache::{Current, decode_view},
    publish::{Pointers, Published, Purpose},
};
use crate::{Control, insight::page_fault};

/// Most keys of one consumer.
const MAX_KEYS_PER_CONSUMER: u64 = 100;

const EDIT: Purpose = Purpose { kind: RevisionKind::Edit, dry_run: false };

#[async_trait]
impl ConfigAdmin for Control {
    async fn get(&self, scope: &TenantScope, object: ObjectRef) -> Result<ObjectView, Refusal> {
        let stored = self.deps.configs.find(scope, object).await?.ok_or_else(Refusal::not_found)?;
        Ok(decode_view(self.deps.codec.as_ref(), &stored)?)
    }

    async fn list(
        &self,
        scope: &TenantScope,
        kind: ObjectKind,
        parent: Option<ObjectRef>,
        page: &PageRequest,
    ) -> Result<Page<ObjectView>, Refusal> {
        if let Some(parent) = parent {
            self.deps.configs.find(scope, parent).await?.ok_or_else(Refusal::not_found)?;
        }
        let page = self.deps.configs.list(scope, kind, parent, page).await.map_err(page_fault)?;
        Ok(Page { items: self.views(&page.items)?, next: page.next })
    }

    async fn create(&self, scope: &TenantScope, draft: ConfigObject) -> Result<Written, Refusal> {
        let draft = draft.with_id(self.fresh_id());
        let reference = draft.reference();
        let wish = |current: &Current| Ok((change::create(current, draft.clone())?, whole_body(reference)));
        written(&self.publish(scope, EDIT, wish).await?, reference)
    }

    async fn replace(
        &self,
        scope: &TenantScope,
        draft: ConfigObject,
        precondition: Precondition,
    ) -> Result<Written, Refusal> {
        let reference = draft.reference();
        let wish =
            |current: &Current| Ok((change::replace(current, draft.clone(), precondition)?, whole_body(reference)));
        written(&self.publish(scope, EDIT, wish).await?, reference)
    }

    async fn delete(
        &self,
        scope: &TenantScope,
        object: ObjectRef,
        precondition: Precondition,
    ) -> Result<Head, Refusal> {
        let wish = |current: &Current| Ok((change::delete(current, object, precondition)?, Pointers::new()));
        Ok(self.publish(scope, EDIT, wish).await?.current.head)
    }

    async fn create_consumer_key(&self, scope: &TenantScope, consumer: ConsumerId) -> Result<NewConsumerKey, Refusal> {
        let key = ConsumerKey::generate(self.deps.entropy.bytes());
        let id = ConsumerKeyId::from_entropy(self.deps.entropy.bytes());
        let grant = ConfigObject::ConsumerKey(ConsumerKeyGrant { id, consumer, digest: key.digest() });
        let wish = |current: &Current| {
            let parent = consumer.into();
            if !current.entries.contains_key(&parent) {
                return Err(Refusal::not_found());
            }
            let keys = current.of_kind(ObjectKind::ConsumerKey).filter(|entry| entry.stored.parent == Some(parent));
            if keys.count() as u64 >= MAX_KEYS_PER_CONSUMER {
                return Err(Refusal::plan_limit("keys per consumer", MAX_KEYS_PER_CONSUMER));
            }
            Ok((change::create(current, grant.clone())?, Pointers::new()))
        };
        let written = written(&self.publish(scope, EDIT, wish).await?, id.into())?;
        Ok(NewConsumerKey { view: written.view, key, head: written.head })
    }

    async fn export(&self, scope: &TenantScope) -> Result<(Head, Vec<ObjectView>), Refusal> {
        let current = self.current(scope).await?;
        Ok((current.head, current.entries.values().map(|entry| entry.view.clone()).collect()))
    }

    async fn apply(
        &self,
        scope: &TenantScope,
        drafts: Vec<ConfigObject>,
        precondition: Option<Head>,
        dry_run: bool,
    ) -> Result<Applied, Refusal> {
        let wish = |current: &Current| {
            if precondition.is_some_and(|head| head != current.head) {
                let text = "the configuration is not the one that the request was made for";
                return Err(Refusal::new(ErrorCode::PreconditionFailed, text));
            }
            let change = change::become_named(current, drafts.clone(), || self.fresh_id());
            let pointers = document_pointers(&change.upserts);
            Ok((change, pointers))
        };
        self.publish(scope, Purpose { kind: RevisionKind::Apply, dry_run }, wish).await.map(applied)
    }

    async fn head(&self, scope: &TenantScope) -> Result<Head, Refusal> {
        self.deps.configs.head(scope).await?.ok_or_else(Refusal::not_found)
    }

    async fn revisions(&self, scope: &TenantScope, page: &PageRequest) -> Result<Page<RevisionRecord>, Refusal> {
        self.deps.configs.revisions(scope, page).await.map_err(page_fault)
    }

    async fn revision(&self, scope: &TenantScope, seq: u64) -> Result<RevisionView, Refusal> {
        let record = self.deps.configs.revision(scope, seq).await?.ok_or_else(Refusal::not_found)?;
        let receipts = self.receipts(scope, record.head.revision).await?;
        Ok(RevisionView { record, receipts })
    }

    async fn rollback(&self, scope: &TenantScope, seq: u64) -> Result<Applied, Refusal> {
        let stored = self.deps.configs.load_at(scope, seq).await?.ok_or_else(Refusal::not_found)?;
        let earlier: Vec<ConfigObject> = self.views(&stored)?.into_iter().map(|view| view.object).collect();
        let wish = |current: &Current| Ok((change::become_earlier(current, earlier.clone()), Pointers::new()));
        let purpose = Purpose { kind: RevisionKind::Rollback { to: seq }, dry_run: false };
        self.publish(scope, purpose, wish).await.map(applied)
    }
}

impl Control {
    fn fresh_id(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.deps.entropy.bytes()).into_uuid()
    }

    fn views(&self, stored: &[StoredObject]) -> Result<Vec<ObjectView>, Refusal> {
        let decode = |object| decode_view(self.deps.codec.as_ref(), object);
        Ok(stored.iter().map(decode).collect::<Result<_, _>>()?)
    }
}

fn applied(published: Published) -> Applied {
    Applied { head: published.current.head, diff: published.diff, warnings: published.warnings }
}

fn written(published: &Published, reference: ObjectRef) -> Result<Written, Refusal> {
    let entry = published.current.entries.get(&reference).ok_or_else(Refusal::not_found)?;
    let created = published
        .diff
        .iter()
        .any(|line| line.before.is_none() && line.after.as_ref().is_some_and(|object| object.reference() == reference));
    Ok(Written { view: entry.view.clone(), head: published.current.head, created })
}

/// The body is the object itself: its faults point into it as they are.
fn whole_body(reference: ObjectRef) -> Pointers {
    [(reference, String::new())].into()
}

/// The body is a document: each object has its place in the list of its kind.
fn document_pointers(objects: &[ConfigObject]) -> Pointers {
    let mut positions = std::collections::BTreeMap::new();
    let mut pointers = Pointers::new();
    for object in objects {
        let list = match object.kind() {
            ObjectKind::Service => "services",
            ObjectKind::Route => "routes",
            ObjectKind::Consumer => "consumers",
            ObjectKind::ConsumerKey => continue,
        };
        let position: &mut usize = positions.entry(list).or_default();
        pointers.insert(object.reference(), format!("/{list}/{position}"));
        *position += 1;
    }
    pointers
}
