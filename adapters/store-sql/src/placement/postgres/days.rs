//! Which days' partitions are known to exist, so that a batch of telemetry seldom has to ask.
//!
//! Always: bounded; what is forgotten is looked up again, and what is wrongly remembered shows as a refused row. Not here:
//! making and removing partitions (`install`).

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use novagate_kernel::TenantId;

/// How many days of how many tenants are remembered; about two megabytes.
const CAPACITY: usize = 32_768;

/// A table of telemetry that is divided by days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum DayTable {
    /// Requests.
    RequestLogs,
    /// Errors.
    ErrorEvents,
    /// Counts.
    MetricsWindows,
}

impl DayTable {
    /// Its name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::RequestLogs => "request_logs",
            Self::ErrorEvents => "error_events",
            Self::MetricsWindows => "metrics_windows",
        }
    }
}

/// Partitions that exist.
#[derive(Default)]
pub(super) struct KnownDays {
    known: Mutex<HashSet<(TenantId, DayTable, i32)>>,
}

impl KnownDays {
    /// Those of `days` that are not known.
    pub(super) fn missing(&self, tenant: TenantId, table: DayTable, days: &[i32]) -> Vec<i32> {
        let known = self.lock();
        days.iter().copied().filter(|&day| !known.contains(&(tenant, table, day))).collect()
    }

    /// From here on these days exist.
    pub(super) fn learn(&self, tenant: TenantId, table: DayTable, days: &[i32]) {
        let mut known = self.lock();
        if known.len() + days.len() > CAPACITY {
            known.clear();
        }
        known.extend(days.iter().map(|&day| (tenant, table, day)));
    }

    /// Nothing is known of a tenant.
    pub(super) fn forget(&self, tenant: TenantId) {
        self.lock().retain(|(of, _, _)| *of != tenant);
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<(TenantId, DayTable, i32)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_learned_is_known_until_it_is_forgotten_or_too_much() {
        let days = KnownDays::default();
        let (one, other) = (TenantId::from_entropy([1; 16]), TenantId::from_entropy([2; 16]));
        days.learn(one, DayTable::RequestLogs, &[1, 2]);
        days.learn(other, DayTable::RequestLogs, &[3]);
        assert_eq!(days.missing(one, DayTable::RequestLogs, &[1, 2, 3]), [3]);
        assert_eq!(days.missing(one, DayTable::ErrorEvents, &[1]), [1]);
        days.forget(one);
        assert_eq!(days.missing(one, DayTable::RequestLogs, &[1]), [1]);
        assert_eq!(days.missing(other, DayTable::RequestLogs, &[3]), [0; 0]);
        for day in 0..100_000 {
            days.learn(one, DayTable::MetricsWindows, &[day]);
        }
        assert!(days.lock().len() <= CAPACITY);
    }
}
