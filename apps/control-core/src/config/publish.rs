//! How a change becomes a revision: checked as a whole, committed against the head it was worked out from, announced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use novagate_access::{KeyDigest, TenantScope};
use novagate_kernel::{ErrorCode, Head, ObjectKind, ObjectRef, Timestamp};
use novagate_policies::{CompiledConfig, ConfigObject, ObjectFault};
use novagate_ports_control::{
    inbound::{DiffEntry, FieldFault, ObjectView, Refusal},
    outbound::{Commit, Edit, ObjectWrite, PlanLimits, RevisionChangeOp, RevisionKind, StoredObject, Wake},
};
use novagate_records::{Actor, AuditAction, AuditRecord};
use novagate_sync::{Delta, WireObject, object_digest, tenant_digest};

use super::{
    cache::{Current, Entry},
    change::Change,
};
use crate::Control;

/// How often an edit starts over because somebody else was faster.
const ATTEMPTS: usize = 16;

/// Where faults of an object point to in the body that the caller sent.
pub(super) type Pointers = BTreeMap<ObjectRef, String>;

/// An edit that is through.
pub(super) struct Published {
    pub(super) current: Current,
    pub(super) diff: Vec<DiffEntry>,
    pub(super) warnings: Vec<String>,
}

/// How a revision is to be named in history and audit.
#[derive(Clone, Copy)]
pub(super) struct Purpose {
    pub(super) kind: RevisionKind,
    pub(super) dry_run: bool,
}

/// A change with everything that a commit needs.
struct Planned {
    edit: Edit,
    after: Current,
    diff: Vec<DiffEntry>,
    warnings: Vec<String>,
    revoked: Vec<KeyDigest>,
}

impl Control {
    /// Works a change out and publishes it, again and again until nobody else was faster.
    pub(super) async fn publish(
        &self,
        scope: &TenantScope,
        purpose: Purpose,
        wish: impl Fn(&Current) -> Result<(Change, Pointers), Refusal> + Send + Sync,
    ) -> Result<Published, Refusal> {
        let limits = self.deps.tenants.account(scope).await?.ok_or_else(Refusal::not_found)?.limits;
        // Edits of one tenant take turns here, so that only other control nodes can be faster.
        let _turn = self.cache.turn(scope.tenant()).await;
        let mut base = self.cache.get(scope.tenant());
        for _ in 0..ATTEMPTS {
            let (current, fresh) = match base.take() {
                Some(cached) => (cached, false),
                None => (self.current(scope).await?, true),
            };
            let planned = match wish(&current)
                .and_then(|(change, pointers)| self.plan(&current, change, purpose, &pointers, &limits))
            {
                Ok(planned) => planned,
                // A refusal must be founded on what is stored, not on a copy that may be stale.
                Err(_) if !fresh => continue,
                Err(refusal) => return Err(refusal),
            };
            if purpose.dry_run || planned.diff.is_empty() {
                if !fresh {
                    continue;
                }
                return Ok(Published { current, diff: planned.diff, warnings: planned.warnings });
            }
            match self.deps.configs.commit(scope, &planned.edit).await? {
                Commit::Committed(head) => return Ok(self.announce(scope, head, planned).await),
                Commit::Moved(_) => {}
            }
        }
        Err(Refusal::new(ErrorCode::Conflict, "the configuration changes too quickly; try again"))
    }

    /// The stored configuration, decoded.
    pub(super) async fn current(&self, scope: &TenantScope) -> Result<Current, Refusal> {
        let (head, objects) = self.deps.configs.load(scope).await?.ok_or_else(Refusal::not_found)?;
        Ok(Current::decode(self.deps.codec.as_ref(), head, objects)?)
    }

    async fn announce(&self, scope: &TenantScope, head: Head, planned: Planned) -> Published {
        let tenant = scope.tenant();
        if !planned.revoked.is_empty() {
            self.wake(&Wake::ConsumerKeysRevoked { tenant, keys: planned.revoked }).await;
        }
        // Before the wake-up: all nodes of the tenant ask for this very delta in a moment.
        let now = self.deps.clock.now();
        self.deltas.put(tenant, planned.edit.base, &Arc::new(delta_of_edit(&planned.edit)), Some(now));
        self.cache.put(tenant, planned.after.clone());
        self.wake(&Wake::Config { tenant, head }).await;
        Published { current: planned.after, diff: planned.diff, warnings: planned.warnings }
    }

