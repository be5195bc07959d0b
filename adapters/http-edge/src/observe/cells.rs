//! The numbers of one worker, per route and service of one compiled configuration.
//!
//! Always: one thread writes, with plain stores; any thread may read. Memory is taken for a route and method when it first
//! counts. Not here: sums over workers and configurations (`totals`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use novagate_policies::{CompiledConfig, ServiceIndex};
use novagate_ports_edge::UpstreamEvent;
use novagate_records::{LATENCY_CELLS, MethodLabel, StatusClass, latency_cell};

/// Requests of a route by one method.
#[derive(Debug, Default)]
pub(crate) struct MethodCells {
    pub(crate) classes: [AtomicU64; StatusClass::ALL.len()],
    pub(crate) latency: Latency,
}

/// A histogram.
#[derive(Debug)]
pub(crate) struct Latency {
    pub(crate) cells: [AtomicU64; LATENCY_CELLS],
    pub(crate) sum_us: AtomicU64,
}

/// Upstream exchanges of a service.
#[derive(Debug, Default)]
pub(crate) struct ServiceCells {
    pub(crate) latency: Latency,
    pub(crate) timeouts: AtomicU64,
    /// By [`UpstreamEvent::ALL`].
    pub(crate) events: [AtomicU64; UpstreamEvent::ALL.len()],
}

/// The methods of one route.
#[derive(Debug, Default)]
pub(crate) struct RouteCells(OnceLock<Box<[OnceLock<Box<MethodCells>>; MethodLabel::ALL.len()]>>);

/// All numbers under one configuration.
#[derive(Debug)]
pub(crate) struct TableCells {
    pub(crate) config: Arc<CompiledConfig>,
    pub(crate) routes: Box<[RouteCells]>,
    pub(crate) services: Box<[OnceLock<Box<ServiceCells>>]>,
}

impl TableCells {
    pub(crate) fn new(config: Arc<CompiledConfig>) -> Self {
        let routes = config.routes().iter().map(|_| RouteCells::default()).collect();
        let services = config.services().iter().map(|_| OnceLock::new()).collect();
        Self { config, routes, services }
    }

    /// The cells of a route.
    pub(crate) fn route(&self, index: u32) -> Option<&RouteCells> {
        usize::try_from(index).ok().and_then(|index| self.routes.get(index))
    }

    /// The cells of a service.
    pub(crate) fn service(&self, index: ServiceIndex) -> Option<&ServiceCells> {
        self.services.get(index.as_usize()).map(|cells| &**cells.get_or_init(Box::default))
    }
}

impl RouteCells {
    /// Counts a request.
    pub(crate) fn count(&self, method: MethodLabel, status: u16, latency_us: u32) {
        let methods = self.0.get_or_init(Box::default);
        let Some(cells) = methods.get(method.index()).map(|cells| cells.get_or_init(Box::default)) else { return };
        if let Some(class) = cells.classes.get(StatusClass::of(status).index()) {
            add(class, 1);
        }
        cells.latency.count(latency_us);
    }

    /// The methods that have counted.
    pub(crate) fn methods(&self) -> impl Iterator<Item = (MethodLabel, &MethodCells)> {
        let methods = self.0.get().into_iter().flat_map(|methods| MethodLabel::ALL.into_iter().zip(methods.iter()));
        methods.filter_map(|(label, cells)| cells.get().map(|cells| (label, &**cells)))
    }
}

impl ServiceCells {
    /// Counts an event.
    pub(crate) fn count(&self, event: UpstreamEvent) {
        if let Some(cell) = self.events.get(event.index()) {
            add(cell, 1);
        }
    }
}

impl Latency {
    /// Counts a duration in microseconds.
    pub(crate) fn count(&self, latency_us: u32) {
        if let Some(cell) = self.cells.get(latency_cell(latency_us)) {
            add(cell, 1);
        }
        add(&self.sum_us, u64::from(latency_us));
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self { cells: std::array::from_fn(|_| AtomicU64::new(0)), sum_us: AtomicU64::new(0) }
    }
}

/// Adds to a cell that only this thread writes: a load and a store, which need no lock of the memory bus.
pub(crate) fn add(cell: &AtomicU64, count: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
}
