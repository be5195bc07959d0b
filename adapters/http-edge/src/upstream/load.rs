//! What one worker knows of the load of a target: requests that run, and how soon it answers.
//!
//! Always: kept over edits of the configuration, with the target; every request that was counted is taken back. Not here:
//! choosing by it (`novagate_policies`).

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use novagate_policies::Load;

use super::target::UpstreamTarget;

/// After so long without an answer as slow, two thirds of a slow one are forgotten.
const MEMORY: Duration = Duration::from_secs(10);

/// The load of a target.
#[derive(Debug, Default)]
pub(crate) struct LoadCells {
    running: Cell<u32>,
    /// Smoothed microseconds to the response head, and when they were last touched.
    latency: Cell<Option<(f64, Instant)>>,
}

/// A request that runs at a target; taken back when dropped.
#[derive(Debug)]
pub(crate) struct Running(Rc<UpstreamTarget>);

impl LoadCells {
    pub(crate) fn read(&self) -> Load {
        Load { running: self.running.get(), latency: self.latency.get().map(|(latency, _)| latency) }
    }

    /// An answer has not come for so long.
    pub(crate) fn note_slower(&self, micros: u32, now: Instant) {
        if self.latency.get().is_none_or(|(known, _)| known < f64::from(micros)) {
            self.note_latency(micros, now);
        }
    }

    /// An answer came after so long. A slow one counts at once, faster ones little by little: a target that gets into
    /// trouble is left alone soon.
    pub(crate) fn note_latency(&self, micros: u32, now: Instant) {
        let sample = f64::from(micros);
        let smoothed = match self.latency.get() {
            Some((known, at)) if sample < known => {
                let age = now.saturating_duration_since(at).as_secs_f64() / MEMORY.as_secs_f64();
                let kept = (-age).exp();
                known * kept + sample * (1.0 - kept)
            }
            _ => sample,
        };
        self.latency.set(Some((smoothed, now)));
    }
}

impl Running {
    pub(crate) fn at(target: &Rc<UpstreamTarget>) -> Self {
        let running = &target.load.running;
        running.set(running.get().saturating_add(1));
        Self(Rc::clone(target))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let running = &self.0.load.running;
        running.set(running.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use novagate_routing::TargetUrl;

    use super::*;

    #[test]
    fn slow_answers_count_at_once_and_are_forgotten_slowly() {
        let (cells, start) = (LoadCells::default(), Instant::now());
        assert_eq!(cells.read().latency, None);
        cells.note_latency(1_000, start);
        cells.note_latency(9_000, start);
        assert_eq!(cells.read().latency, Some(9_000.0));
        cells.note_latency(1_000, start);
        assert_eq!(cells.read().latency, Some(9_000.0), "no time has passed");
        cells.note_latency(1_000, start + MEMORY);
        let after = cells.read().latency.unwrap();
        assert!((3_900.0..4_000.0).contains(&after), "{after}");
        cells.note_latency(1_000, start + MEMORY * 10);
        assert!(cells.read().latency.unwrap() < 1_010.0);
    }

    #[test]
    fn a_request_runs_until_it_is_dropped() {
        let target = Rc::new(UpstreamTarget::new(TargetUrl::parse("http://10.0.0.1").unwrap()));
        let (one, other) = (Running::at(&target), Running::at(&target));
        assert_eq!(target.load.read().running, 2);
        drop(one);
        assert_eq!(target.load.read().running, 1);
        drop(other);
        assert_eq!(target.load.read().running, 0);
    }
}
