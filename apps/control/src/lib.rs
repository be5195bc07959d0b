//! The control plane as a program: which adapter stands behind which port.
//!
//! Not here: protocol logic, SQL, handlers. `novagate-control` and `novagate dev` both start it from here.

mod between;
mod error;
mod ops;
mod serve;
mod storage;
mod throttle;
mod tls;
mod wiring;

pub use self::{
    error::StartError,
    serve::{RunningControl, start},
    storage::{Migration, migrate},
    wiring::{Built, World, build},
};
