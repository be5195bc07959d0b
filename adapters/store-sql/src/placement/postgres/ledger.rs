//! Which steps a tenant's schema has had, and the statements of those it lacks.
//!
//! Always: the ledger is sea-orm's, row for row, but it is read by the schema's own name. sea-orm's migrator looks for it in
//! `information_schema`, which examines every table of every tenant: a migration of n tenants would cost n * n. Not here: the
//! steps (`migrations`), when they are run (`owner`).

use novagate_migrations::{Step, TenantMigrator};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbBackend, Schema, Statement};
use sea_orm_migration::seaql_migrations;

use crate::error::{SchemaFault, StoreError};

/// The statements of every step, with the ledger that says so.
pub(super) fn all_steps() -> String {
    let ledger = Schema::new(DbBackend::Postgres).create_table_from_entity(seaql_migrations::Entity);
    format!("{};\n{}", DbBackend::Postgres.build(&ledger).sql, statements(TenantMigrator::STEPS.iter()))
}

/// Brings the schema that stands first in the search path to this version.
pub(super) async fn migrate(tx: &DatabaseTransaction) -> Result<(), StoreError> {
    let ledger = "SELECT to_regclass('seaql_migrations') IS NOT NULL";
    let row = tx.query_one_raw(Statement::from_string(DbBackend::Postgres, ledger)).await?;
    let missing = if row.map_or(Ok(false), |row| row.try_get_by_index(0))? {
        let applied = "SELECT version FROM seaql_migrations";
        let rows = tx.query_all_raw(Statement::from_string(DbBackend::Postgres, applied)).await?;
        let applied: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get_by_index(0)).collect();
        missing_steps(&applied?)?
    } else {
        all_steps()
    };
    if !missing.is_empty() {
        tx.execute_unprepared(&missing).await?;
    }
    Ok(())
}

/// The statements of the steps that are not in `applied`; an error when a step in it is not ours.
fn missing_steps(applied: &[String]) -> Result<String, SchemaFault> {
    let is_known = |name: &String| TenantMigrator::STEPS.iter().any(|step| step.name() == name);
    if !applied.iter().all(is_known) {
        return Err(SchemaFault::UnknownStep);
    }
    let is_missing = |step: &&Step| !applied.iter().any(|name| name == step.name());
    Ok(statements(TenantMigrator::STEPS.iter().filter(is_missing)))
}

/// The statements of steps, each with its row of the ledger.
fn statements<'a>(steps: impl Iterator<Item = &'a Step>) -> String {
    let of = |step: &Step| {
        let mut statements = step.statements(DbBackend::Postgres);
        statements.push(format!(
            "INSERT INTO seaql_migrations (version, applied_at) VALUES ('{}', extract(epoch FROM now())::bigint)",
            step.name()
        ));
        statements
    };
    steps.flat_map(of).collect::<Vec<_>>().join(";\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(steps: &[Step]) -> Vec<String> {
        steps.iter().map(|step| step.name().to_owned()).collect()
    }

    #[test]
    fn only_the_steps_that_are_missing_are_run() {
        let [first, rest @ ..] = &TenantMigrator::STEPS;
        let statements = missing_steps(&names(&[*first])).unwrap();
        assert!(!statements.contains(first.name()));
        assert!(rest.iter().all(|step| statements.contains(step.name())));
        assert!(all_steps().ends_with(&statements));
        assert_eq!(missing_steps(&names(&TenantMigrator::STEPS)), Ok(String::new()));
    }

    #[test]
    fn a_ledger_with_a_step_of_a_newer_program_is_refused() {
        assert_eq!(missing_steps(&["m9999_later".to_owned()]), Err(SchemaFault::UnknownStep));
    }
}