    fn plan(
        &self,
        current: &Current,
        change: Change,
        purpose: Purpose,
        pointers: &Pointers,
        limits: &PlanLimits,
    ) -> Result<Planned, Refusal> {
        let at = self.deps.clock.now();
        let seq = current.head.revision.next().seq;
        let mut after = current.clone();
        let mut deletes = BTreeSet::new();
        for reference in change.deletes {
            if after.entries.remove(&reference).is_some() {
                deletes.insert(reference);
            }
        }
        let mut upserts = Vec::new();
        for object in change.upserts {
            let write = self.write_of(&object);
            if let Some(entry) = changed_entry(current, object, &write, seq, at) {
                after.entries.insert(write.reference, Arc::new(entry));
                upserts.push(write);
            }
        }
        let digest = tenant_digest(after.entries.iter().map(|(reference, entry)| (*reference, &entry.stored.digest)));
        after.head = Head { revision: current.head.revision.next(), digest };
        check_limits(current, &after, limits)?;
        let warnings = check_compiles(&after, pointers)?;
        let diff = diff_of(current, &after, &upserts, &deletes);
        let audit = self.audit_of(purpose.kind, &diff, after.head);
        let revoked = revoked_keys(current, &deletes);
        let edit = Edit {
            base: current.head,
            next: after.head,
            kind: purpose.kind,
            actor: Actor::Account,
            at,
            upserts,
            deletes: deletes.into_iter().collect(),
            audit,
        };
        Ok(Planned { edit, after, diff, warnings, revoked })
    }

    fn write_of(&self, object: &ConfigObject) -> ObjectWrite {
        let body = self.deps.codec.encode(object);
        ObjectWrite {
            reference: object.reference(),
            name: object.name().cloned(),
            parent: object.parent(),
            digest: object_digest(&body),
            body,
        }
    }

    /// One entry per object for single edits, one for the whole otherwise.
    fn audit_of(&self, kind: RevisionKind, diff: &[DiffEntry], head: Head) -> Vec<AuditRecord> {
        let whole =
            |action| vec![AuditRecord { revision: Some(head.revision), ..self.audit_entry(Actor::Account, action) }];
        match kind {
            RevisionKind::Initial | RevisionKind::Edit => diff
                .iter()
                .filter_map(|entry| {
                    let object = entry.after.as_ref().or(entry.before.as_ref())?.reference();
                    let action = match entry.op {
                        RevisionChangeOp::Created => AuditAction::ObjectCreated,
                        RevisionChangeOp::Updated => AuditAction::ObjectUpdated,
                        RevisionChangeOp::Deleted => AuditAction::ObjectDeleted,
                    };
                    Some(self.object_audit(action, object, entry.name.clone(), head.revision))
                })
                .collect(),
            RevisionKind::Apply => whole(AuditAction::ConfigApplied),
            RevisionKind::Rollback { .. } => whole(AuditAction::ConfigRolledBack),
        }
    }
}

fn delta_of_edit(edit: &Edit) -> Delta {
    let object = |write: &ObjectWrite| WireObject::new(write.reference, write.body.clone());
    Delta {
        from: edit.base.revision.seq,
        to: edit.next,
        upserts: edit.upserts.iter().map(object).collect(),
        deletes: edit.deletes.clone(),
    }
}

/// The entry that an upsert leads to; `None` when it changes nothing.
fn changed_entry(
    current: &Current,
    object: ConfigObject,
    write: &ObjectWrite,
    seq: u64,
    at: Timestamp,
) -> Option<Entry> {
    let before = current.entries.get(&write.reference);
    if before.is_some_and(|entry| entry.stored.digest == write.digest) {
        return None;
    }
    let created_at = before.map_or(at, |entry| entry.stored.created_at);
    let stored = StoredObject {
        reference: write.reference,
        name: write.name.clone(),
        parent: write.parent,
        body: write.body.clone(),
        digest: write.digest,
        seq,
        created_at,
        updated_at: at,
    };
    Some(Entry { view: ObjectView { object, seq, created_at, updated_at: at }, stored })
}

