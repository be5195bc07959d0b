//! The node's end: dials, says hello, stages what it is given, keeps telemetry until it is confirmed.
//!
//! **Invariant:** only a configuration whose digest holds is staged, one at a time, forwards only, and none that this boot
//! has refused. Whatever the control plane does, what is served stays served. Not here: sockets, compiling, disks.

mod config;
mod effect;
mod link;
mod machine;

#[cfg(test)]
mod tests;

pub use self::{
    effect::{DialFailure, NodeEffect, NodeIdentity, StageOutcome},
    machine::NodeMachine,
};
