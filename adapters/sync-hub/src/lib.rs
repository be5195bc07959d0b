//! The control plane's end of the sync link: `GET /sync/v1`, the sessions of all connected gateways, and the loop that drives
//! `domain/sync`'s hub machine for each.
//!
//! Always: a key is decided about before the upgrade, and whose gateway it is comes from the verified key alone; queues are
//! bounded and a peer that does not read is closed and counted; a revoked key ends its sessions at once. Not here: the
//! protocol's rules (`domain/sync`), storage and decisions (`apps/control-core`), accepting sockets (`adapters/net`).

mod admission;
mod answers;
mod connection;
mod encoded;
mod hub;
mod jobs;
mod registry;
mod session;
mod upgrade;

#[cfg(test)]
mod transport_tests;

pub use self::{
    hub::{HubLimits, HubState, HubStats},
    session::serve_session,
    upgrade::router,
};
