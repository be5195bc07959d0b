//! Which targets get less than their share for a while, which are preferred, and when a target is probed again.
//!
//! Always: shares grow evenly with time and never begin at nothing, or a target that answers well could not show it. Not
//! here: since when a target takes traffic, where it is (`adapters/http-edge`).

use std::time::Duration;

use super::balance::{Load, mix};

/// All of a target's weight, in thousandths.
const FULL: u16 = 1000;
/// What a target begins with.
const LEAST: u16 = 100;

/// How much of its weight a target gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warmth(u16);

impl Warmth {
    /// Of a target that takes traffic since a moment: a tenth at first, and all of it after `time`.
    pub fn of(since_ms: u64, now_ms: u64, time: Duration) -> Self {
        let passed = u128::from(now_ms.saturating_sub(since_ms)) * u128::from(FULL);
        let share = passed.checked_div(time.as_millis()).unwrap_or_else(|| FULL.into());
        Self(u16::try_from(share).unwrap_or(FULL).clamp(LEAST, FULL))
    }

    /// Whether it gets all of it.
    pub const fn is_full(self) -> bool {
        self.0 >= FULL
    }

    /// Whether target `at` takes part in the choice with this number: in as many of them as its share says, by chance.
    pub fn takes_part(self, counter: u64, at: usize) -> bool {
        mix(mix(counter).wrapping_add(at as u64)) % u64::from(FULL) < u64::from(self.0)
    }

    /// The load of a target as it counts against others: as if the requests that it runs were a share of what it can.
    pub fn weigh(self, load: Load) -> Load {
        let running = u64::from(load.running) * u64::from(FULL) / u64::from(self.0.max(1));
        Load { running: u32::try_from(running).unwrap_or(u32::MAX), latency: load.latency }
    }
}

/// Whether requests stay in a zone in which `up` of so many targets take traffic.
pub fn prefers_zone(min_percent: u8, up: usize, targets: usize) -> bool {
    up > 0 && up * 100 >= targets * usize::from(min_percent)
}

/// A time that is shorter or longer by chance, by up to a share of it. `entropy` is 64 uniformly random bits.
pub fn jittered(time: Duration, percent: u8, entropy: u64) -> Duration {
    let most = time * u32::from(percent.min(100)) / 100;
    let micros = (most.as_micros() * 2).saturating_mul(u128::from(entropy)) >> 64;
    time.saturating_sub(most) + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::rotation::Rotation;
    use super::*;

    const TIME: Duration = Duration::from_secs(10);

    fn share(warmth: Warmth) -> usize {
        (0..10_000).filter(|&turn| warmth.takes_part(turn, 3)).count()
    }

    #[test]
    fn a_share_grows_from_a_tenth_to_all_of_it() {
        for (now_ms, thousandths) in [
            (0, 100),
            (5_000, 100),
            (6_000, 100),
            (7_500, 250),
            (10_000, 500),
            (14_999, 999),
            (15_000, 1000),
            (u64::MAX, 1000),
        ] {
            let warmth = Warmth::of(5_000, now_ms, TIME);
            assert_eq!((warmth, warmth.is_full()), (Warmth(thousandths), thousandths == 1000), "{now_ms}");
        }
        assert!(Warmth::of(5_000, 5_000, Duration::ZERO).is_full());
    }

    #[test]
    fn it_takes_part_as_often_as_its_share_says() {
        for thousandths in [100, 250, 500, 900] {
            let seen = share(Warmth(thousandths));
            assert!(seen.abs_diff(usize::from(thousandths) * 10) < 200, "{thousandths}: {seen}");
        }
        assert_eq!(share(Warmth(FULL)), 10_000);
    }

    #[test]
    fn over_its_slow_start_a_target_grows_into_its_turn() {
        let rotation = Rotation::new([1, 1, 2].into_iter());
        for (now_ms, expected) in [(0, 500), (2_500, 1_250), (5_000, 2_500), (7_500, 3_750), (10_000, 5_000)] {
            let warmth = Warmth::of(0, now_ms, TIME);
            let takes_part = |turn: u64, at: usize| at != 2 || warmth.takes_part(turn, at);
            let picks = (0..10_000).map(|turn| rotation.pick_available(turn, |at| takes_part(turn, at)));
            let seen = picks.filter(|at| *at == Some(2)).count();
            assert!(seen.abs_diff(expected) <= expected / 10, "{seen} after {now_ms} ms");
        }
    }

    #[test]
    fn two_cold_targets_take_part_apart() {
        let both = |turn: &u64| Warmth(500).takes_part(*turn, 0) && Warmth(500).takes_part(*turn, 1);
        let both = (0..10_000).filter(both).count();
        assert!((2_300..2_700).contains(&both), "{both}");
    }

    #[test]
    fn what_a_cold_target_runs_counts_for_more() {
        let load = Load { running: 3, latency: Some(7.0) };
        assert_eq!(Warmth(250).weigh(load), Load { running: 12, latency: Some(7.0) });
        assert_eq!(Warmth(FULL).weigh(load), load);
        assert_eq!(Warmth(LEAST).weigh(Load { running: 0, latency: None }).running, 0);
    }

    #[test]
    fn a_zone_is_preferred_while_enough_of_it_is_up() {
        for (percent, up, targets, prefers) in [
            (50, 1, 2, true),
            (50, 1, 3, false),
            (50, 2, 3, true),
            (0, 1, 9, true),
            (0, 0, 9, false),
            (100, 2, 3, false),
            (100, 3, 3, true),
            (50, 0, 0, false),
        ] {
            assert_eq!(prefers_zone(percent, up, targets), prefers, "{up} of {targets}, {percent} %");
        }
    }

    proptest! {
        #[test]
        fn no_time_makes_a_share_smaller(since: u64, one: u64, other: u64, millis in 0_u64..4_000_000) {
            let of = |now| Warmth::of(since, now, Duration::from_millis(millis));
            prop_assert!(of(one.min(other)) <= of(one.max(other)));
        }

        #[test]
        fn a_jittered_time_stays_within_its_share(millis in 1_000_u64..=3_600_000, percent in 0_u8..=100, entropy: u64) {
            let time = Duration::from_millis(millis);
            let most = time * u32::from(percent) / 100;
            let jittered = jittered(time, percent, entropy);
            prop_assert!(time <= jittered + most && jittered <= time + most, "{:?}", jittered);
        }
    }
}
