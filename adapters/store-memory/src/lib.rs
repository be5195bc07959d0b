//! The control plane's ports in the memory of one process.
//!
//! [`MemoryStore`] is the reference for every store: correct and simple, nothing survives the process. [`MemoryBus`],
//! [`MemoryPresence`] and [`MemoryThrottle`] are what a single control node runs on: they take a bounded amount of memory
//! whatever the world sends. Always: a lock is held for one step and never across an await. Not here: anything that two
//! control nodes could share.

mod bus;
mod page;
mod presence;
mod store;
mod throttle;

pub use self::{bus::MemoryBus, presence::MemoryPresence, store::MemoryStore, throttle::MemoryThrottle};
