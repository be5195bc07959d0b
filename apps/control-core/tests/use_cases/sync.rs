//! What connected gateways are answered.

use std::time::Duration;

use novagate_access::TenantScope;
use novagate_fixtures::Mint;
use novagate_kernel::{Digest, ErrorCode, Head, NodeId, Revision};
use novagate_ports_control::{
    PageRequest,
    inbound::{Accounts, ConfigAdmin, ConfigAnswer, Fleet, GatewaySync, ReceiptState, SyncRefusal},
    outbound::{Bus, ConfigStore, PlanLimits, TenantState, TenantStore, Wake},
};
use novagate_sync::{Ack, Nack, NackedObject, ObjectFaultCode};

use crate::world::{SESSION, Tenant, World, code, reference, sighting};

const ADA: &str = "ada@example.org";

async fn ask(world: &World, tenant: &Tenant, applied: Option<Head>) -> ConfigAnswer {
    world.control.config_for(&tenant.scope, applied).await.unwrap()
}

async fn head(world: &World, tenant: &Tenant) -> Head {
    world.control.head(&tenant.scope).await.unwrap()
}

async fn hello(world: &World, tenant: &Tenant, node: NodeId) {
    world.control.hello(&tenant.scope, SESSION, &sighting(node, world, tenant, 3)).await.unwrap();
}

async fn ack(world: &World, tenant: &Tenant, node: NodeId, head: Head) {
    world.control.acked(&tenant.scope, node, Ack { head, compile_us: 5 }).await.unwrap();
}

async fn pending(world: &World) -> Vec<Revision> {
    let page = ConfigStore::pending(&world.store, &PageRequest::first(10)).await.unwrap();
    page.items.iter().map(|update| update.revision).collect()
}

#[tokio::test]
async fn confirmations_that_come_together_are_all_kept_and_settle_the_update() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let mint = Mint::new(11);
    let nodes: Vec<NodeId> = (0..5).map(|_| mint.node()).collect();
    for &node in &nodes {
        hello(&world, &tenant, node).await;
    }
    world.service(&tenant, "users").await;
    let present = head(&world, &tenant).await;
    assert_eq!(pending(&world).await, [present.revision]);
    tokio::join!(
        ack(&world, &tenant, nodes[0], present),
        ack(&world, &tenant, nodes[1], present),
        ack(&world, &tenant, nodes[2], present),
        ack(&world, &tenant, nodes[3], present),
    );
    let serving = world.control.gateways(&tenant.scope).await.unwrap();
    assert_eq!(serving.iter().filter(|view| view.record.applied == Some(present)).count(), 4);
    assert_eq!(pending(&world).await, [present.revision], "one node has not confirmed");
    ack(&world, &tenant, nodes[4], present).await;
    assert_eq!(pending(&world).await, []);
}

#[tokio::test]
async fn a_node_at_the_head_needs_nothing() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let present = head(&world, &tenant).await;
    assert!(matches!(ask(&world, &tenant, Some(present)).await, ConfigAnswer::Current(known) if known == present));
}

#[tokio::test]
async fn a_node_without_anything_gets_a_snapshot_with_the_heads_digest() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    world.service(&tenant, "users").await;
    let ConfigAnswer::Snapshot(set) = ask(&world, &tenant, None).await else { panic!("a snapshot") };
    assert_eq!(set.head(), head(&world, &tenant).await);
}

#[tokio::test]
async fn a_node_that_lags_gets_the_net_difference_which_is_shared() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let from = world.service(&tenant, "users").await.head;
    let gone = world.service(&tenant, "gone").await;
    world.service(&tenant, "orders").await;
    world
        .control
        .delete(&tenant.scope, reference(&gone), novagate_ports_control::inbound::Precondition::None)
        .await
        .unwrap();
    let ConfigAnswer::Delta(delta) = ask(&world, &tenant, Some(from)).await else { panic!("a delta") };
    assert_eq!((delta.from, delta.to), (from.revision.seq, head(&world, &tenant).await));
    assert_eq!((delta.upserts.len(), delta.deletes.len()), (1, 0));
    let ConfigAnswer::Delta(again) = ask(&world, &tenant, Some(from)).await else { panic!("a delta") };
    assert!(std::sync::Arc::ptr_eq(&delta, &again));
    world.service(&tenant, "newer").await;
    let ConfigAnswer::Delta(newer) = ask(&world, &tenant, Some(from)).await else { panic!("a delta") };
    assert_eq!(newer.upserts.len(), 2, "an older delta is not handed out");
}

