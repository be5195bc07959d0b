//! Two control nodes on one storage and bus: what one remembers is right when the other wrote.

use std::sync::Arc;

use novagate_access::TenantScope;
use novagate_chaos::{FaultPlan, Flaky};
use novagate_control_core::{Control, ControlDeps};
use novagate_fixtures::{Mint, START};
use novagate_kernel::{ErrorCode, NodeId};
use novagate_ports_base::FaultKind;
use novagate_ports_control::{
    inbound::{Accounts, ConfigAdmin, ConfigAnswer, Fleet, GatewaySync, Precondition, SyncRefusal},
    outbound::{Bus, TenantState, TenantStore, Wake},
};

use novagate_store_memory::MemoryPresence;

use crate::world::{SESSION, World, code, name_of, reference, service, sighting};

const ADA: &str = "ada@example.org";

#[tokio::test]
async fn of_two_conditional_edits_on_two_nodes_one_wins_and_one_learns_of_it() {
    let world = World::open();
    let (tenant, other) = (world.tenant(ADA).await, world.other_node());
    let first = world.service(&tenant, "users").await;
    let unchanged = Precondition::Unchanged(first.view.seq);
    // Both nodes remember the revision that both edits start from.
    other.create(&tenant.scope, service("there")).await.unwrap();
    world.service(&tenant, "here").await;
    let edit = |name: &str| service(name).with_id(reference(&first).id);
    let (left, right) = tokio::join!(
        world.control.replace(&tenant.scope, edit("left"), unchanged),
        other.replace(&tenant.scope, edit("right"), unchanged),
    );
    let outcomes = [left, right]
        .map(|outcome| outcome.map(|written| name_of(&written.view.object)).map_err(|refusal| refusal.code));
    let won: Vec<_> = outcomes.iter().flatten().collect();
    assert_eq!(won.len(), 1, "{outcomes:?}");
    assert!(outcomes.contains(&Err(ErrorCode::PreconditionFailed)), "{outcomes:?}");
    let stored = other.get(&tenant.scope, reference(&first)).await.unwrap();
    assert_eq!(&name_of(&stored.object), won[0]);
}

#[tokio::test]
async fn no_edit_is_lost_when_nodes_edit_in_turn() {
    let world = World::open();
    let (tenant, other) = (world.tenant(ADA).await, world.other_node());
    for turn in 0..10 {
        let control = if turn % 2 == 0 { &world.control } else { &other };
        control.create(&tenant.scope, service(&format!("s{turn}"))).await.unwrap();
    }
    assert_eq!(world.control.export(&tenant.scope).await.unwrap().1.len(), 10);
    let taken = world.control.create(&tenant.scope, service("s9")).await;
    assert_eq!(code(taken), ErrorCode::NameTaken);
}

#[tokio::test]
async fn a_tenant_suspended_elsewhere_gets_no_difference_from_memory_once_that_is_heard() {
    let world = World::open();
    let (tenant, other) = (world.tenant(ADA).await, world.other_node());
    let mut heard = world.control.wakes().await.unwrap();
    let before = world.control.head(&tenant.scope).await.unwrap();
    world.service(&tenant, "users").await;
    let ask = || world.control.config_for(&tenant.scope, Some(before));
    assert!(matches!(ask().await, Ok(ConfigAnswer::Delta(_))));
    assert!(other.set_tenant_state(tenant.id, TenantState::Suspended).await.unwrap());
    while heard.next().await != Some(Wake::TenantClosed { tenant: tenant.id }) {}
    assert!(matches!(ask().await, Err(SyncRefusal::TenantSuspended)));
}

#[tokio::test]
async fn lost_wake_ups_end_everything_that_is_answered_from_memory() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let mut heard = world.control.wakes().await.unwrap();
    let before = world.control.head(&tenant.scope).await.unwrap();
    world.service(&tenant, "users").await;
    let operator = TenantScope::for_maintenance(tenant.id);
    TenantStore::set_state(&world.store, &operator, TenantState::Suspended, START).await.unwrap();
    for _ in 0..2_000 {
        world.bus.publish(&Wake::TenantClosed { tenant: Mint::new(1).tenant() }).await.unwrap();
    }
    assert_eq!(heard.next().await, None);
    let answer = world.control.config_for(&tenant.scope, Some(before)).await;
    assert!(matches!(answer, Err(SyncRefusal::TenantSuspended)));
}

