//! Which targets take traffic.
//!
//! Always: shared by all workers and kept over edits of the configuration; decided from failed connections (three in a row:
//! five seconds of rest) and from probes. A service with one target is never put to rest by failed connections: there is
//! nobody else to ask. Not here: the probes (`probe`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use novagate_kernel::ServiceId;
use novagate_policies::CompiledService;
use novagate_ports_edge::{LiveConfig, UpstreamHealth};
use novagate_routing::{Target, TargetUrl};

/// Failed connections in a row after which a target rests.
const FAILURES: u32 = 3;
/// How long it rests, in milliseconds.
const REST_MS: u64 = 5000;
/// Failed probes in a row after which a target is taken out.
const PROBE_FAILURES: u32 = 3;
/// Good probes in a row after which it is taken in again.
const PROBE_SUCCESSES: u32 = 2;

/// What is known about one target of one service.
#[derive(Debug, Default)]
pub(crate) struct TargetState {
    failures: AtomicU32,
    /// Milliseconds since the board's start until which it rests.
    rests_until: AtomicU64,
    probed_down: AtomicBool,
    /// Probes in a row that contradict `probed_down`.
    probes: AtomicU32,
}

/// What is known about all targets.
#[derive(Debug)]
pub(crate) struct HealthBoard {
    start: Instant,
    states: Mutex<HashMap<(ServiceId, TargetUrl), Arc<TargetState>>>,
    live: Arc<ArcSwapOption<LiveConfig>>,
}

impl TargetState {
    /// A connection could not be made.
    pub(crate) fn note_failure(&self, now_ms: u64) {
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES {
            self.rests_until.store(now_ms.saturating_add(REST_MS), Ordering::Relaxed);
        }
    }

    /// It has answered.
    pub(crate) fn note_success(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.rests_until.store(0, Ordering::Relaxed);
        }
    }

    /// A probe has ended.
    pub(crate) fn note_probe(&self, well: bool) {
        let down = self.probed_down.load(Ordering::Relaxed);
        if well != down {
            self.probes.store(0, Ordering::Relaxed);
            return;
        }
        let needed = if down { PROBE_SUCCESSES } else { PROBE_FAILURES };
        if self.probes.fetch_add(1, Ordering::Relaxed) + 1 >= needed {
            self.probes.store(0, Ordering::Relaxed);
            self.probed_down.store(!down, Ordering::Relaxed);
        }
    }

    /// No probe says anything about it any more.
    pub(crate) fn forget_probes(&self) {
        self.probes.store(0, Ordering::Relaxed);
        self.probed_down.store(false, Ordering::Relaxed);
    }

    /// Whether it takes traffic.
    pub(crate) fn is_up(&self, now_ms: u64, alone: bool) -> bool {
        !self.probed_down.load(Ordering::Relaxed) && (alone || self.rests_until.load(Ordering::Relaxed) <= now_ms)
    }
}

impl HealthBoard {
    pub(crate) fn new(live: Arc<ArcSwapOption<LiveConfig>>) -> Self {
        Self { start: Instant::now(), states: Mutex::default(), live }
    }

    /// Milliseconds since its start.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The state of a service's target; takes a lock, so not for every request.
    pub(crate) fn state(&self, service: ServiceId, target: &Target) -> Arc<TargetState> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(states.entry((service, target.url.clone())).or_default())
    }

    /// Forgets targets that no worker knows any more.
    pub(crate) fn prune(&self) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.retain(|_, state| Arc::strong_count(state) > 1);
    }

    fn count(&self, service: &CompiledService) -> (u16, u16) {
        let now_ms = self.now_ms();
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let alone = service.targets.len() == 1;
        let up = |target: &&Target| {
            states.get(&(service.id, target.url.clone())).is_none_or(|state| state.is_up(now_ms, alone))
        };
        let healthy = service.targets.iter().filter(up).count();
        (u16::try_from(healthy).unwrap_or(u16::MAX), u16::try_from(service.targets.len()).unwrap_or(u16::MAX))
    }
}

impl UpstreamHealth for HealthBoard {
    fn targets(&self, service: ServiceId) -> Option<(u16, u16)> {
        let live = self.live.load();
        live.as_ref()?.compiled.service_by_id(service).map(|service| self.count(service))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_rests_after_three_failures_in_a_row() {
        let state = TargetState::default();
        state.note_failure(0);
        state.note_failure(0);
        assert!(state.is_up(0, false));
        state.note_success();
        state.note_failure(0);
        state.note_failure(0);
        assert!(state.is_up(0, false));
        state.note_failure(0);
        assert!(!state.is_up(4999, false) && state.is_up(5000, false));
        assert!(state.is_up(0, true));
    }

    #[test]
    fn a_target_that_failed_again_after_its_rest_rests_at_once() {
        let state = TargetState::default();
        (0..3).for_each(|_| state.note_failure(0));
        state.note_failure(6000);
        assert!(!state.is_up(6001, false));
        state.note_success();
        assert!(state.is_up(6001, false));
    }

    #[test]
    fn three_failed_probes_take_a_target_out_and_two_good_ones_take_it_in() {
        let state = TargetState::default();
        for well in [false, false, true, false, false] {
            state.note_probe(well);
        }
        assert!(state.is_up(0, true));
        state.note_probe(false);
        assert!(!state.is_up(0, true));
        state.note_probe(true);
        assert!(!state.is_up(0, true));
        state.note_probe(true);
        assert!(state.is_up(0, true));
    }
}
