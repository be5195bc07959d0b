//! The functions that stand between the login that serves and the rights of the owner: their text, and calls of them.
//!
//! Always: the tables of a new tenant are made by the statements of the tenants' migrations, word for word, so that a schema
//! is the same whichever way it came about. Not here: when they are installed (`owner`).

use novagate_kernel::{TenantId, Timestamp};
use novagate_migrations::TenantMigrator;
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

use super::days::DayTable;
use super::{ledger, version};
use crate::error::StoreError;
use crate::placement::PlatformTx;

/// Rises with every change of the functions themselves.
pub(super) const REVISION: i64 = 1;

/// The tables of the platform that the login that serves reads and writes.
pub(super) const PLATFORM_TABLES: [&str; 4] = ["tenants", "api_keys", "plans", "pending_config_updates"];

const FUNCTIONS: &str = include_str!("functions.sql");

/// Makes or replaces the functions.
pub(super) fn functions() -> String {
    FUNCTIONS
        .replace("@REVISION@", &REVISION.to_string())
        .replace("@TENANT_VERSION@", &version::known().to_string())
        .replace("@TENANT_TABLES@", &ledger::all_steps())
        .replace("@ORDINARY_TABLES@", &ordinary_tables())
}

/// The names of a tenant's tables that its role reads and writes freely, as a list of literals.
fn ordinary_tables() -> String {
    let tables = TenantMigrator::STEPS.iter().flat_map(|step| step.tables(DbBackend::Postgres));
    let ordinary = tables.filter(|name| name != "audit_log").map(|name| literal(&name));
    ordinary.collect::<Vec<_>>().join(", ")
}

/// What `login` may do: use the platform's tables, look at their ledger, and have the functions called.
pub(super) fn grants(login: &str) -> String {
    let connect = format!(
        "DO $$ BEGIN
             EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), {});
         EXCEPTION WHEN insufficient_privilege THEN NULL;
         END $$;",
        literal(login)
    );
    let login = quoted(login);
    let tables = PLATFORM_TABLES.map(|table| format!("public.{table}")).join(", ");
    format!(
        "{connect}
         GRANT USAGE ON SCHEMA public, novagate TO {login};
         GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {login};
         GRANT SELECT ON public.seaql_migrations TO {login};
         GRANT EXECUTE ON FUNCTION novagate.installed(), novagate.provision(uuid), novagate.erase(uuid),
             novagate.ensure_partition(uuid, text, integer), novagate.retire_partition(uuid, bigint) TO {login}"
    )
}

/// A name in quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in quotes.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Removes a tenant's schema and role.
pub(super) async fn erase(tx: &PlatformTx, tenant: TenantId) -> Result<(), StoreError> {
    call(tx, "SELECT novagate.erase($1)", [tenant.as_uuid().into()]).await
}

/// Makes the partitions of days that have none.
pub(super) async fn ensure_partitions(
    tx: &PlatformTx,
    tenant: TenantId,
    table: DayTable,
    days: &[i32],
) -> Result<(), StoreError> {
    for &day in days {
        let values = [tenant.as_uuid().into(), table.as_str().into(), day.into()];
        call(tx, "SELECT novagate.ensure_partition($1, $2, $3)", values).await?;
    }
    Ok(())
}

/// Removes one partition that is wholly older than `before`; answers how many rows went.
pub(super) async fn retire_partition(
    tx: &PlatformTx,
    tenant: TenantId,
    before: Timestamp,
) -> Result<Option<u64>, StoreError> {
    let values = [tenant.as_uuid().into(), before.as_micros().into()];
    let sql = "SELECT novagate.retire_partition($1, $2)";
    let row = tx.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
    let Some(row) = row else { return Ok(None) };
    let gone: Option<i64> = row.try_get_by_index(0)?;
    Ok(gone.and_then(|gone| u64::try_from(gone).ok()))
}

async fn call<const N: usize>(
    tx: &PlatformTx,
    sql: &'static str,
    values: [sea_orm::Value; N],
) -> Result<(), StoreError> {
    tx.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_to_fill_in_and_the_tables_end_no_quote() {
        let text = functions();
        assert!(!text.contains("@REVISION@") && !text.contains("@TENANT_") && !text.contains("_TABLES@"));
        assert_eq!(text.matches("$ddl$").count(), 2);
        assert!(!ledger::all_steps().contains('$'));
    }

    #[test]
    fn every_function_with_the_owners_rights_sets_its_path() {
        for part in FUNCTIONS.split("CREATE OR REPLACE FUNCTION").skip(1) {
            let head = part.split("AS ").next().unwrap();
            assert!(head.contains("SET search_path = pg_catalog, pg_temp"), "{head}");
        }
        assert_eq!(FUNCTIONS.matches("SECURITY DEFINER").count(), 4);
    }

    #[test]
    fn a_login_of_any_name_stays_a_name() {
        assert_eq!(quoted("a\"; DROP ROLE b; --"), "\"a\"\"; DROP ROLE b; --\"");
        assert_eq!(literal("a\\' OR 1"), "E'a\\\\'' OR 1'");
    }
}
