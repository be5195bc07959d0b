//! Keys that end.

use std::time::{Duration, Instant};

use novagate_e2e::{Gateway, GatewayOptions, Load, PATIENCE, Request, World, wait_until};

#[test]
fn a_revoked_gateway_key_ends_its_session_within_a_second_and_traffic_goes_on() {
    let world = World::start();
    let load = Load::start(world.gateway.address(), 4, |number| Request::get(&format!("/open/{number}")));
    load.wait_for_more(50);
    let id = world.api.items("/gateway-keys")[0]["id"].as_str().unwrap().to_owned();
    let replacement = world.api.send(world.api.request("POST", "/gateway-keys")).expect(201).str_at("/key");
    world.api.delete(&format!("/gateway-keys/{id}")).expect(204);
    let begin = Instant::now();
    wait_until("the gateway says that it is refused", PATIENCE, || {
        !world.gateway.admin("/health")["controlPlaneRefused"].is_null()
    });
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    assert!(!world.gateway.is_connected());
    load.wait_for_more(100);
    load.finish().assert_flawless();
    assert!(world.api.get(&format!("/gateway-keys/{id}")).expect(200).at("/revokedAt").is_string());

    let control_url = world.control.sync_url();
    let second = Gateway::start(&GatewayOptions { control_url, key: replacement, ..GatewayOptions::default() });
    second.wait_status("/open/x", 200);
}

#[test]
fn a_revoked_consumer_key_is_refused_within_a_second_while_others_go_on() {
    let world = World::start();
    let consumer = world.api.consumer("app");
    let (id, key) = world.api.consumer_key(&consumer);
    let (_, other) = world.api.consumer_key(&consumer);
    world.api.wait_acked();
    let with = |key: &str| Request::get("/closed/x").header("x-api-key", key);
    world.gateway.send(&with(&key)).expect(200);
    let steady = with(&other);
    let load = Load::start(world.gateway.address(), 4, move |_| steady.clone());
    load.wait_for_more(50);
    world.api.delete(&format!("/consumers/{consumer}/keys/{id}")).expect(204);
    let begin = Instant::now();
    wait_until("the revoked key is refused", PATIENCE, || world.gateway.send(&with(&key)).status == 401);
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    assert_eq!(world.gateway.send(&with(&key)).expect(401).code(), "KEY_INVALID");
    // As a bearer token it is the same key.
    assert_eq!(world.gateway.send(&Request::get("/closed/x").bearer(&key)).expect(401).code(), "KEY_INVALID");
    // Not even where no credential is needed.
    let open = Request::get("/open/x").header("x-api-key", &key);
    assert_eq!(world.gateway.send(&open).expect(401).code(), "KEY_INVALID");
    load.wait_for_more(50);
    load.finish().assert_flawless();
}

#[test]
fn a_revocation_holds_after_a_restart_without_the_control_plane() {
    let mut world = World::start();
    let consumer = world.api.consumer("app");
    let (id, key) = world.api.consumer_key(&consumer);
    world.api.wait_acked();
    let with_key = Request::get("/closed/x").header("x-api-key", &key);
    world.gateway.send(&with_key).expect(200);
    world.api.delete(&format!("/consumers/{consumer}/keys/{id}")).expect(204);
    wait_until("the revoked key is refused", PATIENCE, || world.gateway.send(&with_key).status == 401);
    // In force first, durable right after: the receipt says that it is.
    world.api.wait_acked();
    world.gateway.kill9();
    world.control.kill9();
    world.gateway.restart();
    assert_eq!(world.gateway.send(&with_key).expect(401).code(), "KEY_INVALID");
}
