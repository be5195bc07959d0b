//! Frames about sessions, and what nodes made of a configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use novagate_kernel::{BootId, Digest, Head, NodeId, ObjectKind, ObjectRef, SessionId, TenantId};
use novagate_sync::{
    Ack, Bye, ByeCode, Frame, Hello, Nack, NackedObject, ObjectFaultCode, Refused, Revoke, SyncMode, Welcome,
};
use serde::{Deserialize, Serialize};

use super::head::{HeadV1, Uuid36, epoch, head, head_v1, optional_head, seq};
use super::{FrameError, at_most, malformed, read, tagged};
use crate::word::As;

const MAX_BUILD: usize = 64;
const MAX_FEATURES: usize = 32;
const MAX_LABELS: usize = 16;
const MAX_LABEL_NAME: usize = 64;
const MAX_LABEL_VALUE: usize = 256;
const MAX_NACKED: usize = 64;
const MAX_POINTER_CHARS: usize = 256;
const MAX_REVOKED: usize = 100_000;
const MAX_HEARTBEAT_MS: u64 = 3_600_000;
const MAX_RETRY_MS: u64 = 86_400_000;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HelloV1 {
    node_id: As<NodeId>,
    boot_id: As<BootId>,
    build: String,
    #[serde(default)]
    features: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    applied: Option<HeadV1>,
    #[serde(default)]
    refused: Option<HeadV1>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WelcomeV1 {
    session_id: As<SessionId>,
    tenant_id: As<TenantId>,
    heartbeat_ms: u64,
    mode: ModeV1,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ModeV1 {
    Current,
    Delta,
    Snapshot,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AckV1 {
    epoch: u64,
    seq: u64,
    digest: As<Digest>,
    compile_us: u64,
}

#[derive(Serialize, Deserialize)]
struct NackV1 {
    epoch: u64,
    seq: u64,
    objects: Vec<NackedV1>,
    #[serde(default)]
    serving: Option<HeadV1>,
}

#[derive(Serialize, Deserialize)]
struct NackedV1 {
    kind: As<ObjectKind>,
    id: Uuid36,
    code: String,
    #[serde(default)]
    field: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RevokeV1 {
    consumer_keys: Vec<As<Digest>>,
}

#[derive(Serialize, Deserialize)]
struct PingV1 {
    #[serde(default)]
    applied: Option<HeadV1>,
}

#[derive(Serialize)]
struct PongV1 {}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ByeV1 {
    code: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

pub(super) fn hello_text(hello: &Hello) -> String {
    let body = HelloV1 {
        node_id: As(hello.node),
        boot_id: As(hello.boot),
        build: hello.build.clone(),
        features: hello.features.clone(),
        labels: hello.labels.clone(),
        applied: hello.applied.map(head_v1),
        refused: hello.refused.map(|refused| head_v1(refused.head)),
    };
    tagged("hello", &body)
}

pub(super) fn hello(bytes: &[u8]) -> Result<Frame, FrameError> {
    const NAME: &str = "hello";
    let body: HelloV1 = read(NAME, bytes)?;
    at_most(NAME, "features", body.features.len(), MAX_FEATURES)?;
    at_most(NAME, "labels", body.labels.len(), MAX_LABELS)?;
    let is_word =
        |text: &String| (1..=MAX_BUILD).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let is_label = |(name, value): (&String, &String)| {
        (1..=MAX_LABEL_NAME).contains(&name.len())
            && value.len() <= MAX_LABEL_VALUE
            && !name.chars().chain(value.chars()).any(char::is_control)
    };
    if !is_word(&body.build) || !body.features.iter().all(is_word) || !body.labels.iter().all(is_label) {
        return Err(malformed(NAME));
    }
    Ok(Frame::Hello(Hello {
        node: body.node_id.0,
        boot: body.boot_id.0,
        build: body.build,
        features: body.features,
        labels: body.labels,
        applied: optional_head(NAME, body.applied)?,
        refused: optional_head(NAME, body.refused)?.map(|head| Refused { head }),
    }))
}

pub(super) fn welcome_text(welcome: Welcome) -> String {
    let body = WelcomeV1 {
        session_id: As(welcome.session),
        tenant_id: As(welcome.tenant),
        heartbeat_ms: millis(welcome.heartbeat),
        mode: match welcome.mode {
            SyncMode::Current => ModeV1::Current,
            SyncMode::Delta => ModeV1::Delta,
            SyncMode::Snapshot => ModeV1::Snapshot,
        },
    };
    tagged("welcome", &body)
}

pub(super) fn welcome(bytes: &[u8]) -> Result<Frame, FrameError> {
    const NAME: &str = "welcome";
    let body: WelcomeV1 = read(NAME, bytes)?;
    if !(1..=MAX_HEARTBEAT_MS).contains(&body.heartbeat_ms) {
        return Err(malformed(NAME));
    }
    Ok(Frame::Welcome(Welcome {
        session: body.session_id.0,
        tenant: body.tenant_id.0,
        heartbeat: Duration::from_millis(body.heartbeat_ms),
        mode: match body.mode {
            ModeV1::Current => SyncMode::Current,
            ModeV1::Delta => SyncMode::Delta,
            ModeV1::Snapshot => SyncMode::Snapshot,
        },
    }))
}

pub(super) fn ack_text(ack: Ack) -> String {
    let head = head_v1(ack.head);
    tagged("ack", &AckV1 { epoch: head.epoch, seq: head.seq, digest: head.digest, compile_us: ack.compile_us })
}

pub(super) fn ack(bytes: &[u8]) -> Result<Frame, FrameError> {
    const NAME: &str = "ack";
    let body: AckV1 = read(NAME, bytes)?;
    let head = head(NAME, body.epoch, body.seq, body.digest.0)?;
    Ok(Frame::Ack(Ack { head, compile_us: body.compile_us }))
}

pub(super) fn nack_text(nack: &Nack) -> String {
    let object = |nacked: &NackedObject| NackedV1 {
        kind: As(nacked.object.kind),
        id: Uuid36(nacked.object.id),
        code: nacked.code.as_str().to_owned(),
        field: nacked.field.clone(),
    };
    let body = NackV1 {
        epoch: nack.epoch.get(),
        seq: nack.seq,
        objects: nack.objects.iter().map(object).collect(),
        serving: nack.serving.map(head_v1),
    };
    tagged("nack", &body)
}

pub(super) fn nack(bytes: &[u8]) -> Result<Frame, FrameError> {
    const NAME: &str = "nack";
    let body: NackV1 = read(NAME, bytes)?;
    at_most(NAME, "objects", body.objects.len(), MAX_NACKED)?;
    let object = |nacked: NackedV1| NackedObject {
        object: ObjectRef { kind: nacked.kind.0, id: nacked.id.0 },
        code: ObjectFaultCode::new(&nacked.code),
        field: nacked.field.chars().filter(|character| !character.is_control()).take(MAX_POINTER_CHARS).collect(),
    };
    Ok(Frame::Nack(Nack {
        epoch: epoch(NAME, body.epoch)?,
        seq: seq(NAME, body.seq)?,
        objects: body.objects.into_iter().map(object).collect(),
        serving: optional_head(NAME, body.serving)?,
    }))
}

pub(super) fn revoke_text(revoke: &Revoke) -> String {
    tagged("revoke", &RevokeV1 { consumer_keys: revoke.consumer_keys.iter().copied().map(As).collect() })
}

pub(super) fn revoke(bytes: &[u8]) -> Result<Frame, FrameError> {
    const NAME: &str = "revoke";
    let body: RevokeV1 = read(NAME, bytes)?;
    at_most(NAME, "keys", body.consumer_keys.len(), MAX_REVOKED)?;
    Ok(Frame::Revoke(Revoke { consumer_keys: body.consumer_keys.into_iter().map(|key| key.0).collect() }))
}

pub(super) fn ping_text(applied: Option<Head>) -> String {
    tagged("ping", &PingV1 { applied: applied.map(head_v1) })
}

pub(super) fn ping(bytes: &[u8]) -> Result<Frame, FrameError> {
    const NAME: &str = "ping";
    let body: PingV1 = read(NAME, bytes)?;
    Ok(Frame::Ping { applied: optional_head(NAME, body.applied)? })
}

pub(super) fn pong_text() -> String {
    tagged("pong", &PongV1 {})
}

pub(super) fn bye_text(bye: Bye) -> String {
    tagged("bye", &ByeV1 { code: bye.code.as_u16(), retry_after_ms: bye.retry_after.map(millis) })
}

/// A code that this version does not know means no more than that the peer goes away.
pub(super) fn bye(bytes: &[u8]) -> Result<Frame, FrameError> {
    let body: ByeV1 = read("bye", bytes)?;
    Ok(Frame::Bye(Bye {
        code: ByeCode::from_u16(body.code).unwrap_or(ByeCode::GoingAway),
        retry_after: body.retry_after_ms.map(|wait| Duration::from_millis(wait.min(MAX_RETRY_MS))),
    }))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
