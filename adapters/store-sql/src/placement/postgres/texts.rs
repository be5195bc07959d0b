//! The statements that begin a transaction and enter a tenant.
//!
//! Always: the only value that becomes part of a statement's text is a [`TenantId`], which prints as hexadecimal digits and
//! dashes or underscores; everything that is set is local to the transaction. The temporary schema comes last in every
//! path, so that no temporary table can stand for another. Not here: running them.

use std::time::Duration;

use novagate_kernel::TenantId;

use crate::placement::Mode;

/// Leaves a tenant for the platform's tables, within a transaction.
pub(super) const LEAVE: &str = "SET LOCAL ROLE NONE; SET LOCAL search_path = public, pg_temp";

/// How long the server lets a statement run, and a transaction wait for its next one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) statement: Duration,
    pub(super) idle: Duration,
}

/// Begins a transaction over the platform's tables. Reads see one moment.
pub(super) fn begin(mode: Mode, limits: Limits) -> String {
    let begin = match mode {
        Mode::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        Mode::Write | Mode::Derive => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
    };
    format!(
        "{begin}; SET LOCAL statement_timeout = {}; SET LOCAL idle_in_transaction_session_timeout = {}; \
         SET LOCAL search_path = public, pg_temp",
        limits.statement.as_millis(),
        limits.idle.as_millis(),
    )
}

/// Reads the version of a provisioned tenant's tables; there is no row when the tenant is gone.
pub(super) fn version_of(tenant: TenantId) -> String {
    format!("SELECT schema_version FROM public.tenants WHERE id = '{tenant}' AND state <> 'unverified'")
}

/// Enters a tenant.
pub(super) fn enter(tenant: TenantId) -> String {
    let name = tenant.schema_name();
    format!(r#"SET LOCAL ROLE "{name}"; SET LOCAL search_path = "{name}", pg_temp"#)
}

/// Makes a tenant's schema and enters it; the row says which version was made.
pub(super) fn provision(tenant: TenantId) -> String {
    format!("SELECT novagate.provision('{tenant}'); {}", enter(tenant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_an_id_is_made_of_its_text_stays_within_its_quotes() {
        for entropy in [[0; 16], [0xff; 16], *b"\"; DROP TABLE x;", *b"'\\\0\n$$tenant$$--"] {
            let tenant = TenantId::from_entropy(entropy);
            let name = tenant.schema_name();
            assert!(name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')) && name.len() == 43);
            assert_eq!(
                enter(tenant),
                format!("SET LOCAL ROLE \"{name}\"; SET LOCAL search_path = \"{name}\", pg_temp")
            );
            assert_eq!(version_of(tenant).matches('\'').count(), 4);
        }
    }

    #[test]
    fn everything_that_is_set_is_local() {
        let limits = Limits { statement: Duration::from_secs(10), idle: Duration::from_secs(30) };
        let tenant = TenantId::from_entropy([7; 16]);
        for mode in [Mode::Read, Mode::Write, Mode::Derive] {
            let all = [begin(mode, limits), enter(tenant), provision(tenant), LEAVE.to_owned()].join("; ");
            assert_eq!(all.matches("SET ").count(), all.matches("SET LOCAL ").count());
        }
    }
}
