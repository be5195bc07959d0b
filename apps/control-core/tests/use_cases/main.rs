//! The use cases over the stores in memory: what callers of the inbound ports can rely on.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod applying;
mod editing;
mod keys;
mod maintenance;
mod recovery;
mod registration;
mod session;
mod several_nodes;
mod sync;
mod telemetry;
mod world;
