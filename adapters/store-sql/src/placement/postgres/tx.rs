//! One transaction on one pooled connection, over the platform's tables and at most one tenant's.
//!
//! Always: a connection goes back to the pool only after the server has answered to its COMMIT or ROLLBACK. One that is
//! dropped in any other state (a future that is cancelled, a panic) is closed, so that no role, path, lock or open
//! transaction reaches the next user. A failed statement ends the transaction at once. Not here: where transactions begin.

use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::postgres::{PgArguments, PgRow};
use sea_orm::sqlx::{self, Arguments as _, AssertSqlSafe, Postgres};
use sea_orm::{DbErr, ExecResult, QueryResult, RuntimeErr, SqlxError, Statement, Values};
use sea_query_sqlx::SqlxValues;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::texts;
use crate::error::StoreError;

/// Whose tables a statement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The platform's.
    Platform,
    /// The tenant's.
    Tenant,
}

/// A pooled connection that is closed when it is dropped, unless it has been given back.
pub(super) struct Lease(Option<PoolConnection<Postgres>>);

/// A transaction that runs.
pub(crate) struct PgTx {
    // Nothing once it has ended, and while a statement runs: whoever is dropped with the connection in hand closes it.
    running: Mutex<Option<Running>>,
    named: bool,
}

struct Running {
    lease: Lease,
    side: Side,
    entry: Entry,
}

/// How the tenant's side is entered.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// For the first time, when that is another way.
    pub(super) first: Option<String>,
    /// From then on.
    pub(super) again: String,
}

/// Parameters of a statement that are arrays.
#[derive(Default)]
pub(crate) struct Arrays(PgArguments);

impl Arrays {
    /// Adds an array of ids.
    pub(crate) fn ids(&mut self, values: Vec<Option<Uuid>>) -> Result<(), StoreError> {
        self.0.add(values).map_err(unencodable)
    }

    /// Adds an array of numbers.
    pub(crate) fn numbers(&mut self, values: Vec<Option<i64>>) -> Result<(), StoreError> {
        self.0.add(values).map_err(unencodable)
    }

    /// Adds an array of texts.
    pub(crate) fn texts(&mut self, values: Vec<Option<String>>) -> Result<(), StoreError> {
        self.0.add(values).map_err(unencodable)
    }
}

fn unencodable(cause: sqlx::error::BoxDynError) -> StoreError {
    StoreError::Server(SqlxError::Encode(cause))
}

impl Lease {
    pub(super) const fn of(connection: PoolConnection<Postgres>) -> Self {
        Self(Some(connection))
    }

    /// Runs statements of ours without parameters; answers all rows.
    pub(super) async fn run(&mut self, sql: String) -> Result<Vec<PgRow>, SqlxError> {
        sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(self.connection()?).await
    }

    /// Ends a transaction whose statement has failed and gives the connection back; one that does not answer is closed.
    pub(super) async fn abort(mut self) {
        if self.run("ROLLBACK".to_owned()).await.is_ok() {
            self.give_back();
        }
    }

    /// Back into the pool: nothing is open on it.
    pub(super) fn give_back(mut self) {
        drop(self.0.take());
    }

    fn connection(&mut self) -> Result<&mut sqlx::PgConnection, SqlxError> {
        self.0.as_deref_mut().ok_or(SqlxError::PoolClosed)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(mut connection) = self.0.take() {
            connection.close_on_drop();
        }
    }
}

impl PgTx {
    /// A transaction that has been begun on `lease` and stands on `side`. `named` says whether statements are prepared by
    /// name, for repeated use.
    pub(super) fn begun(lease: Lease, side: Side, entry: Entry, named: bool) -> Self {
        Self { running: Mutex::new(Some(Running { lease, side, entry })), named }
    }

    pub(crate) async fn execute(&self, side: Side, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut slot = self.running.lock().await;
        let mut running = on(&mut slot, side).await.map_err(exec)?;
        let outcome = self.query(statement).execute(running.lease.connection().map_err(exec)?).await;
        Ok(settle(&mut slot, running, outcome).await.map_err(exec)?.into())
    }

