//! What becomes of a batch.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use novagate_fixtures::{START, error_event, health, log_entry, logs, metrics};
use novagate_kernel::{BootId, ErrorCode, NodeId};
use novagate_ports_control::{
    PageRequest,
    outbound::{ErrorRow, HealthRow, Ingested, LogFilter, LogRow, TelemetryBatch, TelemetryStore as _},
};
use novagate_records::{Batch, LogEntry, MethodLabel, RouteLabel};

use crate::stores::{StoreFixture, Tenant, World, after};

const PAGE: PageRequest = PageRequest::first(500);

/// A run of a node of a tenant.
pub(crate) struct Source {
    pub(crate) tenant: Tenant,
    pub(crate) node: NodeId,
    pub(crate) boot: BootId,
}

impl Source {
    pub(crate) fn batch(&self, batch_seq: u64, batch: Batch) -> TelemetryBatch {
        TelemetryBatch { node: self.node, boot: self.boot, batch_seq, batch }
    }
}

pub(crate) async fn source<F: StoreFixture>(world: &World<F>) -> Source {
    Source { tenant: world.tenant().await, node: world.mint.node(), boot: world.mint.boot() }
}

/// Everything of a row but its id, which the store gives.
pub(crate) fn row_of(row: &LogRow, entry: &LogEntry, routes: &[RouteLabel], node: NodeId) -> LogRow {
    let label = entry.route.and_then(|at| routes.get(usize::try_from(at).unwrap()));
    LogRow {
        id: row.id,
        at: entry.at,
        request_id: entry.request_id,
        method: entry.method,
        template: label.map(|label| label.template.to_string()),
        route: label.map(|label| label.id),
        service: label.and_then(|label| label.service.clone()),
        status: entry.status,
        latency_us: entry.latency_us,
        upstream_us: entry.upstream_us,
        consumer: entry.consumer,
        node,
        code: entry.code,
    }
}

pub(crate) async fn all_logs<F: StoreFixture>(world: &World<F>, tenant: &Tenant) -> Vec<LogRow> {
    world.store().logs(&tenant.scope, &LogFilter::default(), &PAGE).await.unwrap().items
}

pub async fn a_batch_is_stored_whole<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let label = |template: &str| RouteLabel {
        id: world.mint.route(),
        template: Arc::from(template),
        service: Some(world.mint.name("svc")),
    };
    let routes = [label("/a/{id}"), label("/caf%C3%A9/*")];
    let plain = log_entry(&world.mint, after(1));
    let full = LogEntry {
        route: Some(1),
        consumer: Some(world.mint.consumer()),
        latency_us: u32::MAX,
        upstream_us: Some(u32::MAX - 1),
        status: 504,
        method: MethodLabel::Other,
        code: Some(ErrorCode::DownstreamTimeout),
        ..log_entry(&world.mint, after(2))
    };
    let first = LogEntry { route: Some(0), upstream_us: Some(0), ..log_entry(&world.mint, after(3)) };
    let entries = [plain, full, first];
    let batch = logs(source.node, source.boot, 1, &routes, &entries);
    assert_eq!(world.store().ingest(&source.tenant.scope, &batch).await.unwrap(), Ingested::New);
    let rows = all_logs(&world, &source.tenant).await;
    assert_eq!(rows.len(), 3);
    for (row, entry) in rows.iter().zip(entries.iter().rev()) {
        assert_eq!(*row, row_of(row, entry, &routes, source.node));
    }
    let ids: BTreeSet<_> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), 3, "each row has an id of its own");
}

pub async fn a_batch_is_stored_at_most_once<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let (store, scope) = (world.store(), &source.tenant.scope);
    let kinds = [
        Batch::Errors(vec![error_event(&world.mint, START)]),
        Batch::Health(health(&world.mint, START)),
        Batch::Metrics(metrics(START, &[(None, 5)])),
    ];
    let first = logs(source.node, source.boot, 1, &[], &[log_entry(&world.mint, START)]);
    let mut batches = vec![first];
    batches.extend((2_u64..).zip(kinds).map(|(seq, batch)| source.batch(seq, batch)));
    for expected in [Ingested::New, Ingested::AlreadyHave, Ingested::AlreadyHave] {
        for batch in &batches {
            assert_eq!(store.ingest(scope, batch).await.unwrap(), expected, "{:?}", batch.batch.kind());
        }
    }
    // The place in the run decides, not the content.
    let other = logs(source.node, source.boot, 2, &[], &[log_entry(&world.mint, START)]);
    assert_eq!(store.ingest(scope, &other).await.unwrap(), Ingested::AlreadyHave);
    assert_eq!(all_logs(&world, &source.tenant).await.len(), 1);
    assert_eq!(store.errors(scope, None, None, None, &PAGE).await.unwrap().items.len(), 1);
    assert_eq!(store.health(scope).await.unwrap().len(), 1);
    let counted = store.metrics(scope, START, after(10), 10).await.unwrap();
    assert_eq!(counted.iter().map(|row| row.window.requests()).sum::<u64>(), 5);
}

pub async fn of_racing_deliveries_of_a_batch_exactly_one_is_new<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let entries: Vec<_> = (0..10).map(|second| log_entry(&world.mint, after(second))).collect();
    let batch = logs(source.node, source.boot, 1, &[], &entries);
    let outcomes = join_all((0..6).map(|_| world.store().ingest(&source.tenant.scope, &batch))).await;
    let new = outcomes.into_iter().map(Result::unwrap).filter(|&outcome| outcome == Ingested::New).count();
    assert_eq!(new, 1);
    assert_eq!(all_logs(&world, &source.tenant).await.len(), 10);
}

