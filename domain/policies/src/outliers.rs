//! When a target is ejected, for how long, and how many may be.
//!
//! Always: an ejection in a row lasts longer than the one before, up to a bound, and shorter again after the target has
//! stayed well; a single target is never ejected. Not here: what counts as a failure, where the
//! state is kept (`adapters/http-edge`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use novagate_routing::{ErrorRate, OutlierDetection};

/// Parts of the window of an error rate.
const SLOTS: usize = 10;
/// Length of a part.
const SLOT_MS: u64 = 1000;
/// Bits of one count in a part; counts beyond stay at the highest.
const COUNT_BITS: u32 = 20;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
/// A part tells its second by its last bits: enough for half a year.
const SECOND_MASK: u64 = (1 << (64 - 2 * COUNT_BITS)) - 1;
const TIMES_BITS: u32 = 16;

/// The rest that a target takes, or has taken last: until when, and how many there were in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ejection {
    /// Milliseconds since the beginning; 48 bits of them.
    pub until_ms: u64,
    /// Ejections in a row; 0: none, or a rest that nobody counts.
    pub times: u16,
}

/// Requests and failures of a target in the last ten seconds; written by all workers.
#[derive(Debug, Default)]
pub struct RateWindow([AtomicU64; SLOTS]);

impl Ejection {
    /// From one number.
    #[expect(clippy::cast_possible_truncation, reason = "the lowest 16 bits are meant")]
    pub const fn from_bits(bits: u64) -> Self {
        Self { until_ms: bits >> TIMES_BITS, times: bits as u16 }
    }

    /// As one number, which an atomic can hold.
    pub const fn to_bits(self) -> u64 {
        (self.until_ms << TIMES_BITS) | self.times as u64
    }

    /// Whether it lasts.
    pub const fn lasts(self, now_ms: u64) -> bool {
        self.until_ms > now_ms
    }

    /// The ejection after this one: longer by the first one's time. One in a row is forgotten for each time of a first
    /// ejection that the target has taken traffic since.
    #[must_use]
    pub fn next(self, now_ms: u64, rule: &OutlierDetection) -> Self {
        let base = millis(rule.eject).max(1);
        let well = now_ms.saturating_sub(self.until_ms) / base;
        // Beyond the longest one nothing is added: it would only take longer to be forgotten.
        let most = u16::try_from(millis(rule.max_eject).div_ceil(base)).unwrap_or(u16::MAX).max(1);
        let before = self.times.saturating_sub(u16::try_from(well).unwrap_or(u16::MAX));
        let times = before.saturating_add(1).min(most);
        let lasts = base.saturating_mul(u64::from(times)).min(millis(rule.max_eject).max(base));
        Self { until_ms: now_ms.saturating_add(lasts), times }
    }
}

impl RateWindow {
    /// A request has ended.
    pub fn note(&self, failed: bool, now_ms: u64) {
        let second = now_ms / SLOT_MS;
        if let Some(slot) = usize::try_from(second % SLOTS as u64).ok().and_then(|at| self.0.get(at)) {
            let counted = |bits| Some(Part::from_bits(bits).counted(failed, second).to_bits());
            // Nothing is lost when another worker was quicker: it is tried again.
            let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
        }
    }

    /// Whether the share of failures is too high.
    pub fn exceeds(&self, rate: ErrorRate, now_ms: u64) -> bool {
        let second = now_ms / SLOT_MS;
        let parts = self.0.iter().map(|slot| Part::from_bits(slot.load(Ordering::Relaxed)));
        let recent = parts.filter(|part| second.wrapping_sub(part.second) & SECOND_MASK < SLOTS as u64);
        let (requests, failures) =
            recent.fold((0, 0), |(requests, failures), part| (requests + part.requests, failures + part.failures));
        requests >= u64::from(rate.min_requests) && failures * 100 >= requests * u64::from(rate.percent)
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.0.iter().for_each(|slot| slot.store(0, Ordering::Relaxed));
    }
}

/// One second of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    second: u64,
    requests: u64,
    failures: u64,
}

impl Part {
    const fn from_bits(bits: u64) -> Self {
        let (requests, failures) = ((bits >> COUNT_BITS) & COUNT_MASK, bits & COUNT_MASK);
        Self { second: bits >> (2 * COUNT_BITS), requests, failures }
    }

    const fn to_bits(self) -> u64 {
        (self.second << (2 * COUNT_BITS)) | (self.requests << COUNT_BITS) | self.failures
    }

    fn counted(self, failed: bool, second: u64) -> Self {
        let second = second & SECOND_MASK;
        let fresh = Self { second, requests: 0, failures: 0 };
        let Self { requests, failures, .. } = if self.second == second { self } else { fresh };
        if requests == COUNT_MASK {
            return Self { second, requests, failures };
        }
        Self { second, requests: requests + 1, failures: failures + u64::from(failed) }
    }
}

/// The most of so many targets that are ejected at the same time.
pub fn most_ejected(rule: &OutlierDetection, targets: usize) -> usize {
    match (targets, rule.max_ejected_percent) {
        (0 | 1, _) | (_, 0) => 0,
        (_, percent) => (targets * usize::from(percent) / 100).max(1),
    }
}

