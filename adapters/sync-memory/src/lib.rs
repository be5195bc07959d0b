//! The sync link inside one process: for a gateway and a control plane in one program, and for tests.
//!
//! Always: frames arrive whole, in order and as they were sent; both directions are bounded, so a slow reader slows its
//! writer. A test can cut every connection at once. Not here: encoding (nothing is encoded), authentication (the listener
//! hands the presented key on).

mod connection;
mod network;

pub use self::{
    connection::pair,
    network::{Incoming, MemoryDialer, MemoryListener, MemoryNetwork},
};