/// A tenant that is beyond a limit already (its plan was changed) may shrink, but not grow.
fn check_limits(before: &Current, after: &Current, limits: &PlanLimits) -> Result<(), Refusal> {
    let count = |side: &Current, kind| side.of_kind(kind).count() as u64;
    let bytes = |side: &Current| side.entries.values().map(|entry| entry.stored.body.len() as u64).sum::<u64>();
    let counts = |kind| (count(before, kind), count(after, kind));
    let bounds = [
        ("services", counts(ObjectKind::Service), u64::from(limits.services)),
        ("routes", counts(ObjectKind::Route), u64::from(limits.routes)),
        ("consumers", counts(ObjectKind::Consumer), u64::from(limits.consumers)),
        ("config bytes", (bytes(before), bytes(after)), limits.config_bytes),
    ];
    match bounds.into_iter().find(|&(_, (before, after), max)| after > max && after > before) {
        Some((limit, _, max)) => Err(Refusal::plan_limit(limit, max)),
        None => Ok(()),
    }
}

/// Compiles the whole as a gateway would; answers the remarks that refuse nothing.
fn check_compiles(after: &Current, pointers: &Pointers) -> Result<Vec<String>, Refusal> {
    let objects: Vec<ConfigObject> = after.objects().cloned().collect();
    match CompiledConfig::compile(after.head, &objects) {
        Ok(compiled) => Ok(compiled.warnings().iter().map(|warning| warning.message.clone()).collect()),
        Err(faults) => Err(Refusal::invalid(faults.iter().map(|fault| field_fault(fault, pointers)).collect())),
    }
}

/// A fault of an object in the body points there; one of another object is named in words.
fn field_fault(fault: &ObjectFault, pointers: &Pointers) -> FieldFault {
    if let Some(place) = pointers.get(&fault.object) {
        return FieldFault::new(format!("{place}{}", fault.pointer), fault.code, fault.message.clone());
    }
    let name = fault.name.as_ref().map_or_else(String::new, |name| format!(" `{name}`"));
    FieldFault::new("", fault.code, format!("{}{name}{}: {}", fault.object.kind, fault.pointer, fault.message))
}

fn diff_of(
    current: &Current,
    after: &Current,
    upserts: &[ObjectWrite],
    deletes: &BTreeSet<ObjectRef>,
) -> Vec<DiffEntry> {
    let touched: BTreeSet<ObjectRef> =
        upserts.iter().map(|write| write.reference).chain(deletes.iter().copied()).collect();
    let object_in =
        |side: &Current, reference: &ObjectRef| side.entries.get(reference).map(|entry| entry.view.object.clone());
    touched
        .into_iter()
        .filter_map(|reference| {
            let (before, after) = (object_in(current, &reference), object_in(after, &reference));
            let op = match (&before, &after) {
                (None, Some(_)) => RevisionChangeOp::Created,
                (Some(_), Some(_)) => RevisionChangeOp::Updated,
                (Some(_), None) => RevisionChangeOp::Deleted,
                (None, None) => return None,
            };
            let name = after.as_ref().or(before.as_ref()).and_then(ConfigObject::name).cloned();
            Some(DiffEntry { op, kind: reference.kind, name, before, after })
        })
        .collect()
}

fn revoked_keys(current: &Current, deletes: &BTreeSet<ObjectRef>) -> Vec<KeyDigest> {
    let digest_of = |reference: &ObjectRef| match &current.entries.get(reference)?.view.object {
        ConfigObject::ConsumerKey(key) => Some(key.digest),
        ConfigObject::Service(_) | ConfigObject::Route(_) | ConfigObject::Consumer(_) => None,
    };
    deletes.iter().filter_map(digest_of).collect()
}
