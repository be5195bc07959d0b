//! The use cases of the gateway: take a configuration into service, keep it over restarts, and turn request records into
//! telemetry.
//!
//! **Invariant:** whatever happens here, the request path goes on with the last good configuration. Not here: sockets, disks,
//! encodings, the request path itself (`adapters/http-edge` calls the domain directly).

mod cached;
mod counting;
mod edge;
mod names;
mod recorder;
mod status;

pub use self::{
    cached::{CacheWriter, CachedSnapshots},
    counting::FleetCounting,
    edge::{ColdStart, Edge, EdgeDeps},
    recorder::{Recorder, RecorderDeps},
    status::{ConfigSource, EdgeStatus},
};
