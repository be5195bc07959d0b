//! Time and randomness of the machine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use novagate_kernel::Timestamp;
use novagate_ports_base::{Clock, Entropy, Pause};

/// The wall clock of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SystemClock;

/// Timers of the runtime; needs a tokio runtime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SystemPause;

/// Randomness of the kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OsEntropy;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the program asks for the time")]
    fn now(&self) -> Timestamp {
        timestamp(SystemTime::now())
    }
}

#[async_trait]
impl Pause for SystemPause {
    async fn pause(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

impl Entropy for OsEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        if let Err(fault) = getrandom::fill(bytes) {
            // Going on would hand out keys that can be guessed; a panic could be caught on the way.
            tracing::error!(error = %fault, "the system has no randomness");
            std::process::abort();
        }
    }
}

/// A clock that was never set may show a time before 1970.
fn timestamp(time: SystemTime) -> Timestamp {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp::UNIX_EPOCH.plus(since),
        Err(before) => Timestamp::UNIX_EPOCH.minus(before.duration()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn times_on_both_sides_of_1970_keep_their_microseconds() {
        let step = Duration::from_micros(1_500_001);
        assert_eq!(timestamp(UNIX_EPOCH + step).as_micros(), 1_500_001);
        assert_eq!(timestamp(UNIX_EPOCH - step).as_micros(), -1_500_001);
    }

    #[test]
    fn the_clock_shows_a_time_after_this_was_written() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        assert!(clock.now() > Timestamp::from_seconds(1_700_000_000));
    }

    #[test]
    fn random_bytes_differ_and_empty_requests_are_fine() {
        let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
        assert_ne!(entropy.bytes::<32>(), entropy.bytes::<32>());
        entropy.fill(&mut []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_takes_its_time() {
        let start = tokio::time::Instant::now();
        SystemPause.pause(Duration::from_secs(5)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }
}
