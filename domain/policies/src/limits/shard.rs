//! One shard of a table: meters by key, in the order in which they were last asked.

use std::collections::HashMap;

use novagate_kernel::Timestamp;

use super::Meter;
use crate::ClientKey;
use crate::sip::PassThrough;

/// Stands for "no cell" in links.
const NONE: u32 = u32::MAX;

/// Idle meters that an insertion clears away at most: more than it adds, so that they never pile up.
const SWEEP: usize = 2;

#[derive(Debug)]
pub(super) struct Shard<M> {
    index: HashMap<ClientKey, u32, PassThrough>,
    cells: Vec<Cell<M>>,
    /// Meters that need attention from outside the request path, each at most once.
    pub(super) calling: Vec<ClientKey>,
    newest: u32,
    oldest: u32,
    free: u32,
}

#[derive(Debug)]
struct Cell<M> {
    key: ClientKey,
    meter: M,
    newer: u32,
    /// Towards `oldest`; of a free cell, the next free one.
    older: u32,
}

/// What a look-up changed about the number of meters.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Change {
    pub(super) added: usize,
    pub(super) expired: usize,
}

impl<M> Default for Shard<M> {
    fn default() -> Self {
        let (index, cells, calling) = (HashMap::default(), Vec::new(), Vec::new());
        Self { index, cells, calling, newest: NONE, oldest: NONE, free: NONE }
    }
}

impl<M: Meter> Shard<M> {
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// The cell of `key`, made when there is none; it becomes the newest.
    pub(super) fn seat(&mut self, key: ClientKey, now: Timestamp) -> (u32, Change) {
        if let Some(&at) = self.index.get(&key) {
            if self.newest != at {
                self.unlink(at);
                self.link_newest(at);
            }
            return (at, Change::default());
        }
        let expired = self.sweep(now);
        let at = self.take_cell(key);
        self.index.insert(key, at);
        self.link_newest(at);
        (at, Change { added: 1, expired })
    }

    /// The meter in a cell that [`Self::seat`] returned.
    pub(super) fn meter(&mut self, at: u32) -> Option<&mut M> {
        self.cell(at).map(|cell| &mut cell.meter)
    }

    /// The meter of `key`, when it has one; its place in the order stays.
    pub(super) fn find(&mut self, key: ClientKey) -> Option<&mut M> {
        let at = *self.index.get(&key)?;
        self.meter(at)
    }

    /// Gives up the meter that was idle longest.
    pub(super) fn evict_oldest(&mut self) {
        self.remove(self.oldest);
    }

    fn sweep(&mut self, now: Timestamp) -> usize {
        let mut removed = 0;
        while removed < SWEEP {
            let oldest = self.oldest;
            // The newest may be the other bucket of the request in hand, still empty.
            if oldest == self.newest {
                break;
            }
            match self.cell(oldest) {
                Some(cell) if cell.meter.is_spent(now) => self.remove(oldest),
                _ => break,
            }
            removed += 1;
        }
        removed
    }

    fn remove(&mut self, at: u32) {
        self.unlink(at);
        let free = self.free;
        if let Some(cell) = self.cell(at) {
            let key = cell.key;
            cell.meter = M::default();
            cell.older = free;
            self.index.remove(&key);
            self.free = at;
        }
    }

    fn take_cell(&mut self, key: ClientKey) -> u32 {
        let at = self.free;
        if let Some(cell) = self.cell(at) {
            let next = cell.older;
            cell.key = key;
            self.free = next;
            return at;
        }
        let at = u32::try_from(self.cells.len()).unwrap_or(NONE);
        self.cells.push(Cell { key, meter: M::default(), newer: NONE, older: NONE });
        at
    }

    fn unlink(&mut self, at: u32) {
        let Some(cell) = self.cell(at) else { return };
        let (newer, older) = (cell.newer, cell.older);
        match self.cell(newer) {
            Some(neighbour) => neighbour.older = older,
            None => self.newest = older,
        }
        match self.cell(older) {
            Some(neighbour) => neighbour.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn link_newest(&mut self, at: u32) {
        let second = self.newest;
        if let Some(cell) = self.cell(at) {
            cell.newer = NONE;
            cell.older = second;
        }
        match self.cell(second) {
            Some(neighbour) => neighbour.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
    }

    fn cell(&mut self, at: u32) -> Option<&mut Cell<M>> {
        usize::try_from(at).ok().and_then(|at| self.cells.get_mut(at))
    }
}
