//! Lists of requests and errors: which rows, in which order.

use std::collections::BTreeSet;
use std::sync::Arc;

use novagate_fixtures::{error_event, log_entry, logs};
use novagate_kernel::{LogId, RequestId};
use novagate_ports_control::{
    PageRequest,
    outbound::{LogFilter, LogRow, TelemetryStore as _},
};
use novagate_records::{Batch, ErrorEvent, LogEntry, MethodLabel, RouteLabel};

use super::ingest::{Source, all_logs, row_of, source};
use crate::pages::{assert_foreign_cursors_are_refused, assert_pages, read_all};
use crate::stores::{MICROSECOND, StoreFixture, World, after};

const PAGE: PageRequest = PageRequest::first(500);
const ROWS: u64 = 120;

/// Requests of few routes, methods, statuses and consumers, one per second, newest first.
async fn stored<F: StoreFixture>(world: &World<F>, source: &Source) -> Vec<LogRow> {
    let (mint, entropy) = (&world.mint, world.mint.entropy());
    let services = [mint.name("users"), mint.name("orders")];
    let label = |at: usize| RouteLabel {
        id: mint.route(),
        template: Arc::from(format!("/r{at}")),
        service: Some(services[at % 2].clone()),
    };
    let routes: Vec<RouteLabel> = (0..3).map(label).collect();
    let consumers = [None, Some(mint.consumer()), Some(mint.consumer())];
    let entry = |second| LogEntry {
        route: [None, Some(0), Some(1), Some(2)][usize::try_from(entropy.below(4)).unwrap()],
        consumer: *entropy.pick(&consumers),
        latency_us: *entropy.pick(&[99, 100, 101, 5_000]),
        status: *entropy.pick(&[200, 204, 404, 499, 500, 503, 599]),
        method: *entropy.pick(&[MethodLabel::Get, MethodLabel::Post, MethodLabel::Other]),
        ..log_entry(mint, after(second))
    };
    let entries: Vec<LogEntry> = (0..ROWS).map(entry).collect();
    // Two batches that overlap in time: the order is that of times, not of arrival.
    let (odd, even): (Vec<LogEntry>, Vec<LogEntry>) = entries.iter().partition(|entry| entry.at.as_seconds() % 2 == 1);
    for (seq, part) in [(1, odd), (2, even)] {
        let batch = logs(source.node, source.boot, seq, &routes, &part);
        world.store().ingest(&source.tenant.scope, &batch).await.unwrap();
    }
    let rows = all_logs(world, &source.tenant).await;
    let expected = entries.iter().rev().zip(&rows).map(|(entry, row)| row_of(row, entry, &routes, source.node));
    assert!(expected.eq(rows.iter().cloned()), "not what was sent, newest first");
    rows
}

/// What a filter means.
fn holds(filter: &LogFilter, row: &LogRow) -> bool {
    fn wanted<T: PartialEq>(wanted: Option<&T>, present: Option<&T>) -> bool {
        wanted.is_none() || wanted == present
    }
    filter.from.is_none_or(|from| row.at >= from)
        && filter.to.is_none_or(|to| row.at < to)
        && wanted(filter.route.as_ref(), row.route.as_ref())
        && wanted(filter.service.as_ref(), row.service.as_ref())
        && wanted(filter.method.as_ref(), Some(&row.method))
        && filter.status.is_none_or(|(low, high)| (low..=high).contains(&row.status))
        && wanted(filter.consumer.as_ref(), row.consumer.as_ref())
        && wanted(filter.request_id.as_ref(), Some(&row.request_id))
        && filter.min_latency_us.is_none_or(|least| row.latency_us >= least)
}

