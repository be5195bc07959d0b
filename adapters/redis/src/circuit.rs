//! Whether a server that failed is asked again.
//!
//! Always: after a failure nobody asks until a pause is over; then one asks, and the others wait for what becomes of it
//! (without being held up: they are told that nobody answers). So a server that is silent costs one deadline for each
//! probe. Not here: what a failure is, and what is done instead.

use std::time::{Duration, Instant};

const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is known about a server.
#[derive(Debug)]
pub(crate) struct Circuit {
    state: State,
    /// After which a probe that nobody reported about is given up: its asker went away.
    probe_limit: Duration,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed,
    Open { pause: Duration, until: Instant },
    Probing { pause: Duration, until: Instant },
}

/// What a report changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Nothing,
    /// It has begun to fail.
    Failed,
    /// It answers again.
    Healed,
}

impl Circuit {
    /// A server that is asked. `deadline` is that of a call.
    pub(crate) fn new(deadline: Duration) -> Self {
        Self { state: State::Closed, probe_limit: deadline * 2 }
    }

    /// Whether to ask. Who is told `true` reports how it went.
    pub(crate) fn may_ask(&mut self, now: Instant) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until, .. } | State::Probing { until, .. } if now < until => false,
            State::Open { pause, .. } | State::Probing { pause, .. } => {
                self.state = State::Probing { pause, until: now + self.probe_limit };
                true
            }
        }
    }

    /// It has answered.
    pub(crate) fn succeeded(&mut self) -> Change {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Closed => Change::Nothing,
            State::Open { .. } | State::Probing { .. } => Change::Healed,
        }
    }

    /// It has not. `chance` spreads the pauses of many askers: 0 to 255 make three quarters to five quarters of it.
    pub(crate) fn failed(&mut self, now: Instant, chance: u8) -> Change {
        let (next, outcome) = match self.state {
            State::Closed => (SHORTEST_PAUSE, Change::Failed),
            // The calls that were under way when the first one failed tell nothing new.
            State::Open { .. } => return Change::Nothing,
            State::Probing { pause, .. } => ((pause * 2).min(LONGEST_PAUSE), Change::Nothing),
        };
        let spread = next.mul_f64(0.75 + f64::from(chance) / 510.0);
        self.state = State::Open { pause: next, until: now + spread };
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_millis(100);
    const MIDDLE: u8 = 128;

    fn millis(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn a_silent_server_is_asked_by_one_at_a_time_and_ever_more_seldom() {
        let start = Instant::now();
        let mut circuit = Circuit::new(DEADLINE);
        // Ten calls are under way when it falls silent.
        assert!((0..10).all(|_| circuit.may_ask(start)));
        assert_eq!(circuit.failed(millis(start, 100), MIDDLE), Change::Failed);
        assert!((0..9).all(|_| circuit.failed(millis(start, 100), MIDDLE) == Change::Nothing));
        // A thousand requests a second for a minute; a probe fails after its deadline.
        let (mut asked, mut probe_ends) = (0, None);
        for now in 100..60_000 {
            if probe_ends == Some(now) {
                circuit.failed(millis(start, now), MIDDLE);
                probe_ends = None;
            }
            if circuit.may_ask(millis(start, now)) {
                assert_eq!(probe_ends, None, "one at a time");
                asked += 1;
                probe_ends = Some(now + 100);
            }
        }
        assert!((10..=20).contains(&asked), "{asked}");
    }

    #[test]
    fn the_first_answer_closes_it_and_the_next_pause_is_short_again() {
        let start = Instant::now();
        let mut circuit = Circuit::new(DEADLINE);
        let mut now = 0;
        for _ in 0..8 {
            now += 10_000;
            assert!(circuit.may_ask(millis(start, now)));
            circuit.failed(millis(start, now), MIDDLE);
        }
        assert!(!circuit.may_ask(millis(start, now + 3_000)));
        assert!(circuit.may_ask(millis(start, now + 6_000)));
        assert_eq!(circuit.succeeded(), Change::Healed);
        assert_eq!(circuit.succeeded(), Change::Nothing);
        assert_eq!(circuit.failed(millis(start, now + 7_000), MIDDLE), Change::Failed);
        assert!(circuit.may_ask(millis(start, now + 7_130)));
    }

    #[test]
    fn a_probe_whose_asker_went_away_does_not_keep_it_open() {
        let start = Instant::now();
        let mut circuit = Circuit::new(DEADLINE);
        circuit.failed(start, MIDDLE);
        assert!(circuit.may_ask(millis(start, 200)));
        assert!(!circuit.may_ask(millis(start, 399)));
        assert!(circuit.may_ask(millis(start, 400)));
    }

    #[test]
    fn pauses_are_spread_and_stay_within_a_quarter() {
        let start = Instant::now();
        for (chance, opens) in [(0, 75), (255, 125)] {
            let mut circuit = Circuit::new(DEADLINE);
            circuit.failed(start, chance);
            assert!(!circuit.may_ask(millis(start, opens - 1)));
            assert!(circuit.may_ask(millis(start, opens)));
        }
    }
}
