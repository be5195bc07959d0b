//! A node's share of a limit that its fleet counts together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::RateLimit;

/// How many gateways count together, as far as this one knows. Clones are the same number.
#[derive(Debug, Clone)]
pub struct FleetSize(Arc<AtomicU32>);

impl FleetSize {
    /// What is known: at least this gateway.
    pub fn set(&self, nodes: u32) {
        self.0.store(nodes.max(1), Ordering::Relaxed);
    }

    /// At least 1.
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// What this node admits by itself of a limit while it cannot ask: an equal part, rounded up.
    pub fn share(&self, limit: RateLimit) -> RateLimit {
        RateLimit { max: limit.max.div_ceil(self.get()), ..limit }
    }
}

impl Default for FleetSize {
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(1)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn shares_are_equal_rounded_up_and_never_nothing() {
        let size = FleetSize::default();
        let share = |max| size.share(RateLimit { max, window: Duration::from_secs(1) }).max;
        assert_eq!([share(1), share(100)], [1, 100]);
        size.clone().set(3);
        assert_eq!([share(1), share(3), share(100)], [1, 1, 34]);
        size.set(0);
        assert_eq!(share(100), 100);
    }
}
