//! The data plane of a gateway: HTTP/1.1 and HTTP/2 with clients and with upstreams, in clear or over TLS, one worker thread per core.
//!
//! A worker owns everything a request touches: its listener, runtime, upstream connections, caches, records and counters.
//! Shared are the configuration (one atomic load per request), the windows of rate limits, and what is known about the
//! health of targets. A request is one task: the bytes of both its connections pass through one state machine
//! (`exchange`), so that nothing is spawned, boxed or sent between tasks on its way.
//!
//! HTTP/1.1 is spoken here without a library: heads are forwarded as the bytes they came in, less what ends here and plus
//! what the gateway adds, so a request costs four system calls and hardly an allocation.
//!
//! Always: bytes of a client reach anything behind `novagate_framing` only when they are valid; every wait has a limit;
//! nothing a request carried is in its record. Not here: decisions (`novagate_routing`, `novagate_policies`), where
//! configurations come from, where records go. There is no way from here to the control plane.

mod accept;
mod addresses;
mod admission;
mod client;
mod client_cert;
mod connection;
mod content;
mod counting;
mod deadlines;
mod exchange;
mod generation;
mod grpc;
mod http2;
mod mirror;
mod observe;
mod options;
mod peer;
mod places;
mod refusal;
mod request_id;
mod server;
mod transport;
mod tunnel;
mod upstream;
mod wire;
mod worker;

pub use self::{
    counting::{Counters, ExactCounters},
    options::{EdgeOptions, EdgeSettings, EdgeTimeouts},
    server::{EdgeError, EdgeHandle, EdgeServer},
    upstream::tls::UpstreamTlsFiles,
};
