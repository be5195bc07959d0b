//! Choosing one of several targets by what is known about them, or by what requests have in common.
//!
//! Always: only targets that are `available` are chosen, each with regard to its weight; what is chosen for a hash changes
//! only for the values whose target comes or goes, and is the same on every node. Not here: taking turns (`rotation`),
//! measuring load.

use novagate_routing::Target;

use super::service::CompiledService;
use crate::sip::{HashKey, Sip};

/// A hash of something that requests have in common: the same in every process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Affinity(u64);

impl Affinity {
    /// Of the bytes of a value.
    pub fn of(value: &[u8]) -> Self {
        Self(hash(value))
    }

    /// A number below `total`, all of them as likely. Of the same hash it grows with `total`.
    pub(super) fn point(self, total: u32) -> u32 {
        let scaled = (u128::from(self.0) * u128::from(total)) >> 64;
        u32::try_from(scaled).unwrap_or_default()
    }
}

/// What one worker knows about a target at this moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Requests that run.
    pub running: u32,
    /// Smoothed time to the response head, microseconds; `None`: it has not answered yet.
    pub latency: Option<f64>,
}

impl Load {
    /// How long one more request would take; requests that run wait before it.
    fn cost(self, unknown: f64) -> f64 {
        self.latency.unwrap_or(unknown) * (f64::from(self.running) + 1.0)
    }
}

impl CompiledService {
    /// The target with the fewest running requests for its weight; of several the one whose turn it is.
    pub fn pick_least(
        &self,
        counter: u64,
        available: impl Fn(usize) -> bool,
        load: impl Fn(usize) -> Load,
    ) -> Option<usize> {
        let count = self.targets.len();
        let first = usize::try_from(counter.checked_rem(count as u64)?).unwrap_or_default();
        let in_turn = (first..count).chain(0..first).filter(|&at| available(at));
        // (running + 1) / weight, compared without dividing.
        let share = |at: usize| (u64::from(load(at).running) + 1, u64::from(self.weight(at)));
        in_turn.reduce(|best, at| {
            let ((ours, our_weight), (theirs, their_weight)) = (share(at), share(best));
            if ours * their_weight < theirs * our_weight { at } else { best }
        })
    }

    /// Of two different targets picked by weight, the one that is expected to answer sooner.
    pub fn pick_sooner(
        &self,
        counter: u64,
        available: impl Fn(usize) -> bool,
        load: impl Fn(usize) -> Load,
    ) -> Option<usize> {
        let one = self.pick_available(mix(counter), &available)?;
        let Some(other) = self.pick_available(mix(!counter), |at| at != one && available(at)) else {
            return Some(one);
        };
        let (of_one, of_other) = (load(one), load(other));
        // A target that has not answered yet counts as fast as the other: then the number of requests decides.
        let unknown = of_one.latency.or(of_other.latency).unwrap_or(1.0);
        Some(if of_other.cost(unknown) < of_one.cost(unknown) { other } else { one })
    }

    /// The target that belongs to a hash: the highest of one score for each target (rendezvous hashing, Thaler and
    /// Ravishankar 1998, with weights as in Schindelhauer and Schomaker 2005).
    pub fn pick_by_hash(&self, affinity: Affinity, available: impl Fn(usize) -> bool) -> Option<usize> {
        let score = |at: usize| {
            let seed = self.seeds.get(at).copied().unwrap_or_default();
            // 53 bits, and never 0 or 1.
            #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
            let uniform = ((mix(affinity.0 ^ seed) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
            -f64::from(self.weight(at)) / uniform.ln()
        };
        let scores = (0..self.targets.len()).filter(|&at| available(at)).map(|at| (at, score(at)));
        scores.max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(at, _)| at)
    }

    fn weight(&self, at: usize) -> u8 {
        self.targets.get(at).map_or(1, |target| target.weight.max(1))
    }
}

/// One number for each target, from its address alone.
pub(super) fn seeds(targets: &[Target]) -> Box<[u64]> {
    targets.iter().map(|target| hash(target.url.to_string().as_bytes())).collect()
}

fn hash(bytes: &[u8]) -> u64 {
    // Without a secret: every node must come to the same number.
    let mut sip = Sip::<1, 3>::new(&HashKey::from_entropy([0; 16]));
    sip.write(bytes);
    sip.finish().0
}

/// Spreads the difference of any bit over all of them (the finaliser of `SplitMix64`, Steele, Lea and Flood 2014).
pub(super) const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use novagate_kernel::{Name, ServiceId};
    use novagate_routing::{LoadBalancing, Preference, Protocol, Resilience, Service, TargetUrl};

    use super::*;
    use crate::ServiceIndex;

