//! One configuration as one worker serves it: the compiled configuration, its cells, its upstreams.
//!
//! Always: a request keeps the generation that it began with to its end.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use novagate_policies::{Affinity, CompiledService, Load, ServiceIndex};
use novagate_ports_edge::LiveConfig;
use novagate_routing::LoadBalancing;

use crate::observe::cells::TableCells;
use crate::upstream::health::{HealthBoard, TargetState};
use crate::upstream::target::UpstreamTarget;

/// A configuration in service.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) live: Arc<LiveConfig>,
    pub(crate) cells: Arc<TableCells>,
    services: Box<[Upstream]>,
}

/// A service in service.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Requests of this worker.
    turns: Cell<u64>,
    /// Hundredths of a copy that are owed to it.
    copies_owed: Cell<u8>,
    pub(crate) targets: Box<[Candidate]>,
}

/// One of a service's targets.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) target: Rc<UpstreamTarget>,
    pub(crate) state: Arc<TargetState>,
}

impl Generation {
    /// `worker` makes the workers begin at different targets.
    pub(crate) fn new(
        live: Arc<LiveConfig>,
        worker: usize,
        board: &HealthBoard,
        target: impl Fn(&novagate_routing::TargetUrl) -> Rc<UpstreamTarget>,
    ) -> Self {
        let upstream = |service: &Arc<CompiledService>| Upstream {
            turns: Cell::new(worker as u64),
            copies_owed: Cell::new(0),
            targets: service
                .targets
                .iter()
                .map(|each| Candidate { target: target(&each.url), state: board.state(service.id, each) })
                .collect(),
        };
        let services = live.compiled.services().iter().map(upstream).collect();
        let cells = Arc::new(TableCells::new(Arc::clone(&live.compiled)));
        Self { live, cells, services }
    }

    pub(crate) fn service(&self, index: ServiceIndex) -> Option<(&CompiledService, &Upstream)> {
        let compiled = self.live.compiled.service(index)?;
        Some((compiled, self.services.get(index.as_usize())?))
    }
}

impl Upstream {
    /// Whether it gets a copy of the request in hand, of which so many in 100 are copied.
    pub(crate) fn takes_copy(&self, percent: u8) -> bool {
        let owed = self.copies_owed.get().saturating_add(percent);
        let takes = owed >= 100;
        self.copies_owed.set(if takes { owed - 100 } else { owed });
        takes
    }

    /// A target that takes traffic, as the service wants it chosen, except one that was tried.
    pub(crate) fn pick(
        &self,
        service: &CompiledService,
        affinity: Option<Affinity>,
        now_ms: impl Fn() -> u64,
        tried: Option<usize>,
    ) -> Option<usize> {
        let turn = self.turns.get();
        self.turns.set(turn.wrapping_add(1));
        let alone = self.targets.len() == 1;
        if alone {
            let is_up = self.targets.first().is_some_and(|only| only.state.is_up(0, true));
            return (is_up && tried.is_none()).then_some(0);
        }
        let now_ms = now_ms();
        let available = |at: usize| {
            tried != Some(at) && self.targets.get(at).is_some_and(|candidate| candidate.state.is_up(now_ms, false))
        };
        let load = |at: usize| {
            let nothing = Load { running: 0, latency: None };
            self.targets.get(at).map_or(nothing, |candidate| candidate.target.load.read())
        };
        match (&service.load_balancing, affinity) {
            (LoadBalancing::LeastConnections, _) => service.pick_least(turn, available, load),
            (LoadBalancing::Latency, _) => service.pick_sooner(turn, available, load),
            (LoadBalancing::ConsistentHash(_), Some(affinity)) => service.pick_by_hash(affinity, available),
            // Requests that have nothing to be told apart by take turns.
            (LoadBalancing::RoundRobin | LoadBalancing::ConsistentHash(_), _) => {
                service.pick_available(turn, available)
            }
        }
    }
}
