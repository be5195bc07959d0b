//! How many requests of a service run at once, over all workers.
//!
//! Always: exact; never more run than are let in, each that was let in is taken back, and one that is refused changes
//! nothing for the others. Not here: the bounds (`novagate_routing`), what a refused client is told (`connection`).

use std::sync::atomic::{AtomicU32, Ordering};

/// What runs.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    running: AtomicU32,
    /// Those that wait for a connection.
    pending: AtomicU32,
}

/// One that was let in; taken back when dropped.
#[derive(Debug)]
pub(crate) struct Permit<'a>(&'a AtomicU32);

impl Breaker {
    /// Lets a request in if fewer than `most` run.
    pub(crate) fn run(&self, most: u32) -> Option<Permit<'_>> {
        Permit::of(&self.running, most)
    }

    /// Lets a request wait for a connection if fewer than `most` do.
    pub(crate) fn wait(&self, most: u32) -> Option<Permit<'_>> {
        Permit::of(&self.pending, most)
    }

    /// Requests that run.
    pub(crate) fn running(&self) -> u32 {
        self.running.load(Ordering::Relaxed)
    }
}

impl<'a> Permit<'a> {
    fn of(count: &'a AtomicU32, most: u32) -> Option<Self> {
        let one_more = |count| (count < most).then(|| count + 1);
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok().map(|_before| Self(count))
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_let_in_makes_room_when_it_ends_and_what_was_refused_does_not() {
        let breaker = Breaker::default();
        let (one, two) = (breaker.run(2), breaker.run(2));
        assert!(one.is_some() && two.is_some() && breaker.run(2).is_none() && breaker.run(1).is_none());
        assert_eq!(breaker.running(), 2);
        drop(one);
        assert!(breaker.run(1).is_none(), "an edit has lowered the bound");
        assert!(breaker.run(2).is_some());
        drop(two);
        assert_eq!(breaker.running(), 0);
        assert!(breaker.wait(1).is_some_and(|_waits| breaker.wait(1).is_none()));
    }

    #[test]
    fn many_threads_never_let_in_too_many() {
        let breaker = Breaker::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let permit = breaker.run(3);
                        assert!(breaker.running() <= 3);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(breaker.running(), 0);
    }
}
