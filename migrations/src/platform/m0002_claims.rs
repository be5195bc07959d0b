//! Which POST with an `Idempotency-Key` a tenant came from: keyed hashes, absent without such a key and after a day.

use sea_orm_migration::prelude::Table;

use crate::columns::{hash_null, unique_index};
use crate::step::{Statements, Step};

pub(super) const STEP: Step = Step::needed("m0002_claims", |statements| {
    add_columns(statements);
    statements.index(&unique_index("tenants_claim_key", "tenants", &["claim_key"]));
});

fn add_columns(statements: &mut Statements) {
    // One column a statement: SQLite adds no more at once.
    for column in ["claim_key", "claim_request"] {
        let mut tenants = Table::alter();
        statements.change(tenants.table("tenants").add_column(hash_null(column)));
    }
}
