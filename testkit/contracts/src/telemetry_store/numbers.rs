//! Health, counts, and what is thrown away.

use std::collections::BTreeMap;

use novagate_fixtures::{START, error_event, health, log_entry, logs, metrics};
use novagate_kernel::{Head, RouteId, Timestamp};
use novagate_ports_control::{
    PageRequest,
    outbound::{HealthRow, Ingested, MetricsRow, TelemetryBatch, TelemetryStore as _},
};
use novagate_records::{Batch, HealthSnapshot, LATENCY_CELLS, MetricsWindow, RouteWindow};

use super::ingest::{Source, all_logs, source};
use crate::stores::{MICROSECOND, StoreFixture, World, after};

pub async fn the_newest_health_of_each_node_counts<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let (store, scope) = (world.store(), &source.tenant.scope);
    let serving = Some(Head { digest: world.mint.digest(), ..world.mint.first_head() });
    let newest = HealthSnapshot { serving, services: vec![], ..health(&world.mint, after(30)) };
    let late = health(&world.mint, after(20));
    let snapshots = [health(&world.mint, after(10)), newest.clone(), late];
    for (seq, snapshot) in (1_u64..).zip(snapshots) {
        store.ingest(scope, &source.batch(seq, Batch::Health(snapshot))).await.unwrap();
    }
    let other = Source { tenant: source.tenant, node: world.mint.node(), boot: world.mint.boot() };
    let of_other = health(&world.mint, after(5));
    let scope = &other.tenant.scope;
    store.ingest(scope, &other.batch(1, Batch::Health(of_other.clone()))).await.unwrap();
    let mut rows = store.health(scope).await.unwrap();
    rows.sort_by_key(|row| row.snapshot.at);
    let expected =
        [HealthRow { node: other.node, snapshot: of_other }, HealthRow { node: source.node, snapshot: newest }];
    assert_eq!(rows, expected, "a report that arrives late is not newer");
}

async fn add<F: StoreFixture>(world: &World<F>, source: &Source, seq: u64, window: MetricsWindow) {
    let outcome = world.store().ingest(&source.tenant.scope, &source.batch(seq, Batch::Metrics(window))).await;
    assert_eq!(outcome.unwrap(), Ingested::New);
}

/// Buckets in the order of the answer, requests per route.
async fn requests<F: StoreFixture>(
    world: &World<F>,
    source: &Source,
    (from, to): (Timestamp, Timestamp),
    bucket_seconds: u32,
) -> Vec<(Timestamp, BTreeMap<Option<RouteId>, u64>)> {
    let rows = world.store().metrics(&source.tenant.scope, from, to, bucket_seconds).await.unwrap();
    assert!(rows.is_sorted_by_key(|row| row.from), "oldest first");
    let mut buckets: Vec<(Timestamp, BTreeMap<Option<RouteId>, u64>)> = Vec::new();
    for MetricsRow { from, window, .. } in rows {
        if buckets.last().is_none_or(|(last, _)| *last != from) {
            buckets.push((from, BTreeMap::new()));
        }
        let routes = &mut buckets.last_mut().expect("a bucket").1;
        assert_eq!(routes.insert(window.route, window.requests()), None, "one row per route and bucket");
    }
    buckets
}

/// A whole number of days after the epoch: every width of a bucket divides it.
fn midnight() -> Timestamp {
    Timestamp::from_seconds(START.as_seconds() / 86_400 * 86_400)
}

fn second(offset: u64) -> Timestamp {
    midnight().plus(std::time::Duration::from_secs(offset))
}

pub async fn counts_are_added_up_into_buckets<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let route = Some(world.mint.route());
    for seq in 1..=12 {
        add(&world, &source, seq, metrics(second(seq * 10), &[(route, seq)])).await;
    }
    let found = requests(&world, &source, (second(0), second(180)), 60).await;
    let bucket = |offset, count| (second(offset), BTreeMap::from([(route, count)]));
    assert_eq!(found, [bucket(0, 15), bucket(60, 51), bucket(120, 12)]);
    let found = requests(&world, &source, (second(60), second(120)), 60).await;
    assert_eq!(found, [bucket(60, 51)]);
    assert_eq!(requests(&world, &source, (second(300), second(600)), 60).await, []);
}

