//! The frames of `novagate.sync.v1`, as values. Their JSON form is `adapters/documents`, module `frames`.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use novagate_kernel::{BatchKind, BootId, Digest, Epoch, Head, NodeId, ObjectRef, SessionId, TenantId};

use crate::{ConfigSet, Delta};

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Node: who I am and what I serve. First frame after the upgrade.
    Hello(Hello),
    /// Hub: the answer to hello.
    Welcome(Welcome),
    /// Hub: a whole configuration.
    Snapshot(ConfigSet),
    /// Hub: a difference.
    Delta(DeltaFrame),
    /// Node: this revision is serving.
    Ack(Ack),
    /// Node: this revision was refused.
    Nack(Nack),
    /// Node: telemetry.
    Batch(BatchFrame),
    /// Hub: everything up to `batch_seq` of that boot is committed.
    Received {
        /// Which run of the node.
        boot: BootId,
        /// The highest committed batch.
        batch_seq: u64,
    },
    /// Hub: consumer keys that stop working at once, ahead of any config frame.
    Revoke(Revoke),
    /// Both: are you there?
    Ping {
        /// What the node serves; `None` from the hub or before the first revision.
        applied: Option<Head>,
    },
    /// Both: the answer to ping.
    Pong,
    /// Both: orderly end.
    Bye(Bye),
}

impl Frame {
    /// The frame's type, for logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Welcome(_) => "welcome",
            Self::Snapshot(_) => "snapshot",
            Self::Delta(_) => "delta",
            Self::Ack(_) => "ack",
            Self::Nack(_) => "nack",
            Self::Batch(batch) => batch.kind.as_str(),
            Self::Received { .. } => "received",
            Self::Revoke(_) => "revoke",
            Self::Ping { .. } => "ping",
            Self::Pong => "pong",
            Self::Bye(_) => "bye",
        }
    }
}

/// A difference, shared between the sessions it is sent to.
pub type DeltaFrame = std::sync::Arc<Delta>;

/// First frame of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The installation.
    pub node: NodeId,
    /// This run of it.
    pub boot: BootId,
    /// Program and version, as `novagate-gateway/0.1.0`; at most 64 visible ASCII characters.
    pub build: String,
    /// Optional abilities of this build.
    pub features: Vec<String>,
    /// The operator's labels (`NODE_LABELS`); at most 16.
    pub labels: BTreeMap<String, String>,
    /// What it serves.
    pub applied: Option<Head>,
    /// The newest revision this boot refused, which must not be sent again.
    pub refused: Option<Refused>,
}

/// A revision that a boot has refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Which revision with which content.
    pub head: Head,
}

/// The hub's answer to hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Welcome {
    /// This connection.
    pub session: SessionId,
    /// Whose node it is.
    pub tenant: TenantId,
    /// How often both ends ping.
    pub heartbeat: Duration,
    /// What follows.
    pub mode: SyncMode,
}

/// What config frame follows a welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    /// None: the node serves the newest revision.
    Current,
    /// A delta.
    Delta,
    /// A snapshot.
    Snapshot,
}

impl SyncMode {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Delta => "delta",
            Self::Snapshot => "snapshot",
        }
    }
}

/// A revision is serving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// Which.
    pub head: Head,
    /// How long it took to compile, microseconds.
    pub compile_us: u64,
}

/// A revision was refused; what was serving before still is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nack {
    /// Which epoch.
    pub epoch: Epoch,
    /// Which position.
    pub seq: u64,
    /// The objects at fault; at most 64.
    pub objects: Vec<NackedObject>,
    /// What the node goes on serving.
    pub serving: Option<Head>,
}

/// An object that a node cannot compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NackedObject {
    /// Which.
    pub object: ObjectRef,
    /// Why, as a word.
    pub code: ObjectFaultCode,
    /// RFC 6901 pointer of the field.
    pub field: String,
}

/// A word for why an object was refused: lower-case letters and underscores, at most 64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectFaultCode(Box<str>);

impl ObjectFaultCode {
    /// Keeps what fits the alphabet; a foreign text becomes `unknown`.
    pub fn new(word: &str) -> Self {
        let fits = (1..=64).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        Self(if fits { word.into() } else { "unknown".into() })
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One telemetry batch; `records` is the encoded list, which this crate does not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchFrame {
    /// Which kind, which is also its frame type.
    pub kind: BatchKind,
    /// Which run of the node made it.
    pub boot: BootId,
    /// Position among the batches of that run, over all kinds, from 1.
    pub batch_seq: u64,
    /// The encoded body: a JSON object with `records` and, for logs, `routes`.
    pub body: Bytes,
    /// How many records it holds.
    pub records: u32,
}

/// Keys that stop working at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoke {
    /// SHA-256 digests of the consumer keys.
    pub consumer_keys: Vec<Digest>,
}

/// Orderly end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bye {
    /// Why.
    pub code: ByeCode,
    /// How long to stay away; wins over the node's own backoff.
    pub retry_after: Option<Duration>,
}

/// WebSocket close codes of the protocol (RFC 6455, section 7.4; 4000-4999 are ours).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByeCode {
    /// 1000: done.
    Normal,
    /// 1001: the process ends.
    GoingAway,
    /// 1002: a frame broke the protocol.
    ProtocolError,
    /// 1009: a frame was too large.
    TooLarge,
    /// 1013: too busy, come back.
    TryLater,
    /// 4001: the key is bad.
    KeyInvalid,
    /// 4002: hello came late.
    HelloLate,
    /// 4003: the key has been revoked.
    KeyRevoked,
    /// 4004: the tenant is suspended or erased.
    TenantSuspended,
    /// 4005: the same node id is connected elsewhere.
    Replaced,
}

impl ByeCode {
    /// Every code.
    pub const ALL: [Self; 10] = [
        Self::Normal,
        Self::GoingAway,
        Self::ProtocolError,
        Self::TooLarge,
        Self::TryLater,
        Self::KeyInvalid,
        Self::HelloLate,
        Self::KeyRevoked,
        Self::TenantSuspended,
        Self::Replaced,
    ];

    /// The close code.
    pub const fn as_u16(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::GoingAway => 1001,
            Self::ProtocolError => 1002,
            Self::TooLarge => 1009,
            Self::TryLater => 1013,
            Self::KeyInvalid => 4001,
            Self::HelloLate => 4002,
            Self::KeyRevoked => 4003,
            Self::TenantSuspended => 4004,
            Self::Replaced => 4005,
        }
    }

    /// The opposite of [`Self::as_u16`]; `None` for a code this version does not know.
    pub fn from_u16(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_u16() == code)
    }

    /// Whether the node must stop dialling quickly: the answer will be the same until its key changes.
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::KeyInvalid | Self::KeyRevoked | Self::TenantSuspended)
    }
}
