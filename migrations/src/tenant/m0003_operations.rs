//! Nodes, the audit log and remembered POSTs.

use sea_orm_migration::prelude::Table;

use crate::columns::{hash, hash_null, id, id_null, index, number, number_null, text, text_null, word};
use crate::step::{Statements, Step};

pub(super) const STEP: Step = Step::needed("m0003_operations", |statements| {
    create_nodes(statements);
    create_audit_log(statements);
    create_idempotency(statements);
});

fn create_nodes(statements: &mut Statements) {
    let mut table = Table::create();
    table
        .table("nodes")
        .col(id("node_id").primary_key())
        .col(id("boot_id"))
        .col(text("build"))
        .col(text("labels"))
        .col(id("key_id"))
        .col(number("first_seen"))
        .col(number("last_seen"))
        .col(number_null("applied_epoch"))
        .col(number_null("applied_seq"))
        .col(hash_null("applied_digest"))
        .col(number_null("applied_at"))
        .col(number_null("nack_epoch"))
        .col(number_null("nack_seq"))
        .col(number_null("nack_at"))
        .col(text_null("nack_objects"));
    statements.table(&table);
}

/// Rows are only ever added.
fn create_audit_log(statements: &mut Statements) {
    let mut table = Table::create();
    table
        .table("audit_log")
        .col(id("id").primary_key())
        .col(number("at"))
        .col(word("actor", &["account", "operator", "system"]))
        .col(text("action"))
        .col(text_null("object_kind"))
        .col(id_null("object_id"))
        .col(text_null("name"))
        .col(id_null("subject"))
        .col(number_null("epoch"))
        .col(number_null("seq"));
    statements.table(&table);
    statements.index(&index("audit_log_at", "audit_log", &["at", "id"]));
}

fn create_idempotency(statements: &mut Statements) {
    let mut table = Table::create();
    table
        .table("idempotency")
        .col(hash("key_hash").primary_key())
        .col(hash("request_hash"))
        .col(number("began_at"))
        .col(number_null("status"))
        .col(hash_null("body"));
    statements.table(&table);
    statements.index(&index("idempotency_began", "idempotency", &["began_at"]));
}
