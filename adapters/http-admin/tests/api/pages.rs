//! Lists and query parameters.

use std::collections::BTreeSet;
use std::time::Duration;

use novagate_access::TenantScope;
use novagate_fixtures::{Mint, START, error_event, health, log_entry, logs, metrics};
use novagate_kernel::{SessionId, TenantId};
use novagate_ports_control::{
    inbound::GatewaySync as _,
    outbound::{NodeSighting, TelemetryBatch},
};
use novagate_records::Batch;
use serde_json::{Value, json};

use crate::world::{Tenant, World};

/// How many of everything there are.
const MANY: usize = 7;

/// A tenant with several of everything that can be listed.
async fn filled(world: &World) -> (Tenant, Vec<String>) {
    let ada = world.tenant("ada@example.org").await;
    let scope = TenantScope::for_maintenance(TenantId::parse(&ada.id).unwrap());
    let mint = Mint::new(3);
    let mut consumer = String::new();
    for number in 0..MANY {
        world.service(&ada, &format!("s{number}")).await;
        let route = json!({"name": format!("r{number}"), "match": {"path": format!("/r{number}")}, "service": "s0"});
        world.post(&ada.path("/routes")).by(&ada).json(&route).send().await.expect(201);
        let body = json!({"name": format!("c{number}")});
        let made = world.post(&ada.path("/consumers")).by(&ada).json(&body).send().await.expect(201);
        consumer = ada.path(&format!("/consumers/{}/keys", made["id"].as_str().unwrap()));
        world.post(&ada.path("/gateway-keys")).by(&ada).send().await.expect(201);
        let sighting = NodeSighting {
            node: mint.node(),
            boot: mint.boot(),
            build: "b".to_owned(),
            labels: [].into(),
            key: mint.gateway_key(),
            applied: None,
            at: START,
        };
        world.control.hello(&scope, SessionId::from_u128(1), &sighting).await.unwrap();
        let at = START.plus(Duration::from_secs(number as u64));
        let batch = |seq, batch| TelemetryBatch { node: sighting.node, boot: sighting.boot, batch_seq: seq, batch };
        let rows = logs(sighting.node, sighting.boot, 1, &[], &[log_entry(&mint, at)]);
        world.control.ingest(&scope, rows).await.unwrap();
        world.control.ingest(&scope, batch(2, Batch::Errors(vec![error_event(&mint, at)]))).await.unwrap();
        world.control.ingest(&scope, batch(3, Batch::Metrics(metrics(START, &[(None, 2)])))).await.unwrap();
        world.control.ingest(&scope, batch(4, Batch::Health(health(&mint, at)))).await.unwrap();
    }
    for _ in 0..MANY {
        world.post(&consumer).by(&ada).send().await.expect(201);
    }
    let mut lists: Vec<String> =
        ["services", "routes", "consumers", "gateway-keys", "gateways", "revisions", "logs", "errors", "audit"]
            .iter()
            .map(|list| ada.path(&format!("/{list}")))
            .collect();
    lists.push(consumer);
    (ada, lists)
}

