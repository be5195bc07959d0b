//! From request records to log lines and telemetry batches, on the control thread.
//!
//! Always: turns are short, and come the sooner the more is recorded: workers share their cores with this thread. A slow
//! control plane costs records, which are counted; it never costs a request.

mod collected;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use novagate_kernel::{ErrorCode, RouteId, Timestamp};
use novagate_policies::CompiledService;
use novagate_ports_base::Clock;
use novagate_ports_edge::{
    BatchCodec, LoggedRequest, MetricSource, MetricVisitor, RecordSink, RecordSource, TelemetryItem, UpstreamHealth,
};
use novagate_records::{
    Batch, ErrorEvent, HealthSnapshot, MetricsWindow, NO_INDEX, RequestRecord, RouteWindow, ServiceHealth, StatusClass,
    latency_cell,
};
use tokio::sync::mpsc;

use self::collected::{BATCH_RECORDS, Collected};
use crate::Edge;
use crate::names::Names;

/// Most records of one turn.
const TURN_RECORDS: usize = 16_384;
/// Records that a turn had better find: with many more it keeps a core from the workers for longer than a request takes.
const GOOD_TURN: u32 = 256;
/// Turns are never closer, however many records there are: to be woken costs something too.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
/// Turns are never further apart, however few records there are.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// How often health and metrics are sent.
const WINDOW: Duration = Duration::from_secs(10);

/// What a recorder pulls from and writes to.
#[derive(Clone)]
pub struct RecorderDeps {
    /// The workers' records.
    pub records: Arc<dyn RecordSource>,
    /// The workers' metric cells.
    pub metrics: Arc<dyn MetricSource>,
    /// Which targets take traffic.
    pub upstreams: Arc<dyn UpstreamHealth>,
    /// Log lines on this machine.
    pub sink: Arc<dyn RecordSink>,
    /// Encodes batches.
    pub codec: Arc<dyn BatchCodec>,
    /// Where batches go; `None` without a control plane.
    pub uplink: Option<mpsc::Sender<TelemetryItem>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Pulls records and makes log lines, error events, metrics windows and health snapshots of them.
pub struct Recorder {
    deps: RecorderDeps,
    edge: Edge,
    buffer: Vec<RequestRecord>,
    collected: Collected,
    logs_sent: Timestamp,
    pause: Duration,
    window: BTreeMap<Option<RouteId>, RouteWindow>,
    window_from: Timestamp,
    dropped: Arc<AtomicU64>,
}

impl Recorder {
    /// A recorder for the workers of `edge`.
    pub fn new(edge: Edge, deps: RecorderDeps) -> Self {
        let window_from = deps.clock.now();
        Self {
            deps,
            edge,
            buffer: Vec::new(),
            collected: Collected::default(),
            logs_sent: window_from,
            pause: LONGEST_PAUSE,
            window: BTreeMap::new(),
            window_from,
            dropped: Arc::default(),
        }
    }

    /// Records lost because the uplink's queue was full, for metrics.
    pub fn dropped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }

    /// How long to wait until the next turn.
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// One turn: takes what the workers have recorded. Answers how many records it took.
    pub fn turn(&mut self) -> usize {
        let mut records = std::mem::take(&mut self.buffer);
        records.clear();
        self.deps.records.drain(&mut records, TURN_RECORDS);
        for run in records.chunk_by(|left, right| left.table == right.table) {
            let names = run.first().and_then(|record| self.edge.names(record.table)).unwrap_or_default();
            self.take(run, &names);
        }
        let taken = records.len();
        self.buffer = records;
        if taken > 0 {
            self.deps.sink.flush();
        }
        let now = self.deps.clock.now();
        self.pause = pause_after(self.pause, taken);
        if self.pause == LONGEST_PAUSE || now.since(self.logs_sent) >= LONGEST_PAUSE || now < self.logs_sent {
            self.logs_sent = now;
            self.send_logs();
        }
        if now.since(self.window_from) >= WINDOW || now < self.window_from {
            self.close_window(now);
        }
        taken
    }

    /// The last turn: everything that is left, whatever the window.
    pub fn finish(&mut self) {
        while self.turn() > 0 {}
        self.send_logs();
        self.close_window(self.deps.clock.now());
    }

