//! The REST API in process: the router over the real use cases and the stores in memory.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod access;
mod bodies;
mod conditions;
mod configs;
mod envelope;
mod faults;
mod first_posts;
mod pages;
mod posts;
mod world;
