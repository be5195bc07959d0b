//! The storage that the settings name: opening it, and bringing it to this version.
//!
//! Always: a login that may not make schemas never tries to. Where `DATABASE_URL`'s login owns the database and no
//! `MIGRATE_DATABASE_URL` is set, as on a developer's machine, opening migrates by itself; everywhere else `migrate` does.
//! Not here: what is migrated (`adapters/store-sql`).

use std::fmt::Write as _;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use novagate_ports_base::{FaultKind, ObjectCodec, PortError};
use novagate_settings::{ControlSettings, Database, PostgresDatabase, Secret};
use novagate_store_sql::{PostgresOwner, PostgresSettings, SqlStore, SqliteSettings, StorageStatus};

use crate::StartError;

const NOT_OWNER: &str = "must name the login that owns the database and may make roles";

/// What `migrate` is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migration {
    /// Everything that is missing.
    Run,
    /// Nothing: only tell what is missing.
    DryRun,
    /// Nothing: tell how the storage stands.
    Status,
}

/// Opens the storage.
pub(crate) async fn open(settings: &ControlSettings, codec: Arc<dyn ObjectCodec>) -> Result<SqlStore, StartError> {
    match &settings.database {
        Database::Sqlite { dir } => open_sqlite(dir, codec).await,
        Database::Postgres(database) => open_postgres(database, codec).await.map_err(unopened),
    }
}

async fn open_sqlite(dir: &Path, codec: Arc<dyn ObjectCodec>) -> Result<SqlStore, StartError> {
    let mut folder = DirBuilder::new();
    let made = folder.recursive(true).mode(0o700).create(dir);
    made.map_err(|source| StartError::Folder { dir: dir.to_owned(), source })?;
    SqlStore::open_sqlite(SqliteSettings::new(dir), codec).await.map_err(unopened)
}

fn unopened(source: PortError) -> StartError {
    failed("DATABASE_URL: the storage cannot be opened", source)
}

/// Brings the storage to this version, or tells how it stands; answers what to show.
pub async fn migrate(database: &Database, migration: Migration) -> Result<String, StartError> {
    match database {
        Database::Sqlite { dir } if migration == Migration::Run => {
            let codec = Arc::new(novagate_documents::stored::JsonObjectCodec);
            open_sqlite(dir, codec).await?.close().await;
            Ok("all storage is at this version\n".to_owned())
        }
        Database::Sqlite { .. } => Ok("SQLite: each file is brought to this version when it is opened\n".to_owned()),
        Database::Postgres(database) => migrate_postgres(database, migration).await,
    }
}

async fn open_postgres(database: &PostgresDatabase, codec: Arc<dyn ObjectCodec>) -> Result<SqlStore, PortError> {
    if database.migrate_url.is_none() {
        let owner = owner(database).await?;
        let outcome = migrate_if_owner(&owner).await;
        owner.close().await;
        outcome?;
    }
    let settings = PostgresSettings::new(database.url.expose());
    SqlStore::open_postgres(PostgresSettings { max_connections: database.connections, ..settings }, codec).await
}

async fn migrate_if_owner(owner: &PostgresOwner) -> Result<(), PortError> {
    if !owner.may_migrate().await? {
        return Ok(());
    }
    let report = owner.migrate().await?;
    for (tenant, reason) in &report.failed {
        tracing::error!(%tenant, reason, "a tenant was not migrated and is not served");
    }
    Ok(())
}

async fn migrate_postgres(database: &PostgresDatabase, migration: Migration) -> Result<String, StartError> {
    let away = |source| failed("MIGRATE_DATABASE_URL: the database cannot be migrated", source);
    let owner = owner(database).await.map_err(away)?;
    let outcome = match migration {
        Migration::Run => match owner.may_migrate().await {
            Ok(true) => run(&owner).await,
            Ok(false) => Ok(Err(StartError::Setting(format!("MIGRATE_DATABASE_URL: {NOT_OWNER}")))),
            Err(error) => Err(error),
        },
        Migration::DryRun => owner.status().await.map(|status| Ok(plan(&status))),
        Migration::Status => owner.status().await.map(|status| Ok(table(&status))),
    };
    owner.close().await;
    outcome.map_err(away)?
}

async fn run(owner: &PostgresOwner) -> Result<Result<String, StartError>, PortError> {
    let report = owner.migrate().await?;
    let mut text = format!("tenants migrated: {}\n", report.migrated);
    if report.newer > 0 {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "tenants of a newer version, left alone: {}", report.newer);
    }
    let Some((tenant, reason)) = report.failed.first() else {
        text.push_str("all storage is at this version\n");
        return Ok(Ok(text));
    };
    let message = format!("{} tenants were not migrated; the first is {tenant}: {reason}", report.failed.len());
    Ok(Err(StartError::Service { what: "migrate", source: PortError::new("migrate.run", FaultKind::Corrupt, message) }))
}

fn plan(status: &StorageStatus) -> String {
    let behind: u64 = status.tenants.iter().filter(|at| at.version < status.known).map(|at| at.tenants).sum();
    if status.is_current() {
        return "nothing to migrate\n".to_owned();
    }
    format!(
        "steps of the platform's schema: {}\nfunctions: {}\ntenants to migrate: {behind}\ntenants to admit: {}\n",
        if status.platform_missing.is_empty() { "none".to_owned() } else { status.platform_missing.join(", ") },
        if status.functions_current { "none" } else { "to install" },
        status.unreachable,
    )
}

fn table(status: &StorageStatus) -> String {
    let platform = if status.platform_missing.is_empty() { "current" } else { "behind" };
    let functions = if status.functions_current { "current" } else { "behind" };
    let mut text =
        format!("platform schema   {platform}\nfunctions         {functions}\ntenant version    {}\n", status.known);
    // Writing to a String cannot fail.
    for at in &status.tenants {
        let word = if at.version > status.known { "newer, refused" } else { "" };
        let word = if at.version < status.known { "behind" } else { word };
        let line = format!("  version {:<8}{:>8} tenants  {word}", at.version, at.tenants);
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = writeln!(text, "not reachable     {}", status.unreachable);
    for hint in &status.hints {
        let _ = writeln!(text, "hint: {hint}");
    }
    text
}

async fn owner(database: &PostgresDatabase) -> Result<PostgresOwner, PortError> {
    let url = database.migrate_url.as_ref().unwrap_or(&database.url);
    PostgresOwner::connect(Secret::expose(url), database.url.expose()).await
}

const fn failed(what: &'static str, source: PortError) -> StartError {
    StartError::Service { what, source }
}
