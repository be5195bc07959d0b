//! Plans, tenants with their accounts, gateway keys, and which tenants wait for confirmation of a revision.

use sea_orm_migration::prelude::{ForeignKey, ForeignKeyAction, Table};

use crate::columns::{hash, hash_null, id, index, number, number_null, text, text_null, unique_index, word};
use crate::step::{Statements, Step};

pub(super) const STEP: Step = Step::needed("m0001_accounts", |statements| {
    create_plans(statements);
    create_tenants(statements);
    create_api_keys(statements);
    create_pending(statements);
});

fn create_plans(statements: &mut Statements) {
    let mut plans = Table::create();
    plans
        .table("plans")
        .col(id("id").primary_key())
        .col(text("name").unique_key())
        .col(number("services"))
        .col(number("routes"))
        .col(number("consumers"))
        .col(number("config_bytes"))
        .col(number("nodes"))
        .col(number("log_rows_per_second"));
    statements.table(&plans);
}

fn create_tenants(statements: &mut Statements) {
    let mut tenants = Table::create();
    tenants
        .table("tenants")
        .col(id("id").primary_key())
        .col(text("name"))
        .col(text("email_key").unique_key())
        .col(text_null("password_hash"))
        .col(word("state", &["unverified", "active", "suspended"]))
        .col(id("plan_id"))
        .col(number("token_generation"))
        .col(hash_null("reset_hash").unique_key())
        .col(number_null("reset_expires_at"))
        .col(hash_null("verify_hash").unique_key())
        .col(number_null("verify_expires_at"))
        .col(number_null("epoch"))
        .col(number_null("seq"))
        .col(number("schema_version"))
        .col(number("created_at"))
        .col(number("updated_at"))
        .foreign_key(ForeignKey::create().name("tenants_plan").from("tenants", "plan_id").to("plans", "id"));
    statements.table(&tenants);
}

fn create_api_keys(statements: &mut Statements) {
    let mut keys = Table::create();
    keys.table("api_keys")
        .col(id("id").primary_key())
        .col(id("tenant_id"))
        .col(hash("digest"))
        .col(number("created_at"))
        .col(number_null("revoked_at"))
        .foreign_key(
            ForeignKey::create()
                .name("api_keys_tenant")
                .from("api_keys", "tenant_id")
                .to("tenants", "id")
                .on_delete(ForeignKeyAction::Cascade),
        );
    statements.table(&keys);
    statements.index(&unique_index("api_keys_digest", "api_keys", &["digest"]));
    statements.index(&index("api_keys_tenant_created", "api_keys", &["tenant_id", "created_at", "id"]));
}

fn create_pending(statements: &mut Statements) {
    let mut pending = Table::create();
    pending
        .table("pending_config_updates")
        .col(id("tenant_id").primary_key())
        .col(number("epoch"))
        .col(number("seq"))
        .col(number("since"))
        .foreign_key(
            ForeignKey::create()
                .name("pending_config_updates_tenant")
                .from("pending_config_updates", "tenant_id")
                .to("tenants", "id")
                .on_delete(ForeignKeyAction::Cascade),
        );
    statements.table(&pending);
}
