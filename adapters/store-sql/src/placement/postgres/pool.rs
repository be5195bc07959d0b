//! The connections of one login, and how a transaction is begun on one.
//!
//! Always: getting a connection and beginning on it have deadlines of seconds; a connection that turns out to be dead while
//! a transaction is begun is replaced by another one, since nothing has been done on it. Not here: what is begun.

use std::time::Duration;

use sea_orm::SqlxError;
use sea_orm::sqlx::ConnectOptions as _;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};

use super::PostgresSettings;
use super::tx::Lease;
use crate::error::StoreError;

/// How many statements a connection keeps prepared.
const STATEMENTS: usize = 100;

/// A backend keeps what it has learned of every tenant it has served; it is replaced before that becomes much.
const LIFETIME: Duration = Duration::from_mins(10);

/// A connection that nobody has used for so long is closed.
const IDLE: Duration = Duration::from_mins(2);

/// Connections of one login.
pub(super) struct Pool {
    connections: PgPool,
    attempts: u32,
    begin_timeout: Duration,
}

/// Reads a URL. The error never repeats it.
pub(super) fn options_of(url: &str) -> Result<PgConnectOptions, StoreError> {
    let options: PgConnectOptions =
        url.parse().map_err(|_quoting| StoreError::Misuse("the URL of the database cannot be read"))?;
    // Poolers refuse parameters they do not know, and no number with a fraction is ever read.
    let options = options.extra_float_digits(None).statement_cache_capacity(STATEMENTS).application_name("novagate");
    Ok(options.disable_statement_logging())
}

impl Pool {
    /// Connects when a connection is first needed.
    pub(super) fn lazy(options: PgConnectOptions, settings: &PostgresSettings) -> Self {
        let connections = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.acquire_timeout)
            .idle_timeout(IDLE)
            .max_lifetime(LIFETIME)
            .test_before_acquire(false)
            .connect_lazy_with(options);
        Self {
            connections,
            attempts: settings.max_connections.saturating_add(1),
            begin_timeout: settings.acquire_timeout,
        }
    }

    /// Runs statements that begin a transaction; answers the connection and the rows. When the server refuses them, nothing
    /// is left begun.
    pub(super) async fn begin(&self, sql: &str) -> Result<(Lease, Vec<PgRow>), StoreError> {
        let mut attempt = 1;
        loop {
            match self.try_begin(sql).await {
                Err(error) if error.is_lost_connection() && attempt < self.attempts => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    pub(super) async fn close(&self) {
        self.connections.close().await;
    }

    async fn try_begin(&self, sql: &str) -> Result<(Lease, Vec<PgRow>), StoreError> {
        let mut lease = Lease::of(self.connections.acquire().await?);
        let begun = tokio::time::timeout(self.begin_timeout, lease.run(sql.to_owned())).await;
        match begun.map_err(|_| StoreError::Deadline)? {
            Ok(rows) => Ok((lease, rows)),
            Err(error) => {
                if matches!(error, SqlxError::Database(_)) {
                    lease.abort().await;
                }
                Err(error.into())
            }
        }
    }
}
