//! Counting attempts.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use novagate_kernel::Timestamp;
use novagate_ports_base::PortError;
use novagate_ports_control::outbound::{Throttle, ThrottleRule};

/// Keys that are remembered at the same time; beyond, those go that were idle for longest.
const MAX_KEYS: usize = 100_000;
/// A refusal with no wait at all would be an invitation.
const LEAST_WAIT: Duration = Duration::from_micros(1);

/// Remembers the time of every admitted attempt. Clones are the same throttle.
#[derive(Debug, Clone)]
pub struct MemoryThrottle {
    keys: Arc<Mutex<HashMap<String, Attempts>>>,
    max_keys: usize,
}

/// Admitted attempts of one key, oldest first: never more than the rule admits.
#[derive(Debug)]
struct Attempts {
    times: VecDeque<Timestamp>,
    window: Duration,
}

impl Default for MemoryThrottle {
    fn default() -> Self {
        Self::with_max_keys(MAX_KEYS)
    }
}

impl MemoryThrottle {
    /// A throttle that remembers at most so many keys; at least one.
    pub fn with_max_keys(max_keys: usize) -> Self {
        Self { keys: Arc::default(), max_keys: max_keys.max(1) }
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<String, Attempts>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempts {
    /// Forgets what has left the window. A time ahead of `now` was taken before the clock was set back; it counts from now
    /// on, so that nobody waits for longer than a window.
    fn forget(&mut self, now: Timestamp) {
        for time in &mut self.times {
            *time = (*time).min(now);
        }
        while self.times.front().is_some_and(|&oldest| now.since(oldest) >= self.window) {
            self.times.pop_front();
        }
    }

    fn admit(&mut self, max: usize, now: Timestamp) -> Option<Duration> {
        if self.times.len() < max {
            self.times.push_back(now);
            return None;
        }
        // So many must leave that one less than `max` are left.
        let last_to_leave = self.times.get(self.times.len() - max);
        let wait = last_to_leave.map_or(self.window, |time| time.plus(self.window).since(now));
        Some(wait.max(LEAST_WAIT))
    }

    fn is_idle(&self, now: Timestamp) -> bool {
        self.times.back().is_none_or(|&newest| now.since(newest) >= self.window)
    }
}

/// Makes room for a tenth of all keys at once, so that the search is paid for by many insertions: first those whose
/// attempts do not count any more, then those that were idle for longest.
fn make_room(keys: &mut HashMap<String, Attempts>, max_keys: usize, now: Timestamp) {
    keys.retain(|_, attempts| !attempts.is_idle(now));
    let kept = max_keys - max_keys.div_ceil(10);
    let Some(surplus) = keys.len().checked_sub(kept).filter(|&surplus| surplus > 0) else { return };
    let mut newest: Vec<Option<Timestamp>> = keys.values().map(|attempts| attempts.times.back().copied()).collect();
    let (_, &mut limit, _) = newest.select_nth_unstable(surplus - 1);
    let mut left = surplus;
    keys.retain(|_, attempts| {
        let goes = left > 0 && attempts.times.back().copied() <= limit;
        left -= usize::from(goes);
        !goes
    });
}

#[async_trait]
impl Throttle for MemoryThrottle {
    async fn attempt(&self, key: &str, rule: ThrottleRule, now: Timestamp) -> Result<Option<Duration>, PortError> {
        let mut keys = self.keys();
        if keys.len() >= self.max_keys && !keys.contains_key(key) {
            make_room(&mut keys, self.max_keys, now);
        }
        let fresh = || Attempts { times: VecDeque::new(), window: rule.window };
        let attempts = keys.entry(key.to_owned()).or_insert_with(fresh);
        attempts.window = rule.window;
        attempts.forget(now);
        Ok(attempts.admit(usize::try_from(rule.max).unwrap_or(usize::MAX), now))
    }

    async fn count(&self, key: &str, rule: ThrottleRule, now: Timestamp) -> Result<u32, PortError> {
        let keys = self.keys();
        let times = keys.get(key).into_iter().flat_map(|attempts| &attempts.times);
        let counted = times.filter(|&&time| now.since(time) < rule.window).count();
        Ok(u32::try_from(counted).unwrap_or(u32::MAX))
    }

    async fn clear(&self, key: &str) -> Result<(), PortError> {
        self.keys().remove(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use novagate_fixtures::START;

    use super::*;

    const RULE: ThrottleRule = ThrottleRule { max: 2, window: Duration::from_mins(1) };

    async fn attempt(throttle: &MemoryThrottle, key: &str, seconds: u64) -> Option<Duration> {
        throttle.attempt(key, RULE, START.plus(Duration::from_secs(seconds))).await.unwrap()
    }

    #[tokio::test]
    async fn keys_beyond_the_limit_push_out_the_idlest_only() {
        let throttle = MemoryThrottle::with_max_keys(100);
        for _ in 0..RULE.max {
            attempt(&throttle, "busy", 20).await;
        }
        for number in 0..1_000 {
            attempt(&throttle, &format!("flood-{number}"), 10).await;
            assert!(throttle.keys().len() <= 100);
        }
        assert!(attempt(&throttle, "busy", 20).await.is_some(), "it is still remembered");
    }

    #[tokio::test]
    async fn idle_keys_go_before_any_other() {
        let throttle = MemoryThrottle::with_max_keys(100);
        for number in 0..50 {
            attempt(&throttle, &format!("idle-{number}"), 0).await;
        }
        for number in 0..51 {
            attempt(&throttle, &format!("busy-{number}"), 61).await;
        }
        let keys = throttle.keys();
        assert_eq!(keys.len(), 51);
        assert!(keys.keys().all(|key| key.starts_with("busy")));
    }

    #[tokio::test]
    async fn a_clock_set_back_by_a_year_makes_nobody_wait_for_longer_than_a_window() {
        let throttle = MemoryThrottle::default();
        for _ in 0..RULE.max {
            attempt(&throttle, "a", 40_000_000).await;
        }
        assert_eq!(attempt(&throttle, "a", 5).await, Some(RULE.window));
        assert_eq!(attempt(&throttle, "a", 65).await, None);
    }
}
