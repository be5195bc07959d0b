//! A configuration with every version of every object.

use std::collections::{BTreeMap, BTreeSet};

use novagate_kernel::{Epoch, Head, Name, ObjectKind, ObjectRef, Revision, TenantId, Timestamp};
use novagate_ports_base::{BoxError, FaultKind, PortError};
use novagate_ports_control::outbound::{
    Commit, ConfigChanges, Edit, ObjectWrite, PendingUpdate, RevisionChange, RevisionChangeOp, RevisionKind,
    RevisionRecord, StoredObject,
};
use novagate_records::Actor;

type Objects = BTreeMap<ObjectRef, StoredObject>;

/// What is called by the error of a commit.
const COMMIT: &str = "store.commit";

#[derive(Debug)]
pub(super) struct Config {
    head: Head,
    objects: Objects,
    /// Each object's versions with the seq they are valid from, oldest first; `None`: it was deleted.
    versions: BTreeMap<ObjectRef, Vec<(u64, Option<StoredObject>)>>,
    /// Oldest first.
    revisions: Vec<RevisionRecord>,
    /// The first seq of the present epoch.
    epoch_from: u64,
    pending: Option<(Revision, Timestamp)>,
}

/// Why an edit is not one.
#[derive(Debug, thiserror::Error)]
enum BadEdit {
    #[error("the name of a {0} is taken")]
    NameTaken(ObjectKind),
    #[error("the next head does not follow the base")]
    NextHead,
    #[error("{0} is deleted but does not exist")]
    Missing(ObjectRef),
    #[error("{0} is written twice")]
    Twice(ObjectRef),
}

impl BadEdit {
    const fn kind(&self) -> FaultKind {
        match self {
            Self::NameTaken(_) => FaultKind::Conflict,
            Self::NextHead | Self::Missing(_) | Self::Twice(_) => FaultKind::Misuse,
        }
    }
}

impl From<BadEdit> for PortError {
    fn from(bad: BadEdit) -> Self {
        Self::new(COMMIT, bad.kind(), BoxError::from(bad))
    }
}

impl Config {
    /// The empty configuration of a new tenant.
    pub(super) fn initial(head: Head, actor: Actor, at: Timestamp) -> Self {
        let first = RevisionRecord { head, kind: RevisionKind::Initial, actor, at, changes: Vec::new() };
        Self {
            head,
            objects: Objects::new(),
            versions: BTreeMap::new(),
            revisions: vec![first],
            epoch_from: head.revision.seq,
            pending: None,
        }
    }

    pub(super) const fn head(&self) -> Head {
        self.head
    }

    pub(super) const fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Every revision, also of earlier epochs, oldest first.
    pub(super) fn revisions(&self) -> &[RevisionRecord] {
        &self.revisions
    }

    /// The revision of the present epoch.
    pub(super) fn revision(&self, seq: u64) -> Option<&RevisionRecord> {
        let wanted = Revision { epoch: self.head.revision.epoch, seq };
        self.revisions.iter().find(|record| record.head.revision == wanted)
    }

    /// Makes an edit, whole or not at all.
    pub(super) fn commit(&mut self, edit: &Edit) -> Result<Commit, PortError> {
        if edit.base != self.head {
            return Ok(Commit::Moved(self.head));
        }
        if edit.next.revision != edit.base.revision.next() {
            return Err(BadEdit::NextHead.into());
        }
        let after = self.after(edit)?;
        let changes = self.changes_of(edit);
        let seq = edit.next.revision.seq;
        for change in &changes {
            let version = after.get(&change.object).cloned();
            self.versions.entry(change.object).or_default().push((seq, version));
        }
        self.revisions.push(RevisionRecord {
            head: edit.next,
            kind: edit.kind,
            actor: edit.actor,
            at: edit.at,
            changes,
        });
        self.objects = after;
        self.head = edit.next;
        self.pending = Some((edit.next.revision, edit.at));
        Ok(Commit::Committed(edit.next))
    }