pub async fn counts_of_all_routes_and_nodes_are_kept_apart_and_together<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let (one, other) = (Some(world.mint.route()), Some(world.mint.route()));
    let mut row = RouteWindow::empty(one);
    row.classes = [1, 2, 3, 4, 5];
    row.latency = std::array::from_fn(|cell| u64::try_from(cell).unwrap() * 10);
    row.latency_sum_us = (1 << 52) + 1;
    let window =
        MetricsWindow { from: second(0), to: second(10), routes: vec![row.clone(), RouteWindow::empty(other)] };
    add(&world, &source, 1, window.clone()).await;
    add(&world, &source, 2, metrics(second(10), &[(None, 7)])).await;
    // Another node reports the same route in the same time.
    let batch = TelemetryBatch {
        node: world.mint.node(),
        boot: world.mint.boot(),
        batch_seq: 1,
        batch: Batch::Metrics(window),
    };
    world.store().ingest(&source.tenant.scope, &batch).await.unwrap();
    let rows = world.store().metrics(&source.tenant.scope, second(0), second(60), 60).await.unwrap();
    let of_one = rows.iter().find(|row| row.window.route == one).expect("the route's row");
    let mut twice = row.clone();
    twice.add(&row);
    assert_eq!((of_one.from, &of_one.window), (second(0), &twice));
    assert_eq!(of_one.window.latency.len(), LATENCY_CELLS);
    let unmatched = rows.iter().find(|row| row.window.route.is_none()).expect("requests that matched no route");
    assert_eq!(unmatched.window.requests(), 7);
}

pub async fn windows_belong_to_the_bucket_they_begin_in<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let starts = [second(0).minus(MICROSECOND), second(0), second(60).minus(MICROSECOND), second(60), second(120)];
    for (seq, from) in (1_u64..).zip(starts) {
        add(&world, &source, seq, metrics(from, &[(None, 10_u64.pow(u32::try_from(seq).unwrap()))])).await;
    }
    let found = requests(&world, &source, (second(0), second(120)), 60).await;
    let bucket = |offset, count| (second(offset), BTreeMap::from([(None, count)]));
    assert_eq!(found, [bucket(0, 1_100), bucket(60, 10_000)], "from is inclusive, to is exclusive");
}

pub async fn pruning_removes_what_is_older<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let (store, scope, mint) = (world.store(), &source.tenant.scope, &world.mint);
    let entries: Vec<_> = [0, 10, 49, 50, 51].map(|second| log_entry(mint, after(second))).to_vec();
    store.ingest(scope, &logs(source.node, source.boot, 1, &[], &entries)).await.unwrap();
    let events = [10, 60].map(|second| error_event(mint, after(second))).to_vec();
    store.ingest(scope, &source.batch(2, Batch::Errors(events))).await.unwrap();
    assert_eq!(store.prune(scope, START).await.unwrap(), 0);
    assert_eq!(store.prune(scope, after(50)).await.unwrap(), 4, "three requests and one error");
    assert_eq!(store.prune(scope, after(50)).await.unwrap(), 0);
    let left: Vec<Timestamp> = all_logs(&world, &source.tenant).await.iter().map(|row| row.at).collect();
    assert_eq!(left, [after(51), after(50)]);
    let errors = store.errors(scope, None, None, None, &PageRequest::first(10)).await.unwrap().items;
    assert_eq!(errors.len(), 1);
    // What was pruned is still known to have been taken.
    let again = logs(source.node, source.boot, 1, &[], &entries);
    assert_eq!(store.ingest(scope, &again).await.unwrap(), Ingested::AlreadyHave);
    add(&world, &source, 3, metrics(second(0), &[(None, 1)])).await;
    add(&world, &source, 4, metrics(second(600), &[(None, 1)])).await;
    assert_eq!(store.prune(scope, second(300)).await.unwrap(), 4, "what is left of the above, and one window");
    let kept = requests(&world, &source, (second(0), second(1_200)), 600).await;
    assert_eq!(kept, [(second(600), BTreeMap::from([(None, 1)]))]);
}
