//! A gateway's link to the control plane: the WebSocket dialer, and the loop that drives `domain/sync`'s node machine.
//!
//! Always: every attempt presents the key as it is at that moment and ends within ten seconds; plain text goes to another
//! machine only where that was permitted; heartbeats go on while a configuration compiles; what is served is never touched
//! by what happens here. Not here: the protocol's rules (`domain/sync`), frames (`adapters/documents`), compiling
//! (`apps/edge-core`).

mod connection;
mod dialer;
mod driver;
mod link;
mod refusal;
mod status;

pub use self::{
    dialer::{Endpoint, InsecureEndpoint, KeySource, PlainText, WebSocketDialer},
    driver::NodeDriver,
    status::LinkStatus,
};
