//! The gateway's data directory: its lock, the node's id, two snapshot slots and the journal of revoked keys.
//!
//! Always: what a call has returned from survives a power loss; a damaged file is set aside and reported, never fatal; files
//! are readable by their owner only. Not here: when to save (`apps/edge-core`), what an object means.

mod data_dir;
mod journal;
mod slot;
mod snapshots;

pub use self::{
    data_dir::{DataDir, DataDirError},
    snapshots::DiskSnapshots,
};