async fn assert_filtered<F: StoreFixture>(world: &World<F>, source: &Source, rows: &[LogRow], filter: &LogFilter) {
    let expected: Vec<LogRow> = rows.iter().filter(|row| holds(filter, row)).cloned().collect();
    let (store, scope) = (world.store(), &source.tenant.scope);
    let found = store.logs(scope, filter, &PAGE).await.unwrap();
    assert_eq!(found.items, expected, "{filter:?}");
    assert_eq!(found.next, None);
    let fetch = |request: PageRequest| async move { store.logs(scope, filter, &request).await };
    assert_eq!(read_all(7, fetch).await, expected, "in pages, {filter:?}");
}

pub async fn each_filter_holds_alone<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let rows = stored(&world, &source).await;
    let with_route = rows.iter().find(|row| row.route.is_some()).expect("a matched request");
    let with_consumer = rows.iter().find(|row| row.consumer.is_some()).expect("a request of a consumer");
    let none = LogFilter::default();
    let filters = [
        none.clone(),
        LogFilter { from: Some(after(40)), ..none.clone() },
        LogFilter { from: Some(after(40).plus(MICROSECOND)), ..none.clone() },
        LogFilter { to: Some(after(40)), ..none.clone() },
        LogFilter { to: Some(after(40).plus(MICROSECOND)), ..none.clone() },
        LogFilter { from: Some(after(40)), to: Some(after(40)), ..none.clone() },
        LogFilter { route: with_route.route, ..none.clone() },
        LogFilter { route: Some(world.mint.route()), ..none.clone() },
        LogFilter { service: with_route.service.clone(), ..none.clone() },
        LogFilter { service: Some(world.mint.name("none")), ..none.clone() },
        LogFilter { method: Some(MethodLabel::Post), ..none.clone() },
        LogFilter { method: Some(MethodLabel::Other), ..none.clone() },
        LogFilter { status: Some((503, 503)), ..none.clone() },
        LogFilter { status: Some((500, 599)), ..none.clone() },
        LogFilter { status: Some((600, 999)), ..none.clone() },
        LogFilter { consumer: with_consumer.consumer, ..none.clone() },
        LogFilter { request_id: Some(rows[17].request_id), ..none.clone() },
        LogFilter { min_latency_us: Some(100), ..none.clone() },
        LogFilter { min_latency_us: Some(u32::MAX), ..none },
    ];
    for filter in filters {
        assert_filtered(&world, &source, &rows, &filter).await;
    }
}

pub async fn filters_combine<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let rows = stored(&world, &source).await;
    let entropy = world.mint.entropy();
    for _ in 0..80 {
        // A row that fits decides what is asked for, so that the answer is seldom empty.
        let row = entropy.pick(&rows);
        let start = after(entropy.below(ROWS));
        let maybe = || entropy.below(3) == 0;
        let filter = LogFilter {
            from: maybe().then_some(start),
            to: maybe().then(|| after(entropy.below(ROWS))),
            route: row.route.filter(|_| maybe()),
            service: row.service.clone().filter(|_| maybe()),
            method: maybe().then_some(row.method),
            status: maybe().then_some((row.status - row.status % 100, row.status)),
            consumer: row.consumer.filter(|_| maybe()),
            request_id: (entropy.below(9) == 0).then_some(row.request_id),
            min_latency_us: maybe().then_some(row.latency_us),
        };
        assert_filtered(&world, &source, &rows, &filter).await;
    }
}

pub async fn requests_are_listed_newest_first_in_pages<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let entries: Vec<_> = (0..9).map(|second| log_entry(&world.mint, after(second))).collect();
    let (store, scope) = (world.store(), &source.tenant.scope);
    store.ingest(scope, &logs(source.node, source.boot, 1, &[], &entries)).await.unwrap();
    let rows = all_logs(&world, &source.tenant).await;
    assert!(rows.iter().map(|row| row.at).eq(entries.iter().rev().map(|entry| entry.at)));
    let filter = &LogFilter::default();
    assert_pages(&rows, |request| async move { store.logs(scope, filter, &request).await }).await;
}

