//! Telemetry.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{BootId, LogId, NodeId, RouteId, ServiceId, Timestamp};
use novagate_ports_base::{FaultKind, PortError};
use novagate_ports_control::{
    Page, PageRequest,
    outbound::{ErrorRow, HealthRow, Ingested, LogFilter, LogRow, MetricsRow, TelemetryBatch, TelemetryStore},
};
use novagate_records::{Batch, HealthSnapshot, LogBatch, LogEntry, RouteWindow};
use novagate_sync::object_digest;

use super::MemoryStore;
use crate::page::{Direction, Position, check, page_of};

#[derive(Debug, Default)]
pub(super) struct Telemetry {
    logs: Vec<LogRow>,
    errors: Vec<ErrorRow>,
    health: BTreeMap<NodeId, HealthSnapshot>,
    windows: Vec<(Timestamp, RouteWindow)>,
    cursors: HashMap<BootId, Received>,
}

/// How far the batches of one run have been taken.
#[derive(Debug)]
struct Received {
    node: NodeId,
    /// Everything up to here.
    upto: u64,
    /// What arrived beyond a gap.
    beyond: BTreeSet<u64>,
}

#[derive(Debug, thiserror::Error)]
#[error("a bucket has at least one second")]
struct NoBucket;

impl Received {
    /// Takes a place; `false` when it is taken.
    fn take(&mut self, batch_seq: u64) -> bool {
        if batch_seq <= self.upto || !self.beyond.insert(batch_seq) {
            return false;
        }
        while self.beyond.first() == Some(&self.upto.saturating_add(1)) {
            self.upto = self.upto.saturating_add(1);
            self.beyond.pop_first();
        }
        true
    }
}

/// The id of a record: its place among everything the node ever sends.
fn log_id(batch: &TelemetryBatch, index: usize) -> LogId {
    let place = format!("{} {} {index}", batch.boot, batch.batch_seq);
    let digest = object_digest(place.as_bytes());
    let bytes = digest.as_bytes().first_chunk().copied().unwrap_or_default();
    LogId::from_entropy(bytes)
}

