//! Opening one file. Always: one connection per pool, write-ahead log, foreign keys on, readable by the owner only, and
//! every wait bounded. Not here: which file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use sea_orm::sqlx::ConnectOptions as _;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr};
use sea_orm_migration::MigratorTrait;

use super::SqliteSettings;
use crate::error::StoreError;

/// Makes a file that only its owner can read, or opens it as it is. SQLite gives its companions the same rights.
pub(super) fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Makes the names in a directory durable.
pub(super) async fn sync_directory(path: &Path) -> Result<(), StoreError> {
    sync(path).await.map_err(StoreError::io("make a directory durable"))
}

/// Makes a file's content durable.
pub(super) async fn sync(path: &Path) -> io::Result<()> {
    tokio::fs::File::open(path).await?.sync_all().await
}

/// A pool of one connection over an existing file. `Full` survives a power failure with every commit, `Normal` and `Off`
/// a crash of this process only.
pub(super) async fn connect(
    path: &Path,
    synchronous: SqliteSynchronous,
    settings: &SqliteSettings,
) -> Result<DatabaseConnection, DbErr> {
    let file = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .foreign_keys(true)
        .busy_timeout(settings.busy_timeout)
        .pragma("trusted_schema", "OFF")
        .row_buffer_size(1_024)
        .disable_statement_logging();
    let mut options = ConnectOptions::new("sqlite::memory:");
    options
        .max_connections(1)
        .acquire_timeout(settings.acquire_timeout)
        .connect_timeout(settings.acquire_timeout)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |_| file.clone());
    Database::connect(options).await
}

/// Applies what is missing of a list of migrations; a file that is up to date is only read.
pub(super) async fn migrate<M: MigratorTrait>(db: &DatabaseConnection) -> Result<(), DbErr> {
    if M::get_pending_migrations_read_only(db).await?.is_empty() {
        return Ok(());
    }
    M::up(db, None).await
}
