//! Time limits of the connections of one worker, at the price of one store per change.
//!
//! Always: a task whose limit has passed is woken within two ticks; a limit never fires early. One clock tick looks at every
//! connection of the worker, which is cheaper than arming a timer for each step of each request. Not here: what a passed
//! limit means (`connection`, `exchange`).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// Length of a tick: the precision of every time limit.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// A tick that does not come.
pub(crate) const NEVER: u32 = u32::MAX;

/// The limits of one worker.
#[derive(Debug)]
pub(crate) struct Deadlines {
    start: Instant,
    now: Cell<u32>,
    slots: RefCell<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    due: Vec<u32>,
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// The limit of one connection; none at first.
#[derive(Debug)]
pub(crate) struct Deadline {
    all: Rc<Deadlines>,
    at: usize,
    due: Cell<u32>,
}

impl Deadlines {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self { start: Instant::now(), now: Cell::new(0), slots: RefCell::default() })
    }

    /// A limit for the task that owns `waker`.
    pub(crate) fn register(self: &Rc<Self>, waker: &Waker) -> Deadline {
        let mut slots = self.slots.borrow_mut();
        let at = slots.free.pop().unwrap_or_else(|| {
            slots.due.push(NEVER);
            slots.wakers.push(None);
            slots.due.len() - 1
        });
        slots.set_waker(at, Some(waker.clone()));
        Deadline { all: Rc::clone(self), at, due: Cell::new(NEVER) }
    }

    /// Moves the clock on and wakes those whose limit has passed.
    pub(crate) fn tick(&self, now: Instant) {
        let ticks = now.saturating_duration_since(self.start).as_millis() / TICK.as_millis();
        self.now.set(u32::try_from(ticks).unwrap_or(NEVER - 1));
        let slots = self.slots.borrow();
        for (due, waker) in slots.due.iter().zip(&slots.wakers) {
            if *due <= self.now.get()
                && let Some(waker) = waker
            {
                waker.wake_by_ref();
            }
        }
    }

    /// Wakes every task.
    pub(crate) fn wake_all(&self) {
        for waker in self.slots.borrow().wakers.iter().flatten() {
            waker.wake_by_ref();
        }
    }

    /// The number of the tick that has passed when `duration` has.
    pub(crate) fn after(&self, duration: Duration) -> u32 {
        // The running tick may be over in a moment; so it does not count.
        self.now.get().saturating_add(ticks_of(duration)).saturating_add(1).min(NEVER - 1)
    }
}

/// How many ticks last at least as long. With 64 bits: limits are set several times for each request.
fn ticks_of(duration: Duration) -> u32 {
    const A_SECOND: u64 = 1_000_000_000 / TICK.subsec_nanos() as u64;
    let of_seconds = duration.as_secs().saturating_mul(A_SECOND);
    let ticks = of_seconds.saturating_add(u64::from(duration.subsec_nanos().div_ceil(TICK.subsec_nanos())));
    u32::try_from(ticks).unwrap_or(NEVER)
}

impl Slots {
    fn set_waker(&mut self, at: usize, waker: Option<Waker>) {
        if let Some(place) = self.wakers.get_mut(at) {
            *place = waker;
        }
    }
}

impl Deadline {
    /// Sets the limit `duration` from now, whatever it was before.
    pub(crate) fn set(&self, duration: Duration) {
        self.set_tick(self.all.after(duration));
    }

    /// Sets the limit to a tick of [`Self::tick_after`].
    pub(crate) fn set_tick(&self, due: u32) {
        if self.due.get() != due {
            self.due.set(due);
            if let Some(place) = self.all.slots.borrow_mut().due.get_mut(self.at) {
                *place = due;
            }
        }
    }

    /// The number of the tick that has passed when `duration` has.
    pub(crate) fn tick_after(&self, duration: Duration) -> u32 {
        self.all.after(duration)
    }

    /// How long it is until this tick; without end for one that never comes.
    pub(crate) fn until(&self, tick: u32) -> Duration {
        if tick == NEVER { Duration::MAX } else { TICK.saturating_mul(tick.saturating_sub(self.all.now.get())) }
    }

    /// Milliseconds since the worker's start, as exact as a tick.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::from(self.all.now.get()) * u64::try_from(TICK.as_millis()).unwrap_or_default()
    }

    /// Whether this tick has passed.
    pub(crate) fn has_passed(&self, tick: u32) -> bool {
        tick <= self.all.now.get()
    }

    /// Whether the limit has passed.
    pub(crate) fn is_over(&self) -> bool {
        self.has_passed(self.due.get())
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        let mut slots = self.all.slots.borrow_mut();
        if let Some(place) = slots.due.get_mut(self.at) {
            *place = NEVER;
        }
        slots.set_waker(self.at, None);
        slots.free.push(self.at);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_limit_fires_after_its_time_and_never_before() {
        let deadlines = Deadlines::new();
        let woken = Arc::new(Counting::default());
        let deadline = deadlines.register(&Waker::from(Arc::clone(&woken)));
        deadline.set(Duration::from_millis(50));
        deadlines.tick(deadlines.start + Duration::from_millis(50));
        assert!(!deadline.is_over());
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        deadlines.tick(deadlines.start + Duration::from_millis(50) + TICK * 2);
        assert!(deadline.is_over());
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_limit_that_was_moved_fires_at_its_new_time_only() {
        let deadlines = Deadlines::new();
        let deadline = deadlines.register(Waker::noop());
        deadline.set(Duration::from_millis(10));
        deadline.set(Duration::from_secs(10));
        deadlines.tick(deadlines.start + Duration::from_secs(1));
        assert!(!deadline.is_over());
    }

    #[test]
    fn ticks_are_rounded_up_and_end_at_the_last_one() {
        let cases = [(0, 0), (1, 1), (20_000_000, 1), (20_000_001, 2), (999_999_999, 50), (1_000_000_000, 50)];
        for (nanos, ticks) in cases {
            assert_eq!(ticks_of(Duration::from_nanos(nanos)), ticks, "{nanos}");
        }
        assert_eq!(ticks_of(Duration::from_millis(60_010)), 3_001);
        assert_eq!(ticks_of(Duration::MAX), NEVER);
    }

    #[test]
    fn a_place_is_used_again_and_starts_without_a_limit() {
        let deadlines = Deadlines::new();
        let first = deadlines.register(Waker::noop());
        first.set(Duration::ZERO);
        drop(first);
        let second = deadlines.register(Waker::noop());
        deadlines.tick(deadlines.start + Duration::from_secs(1));
        assert!(!second.is_over());
        assert_eq!(deadlines.slots.borrow().due.len(), 1);
    }
}
