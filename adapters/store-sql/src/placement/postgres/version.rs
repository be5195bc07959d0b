//! Which versions of the tables this program works with.
//!
//! Always: tables that a newer program has migrated are refused; older ones are served only when every step they lack is
//! declared optional. Not here: migrating them (`owner`).

use std::collections::BTreeSet;

use novagate_migrations::{PlatformMigrator, TenantMigrator};
use sea_orm::sqlx::Row as _;
use sea_orm::sqlx::postgres::PgRow;

use super::install;
use crate::error::{SchemaFault, StoreError};

/// Reads what [`check_platform`] and [`check_provisioning`] look at.
pub(super) const LOOK: &str = "SELECT (SELECT string_agg(version, ',') FROM public.seaql_migrations), i.revision, \
                               i.tenant_version FROM novagate.installed() i";

/// The newest version of a tenant's tables that this program knows.
pub(super) fn known() -> i64 {
    i64::try_from(TenantMigrator::STEPS.len()).unwrap_or(i64::MAX)
}

/// A login that finds neither tables nor functions, or may not look at them, stands before a database that has not been
/// prepared for it.
pub(super) fn not_installed(error: StoreError) -> StoreError {
    if error.is_missing_schema() || error.is_denied() {
        return SchemaFault::NotInstalled { what: "the platform's schema" }.into();
    }
    error
}

/// Refuses platform tables or functions of another version.
pub(super) fn check_platform(row: Option<&PgRow>) -> Result<(), StoreError> {
    let row = row.ok_or(SchemaFault::NotInstalled { what: "the platform's schema" })?;
    let ledger: Option<String> = row.try_get(0)?;
    check_ledger(ledger.as_deref().unwrap_or_default())?;
    let (revision, tenant_version): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
    if revision < install::REVISION || tenant_version < known() {
        return Err(SchemaFault::NotInstalled { what: "the set of functions" }.into());
    }
    Ok(())
}

/// Refuses to make tenants whose tables would have a version that this program does not know.
pub(super) fn check_provisioning(row: Option<&PgRow>) -> Result<(), StoreError> {
    check_platform(row)?;
    let found: i64 = row.map_or(Ok(0), |row| row.try_get(2))?;
    if found > known() { Err(SchemaFault::Newer { found, known: known() }.into()) } else { Ok(()) }
}

/// Refuses a tenant's tables of a version that does not do.
pub(super) fn check_tenant(found: i64) -> Result<(), SchemaFault> {
    admit(found, &TenantMigrator::STEPS.map(|step| step.is_optional()))
}

fn check_ledger(ledger: &str) -> Result<(), SchemaFault> {
    let applied: BTreeSet<&str> = ledger.split(',').filter(|name| !name.is_empty()).collect();
    let known: BTreeSet<&str> = PlatformMigrator::STEPS.iter().map(novagate_migrations::Step::name).collect();
    if !applied.is_subset(&known) {
        return Err(SchemaFault::UnknownStep);
    }
    if applied == known { Ok(()) } else { Err(SchemaFault::NotInstalled { what: "the platform's schema" }) }
}

/// `optional` says of each step, in order, whether tables that lack it will do.
fn admit(found: i64, optional: &[bool]) -> Result<(), SchemaFault> {
    let count = |steps: usize| i64::try_from(steps).unwrap_or(i64::MAX);
    let known = count(optional.len());
    let needed = count(optional.iter().rposition(|&optional| !optional).map_or(0, |last| last + 1));
    if found > known {
        return Err(SchemaFault::Newer { found, known });
    }
    if found < needed { Err(SchemaFault::Behind { found, needed }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_is_refused() {
        assert_eq!(admit(3, &[false, false]), Err(SchemaFault::Newer { found: 3, known: 2 }));
        assert_eq!(admit(2, &[false, false]), Ok(()));
    }

    #[test]
    fn an_older_schema_is_served_when_every_missing_step_is_optional() {
        assert_eq!(admit(1, &[false, true, true]), Ok(()));
        assert_eq!(admit(1, &[false, true, false]), Err(SchemaFault::Behind { found: 1, needed: 3 }));
        assert_eq!(admit(0, &[false, true]), Err(SchemaFault::Behind { found: 0, needed: 1 }));
    }

    #[test]
    fn the_ledger_of_the_platform_must_be_exactly_ours() {
        let names: Vec<&str> = PlatformMigrator::STEPS.iter().map(novagate_migrations::Step::name).collect();
        assert_eq!(check_ledger(&names.join(",")), Ok(()));
        assert_eq!(check_ledger(""), Err(SchemaFault::NotInstalled { what: "the platform's schema" }));
        assert_eq!(check_ledger(&format!("{},m9999_later", names.join(","))), Err(SchemaFault::UnknownStep));
    }
}