#[tokio::test]
async fn a_node_of_a_foreign_epoch_gets_a_snapshot_and_the_epoch_stays() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let present = head(&world, &tenant).await;
    let foreign = Head { revision: Revision { epoch: Mint::new(8).epoch(), seq: 40 }, ..present };
    assert!(matches!(ask(&world, &tenant, Some(foreign)).await, ConfigAnswer::Snapshot(_)));
    assert_eq!(head(&world, &tenant).await, present);
}

#[tokio::test]
async fn a_node_from_our_future_or_another_past_makes_a_new_epoch() {
    let other = Digest::from_bytes([7; 32]);
    let claims: [fn(Head, Digest) -> Head; 3] = [
        |head, _| Head { revision: Revision { seq: head.revision.seq + 1, ..head.revision }, ..head },
        |head, other| Head { digest: other, ..head },
        |head, other| Head { revision: Revision { seq: head.revision.seq - 1, ..head.revision }, digest: other },
    ];
    for claim in claims {
        let world = World::open();
        let tenant = world.tenant(ADA).await;
        world.service(&tenant, "users").await;
        let before = world.service(&tenant, "orders").await.head;
        let mut bus = world.bus.subscribe().await.unwrap();
        let ConfigAnswer::Snapshot(set) = ask(&world, &tenant, Some(claim(before, other))).await else { panic!() };
        let after = head(&world, &tenant).await;
        assert_ne!(after.revision.epoch, before.revision.epoch);
        assert_eq!((after.revision.seq, after.digest), (before.revision.seq, before.digest));
        assert_eq!(set.head(), after);
        assert_eq!(world.wakes(&mut bus).await, [Wake::Config { tenant: tenant.id, head: after }]);
        // Editing goes on in the new epoch.
        let next = world.service(&tenant, "more").await.head;
        assert_eq!(next.revision, after.revision.next());
    }
}

#[tokio::test]
async fn a_tenant_suspended_by_another_process_is_refused_on_the_next_call() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let present = head(&world, &tenant).await;
    let operator = TenantScope::for_maintenance(tenant.id);
    TenantStore::set_state(&world.store, &operator, TenantState::Suspended, novagate_fixtures::START).await.unwrap();
    let suspended = |outcome: Result<(), SyncRefusal>| {
        assert!(matches!(outcome, Err(SyncRefusal::TenantSuspended)), "{outcome:?}");
    };
    suspended(GatewaySync::authenticate(&world.control, tenant.gateway_key.expose()).await.map(drop));
    suspended(world.control.config_for(&tenant.scope, Some(present)).await.map(drop));
    let node = Mint::new(1).node();
    suspended(world.control.hello(&tenant.scope, SESSION, &sighting(node, &world, &tenant, 1)).await);
    let batch = novagate_fixtures::logs(node, Mint::new(2).boot(), 1, &[], &[]);
    suspended(world.control.ingest(&tenant.scope, batch).await.map(drop));
}

#[tokio::test]
async fn a_tenant_suspended_here_is_refused_even_a_moment_after_its_last_edit() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let before = head(&world, &tenant).await;
    world.service(&tenant, "users").await;
    assert!(matches!(ask(&world, &tenant, Some(before)).await, ConfigAnswer::Delta(_)));
    world.control.set_tenant_state(tenant.id, TenantState::Suspended).await.unwrap();
    let refused = world.control.config_for(&tenant.scope, Some(before)).await.unwrap_err();
    assert!(matches!(refused, SyncRefusal::TenantSuspended));
}

#[tokio::test]
async fn an_erased_tenants_session_ends_like_a_suspended_ones() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let mut bus = world.bus.subscribe().await.unwrap();
    world.control.erase(&tenant.scope).await.unwrap();
    assert_eq!(world.wakes(&mut bus).await, [Wake::TenantClosed { tenant: tenant.id }]);
    let refused = world.control.config_for(&tenant.scope, None).await.unwrap_err();
    assert!(matches!(refused, SyncRefusal::TenantSuspended));
    let key = GatewaySync::authenticate(&world.control, tenant.gateway_key.expose()).await.unwrap_err();
    assert!(matches!(key, SyncRefusal::KeyInvalid));
}

