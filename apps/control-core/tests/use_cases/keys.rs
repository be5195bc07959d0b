//! Gateway keys: rotation with overlap.

use novagate_access::GatewayKey;
use novagate_kernel::{ErrorCode, GatewayKeyId, TenantId};
use novagate_ports_control::{
    inbound::{Accounts, GatewaySync, SyncRefusal},
    outbound::{Bus, Wake},
};

use crate::world::{World, code};

#[tokio::test]
async fn keys_overlap_until_one_is_revoked_and_that_wakes_the_bus() {
    let world = World::open();
    let tenant = world.tenant("ada@example.org").await;
    let second = world.control.create_gateway_key(&tenant.scope).await.unwrap();
    for key in [tenant.gateway_key.expose(), second.key.expose()] {
        GatewaySync::authenticate(&world.control, key).await.unwrap();
    }
    let keys = world.control.gateway_keys(&tenant.scope).await.unwrap();
    assert_eq!(keys.len(), 2);
    let first = keys.iter().find(|key| key.id != second.record.id).unwrap().id;
    let mut bus = world.bus.subscribe().await.unwrap();
    world.control.revoke_gateway_key(&tenant.scope, first).await.unwrap();
    let refused = GatewaySync::authenticate(&world.control, tenant.gateway_key.expose()).await.unwrap_err();
    assert!(matches!(refused, SyncRefusal::KeyRevoked));
    GatewaySync::authenticate(&world.control, second.key.expose()).await.unwrap();
    assert_eq!(world.wakes(&mut bus).await, [Wake::GatewayKeyRevoked { tenant: tenant.id, key: first }]);
    let listed = world.control.gateway_keys(&tenant.scope).await.unwrap();
    assert!(listed.iter().find(|key| key.id == first).unwrap().revoked_at.is_some(), "it stays listed");
}

#[tokio::test]
async fn unknown_and_foreign_keys_are_not_there() {
    let world = World::open();
    let (ada, bob) = (world.tenant("ada@example.org").await, world.tenant("bob@example.org").await);
    let foreign = world.control.gateway_keys(&bob.scope).await.unwrap()[0].id;
    for id in [foreign, GatewayKeyId::from_uuid(ada.id.as_uuid())] {
        assert_eq!(code(world.control.revoke_gateway_key(&ada.scope, id).await), ErrorCode::NotFound);
    }
    GatewaySync::authenticate(&world.control, bob.gateway_key.expose()).await.unwrap();
    let made_up = GatewayKey::generate(ada.id, [1; 16]);
    let foreign_tenant = GatewayKey::generate(TenantId::from_u128(5), [2; 16]);
    for text in [made_up.expose(), foreign_tenant.expose(), "", "gw_", "Bearer x"] {
        let refused = GatewaySync::authenticate(&world.control, text).await.unwrap_err();
        assert!(matches!(refused, SyncRefusal::KeyInvalid), "{text}");
    }
}

#[tokio::test]
async fn a_tenant_has_twenty_active_keys_and_revoking_makes_room() {
    let world = World::open();
    let tenant = world.tenant("ada@example.org").await;
    for _ in 1..20 {
        world.control.create_gateway_key(&tenant.scope).await.unwrap();
    }
    let refusal = world.control.create_gateway_key(&tenant.scope).await.unwrap_err();
    assert_eq!((refusal.code, refusal.limit), (ErrorCode::PlanLimit, Some("active gateway keys")));
    let first = world.control.gateway_keys(&tenant.scope).await.unwrap()[0].id;
    world.control.revoke_gateway_key(&tenant.scope, first).await.unwrap();
    world.control.create_gateway_key(&tenant.scope).await.unwrap();
}
