//! The open tunnels of one worker, and whether the live configuration still upholds them.
//!
//! Always: a tunnel holds on to no configuration; one that lost its grounds is told within a tick. Not here: what grounds
//! are (`novagate_policies`), what a tunnel does then (`tunnel`).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use novagate_policies::Grounds;
use novagate_ports_edge::LiveConfig;

/// The open tunnels of one worker.
#[derive(Debug, Default)]
pub(crate) struct Tunnels {
    open: RefCell<Vec<Rc<Entry>>>,
    /// What they were last compared with.
    seen: RefCell<Option<Arc<LiveConfig>>>,
}

/// The place of one tunnel; it leaves the register with its value.
#[derive(Debug)]
pub(crate) struct Place {
    all: Rc<Tunnels>,
    entry: Rc<Entry>,
}

#[derive(Debug)]
struct Entry {
    grounds: Grounds,
    at: Cell<usize>,
    lapsed: Cell<bool>,
    /// Wakes the task that the tunnel runs in.
    waker: Waker,
}

impl Tunnels {
    /// A place for a tunnel with these grounds. They were good when it was admitted; whether they are, `live` says.
    pub(crate) fn enter(self: &Rc<Self>, grounds: Grounds, live: Option<&Arc<LiveConfig>>, waker: &Waker) -> Place {
        let mut open = self.open.borrow_mut();
        let lapsed = Cell::new(!upholds(live, &grounds));
        let entry = Rc::new(Entry { grounds, at: Cell::new(open.len()), lapsed, waker: waker.clone() });
        open.push(Rc::clone(&entry));
        Place { all: Rc::clone(self), entry }
    }

    /// Compares all tunnels with the live configuration, if it is another one than before.
    pub(crate) fn review(&self, live: Option<&Arc<LiveConfig>>) {
        if self.seen.borrow().as_ref().map(Arc::as_ptr) == live.map(Arc::as_ptr) {
            return;
        }
        self.seen.replace(live.cloned());
        for entry in self.open.borrow().iter().filter(|entry| !upholds(live, &entry.grounds)) {
            entry.lapsed.set(true);
            entry.waker.wake_by_ref();
        }
    }
}

impl Place {
    /// Whether the tunnel has lost its grounds.
    pub(crate) fn has_lapsed(&self) -> bool {
        self.entry.lapsed.get()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.all.open.borrow_mut();
        let at = self.entry.at.get();
        if at < open.len() {
            open.swap_remove(at);
        }
        if let Some(moved) = open.get(at) {
            moved.at.set(at);
        }
    }
}

fn upholds(live: Option<&Arc<LiveConfig>>, grounds: &Grounds) -> bool {
    live.is_some_and(|live| live.compiled.upholds(grounds))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use novagate_kernel::{Digest, Epoch, Head, Revision, RouteId};
    use novagate_policies::{CompiledConfig, Presented};

    use super::*;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn grounds() -> Grounds {
        Grounds::new(RouteId::from_u128(1), None, Presented::Nothing)
    }

    fn without_routes() -> Arc<LiveConfig> {
        let revision = Revision { epoch: Epoch::try_from_u64(7).unwrap(), seq: 1 };
        let head = Head { revision, digest: Digest::from_bytes([1; 32]) };
        Arc::new(LiveConfig { table: 1, compiled: Arc::new(CompiledConfig::compile(head, &[]).unwrap()) })
    }

    #[test]
    fn whoever_leaves_leaves_alone() {
        let tunnels: Rc<Tunnels> = Rc::default();
        let mut places: Vec<_> = (0..5).map(|_| tunnels.enter(grounds(), None, Waker::noop())).collect();
        for at in [1, 3, 0] {
            drop(places.remove(at));
            let open = tunnels.open.borrow();
            assert_eq!(open.len(), places.len());
            assert!(open.iter().enumerate().all(|(at, entry)| entry.at.get() == at));
            assert!(places.iter().all(|place| open.iter().any(|entry| Rc::ptr_eq(entry, &place.entry))));
        }
    }

    #[test]
    fn a_tunnel_without_grounds_is_woken_once_for_each_configuration() {
        let tunnels: Rc<Tunnels> = Rc::default();
        let (woken, live) = (Arc::new(Counting::default()), without_routes());
        let place = tunnels.enter(grounds(), None, &Waker::from(Arc::clone(&woken)));
        for _ in 0..3 {
            tunnels.review(Some(&live));
        }
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        tunnels.review(Some(&without_routes()));
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
        assert!(place.has_lapsed());
    }

    #[test]
    fn what_an_edit_took_away_during_the_handshake_is_noticed_on_entering() {
        let tunnels: Rc<Tunnels> = Rc::default();
        let live = without_routes();
        tunnels.review(Some(&live));
        assert!(tunnels.enter(grounds(), Some(&live), Waker::noop()).has_lapsed());
    }
}
