//! Time for deadlines: a wall clock with its steps taken out.
//!
//! **Invariant:** the time given out never goes backwards, and never passes a deadline by itself: when the wall clock steps
//! back, the wait in progress begins again at most once; when it leaps forward, one deadline fires early and no more.

use novagate_kernel::Timestamp;

/// Turns wall-clock readings into a time that only goes forwards.
#[derive(Debug, Clone)]
pub(crate) struct SteadyClock {
    wall: Timestamp,
    steady: Timestamp,
}

impl SteadyClock {
    /// A clock that begins at `now`.
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self { wall: now, steady: now }
    }

    /// The steady time at the wall-clock reading `now`; `horizon` is the next deadline, beyond which no reading leads.
    pub(crate) fn observe(&mut self, now: Timestamp, horizon: Option<Timestamp>) -> Timestamp {
        let passed = self.steady.plus(now.since(self.wall));
        self.steady = horizon.map_or(passed, |horizon| passed.min(horizon.max(self.steady)));
        self.wall = now;
        self.steady
    }

    /// The wall-clock reading at which a steady deadline is reached, when nobody touches the clock until then.
    pub(crate) fn wall_of(&self, deadline: Timestamp) -> Timestamp {
        self.wall.plus(deadline.since(self.steady))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_steps_back_starts_the_wait_again_and_a_leap_fires_one_deadline() {
        let start = Timestamp::from_seconds(1_000_000);
        let mut clock = SteadyClock::new(start);
        let deadline = start.plus(Duration::from_secs(10));
        let before = clock.observe(start.minus(Duration::from_hours(1)), Some(deadline));
        assert_eq!(before, start);
        assert_eq!(clock.wall_of(deadline), start.minus(Duration::from_hours(1)).plus(Duration::from_secs(10)));
        assert_eq!(clock.observe(start.plus(Duration::from_hours(24)), Some(deadline)), deadline);
    }
}
