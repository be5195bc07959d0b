//! How many retries there may be, and how long to wait before one.
//!
//! Always: retries of the last ten seconds never exceed a share of the requests of that time, or a few where there are few
//! requests; what is asked for at a busy time is refused, not kept for later. Not here: which requests may be sent again
//! (`adapters/http-edge`).

use std::time::Duration;

/// Parts of the window.
const SLOTS: usize = 10;
/// Length of a part.
const SLOT_MS: u64 = 1000;
/// Retries in a window that a gateway may make whatever the number of its requests: three in a second.
const LEAST: u32 = 30;
/// The longest wait before a first retry.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// The longest wait before any.
const LAST_PAUSE: Duration = Duration::from_millis(250);

/// What one worker has sent to one service in the last ten seconds.
#[derive(Debug, Clone, Default)]
pub struct RetryBudget {
    slots: [Slot; SLOTS],
    /// Number of the newest part since the beginning of time.
    newest: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    requests: u32,
    retries: u32,
}

impl RetryBudget {
    /// A request has come. `now_ms` are milliseconds since any beginning.
    pub fn note_request(&mut self, now_ms: u64) {
        if let Some(slot) = self.slot(now_ms) {
            slot.requests = slot.requests.saturating_add(1);
        }
    }

    /// Takes a retry out of the budget; false when there is none left. A budget is one worker's: what a gateway may always
    /// do is divided among its `workers`, so that many of them together are no storm.
    pub fn spend(&mut self, now_ms: u64, percent: u8, workers: usize) -> bool {
        if self.slot(now_ms).is_none() {
            return false;
        }
        let (requests, retries) = self.slots.iter().fold((0_u64, 0_u64), |(requests, retries), slot| {
            (requests + u64::from(slot.requests), retries + u64::from(slot.retries))
        });
        let affordable = (requests * u64::from(percent) / 100).max(u64::from(least(workers)));
        let is_affordable = retries < affordable;
        if let Some(slot) = self.slot(now_ms).filter(|_| is_affordable) {
            slot.retries = slot.retries.saturating_add(1);
        }
        is_affordable
    }

    /// The part that this moment falls into, after those that are over were forgotten.
    fn slot(&mut self, now_ms: u64) -> Option<&mut Slot> {
        let number = (now_ms / SLOT_MS).max(self.newest);
        let passed = usize::try_from(number - self.newest).unwrap_or(SLOTS).min(SLOTS);
        for back in 0..passed as u64 {
            if let Some(slot) = self.slots.get_mut(place(number - back)) {
                *slot = Slot::default();
            }
        }
        self.newest = number;
        self.slots.get_mut(place(number))
    }
}

/// How long to wait before a further try when `made` were made before: up to a ceiling that doubles, with full jitter.
/// `entropy` is 64 uniformly random bits.
pub fn retry_pause(made: u8, entropy: u64) -> Duration {
    let micros = longest_retry_pause(made).as_micros() * u128::from(entropy);
    Duration::from_micros(u64::try_from(micros >> 64).unwrap_or(u64::MAX))
}

/// The longest that [`retry_pause`] says.
pub fn longest_retry_pause(made: u8) -> Duration {
    FIRST_PAUSE.saturating_mul(1_u32.checked_shl(u32::from(made)).unwrap_or(u32::MAX)).min(LAST_PAUSE)
}

/// Retries in a window that one of so many workers may always make.
fn least(workers: usize) -> u32 {
    (LEAST / u32::try_from(workers.max(1)).unwrap_or(u32::MAX)).max(1)
}

fn place(number: u64) -> usize {
    usize::try_from(number % SLOTS as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_failing_service_gets_its_share_of_retries_and_no_more() {
        let mut budget = RetryBudget::default();
        let mut retries = 0;
        for _ in 0..1000 {
            budget.note_request(500);
            retries += u32::from(budget.spend(500, 20, 1));
        }
        assert_eq!(retries, 200);
    }

    #[test]
    fn few_requests_may_be_retried_whatever_their_share() {
        let mut budget = RetryBudget::default();
        let spent = |budget: &mut RetryBudget, workers| (0..100).filter(|_| budget.spend(0, 1, workers)).count();
        assert_eq!(spent(&mut budget, 1), 30);
        assert_eq!(spent(&mut RetryBudget::default(), 8), 3);
        assert_eq!(spent(&mut RetryBudget::default(), 200), 1);
        assert_eq!(spent(&mut RetryBudget::default(), 0), 30);
    }

    #[test]
    fn what_was_spent_comes_back_when_the_window_has_passed() {
        let mut budget = RetryBudget::default();
        assert!((0..30).all(|_| budget.spend(0, 20, 1)));
        assert!(!budget.spend(9_999, 20, 1));
        assert!(budget.spend(10_000, 20, 1));
        assert!(budget.spend(1_000_000_000, 20, 1));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_away() {
        let mut budget = RetryBudget::default();
        assert!((0..30).all(|_| budget.spend(50_000, 20, 1)));
        assert!(!budget.spend(0, 20, 1) && !budget.spend(50_000, 20, 1));
    }

    #[test]
    fn pauses_grow_to_a_bound_and_are_spread_from_nothing_on() {
        let longest: Vec<_> = (0..6).map(|made| longest_retry_pause(made).as_millis()).collect();
        assert_eq!(longest, [25, 50, 100, 200, 250, 250]);
        assert_eq!(longest_retry_pause(u8::MAX), LAST_PAUSE);
        assert_eq!(retry_pause(0, 0), Duration::ZERO);
        assert_eq!(retry_pause(3, u64::MAX / 2).as_millis(), 99);
        assert!(retry_pause(5, u64::MAX) <= LAST_PAUSE);
    }

    proptest! {
        #[test]
        fn retries_of_a_window_never_exceed_the_budget(
            steps in proptest::collection::vec((0_u64..2_500, any::<bool>()), 1..400), percent in 1_u8..=100,
            workers in 1_usize..40,
        ) {
            let (mut budget, mut now) = (RetryBudget::default(), 0);
            let (mut requests, mut retries) = (Vec::new(), Vec::new());
            for (pause, is_retry) in steps {
                now += pause / 10;
                let since = (now / SLOT_MS + 1).saturating_sub(SLOTS as u64) * SLOT_MS;
                let count = |times: &[u64]| times.iter().filter(|&&time| time >= since).count();
                if !is_retry {
                    budget.note_request(now);
                    requests.push(now);
                    continue;
                }
                let allowed = (count(&requests) * usize::from(percent) / 100).max(least(workers) as usize);
                let is_allowed = count(&retries) < allowed;
                prop_assert_eq!(budget.spend(now, percent, workers), is_allowed);
                retries.extend(is_allowed.then_some(now));
            }
        }
    }
}