#[tokio::test]
async fn an_edit_elsewhere_replaces_the_difference_in_memory_once_it_is_heard() {
    let world = World::open();
    let (tenant, other) = (world.tenant(ADA).await, world.other_node());
    let mut heard = world.control.wakes().await.unwrap();
    let before = world.control.head(&tenant.scope).await.unwrap();
    world.service(&tenant, "here").await;
    let newest = other.create(&tenant.scope, service("there")).await.unwrap().head;
    while heard.next().await != Some(Wake::Config { tenant: tenant.id, head: newest }) {}
    let ConfigAnswer::Delta(delta) = world.control.config_for(&tenant.scope, Some(before)).await.unwrap() else {
        panic!("a difference")
    };
    assert_eq!((delta.to, delta.upserts.len()), (newest, 2));
}

#[tokio::test]
async fn a_key_revoked_elsewhere_is_not_confirmed_any_more() {
    let world = World::open();
    let (tenant, other) = (world.tenant(ADA).await, world.other_node());
    let made = world.control.create_gateway_key(&tenant.scope).await.unwrap();
    let verified = GatewaySync::authenticate(&world.control, made.key.expose()).await.unwrap();
    world.control.confirm(&verified).await.unwrap();
    other.revoke_gateway_key(&tenant.scope, verified.get().id).await.unwrap();
    assert!(matches!(world.control.confirm(&verified).await, Err(SyncRefusal::KeyRevoked)));
}

#[tokio::test]
async fn a_hello_is_told_to_every_node() {
    let world = World::open();
    let (tenant, other) = (world.tenant(ADA).await, world.other_node());
    let mut heard = other.wakes().await.unwrap();
    let sighting = sighting(NodeId::from_u128(7), &world, &tenant, 1);
    world.control.hello(&tenant.scope, SESSION, &sighting).await.unwrap();
    let (node, boot, at) = (sighting.node, sighting.boot, sighting.at);
    let seen = Wake::NodeSeen { tenant: tenant.id, node, boot, session: SESSION, at };
    assert_eq!(heard.next().await, Some(seen));
}

#[tokio::test]
async fn an_edit_whose_wake_up_fails_is_answered_all_the_same() {
    let world = World::open();
    let (tenant, plan) = (world.tenant(ADA).await, FaultPlan::default());
    plan.fail_all(Some(FaultKind::Unavailable));
    let bus = Arc::new(Flaky::new(world.bus.clone(), plan.clone()));
    let (control, _mails) = Control::new(ControlDeps { bus, ..world.deps.clone() });
    let written = control.create(&tenant.scope, service("users")).await.unwrap();
    assert_eq!(world.control.head(&tenant.scope).await.unwrap(), written.head);
    assert_eq!(plan.calls(), 1);
}

#[tokio::test]
async fn a_gateway_is_greeted_while_presence_is_away() {
    let world = World::open();
    let (tenant, plan) = (world.tenant(ADA).await, FaultPlan::default().fail_nth(1, FaultKind::TimedOut));
    let presence = MemoryPresence::new(Arc::new(world.clock.clone()));
    let presence = Arc::new(Flaky::new(presence, plan));
    let (control, _mails) = Control::new(ControlDeps { presence, ..world.deps.clone() });
    let node = NodeId::from_u128(7);
    control.hello(&tenant.scope, SESSION, &sighting(node, &world, &tenant, 1)).await.unwrap();
    assert!(!control.gateway(&tenant.scope, node).await.unwrap().online);
    control.beat(&tenant.scope, node).await.unwrap();
    assert!(control.gateway(&tenant.scope, node).await.unwrap().online);
}
