//! Sums of cells: over the workers, and over the configurations that a process has served.
//!
//! Always: a label's counters never go back while it is in the configuration, whatever else an edit changes; a label that
//! left the configuration leaves the metrics, so that edits do not pile up series. Not here: how values are exposed
//! (`adapters/telemetry`).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use novagate_policies::Tier;
use novagate_ports_edge::{ContentEvent, MetricSource, MetricVisitor, UpstreamEvent};
use novagate_records::{LATENCY_CELLS, MethodLabel, StatusClass};
use novagate_routing::ContentCoding;

use super::cells::{Latency, MethodCells, RouteCells, ServiceCells, TableCells, add};

/// The label of requests that matched no route.
const UNMATCHED: &str = "unmatched";

/// Everything that one worker counts.
#[derive(Debug)]
pub(crate) struct WorkerCells {
    tables: ArcSwap<Tables>,
    /// Requests that matched no route.
    pub(crate) unmatched: RouteCells,
    /// By [`Tier::ALL`].
    pub(crate) limit_hits: [AtomicU64; Tier::ALL.len()],
    /// Open client connections.
    pub(crate) connections: AtomicU64,
    /// Those of them that are WebSockets.
    pub(crate) websockets: AtomicU64,
    /// Connections that ended in a panic.
    pub(crate) panics: AtomicU64,
    /// Connections on which TLS was not agreed.
    pub(crate) tls_failures: AtomicU64,
    /// Connections without the header that they had to begin with.
    pub(crate) proxy_header_failures: AtomicU64,
    /// Connections that were one too many.
    pub(crate) turned_away: AtomicU64,
    /// Requests refused because the worker was late.
    pub(crate) shed: AtomicU64,
    /// How often the worker has looked after what is due: it stands still when the worker does.
    pub(crate) turns: AtomicU64,
    /// Copies of requests that were not made.
    pub(crate) mirrors_left_out: AtomicU64,
    /// Copies of requests that had no answer.
    pub(crate) mirrors_failed: AtomicU64,
    /// By [`ContentEvent::ALL`] and [`ContentCoding::ALL`].
    contents: [[AtomicU64; ContentCoding::ALL.len()]; ContentEvent::ALL.len()],
}

/// The configurations of a worker: those that requests are served under, and the sums of those before.
#[derive(Debug, Default)]
struct Tables {
    live: Vec<Arc<TableCells>>,
    retired: Arc<Totals>,
}

/// All workers.
#[derive(Debug)]
pub(crate) struct Metrics(pub(crate) Box<[Arc<WorkerCells>]>);

/// Sums by label.
#[derive(Debug, Default, Clone)]
struct Totals {
    routes: BTreeMap<(Arc<str>, MethodLabel), RouteTotals>,
    services: BTreeMap<Arc<str>, ServiceTotals>,
}

#[derive(Debug, Default, Clone)]
struct RouteTotals {
    classes: [u64; StatusClass::ALL.len()],
    latency: Histogram,
}

#[derive(Debug, Default, Clone)]
struct ServiceTotals {
    latency: Histogram,
    timeouts: u64,
    events: [u64; UpstreamEvent::ALL.len()],
}

#[derive(Debug, Default, Clone)]
struct Histogram {
    cells: [u64; LATENCY_CELLS],
    sum_us: u64,
}

impl WorkerCells {
    pub(crate) fn new() -> Self {
        Self {
            tables: ArcSwap::default(),
            unmatched: RouteCells::default(),
            limit_hits: Default::default(),
            connections: AtomicU64::new(0),
            websockets: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            tls_failures: AtomicU64::new(0),
            proxy_header_failures: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            shed: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            mirrors_left_out: AtomicU64::new(0),
            mirrors_failed: AtomicU64::new(0),
            contents: Default::default(),
        }
    }

    /// Counts contents, or bytes of them. Called by the worker only.
    pub(crate) fn count_content(&self, event: ContentEvent, coding: ContentCoding, count: usize) {
        if let Some(cell) = self.contents.get(event.index()).and_then(|cells| cells.get(coding.index())) {
            add(cell, count as u64);
        }
    }

    /// Requests are served under one more configuration. Called by the worker only.
    pub(crate) fn begin(&self, table: &Arc<TableCells>) {
        let tables = self.tables.load();
        let live = tables.live.iter().chain([table]).cloned().collect();
        self.tables.store(Arc::new(Tables { live, retired: Arc::clone(&tables.retired) }));
    }

    /// The last request under a configuration has ended. Called by the worker only.
    pub(crate) fn retire(&self, table: &Arc<TableCells>) {
        let tables = self.tables.load();
        let live: Vec<_> = tables.live.iter().filter(|each| !Arc::ptr_eq(each, table)).cloned().collect();
        let mut retired = Totals::clone(&tables.retired);
        retired.add(table);
        retired.keep_labels_of(&live);
        // One store: a reader sees these numbers on one side or on the other.
        self.tables.store(Arc::new(Tables { live, retired: Arc::new(retired) }));
    }
}

