//! Request counts of a period, per route.

use novagate_kernel::{RouteId, Timestamp};

/// Upper bounds of the latency cells, in microseconds, inclusive; a last cell takes everything above.
pub const LATENCY_BOUNDS_US: [u32; 17] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000,
];

/// How many latency cells there are.
pub const LATENCY_CELLS: usize = LATENCY_BOUNDS_US.len() + 1;

/// The cell a latency falls into.
pub fn latency_cell(latency_us: u32) -> usize {
    LATENCY_BOUNDS_US.partition_point(|&bound| bound < latency_us)
}

/// What happened between two points in time.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsWindow {
    /// Begin, inclusive.
    pub from: Timestamp,
    /// End, exclusive.
    pub to: Timestamp,
    /// One row per route that had traffic.
    pub routes: Vec<RouteWindow>,
}

/// One route's share of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteWindow {
    /// Which route; `None`: requests that matched none.
    pub route: Option<RouteId>,
    /// Requests per status class, `1xx` to `5xx`.
    pub classes: [u64; 5],
    /// Requests per latency cell (not cumulative).
    pub latency: [u64; LATENCY_CELLS],
    /// Sum of latencies, microseconds.
    pub latency_sum_us: u64,
}

impl RouteWindow {
    /// An empty row.
    pub const fn empty(route: Option<RouteId>) -> Self {
        Self { route, classes: [0; 5], latency: [0; LATENCY_CELLS], latency_sum_us: 0 }
    }

    /// All requests.
    pub fn requests(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// Adds another period's counts of the same route.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.classes.iter_mut().zip(other.classes) {
            *mine = mine.saturating_add(theirs);
        }
        for (mine, theirs) in self.latency.iter_mut().zip(other.latency) {
            *mine = mine.saturating_add(theirs);
        }
        self.latency_sum_us = self.latency_sum_us.saturating_add(other.latency_sum_us);
    }

    /// An upper bound of the latency that `per_mille` of 1,000 requests stay within, in microseconds; `None` without
    /// requests. The last cell answers its lower bound: there is no upper one.
    pub fn quantile_us(&self, per_mille: u64) -> Option<u32> {
        let total: u64 = self.latency.iter().sum();
        let rank = total.saturating_mul(per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (cell, count) in self.latency.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return LATENCY_BOUNDS_US.get(cell).or(LATENCY_BOUNDS_US.last()).copied();
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_falls_into_the_first_cell_that_bounds_it() {
        assert_eq!([0, 100, 101, 30_000_000, 30_000_001, u32::MAX].map(latency_cell), [0, 0, 1, 16, 17, 17]);
    }

    #[test]
    fn quantiles_are_upper_bounds_of_their_cells() {
        let mut row = RouteWindow::empty(None);
        assert_eq!(row.quantile_us(500), None);
        row.latency[0] = 99;
        row.latency[5] = 1;
        assert_eq!(row.quantile_us(500), Some(100));
        assert_eq!(row.quantile_us(990), Some(100));
        assert_eq!(row.quantile_us(999), Some(5_000));
    }

    #[test]
    fn adding_rows_adds_every_count() {
        let mut row = RouteWindow::empty(None);
        row.classes[1] = 2;
        row.latency[3] = 2;
        row.latency_sum_us = 10;
        let other = row.clone();
        row.add(&other);
        assert_eq!((row.requests(), row.latency[3], row.latency_sum_us), (4, 4, 20));
    }
}