    /// Takes records of one configuration.
    fn take(&mut self, records: &[RequestRecord], names: &Names) {
        let is_sent = self.deps.uplink.is_some();
        let mut errors = Vec::new();
        for record in records {
            let (route, service) = (names.route(record.route), names.service(record.service));
            self.deps.sink.write(&LoggedRequest {
                at: record.at,
                request_id: record.request_id,
                method: record.method,
                path: route.map_or("unmatched", |route| &route.template),
                route: route.map(|route| &route.name),
                service: service.map(|service| &service.name),
                status: record.status,
                latency_us: record.latency_us,
                upstream_us: upstream_us(record),
                consumer: record.consumer,
                code: record.code,
            });
            self.count(route.map(|route| route.id), record);
            if !is_sent {
                continue;
            }
            if !self.collected.has_room_for(record) {
                self.send_logs();
            }
            self.collected.add(record, route, service);
            if let Some(code) = record.code.filter(|code| is_event(*code)) {
                errors.push(ErrorEvent {
                    at: record.at,
                    code,
                    route: route.map(|route| route.id),
                    service: service.map(|service| service.id),
                    request_id: record.request_id,
                });
            }
        }
        for part in errors.chunks(BATCH_RECORDS) {
            self.send(&Batch::Errors(part.to_vec()));
        }
    }

    fn count(&mut self, route: Option<RouteId>, record: &RequestRecord) {
        let row = self.window.entry(route).or_insert_with(|| RouteWindow::empty(route));
        if let Some(class) = row.classes.get_mut(StatusClass::of(record.status).index()) {
            *class += 1;
        }
        if let Some(cell) = row.latency.get_mut(latency_cell(record.latency_us)) {
            *cell += 1;
        }
        row.latency_sum_us = row.latency_sum_us.saturating_add(u64::from(record.latency_us));
    }

    fn close_window(&mut self, now: Timestamp) {
        let routes: Vec<RouteWindow> = std::mem::take(&mut self.window).into_values().collect();
        let from = self.window_from.min(now);
        self.window_from = now;
        if !routes.is_empty() {
            self.send(&Batch::Metrics(MetricsWindow { from, to: now, routes }));
        }
        self.send(&Batch::Health(self.health(now)));
    }

    fn health(&self, now: Timestamp) -> HealthSnapshot {
        let status = self.edge.status();
        let mut connections = Connections::default();
        self.deps.metrics.visit(&mut connections);
        HealthSnapshot {
            at: now,
            uptime: status.uptime,
            serving: status.serving,
            active_connections: u32::try_from(connections.0).unwrap_or(u32::MAX),
            dropped: self.deps.records.dropped() + self.dropped.load(Ordering::Relaxed),
            services: self.service_health(),
        }
    }

    fn service_health(&self) -> Vec<ServiceHealth> {
        let Some(config) = self.edge.live() else { return Vec::new() };
        let health = |service: &Arc<CompiledService>| {
            let (healthy, total) = self.deps.upstreams.targets(service.id)?;
            Some(ServiceHealth { id: service.id, name: service.name.clone(), healthy, total })
        };
        config.services().iter().filter_map(health).collect()
    }

    fn send_logs(&mut self) {
        if let Some(logs) = self.collected.take() {
            self.send(&Batch::Logs(logs));
        }
    }

    fn send(&self, batch: &Batch) {
        let Some(uplink) = &self.deps.uplink else { return };
        let records = u32::try_from(batch.len()).unwrap_or(u32::MAX);
        let message = TelemetryItem { kind: batch.kind(), body: self.deps.codec.encode(batch), records };
        if uplink.try_send(message).is_err() {
            self.dropped.fetch_add(u64::from(records), Ordering::Relaxed);
        }
    }
}

fn upstream_us(record: &RequestRecord) -> Option<u32> {
    (record.upstream_us != NO_INDEX).then_some(record.upstream_us)
}

/// About as long as [`GOOD_TURN`] records take to come, if they come as they did in the last pause.
fn pause_after(pause: Duration, taken: usize) -> Duration {
    let taken = u32::try_from(taken).unwrap_or(u32::MAX).max(1);
    (pause * GOOD_TURN / taken).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

/// What a tenant wants to hear about: trouble behind or in the gateway, not a client's mistake.
fn is_event(code: ErrorCode) -> bool {
    code.status() >= 500
}

/// Picks the number of open connections out of a visit.
#[derive(Default)]
struct Connections(u64);

impl MetricVisitor for Connections {
    fn active_connections(&mut self, count: u64) {
        self.0 = self.0.saturating_add(count);
    }
}
