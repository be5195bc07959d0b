//! The tables of the control plane: one list of migrations for the platform's own data, one for each tenant's.
//!
//! Always: a migration runs in a transaction on every backend; a released one is never changed, only followed; changes are
//! additive (a control node of the version before goes on working); words are text with a CHECK, times are microseconds in
//! a bigint, and no table of a tenant has a tenant column: whose rows they are is decided by the schema or file they lie in.
//! Not here: entering a tenant (`adapters/store-sql`), rows that a program writes.

mod columns;
mod platform;
mod step;
mod tenant;

pub use self::{platform::PlatformMigrator, step::Step, tenant::TenantMigrator};
