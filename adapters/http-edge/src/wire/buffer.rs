//! Receive buffers, and the store of each worker that they are taken from.
//!
//! Always: bytes are read in the order they were received; a connection that waits for its next request holds no memory.
//! Not here: reading and writing (`stream`).

use std::cell::RefCell;

/// Bytes of a buffer as it comes from the store.
pub(crate) const BUFFER_BYTES: usize = 16 * 1024;

/// Buffers that a worker keeps for later.
const KEPT: usize = 512;

/// Received bytes that were not used yet.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

/// Buffers that are not in use.
#[derive(Debug, Default)]
pub(crate) struct BufferStore(RefCell<Vec<Vec<u8>>>);

impl Buffer {
    /// Without memory and bytes.
    pub(crate) const fn new() -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0 }
    }

    /// What was received and not consumed.
    pub(crate) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Whether nothing is left to read.
    pub(crate) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Drops bytes from the front.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Room behind the received bytes; empty when the buffer is full.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.start > 0 && self.end == self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Whether it holds as much as it can; one without memory does not.
    pub(crate) const fn is_full(&self) -> bool {
        !self.is_empty() && self.end - self.start == self.bytes.len()
    }

    /// Takes over bytes that were written into the room.
    pub(crate) fn filled(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.bytes.len());
    }

    /// Makes a full buffer twice as large, up to `limit`; false when it has that size already.
    pub(crate) fn grow(&mut self, limit: usize) -> bool {
        let larger = self.bytes.len().saturating_mul(2).clamp(BUFFER_BYTES, limit.max(BUFFER_BYTES));
        let grows = larger > self.bytes.len();
        if grows {
            self.bytes.resize(larger, 0);
        }
        grows
    }

    /// Gives it memory, if it has none.
    pub(crate) fn provide(&mut self, store: &BufferStore) {
        if self.bytes.is_empty() {
            self.bytes = store.0.borrow_mut().pop().unwrap_or_else(|| vec![0; BUFFER_BYTES]);
        }
    }

    /// Gives its memory back, if nothing is in it.
    pub(crate) fn give_back(&mut self, store: &BufferStore) {
        if !self.is_empty() || self.bytes.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let mut kept = store.0.borrow_mut();
        // One that has grown is given up: the next request is unlikely to need it.
        if bytes.len() == BUFFER_BYTES && kept.len() < KEPT {
            kept.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(buffer: &mut Buffer, bytes: &[u8]) {
        buffer.room()[..bytes.len()].copy_from_slice(bytes);
        buffer.filled(bytes.len());
    }

    #[test]
    fn bytes_come_out_in_the_order_they_came_in() {
        let store = BufferStore::default();
        let mut buffer = Buffer::default();
        assert!(buffer.room().is_empty() && !buffer.is_full());
        buffer.provide(&store);
        push(&mut buffer, b"abc");
        buffer.consume(1);
        push(&mut buffer, b"de");
        assert_eq!(buffer.unread(), b"bcde");
        buffer.consume(10);
        assert!(buffer.is_empty());
    }

    #[test]
    fn room_is_made_by_moving_what_is_left_to_the_front() {
        let store = BufferStore::default();
        let mut buffer = Buffer::default();
        buffer.provide(&store);
        push(&mut buffer, &vec![b'x'; BUFFER_BYTES]);
        assert!(buffer.is_full() && buffer.room().is_empty());
        buffer.consume(BUFFER_BYTES - 2);
        assert_eq!(buffer.room().len(), BUFFER_BYTES - 2);
        assert_eq!(buffer.unread(), b"xx");
    }

    #[test]
    fn a_full_buffer_grows_up_to_its_limit() {
        let mut buffer = Buffer::default();
        assert!(buffer.grow(BUFFER_BYTES * 3) && buffer.grow(BUFFER_BYTES * 3) && buffer.grow(BUFFER_BYTES * 3));
        assert!(!buffer.grow(BUFFER_BYTES * 3));
        assert_eq!(buffer.room().len(), BUFFER_BYTES * 3);
    }

    #[test]
    fn memory_is_given_back_only_when_nothing_is_in_it() {
        let store = BufferStore::default();
        let mut buffer = Buffer::default();
        buffer.provide(&store);
        push(&mut buffer, b"a");
        buffer.give_back(&store);
        assert_eq!(buffer.unread(), b"a");
        buffer.consume(1);
        buffer.give_back(&store);
        assert_eq!(store.0.borrow().len(), 1);
        assert!(buffer.room().is_empty());
    }
}