    pub(crate) async fn query_one(&self, side: Side, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut slot = self.running.lock().await;
        let mut running = on(&mut slot, side).await.map_err(query)?;
        let outcome = self.query(statement).fetch_optional(running.lease.connection().map_err(query)?).await;
        Ok(settle(&mut slot, running, outcome).await.map_err(query)?.map(QueryResult::from))
    }

    pub(crate) async fn query_all(&self, side: Side, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut slot = self.running.lock().await;
        let mut running = on(&mut slot, side).await.map_err(query)?;
        let outcome = self.query(statement).fetch_all(running.lease.connection().map_err(query)?).await;
        Ok(settle(&mut slot, running, outcome).await.map_err(query)?.into_iter().map(QueryResult::from).collect())
    }

    pub(crate) async fn execute_arrays(&self, side: Side, sql: &str, arrays: Arrays) -> Result<(), SqlxError> {
        let mut slot = self.running.lock().await;
        let mut running = on(&mut slot, side).await?;
        let statement = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arrays.0).persistent(self.named);
        let outcome = statement.execute(running.lease.connection()?).await;
        settle(&mut slot, running, outcome).await.map(drop)
    }

    /// Waits until no other transaction writes to a table, and keeps it so.
    pub(crate) async fn exclude_writers(&self, side: Side, table: &'static str) -> Result<(), SqlxError> {
        let mut slot = self.running.lock().await;
        let mut running = on(&mut slot, side).await?;
        let outcome = running.lease.run(format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")).await;
        settle(&mut slot, running, outcome).await.map(drop)
    }

    pub(crate) async fn commit(&self) -> Result<(), SqlxError> {
        self.finish("COMMIT").await
    }

    pub(crate) async fn end(&self) -> Result<(), SqlxError> {
        self.finish("ROLLBACK").await
    }

    async fn finish(&self, how: &'static str) -> Result<(), SqlxError> {
        let mut running = self.running.lock().await.take().ok_or_else(ended)?;
        running.lease.run(how.to_owned()).await?;
        running.lease.give_back();
        Ok(())
    }

    fn query(&self, statement: Statement) -> sqlx::query::Query<'static, Postgres, SqlxValues> {
        let values = statement.values.unwrap_or_else(|| Values(Vec::new()));
        sqlx::query_with(AssertSqlSafe(statement.sql), SqlxValues(values)).persistent(self.named)
    }
}

impl Running {
    fn way_to(&mut self, side: Side) -> String {
        match side {
            Side::Platform => texts::LEAVE.to_owned(),
            Side::Tenant => self.entry.first.take().unwrap_or_else(|| self.entry.again.clone()),
        }
    }
}

/// Takes the connection out, on the wanted side.
async fn on(slot: &mut Option<Running>, side: Side) -> Result<Running, SqlxError> {
    let mut running = slot.take().ok_or_else(ended)?;
    if running.side == side {
        return Ok(running);
    }
    let way = running.way_to(side);
    let outcome = running.lease.run(way).await;
    running.side = side;
    keep(running, outcome).await.map(|(running, _)| running)
}

/// Puts the connection back after a statement.
async fn settle<T>(
    slot: &mut Option<Running>,
    running: Running,
    outcome: Result<T, SqlxError>,
) -> Result<T, SqlxError> {
    let (running, value) = keep(running, outcome).await?;
    *slot = Some(running);
    Ok(value)
}

/// A statement that the server has refused ends the transaction; any other failure closes the connection.
async fn keep<T>(running: Running, outcome: Result<T, SqlxError>) -> Result<(Running, T), SqlxError> {
    match outcome {
        Ok(value) => Ok((running, value)),
        Err(error) => {
            if matches!(error, SqlxError::Database(_)) {
                running.lease.abort().await;
            }
            Err(error)
        }
    }
}

/// Only a defect of ours goes on with a transaction that has ended.
fn ended() -> SqlxError {
    SqlxError::Protocol("the transaction has ended already".to_owned())
}

fn exec(error: SqlxError) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}

fn query(error: SqlxError) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}
