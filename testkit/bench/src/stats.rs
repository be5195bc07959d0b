//! Medians and spreads.
//!
//! Always: samples that are not numbers are a defect of the caller. Not here: units.

/// What a row of samples says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Summary {
    /// `None` without samples.
    pub(crate) fn of(samples: &[f64]) -> Option<Self> {
        Some(Self { median: percentile(samples, 50)?, least: percentile(samples, 0)?, most: percentile(samples, 100)? })
    }
}

/// The sample that so many percent of all samples do not exceed (nearest rank); the median of an even number of samples is
/// the lower of the two in the middle.
pub(crate) fn percentile(samples: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let samples: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&samples, 99), Some(99.0));
        assert_eq!(Summary::of(&samples), Some(Summary { median: 50.0, least: 1.0, most: 100.0 }));
        assert_eq!(Summary::of(&[3.0]), Some(Summary { median: 3.0, least: 3.0, most: 3.0 }));
        assert_eq!(Summary::of(&[]), None);
    }
}