/// Whether so few of a service's targets take traffic that all of them are to: better a few answers than none.
pub fn panics(panic_percent: u8, up: usize, targets: usize) -> bool {
    up * 100 < targets * usize::from(panic_percent)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule() -> OutlierDetection {
        OutlierDetection {
            consecutive_failures: 5,
            error_rate: None,
            eject: Duration::from_secs(30),
            max_eject: Duration::from_secs(100),
            max_ejected_percent: 50,
        }
    }

    fn lasts(ejection: Ejection, now_ms: u64) -> u64 {
        (ejection.until_ms - now_ms) / 1000
    }

    #[test]
    fn each_ejection_in_a_row_lasts_longer_up_to_the_bound() {
        let (mut ejection, mut now, mut seen) = (Ejection::default(), 1_000_000, Vec::new());
        for _ in 0..6 {
            ejection = ejection.next(now, &rule());
            seen.push(lasts(ejection, now));
            now = ejection.until_ms;
        }
        assert_eq!(seen, [30, 60, 90, 100, 100, 100]);
    }

    #[test]
    fn a_target_that_stays_well_is_forgiven_step_by_step() {
        let after = |well_s: u64| {
            let ejection = Ejection { until_ms: 500_000, times: 4 };
            let now = 500_000 + well_s * 1000;
            lasts(ejection.next(now, &rule()), now)
        };
        assert_eq!([0, 29, 30, 60, 90, 120, 100_000].map(after), [100, 100, 100, 90, 60, 30, 30]);
    }

    #[test]
    fn a_part_of_the_targets_may_be_ejected_and_of_two_at_least_one() {
        let most = |percent, targets| {
            let rule = OutlierDetection { max_ejected_percent: percent, ..rule() };
            most_ejected(&rule, targets)
        };
        assert_eq!([0, 1, 2, 3, 4, 10].map(|targets| most(50, targets)), [0, 0, 1, 1, 2, 5]);
        assert_eq!([1, 2, 10].map(|targets| most(1, targets)), [0, 1, 1]);
        assert_eq!([2, 10].map(|targets| most(0, targets)), [0, 0]);
        assert_eq!([1, 2, 10].map(|targets| most(100, targets)), [0, 2, 10]);
    }

    #[test]
    fn a_service_panics_below_its_share_and_never_without_one() {
        assert!(!panics(0, 0, 4) && !panics(50, 2, 4) && panics(50, 1, 4) && panics(100, 3, 4) && !panics(100, 4, 4));
    }

    #[test]
    fn an_error_rate_needs_requests_and_looks_at_ten_seconds() {
        let (window, rate) = (RateWindow::default(), ErrorRate { percent: 50, min_requests: 10 });
        (0..9).for_each(|at| window.note(true, at * 1000));
        assert!(!window.exceeds(rate, 8_000));
        window.note(false, 8_500);
        assert!(window.exceeds(rate, 9_999) && !window.exceeds(rate, 10_000), "the first one has left");
        (0..9).for_each(|_| window.note(false, 8_600));
        assert!(!window.exceeds(rate, 9_000), "nine of nineteen");
        (0..30).for_each(|_| window.note(true, 8_700));
        assert!(window.exceeds(rate, 9_000));
        window.clear();
        assert!(!window.exceeds(rate, 9_000));
    }

    #[test]
    fn counts_stop_at_their_bound() {
        let full = Part { second: 5, requests: COUNT_MASK, failures: 7 };
        assert_eq!(full.counted(true, 5), full);
        assert_eq!(full.counted(true, 6), Part { second: 6, requests: 1, failures: 1 });
    }

    proptest! {
        #[test]
        fn an_ejection_survives_being_a_number(until_ms in 0_u64..1 << 48, times in any::<u16>()) {
            let ejection = Ejection { until_ms, times };
            prop_assert_eq!(Ejection::from_bits(ejection.to_bits()), ejection);
        }

        #[test]
        fn an_ejection_is_never_shorter_than_the_first_nor_longer_than_the_last(
            before_ms in 0_u64..1_000_000_000, times in any::<u16>(), later_ms in 0_u64..1_000_000_000,
            eject_s in 1_u64..=3600, more_s in 0_u64..80_000,
        ) {
            let (eject, max_eject) = (Duration::from_secs(eject_s), Duration::from_secs(eject_s + more_s));
            let rule = OutlierDetection { eject, max_eject, ..rule() };
            let now = before_ms + later_ms;
            let next = Ejection { until_ms: before_ms, times }.next(now, &rule);
            let lasts = Duration::from_millis(next.until_ms - now);
            prop_assert!((eject..=max_eject).contains(&lasts), "{:?}", lasts);
            let again = next.next(next.until_ms, &rule);
            prop_assert!(again.until_ms - next.until_ms >= next.until_ms - now, "one in a row is not shorter");
        }

        #[test]
        fn never_more_than_the_share_is_ejected_but_for_one(percent in 1_u8..=100, targets in 2_usize..=256) {
            let most = most_ejected(&OutlierDetection { max_ejected_percent: percent, ..rule() }, targets);
            prop_assert!(most == 1 || most * 100 <= targets * usize::from(percent));
        }

        #[test]
        fn an_error_rate_is_that_of_the_requests_of_ten_seconds(
            requests in proptest::collection::vec((0_u64..3_000, any::<bool>()), 1..100), percent in 1_u8..=100,
        ) {
            let (window, rate) = (RateWindow::default(), ErrorRate { percent, min_requests: 1 });
            let (mut now, mut seen) = (0_u64, Vec::new());
            for (pause, failed) in requests {
                now += pause;
                window.note(failed, now);
                seen.push((now / SLOT_MS, failed));
                let recent = || seen.iter().filter(|(second, _)| second + SLOTS as u64 > now / SLOT_MS);
                let failures = recent().filter(|(_, failed)| *failed).count();
                prop_assert_eq!(window.exceeds(rate, now), failures * 100 >= recent().count() * usize::from(percent));
            }
        }
    }
}
