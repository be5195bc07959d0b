//! The one schema of everything that leaves a process: the config language, stored objects, sync frames, log lines,
//! notes between control nodes.
//!
//! Always: input of any size and shape is refused without a panic and without being repeated in the refusal; equal values
//! have equal bytes; the serde types are private to this crate's modules or plain bodies for OpenAPI, never domain types.
//! Not here: what the values mean (`domain/*`), where bytes go (the other adapters), HTTP.

pub mod bus;
pub mod config;
pub mod frames;
pub mod kept;
pub mod logs;
pub mod stored;
pub mod text;
pub mod time;

mod fault;
mod shape;
mod word;

#[cfg(test)]
mod golden;