    fn service(weights: &[u8]) -> CompiledService {
        let target = |(at, &weight): (usize, &u8)| Target {
            url: TargetUrl::parse(&format!("http://10.0.0.{at}:80")).unwrap(),
            weight,
            zone: None,
        };
        let service = Service {
            id: ServiceId::from_u128(1),
            name: Name::parse("up").unwrap(),
            targets: weights.iter().enumerate().map(target).collect(),
            timeout: None,
            total_timeout: None,
            protocol: Protocol::default(),
            health_check: None,
            load_balancing: LoadBalancing::RoundRobin,
            preference: Preference::default(),
            resilience: Resilience::default(),
            tls: None,
        };
        CompiledService::new(ServiceIndex::new(0), &service)
    }

    fn idle(_: usize) -> Load {
        Load { running: 0, latency: None }
    }

    #[test]
    fn the_fewest_requests_for_its_weight_win_and_equals_take_turns() {
        let equal = service(&[1, 1, 1]);
        let turns: Vec<_> = (0..6).map(|turn| equal.pick_least(turn, |_| true, idle).unwrap()).collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
        let weighted = service(&[1, 3]);
        let running = [Cell::new(0_u32), Cell::new(0)];
        for turn in 0..400 {
            let load = |at: usize| Load { running: running[at].get(), latency: None };
            let at = weighted.pick_least(turn, |_| true, load).unwrap();
            running[at].set(running[at].get() + 1);
        }
        assert_eq!(running.map(|cell| cell.get()), [100, 300]);
        let busy = |at: usize| Load { running: [9, 0, 9][at], latency: None };
        assert!((0..9).all(|turn| equal.pick_least(turn, |_| true, busy) == Some(1)));
        assert_eq!(equal.pick_least(0, |at| at != 1, busy), Some(0));
        assert_eq!(equal.pick_least(0, |_| false, busy), None);
    }

    #[test]
    fn the_slow_target_is_taken_only_when_the_other_is_busy() {
        let two = service(&[1, 1]);
        let slow = |at: usize| Load { running: 0, latency: Some([1_000.0, 9_000.0][at]) };
        assert!((0..50).all(|turn| two.pick_sooner(turn, |_| true, slow) == Some(0)));
        let queued = |at: usize| Load { running: [20, 0][at], ..slow(at) };
        assert!((0..50).all(|turn| two.pick_sooner(turn, |_| true, queued) == Some(1)));
        // Nothing is known of the second one: it is not flooded.
        let unknown = |at: usize| Load { running: [0, 1][at], latency: [Some(1_000.0), None][at] };
        assert!((0..50).all(|turn| two.pick_sooner(turn, |_| true, unknown) == Some(0)));
        assert_eq!(two.pick_sooner(0, |at| at == 1, slow), Some(1));
        assert_eq!(two.pick_sooner(0, |_| false, slow), None);
        let mut seen = [0; 3];
        let three = service(&[1, 1, 1]);
        (0..3_000).for_each(|turn| seen[three.pick_sooner(turn, |_| true, idle).unwrap()] += 1);
        assert!(seen.iter().all(|&count| (850..1_150).contains(&count)), "{seen:?}");
    }

    fn shares(service: &CompiledService, available: impl Fn(usize) -> bool + Copy) -> Vec<usize> {
        let pick = |value: u32| service.pick_by_hash(Affinity::of(&value.to_le_bytes()), available).unwrap();
        (0..10_000).map(pick).collect()
    }

    #[test]
    fn a_value_keeps_its_target_while_that_takes_traffic() {
        let service = service(&[1, 1, 2]);
        let all = shares(&service, |_| true);
        assert_eq!(shares(&service, |_| true), all);
        let count = |target: usize| all.iter().filter(|&&at| at == target).count();
        assert!((2_300..2_700).contains(&count(0)) && (4_700..5_300).contains(&count(2)), "{} {}", count(0), count(2));
        let without = shares(&service, |at| at != 1);
        assert!(all.iter().zip(&without).all(|(&before, &after)| before == 1 || before == after), "others have moved");
        assert_eq!(service.pick_by_hash(Affinity::of(b""), |_| false), None);
    }

    #[test]
    fn a_target_that_is_added_takes_its_share_and_moves_nothing_else() {
        let (before, after) = (shares(&service(&[1, 1, 1]), |_| true), shares(&service(&[1, 1, 1, 1]), |_| true));
        let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
        let moved: Vec<_> = moved.map(|(_, &after)| after).collect();
        assert!(moved.iter().all(|&at| at == 3) && (2_300..2_700).contains(&moved.len()), "{}", moved.len());
    }
}
