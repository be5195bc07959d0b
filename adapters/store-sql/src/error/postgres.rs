//! What the SQLSTATE codes of PostgreSQL mean (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).

use novagate_ports_base::FaultKind;
use sea_orm::sqlx::error::DatabaseError;
use sea_orm::sqlx::postgres::PgDatabaseError;

const UNIQUE_VIOLATION: &str = "23505";
const CHECK_VIOLATION: &str = "23514";
const SERIALIZATION_FAILURE: &str = "40001";
const DEADLOCK_DETECTED: &str = "40P01";
const QUERY_CANCELED: &str = "57014";
/// Of a parameter's value; a role that does not exist is one.
const INVALID_PARAMETER: &str = "22023";
const UNDEFINED_TABLE: &str = "42P01";
const UNDEFINED_COLUMN: &str = "42703";
const UNDEFINED_OBJECT: &str = "42704";
const UNDEFINED_FUNCTION: &str = "42883";
const INSUFFICIENT_PRIVILEGE: &str = "42501";
const INVALID_SCHEMA: &str = "3F000";

/// Whether an answer comes from PostgreSQL.
pub(super) fn is_from_server(error: &dyn DatabaseError) -> bool {
    error.try_downcast_ref::<PgDatabaseError>().is_some()
}

pub(super) fn kind_of(code: &str) -> FaultKind {
    match code {
        UNIQUE_VIOLATION => FaultKind::Conflict,
        QUERY_CANCELED => FaultKind::TimedOut,
        UNDEFINED_TABLE | UNDEFINED_COLUMN | UNDEFINED_FUNCTION | UNDEFINED_OBJECT | INVALID_SCHEMA
        | INVALID_PARAMETER => FaultKind::Corrupt,
        _ => match code.get(..2) {
            // A damaged page or index.
            Some("XX") => FaultKind::Corrupt,
            // A value, a constraint, a right or a statement: ours is wrong.
            Some("22" | "23" | "42" | "0A") => FaultKind::Misuse,
            _ => FaultKind::Unavailable,
        },
    }
}

/// Whether the transaction lost against another one. A unique value that somebody else has just taken counts: the next
/// attempt sees it.
pub(super) fn is_race(code: &str) -> bool {
    matches!(code, SERIALIZATION_FAILURE | DEADLOCK_DETECTED | UNIQUE_VIOLATION)
}

/// Whether a partitioned table has no place for a row; a violated constraint would have a name.
pub(super) fn is_missing_day(error: &dyn DatabaseError) -> bool {
    error.code().is_some_and(|code| code == CHECK_VIOLATION) && error.constraint().is_none()
}

/// Whether the server ends its sessions: an operator's command, a crash, or a start that is not finished.
pub(super) fn is_shutdown(code: &str) -> bool {
    matches!(code, "57P01" | "57P02" | "57P03")
}

/// Whether a right is missing.
pub(super) fn is_denied(code: &str) -> bool {
    code == INSUFFICIENT_PRIVILEGE
}

/// Whether a role, a schema or something in it does not exist.
pub(super) fn is_missing_schema(code: &str) -> bool {
    matches!(code, INVALID_PARAMETER | UNDEFINED_OBJECT | INVALID_SCHEMA | UNDEFINED_TABLE | UNDEFINED_FUNCTION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_kinds() {
        for (code, kind) in [
            ("23505", FaultKind::Conflict),
            ("57014", FaultKind::TimedOut),
            ("57P01", FaultKind::Unavailable),
            ("53300", FaultKind::Unavailable),
            ("40001", FaultKind::Unavailable),
            ("25P03", FaultKind::Unavailable),
            ("28P01", FaultKind::Unavailable),
            ("42P01", FaultKind::Corrupt),
            ("XX001", FaultKind::Corrupt),
            ("42501", FaultKind::Misuse),
            ("22P02", FaultKind::Misuse),
            ("23503", FaultKind::Misuse),
            ("", FaultKind::Unavailable),
        ] {
            assert_eq!(kind_of(code), kind, "{code}");
        }
    }
}
