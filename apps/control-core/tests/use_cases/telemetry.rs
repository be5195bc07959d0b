//! Telemetry on its way in and out.

use std::time::Duration;

use novagate_fixtures::{Mint, START, error_event, health, log_entry, logs, metrics};
use novagate_kernel::{ErrorCode, Timestamp};
use novagate_ports_control::{
    Cursor, PageRequest,
    inbound::{GatewaySync, Insight, MetricsQuery},
    outbound::{Ingested, LogFilter, PlanLimits, TelemetryBatch},
};
use novagate_records::{Batch, LogEntry};

use crate::world::{Tenant, World, code};

const ADA: &str = "ada@example.org";
const DAY: Duration = Duration::from_hours(24);

async fn stored(world: &World, tenant: &Tenant) -> Vec<Timestamp> {
    let rows = world.control.logs(&tenant.scope, &LogFilter::default(), &PageRequest::first(500)).await.unwrap();
    rows.items.iter().map(|row| row.at).collect()
}

fn entries(mint: &Mint, count: usize) -> Vec<LogEntry> {
    (0..count).map(|_| log_entry(mint, START)).collect()
}

#[tokio::test]
async fn impossible_times_become_the_time_of_receipt() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let mint = Mint::new(1);
    let (node, boot) = (mint.node(), mint.boot());
    let now = START;
    let (oldest, newest) = (now.minus(8 * DAY), now.plus(Duration::from_hours(1)));
    let tick = Duration::from_micros(1);
    let times = [oldest, newest, oldest.minus(tick), newest.plus(tick), Timestamp::from_micros(i64::MAX)];
    let sent: Vec<LogEntry> = times.iter().map(|&at| log_entry(&mint, at)).collect();
    world.control.ingest(&tenant.scope, logs(node, boot, 1, &[], &sent)).await.unwrap();
    assert_eq!(stored(&world, &tenant).await, [newest, now, now, now, oldest]);

    let batch = |seq, batch| TelemetryBatch { node, boot, batch_seq: seq, batch };
    let errors = Batch::Errors(vec![error_event(&mint, Timestamp::from_micros(0))]);
    world.control.ingest(&tenant.scope, batch(2, errors)).await.unwrap();
    let page = PageRequest::first(5);
    let rows = world.control.errors(&tenant.scope, None, None, None, &page).await.unwrap().items;
    assert_eq!(rows[0].event.at, now);
    let old = Batch::Health(health(&mint, Timestamp::from_micros(0)));
    world.control.ingest(&tenant.scope, batch(3, old)).await.unwrap();
    assert_eq!(world.control.health(&tenant.scope).await.unwrap().snapshots[0].snapshot.at, now);
    let ancient = Batch::Metrics(metrics(Timestamp::from_micros(0), &[(None, 5)]));
    world.control.ingest(&tenant.scope, batch(4, ancient)).await.unwrap();
    let query = MetricsQuery { from: now, to: now.plus(Duration::from_secs(10)), bucket_seconds: 10 };
    assert_eq!(world.control.metrics(&tenant.scope, query).await.unwrap()[0].window.requests(), 5);
    assert_eq!(world.control.received(&tenant.scope, boot).await.unwrap(), 4);
}

#[tokio::test]
async fn log_rows_beyond_the_plan_are_dropped_and_the_batch_is_taken() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    *world.plan.lock().unwrap() = PlanLimits { log_rows_per_second: 10, ..PlanLimits::FREE };
    let mint = Mint::new(1);
    let (node, boot) = (mint.node(), mint.boot());
    for seq in 1..=3 {
        let batch = logs(node, boot, seq, &[], &entries(&mint, 7));
        assert_eq!(world.control.ingest(&tenant.scope, batch).await.unwrap(), Ingested::New);
    }
    assert_eq!(stored(&world, &tenant).await.len(), 10);
    assert_eq!(world.control.received(&tenant.scope, boot).await.unwrap(), 3);
    world.clock.advance(Duration::from_secs(1));
    let batch = logs(node, boot, 4, &[], &entries(&mint, 7));
    world.control.ingest(&tenant.scope, batch).await.unwrap();
    assert_eq!(stored(&world, &tenant).await.len(), 17);
    let events = (0..50).map(|_| error_event(&mint, START)).collect();
    let batch = TelemetryBatch { node, boot, batch_seq: 5, batch: Batch::Errors(events) };
    world.control.ingest(&tenant.scope, batch).await.unwrap();
    let page = PageRequest::first(100);
    let errors = world.control.errors(&tenant.scope, None, None, None, &page).await.unwrap();
    assert_eq!(errors.items.len(), 50, "only log rows are limited");
}

#[tokio::test]
async fn a_batch_that_comes_twice_is_stored_once() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let mint = Mint::new(1);
    let batch = logs(mint.node(), mint.boot(), 1, &[], &entries(&mint, 3));
    assert_eq!(world.control.ingest(&tenant.scope, batch.clone()).await.unwrap(), Ingested::New);
    assert_eq!(world.control.ingest(&tenant.scope, batch).await.unwrap(), Ingested::AlreadyHave);
    assert_eq!(stored(&world, &tenant).await.len(), 3);
}

#[tokio::test]
async fn metrics_have_at_most_a_thousand_buckets() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let ask = |seconds: u64, bucket_seconds| {
        let query = MetricsQuery { from: START, to: START.plus(Duration::from_secs(seconds)), bucket_seconds };
        world.control.metrics(&tenant.scope, query)
    };
    ask(10_000, 10).await.unwrap();
    for (seconds, bucket) in [(10_001, 10), (10, 9), (10, 0), (100_000, 86_401), (0, 10)] {
        assert_eq!(code(ask(seconds, bucket).await), ErrorCode::ValidationFailed, "{seconds} {bucket}");
    }
    let ages = MetricsQuery {
        from: Timestamp::from_micros(i64::MIN),
        to: Timestamp::from_micros(i64::MAX),
        bucket_seconds: 86_400,
    };
    assert_eq!(code(world.control.metrics(&tenant.scope, ages).await), ErrorCode::ValidationFailed);
}

#[tokio::test]
async fn a_cursor_of_another_list_is_the_clients_mistake() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let page = PageRequest { limit: 10, after: Some(Cursor::new("junk")) };
    let refusal = world.control.logs(&tenant.scope, &LogFilter::default(), &page).await.unwrap_err();
    assert_eq!((refusal.code, refusal.fields[0].pointer.as_str()), (ErrorCode::ValidationFailed, "/cursor"));
    assert_eq!(code(world.control.audit(&tenant.scope, &page).await), ErrorCode::ValidationFailed);
    assert_eq!(code(world.control.errors(&tenant.scope, None, None, None, &page).await), ErrorCode::ValidationFailed);
}

#[tokio::test]
async fn telemetry_older_than_its_retention_goes_for_every_tenant() {
    let world = World::open();
    let mint = Mint::new(1);
    let mut tenants = Vec::new();
    for number in 0..3 {
        let tenant = world.tenant(&format!("user{number}@example.org")).await;
        let both = [log_entry(&mint, START.minus(5 * DAY)), log_entry(&mint, START)];
        world.control.ingest(&tenant.scope, logs(mint.node(), mint.boot(), 1, &[], &both)).await.unwrap();
        tenants.push(tenant);
    }
    assert_eq!(world.control.prune_telemetry(2 * DAY).await.unwrap(), 3);
    for tenant in &tenants {
        assert_eq!(stored(&world, tenant).await, [START]);
    }
}
