//! What is known about one target of one service: whether it rests, whether its probes are good, since when it is back.
//!
//! Always: written by all workers without a lock. A service without a rule of its own lets a target rest for five seconds
//! after three failed connections in a row. Not here: how many targets may rest at once (`health`), the times of ejections
//! (`novagate_policies`).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use novagate_policies::{Ejection, RateWindow};
use novagate_routing::{HealthCheck, OutlierDetection};

/// Failed connections in a row after which a target rests.
const FAILURES: u32 = 3;
/// How long it rests, in milliseconds.
const REST_MS: u64 = 5000;

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
    /// When it has come, or come back in another way than by the end of `rest`; milliseconds. 0: it was always there.
    since: AtomicU64,
}

impl TargetState {
    /// Of a target that joins others at this moment.
    pub(crate) fn joining(now_ms: u64) -> Self {
        Self { since: AtomicU64::new(now_ms.max(1)), ..Self::default() }
    }

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
            self.since.fetch_max(self.rest().until_ms, Ordering::Relaxed);
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
    pub(crate) fn readmit(&self, now_ms: u64) {
        self.since.fetch_max(now_ms, Ordering::Relaxed);
        self.rest.store(0, Ordering::Relaxed);
    }

    /// Since when it takes traffic, if it does; nothing when it has done so from the beginning.
    pub(crate) fn since(&self) -> Option<u64> {
        Some(self.since.load(Ordering::Relaxed).max(self.rest().until_ms)).filter(|since| *since > 0)
    }

    /// The newest rest; it may be over.
    pub(crate) fn rest(&self) -> Ejection {
        Ejection::from_bits(self.rest.load(Ordering::Relaxed))
    }

    /// A probe has ended.
    pub(crate) fn note_probe(&self, well: bool, check: &HealthCheck, now_ms: u64) {
        let down = self.probed_down.load(Ordering::Relaxed);
        if well != down {
            self.probes.store(0, Ordering::Relaxed);
            return;
        }
        let needed = u32::from(if down { check.healthy_threshold } else { check.unhealthy_threshold });
        if self.probes.fetch_add(1, Ordering::Relaxed) + 1 >= needed {
            self.probes.store(0, Ordering::Relaxed);
            self.since.fetch_max(now_ms, Ordering::Relaxed);
            self.probed_down.store(!down, Ordering::Relaxed);
        }
    }

    /// No probe says anything about it any more.
    pub(crate) fn forget_probes(&self, now_ms: u64) {
        self.probes.store(0, Ordering::Relaxed);
        if self.probed_down.swap(false, Ordering::Relaxed) {
            self.since.fetch_max(now_ms, Ordering::Relaxed);
        }
    }

    /// Whether it is well.
    pub(crate) fn is_up(&self, now_ms: u64, alone: bool) -> bool {
        !self.probed_down.load(Ordering::Relaxed) && (alone || !self.rest().lasts(now_ms))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use novagate_routing::{ErrorRate, ProbeKind};

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

    fn check(unhealthy_threshold: u8, healthy_threshold: u8) -> HealthCheck {
        let usual = HealthCheck::every(Duration::from_secs(1), ProbeKind::Tcp);
        HealthCheck { unhealthy_threshold, healthy_threshold, ..usual }
    }

    #[test]
    fn three_failed_probes_take_a_target_out_and_two_good_ones_take_it_in() {
        let (state, check) = (TargetState::default(), check(3, 2));
        for well in [false, false, true, false, false] {
            state.note_probe(well, &check, 0);
        }
        assert!(state.is_up(0, true));
        state.note_probe(false, &check, 0);
        assert!(!state.is_up(0, true));
        state.note_probe(true, &check, 0);
        assert!(!state.is_up(0, true));
        state.note_probe(true, &check, 0);
        assert!(state.is_up(0, true));
    }

    #[test]
    fn a_service_has_thresholds_of_its_own() {
        let (state, check) = (TargetState::default(), check(1, 3));
        state.note_probe(false, &check, 0);
        assert!(!state.is_up(0, true));
        (0..2).for_each(|_| state.note_probe(true, &check, 0));
        assert!(!state.is_up(0, true));
        state.note_probe(true, &check, 0);
        assert!(state.is_up(0, true));
    }

    #[test]
    fn it_is_known_since_when_a_target_is_back() {
        let (state, check) = (TargetState::joining(7), check(1, 1));
        assert_eq!((state.since(), TargetState::default().since()), (Some(7), None));
        state.note_probe(false, &check, 100);
        state.note_probe(true, &check, 200);
        assert_eq!(state.since(), Some(200), "its probes are good again");
        state.note_probe(false, &check, 250);
        state.forget_probes(300);
        state.forget_probes(400);
        assert_eq!(state.since(), Some(300), "nobody probes it any more");
        state.eject(&rule(), 1_000);
        assert_eq!(state.since(), Some(11_000), "its ejection ends by itself");
        state.readmit(5_000);
        assert_eq!(state.since(), Some(5_000), "an edit has taken it back");
        (0..3).for_each(|_| state.note_failure(10_000));
        state.note_success();
        assert_eq!(state.since(), Some(15_000), "also when the rest itself is forgotten");
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
        state.readmit(10_002);
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
