//! The hub's end of one session: greets, brings the node to the newest revision, takes its telemetry.
//!
//! **Invariant:** one config frame is in flight and the latest wins; a digest that this boot has refused is not sent to it;
//! telemetry is stored in the order of its numbers and confirmed only when it is committed. Not here: who may connect, which
//! sessions there are, storage, sockets.

mod config;
mod effect;
mod intake;
mod machine;

#[cfg(test)]
mod tests;

pub use self::{
    effect::{ConfigOffer, HubEffect, SessionIdentity},
    machine::HubMachine,
};
