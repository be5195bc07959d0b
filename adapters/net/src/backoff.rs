//! How long to wait before the next attempt: exponential with full jitter, so that a fleet that lost its peer at one
//! moment does not come back at one moment.
//!
//! Pure: randomness is an argument and nothing sleeps here.

use std::time::Duration;

/// A policy nobody could wait by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BackoffError {
    /// The first ceiling is zero, which would be no back-off at all.
    #[error("the smallest back-off is zero")]
    Zero,
    /// The last ceiling lies below the first.
    #[error("the largest back-off is smaller than the smallest")]
    Reversed,
}

/// The n-th wait is uniform between zero and a ceiling that starts at `min`, doubles each time and stays at `max`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackoffPolicy {
    min: Duration,
    max: Duration,
    ceiling: Duration,
}

impl BackoffPolicy {
    /// A policy between two ceilings.
    pub const fn try_new(min: Duration, max: Duration) -> Result<Self, BackoffError> {
        if min.is_zero() {
            return Err(BackoffError::Zero);
        }
        if max.as_nanos() < min.as_nanos() {
            return Err(BackoffError::Reversed);
        }
        Ok(Self { min, max, ceiling: min })
    }

    /// The next wait; `entropy` is 64 uniformly random bits.
    pub fn next(&mut self, entropy: u64) -> Duration {
        let wait = scale(self.ceiling, entropy);
        self.ceiling = self.ceiling.saturating_mul(2).min(self.max);
        wait
    }

    /// What the next wait cannot exceed.
    pub const fn ceiling(&self) -> Duration {
        self.ceiling
    }

    /// Starts over: the last attempt succeeded.
    pub const fn reset(&mut self) {
        self.ceiling = self.min;
    }
}

/// `ceiling * entropy / 2^64`, without floating point.
fn scale(ceiling: Duration, entropy: u64) -> Duration {
    let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
    let product = u128::from(nanos) * u128::from(entropy);
    Duration::from_nanos(u64::try_from(product >> 64).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(250);
    const MAX: Duration = Duration::from_mins(1);

    #[test]
    fn ceilings_double_up_to_the_maximum_and_reset_starts_over() {
        let mut policy = BackoffPolicy::try_new(MIN, MAX).unwrap();
        let ceilings: Vec<u128> = (0..10)
            .map(|_| {
                let ceiling = policy.ceiling().as_millis();
                policy.next(0);
                ceiling
            })
            .collect();
        assert_eq!(ceilings, [250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]);
        policy.reset();
        assert_eq!(policy.ceiling(), MIN);
    }

    #[test]
    fn jitter_covers_everything_from_zero_to_the_ceiling() {
        let fresh = BackoffPolicy::try_new(MIN, MAX).unwrap();
        assert_eq!(fresh.clone().next(0), Duration::ZERO);
        assert_eq!(fresh.clone().next(1 << 63), MIN / 2);
        let longest = fresh.clone().next(u64::MAX);
        assert!(longest < MIN && MIN.saturating_sub(longest) <= Duration::from_nanos(1));
    }

    #[test]
    fn a_policy_that_would_not_back_off_is_refused() {
        assert_eq!(BackoffPolicy::try_new(Duration::ZERO, MAX), Err(BackoffError::Zero));
        assert_eq!(BackoffPolicy::try_new(MAX, MIN), Err(BackoffError::Reversed));
    }

    #[test]
    fn absurdly_long_policies_saturate() {
        let mut policy = BackoffPolicy::try_new(Duration::MAX, Duration::MAX).unwrap();
        assert!(policy.next(u64::MAX) <= Duration::from_nanos(u64::MAX));
        assert_eq!(policy.ceiling(), Duration::MAX);
    }
}