fn log_row(id: LogId, node: NodeId, entry: &LogEntry, batch: &LogBatch) -> LogRow {
    let label = entry.route.and_then(|at| batch.routes.get(usize::try_from(at).ok()?));
    LogRow {
        id,
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

fn is_wanted(filter: &LogFilter, row: &LogRow) -> bool {
    is_within(filter.from, filter.to, row.at)
        && (filter.route.is_none() || filter.route == row.route)
        && (filter.service.is_none() || filter.service == row.service)
        && filter.method.is_none_or(|method| method == row.method)
        && filter.status.is_none_or(|(low, high)| (low..=high).contains(&row.status))
        && (filter.consumer.is_none() || filter.consumer == row.consumer)
        && filter.request_id.is_none_or(|request| request == row.request_id)
        && filter.min_latency_us.is_none_or(|least| row.latency_us >= least)
}

fn is_within(from: Option<Timestamp>, to: Option<Timestamp>, at: Timestamp) -> bool {
    from.is_none_or(|from| at >= from) && to.is_none_or(|to| at < to)
}

/// The begin of the bucket that `at` falls into; buckets are counted from `from`.
fn bucket_of(from: Timestamp, at: Timestamp, bucket_seconds: u32) -> Timestamp {
    let width = i64::from(bucket_seconds).saturating_mul(1_000_000);
    let offset = at.as_micros().saturating_sub(from.as_micros());
    let within = offset.checked_rem_euclid(width).unwrap_or(0);
    Timestamp::from_micros(at.as_micros().saturating_sub(within))
}

impl Telemetry {
    /// How many rows are stored.
    pub(super) fn rows(&self) -> usize {
        self.logs.len() + self.errors.len() + self.health.len() + self.windows.len()
    }

    /// Forgets how far a node's batches have been taken.
    pub(super) fn forget_cursors(&mut self, node: NodeId) {
        self.cursors.retain(|_, received| received.node != node);
    }

    fn ingest(&mut self, batch: &TelemetryBatch) -> Ingested {
        let fresh = || Received { node: batch.node, upto: 0, beyond: BTreeSet::new() };
        if !self.cursors.entry(batch.boot).or_insert_with(fresh).take(batch.batch_seq) {
            return Ingested::AlreadyHave;
        }
        match &batch.batch {
            Batch::Logs(logs) => {
                let row = |(index, entry)| log_row(log_id(batch, index), batch.node, entry, logs);
                self.logs.extend(logs.entries.iter().enumerate().map(row));
            }
            Batch::Errors(events) => {
                let row = |(index, &event)| ErrorRow { id: log_id(batch, index), node: batch.node, event };
                self.errors.extend(events.iter().enumerate().map(row));
            }
            Batch::Health(snapshot) => {
                if self.health.get(&batch.node).is_none_or(|known| known.at <= snapshot.at) {
                    self.health.insert(batch.node, snapshot.clone());
                }
            }
            Batch::Metrics(window) => self.windows.extend(window.routes.iter().map(|row| (window.from, row.clone()))),
        }
        Ingested::New
    }

    fn counts(&self, from: Timestamp, to: Timestamp, bucket_seconds: u32) -> Vec<MetricsRow> {
        let mut buckets: BTreeMap<(Timestamp, Option<RouteId>), RouteWindow> = BTreeMap::new();
        for (at, window) in self.windows.iter().filter(|(at, _)| is_within(Some(from), Some(to), *at)) {
            let place = (bucket_of(from, *at, bucket_seconds), window.route);
            buckets.entry(place).or_insert_with(|| RouteWindow::empty(window.route)).add(window);
        }
        // Bodies are opaque here, so which service a route belonged to is not known.
        buckets.into_iter().map(|((from, _), window)| MetricsRow { from, window, service: None }).collect()
    }

    fn prune(&mut self, before: Timestamp) -> usize {
        let rows = self.rows();
        self.logs.retain(|row| row.at >= before);
        self.errors.retain(|row| row.event.at >= before);
        self.health.retain(|_, snapshot| snapshot.at >= before);
        self.windows.retain(|(at, _)| *at >= before);
        rows.saturating_sub(self.rows())
    }
}

#[async_trait]
impl TelemetryStore for MemoryStore {
    async fn ingest(&self, scope: &TenantScope, batch: &TelemetryBatch) -> Result<Ingested, PortError> {
        self.with_living("store.ingest", scope, |tenant| tenant.telemetry.ingest(batch))
    }

    async fn received(&self, scope: &TenantScope, boot: BootId) -> Result<u64, PortError> {
        let upto = self.with(scope, |tenant| tenant.telemetry.cursors.get(&boot).map(|received| received.upto));
        Ok(upto.flatten().unwrap_or(0))
    }

    async fn logs(
        &self,
        scope: &TenantScope,
        filter: &LogFilter,
        page: &PageRequest,
    ) -> Result<Page<LogRow>, PortError> {
        const OP: &str = "store.logs";
        check(OP, page)?;
        let position = |row: &LogRow| Position::of(row.at, row.id.as_u128());
        let found = self.with(scope, |tenant| {
            let rows = tenant.telemetry.logs.iter().filter(|row| is_wanted(filter, row));
            page_of(OP, rows, Direction::Descending, position, page)
        });
        found.unwrap_or(Ok(Page { items: Vec::new(), next: None }))
    }

    async fn errors(
        &self,
        scope: &TenantScope,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        service: Option<ServiceId>,
        page: &PageRequest,
    ) -> Result<Page<ErrorRow>, PortError> {
        const OP: &str = "store.errors";
        check(OP, page)?;
        let position = |row: &ErrorRow| Position::of(row.event.at, row.id.as_u128());
        let wanted =
            |row: &&ErrorRow| is_within(from, to, row.event.at) && (service.is_none() || row.event.service == service);
        let found = self.with(scope, |tenant| {
            page_of(OP, tenant.telemetry.errors.iter().filter(wanted), Direction::Descending, position, page)
        });
        found.unwrap_or(Ok(Page { items: Vec::new(), next: None }))
    }

    async fn health(&self, scope: &TenantScope) -> Result<Vec<HealthRow>, PortError> {
        let rows = |health: &BTreeMap<NodeId, HealthSnapshot>| {
            health.iter().map(|(&node, snapshot)| HealthRow { node, snapshot: snapshot.clone() }).collect()
        };
        Ok(self.with(scope, |tenant| rows(&tenant.telemetry.health)).unwrap_or_default())
    }

    async fn metrics(
        &self,
        scope: &TenantScope,
        from: Timestamp,
        to: Timestamp,
        bucket_seconds: u32,
    ) -> Result<Vec<MetricsRow>, PortError> {
        if bucket_seconds == 0 {
            return Err(PortError::new("store.metrics", FaultKind::Misuse, NoBucket));
        }
        Ok(self.with(scope, |tenant| tenant.telemetry.counts(from, to, bucket_seconds)).unwrap_or_default())
    }

    async fn prune(&self, scope: &TenantScope, before: Timestamp) -> Result<u64, PortError> {
        let pruned = self.with(scope, |tenant| tenant.telemetry.prune(before)).unwrap_or(0);
        Ok(u64::try_from(pruned).unwrap_or(u64::MAX))
    }
}
