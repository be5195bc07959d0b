//! One configuration as one worker serves it: the compiled configuration, its cells, its upstreams.
//!
//! Always: a request keeps the generation that it began with to its end.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use novagate_policies::{Affinity, CompiledService, Load, ServiceIndex, panics};
use novagate_ports_edge::LiveConfig;
use novagate_routing::{LoadBalancing, OutlierDetection, Target};

use crate::observe::cells::TableCells;
use crate::upstream::breaker::Permit;
use crate::upstream::health::{HealthBoard, ServiceState};
use crate::upstream::outlier::TargetState;
use crate::upstream::preference::Preferences;
use crate::upstream::retry::Budget;
use crate::upstream::slots::{Bound, Slot};
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
    /// What all workers know together.
    shared: Option<Arc<ServiceState>>,
    /// Of a service with retries or hedges.
    pub(crate) budget: Option<Rc<Budget>>,
    /// Of a service to which its targets are not all the same.
    preferences: Option<Box<Preferences>>,
}

/// More requests run, or wait, than the service may be asked at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CircuitOpen;

/// One of a service's targets.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) target: Rc<UpstreamTarget>,
    pub(crate) state: Arc<TargetState>,
}

impl Generation {
    /// `worker`, one of `workers`, makes them begin at different targets; `last` is the one before.
    pub(crate) fn new(
        live: Arc<LiveConfig>,
        (worker, workers): (usize, usize),
        last: Option<&Self>,
        board: &HealthBoard,
        target: impl Fn(&CompiledService, &Target) -> Rc<UpstreamTarget>,
    ) -> Self {
        let upstream = |service: &Arc<CompiledService>| {
            let known = || last?.service(last?.live.compiled.service_by_id(service.id)?.index)?.1.budget.clone();
            let budget = || known().unwrap_or_else(|| Rc::new(Budget::new(workers)));
            let pays = service.resilience.retries.is_some() || service.resilience.hedge.is_some();
            let upstream = Upstream {
                turns: Cell::new(worker as u64),
                copies_owed: Cell::new(0),
                targets: service
                    .targets
                    .iter()
                    .zip(board.states(service))
                    .map(|(each, state)| Candidate { target: target(service, each), state })
                    .collect(),
                shared: board.service(service.id, &service.resilience),
                budget: pays.then(budget),
                preferences: board.preferences(service),
            };
            upstream.review(service, board);
            upstream
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

    /// A target that takes traffic, as the service wants it chosen, except those that were tried.
    pub(crate) fn pick(
        &self,
        service: &CompiledService,
        affinity: Option<Affinity>,
        now_ms: impl Fn() -> u64,
        tried: &[usize],
    ) -> Option<usize> {
        let turn = self.turns.get();
        // A further try takes no turn: of two targets the one that fails would be first in all of them.
        self.turns.set(turn.wrapping_add(u64::from(tried.is_empty())));
        let alone = self.targets.len() == 1;
        if alone {
            let is_up = self.targets.first().is_some_and(|only| only.state.is_up(0, true));
            return ((is_up || service.resilience.panic_percent > 0) && tried.is_empty()).then_some(0);
        }
        let now_ms = now_ms();
        let all = service.resilience.panic_percent > 0 && self.panics(service, now_ms);
        let is_up = |at: usize| all || self.targets.get(at).is_some_and(|each| each.state.is_up(now_ms, false));
        let available = |at: usize| !tried.contains(&at) && is_up(at);
        let load = |at: usize| {
            let nothing = Load { running: 0, latency: None };
            self.targets.get(at).map_or(nothing, |candidate| candidate.target.load.read())
        };
        let Some(preferences) = &self.preferences else {
            return choose(service, affinity, turn, available, load);
        };
        let stays = !all && preferences.stays_in_zone(is_up);
        let is_near = |at: usize| available(at) && (!stays || preferences.is_own(at));
        let warmth = |at: usize| preferences.warmth(&self.targets.get(at)?.state, now_ms);
        let is_warm = |at: usize| is_near(at) && warmth(at).is_none_or(|warmth| warmth.takes_part(turn, at));
        let weighed = |at: usize| warmth(at).map_or_else(|| load(at), |warmth| warmth.weigh(load(at)));
        let among = |available: &dyn Fn(usize) -> bool| choose(service, affinity, turn, available, weighed);
        // Better a target that is not preferred than none.
        among(&is_warm).or_else(|| among(&is_near)).or_else(|| among(&available))
    }

    /// So few targets are well that all of them are to take traffic.
    fn panics(&self, service: &CompiledService, now_ms: u64) -> bool {
        let up = self.targets.iter().filter(|candidate| candidate.state.is_up(now_ms, false)).count();
        panics(service.resilience.panic_percent, up, self.targets.len())
    }

    /// A request at a target has ended, or no connection to it could be made; whether the target is ejected for it.
    pub(crate) fn note(&self, rule: &OutlierDetection, at: usize, failed: bool, now_ms: u64) -> bool {
        let (Some(target), Some(shared)) = (self.targets.get(at), &self.shared) else { return false };
        target.state.note(rule, failed, now_ms) && shared.eject(rule, &target.state, &self.states(), now_ms)
    }

    /// Takes back ejections that this configuration does not allow.
    fn review(&self, service: &CompiledService, board: &HealthBoard) {
        if let Some(shared) = &self.shared {
            shared.review(service.resilience.outlier_detection.as_ref(), &self.states(), board.now_ms());
        }
    }

    fn states(&self) -> impl Iterator<Item = &TargetState> + Clone {
        self.targets.iter().map(|candidate| &*candidate.state)
    }

    /// Lets a request in, where there is a bound.
    pub(crate) fn run(&self, service: &CompiledService) -> Result<Option<Permit<'_>>, CircuitOpen> {
        match (service.resilience.circuit_breaker, &self.shared) {
            (Some(rule), Some(shared)) => shared.breaker.run(rule.max_requests).map(Some).ok_or(CircuitOpen),
            (None, _) | (_, None) => Ok(None),
        }
    }

    /// Room for a connection, where their number has a bound; an idle one to another target makes room.
    pub(crate) fn slot(&self, service: &CompiledService) -> Result<Option<Slot>, CircuitOpen> {
        let Some(bound) = self.bound(service) else { return Ok(None) };
        let make_room = || self.targets.iter().any(|candidate| candidate.target.make_room(&bound.slots));
        let slot = bound.take().or_else(|| make_room().then(|| bound.take()).flatten());
        slot.map(Some).ok_or(CircuitOpen)
    }

    /// The bound on a service's connections, where there is one.
    pub(crate) fn bound(&self, service: &CompiledService) -> Option<Bound> {
        let most = service.resilience.circuit_breaker?.max_connections?;
        self.shared.as_ref().map(|shared| Bound { slots: Arc::clone(&shared.slots), most })
    }

    /// Lets a request wait for a connection, where there is a bound.
    pub(crate) fn wait(&self, service: &CompiledService) -> Result<Option<Permit<'_>>, CircuitOpen> {
        match (service.resilience.circuit_breaker.and_then(|rule| rule.max_pending), &self.shared) {
            (Some(most), Some(shared)) => shared.breaker.wait(most).map(Some).ok_or(CircuitOpen),
            (None, _) | (_, None) => Ok(None),
        }
    }
}

/// A target as the service wants it chosen.
fn choose(
    service: &CompiledService,
    affinity: Option<Affinity>,
    turn: u64,
    available: impl Fn(usize) -> bool,
    load: impl Fn(usize) -> Load,
) -> Option<usize> {
    match (&service.load_balancing, affinity) {
        (LoadBalancing::LeastConnections, _) => service.pick_least(turn, available, load),
        (LoadBalancing::Latency, _) => service.pick_sooner(turn, available, load),
        (LoadBalancing::ConsistentHash(_), Some(affinity)) => service.pick_by_hash(affinity, available),
        // Requests that have nothing to be told apart by take turns.
        (LoadBalancing::RoundRobin | LoadBalancing::ConsistentHash(_), _) => service.pick_available(turn, available),
    }
}
