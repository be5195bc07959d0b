//! What the data plane remembers: records of requests and numbers about them.
//!
//! Always: written by the worker that served the request, read by others when they like. Nothing here has room for what a
//! request carried.

pub(crate) mod cells;
pub(crate) mod ring;
pub(crate) mod totals;
