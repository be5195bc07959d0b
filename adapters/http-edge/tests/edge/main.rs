//! The data plane over real sockets: a started server, clients that write raw bytes, upstreams that answer by script.
//!
//! Nothing here sleeps: a test waits for bytes, or for a condition.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, helpers included"
)]

mod balancing;
mod chaos;
mod chaos_cuts;
mod client_tls;
mod credentials;
mod edits;
mod exchange;
mod faults;
mod front_door;
mod harness;
mod harness_http2;
mod http2;
mod http2_ends;
mod http2_rules;
mod lifecycle;
mod limits;
mod malformed;
mod mutants;
mod observe;
mod refusals;
mod resilience;
mod retries;
mod routing;
mod shared_limits;
mod streaming;
mod timeouts;
mod tls;
mod websocket;
mod websocket_ends;
mod whole_path;
