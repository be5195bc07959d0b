//! Counting attempts while the shared counter is away.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use novagate_kernel::Timestamp;
use novagate_ports_base::PortError;
use novagate_ports_control::outbound::{Throttle, ThrottleRule};

/// Counts where all control nodes see it; while that is away, on this node alone: logins go on, and guessing is still
/// bounded on each node.
pub(crate) struct ThrottleWithSpare {
    pub(crate) shared: Arc<dyn Throttle>,
    pub(crate) spare: Arc<dyn Throttle>,
}

#[async_trait]
impl Throttle for ThrottleWithSpare {
    async fn attempt(&self, key: &str, rule: ThrottleRule, now: Timestamp) -> Result<Option<Duration>, PortError> {
        match self.shared.attempt(key, rule, now).await {
            Ok(wait) => Ok(wait),
            Err(_logged) => self.spare.attempt(key, rule, now).await,
        }
    }

    async fn count(&self, key: &str, rule: ThrottleRule, now: Timestamp) -> Result<u32, PortError> {
        match self.shared.count(key, rule, now).await {
            Ok(count) => Ok(count),
            Err(_logged) => self.spare.count(key, rule, now).await,
        }
    }

    /// What cannot be forgotten where all see it leaves its window by itself.
    async fn clear(&self, key: &str) -> Result<(), PortError> {
        let shared = self.shared.clear(key).await;
        self.spare.clear(key).await?;
        if shared.is_err() {
            tracing::warn!("attempts before a login could not be forgotten");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use novagate_ports_base::FaultKind;
    use novagate_store_memory::MemoryThrottle;

    use super::*;

    struct Away;

    #[async_trait]
    impl Throttle for Away {
        async fn attempt(&self, _: &str, _: ThrottleRule, _: Timestamp) -> Result<Option<Duration>, PortError> {
            Err(PortError::new("attempt", FaultKind::Unavailable, "away"))
        }

        async fn count(&self, _: &str, _: ThrottleRule, _: Timestamp) -> Result<u32, PortError> {
            Err(PortError::new("count", FaultKind::Unavailable, "away"))
        }

        async fn clear(&self, _: &str) -> Result<(), PortError> {
            Err(PortError::new("clear", FaultKind::Unavailable, "away"))
        }
    }

    #[tokio::test]
    async fn attempts_are_bounded_while_the_shared_counter_is_away() {
        let throttle = ThrottleWithSpare { shared: Arc::new(Away), spare: Arc::new(MemoryThrottle::default()) };
        let rule = ThrottleRule { max: 2, window: Duration::from_mins(1) };
        let now = Timestamp::from_seconds(1_000);
        for _ in 0..2 {
            assert_eq!(throttle.attempt("a", rule, now).await.unwrap(), None);
        }
        assert_eq!(throttle.attempt("a", rule, now).await.unwrap(), Some(rule.window));
        assert_eq!(throttle.count("a", rule, now).await.unwrap(), 2);
        throttle.clear("a").await.unwrap();
        assert_eq!(throttle.attempt("a", rule, now).await.unwrap(), None);
    }
}
