//! `/health`, `/ready`, `/metrics` and `/status` of both programs, for operators and orchestrators, and the question that a
//! container's health check asks.
//!
//! Always on an address of its own, loopback by default: none of it is for the public. Not here: what is healthy (the
//! programs), what is measured (`adapters/telemetry`).

mod check;
mod router;

pub use self::{
    check::{NotReady, check_ready},
    router::{OpsSource, router},
};