pub async fn requests_of_one_time_have_a_stable_order<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let entries: Vec<_> = (0..12).map(|_| log_entry(&world.mint, after(5))).collect();
    let (store, scope) = (world.store(), &source.tenant.scope);
    store.ingest(scope, &logs(source.node, source.boot, 1, &[], &entries)).await.unwrap();
    let rows = all_logs(&world, &source.tenant).await;
    let ids: BTreeSet<LogId> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), 12);
    let filter = &LogFilter::default();
    assert_pages(&rows, |request| async move { store.logs(scope, filter, &request).await }).await;
}

pub async fn pages_of_requests_stay_stable_while_requests_arrive<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let entries: Vec<_> = (10..20).map(|second| log_entry(&world.mint, after(second))).collect();
    let (store, scope) = (world.store(), &source.tenant.scope);
    store.ingest(scope, &logs(source.node, source.boot, 1, &[], &entries)).await.unwrap();
    let before = all_logs(&world, &source.tenant).await;
    let filter = &LogFilter::default();
    let page = store.logs(scope, filter, &PageRequest::first(4)).await.unwrap();
    let newer: Vec<_> = (20..25).map(|second| log_entry(&world.mint, after(second))).collect();
    store.ingest(scope, &logs(source.node, source.boot, 2, &[], &newer)).await.unwrap();
    let next = page.next.expect("a next page");
    let fetch = |request: PageRequest| {
        let after = request.after.or_else(|| Some(next.clone()));
        async move { store.logs(scope, filter, &PageRequest { after, ..request }).await }
    };
    assert_eq!(read_all(3, fetch).await, before[4..], "what is newer than the first page does not push");
}

/// Nine errors, three of each of two services and of none, newest first.
async fn stored_errors<F: StoreFixture>(world: &World<F>, source: &Source) -> Vec<ErrorEvent> {
    let services = [None, Some(world.mint.service()), Some(world.mint.service())];
    let event = |second: u64| ErrorEvent {
        service: services[usize::try_from(second % 3).unwrap()],
        route: second.is_multiple_of(2).then(|| world.mint.route()),
        ..error_event(&world.mint, after(second))
    };
    let mut events: Vec<ErrorEvent> = (0..9).map(event).collect();
    world.store().ingest(&source.tenant.scope, &source.batch(1, Batch::Errors(events.clone()))).await.unwrap();
    events.reverse();
    events
}

pub async fn errors_are_listed_newest_first_in_pages<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let events = stored_errors(&world, &source).await;
    let (store, scope) = (world.store(), &source.tenant.scope);
    let rows = store.errors(scope, None, None, None, &PAGE).await.unwrap().items;
    assert!(rows.iter().map(|row| row.event).eq(events));
    assert!(rows.iter().all(|row| row.node == source.node));
    assert_pages(&rows, |request| async move { store.errors(scope, None, None, None, &request).await }).await;
}

pub async fn errors_are_filtered_by_time_and_service<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let source = source(&world).await;
    let events = stored_errors(&world, &source).await;
    let (store, scope) = (world.store(), &source.tenant.scope);
    let times = [None, Some(after(0)), Some(after(4)), Some(after(4).plus(MICROSECOND)), Some(after(9))];
    for (from, to) in times.iter().flat_map(|&from| times.map(|to| (from, to))) {
        for service in [None, events[0].service, events[1].service, Some(world.mint.service())] {
            let holds = |event: &&ErrorEvent| {
                from.is_none_or(|from| event.at >= from)
                    && to.is_none_or(|to| event.at < to)
                    && (service.is_none() || event.service == service)
            };
            let expected: Vec<RequestId> = events.iter().filter(holds).map(|event| event.request_id).collect();
            let fetch = |request: PageRequest| async move { store.errors(scope, from, to, service, &request).await };
            let found: Vec<RequestId> = read_all(2, fetch).await.iter().map(|row| row.event.request_id).collect();
            assert_eq!(found, expected, "{from:?} {to:?} {service:?}");
        }
    }
    let fetch = |request: PageRequest| async move { store.errors(scope, Some(after(1)), None, None, &request).await };
    assert_foreign_cursors_are_refused(fetch).await;
}
