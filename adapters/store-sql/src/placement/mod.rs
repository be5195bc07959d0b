//! Where the platform's tables and each tenant's tables lie, and the one place where a tenant's are entered.
//!
//! Always: a [`TenantTx`] is made here and nowhere else, from a [`TenantScope`]; whatever runs on it sees that tenant's
//! tables only. A second placement brings its own [`Placement`], not its own statements. Not here: statements.

mod postgres;
mod sqlite;
mod tx;

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{Head, TenantId, Timestamp};

pub(crate) use self::{
    postgres::{Arrays, DayTable, PostgresPlacement},
    sqlite::SqlitePlacement,
    tx::{BothTx, PlatformTx, TenantTx},
};
pub use self::{
    postgres::{MigrationReport, PostgresOwner, PostgresSettings, StorageStatus, TenantsAt},
    sqlite::SqliteSettings,
};
use crate::error::{PlatformError, StoreError};

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It only reads.
    Read,
    /// It may write.
    Write,
    /// It writes what can be worked out again, so it need not survive a power failure.
    Derive,
}

/// Where tables lie.
///
/// Contract: a transaction that is dropped before it ended leaves nothing behind, neither in the tables nor on the
/// connection that the next caller gets.
#[async_trait]
pub(crate) trait Placement: Send + Sync + 'static {
    /// A transaction over the platform's tables.
    async fn platform(&self, mode: Mode) -> Result<PlatformTx, PlatformError>;

    /// A transaction over one tenant's tables; `None` when the tenant is gone.
    async fn tenant(&self, scope: &TenantScope, mode: Mode) -> Result<Option<TenantTx>, StoreError>;

    /// A writing transaction over one tenant's tables that moves its head to `head`; `None` when the tenant is gone. Where
    /// the platform's tables can be written in the same transaction, its copy of the head and its pending update are.
    async fn edit(&self, scope: &TenantScope, head: Head, at: Timestamp) -> Result<Option<TenantTx>, StoreError>;

    /// A writing transaction over both; `None` when the tenant is gone.
    async fn both(&self, scope: &TenantScope) -> Result<Option<BothTx>, StoreError>;

    /// A writing transaction over the platform's tables and the empty tables of a tenant that comes into being with its
    /// commit.
    async fn create(&self, scope: &TenantScope) -> Result<BothTx, StoreError>;

    /// The tenant's head has moved: brings the platform's copy of it and its pending update up to date, as far as the
    /// commit itself has not.
    async fn note_head(&self, scope: &TenantScope, head: Head, at: Timestamp) -> Result<(), PlatformError>;

    /// Makes the erasure of a tenant part of a transaction: with its commit, or from here on, only the whole erasure is
    /// possible.
    async fn announce_erasure(&self, tx: &PlatformTx, scope: &TenantScope) -> Result<(), StoreError>;

    /// Removes a tenant's tables, after its platform rows.
    async fn remove(&self, scope: &TenantScope) -> Result<(), StoreError>;

    /// Makes room for rows of these days, counted from 1970, where a table is divided by days.
    async fn prepare_days(&self, scope: &TenantScope, table: DayTable, days: &[i32]) -> Result<(), StoreError>;

    /// A row met a day without room: what is known of a tenant's days is wrong.
    fn forget_days(&self, scope: &TenantScope);

    /// Removes one whole day of one table that is older than `before`; answers how many rows went, `None` when there is
    /// none, or tables are not divided.
    async fn retire_day(&self, scope: &TenantScope, before: Timestamp) -> Result<Option<u64>, StoreError>;

    /// What an error calls the tenant's tables.
    fn tenant_place(&self, tenant: TenantId) -> String;

    /// What an error calls the platform's tables.
    fn platform_place(&self) -> String;

    /// Closes every connection.
    async fn close(&self);
}
