//! What operators do.

use novagate_kernel::{NodeId, TenantId};
use novagate_ports_control::{
    inbound::{Accounts, ConfigAdmin, Fleet, GatewaySync},
    outbound::{Bus, TenantState, Wake},
};

use crate::world::{SESSION, World, sighting};

const DAY: std::time::Duration = std::time::Duration::from_hours(24);

#[tokio::test]
async fn every_tenant_is_walked_over_whatever_their_number() {
    let world = World::open();
    let mut made = Vec::new();
    for number in 0..250_u32 {
        world.clock.advance(std::time::Duration::from_mins(1));
        made.push(world.tenant(&format!("user{number}@example.org")).await.id);
    }
    let mut walked = world.control.all_tenants().await.unwrap();
    walked.sort_unstable();
    made.sort_unstable();
    assert_eq!(walked, made);
}

#[tokio::test]
async fn a_suspension_is_announced_and_an_unknown_tenant_is_said() {
    let world = World::open();
    let tenant = world.tenant("ada@example.org").await;
    let mut bus = world.bus.subscribe().await.unwrap();
    assert!(world.control.set_tenant_state(tenant.id, TenantState::Suspended).await.unwrap());
    assert!(world.control.set_tenant_state(tenant.id, TenantState::Active).await.unwrap());
    assert_eq!(world.wakes(&mut bus).await, [Wake::TenantClosed { tenant: tenant.id }]);
    assert!(!world.control.set_tenant_state(TenantId::from_u128(9), TenantState::Suspended).await.unwrap());
    world.control.tenant(&tenant.scope).await.unwrap();
}

#[tokio::test]
async fn a_new_epoch_keeps_number_and_content_and_is_announced() {
    let world = World::open();
    let tenant = world.tenant("ada@example.org").await;
    let before = world.service(&tenant, "users").await.head;
    let mut bus = world.bus.subscribe().await.unwrap();
    assert!(world.control.renew_epoch(tenant.id).await.unwrap());
    let after = world.control.head(&tenant.scope).await.unwrap();
    assert_ne!(after.revision.epoch, before.revision.epoch);
    assert_eq!((after.revision.seq, after.digest), (before.revision.seq, before.digest));
    assert_eq!(world.wakes(&mut bus).await, [Wake::Config { tenant: tenant.id, head: after }]);
    assert!(!world.control.renew_epoch(TenantId::from_u128(9)).await.unwrap());
}

#[tokio::test]
async fn a_gateway_is_forgotten_after_a_silent_day_and_one_that_beats_is_not() {
    let world = World::open();
    let tenant = world.tenant("ada@example.org").await;
    let (silent, beating) = (NodeId::from_u128(1), NodeId::from_u128(2));
    for node in [silent, beating] {
        let seed = u64::try_from(node.as_u128()).unwrap();
        world.control.hello(&tenant.scope, SESSION, &sighting(node, &world, &tenant, seed)).await.unwrap();
    }
    world.clock.advance(std::time::Duration::from_hours(23));
    world.control.beat(&tenant.scope, beating).await.unwrap();
    assert_eq!(world.control.forget_silent_nodes(DAY).await.unwrap(), 0);
    world.clock.advance(std::time::Duration::from_hours(1));
    assert_eq!(world.control.forget_silent_nodes(DAY).await.unwrap(), 1);
    let known: Vec<NodeId> =
        world.control.gateways(&tenant.scope).await.unwrap().iter().map(|view| view.record.node).collect();
    assert_eq!(known, [beating]);
}
