//! Which requests a worker refuses because it cannot keep up.
//!
//! Always: nothing is refused that a worker has time for; what it refuses costs little, so that the rest is answered in time.
//! The sign is how late the worker comes to what was due: whatever has just arrived waits for about as long. Not here: the
//! answer.

use std::time::Duration;

/// Parts that a share is counted in.
const WHOLE: u16 = 1024;
/// The largest share that is refused: some requests must show whether the worker has time again.
const MOST: u16 = WHOLE - WHOLE / 16;

/// What a worker knows about its own lateness.
#[derive(Debug)]
pub struct Shedding {
    limit: Option<Duration>,
    was_late: bool,
    /// The share of new requests that are refused.
    refused: u16,
    /// What the requests so far have added up to.
    sum: u16,
}

impl Shedding {
    /// Refuses requests while work waits for longer than `limit`; never, without a limit.
    pub const fn new(limit: Option<Duration>) -> Self {
        Self { limit, was_late: false, refused: 0, sum: 0 }
    }

    /// The worker came to something by this much later than it was due. To be told from time to time.
    ///
    /// One late turn is an accident: the machine was busy with something else. From the second in a row on the refused share
    /// grows, by a quarter of what is still admitted; it halves with each turn that is not late.
    pub fn note(&mut self, late: Duration) {
        let is_late = self.limit.is_some_and(|limit| late > limit);
        self.refused = match (is_late, self.was_late) {
            (true, true) => (self.refused + (WHOLE - self.refused) / 4).min(MOST),
            (true, false) => self.refused,
            (false, _) => self.refused / 2,
        };
        self.was_late = is_late;
    }

    /// Whether the request in hand is refused. The refused ones are spread evenly over all.
    pub const fn refuses(&mut self) -> bool {
        if self.refused == 0 {
            return false;
        }
        self.sum += self.refused;
        let refuses = self.sum >= WHOLE;
        self.sum %= WHOLE;
        refuses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(100);
    const LATE: Duration = Duration::from_millis(101);

    fn refused_of(shedding: &mut Shedding, requests: usize) -> usize {
        (0..requests).filter(|_| shedding.refuses()).count()
    }

    #[test]
    fn a_worker_in_time_refuses_nothing() {
        let mut shedding = Shedding::new(Some(LIMIT));
        (0..100).for_each(|_| shedding.note(LIMIT));
        assert_eq!(refused_of(&mut shedding, 1000), 0);
    }

    #[test]
    fn one_late_turn_is_an_accident() {
        let mut shedding = Shedding::new(Some(LIMIT));
        for _ in 0..100 {
            shedding.note(LATE);
            shedding.note(Duration::ZERO);
        }
        assert_eq!(refused_of(&mut shedding, 1000), 0);
    }

    #[test]
    fn the_refused_share_grows_with_each_late_turn_and_is_never_all() {
        let mut shedding = Shedding::new(Some(LIMIT));
        shedding.note(LATE);
        let mut last = 0;
        for _ in 0..5 {
            shedding.note(LATE);
            let refused = refused_of(&mut shedding, 1024);
            assert!(refused > last, "{refused} of 1024 after {last}");
            last = refused;
        }
        (0..1000).for_each(|_| shedding.note(LATE));
        assert_eq!(refused_of(&mut shedding, 1024), usize::from(MOST));
    }

    #[test]
    fn refused_requests_are_spread_evenly() {
        let mut shedding = Shedding::new(Some(LIMIT));
        (0..2).for_each(|_| shedding.note(LATE));
        for _ in 0..10 {
            assert_eq!(refused_of(&mut shedding, 4), 1, "a quarter");
        }
    }

    #[test]
    fn a_worker_that_is_in_time_again_admits_everything_within_ten_turns() {
        let mut shedding = Shedding::new(Some(LIMIT));
        (0..1000).for_each(|_| shedding.note(LATE));
        (0..10).for_each(|_| shedding.note(Duration::ZERO));
        assert_eq!(refused_of(&mut shedding, 1000), 0);
    }

    #[test]
    fn without_a_limit_nothing_is_refused() {
        let mut shedding = Shedding::new(None);
        (0..100).for_each(|_| shedding.note(Duration::MAX));
        assert_eq!(refused_of(&mut shedding, 1000), 0);
    }
}
