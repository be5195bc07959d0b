//! The main job: from a registration to a request in the log.

use std::time::{Duration, Instant};

use novagate_e2e::{EDGE_SECRET, Gateway, GatewayOptions, Upstream};
use novagate_e2e::{Load, PATIENCE, Request, World, edge_token, wait_for};
use serde_json::json;

#[test]
fn from_a_registration_to_traffic_and_what_the_control_plane_shows_of_it() {
    let world = World::start();
    let api = &world.api;
    let consumer = api.consumer("mobile-app");
    let (key_id, key) = api.consumer_key(&consumer);
    assert!(key.starts_with("ck_") && key.len() == 35, "{key}");
    let seq = api.wait_acked();

    let answer = world.gateway.send(&Request::get("/closed/users/7?page=2").header("x-api-key", &key)).expect(200);
    let request_id = answer.header("x-request-id").unwrap().to_owned();
    let seen = world.upstream.last_to("/closed/users/7").unwrap();
    assert_eq!(seen.target, "/closed/users/7?page=2");
    assert_eq!(seen.header("x-consumer-id"), Some(consumer.as_str()));
    assert_eq!(seen.header("x-consumer-groups"), Some("partners"));
    assert_eq!(seen.header("x-api-key"), None, "a key is not forwarded");
    let token = edge_token(EDGE_SECRET, "mobile-app");
    world.gateway.send(&Request::get("/closed/a").bearer(&token).header("x-token-subject", "somebody")).expect(200);
    assert_eq!(world.upstream.last_to("/closed/a").unwrap().header("x-token-subject"), Some("mobile-app"));
    world.gateway.get("/open/status/503").expect(503);
    assert_eq!(world.gateway.get("/nowhere").expect(404).code(), "ROUTE_NOT_FOUND");

    let item = api.wait_log(&request_id);
    assert_eq!((item["method"].as_str(), item["path"].as_str()), (Some("GET"), Some("/closed/*")));
    assert_eq!((item["status"].as_u64(), item["service"].as_str()), (Some(200), Some("users")));
    assert_eq!(item["consumerId"].as_str(), Some(consumer.as_str()));
    filters_narrow_the_log(&world, &consumer);
    views_show_the_fleet(&world, seq);
    assert!(api.items(&format!("/consumers/{consumer}/keys")).iter().all(|item| item.get("key").is_none()));
    assert_eq!(api.items(&format!("/consumers/{consumer}/keys"))[0]["id"].as_str(), Some(key_id.as_str()));
}

fn filters_narrow_the_log(world: &World, consumer: &str) {
    let api = &world.api;
    let route = api.items("/routes").iter().find(|route| route["name"] == "open").unwrap()["id"].clone();
    let broken = wait_for("the 503 is in the log", PATIENCE, || api.items("/logs?status=5xx").into_iter().next());
    assert_eq!(broken["status"], 503);
    assert_eq!(broken["routeId"], route);
    let count = |query: &str| api.items(&format!("/logs?{query}")).len();
    assert_eq!(count("status=503"), 1);
    assert_eq!(count("status=503&method=POST"), 0);
    assert_eq!(count(&format!("status=503&route={}", route.as_str().unwrap())), 1);
    assert_eq!(count(&format!("consumer={consumer}&status=2xx")), 2);
    assert_eq!(count("service=nobody"), 0);
    assert_eq!(count("minLatencyMs=4000000"), 0);
    assert_eq!(count("from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z"), 0);
    assert_eq!(count("limit=1"), 1);
    let lost = wait_for("the 404 is in the log", PATIENCE, || api.items("/logs?status=404").into_iter().next());
    assert_eq!((lost["path"].as_str(), lost["code"].as_str()), (Some("unmatched"), Some("ROUTE_NOT_FOUND")));
}

fn views_show_the_fleet(world: &World, seq: u64) {
    let api = &world.api;
    let revision = api.get(&format!("/revisions/{seq}")).expect(200).json();
    let nodes = api.items("/gateways");
    assert_eq!(nodes.len(), 1);
    assert_eq!(revision["acked"][0]["nodeId"], nodes[0]["id"]);
    assert_eq!((nodes[0]["online"].as_bool(), nodes[0]["lag"].as_u64()), (Some(true), Some(0)));
    assert_eq!(nodes[0]["appliedRevision"]["seq"].as_u64(), Some(seq));
    assert_eq!(world.gateway.admin("/health")["config"]["digest"], revision["digest"]);
    let health = api.get("/health").expect(200).json();
    assert_eq!(health["head"]["seq"].as_u64(), Some(seq));
    wait_for("a health snapshot has arrived", PATIENCE * 2, || {
        api.get("/health").expect(200).json().pointer("/snapshots/0/services/0/name").cloned()
    });
    let counted = wait_for("the metrics have arrived", PATIENCE * 2, || {
        let items = api.get("/metrics").expect(200).at("/items");
        let classes = items.as_array()?.iter().filter_map(|item| item["classes"][4].as_u64());
        Some(classes.sum::<u64>()).filter(|count| *count > 0)
    });
    assert_eq!(counted, 1, "one 503");
    let audit = api.items("/audit");
    assert!(audit.iter().any(|entry| entry["name"] == "closed"), "{audit:?}");
}

#[test]
fn an_unreachable_upstream_is_an_error_event_of_its_service() {
    let world = World::start();
    let gone = Upstream::named("gone");
    let service = world.api.service("gone", &gone.url());
    drop(gone);
    world.api.open_route("gone", "/gone/*", "gone");
    world.api.wait_acked();
    let answer = world.gateway.get("/gone/x");
    assert!(matches!(answer.status, 502 | 503), "{}", answer.text());
    assert!(matches!(answer.code().as_str(), "DOWNSTREAM_ERROR" | "NO_HEALTHY_TARGETS"), "{}", answer.text());
    let event = wait_for("the error event has arrived", PATIENCE, || {
        world.api.items(&format!("/errors?service={service}")).into_iter().next()
    });
    assert_eq!(event["code"].as_str(), Some(answer.code().as_str()));
    assert_eq!(event["requestId"].as_str(), answer.header("x-request-id"));
}

#[test]
fn edits_under_load_reach_the_gateway_soon_and_cost_no_request() {
    let world = World::start();
    let load = Load::start(world.gateway.address(), 6, |number| Request::get(&format!("/open/{number}")));
    load.wait_for_more(100);
    for round in 0..25 {
        let name = format!("edit-{round}");
        let path = format!("/edited/{round}");
        world.api.open_route(&name, &path, "users");
        let begin = Instant::now();
        world.gateway.wait_status(&path, 200);
        assert!(begin.elapsed() < Duration::from_secs(5), "edit {round} took {:?}", begin.elapsed());
    }
    world.api.wait_acked();
    load.wait_for_more(100);
    load.finish().assert_flawless();
}

#[test]
fn a_second_gateway_of_the_tenant_serves_the_same_and_both_are_listed() {
    let world = World::start();
    let options = GatewayOptions {
        control_url: world.control.sync_url(),
        key: world.api.account.gateway_key.clone(),
        environment: vec![("NODE_LABELS", "zone=b".to_owned())],
        ..GatewayOptions::default()
    };
    let second = Gateway::start(&options);
    second.wait_status("/open/x", 200);
    let nodes = world.api.items("/gateways");
    assert_eq!(nodes.len(), 2, "{nodes:?}");
    assert!(nodes.iter().any(|node| node["labels"] == json!({ "zone": "b" })));
    world.api.open_route("later", "/later", "users");
    second.wait_status("/later", 200);
    world.gateway.wait_status("/later", 200);
}
