//! How many log rows of each tenant are stored per second: the plan's limit.
//!
//! Always: within one second of receipt no more rows are granted than the limit. Per process and in memory: with several
//! control nodes a tenant has the limit on each of them. Not here: live traffic, which no plan limits.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use novagate_kernel::{TenantId, Timestamp};

/// Most tenants that are remembered; beyond, those go that sent nothing in the present second.
const TENANTS: usize = 4_096;

/// What each tenant has used of the present second.
#[derive(Default)]
pub(crate) struct LogBudget(Mutex<HashMap<TenantId, Spent>>);

struct Spent {
    second: i64,
    rows: u32,
}

impl LogBudget {
    /// Takes up to `wanted` rows out of what `limit` leaves of the present second; answers how many there were.
    pub(crate) fn take(&self, tenant: TenantId, limit: u32, wanted: usize, now: Timestamp) -> usize {
        let second = now.as_seconds();
        let mut tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tenants.len() >= TENANTS && !tenants.contains_key(&tenant) {
            tenants.retain(|_, spent| spent.second == second);
        }
        let spent = tenants.entry(tenant).or_insert(Spent { second, rows: 0 });
        // Another second, whichever: the clock may step back.
        if spent.second != second {
            *spent = Spent { second, rows: 0 };
        }
        let left = limit.saturating_sub(spent.rows);
        let granted = u32::try_from(wanted).unwrap_or(u32::MAX).min(left);
        spent.rows = spent.rows.saturating_add(granted);
        usize::try_from(granted).unwrap_or(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: TenantId = TenantId::from_u128(1);

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn a_second_grants_the_limit_and_not_a_row_more() {
        let budget = LogBudget::default();
        assert_eq!(budget.take(TENANT, 10, 7, at(0)), 7);
        assert_eq!(budget.take(TENANT, 10, 7, at(500_000)), 3);
        assert_eq!(budget.take(TENANT, 10, 1, at(999_999)), 0);
        assert_eq!(budget.take(TenantId::from_u128(2), 10, 1, at(999_999)), 1, "tenants do not share");
        assert_eq!(budget.take(TENANT, 10, 70, at(1_000_000)), 10);
    }

    #[test]
    fn a_clock_that_steps_back_does_not_shut_a_tenant_out() {
        let budget = LogBudget::default();
        assert_eq!(budget.take(TENANT, 5, 5, at(90_000_000)), 5);
        assert_eq!(budget.take(TENANT, 5, 5, at(3_000_000)), 5);
    }

    #[test]
    fn tenants_that_are_gone_take_no_memory() {
        let budget = LogBudget::default();
        for tenant in 0..10_000_u32 {
            budget.take(TenantId::from_u128(tenant.into()), 1, 1, at(i64::from(tenant) * 1_000_000));
        }
        assert!(budget.0.lock().unwrap().len() <= TENANTS);
    }
}
