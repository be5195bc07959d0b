//! What users, operators and attackers see of the real binaries.
//!
//! One executable: every module talks to the same three programs. `promise_<id>_...` are the sentences of the security page.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail like tests: by panicking"
)]

mod api;
mod banner;
mod corruption;
mod credentials;
mod denial;
mod differential;
mod edge_tls;
mod edge_tokens;
mod edits;
mod erasure;
mod faults;
mod file_node;
mod first_run;
mod fleet;
mod floods;
mod gateway_api;
mod handover;
mod http2;
mod images;
mod large_bodies;
mod leaks;
mod main_job;
mod page;
mod readiness;
mod registration;
mod resilience;
mod revocation;
mod settings;
mod several_nodes;
mod soak;
mod survival;
mod sync_link;
mod tracing_ids;
mod websockets;
