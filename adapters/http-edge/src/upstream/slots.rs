//! How many connections are open for a service, over all workers.
//!
//! Always: touched when a connection is made or closed, never for a request on one that is open; exact. Connections that
//! are idle in one worker make room for those that another one needs, within a second. Not here: the bound
//! (`novagate_routing`), which connections are idle (`target`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Connections of a service.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    open: AtomicU32,
    /// Somebody was refused, and nobody let in since.
    wanted: AtomicBool,
}

/// Room for one connection; free again when dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Slots>);

/// The connections of a service, and how many there may be.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    pub(crate) slots: Arc<Slots>,
    pub(crate) most: u32,
}

impl Slots {
    /// Connections that are open or being made.
    pub(crate) fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }
}

impl Bound {
    /// Room for one more connection, if there is any.
    pub(crate) fn take(&self) -> Option<Slot> {
        let one_more = |open| (open < self.most).then(|| open + 1);
        let taken = self.slots.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok();
        if self.slots.wanted.load(Ordering::Relaxed) == taken {
            self.slots.wanted.store(!taken, Ordering::Relaxed);
        }
        taken.then(|| Slot(Arc::clone(&self.slots)))
    }
}

impl Slot {
    /// Whether it is one of these.
    pub(crate) fn is_of(&self, slots: &Arc<Slots>) -> bool {
        Arc::ptr_eq(&self.0, slots)
    }

    /// Whether somebody was refused for want of room.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.wanted.load(Ordering::Relaxed)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_free_again_when_its_connection_is_closed() {
        let (slots, other) = (Arc::<Slots>::default(), Arc::<Slots>::default());
        let of = |most| Bound { slots: Arc::clone(&slots), most };
        let (one, two) = (of(2).take(), of(2).take());
        assert!(one.as_ref().is_some_and(|slot| slot.is_of(&slots) && !slot.is_of(&other) && !slot.is_wanted()));
        assert!(of(2).take().is_none() && slots.open() == 2);
        assert!(two.as_ref().is_some_and(Slot::is_wanted), "somebody was refused");
        drop(one);
        assert!(of(1).take().is_none(), "an edit has lowered the bound");
        let three = of(2).take();
        assert!(three.is_some_and(|slot| !slot.is_wanted()), "nobody waits any more");
        drop(two);
        assert_eq!(slots.open(), 0);
    }

    #[test]
    fn many_threads_never_have_too_many() {
        let slots = Arc::<Slots>::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let bound = Bound { slots: Arc::clone(&slots), most: 3 };
                    for _ in 0..10_000 {
                        let slot = bound.take();
                        assert!(slots.open() <= 3);
                        drop(slot);
                    }
                });
            }
        });
        assert_eq!(slots.open(), 0);
    }
}
