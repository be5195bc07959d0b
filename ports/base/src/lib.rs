//! What every port shares: how a port fails, time, randomness and the encoding of stored objects.
//!
//! Not here: any logic, and any port that only one of the two programs needs (`ports/control`, `ports/edge`).

mod codec;
mod fault;
mod world;

pub use self::{
    codec::{CodecError, ObjectCodec},
    fault::{BoxError, FaultKind, PortError},
    world::{Clock, Entropy, Pause},
};
