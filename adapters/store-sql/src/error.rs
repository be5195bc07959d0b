//! What can go wrong in storage, and what that means for the caller.
//!
//! Always: an error names the file or schema and the row's id, never a stored value. Not here: retries.

use std::fmt::Display;

mod postgres;
mod sqlite;

use novagate_ports_base::{FaultKind, PortError};
use sea_orm::sqlx::error::DatabaseError;
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr, SqlxError};

/// A stored value that this version cannot read.
#[derive(Debug, thiserror::Error)]
#[error("unreadable value in {table}.{column} of row {row}")]
pub(crate) struct CorruptRow {
    table: &'static str,
    column: &'static str,
    row: String,
}

impl CorruptRow {
    /// Says where the value stands; `row` is an id or another key without content.
    pub(crate) fn at(table: &'static str, column: &'static str, row: impl Display) -> Self {
        Self { table, column, row: row.to_string() }
    }
}

/// A failed step of a store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database refused or did not answer.
    #[error("the database failed")]
    Db(#[from] DbErr),
    /// The database server refused or did not answer, outside a statement of the object mapper.
    #[error("the database failed")]
    Server(#[from] SqlxError),
    /// The tables are not those that this version works with.
    #[error(transparent)]
    Schema(#[from] SchemaFault),
    /// A row cannot be read.
    #[error("a row cannot be read")]
    Row(#[from] CorruptRow),
    /// The file system failed.
    #[error("could not {step}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A provisioned tenant's file is not there.
    #[error("the file of a provisioned tenant is missing")]
    Missing,
    /// A provisioned tenant's schema or role is not there.
    #[error("the schema or the role of a provisioned tenant is missing")]
    NoSchema,
    /// The tenant has been erased, or never existed.
    #[error("the tenant is gone")]
    Gone,
    /// The caller broke the port's contract.
    #[error("{0}")]
    Misuse(&'static str),
    /// The deadline of the whole call passed.
    #[error("no answer within the deadline")]
    Deadline,
    /// It happened in the platform's tables, during work for a tenant.
    #[error("in the platform's tables")]
    Platform(#[source] Box<StoreError>),
}

/// Tables of another version.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum SchemaFault {
    /// Migrated by a newer program.
    #[error("the schema has version {found}; this program knows versions up to {known}")]
    Newer {
        /// The version found.
        found: i64,
        /// The newest version known.
        known: i64,
    },
    /// Not migrated yet.
    #[error("the schema has version {found} and needs {needed}: run novagate-control migrate")]
    Behind {
        /// The version found.
        found: i64,
        /// The oldest version that will do.
        needed: i64,
    },
    /// What `migrate` installs is not there, or older than this program.
    #[error("{what} of the database is not at this version: run novagate-control migrate")]
    NotInstalled {
        /// What.
        what: &'static str,
    },
    /// A migration has been applied that this program does not have.
    #[error("the platform's schema has a migration that this program does not know")]
    UnknownStep,
}

/// A failed step in the platform's tables.
#[derive(Debug)]
pub(crate) struct PlatformError(pub(crate) StoreError);

impl From<DbErr> for PlatformError {
    fn from(error: DbErr) -> Self {
        Self(error.into())
    }
}

impl From<CorruptRow> for PlatformError {
    fn from(error: CorruptRow) -> Self {
        Self(error.into())
    }
}

impl From<StoreError> for PlatformError {
    fn from(error: StoreError) -> Self {
        Self(error)
    }
}

impl From<PlatformError> for StoreError {
    fn from(error: PlatformError) -> Self {
        Self::Platform(Box::new(error.0))
    }
}

/// An error with the file or schema it happened in.
#[derive(Debug, thiserror::Error)]
#[error("storage {place}")]
struct Located {
    place: String,
    source: StoreError,
}

impl StoreError {
    /// For `map_err`: a failed step of the file system.
    pub(crate) fn io(step: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { step, source }
    }

    /// What it means for the caller.
    pub(crate) fn kind(&self) -> FaultKind {
        match self {
            Self::Db(error) => kind_of_db(error),
            Self::Server(error) => kind_of_sqlx(error),
            Self::Row(_) | Self::Missing | Self::NoSchema => FaultKind::Corrupt,
            Self::Io { .. } | Self::Schema(_) => FaultKind::Unavailable,
            Self::Gone => FaultKind::Conflict,
            Self::Misuse(_) => FaultKind::Misuse,
            Self::Deadline => FaultKind::TimedOut,
            Self::Platform(source) => source.kind(),
        }
    }

    /// Whether nothing was done because of what others did at the same time, so that the whole call can be made again: the
    /// server rolled the transaction back, a unique value has just been taken, a tenant erased, a day's partition dropped.
    pub(crate) fn is_race(&self) -> bool {
        self.is_missing_schema() || self.is_missing_day() || self.code().is_some_and(|code| postgres::is_race(&code))
    }

    /// Whether a row was refused because its day has no partition.
    pub(crate) fn is_missing_day(&self) -> bool {
        self.server_error().is_some_and(postgres::is_missing_day)
    }

    /// Whether a server that is being stopped, or is gone, has ended the connection.
    pub(crate) fn is_lost_connection(&self) -> bool {
        match self.sqlx() {
            Some(SqlxError::Database(_)) => self.code().is_some_and(|code| postgres::is_shutdown(&code)),
            Some(SqlxError::Io(_) | SqlxError::Protocol(_) | SqlxError::Tls(_) | SqlxError::WorkerCrashed) => true,
            Some(_) | None => false,
        }
    }

    /// Whether the server says that the role or the schema of a tenant does not exist.
    pub(crate) fn is_missing_schema(&self) -> bool {
        self.code().is_some_and(|code| postgres::is_missing_schema(&code))
    }

    /// Whether the server says that the login may not do this.
    pub(crate) fn is_denied(&self) -> bool {
        self.code().is_some_and(|code| postgres::is_denied(&code))
    }

    /// The code of a PostgreSQL server's answer.
    pub(crate) fn code(&self) -> Option<String> {
        self.server_error().and_then(DatabaseError::code).map(std::borrow::Cow::into_owned)
    }

    /// What a PostgreSQL server answered.
    fn server_error(&self) -> Option<&dyn DatabaseError> {
        let SqlxError::Database(error) = self.sqlx()? else { return None };
        postgres::is_from_server(error.as_ref()).then_some(error.as_ref())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is not exhaustive")]
    fn sqlx(&self) -> Option<&SqlxError> {
        match self {
            Self::Server(error) => Some(error),
            Self::Db(DbErr::Conn(cause) | DbErr::Exec(cause) | DbErr::Query(cause)) => match cause {
                RuntimeErr::SqlxError(error) => Some(error),
                RuntimeErr::Internal(_) => None,
            },
            Self::Platform(source) => source.sqlx(),
            _ => None,
        }
    }

    /// The same failure as the caller of a port sees it. `place` is what the call worked on, `platform` where the platform's
    /// tables are.
    pub(crate) fn into_port(self, op: &'static str, place: String, platform: String) -> PortError {
        let kind = self.kind();
        let located = if let Self::Platform(source) = self {
            Located { place: platform, source: *source }
        } else {
            Located { place, source: self }
        };
        PortError::new(op, kind, located)
    }
}

/// An error with its causes, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is not exhaustive")]
fn kind_of_db(error: &DbErr) -> FaultKind {
    match error {
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => FaultKind::TimedOut,
        DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed) => FaultKind::Unavailable,
        DbErr::Conn(cause) | DbErr::Exec(cause) | DbErr::Query(cause) => kind_of_runtime(cause),
        // The ledger names a migration that this program does not have, or a value has another type than its column.
        DbErr::Custom(_) | DbErr::Migration(_) | DbErr::Type(_) | DbErr::TryIntoErr { .. } => FaultKind::Corrupt,
        _ => FaultKind::Misuse,
    }
}

fn kind_of_runtime(cause: &RuntimeErr) -> FaultKind {
    match cause {
        RuntimeErr::SqlxError(error) => kind_of_sqlx(error),
        RuntimeErr::Internal(_) => FaultKind::Unavailable,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is not exhaustive")]
fn kind_of_sqlx(error: &SqlxError) -> FaultKind {
    match error {
        SqlxError::Database(cause) if cause.is_unique_violation() => FaultKind::Conflict,
        SqlxError::Database(cause) => kind_of_answer(cause.as_ref()),
        SqlxError::PoolTimedOut => FaultKind::TimedOut,
        SqlxError::ColumnDecode { .. } | SqlxError::Decode(_) | SqlxError::ColumnNotFound(_) => FaultKind::Corrupt,
        SqlxError::Encode(_) | SqlxError::Configuration(_) => FaultKind::Misuse,
        _ => FaultKind::Unavailable,
    }
}

/// By the code of the backend that answered.
fn kind_of_answer(cause: &dyn DatabaseError) -> FaultKind {
    let Some(code) = cause.code() else { return FaultKind::Unavailable };
    if postgres::is_from_server(cause) {
        return postgres::kind_of(&code);
    }
    code.parse().map_or(FaultKind::Unavailable, sqlite::kind_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_in_the_platforms_tables_names_the_platform() {
        let error =
            StoreError::from(PlatformError(StoreError::Missing)).into_port("op", "a".into(), "platform.db".into());
        assert_eq!(error.source.to_string(), "storage platform.db");
        assert_eq!(error.kind, FaultKind::Corrupt);
    }
}
