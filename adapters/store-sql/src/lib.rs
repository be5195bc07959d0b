//! The control plane's storage in SQL, written once for every backend: statements know tables, a placement knows where a
//! tenant's tables lie. Beside it, wake-ups between control nodes over PostgreSQL.
//!
//! **Invariant:** a tenant's tables are reached only through a transaction made from its `TenantScope`, at one place
//! (`placement`); dropped futures leave nothing behind. Not here: the tables themselves (`migrations`), what a valid
//! configuration is (`domain/policies`).

// The material of tests names this crate from outside.
#[cfg(test)]
extern crate self as novagate_store_sql;

mod bus;
mod error;
mod pages;
mod placement;
mod platform;
mod ports;
mod store;
mod tenant;
mod values;

pub use self::{
    bus::{PgBus, PgBusSettings, PgPresence},
    placement::{MigrationReport, PostgresOwner, PostgresSettings, SqliteSettings, StorageStatus, TenantsAt},
    store::SqlStore,
};
