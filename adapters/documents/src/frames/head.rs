//! Revisions and ids, as several frames carry them.

use novagate_kernel::{Digest, Epoch, Head, Revision, SessionId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{FrameError, malformed};
use crate::word::As;

#[derive(Serialize, Deserialize)]
pub(super) struct HeadV1 {
    pub(super) epoch: u64,
    pub(super) seq: u64,
    pub(super) digest: As<Digest>,
}

/// An object's id, whose type depends on the kind beside it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Uuid36(pub(super) Uuid);

impl Serialize for Uuid36 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0.as_hyphenated())
    }
}

impl<'de> Deserialize<'de> for Uuid36 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A session's id has the same one spelling as every other id.
        As::<SessionId>::deserialize(deserializer).map(|id| Self(id.0.as_uuid()))
    }
}

pub(super) fn head_v1(head: Head) -> HeadV1 {
    HeadV1 { epoch: head.revision.epoch.get(), seq: head.revision.seq, digest: As(head.digest) }
}

pub(super) fn optional_head(frame: &'static str, body: Option<HeadV1>) -> Result<Option<Head>, FrameError> {
    body.map(|body| head(frame, body.epoch, body.seq, body.digest.0)).transpose()
}

pub(super) fn head(frame: &'static str, number: u64, position: u64, digest: Digest) -> Result<Head, FrameError> {
    let revision = Revision { epoch: epoch(frame, number)?, seq: seq(frame, position)? };
    Ok(Head { revision, digest })
}

pub(super) fn epoch(frame: &'static str, number: u64) -> Result<Epoch, FrameError> {
    Epoch::try_from_u64(number).map_err(|_| malformed(frame))
}

/// Positions fit into an SQL bigint.
pub(super) fn seq(frame: &'static str, number: u64) -> Result<u64, FrameError> {
    i64::try_from(number).map(|_| number).map_err(|_| malformed(frame))
}