#[tokio::test]
async fn a_pending_update_settles_when_the_last_known_node_has_confirmed() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let mint = Mint::new(4);
    let (first, second) = (mint.node(), mint.node());
    hello(&world, &tenant, first).await;
    hello(&world, &tenant, second).await;
    let present = world.service(&tenant, "users").await.head;
    assert_eq!(pending(&world).await, [present.revision]);
    ack(&world, &tenant, first, present).await;
    assert_eq!(pending(&world).await, [present.revision]);
    ack(&world, &tenant, second, present).await;
    assert_eq!(pending(&world).await, []);
    let newer = world.service(&tenant, "orders").await.head;
    ack(&world, &tenant, first, newer).await;
    assert_eq!(pending(&world).await, [newer.revision]);
    world.control.forget_gateway(&tenant.scope, second).await.unwrap();
    assert_eq!(pending(&world).await, [], "nobody waits for a forgotten node");
}

#[tokio::test]
async fn receipts_say_who_serves_a_revision_who_refused_it_and_who_lags() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let mint = Mint::new(4);
    let (good, bad, slow) = (mint.node(), mint.node(), mint.node());
    for node in [good, bad, slow] {
        hello(&world, &tenant, node).await;
    }
    let written = world.service(&tenant, "users").await;
    ack(&world, &tenant, good, written.head).await;
    let objects = vec![NackedObject {
        object: reference(&written),
        code: ObjectFaultCode::new("unresolved_secret"),
        field: "/targets/0".to_owned(),
    }];
    let nack = Nack { epoch: written.head.revision.epoch, seq: written.head.revision.seq, objects, serving: None };
    world.control.nacked(&tenant.scope, bad, &nack).await.unwrap();
    world.control.left(&tenant.scope, slow).await.unwrap();
    let view = world.control.revision(&tenant.scope, written.head.revision.seq).await.unwrap();
    let receipt = |node| view.receipts.iter().find(|receipt| receipt.node == node).unwrap();
    assert!(matches!(receipt(good).state, ReceiptState::Acked { at: Some(_) }));
    assert!(matches!(&receipt(bad).state, ReceiptState::Nacked(nack) if nack.objects.len() == 1));
    assert!(matches!(receipt(slow).state, ReceiptState::Lagging));
    assert_eq!((receipt(good).online, receipt(slow).online), (true, false));
    let nodes = world.control.gateways(&tenant.scope).await.unwrap();
    let lag = |node| nodes.iter().find(|view| view.record.node == node).unwrap().lag;
    assert_eq!((lag(good), lag(bad)), (Some(0), None));
    world.service(&tenant, "orders").await;
    assert_eq!(world.control.gateway(&tenant.scope, good).await.unwrap().lag, Some(1));
}

#[tokio::test]
async fn a_node_that_gives_no_sign_for_three_heartbeats_is_offline() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let node = Mint::new(4).node();
    hello(&world, &tenant, node).await;
    let online = async || world.control.gateway(&tenant.scope, node).await.unwrap().online;
    world.clock.advance(Duration::from_secs(44));
    assert!(online().await);
    world.clock.advance(Duration::from_secs(1));
    assert!(!online().await);
    world.control.beat(&tenant.scope, node).await.unwrap();
    assert!(online().await);
}

#[tokio::test]
async fn a_plan_bounds_known_nodes_and_not_their_return() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    *world.plan.lock().unwrap() = PlanLimits { nodes: 1, ..PlanLimits::FREE };
    let mint = Mint::new(4);
    let (known, more) = (mint.node(), mint.node());
    hello(&world, &tenant, known).await;
    let refused = world.control.hello(&tenant.scope, SESSION, &sighting(more, &world, &tenant, 5)).await.unwrap_err();
    assert!(matches!(refused, SyncRefusal::TooManyNodes));
    hello(&world, &tenant, known).await;
    assert_eq!(code(world.control.gateway(&tenant.scope, more).await), ErrorCode::NotFound);
    assert_eq!(code(world.control.forget_gateway(&tenant.scope, more).await), ErrorCode::NotFound);
    world.control.forget_gateway(&tenant.scope, known).await.unwrap();
    hello(&world, &tenant, more).await;
}

#[tokio::test]
async fn wakes_reach_every_subscriber() {
    let world = World::open();
    let mut wakes = world.control.wakes().await.unwrap();
    let tenant = world.tenant(ADA).await;
    let head = world.service(&tenant, "users").await.head;
    assert_eq!(wakes.next().await, Some(Wake::Config { tenant: tenant.id, head }));
}