pub async fn the_cursor_stops_before_the_first_gap<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let (store, scope) = (world.store(), &source.tenant.scope);
    assert_eq!(store.received(scope, source.boot).await.unwrap(), 0);
    for (seq, expected) in [(3, 0), (1, 1), (5, 1), (2, 3), (7, 3), (4, 5), (6, 7), (8, 8)] {
        let batch = logs(source.node, source.boot, seq, &[], &[log_entry(&world.mint, after(seq))]);
        assert_eq!(store.ingest(scope, &batch).await.unwrap(), Ingested::New, "{seq}");
        assert_eq!(store.received(scope, source.boot).await.unwrap(), expected, "after {seq}");
    }
    for seq in 1..=8 {
        let batch = logs(source.node, source.boot, seq, &[], &[log_entry(&world.mint, after(seq))]);
        assert_eq!(store.ingest(scope, &batch).await.unwrap(), Ingested::AlreadyHave, "{seq}");
    }
    assert_eq!(store.received(scope, source.boot).await.unwrap(), 8);
}

pub async fn each_boot_has_its_own_cursor<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let (store, scope) = (world.store(), &source.tenant.scope);
    let (second, other_node) = (world.mint.boot(), world.mint.node());
    for (node, boot) in [(source.node, source.boot), (source.node, second), (other_node, world.mint.boot())] {
        let batch = logs(node, boot, 1, &[], &[log_entry(&world.mint, START)]);
        assert_eq!(store.ingest(scope, &batch).await.unwrap(), Ingested::New);
        assert_eq!(store.received(scope, boot).await.unwrap(), 1);
    }
    assert_eq!(all_logs(&world, &source.tenant).await.len(), 3);
}

pub async fn batches_of_every_kind_move_the_cursor<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let (store, scope) = (world.store(), &source.tenant.scope);
    let event = error_event(&world.mint, START);
    let snapshot = health(&world.mint, START);
    let batches = [
        Batch::Metrics(metrics(START, &[])),
        Batch::Health(snapshot.clone()),
        Batch::Errors(vec![event]),
        Batch::Errors(vec![]),
        Batch::Metrics(metrics(after(10), &[(Some(world.mint.route()), 1)])),
    ];
    for (seq, batch) in (1_u64..).zip(batches) {
        store.ingest(scope, &source.batch(seq, batch)).await.unwrap();
        assert_eq!(store.received(scope, source.boot).await.unwrap(), seq);
    }
    assert_eq!(store.health(scope).await.unwrap(), [HealthRow { node: source.node, snapshot }]);
    let errors = store.errors(scope, None, None, None, &PAGE).await.unwrap().items;
    assert_eq!(errors, [ErrorRow { id: errors[0].id, node: source.node, event }]);
}

pub async fn a_full_batch_is_stored<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let entries: Vec<_> = (0..1_000).map(|second| log_entry(&world.mint, after(second))).collect();
    let batch = logs(source.node, source.boot, 1, &[], &entries);
    world.store().ingest(&source.tenant.scope, &batch).await.unwrap();
    let (store, scope) = (world.store(), &source.tenant.scope);
    let fetch = |request: PageRequest| async move { store.logs(scope, &LogFilter::default(), &request).await };
    let rows = crate::pages::read_all(500, fetch).await;
    assert!(rows.iter().map(|row| row.request_id).eq(entries.iter().rev().map(|entry| entry.request_id)));
}

pub async fn other_tenants_telemetry_is_invisible<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let other = world.tenant().await;
    let (store, mine, theirs) = (world.store(), &source.tenant.scope, &other.scope);
    store.ingest(mine, &logs(source.node, source.boot, 1, &[], &[log_entry(&world.mint, START)])).await.unwrap();
    let kinds = [
        Batch::Errors(vec![error_event(&world.mint, START)]),
        Batch::Health(health(&world.mint, START)),
        Batch::Metrics(metrics(START, &[(None, 5)])),
    ];
    for (seq, batch) in (2_u64..).zip(kinds) {
        store.ingest(mine, &source.batch(seq, batch)).await.unwrap();
    }
    assert_eq!(all_logs(&world, &other).await, []);
    assert_eq!(store.errors(theirs, None, None, None, &PAGE).await.unwrap().items, []);
    assert_eq!(store.health(theirs).await.unwrap(), []);
    assert_eq!(store.metrics(theirs, START, after(10), 10).await.unwrap(), []);
    assert_eq!(store.received(theirs, source.boot).await.unwrap(), 0);
    assert_eq!(store.prune(theirs, after(1_000)).await.unwrap(), 0);
    // The same place in the same run is another one in another tenant.
    let same = logs(source.node, source.boot, 1, &[], &[log_entry(&world.mint, START)]);
    assert_eq!(store.ingest(theirs, &same).await.unwrap(), Ingested::New);
    assert_eq!(all_logs(&world, &source.tenant).await.len(), 1);
}

pub async fn telemetry_survives_a_restart<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let scope = &source.tenant.scope;
    let batch = logs(source.node, source.boot, 1, &[], &[log_entry(&world.mint, START)]);
    world.store().ingest(scope, &batch).await.unwrap();
    let later = logs(source.node, source.boot, 3, &[], &[log_entry(&world.mint, after(1))]);
    world.store().ingest(scope, &later).await.unwrap();
    let before = all_logs(&world, &source.tenant).await;
    let Some(world) = world.reopened().await else { return };
    assert_eq!(all_logs(&world, &source.tenant).await, before);
    assert_eq!(world.store().received(scope, source.boot).await.unwrap(), 1);
    assert_eq!(world.store().ingest(scope, &later).await.unwrap(), Ingested::AlreadyHave);
}
