//! The words every other crate speaks: typed ids, time, revisions, names and the registry of error codes.
//!
//! Always: a value of these types is valid by construction; an error says which rule broke and never repeats the input.
//! Not here: what the words are used for (`access`, `routing`, `policies`, `records`, `sync`).

mod codes;
mod hex;
mod ids;
mod name;
mod object;
mod revision;
mod telemetry;
mod time;

pub use self::{
    codes::ErrorCode,
    hex::{HexError, decode_hex, encode_hex},
    ids::{
        AuditId, BootId, ConsumerId, ConsumerKeyId, GatewayKeyId, IdError, LogId, NodeId, PlanId, RequestId, RouteId,
        ServiceId, SessionId, TenantId,
    },
    name::{Name, NameError},
    object::{ObjectKind, ObjectRef},
    revision::{Digest, Epoch, Head, Revision, RevisionError},
    telemetry::BatchKind,
    time::Timestamp,
};
