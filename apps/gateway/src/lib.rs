//! The gateway as a program: which adapter stands behind which port, and in which order it starts and stops.
//!
//! Traffic runs on the workers' own threads (`adapters/http-edge`); everything here runs on the control thread: the link to
//! the control plane, compilation, records, operators' paths. Not here: protocol logic, decisions about requests.

mod error;
mod file;
mod fleet;
mod link;
mod manager;
mod ops;
mod plane;
mod serve;

pub use self::{
    error::StartError,
    serve::{RunningGateway, start},
};
