//! A bounded number of things that a worker does at the same time.
//!
//! Not here: bounds that workers share (`upstream::slots`, `upstream::breaker`).

use std::cell::Cell;
use std::rc::Rc;

/// Places for things that run.
#[derive(Debug)]
pub(crate) struct Places {
    taken: Rc<Cell<usize>>,
    most: usize,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Rc<Cell<usize>>);

impl Places {
    pub(crate) fn new(most: usize) -> Self {
        Self { taken: Rc::default(), most }
    }

    /// A free place.
    pub(crate) fn take(&self) -> Option<Place> {
        (self.taken.get() < self.most).then(|| {
            self.taken.set(self.taken.get() + 1);
            Place(Rc::clone(&self.taken))
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_it_was_given_back() {
        let places = Places::new(2);
        let (first, second) = (places.take(), places.take());
        assert!(first.is_some() && second.is_some() && places.take().is_none());
        drop(first);
        assert!(places.take().is_some());
    }
}
