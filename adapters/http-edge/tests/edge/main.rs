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
mod client_certs;
mod client_tls;
mod compression;
mod connecting;
mod credentials;
mod decompression;
mod edits;
mod exchange;
mod faults;
mod front_door;
mod grpc;
mod harness;
mod harness_content;
mod harness_http2;
mod harness_http2_upstream;
mod harness_tls;
mod hedging;
mod hostile;
mod http2;
mod http2_ends;
mod http2_rules;
mod http2_upstream;
mod http2_upstream_faults;
mod http2_websocket;
mod kept_bodies;
mod lifecycle;
mod limits;
mod malformed;
mod mirrors;
mod mutants;
mod observe;
mod preference;
mod probes;
mod refusals;
#[path = "../../../../testkit/fuzz/src/replay.rs"]
mod replay;
mod resilience;
mod retries;
mod routing;
mod shared_limits;
mod streaming;
mod strict;
mod timeouts;
mod tls;
mod upstream_tls;
mod websocket;
mod websocket_ends;
mod whole_path;
