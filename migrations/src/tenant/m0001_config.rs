//! Config objects, their history, the revisions and the head.

use sea_orm_migration::prelude::{Expr, ExprTrait, Index, Table, TableCreateStatement};

use crate::columns::{hash, id, id_null, index, number, number_null, text, text_null, unique_index, word, word_null};
use crate::step::{Statements, Step};

const KINDS: [&str; 4] = ["service", "route", "consumer", "consumer_key"];

pub(super) const STEP: Step = Step::needed("m0001_config", |statements| {
    create_head(statements);
    create_objects(statements, "services", ["services_name", "services_created"]);
    create_objects(statements, "routes", ["routes_name", "routes_created"]);
    create_objects(statements, "consumers", ["consumers_name", "consumers_created"]);
    create_objects(statements, "consumer_keys", ["consumer_keys_name", "consumer_keys_created"]);
    let by_parent = index("consumer_keys_parent", "consumer_keys", &["parent_id", "created_at", "id"]);
    statements.index(&by_parent);
    create_versions(statements);
    create_revisions(statements);
});

/// One row: the newest revision. A commit takes its place by compare-and-set on it.
fn create_head(statements: &mut Statements) {
    let mut head = Table::create();
    head.table("config_head")
        .col(number("id").primary_key().check(Expr::col("id").eq(1)))
        .col(number("epoch"))
        .col(number("seq"))
        .col(hash("digest"));
    statements.table(&head);
}

fn object_columns(table: &mut TableCreateStatement) {
    table
        .col(text_null("name"))
        .col(word_null("parent_kind", &KINDS))
        .col(id_null("parent_id"))
        .col(text("body"))
        .col(hash("digest"))
        .col(number("created_at"))
        .col(number("updated_at"));
}

/// One kind of objects as they are now. `service` names what a route forwards to; other kinds leave it empty.
fn create_objects(statements: &mut Statements, name: &'static str, [by_name, by_creation]: [&'static str; 2]) {
    let mut table = Table::create();
    table.table(name).col(id("id").primary_key()).col(number("seq"));
    object_columns(&mut table);
    table.col(text_null("service"));
    statements.table(&table);
    statements.index(&unique_index(by_name, name, &["name"]));
    statements.index(&index(by_creation, name, &["created_at", "id"]));
}

/// Every version of every object: valid from `seq_from` on and before `seq_to`; the one that stands has none.
fn create_versions(statements: &mut Statements) {
    let mut table = Table::create();
    table
        .table("object_versions")
        .col(word("kind", &KINDS))
        .col(id("id"))
        .col(number("seq_from"))
        .col(number_null("seq_to"))
        .primary_key(Index::create().col("kind").col("id").col("seq_from"));
    object_columns(&mut table);
    statements.table(&table);
    statements.index(&index("object_versions_from", "object_versions", &["seq_from"]));
    statements.index(&index("object_versions_to", "object_versions", &["seq_to"]));
}

fn create_revisions(statements: &mut Statements) {
    let mut table = Table::create();
    table
        .table("revisions")
        .col(number("seq").primary_key())
        .col(number("epoch"))
        .col(hash("digest"))
        .col(word("kind", &["initial", "edit", "apply", "rollback"]))
        .col(number_null("rollback_to"))
        .col(word("actor", &["account", "operator", "system"]))
        .col(number("at"))
        .col(text("changes"));
    statements.table(&table);
}
