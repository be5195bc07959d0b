//! Side-by-side measurements of the real programs: against nginx and `HAProxy` in interleaved rounds, and against goals.
//!
//! Always: every program is started here, on a free loopback port, in a directory that is removed, and is gone when the
//! value that holds it is dropped; every answer is checked; a number is only compared with one from the same run. Not here:
//! building the programs (`cargo xtask bench` does), tests.

mod codings;
mod cold_start;
mod config;
mod database;
mod edge;
mod gateway;
mod http;
mod ingest;
mod instructions;
mod latency;
mod limits;
mod lookup;
mod machine;
mod memory;
mod page;
mod peers;
mod process;
mod propagation;
mod report;
mod session;
mod size;
mod snapshot;
mod stats;
mod tenants;
mod training;
mod wait;
mod workspace;
mod wrk;

pub use self::{
    page::write_section,
    report::{Goal, Report},
    workspace::{Scope, repository_root},
};

pub use self::{
    codings::codings, cold_start::cold_start, edge::edge, ingest::ingest, instructions::instructions, latency::latency,
    limits::limits, lookup::lookup, memory::memory, propagation::propagation, size::size, tenants::tenants,
    training::training,
};