    /// The objects after an edit.
    fn after(&self, edit: &Edit) -> Result<Objects, BadEdit> {
        let mut after = self.objects.clone();
        for &gone in &edit.deletes {
            after.remove(&gone).ok_or(BadEdit::Missing(gone))?;
        }
        let mut written: BTreeSet<ObjectRef> = edit.deletes.iter().copied().collect();
        for write in &edit.upserts {
            if !written.insert(write.reference) {
                return Err(BadEdit::Twice(write.reference));
            }
            let old = self.objects.get(&write.reference);
            after.insert(write.reference, stored(write, old, edit));
        }
        let mut names: BTreeSet<(ObjectKind, &Name)> = BTreeSet::new();
        for object in after.values() {
            if object.name.as_ref().is_some_and(|name| !names.insert((object.reference.kind, name))) {
                return Err(BadEdit::NameTaken(object.reference.kind));
            }
        }
        Ok(after)
    }

    fn changes_of(&self, edit: &Edit) -> Vec<RevisionChange> {
        let deleted = edit.deletes.iter().map(|&object| {
            let name = self.objects.get(&object).and_then(|old| old.name.clone());
            RevisionChange { object, name, op: RevisionChangeOp::Deleted }
        });
        let written = edit.upserts.iter().map(|write| {
            let is_known = self.objects.contains_key(&write.reference);
            let op = if is_known { RevisionChangeOp::Updated } else { RevisionChangeOp::Created };
            RevisionChange { object: write.reference, name: write.name.clone(), op }
        });
        let mut changes: Vec<RevisionChange> = deleted.chain(written).collect();
        changes.sort_by_key(|change| change.object);
        changes
    }

    /// The objects as they were at a revision of the present epoch.
    pub(super) fn objects_at(&self, seq: u64) -> Option<Vec<&StoredObject>> {
        if !(self.epoch_from..=self.head.revision.seq).contains(&seq) {
            return None;
        }
        let standing =
            |versions: &'_ Vec<(u64, Option<StoredObject>)>| versions.partition_point(|(from, _)| *from <= seq);
        let at = |versions| -> Option<&StoredObject> {
            let last = standing(versions).checked_sub(1)?;
            versions.get(last)?.1.as_ref()
        };
        Some(self.versions.values().filter_map(at).collect())
    }

    /// What is different from a revision of the present epoch.
    pub(super) fn changes_since(&self, from: Revision) -> Option<ConfigChanges> {
        if from.epoch != self.head.revision.epoch {
            return None;
        }
        let before = self.objects_at(from.seq)?;
        let digests: BTreeMap<_, _> = before.iter().map(|object| (object.reference, object.digest)).collect();
        let is_new = |object: &&StoredObject| digests.get(&object.reference) != Some(&object.digest);
        Some(ConfigChanges {
            head: self.head,
            upserts: self.objects.values().filter(is_new).cloned().collect(),
            deletes: digests.into_keys().filter(|reference| !self.objects.contains_key(reference)).collect(),
        })
    }

    /// Goes on in another epoch. What was before stays listed, but is no revision of the new epoch.
    pub(super) fn renew_epoch(&mut self, expected: Epoch, next: Epoch) -> bool {
        if self.head.revision.epoch != expected {
            return false;
        }
        self.head.revision.epoch = next;
        self.epoch_from = self.head.revision.seq;
        if let Some(newest) = self.revisions.last_mut() {
            newest.head.revision.epoch = next;
        }
        if let Some((revision, _)) = &mut self.pending {
            revision.epoch = next;
        }
        true
    }

    pub(super) fn pending(&self, tenant: TenantId) -> Option<PendingUpdate> {
        self.pending.map(|(revision, since)| PendingUpdate { tenant, revision, since })
    }

    /// Revisions of other epochs cannot be compared and settle nothing.
    pub(super) fn settle(&mut self, revision: Revision) {
        let is_settled = |(standing, _): &mut (Revision, Timestamp)| {
            standing.epoch == revision.epoch && standing.seq <= revision.seq
        };
        self.pending.take_if(is_settled);
    }
}

fn stored(write: &ObjectWrite, old: Option<&StoredObject>, edit: &Edit) -> StoredObject {
    StoredObject {
        reference: write.reference,
        name: write.name.clone(),
        parent: write.parent,
        body: write.body.clone(),
        digest: write.digest,
        seq: edit.next.revision.seq,
        created_at: old.map_or(edit.at, |old| old.created_at),
        updated_at: edit.at,
    }
}
