//! How well a database is closed, beyond what the roles themselves close.
//!
//! Always: what the owner may close is closed by every migration; what only a superuser may is told. Not here: what follows
//! from each gap (`docs/operations.md`).

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement};

use super::super::install::quoted;
use crate::error::StoreError;

/// Closes what the owner of a database may close. PostgreSQL answers with a warning where the login may not.
pub(super) const HARDEN: &str = "
    DO $$ BEGIN
        EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXCEPTION WHEN insufficient_privilege THEN NULL;
    END $$;
    REVOKE ALL ON SCHEMA public FROM PUBLIC;
    REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC";

/// What is open: a question that answers true, and what to say then.
const GAPS: [(&str, &str); 4] = [
    (
        "has_function_privilege('public', 'pg_catalog.set_config(text, text, boolean)', 'EXECUTE')",
        "set_config may be called by everybody: REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM PUBLIC",
    ),
    (
        "has_table_privilege('public', 'pg_catalog.pg_settings', 'UPDATE')",
        "pg_settings may be changed by everybody: REVOKE UPDATE ON pg_catalog.pg_settings FROM PUBLIC",
    ),
    (
        "has_language_privilege('public', 'plpgsql', 'USAGE')",
        "plpgsql may be used by everybody: REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC, and grant it to the owner's login",
    ),
    (
        "has_database_privilege('public', current_database(), 'TEMP')",
        "temporary tables may be made by everybody: REVOKE TEMPORARY ON DATABASE ... FROM PUBLIC",
    ),
];

/// Rights of the serving login that it does not need.
const RIGHTS: [(&str, &str); 5] = [
    ("l.rolsuper", "the serving login is a superuser: no tenant is kept apart by the database"),
    ("l.rolcreaterole", "the serving login may make roles: ALTER ROLE ... NOCREATEROLE"),
    ("l.rolinherit", "the serving login inherits the rights of every tenant's role: ALTER ROLE ... NOINHERIT"),
    ("has_database_privilege(l.oid, current_database(), 'CREATE')", "the serving login may make schemas"),
    ("has_schema_privilege(l.oid, 'public', 'CREATE')", "the serving login may make tables in public"),
];

/// What is open in this database.
pub(super) async fn of(db: &DatabaseConnection, login: &str) -> Result<Vec<String>, StoreError> {
    let gaps = GAPS.map(|(question, _)| question).join(", ");
    let rights = RIGHTS.map(|(question, _)| question).join(", ");
    let sql = format!("SELECT {gaps}, {rights} FROM pg_roles l WHERE l.rolname = $1");
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [login.into()]);
    let Some(row) = db.query_one_raw(statement).await? else {
        return Ok(vec![format!("there is no login {}", quoted(login))]);
    };
    let mut open = Vec::new();
    for (index, (_, hint)) in GAPS.iter().chain(&RIGHTS).enumerate() {
        if row.try_get_by_index::<bool>(index)? {
            open.push((*hint).to_owned());
        }
    }
    Ok(open)
}
