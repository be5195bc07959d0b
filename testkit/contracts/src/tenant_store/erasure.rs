//! How tenants go.

use novagate_fixtures::{START, error_event, log_entry, logs, new_tenant};
use novagate_kernel::{ObjectKind, Revision};
use novagate_ports_control::{
    PageRequest,
    outbound::{
        ConfigStore as _, GatewayKeyStore as _, IdempotencyStore as _, IdempotentBegin, Inserted, LogFilter, NewTenant,
        NodeStore as _, TelemetryBatch, TelemetryStore as _, TenantErasure, TenantStore as _,
    },
};
use novagate_records::{AuditAction, Batch};

use super::provisioning::assert_whole;
use crate::node_store::sighting;
use crate::stores::{StoreFixture, Tenant, World, after};

const PAGE: PageRequest = PageRequest::first(100);

/// Gives a tenant something of everything: 2 keys, 2 objects (and the history of a third), 4 telemetry rows, a node, a
/// reset link, a remembered POST.
async fn fill<F: StoreFixture>(world: &World<F>, tenant: &mut Tenant) {
    let (store, mint) = (world.store(), &world.mint);
    let gone = mint.object(ObjectKind::Route);
    let edit = tenant.model.edit(after(1));
    let edit = edit.upsert(mint.object(ObjectKind::Service), &mint.name("a"), "{}");
    let edit = edit.upsert(mint.object(ObjectKind::Consumer), &mint.name("b"), "{}");
    world.commit(tenant, &edit.upsert(gone, &mint.name("c"), "{}").build()).await;
    let edit = tenant.model.edit(after(2)).delete(gone).build();
    world.commit(tenant, &edit).await;
    let key = novagate_access::GatewayKeyRecord {
        id: mint.gateway_key(),
        digest: mint.key_digest(),
        created_at: after(3),
        ..tenant.fresh.key.clone()
    };
    store.insert_key(&tenant.scope, &key, &world.audit(AuditAction::GatewayKeyCreated)).await.unwrap();
    let audit = world.audit(AuditAction::GatewayKeyRevoked);
    store.revoke_key(&tenant.scope, key.id, after(4), &audit).await.unwrap();
    let (node, boot) = (mint.node(), mint.boot());
    store.seen(&tenant.scope, &sighting(world, node, boot), 10).await.unwrap();
    let entries: Vec<_> = (0..3).map(|second| log_entry(mint, after(second))).collect();
    store.ingest(&tenant.scope, &logs(node, boot, 1, &[], &entries)).await.unwrap();
    let errors = TelemetryBatch { node, boot, batch_seq: 2, batch: Batch::Errors(vec![error_event(mint, START)]) };
    store.ingest(&tenant.scope, &errors).await.unwrap();
}

pub async fn erasing_leaves_nothing<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    fill(&world, &mut tenant).await;
    let (store, scope) = (world.store(), &tenant.scope);
    let (link, post, request) = (world.mint.key_digest(), world.mint.digest(), world.mint.digest());
    store.set_reset(scope, &link, after(3600)).await.unwrap();
    assert_eq!(store.begin(scope, post, request, after(5)).await.unwrap(), IdempotentBegin::Started);
    let head = tenant.model.head().revision;

    let erased = store.erase(scope).await.unwrap();
    assert_eq!(erased, TenantErasure { gateway_keys: 2, objects: 2, telemetry_rows: 4 });

    assert_eq!(store.account(scope).await.unwrap(), None);
    assert_eq!(store.find_by_email(&tenant.fresh.email).await.unwrap(), None);
    assert_eq!(store.find_key(&tenant.fresh.key.digest).await.unwrap(), None);
    assert_eq!(store.keys(scope).await.unwrap(), []);
    assert_eq!(store.take_reset(&link, after(6)).await.unwrap(), None);
    assert_eq!(store.tenants(&PAGE).await.unwrap().items, []);
    assert_eq!(store.pending(&PAGE).await.unwrap().items, []);
    assert_config_is_gone(&world, &tenant, head).await;
    assert_eq!(store.nodes(scope).await.unwrap(), []);
    assert_eq!(store.logs(scope, &LogFilter::default(), &PAGE).await.unwrap().items, []);
    assert_eq!(store.errors(scope, None, None, None, &PAGE).await.unwrap().items, []);
    assert_eq!(store.health(scope).await.unwrap(), []);
    assert_eq!(store.metrics(scope, START, after(100), 10).await.unwrap(), []);
    assert_eq!(world.audit_of(scope).await, []);
}

async fn assert_config_is_gone<F: StoreFixture>(world: &World<F>, tenant: &Tenant, last: Revision) {
    let (store, scope) = (world.store(), &tenant.scope);
    assert_eq!(store.head(scope).await.unwrap(), None);
    assert_eq!(store.load(scope).await.unwrap(), None);
    for object in tenant.model.objects() {
        assert_eq!(store.find(scope, object.reference).await.unwrap(), None);
        assert_eq!(store.list(scope, object.reference.kind, None, &PAGE).await.unwrap().items, []);
    }
    assert_eq!(store.changes_since(scope, last).await.unwrap(), None);
    assert_eq!(store.load_at(scope, last.seq).await.unwrap(), None);
    assert_eq!(store.revisions(scope, &PAGE).await.unwrap().items, []);
    assert_eq!(store.revision(scope, last.seq).await.unwrap(), None);
    assert!(!store.renew_epoch(scope, last.epoch, world.mint.epoch()).await.unwrap());
}

pub async fn a_second_erasure_reports_zeros<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    fill(&world, &mut tenant).await;
    assert_ne!(world.store().erase(&tenant.scope).await.unwrap(), TenantErasure::default());
    assert_eq!(world.store().erase(&tenant.scope).await.unwrap(), TenantErasure::default());
    assert_eq!(world.store().erase(&world.nobody()).await.unwrap(), TenantErasure::default());
}

pub async fn an_erasure_touches_no_other_tenant<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (mut one, other) = (world.tenant().await, world.tenant().await);
    fill(&world, &mut one).await;
    world.store().erase(&one.scope).await.unwrap();
    assert_whole(&world, &other.scope, &other.fresh).await;
    assert_eq!(world.store().tenants(&PAGE).await.unwrap().items, [other.scope.tenant()]);
}

pub async fn an_erased_address_can_be_provisioned_again<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    fill(&world, &mut tenant).await;
    world.store().erase(&tenant.scope).await.unwrap();
    let (scope, fresh) = new_tenant(&world.mint, after(60));
    let fresh = NewTenant { email: tenant.fresh.email, ..fresh };
    assert_eq!(world.store().provision(&scope, &fresh).await.unwrap(), Inserted::New);
    assert_whole(&world, &scope, &fresh).await;
}

pub async fn an_erasure_survives_a_restart<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (mut tenant, other) = (world.tenant().await, world.tenant().await);
    fill(&world, &mut tenant).await;
    world.store().erase(&tenant.scope).await.unwrap();
    let Some(world) = world.reopened().await else { return };
    assert_eq!(world.store().account(&tenant.scope).await.unwrap(), None);
    assert_config_is_gone(&world, &tenant, tenant.model.head().revision).await;
    assert_whole(&world, &other.scope, &other.fresh).await;
}
