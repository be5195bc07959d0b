//! When to dial again: full-jitter exponential back-off, and the slow pace after a refusal. Randomness is an argument.

use std::time::Duration;

/// The first ceiling.
const FIRST: Duration = Duration::from_millis(250);
/// The last ceiling.
const LAST: Duration = Duration::from_mins(1);
/// How often a refused node tries.
pub(crate) const REFUSED_PERIOD: Duration = Duration::from_mins(15);
/// Longest wait that a peer may ask for.
const LONGEST_REQUEST: Duration = Duration::from_hours(1);

/// Uniform between zero and `ceiling`; `entropy` is 64 uniformly random bits.
pub(crate) fn jitter(ceiling: Duration, entropy: u64) -> Duration {
    let micros = u64::try_from(ceiling.as_micros()).unwrap_or(u64::MAX);
    let product = u128::from(micros) * u128::from(entropy);
    Duration::from_micros(u64::try_from(product >> 64).unwrap_or(u64::MAX))
}

/// The schedule of fast dialling.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    ceiling: Duration,
}

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self { ceiling: FIRST }
    }

    /// The next wait. What the peer asked for wins over the schedule; jitter on top of it keeps a fleet apart.
    pub(crate) fn next(&mut self, requested: Option<Duration>, entropy: u64) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = self.ceiling.saturating_mul(2).min(LAST);
        match requested {
            Some(requested) => {
                let requested = requested.min(LONGEST_REQUEST);
                requested.saturating_add(jitter(requested.min(ceiling), entropy))
            }
            None => jitter(ceiling, entropy),
        }
    }

    /// From the last ceiling on: another process fights for the same node id.
    pub(crate) const fn slow_down(&mut self) {
        self.ceiling = LAST;
    }

    /// Starts over: a welcome came.
    pub(crate) const fn reset(&mut self) {
        self.ceiling = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_double_from_a_quarter_second_to_a_minute() {
        let mut backoff = Backoff::new();
        let longest: Vec<u128> = (0..10).map(|_| backoff.next(None, u64::MAX).as_millis()).collect();
        assert_eq!(longest, [249, 499, 999, 1999, 3999, 7999, 15999, 31999, 59999, 59999]);
        assert_eq!(backoff.next(None, 0), Duration::ZERO);
        backoff.reset();
        assert!(backoff.next(None, u64::MAX) < FIRST);
    }

    #[test]
    fn what_the_peer_asks_for_wins_within_reason() {
        let mut backoff = Backoff::new();
        let asked = Duration::from_secs(20);
        let wait = backoff.next(Some(asked), u64::MAX);
        assert!(wait >= asked && wait < asked + FIRST);
        assert_eq!(backoff.next(Some(Duration::MAX), 0), LONGEST_REQUEST);
    }
}
