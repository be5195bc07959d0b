//! HTTP/1.1 as bytes: heads, fields, chunks and the buffers they arrive in.
//!
//! The strict half that faces clients is `novagate_framing`; what is here relies on heads that it let through. Not here:
//! sockets and time.

pub(crate) mod buffer;
pub(crate) mod chunks;
pub(crate) mod fields;
pub(crate) mod grammar;
pub(crate) mod names;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod websocket;
