//! The control plane's ports.
//!
//! `inbound`: what the world may ask of it (called by `adapters/http-admin` and `adapters/sync-hub`, answered by
//! `apps/control-core`). `outbound`: what it needs (storage, bus, hashing, mail, tokens). **Invariant:** every method that
//! touches one tenant's data takes a [`novagate_access::TenantScope`] first. Not here: logic.

pub mod inbound;
pub mod outbound;

mod page;

pub use self::page::{Cursor, Page, PageRequest};
