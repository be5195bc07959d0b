//! Telemetry by days: partitions are made when a day has rows, and go as a whole.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/postgres.rs"]
mod postgres;

use std::time::Duration;

use futures_util::future::join_all;
use novagate_access::TenantScope;
use novagate_fixtures::{Mint, START, error_event, log_entry, logs, metrics, new_tenant};
use novagate_kernel::Timestamp;
use novagate_ports_base::FaultKind;
use novagate_ports_control::PageRequest;
use novagate_ports_control::outbound::{Ingested, LogFilter, TelemetryBatch, TelemetryStore as _, TenantStore as _};
use novagate_records::Batch;
use novagate_store_sql::SqlStore;
use postgres::Prepared;

const DAY: Duration = Duration::from_hours(24);
const PAGE: PageRequest = PageRequest::first(500);

fn day(number: u32) -> Timestamp {
    Timestamp::from_seconds(START.as_seconds() / 86_400 * 86_400).plus(DAY * number)
}

async fn tenant(store: &SqlStore, mint: &Mint) -> TenantScope {
    let (scope, fresh) = new_tenant(mint, START);
    store.provision(&scope, &fresh).await.unwrap();
    scope
}

fn partitions(prepared: &Prepared, scope: &TenantScope) -> Vec<String> {
    let sql = format!(
        "SELECT relname FROM pg_class WHERE relnamespace = '{}'::regnamespace AND relispartition AND relkind = 'r'
         ORDER BY relname COLLATE \"C\"",
        scope.tenant().schema_name()
    );
    prepared.ask(&sql).lines().map(ToOwned::to_owned).collect()
}

async fn requests(store: &SqlStore, scope: &TenantScope) -> usize {
    store.logs(scope, &LogFilter::default(), &PAGE).await.unwrap().items.len()
}

#[tokio::test]
async fn a_day_gets_its_partition_with_its_first_row_and_a_silent_tenant_has_none() {
    let Some(prepared) = Prepared::migrated() else { return };
    let (store, mint) = (prepared.open().await, Mint::new(prepared.seed()));
    let (busy, silent) = (tenant(&store, &mint).await, tenant(&store, &mint).await);
    let (node, boot) = (mint.node(), mint.boot());
    let last_moment = day(1).minus(Duration::from_micros(1));
    let entries: Vec<_> = [day(0), last_moment, day(1), day(3)].map(|at| log_entry(&mint, at)).to_vec();
    assert_eq!(store.ingest(&busy, &logs(node, boot, 1, &[], &entries)).await.unwrap(), Ingested::New);
    let events = Batch::Errors(vec![error_event(&mint, day(2))]);
    store.ingest(&busy, &TelemetryBatch { node, boot, batch_seq: 2, batch: events }).await.unwrap();
    let window = Batch::Metrics(metrics(last_moment, &[(None, 1)]));
    store.ingest(&busy, &TelemetryBatch { node, boot, batch_seq: 3, batch: window }).await.unwrap();
    let suffix = |number| {
        prepared
            .ask(&format!("SELECT to_char(to_timestamp({}) AT TIME ZONE 'UTC', 'YYYYMMDD')", day(number).as_seconds()))
    };
    let expected = [
        format!("error_events_{}", suffix(2)),
        format!("metrics_windows_{}", suffix(0)),
        format!("request_logs_{}", suffix(0)),
        format!("request_logs_{}", suffix(1)),
        format!("request_logs_{}", suffix(3)),
    ];
    assert_eq!(partitions(&prepared, &busy), expected);
    assert_eq!(partitions(&prepared, &silent), [""; 0]);
    let first = format!("SELECT count(*) FROM {}.request_logs_{}", busy.tenant().schema_name(), suffix(0));
    assert_eq!(prepared.ask(&first), "2", "a day ends before the next one's first moment");
}

#[tokio::test]
async fn retention_drops_whole_days_and_deletes_within_the_last_one_only() {
    let Some(prepared) = Prepared::migrated() else { return };
    let (store, mint) = (prepared.open().await, Mint::new(prepared.seed()));
    let scope = tenant(&store, &mint).await;
    let (node, boot) = (mint.node(), mint.boot());
    let mut batch_seq = 0;
    for number in 0..6 {
        let times = [day(number), day(number).plus(Duration::from_hours(12))];
        let entries = times.map(|at| log_entry(&mint, at)).to_vec();
        let events = Batch::Errors(vec![error_event(&mint, day(number))]);
        let window = Batch::Metrics(metrics(day(number), &[(None, 1)]));
        store.ingest(&scope, &logs(node, boot, batch_seq + 1, &[], &entries)).await.unwrap();
        for (offset, batch) in (2..).zip([events, window]) {
            store.ingest(&scope, &TelemetryBatch { node, boot, batch_seq: batch_seq + offset, batch }).await.unwrap();
        }
        batch_seq += 3;
    }
    assert_eq!(partitions(&prepared, &scope).len(), 18);
    let gone = store.prune(&scope, day(4).plus(Duration::from_hours(6))).await.unwrap();
    assert_eq!(gone, 4 * 4 + 3, "four whole days, and three rows of the fifth");
    assert_eq!(partitions(&prepared, &scope).len(), 6);
    assert_eq!(requests(&store, &scope).await, 3);
    assert_eq!(store.prune(&scope, day(4).plus(Duration::from_hours(6))).await.unwrap(), 0);
    // A row of a day that has gone makes that day anew.
    let late = logs(node, boot, batch_seq + 1, &[], &[log_entry(&mint, day(2))]);
    assert_eq!(store.ingest(&scope, &late).await.unwrap(), Ingested::New);
    assert_eq!(partitions(&prepared, &scope).len(), 7);
    assert_eq!(requests(&store, &scope).await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_rows_of_a_day_may_come_from_everywhere_at_once() {
    let Some(prepared) = Prepared::migrated() else { return };
    let (one, other, mint) = (prepared.open().await, prepared.open().await, Mint::new(prepared.seed()));
    let scope = tenant(&one, &mint).await;
    for number in 0..4 {
        let batches: Vec<_> =
            (0..12).map(|_| logs(mint.node(), mint.boot(), 1, &[], &[log_entry(&mint, day(number))])).collect();
        let stores = [&one, &other];
        let ingests = batches.iter().zip(stores.into_iter().cycle()).map(|(batch, store)| store.ingest(&scope, batch));
        assert!(join_all(ingests).await.into_iter().all(|outcome| outcome.unwrap() == Ingested::New));
    }
    assert_eq!(partitions(&prepared, &scope).len(), 4);
    assert_eq!(requests(&one, &scope).await, 48);
}

#[tokio::test]
async fn a_batch_over_too_many_days_or_of_an_impossible_one_is_refused_whole() {
    let Some(prepared) = Prepared::migrated() else { return };
    let (store, mint) = (prepared.open().await, Mint::new(prepared.seed()));
    let scope = tenant(&store, &mint).await;
    let many: Vec<_> = (0..40).map(|number| log_entry(&mint, day(number))).collect();
    let far = [log_entry(&mint, Timestamp::from_micros(i64::MAX))];
    let early = [log_entry(&mint, Timestamp::from_micros(i64::MIN))];
    for entries in [&many[..], &far, &early] {
        let batch = logs(mint.node(), mint.boot(), 1, &[], entries);
        assert_eq!(store.ingest(&scope, &batch).await.unwrap_err().kind, FaultKind::Misuse);
        assert_eq!(store.received(&scope, batch.boot).await.unwrap(), 0);
    }
    assert_eq!(partitions(&prepared, &scope), [""; 0]);
}
