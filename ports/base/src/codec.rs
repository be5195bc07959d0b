//! The encoding of config objects: decided once by the control plane when an object is written, then carried as bytes.

use bytes::Bytes;
use novagate_kernel::ObjectKind;
use novagate_policies::ConfigObject;
use uuid::Uuid;

/// Why bytes are not a config object.
#[derive(Debug, thiserror::Error)]
#[error("{kind} body: {pointer}: {rule}")]
pub struct CodecError {
    /// What the bytes were said to be.
    pub kind: ObjectKind,
    /// RFC 6901 pointer of the offending field; empty for the whole.
    pub pointer: String,
    /// Which rule it breaks; never the value.
    pub rule: String,
}

/// Turns config objects into canonical bytes and back.
///
/// Contract: `decode(kind, id, encode(object)) == object`; equal objects have equal bytes on every machine and version;
/// `decode` tolerates unknown fields (a gateway may be two versions older than the control plane) and never panics.
pub trait ObjectCodec: Send + Sync + 'static {
    /// The canonical bytes of an object, without its id and times.
    fn encode(&self, object: &ConfigObject) -> Bytes;

    /// The object with this kind and id whose body these bytes are.
    fn decode(&self, kind: ObjectKind, id: Uuid, body: &[u8]) -> Result<ConfigObject, CodecError>;
}
