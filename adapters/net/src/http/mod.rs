//! An HTTP/1.1 server for the control side and the operators' endpoints: hyper under our own accept loop, deadlines, TLS
//! and drain. `axum::serve` has none of these.
//!
//! Always: every phase of a connection but the handler's own work has a deadline; a drain finishes running requests and
//! closes idle connections at once. Not here: routing, limits on bodies, the edge (`adapters/http-edge`).

mod connection;
mod io;
mod phase;
mod server;
mod service;

pub use self::{
    server::{HttpLimits, HttpListener, serve_http},
    service::{Encrypted, PeerAddr},
};
