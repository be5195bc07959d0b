//! What is known about one target of one service: whether it rests, and whether its probes are good.
//!
//! Always: written by all workers without a lock. A service without a rule of its own lets a target rest for five seconds
//! after three failed connections in a row. Not here: how many targets may rest at once (`health`), the times of ejections
//! (`novagate_policies`).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use novagate_policies::{Ejection, RateWindow};
use novagate_routing::OutlierDetection;

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
    /// Failures in a row.
    failures: AtomicU32,
    /// The bits of its newest [`Ejection`]; a rest after failed connections is one that nobody counts.
    rest: AtomicU64,
    /// Where a rule looks at the share of failures.
    window: OnceLock<Box<RateWindow>>,
    probed_down: AtomicBool,
    /// Probes in a row that contradict `probed_down`.
    probes: AtomicU32,
}

impl TargetState {
    /// A connection could not be made, and the service has no rule of its own.
    pub(crate) fn note_failure(&self, now_ms: u64) {
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES {
            let rest = Ejection { until_ms: now_ms.saturating_add(REST_MS), times: 0 };
            self.rest.store(rest.to_bits(), Ordering::Relaxed);
        }
    }

    /// It has answered, and the service has no rule of its own.
    pub(crate) fn note_success(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.rest.store(0, Ordering::Relaxed);
        }
    }

    /// A request has ended under this rule; whether the target is to be ejected for it. What ends while it is ejected was
    /// sent before, or because there was no other target, and says nothing new.
    pub(crate) fn note(&self, rule: &OutlierDetection, failed: bool, now_ms: u64) -> bool {
        if self.rest().lasts(now_ms) {
            return false;
        }
        let exceeds = rule.error_rate.is_some_and(|rate| {
            let window = self.window.get_or_init(Box::default);
            window.note(failed, now_ms);
            failed && window.exceeds(rate, now_ms)
        });
        if !failed {
            if self.failures.load(Ordering::Relaxed) != 0 {
                self.failures.store(0, Ordering::Relaxed);
            }
            return false;
        }
        let in_row = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        exceeds || in_row >= u32::from(rule.consecutive_failures)
    }

    /// Takes it out of traffic; longer than last time, unless it was well for long.
    pub(crate) fn eject(&self, rule: &OutlierDetection, now_ms: u64) {
        self.rest.store(self.rest().next(now_ms, rule).to_bits(), Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
        if let Some(window) = self.window.get() {
            window.clear();
        }
    }

    /// Takes it back into traffic.
    pub(crate) fn readmit(&self) {
        self.rest.store(0, Ordering::Relaxed);
    }

    /// The newest rest; it may be over.
    pub(crate) fn rest(&self) -> Ejection {
        Ejection::from_bits(self.rest.load(Ordering::Relaxed))
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

    /// Whether it is well.
    pub(crate) fn is_up(&self, now_ms: u64, alone: bool) -> bool {
        !self.probed_down.load(Ordering::Relaxed) && (alone || !self.rest().lasts(now_ms))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use novagate_routing::ErrorRate;

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

    fn rule() -> OutlierDetection {
        OutlierDetection {
            consecutive_failures: 2,
            error_rate: None,
            eject: Duration::from_secs(10),
            max_eject: Duration::from_mins(1),
            max_ejected_percent: 50,
        }
    }

    #[test]
    fn failures_in_a_row_eject_a_target_and_its_answers_forgive_them() {
        let state = TargetState::default();
        assert!(!state.note(&rule(), true, 0) && !state.note(&rule(), false, 0) && !state.note(&rule(), true, 0));
        assert!(state.note(&rule(), true, 0));
        state.eject(&rule(), 0);
        assert!(!state.is_up(9_999, false) && state.is_up(10_000, false));
        assert!(!state.note(&rule(), true, 5_000), "what ends meanwhile was sent before");
        state.note(&rule(), false, 6_000);
        assert!(!state.is_up(9_999, false), "an answer does not take it back");
        assert!(!state.note(&rule(), true, 10_000), "it begins anew");
        assert!(state.note(&rule(), true, 10_001));
        state.eject(&rule(), 10_001);
        assert!(!state.is_up(30_000, false) && state.is_up(30_001, false), "twice as long");
        state.readmit();
        assert!(state.is_up(10_002, false));
    }

    #[test]
    fn a_share_of_failures_ejects_a_target_whose_answers_come_between() {
        let state = TargetState::default();
        let rule = OutlierDetection {
            consecutive_failures: 100,
            error_rate: Some(ErrorRate { percent: 50, min_requests: 8 }),
            ..rule()
        };
        let ejects: Vec<_> = (0..8).map(|at| state.note(&rule, at % 2 == 1, 0)).collect();
        assert_eq!(ejects.iter().position(|ejects| *ejects), Some(7));
        state.eject(&rule, 0);
        assert!(!state.note(&rule, true, 10_000), "what was before its ejection is forgotten");
    }
}
