//! Smooth weighted round-robin without state: from a running number to an index.
//!
//! Always: over every turn of `total` consecutive numbers each index comes up exactly as often as its weight. The turn is
//! walked with a stride near the golden section that shares no factor with its length, so that every place is visited once
//! and neighbours in time are far apart in place.

#[derive(Debug)]
pub(super) struct Rotation {
    /// Sums of weights up to and including each index.
    ends: Box<[u32]>,
    stride: u64,
}

impl Rotation {
    /// For these weights; 0 counts as 1.
    pub(super) fn new(weights: impl Iterator<Item = u8>) -> Self {
        let weights: Vec<u32> = weights.map(|weight| u32::from(weight.max(1))).collect();
        let shared = weights.iter().fold(0, |shared, &weight| gcd(shared, weight)).max(1);
        let ends: Box<[u32]> = weights
            .iter()
            .scan(0_u32, |end, weight| {
                *end = end.saturating_add(weight / shared);
                Some(*end)
            })
            .collect();
        let total = ends.last().copied().unwrap_or(0);
        let all_equal = usize::try_from(total).is_ok_and(|total| total == ends.len());
        Self { stride: if all_equal { 1 } else { stride(total) }, ends }
    }

    pub(super) fn pick(&self, counter: u64) -> usize {
        self.at(self.place(counter))
    }

    pub(super) fn pick_available(&self, counter: u64, available: impl Fn(usize) -> bool) -> Option<usize> {
        let turn = counter.checked_div(self.total())?;
        let place = self.place(counter);
        let at = self.at(place);
        if available(at) {
            return Some(at);
        }
        let weight_of = |index: usize| self.end(index) - self.start(index);
        let weight: u64 = (0..self.ends.len()).filter(|&index| available(index)).map(weight_of).sum();
        // A number of its own for each turn that falls to `at`, so that its share is dealt out evenly.
        let share = turn.wrapping_mul(weight_of(at)).wrapping_add(place - self.start(at));
        let mut rest = share.checked_rem(weight)?;
        (0..self.ends.len()).filter(|&index| available(index)).find(|&index| {
            let weight = weight_of(index);
            let found = rest < weight;
            rest = rest.saturating_sub(weight);
            found
        })
    }

    fn place(&self, counter: u64) -> u64 {
        counter.checked_rem(self.total()).map_or(0, |step| step * self.stride % self.total())
    }

    fn at(&self, place: u64) -> usize {
        self.ends.partition_point(|&end| u64::from(end) <= place)
    }

    fn total(&self) -> u64 {
        self.ends.last().copied().map_or(0, u64::from)
    }

    fn start(&self, index: usize) -> u64 {
        index.checked_sub(1).map_or(0, |before| self.end(before))
    }

    fn end(&self, index: usize) -> u64 {
        self.ends.get(index).copied().map_or(0, u64::from)
    }
}

/// The first number from 0.618 of `total` on that shares no factor with it.
fn stride(total: u32) -> u64 {
    let start = (u64::from(total) * 618 / 1000).max(1);
    let is_free = |step: &u64| u32::try_from(*step).is_ok_and(|step| gcd(step, total) == 1);
    (start..).take(usize::from(u16::MAX)).find(is_free).unwrap_or(1)
}

const fn gcd(left: u32, right: u32) -> u32 {
    let (mut left, mut right) = (left, right);
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(weights: &[u8]) -> Vec<usize> {
        let rotation = Rotation::new(weights.iter().copied());
        (0..rotation.total()).map(|counter| rotation.pick(counter)).collect()
    }

    #[test]
    fn equal_weights_take_turns() {
        assert_eq!(order(&[1]), [0]);
        assert_eq!(order(&[7, 7, 7]), [0, 1, 2]);
    }

    #[test]
    fn a_heavy_target_is_spread_over_the_turn() {
        let order = order(&[3, 1]);
        assert_eq!(order.iter().filter(|&&at| at == 0).count(), 3);
        let two_to_two = super::tests::order(&[2, 1, 1]);
        assert!(two_to_two.windows(3).all(|three| three.iter().any(|&at| at != 0)), "{two_to_two:?}");
    }

    #[test]
    fn nothing_to_choose_from_is_no_choice() {
        assert_eq!(Rotation::new(std::iter::empty()).pick(5), 0);
        assert_eq!(Rotation::new(std::iter::empty()).pick_available(5, |_| true), None);
        assert_eq!(Rotation::new([1, 1].into_iter()).pick_available(5, |_| false), None);
    }

    proptest! {
        #[test]
        fn over_a_turn_each_target_gets_exactly_its_weight(
            weights in proptest::collection::vec(1_u8..=100, 1..20), turns in 0_u64..1_000_000,
        ) {
            let rotation = Rotation::new(weights.iter().copied());
            let total = rotation.total();
            let mut seen = vec![0_u64; weights.len()];
            for counter in turns * total..(turns + 1) * total {
                seen[rotation.pick(counter)] += 1;
            }
            let sum: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
            for (count, &weight) in seen.iter().zip(&weights) {
                prop_assert_eq!(count * sum, u64::from(weight) * total);
            }
        }

        #[test]
        fn without_some_targets_the_others_keep_their_proportions(
            weights in proptest::collection::vec(1_u8..=5, 2..6), away in 0_usize..6,
        ) {
            let away = away % weights.len();
            let rotation = Rotation::new(weights.iter().copied());
            let rest: u64 = weights.iter().enumerate().filter(|(at, _)| *at != away).map(|(_, &w)| u64::from(w)).sum();
            let rounds = rotation.total() * rest;
            let mut seen = vec![0_u64; weights.len()];
            for counter in 0..rounds {
                let at = rotation.pick_available(counter, |index| index != away).unwrap();
                prop_assert!(at != away);
                seen[at] += 1;
            }
            for (at, &weight) in weights.iter().enumerate().filter(|(at, _)| *at != away) {
                prop_assert_eq!(seen[at] * rest, u64::from(weight) * rounds, "target {}", at);
            }
        }
    }
}
