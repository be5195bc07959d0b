//! Config objects as the protocol sees them: kind, id, digest and bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use novagate_kernel::{Digest, Head, ObjectKind, ObjectRef, Revision, encode_hex};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// One config object on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireObject {
    reference: ObjectRef,
    digest: Digest,
    body: Bytes,
}

impl WireObject {
    /// An object from its exact body bytes.
    pub fn new(reference: ObjectRef, body: Bytes) -> Self {
        Self { reference, digest: object_digest(&body), body }
    }

    /// Kind and id.
    pub const fn reference(&self) -> ObjectRef {
        self.reference
    }

    /// SHA-256 of the body.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The exact bytes.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }
}

/// Objects whose bodies lie side by side in one allocation: a large configuration is many small bodies.
#[derive(Debug, Default)]
pub struct ObjectPack {
    bodies: Vec<u8>,
    /// Where each body ends.
    ends: Vec<(ObjectRef, usize)>,
}

impl ObjectPack {
    /// Adds an object with its exact body bytes.
    pub fn push(&mut self, reference: ObjectRef, body: &[u8]) {
        self.bodies.extend_from_slice(body);
        self.ends.push((reference, self.bodies.len()));
    }

    /// The objects in the order in which they came.
    pub fn into_objects(self) -> Vec<WireObject> {
        let mut bodies = Bytes::from(self.bodies.into_boxed_slice());
        let mut begin = 0;
        let objects = self.ends.into_iter().map(|(reference, end)| {
            let body = bodies.split_to(end - begin);
            begin = end;
            WireObject::new(reference, body)
        });
        objects.collect()
    }
}

/// The digest of one object: SHA-256 over its exact body bytes.
pub fn object_digest(body: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(body).into())
}

/// The digest of a whole configuration: SHA-256 over the sorted lines `kind SP id SP hex LF`.
pub fn tenant_digest<'a>(objects: impl IntoIterator<Item = (ObjectRef, &'a Digest)>) -> Digest {
    let mut lines: Vec<(&'static str, Uuid, &Digest)> =
        objects.into_iter().map(|(reference, digest)| (reference.kind.as_str(), reference.id, digest)).collect();
    // By the text of the line: kinds are compared as words, and a hyphenated UUID sorts as its bytes do.
    lines.sort_unstable_by_key(|&(kind, id, _)| (kind, id));
    let mut hash = Sha256::new();
    for (kind, id, digest) in lines {
        hash.update(kind.as_bytes());
        hash.update(b" ");
        hash.update(id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
        hash.update(b" ");
        hash.update(encode_hex(digest.as_bytes()).as_bytes());
        hash.update(b"\n");
    }
    Digest::from_bytes(hash.finalize().into())
}

/// A whole configuration: what a snapshot carries, a disk slot keeps and a delta is applied to. Clones share the objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSet {
    revision: Revision,
    digest: Digest,
    /// Sorted by reference, each once.
    objects: Arc<[WireObject]>,
}

/// The difference between two revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// The sequence number it applies to.
    pub from: u64,
    /// The revision it leads to and its digest.
    pub to: Head,
    /// New and changed objects.
    pub upserts: Vec<WireObject>,
    /// Objects that are gone.
    pub deletes: Vec<ObjectRef>,
}

/// Why a delta or snapshot does not hold. The answer to each is to ask for a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeltaFault {
    /// It does not begin where this configuration ends.
    #[error("the delta starts at another revision")]
    Gap,
    /// The result has another digest than announced.
    #[error("the digest does not hold")]
    DigestMismatch,
    /// One object occurs twice.
    #[error("an object occurs twice")]
    DuplicateObject,
}

impl ConfigSet {
    /// A configuration of these objects; its digest is computed.
    pub fn new(revision: Revision, objects: impl IntoIterator<Item = WireObject>) -> Self {
        let mut objects: Vec<WireObject> = objects.into_iter().collect();
        objects.sort_by_key(WireObject::reference);
        objects.dedup_by_key(|object| object.reference);
        let digest = digest_of(&objects);
        Self { revision, digest, objects: objects.into() }
    }

    /// A configuration that was announced with a digest, which must hold.
    pub fn verified(head: Head, objects: Vec<WireObject>) -> Result<Self, DeltaFault> {
        let count = objects.len();
        let set = Self::new(head.revision, objects);
        if set.objects.len() != count {
            return Err(DeltaFault::DuplicateObject);
        }
        if set.digest == head.digest { Ok(set) } else { Err(DeltaFault::DigestMismatch) }
    }

    /// This configuration after `delta`; the result's digest must hold.
    pub fn apply(&self, delta: &Delta) -> Result<Self, DeltaFault> {
        if self.revision.epoch != delta.to.revision.epoch || self.revision.seq != delta.from {
            return Err(DeltaFault::Gap);
        }
        // What becomes of the objects that it names; of others nothing does.
        let mut changes: BTreeMap<ObjectRef, Option<&WireObject>> =
            delta.deletes.iter().map(|gone| (*gone, None)).collect();
        changes.extend(delta.upserts.iter().map(|object| (object.reference, Some(object))));
        let kept = self.objects.iter().filter(|object| !changes.contains_key(&object.reference));
        let after = Self::new(delta.to.revision, kept.chain(changes.values().copied().flatten()).cloned());
        if after.digest == delta.to.digest { Ok(after) } else { Err(DeltaFault::DigestMismatch) }
    }

