//! What a service's rules about failing upstreams do for clients, and what operators see of it.

use novagate_e2e::{Answer, Folder, Gateway, PATIENCE, Upstream, wait_until};
use serde_json::json;

/// Answers 503 with something that no client should see.
fn busy() -> Upstream {
    Upstream::start(|_| Answer::new(503, "CANARY7F"))
}

/// A gateway with one service behind `/*`; the folder of its configuration goes last.
fn serving(service: &serde_json::Value) -> (Gateway, Folder) {
    let routes = json!([{ "name": "all", "match": { "path": "/*" }, "service": "users" }]);
    Gateway::of_file(&json!({ "services": [service], "routes": routes }), Vec::new())
}

#[test]
fn a_failing_target_costs_no_client_an_answer_and_operators_see_it_ejected() {
    let (bad, good) = (busy(), Upstream::named("users"));
    let (gateway, _folder) = serving(&json!({
        "name": "users", "targets": [{ "url": bad.url() }, { "url": good.url() }],
        "retries": { "statuses": [503] },
        "outlierDetection": { "consecutiveFailures": 3, "ejectMs": 600_000 },
        "circuitBreaker": { "maxRequests": 1000, "maxConnections": 50 },
    }));
    wait_until("the failing target is ejected", PATIENCE, || {
        let answer = gateway.get("/x").expect(200);
        assert!(!answer.text().contains("CANARY7F"));
        gateway.metric("upstream_ejections_total{service=\"users\"}").is_some_and(|count| count > 0.5)
    });
    assert_eq!(bad.received().len(), 3);
    assert!(gateway.metric("upstream_retries_total{service=\"users\"}").is_some_and(|count| count > 2.5));
    let status = gateway.admin("/status");
    let told = &status["upstreams"][0];
    assert_eq!(
        (told["service"].as_str(), told["targets"].as_u64(), told["healthy"].as_u64()),
        (Some("users"), Some(2), Some(1))
    );
    assert_eq!(told["ejected"][0]["url"].as_str(), Some(bad.url().as_str()));
    assert!(told["ejected"][0]["returnsInMs"].as_u64().is_some_and(|left| (1..=600_000).contains(&left)), "{told}");
    assert_eq!((told["panics"].as_bool(), told["maxRequests"].as_u64()), (Some(false), Some(1000)));
    // Each worker has its own.
    assert!(told["openConnections"].as_u64().is_some_and(|open| (1..=50).contains(&open)), "{told}");
    assert_eq!(told["maxConnections"].as_u64(), Some(50));
    assert_eq!((told["slowStarting"].as_u64(), told["ownZoneOnly"].as_bool()), (Some(0), Some(false)));
}

#[test]
fn a_gateway_prefers_the_targets_in_its_zone_and_says_so() {
    let (near, far) = (Upstream::named("near"), Upstream::named("far"));
    let targets = json!([{ "url": far.url(), "zone": "eu-1b" }, { "url": near.url(), "zone": "eu-1a" }]);
    let services = json!([{ "name": "users", "targets": targets, "healthCheck": { "kind": "tcp" } }]);
    let routes = json!([{ "name": "all", "match": { "path": "/*" }, "service": "users" }]);
    let config = json!({ "services": services, "routes": routes });
    let (gateway, _folder) = Gateway::of_file(&config, vec![("ZONE", "eu-1a".to_owned())]);
    (0..4).for_each(|_| drop(gateway.get("/x").expect(200)));
    assert_eq!((near.received().len(), far.received().len()), (4, 0));
    let told = &gateway.admin("/status")["upstreams"][0];
    assert_eq!((told["ownZoneOnly"].as_bool(), told["healthy"].as_u64()), (Some(true), Some(2)));
}

#[test]
fn a_plain_service_is_not_told_of_and_its_upstreams_answer_passes() {
    let bad = busy();
    let (gateway, _folder) = serving(&json!({ "name": "users", "targets": [{ "url": bad.url() }] }));
    assert_eq!(gateway.get("/x").expect(503).text(), "CANARY7F");
    assert_eq!(bad.received().len(), 1);
    assert_eq!(gateway.admin("/status")["upstreams"], json!([]));
    assert_eq!(gateway.metric("upstream_retries_total{"), None);
}