async fn page(world: &World, tenant: &Tenant, path: &str) -> (Vec<Value>, Option<String>) {
    let page = world.get(path).by(tenant).send().await.expect(200);
    assert_eq!(page.as_object().unwrap().len(), 2, "{{items, nextCursor}}");
    (page["items"].as_array().unwrap().clone(), page["nextCursor"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn pages_of_every_list_meet_without_gap_or_overlap() {
    let world = World::open();
    let (ada, lists) = filled(&world).await;
    for list in &lists {
        let (all, none) = page(&world, &ada, &format!("{list}?limit=500")).await;
        assert!(all.len() >= MANY && none.is_none(), "{list}: {}", all.len());
        for limit in [1, 3, all.len()] {
            let (mut found, mut next) = page(&world, &ada, &format!("{list}?limit={limit}")).await;
            while let Some(cursor) = next {
                let (more, after) = page(&world, &ada, &format!("{list}?limit={limit}&cursor={cursor}")).await;
                assert!(!more.is_empty() && more.len() <= limit, "{list}");
                found.extend(more);
                next = after;
            }
            assert_eq!(found, all, "{list} by {limit}");
        }
        let unique: BTreeSet<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(unique.len(), all.len());
    }
}

#[tokio::test]
async fn query_parameters_are_checked_on_every_list() {
    let world = World::open();
    let (ada, lists) = filled(&world).await;
    for list in &lists {
        for (query, fault) in [
            ("limit=0", "/limit invalid"),
            ("limit=501", "/limit invalid"),
            ("limit=-1", "/limit invalid"),
            ("limit=1e1", "/limit invalid"),
            ("limit=", "/limit invalid"),
            ("cursor=", "/cursor invalid"),
            ("cursor=zz", "/cursor invalid"),
            ("cursor=ff", "/cursor invalid"),
            ("page=2", "/page unknown_parameter"),
            ("limit=1&limit=2", "/limit duplicate"),
        ] {
            let answer = world.get(&format!("{list}?{query}")).by(&ada).send().await;
            assert_eq!(answer.faults(), [fault], "{list}?{query}");
        }
        let both = world.get(&format!("{list}?limit=0&b=1&a=%00%3Cx")).by(&ada).send().await;
        assert_eq!(both.faults(), ["/a unknown_parameter", "/b unknown_parameter", "/limit invalid"]);
    }
}

#[tokio::test]
async fn a_cursor_that_no_list_gave_is_refused_by_lists_of_the_store() {
    let world = World::open();
    let (ada, lists) = filled(&world).await;
    for list in lists.iter().filter(|list| !list.contains("/gateway")) {
        let answer = world.get(&format!("{list}?cursor=6a756e6b")).by(&ada).send().await;
        assert_eq!(answer.faults(), ["/cursor invalid_cursor"], "{list}");
    }
}

#[tokio::test]
async fn filters_of_the_log_are_checked_one_by_one() {
    let world = World::open();
    let (ada, _) = filled(&world).await;
    let ask = |query: &str| world.get(&format!("{}?{query}", ada.path("/logs"))).by(&ada);
    for (query, count) in [
        ("", MANY),
        ("from=2026-01-01T00:00:03Z", MANY - 3),
        ("to=2026-01-01T00:00:03Z", 3),
        ("from=2026-01-01T00:00:01Z&to=2026-01-01T00:00:03Z", 2),
        ("status=200&method=GET", MANY),
        ("status=2xx", MANY),
        ("status=5xx", 0),
        ("method=POST", 0),
        ("minLatencyMs=1", MANY),
        ("minLatencyMs=2", 0),
        ("service=users", 0),
        ("requestId=11111111-2222-4333-8444-555555555555", 0),
    ] {
        let found = ask(query).send().await.expect(200);
        assert_eq!(found["items"].as_array().unwrap().len(), count, "{query}");
    }
    for name in ["from", "to", "route", "service", "method", "status", "consumer", "requestId", "minLatencyMs"] {
        for bad in ["", "%20", "nonsense!", "%F0%9F%A6%80"] {
            let answer = ask(&format!("{name}={bad}")).send().await;
            assert_eq!(answer.faults(), [format!("/{name} invalid")], "{name}={bad}");
        }
    }
    let item = ask("limit=1").send().await.expect(200)["items"][0].clone();
    let fields: BTreeSet<&str> = item.as_object().unwrap().keys().map(String::as_str).collect();
    let wanted = [
        "id",
        "at",
        "requestId",
        "method",
        "path",
        "routeId",
        "service",
        "status",
        "latencyUs",
        "upstreamUs",
        "consumerId",
        "nodeId",
        "code",
    ];
    assert_eq!(fields, wanted.into());
    assert_eq!(item["path"], "unmatched");
}

#[tokio::test]
async fn metrics_and_health_answer_what_the_gateways_sent() {
    let world = World::open();
    let (ada, _) = filled(&world).await;
    let path = ada.path("/metrics?from=2026-01-01T00:00:00Z&to=2026-01-01T01:00:00Z&bucketSeconds=60");
    let metrics = world.get(&path).by(&ada).send().await.expect(200);
    assert_eq!(metrics["items"][0]["requests"], 2 * MANY);
    assert_eq!(metrics["bucketSeconds"], 60);
    world.get(&ada.path("/metrics")).by(&ada).send().await.expect(200);
    for (query, fault) in [
        ("bucketSeconds=9", "/bucketSeconds out_of_range"),
        ("bucketSeconds=x", "/bucketSeconds invalid"),
        ("from=yesterday", "/from invalid"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "/to out_of_range"),
        ("from=2020-01-01T00:00:00Z&bucketSeconds=10", "/bucketSeconds too_many_buckets"),
        ("step=5", "/step unknown_parameter"),
    ] {
        let answer = world.get(&format!("{}?{query}", ada.path("/metrics"))).by(&ada).send().await;
        assert_eq!(answer.faults(), [fault], "{query}");
    }
    let health = world.get(&ada.path("/health")).by(&ada).send().await.expect(200);
    assert_eq!(health["gateways"].as_array().unwrap().len(), MANY);
    assert_eq!(health["snapshots"].as_array().unwrap().len(), MANY);
    assert_eq!(health["gateways"][0]["online"], true);
    let node = health["gateways"][0]["id"].as_str().unwrap().to_owned();
    let path = ada.path(&format!("/gateways/{node}"));
    world.get(&path).by(&ada).send().await.expect(200);
    world.call("DELETE", &path).by(&ada).send().await.expect(204);
    world.get(&path).by(&ada).send().await.problem(404, "NOT_FOUND");
}

#[tokio::test(start_paused = true)]
async fn the_stream_of_metrics_tells_the_last_minute_until_its_token_ends() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let answer = async {
        let call = world.get(&ada.path("/metrics/stream")).by(&ada);
        tokio::time::timeout(Duration::from_hours(2), call.send()).await.expect("it ends")
    };
    let logout = async {
        for _ in 0..35 {
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        world.post("/api/v1/auth/logout").by(&ada).send().await.expect(204);
    };
    let (answer, ()) = tokio::join!(answer, logout);
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let events: Vec<&str> = answer.text().split("\n\n").filter(|event| !event.is_empty()).collect();
    assert_eq!(events.len(), 4, "at 0, 10, 20 and 30 seconds");
    for event in events {
        let (name, data) = event.split_once('\n').unwrap();
        assert_eq!(name, "event: metrics");
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!((&data["bucketSeconds"], &data["items"]), (&json!(10), &json!([])));
    }
    let bob = world.tenant("bob@example.org").await;
    let call = async |query: &str| world.get(&bob.path(&format!("/metrics/stream{query}"))).by(&bob).send().await;
    assert_eq!(call("?x=1").await.faults(), ["/x unknown_parameter"]);
    let text = call("").await.text().to_owned();
    assert_eq!(text.matches("event: metrics").count(), 360, "an hour at most");
}
