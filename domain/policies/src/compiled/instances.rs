//! In which order the instances behind SRV records are tried.
//!
//! Always: all of a lower priority before any of a higher one, and among equals by chance, in proportion to weights
//! (RFC 2782). Not here: finding them (`adapters/net`).

use super::balance::mix;

/// The order of instances of these priorities and weights. `entropy` is 64 uniformly random bits.
pub fn instance_order(instances: &[(u16, u16)], entropy: u64) -> Vec<usize> {
    let mut waiting: Vec<(usize, (u16, u16))> = instances.iter().copied().enumerate().collect();
    // Those without a weight come first, so that they have a small chance (RFC 2782, "Weight").
    waiting.sort_by_key(|(_, (priority, weight))| (*priority, *weight > 0));
    let mut order = Vec::with_capacity(waiting.len());
    while let Some((_, (priority, _))) = waiting.first() {
        let equals = waiting.iter().take_while(|(_, (each, _))| each == priority);
        let total: u64 = equals.clone().map(|(_, (_, weight))| u64::from(*weight)).sum();
        let random = u128::from(mix(entropy.wrapping_add(order.len() as u64))) * u128::from(total + 1);
        let mut rest = u64::try_from(random >> 64).unwrap_or_default();
        let chosen = equals.clone().position(|(_, (_, weight))| {
            let is_chosen = u64::from(*weight) >= rest;
            rest = rest.saturating_sub(u64::from(*weight));
            is_chosen
        });
        let (at, _) = waiting.remove(chosen.unwrap_or_default());
        order.push(at);
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first(instances: &[(u16, u16)]) -> Vec<usize> {
        let mut seen = vec![0; instances.len()];
        (0..10_000).for_each(|entropy| seen[instance_order(instances, mix(entropy))[0]] += 1);
        seen
    }

    #[test]
    fn equals_are_first_in_proportion_to_their_weights() {
        let seen = first(&[(1, 10), (1, 30), (1, 60), (2, 1000)]);
        assert!((900..1_100).contains(&seen[0]) && (2_800..3_200).contains(&seen[1]) && seen[3] == 0, "{seen:?}");
        let seen = first(&[(1, 0), (1, 9)]);
        assert!((800..1_200).contains(&seen[0]), "one without a weight has a small chance: {seen:?}");
        assert_eq!(first(&[(5, 0), (5, 0)])[1], 0, "without any weights they stay as they are");
    }

    proptest! {
        #[test]
        fn priorities_are_never_mixed_and_nobody_is_lost(
            instances in proptest::collection::vec((0_u16..4, any::<u16>()), 0..20), entropy: u64,
        ) {
            let order = instance_order(&instances, entropy);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..instances.len()).collect::<Vec<_>>());
            prop_assert!(order.is_sorted_by_key(|&at| instances[at].0), "{:?}", order);
        }
    }
}
