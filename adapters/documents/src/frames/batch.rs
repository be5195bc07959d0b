//! Telemetry frames as the protocol sees them: the records stay one piece of JSON.

use bytes::Bytes;
use novagate_kernel::{BatchKind, BootId};
use novagate_sync::{BatchFrame, Frame};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{FrameError, at_most, malformed, read, tagged};
use crate::word::As;

/// The most records in one batch.
pub const MAX_BATCH_RECORDS: usize = 1_000;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchV1<'a> {
    boot_id: As<BootId>,
    batch_seq: u64,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    routes: Option<&'a RawValue>,
    #[serde(borrow)]
    records: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
struct BodyV1<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    routes: Option<&'a RawValue>,
    #[serde(borrow)]
    records: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceivedV1 {
    boot_id: As<BootId>,
    batch_seq: u64,
}

pub(super) fn batch_text(frame: &BatchFrame) -> String {
    let (boot_id, batch_seq) = (As(frame.boot), frame.batch_seq);
    let name = frame.kind.as_str();
    match serde_json::from_slice::<BodyV1<'_>>(&frame.body) {
        Ok(body) => tagged(name, &BatchV1 { boot_id, batch_seq, routes: body.routes, records: body.records }),
        Err(_) => {
            format!("{{\"type\":\"{name}\",\"bootId\":\"{}\",\"batchSeq\":{batch_seq},\"records\":[]}}", frame.boot)
        }
    }
}

pub(super) fn batch(kind: BatchKind, bytes: &[u8]) -> Result<Frame, FrameError> {
    let name = kind.as_str();
    let frame: BatchV1<'_> = read(name, bytes)?;
    let records: Vec<IgnoredAny> = serde_json::from_str(frame.records.get()).map_err(|_| malformed(name))?;
    at_most(name, "records", records.len(), MAX_BATCH_RECORDS)?;
    let body = serde_json::to_vec(&BodyV1 { routes: frame.routes, records: frame.records }).unwrap_or_default();
    Ok(Frame::Batch(BatchFrame {
        kind,
        boot: frame.boot_id.0,
        batch_seq: batch_seq(name, frame.batch_seq)?,
        body: Bytes::from(body),
        records: u32::try_from(records.len()).unwrap_or(u32::MAX),
    }))
}

pub(super) fn received_text(boot: BootId, batch_seq: u64) -> String {
    tagged("received", &ReceivedV1 { boot_id: As(boot), batch_seq })
}

pub(super) fn received(bytes: &[u8]) -> Result<Frame, FrameError> {
    let body: ReceivedV1 = read("received", bytes)?;
    Ok(Frame::Received { boot: body.boot_id.0, batch_seq: batch_seq("received", body.batch_seq)? })
}

/// Positions fit into an SQL bigint.
fn batch_seq(frame: &'static str, number: u64) -> Result<u64, FrameError> {
    i64::try_from(number).map(|_| number).map_err(|_| malformed(frame))
}
