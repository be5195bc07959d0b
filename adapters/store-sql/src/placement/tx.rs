//! Transactions. Always: made by a placement only; dropped means rolled back; statements run prepared, one at a time, so
//! that a second one cannot be smuggled in. Not here: what is stored.

use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, Statement};

use super::postgres::{Arrays, PgTx, Side};
use super::sqlite::{OpenFile, Publish};
use crate::error::StoreError;

/// A transaction over one tenant's tables.
pub(crate) struct TenantTx(Tx);

/// A transaction over the platform's tables.
pub(crate) struct PlatformTx(Tx);

/// A transaction over the platform's tables and one tenant's.
pub(crate) struct BothTx {
    // Fields are dropped in this order: transactions end before an unpublished file is removed.
    tenant: TenantTx,
    platform: PlatformTx,
    end: End,
}

/// How a transaction over both ends.
enum End {
    /// It is two transactions, over two files, one of which may still have to be published.
    Files(Option<Publish>),
    /// It is one transaction.
    One,
}

enum Tx {
    File {
        tx: DatabaseTransaction,
        // Keeps a tenant's file from being closed as unused while the transaction runs.
        _file: Option<Arc<OpenFile>>,
    },
    Server {
        tx: Arc<PgTx>,
        side: Side,
    },
}

impl TenantTx {
    pub(super) const fn in_file(tx: DatabaseTransaction, file: Arc<OpenFile>) -> Self {
        Self(Tx::File { tx, _file: Some(file) })
    }

    pub(super) const fn on_server(tx: Arc<PgTx>) -> Self {
        Self(Tx::Server { tx, side: Side::Tenant })
    }

    /// Makes everything durable.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        self.0.commit().await
    }

    /// Ends a transaction that has only read, or whose writes are not wanted.
    pub(crate) async fn end(self) -> Result<(), StoreError> {
        self.0.end().await
    }

    /// Keeps other writers of a table away until the transaction ends; where writers take turns anyway this does nothing.
    pub(crate) async fn exclude_writers(&self, table: &'static str) -> Result<(), StoreError> {
        match &self.0 {
            Tx::File { .. } => Ok(()),
            Tx::Server { tx, side } => Ok(tx.exclude_writers(*side, table).await?),
        }
    }

    /// Whether parameters can be arrays.
    pub(crate) const fn takes_arrays(&self) -> bool {
        matches!(self.0, Tx::Server { .. })
    }

    /// Runs a statement whose parameters are arrays.
    pub(crate) async fn execute_arrays(&self, sql: &str, arrays: Arrays) -> Result<(), StoreError> {
        match &self.0 {
            Tx::File { .. } => Err(StoreError::Misuse("SQLite has no arrays")),
            Tx::Server { tx, side } => Ok(tx.execute_arrays(*side, sql, arrays).await?),
        }
    }
}

impl PlatformTx {
    pub(super) const fn in_file(tx: DatabaseTransaction) -> Self {
        Self(Tx::File { tx, _file: None })
    }

    pub(super) const fn on_server(tx: Arc<PgTx>) -> Self {
        Self(Tx::Server { tx, side: Side::Platform })
    }

    /// Makes everything durable.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        self.0.commit().await
    }

    /// Ends a transaction that has only read, or whose writes are not wanted.
    pub(crate) async fn end(self) -> Result<(), StoreError> {
        self.0.end().await
    }
}

impl BothTx {
    pub(super) const fn in_files(tenant: TenantTx, platform: PlatformTx, publish: Option<Publish>) -> Self {
        Self { tenant, platform, end: End::Files(publish) }
    }

    pub(super) fn on_server(tx: PgTx) -> Self {
        let tx = Arc::new(tx);
        let tenant = TenantTx::on_server(Arc::clone(&tx));
        Self { tenant, platform: PlatformTx::on_server(tx), end: End::One }
    }

    /// The tenant's side.
    pub(crate) const fn tenant(&self) -> &TenantTx {
        &self.tenant
    }

    /// The platform's side.
    pub(crate) const fn platform(&self) -> &PlatformTx {
        &self.platform
    }

    /// Makes everything durable. Over two files the tenant's side is first, so that a crash in between leaves an audit entry
    /// or a tenant's storage without effect, never an effect without them.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        let Self { tenant, platform, end } = self;
        tenant.commit().await?;
        let End::Files(publish) = end else { return Ok(()) };
        if let Some(publish) = publish {
            publish.run().await?;
        }
        platform.commit().await
    }

    /// Ends it without writing anything.
    pub(crate) async fn end(self) -> Result<(), StoreError> {
        let Self { tenant, platform, end } = self;
        if let End::Files(_) = end {
            platform.end().await?;
        }
        tenant.end().await
    }
}

impl Tx {
    async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::File { tx, _file } => Ok(tx.commit().await?),
            Self::Server { tx, .. } => Ok(tx.commit().await?),
        }
    }

    async fn end(self) -> Result<(), StoreError> {
        match self {
            Self::File { tx, _file } => Ok(tx.rollback().await?),
            Self::Server { tx, .. } => Ok(tx.end().await?),
        }
    }
}

macro_rules! connection {
    ($name:ident) => {
        #[async_trait]
        impl ConnectionTrait for $name {
            fn get_database_backend(&self) -> DbBackend {
                match &self.0 {
                    Tx::File { .. } => DbBackend::Sqlite,
                    Tx::Server { .. } => DbBackend::Postgres,
                }
            }

            async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
                match &self.0 {
                    Tx::File { tx, .. } => tx.execute_raw(statement).await,
                    Tx::Server { tx, side } => tx.execute(*side, statement).await,
                }
            }

            async fn execute_unprepared(&self, _sql: &str) -> Result<ExecResult, DbErr> {
                Err(DbErr::BackendNotSupported { db: "store", ctx: "unprepared statements" })
            }

            async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
                match &self.0 {
                    Tx::File { tx, .. } => tx.query_one_raw(statement).await,
                    Tx::Server { tx, side } => tx.query_one(*side, statement).await,
                }
            }

            async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
                match &self.0 {
                    Tx::File { tx, .. } => tx.query_all_raw(statement).await,
                    Tx::Server { tx, side } => tx.query_all(*side, statement).await,
                }
            }
        }
    };
}

connection!(TenantTx);
connection!(PlatformTx);