impl MetricSource for Metrics {
    fn visit(&self, visitor: &mut dyn MetricVisitor) {
        let mut totals = Totals::default();
        let unmatched: Arc<str> = UNMATCHED.into();
        for worker in &self.0 {
            let tables = worker.tables.load();
            totals.merge(&tables.retired);
            tables.live.iter().for_each(|table| totals.add(table));
            totals.add_route(&unmatched, &worker.unmatched);
        }
        totals.visit(visitor);
        for (at, tier) in Tier::ALL.into_iter().enumerate() {
            let hits = self.sum(|worker| worker.limit_hits.get(at));
            if hits > 0 {
                visitor.rate_limit_hits(tier.as_str(), hits);
            }
        }
        for event in ContentEvent::ALL {
            for coding in ContentCoding::ALL {
                let count = self.sum(|worker| worker.contents.get(event.index())?.get(coding.index()));
                if count > 0 {
                    visitor.contents(event, coding.as_str(), count);
                }
            }
        }
        visitor.active_connections(self.sum(|worker| Some(&worker.connections)));
        visitor.active_websockets(self.sum(|worker| Some(&worker.websockets)));
    }
}

impl Metrics {
    /// A number over all workers.
    pub(crate) fn sum<'a>(&'a self, cell: impl Fn(&'a WorkerCells) -> Option<&'a AtomicU64>) -> u64 {
        self.0.iter().filter_map(|worker| cell(worker)).map(|cell| cell.load(Ordering::Relaxed)).sum()
    }
}

impl Totals {
    fn add(&mut self, table: &TableCells) {
        for (route, cells) in table.config.routes().iter().zip(&table.routes) {
            self.add_route(&route.label, cells);
        }
        for (service, cells) in table.config.services().iter().zip(&table.services) {
            if let Some(cells) = cells.get() {
                self.services.entry(service.name.as_str().into()).or_default().add(cells);
            }
        }
    }

    fn add_route(&mut self, label: &Arc<str>, cells: &RouteCells) {
        for (method, cells) in cells.methods() {
            self.routes.entry((Arc::clone(label), method)).or_default().add(cells);
        }
    }

    fn merge(&mut self, other: &Self) {
        for ((label, method), theirs) in &other.routes {
            let mine = self.routes.entry((Arc::clone(label), *method)).or_default();
            add_all(&mut mine.classes, theirs.classes);
            mine.latency.merge(&theirs.latency);
        }
        for (name, theirs) in &other.services {
            let mine = self.services.entry(Arc::clone(name)).or_default();
            mine.latency.merge(&theirs.latency);
            mine.timeouts += theirs.timeouts;
            add_all(&mut mine.events, theirs.events);
        }
    }

    fn keep_labels_of(&mut self, live: &[Arc<TableCells>]) {
        let routes: HashSet<_> =
            live.iter().flat_map(|table| table.config.routes()).map(|route| &*route.label).collect();
        self.routes.retain(|(label, _), _| routes.contains(&**label));
        let services: HashSet<_> =
            live.iter().flat_map(|table| table.config.services()).map(|service| service.name.as_str()).collect();
        self.services.retain(|name, _| services.contains(&**name));
    }

    fn visit(&self, visitor: &mut dyn MetricVisitor) {
        for ((label, method), totals) in &self.routes {
            for (class, count) in StatusClass::ALL.into_iter().zip(totals.classes).filter(|(_, count)| *count > 0) {
                visitor.requests(label, *method, class, count);
            }
            visitor.latency(label, *method, &totals.latency.cells, totals.latency.sum_us);
        }
        for (name, totals) in &self.services {
            visitor.upstream(name, &totals.latency.cells, totals.latency.sum_us);
            if totals.timeouts > 0 {
                visitor.upstream_timeouts(name, totals.timeouts);
            }
            for (event, count) in UpstreamEvent::ALL.into_iter().zip(totals.events).filter(|(_, count)| *count > 0) {
                visitor.upstream_events(name, event, count);
            }
        }
    }
}

impl RouteTotals {
    fn add(&mut self, cells: &MethodCells) {
        add_all(&mut self.classes, read(&cells.classes));
        self.latency.add(&cells.latency);
    }
}

impl ServiceTotals {
    fn add(&mut self, cells: &ServiceCells) {
        self.latency.add(&cells.latency);
        self.timeouts += cells.timeouts.load(Ordering::Relaxed);
        add_all(&mut self.events, read(&cells.events));
    }
}

impl Histogram {
    fn add(&mut self, cells: &Latency) {
        add_all(&mut self.cells, read(&cells.cells));
        self.sum_us = self.sum_us.wrapping_add(cells.sum_us.load(Ordering::Relaxed));
    }

    fn merge(&mut self, other: &Self) {
        add_all(&mut self.cells, other.cells);
        self.sum_us = self.sum_us.wrapping_add(other.sum_us);
    }
}

fn read<const N: usize>(cells: &[AtomicU64; N]) -> [u64; N] {
    std::array::from_fn(|at| cells.get(at).map_or(0, |cell| cell.load(Ordering::Relaxed)))
}

fn add_all<const N: usize>(mine: &mut [u64; N], theirs: [u64; N]) {
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine = mine.wrapping_add(theirs);
    }
}