    /// Which revision, with which content.
    pub const fn head(&self) -> Head {
        Head { revision: self.revision, digest: self.digest }
    }

    /// The objects, services first.
    pub fn objects(&self) -> impl ExactSizeIterator<Item = &WireObject> {
        self.objects.iter()
    }

    /// One object.
    pub fn get(&self, reference: ObjectRef) -> Option<&WireObject> {
        let at = self.objects.binary_search_by_key(&reference, WireObject::reference).ok()?;
        self.objects.get(at)
    }

    /// How many objects of a kind there are.
    pub fn count(&self, kind: ObjectKind) -> usize {
        self.objects.iter().filter(|object| object.reference.kind == kind).count()
    }

    /// Sum of the body sizes, bytes.
    pub fn body_bytes(&self) -> usize {
        self.objects.iter().map(|object| object.body.len()).sum()
    }
}

fn digest_of(objects: &[WireObject]) -> Digest {
    tenant_digest(objects.iter().map(|object| (object.reference, &object.digest)))
}

#[cfg(test)]
mod tests {
    use novagate_kernel::{Epoch, RouteId, ServiceId};

    use super::*;

    fn revision(seq: u64) -> Revision {
        Revision { epoch: Epoch::try_from_u64(7).unwrap(), seq }
    }

    fn object(reference: impl Into<ObjectRef>, body: &'static str) -> WireObject {
        WireObject::new(reference.into(), Bytes::from_static(body.as_bytes()))
    }

    fn base() -> ConfigSet {
        let service = object(ServiceId::from_entropy([1; 16]), "{\"name\":\"a\"}");
        let route = object(RouteId::from_entropy([2; 16]), "{\"name\":\"b\"}");
        ConfigSet::new(revision(1), [route, service])
    }

    #[test]
    fn the_digest_is_that_of_the_sorted_lines() {
        let set = base();
        let mut lines: Vec<String> = set
            .objects()
            .map(|object| format!("{} {} {}\n", object.reference().kind, object.reference().id, object.digest()))
            .collect();
        lines.sort();
        assert_eq!(set.head().digest, object_digest(lines.concat().as_bytes()));
    }

    #[test]
    fn a_delta_leads_to_the_announced_configuration() {
        let before = base();
        let changed = object(RouteId::from_entropy([2; 16]), "{\"name\":\"c\"}");
        let gone: ObjectRef = ServiceId::from_entropy([1; 16]).into();
        let after = ConfigSet::new(revision(3), [changed.clone()]);
        let delta = Delta { from: 1, to: after.head(), upserts: vec![changed], deletes: vec![gone] };
        assert_eq!(before.apply(&delta), Ok(after));
    }

    #[test]
    fn a_delta_with_a_gap_or_another_digest_changes_nothing() {
        let before = base();
        let to = Head { revision: revision(3), digest: before.head().digest };
        let gap = Delta { from: 2, to, upserts: vec![], deletes: vec![] };
        assert_eq!(before.apply(&gap), Err(DeltaFault::Gap));
        let gone: ObjectRef = ServiceId::from_entropy([1; 16]).into();
        let wrong = Delta { from: 1, to, upserts: vec![], deletes: vec![gone] };
        assert_eq!(before.apply(&wrong), Err(DeltaFault::DigestMismatch));
    }

    #[test]
    fn a_delta_that_deletes_and_sends_an_object_leaves_it_there() {
        let before = base();
        let sent = object(RouteId::from_entropy([2; 16]), "{\"name\":\"c\"}");
        let kept = before.objects().filter(|object| object.reference() != sent.reference()).cloned();
        let after = ConfigSet::new(revision(2), kept.chain([sent.clone()]));
        let delta = Delta { from: 1, to: after.head(), deletes: vec![sent.reference()], upserts: vec![sent] };
        assert_eq!(before.apply(&delta), Ok(after));
    }

    #[test]
    fn packed_objects_are_the_same_objects() {
        let objects: Vec<WireObject> =
            base().objects().cloned().chain([object(RouteId::from_entropy([9; 16]), "")]).collect();
        let mut pack = ObjectPack::default();
        for object in &objects {
            pack.push(object.reference(), object.body());
        }
        assert_eq!(pack.into_objects(), objects);
    }

    #[test]
    fn a_snapshot_with_an_object_twice_is_refused() {
        let set = base();
        let twice: Vec<WireObject> = set.objects().chain(set.objects()).cloned().collect();
        assert_eq!(ConfigSet::verified(set.head(), twice), Err(DeltaFault::DuplicateObject));
    }
}
