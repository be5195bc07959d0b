//! Frames that carry configuration.

use std::sync::Arc;

use novagate_kernel::{Digest, ObjectKind, ObjectRef};
use novagate_sync::{ConfigSet, Delta, Frame, ObjectPack, WireObject};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::head::{Uuid36, head, head_v1, seq};
use super::{FrameError, at_most, read, tagged};
use crate::stored::MAX_BODY_BYTES;
use crate::word::As;

const MAX_OBJECTS: usize = 1_000_000;

#[derive(Serialize, Deserialize)]
struct ReferenceV1 {
    kind: As<ObjectKind>,
    id: Uuid36,
}

#[derive(Serialize, Deserialize)]
struct ObjectV1<'a> {
    kind: As<ObjectKind>,
    id: Uuid36,
    #[serde(borrow)]
    body: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
struct SnapshotV1<'a> {
    epoch: u64,
    seq: u64,
    digest: As<Digest>,
    #[serde(borrow)]
    objects: Vec<ObjectV1<'a>>,
}

#[derive(Serialize, Deserialize)]
struct DeltaV1<'a> {
    epoch: u64,
    from: u64,
    to: u64,
    #[serde(borrow)]
    upserts: Vec<ObjectV1<'a>>,
    deletes: Vec<ReferenceV1>,
    digest: As<Digest>,
}

pub(super) fn snapshot_text(config: &ConfigSet) -> String {
    let head = head_v1(config.head());
    let objects = config.objects().map(object_v1).collect();
    tagged("snapshot", &SnapshotV1 { epoch: head.epoch, seq: head.seq, digest: head.digest, objects })
}

pub(super) fn snapshot(bytes: &[u8]) -> Result<Frame, FrameError> {
    const NAME: &str = "snapshot";
    let body: SnapshotV1<'_> = read(NAME, bytes)?;
    let head = head(NAME, body.epoch, body.seq, body.digest.0)?;
    let objects = wire_objects(NAME, &body.objects)?;
    ConfigSet::verified(head, objects).map(Frame::Snapshot).map_err(|_| FrameError::Digest)
}

pub(super) fn delta_text(delta: &Delta) -> String {
    let to = head_v1(delta.to);
    let body = DeltaV1 {
        epoch: to.epoch,
        from: delta.from,
        to: to.seq,
        upserts: delta.upserts.iter().map(object_v1).collect(),
        deletes: delta
            .deletes
            .iter()
            .map(|reference| ReferenceV1 { kind: As(reference.kind), id: Uuid36(reference.id) })
            .collect(),
        digest: to.digest,
    };
    tagged("delta", &body)
}

pub(super) fn delta(bytes: &[u8]) -> Result<Frame, FrameError> {
    const NAME: &str = "delta";
    let body: DeltaV1<'_> = read(NAME, bytes)?;
    at_most(NAME, "deletes", body.deletes.len(), MAX_OBJECTS)?;
    let deletes = body.deletes.iter().map(|gone| ObjectRef { kind: gone.kind.0, id: gone.id.0 }).collect();
    Ok(Frame::Delta(Arc::new(Delta {
        from: seq(NAME, body.from)?,
        to: head(NAME, body.epoch, body.to, body.digest.0)?,
        upserts: wire_objects(NAME, &body.upserts)?,
        deletes,
    })))
}

fn object_v1(object: &WireObject) -> ObjectV1<'_> {
    let reference = object.reference();
    let body = serde_json::from_slice(object.body()).unwrap_or(RawValue::NULL);
    ObjectV1 { kind: As(reference.kind), id: Uuid36(reference.id), body }
}

fn wire_objects(frame: &'static str, objects: &[ObjectV1<'_>]) -> Result<Vec<WireObject>, FrameError> {
    at_most(frame, "objects", objects.len(), MAX_OBJECTS)?;
    let mut pack = ObjectPack::default();
    for object in objects {
        at_most(frame, "bytes in a body", object.body.get().len(), MAX_BODY_BYTES)?;
        pack.push(ObjectRef { kind: object.kind.0, id: object.id.0 }, object.body.get().as_bytes());
    }
    Ok(pack.into_objects())
}
