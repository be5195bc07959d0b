//! Content codings (RFC 9110, section 8.4): what a client takes, what becomes of a response's fields, and the coding itself.
//!
//! Always: memory of a coding in use is bounded, whatever it is fed; bytes that are no content of a coding are an error and
//! never a panic. Not here: when bytes come and go (`exchange`), what a route wants (`novagate_routing`).

mod decoder;
mod encoder;
mod negotiation;
mod recoding;

pub(crate) use self::{
    decoder::{ContentDecoder, Decoding},
    encoder::{Encoder, Step},
    negotiation::{OFFERED, coding_of},
    recoding::{Compressing, Recoding, speaks_of_bytes},
};

/// Responses of one worker that are being compressed, and bodies of requests that are being decoded: what each of them can
/// take, docs/adr/0031 says.
pub(crate) const MAX_RUNNING: usize = 256;
