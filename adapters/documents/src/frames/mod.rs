//! The JSON form of `novagate.sync.v1`: one object per frame, told apart by `type`.
//!
//! Always: unknown fields are passed over; an unknown type is skipped when it says `"optional": true` and refused otherwise;
//! every list, text and number is bounded before it is kept; a config object's body is carried byte for byte.
//! Not here: who may send what and when (`domain/sync`), sockets, compression.

mod batch;
mod control;
mod head;
mod objects;
mod telemetry;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use novagate_kernel::BatchKind;
use novagate_sync::Frame;
use serde::{Deserialize, Serialize};

pub use self::{
    batch::MAX_BATCH_RECORDS,
    telemetry::{JsonBatchCodec, MAX_HEALTH_SERVICES, MAX_TEMPLATE_BYTES, MAX_WINDOW_ROWS, decode_batch, encode_batch},
};

/// The WebSocket sub-protocol.
pub const SUB_PROTOCOL: &str = "novagate.sync.v1";

/// The longest frame that is read: a snapshot of the largest configuration a plan allows, with room.
pub const MAX_FRAME_BYTES: usize = 96 * 1024 * 1024;

/// The longest frame that a node may send; nodes send no configuration.
pub const MAX_NODE_FRAME_BYTES: usize = 8 * 1024 * 1024;

/// What bytes turned out to be.
#[expect(clippy::large_enum_variant, reason = "almost every value is the large one, and it is taken apart at once")]
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    /// A frame.
    Frame(Frame),
    /// A frame of a type this version does not know and need not know.
    Skipped,
}

/// Why bytes are not a frame. It never repeats them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Over the limit.
    #[error("the frame is longer than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// Not an object with a `type`.
    #[error("not a JSON object with a type")]
    NotAFrame,
    /// A type this version does not know, which the peer says is needed.
    #[error("a frame of an unknown type")]
    UnknownType,
    /// A field is missing, mistyped or out of its bounds.
    #[error("a malformed {frame} frame at line {line} column {column}")]
    Malformed {
        /// The frame's type.
        frame: &'static str,
        /// Line in the frame, from 1; 0: the whole.
        line: usize,
        /// Column in the line.
        column: usize,
    },
    /// More of something than a frame may hold.
    #[error("a {frame} frame with more than {limit} {what}")]
    TooMany {
        /// The frame's type.
        frame: &'static str,
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The announced digest does not hold, or an object occurs twice.
    #[error("a snapshot whose digest does not hold")]
    Digest,
}

/// What every frame begins with.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default)]
    optional: bool,
}

/// The text of a frame. A config object whose body is not JSON travels as `null`, so that its digest does not hold and the
/// node refuses it; a telemetry body that has no `records` travels as an empty list.
pub fn encode(frame: &Frame) -> String {
    match frame {
        Frame::Hello(hello) => control::hello_text(hello),
        Frame::Welcome(welcome) => control::welcome_text(*welcome),
        Frame::Snapshot(config) => objects::snapshot_text(config),
        Frame::Delta(delta) => objects::delta_text(delta),
        Frame::Ack(ack) => control::ack_text(*ack),
        Frame::Nack(nack) => control::nack_text(nack),
        Frame::Batch(batch) => batch::batch_text(batch),
        Frame::Received { boot, batch_seq } => batch::received_text(*boot, *batch_seq),
        Frame::Revoke(revoke) => control::revoke_text(revoke),
        Frame::Ping { applied } => control::ping_text(*applied),
        Frame::Pong => control::pong_text(),
        Frame::Bye(bye) => control::bye_text(*bye),
    }
}

/// Reads a frame.
pub fn decode(bytes: &[u8]) -> Result<Decoded, FrameError> {
    if bytes.len() > MAX_FRAME_BYTES {
        return Err(FrameError::TooLarge { limit: MAX_FRAME_BYTES });
    }
    let envelope: Envelope<'_> = serde_json::from_slice(bytes).map_err(|_| FrameError::NotAFrame)?;
    let frame = match envelope.kind.as_ref() {
        "hello" => control::hello(bytes)?,
        "welcome" => control::welcome(bytes)?,
        "snapshot" => objects::snapshot(bytes)?,
        "delta" => objects::delta(bytes)?,
        "ack" => control::ack(bytes)?,
        "nack" => control::nack(bytes)?,
        "received" => batch::received(bytes)?,
        "revoke" => control::revoke(bytes)?,
        "ping" => control::ping(bytes)?,
        "pong" => Frame::Pong,
        "bye" => control::bye(bytes)?,
        word => match BatchKind::parse(word) {
            Some(kind) => batch::batch(kind, bytes)?,
            None if envelope.optional => return Ok(Decoded::Skipped),
            None => return Err(FrameError::UnknownType),
        },
    };
    Ok(Decoded::Frame(frame))
}

/// `{"type":kind,...fields of body}`.
fn tagged(kind: &str, body: &impl Serialize) -> String {
    let fields = serde_json::to_string(body).unwrap_or_default();
    let fields = fields.strip_prefix('{').unwrap_or("}");
    let comma = if fields == "}" { "" } else { "," };
    format!("{{\"type\":\"{kind}\"{comma}{fields}")
}

fn read<'a, T: Deserialize<'a>>(frame: &'static str, bytes: &'a [u8]) -> Result<T, FrameError> {
    serde_json::from_slice(bytes).map_err(|error| FrameError::Malformed {
        frame,
        line: error.line(),
        column: error.column(),
    })
}

const fn malformed(frame: &'static str) -> FrameError {
    FrameError::Malformed { frame, line: 0, column: 0 }
}

const fn at_most(frame: &'static str, what: &'static str, count: usize, limit: usize) -> Result<(), FrameError> {
    if count > limit { Err(FrameError::TooMany { frame, what, limit }) } else { Ok(()) }
}
