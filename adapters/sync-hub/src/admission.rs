//! How fast gateways are let in: after a restart all of them come at once.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// Millionths of an admission.
const WHOLE: u64 = 1_000_000;

/// A token bucket.
#[derive(Debug)]
pub(crate) struct Admission {
    per_second: u64,
    burst: u64,
    state: Mutex<(u64, Instant)>,
}

impl Admission {
    /// A full bucket.
    pub(crate) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let burst = u64::from(burst.max(1)) * WHOLE;
        Self { per_second: u64::from(per_second), burst, state: Mutex::new((burst, now)) }
    }

    /// Takes one token, if there is one.
    pub(crate) fn admit(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, at) = *state;
        let passed = u64::try_from(now.saturating_duration_since(at).as_micros()).unwrap_or(u64::MAX);
        let tokens = tokens.saturating_add(passed.saturating_mul(self.per_second)).min(self.burst);
        let admitted = tokens >= WHOLE;
        *state = (if admitted { tokens - WHOLE } else { tokens }, now.max(at));
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_let_in_and_then_so_many_a_second() {
        let start = Instant::now();
        let bucket = Admission::new(10, 3, start);
        let admitted = |millis| (0..9).filter(|_| bucket.admit(start + Duration::from_millis(millis))).count();
        assert_eq!(admitted(0), 3);
        assert_eq!(admitted(99), 0);
        assert_eq!(admitted(200), 2);
        assert_eq!(admitted(60_000), 3);
    }
}
