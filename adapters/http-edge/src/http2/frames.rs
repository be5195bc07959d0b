//! Frames of a client that ask for nothing, and how many of them it may send.
//!
//! Decides who floods: PING, SETTINGS, PRIORITY, DATA without data and unknown kinds cost a client next to nothing, and the
//! gateway a look and often an answer. Always: a frame is counted once, however its bytes were cut; a client that uses its
//! connection is never a flooder. Not here: what a frame means (the library), streams that are cancelled (`Streams`).

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::PREFACE;

const HEAD: usize = 9;
/// Idle frames that are always fine.
const FREE: u64 = 1_000;
/// What a frame earns that asks for something.
const PER_FRAME: u64 = 10;
/// What a second earns: clients that keep a quiet connection alive.
const PER_SECOND: u64 = 10;
/// Bytes to the client that earn one: clients that measure the way while they receive.
const BYTES_EACH: u64 = 1_024;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;

/// What a client has sent over one connection.
#[derive(Debug)]
pub(super) struct Frames {
    since: Instant,
    /// Bytes of the frame's head that have come.
    head: Cell<([u8; HEAD], usize)>,
    /// Bytes that belong to no head.
    payload: Cell<usize>,
    idle: Cell<u64>,
    useful: Cell<u64>,
    sent: Cell<u64>,
}

impl Frames {
    /// Before the preface.
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            head: Cell::new(([0; HEAD], 0)),
            payload: Cell::new(PREFACE.len()),
            idle: Cell::new(0),
            useful: Cell::new(0),
            sent: Cell::new(0),
        }
    }

    /// Takes note of bytes from the client.
    pub(super) fn received(&self, mut bytes: &[u8]) {
        loop {
            let skipped = self.payload.get().min(bytes.len());
            self.payload.set(self.payload.get() - skipped);
            bytes = bytes.get(skipped..).unwrap_or_default();
            if bytes.is_empty() {
                return;
            }
            let (mut head, before) = self.head.get();
            let count = bytes.len().min(HEAD - before);
            for (into, from) in head.iter_mut().skip(before).zip(bytes) {
                *into = *from;
            }
            bytes = bytes.get(count..).unwrap_or_default();
            if before + count < HEAD {
                return self.head.set((head, before + count));
            }
            self.head.set((head, 0));
            self.frame(head);
        }
    }

    /// Takes note of bytes to the client.
    pub(super) fn sent(&self, count: usize) {
        self.sent.set(self.sent.get() + count as u64);
    }

    fn frame(&self, [a, b, c, kind, flags, ..]: [u8; HEAD]) {
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.payload.set(length);
        let count = match kind {
            HEADERS => &self.useful,
            DATA if length > 0 || flags & END_STREAM != 0 => &self.useful,
            // The library has bounds for the first, cancelled streams are counted, and windows move with what is sent.
            CONTINUATION | RST_STREAM | WINDOW_UPDATE => return,
            _ => &self.idle,
        };
        count.set(count.get() + 1);
    }

    /// Whether the client floods.
    pub(super) fn are_too_many(&self) -> bool {
        self.idle.get() > FREE && self.idle.get() > self.allowed(self.since.elapsed())
    }

    fn allowed(&self, age: Duration) -> u64 {
        FREE + self.useful.get() * PER_FRAME + self.sent.get() / BYTES_EACH + age.as_secs() * PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0abcdefgh";
    const WHOLE_DATA: &[u8] = b"\0\0\x01\0\0\0\0\0\x01x";

    fn counted(cut: usize, frames: &[&[u8]]) -> Frames {
        let counted = Frames::new();
        let bytes = [&[PREFACE], frames].concat().concat();
        bytes.chunks(cut).for_each(|piece| counted.received(piece));
        counted
    }

    #[test]
    fn a_frame_counts_once_however_it_is_cut() {
        let settings: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
        let large = [&b"\0\x40\0\0\0\0\0\0\x01"[..], &[6; 16_384]].concat();
        let frames = [
            settings,
            PING,
            &large,
            b"\0\0\0\0\0\0\0\0\x01",
            b"\0\0\0\0\x01\0\0\0\x01",
            b"\0\0\x01\x01\x04\0\0\0\x03x",
        ];
        for cut in [1, 2, 8, 9, 10, 1_000, usize::MAX] {
            let counted = counted(cut, &frames);
            assert_eq!((counted.idle.get(), counted.useful.get()), (3, 3), "{cut}");
        }
    }

    #[test]
    fn a_client_floods_that_earns_nothing() {
        let pings = |count: u64, others: &[&[u8]]| {
            let pings = PING.repeat(usize::try_from(count).unwrap());
            counted(4_096, &[others, &[&pings]].concat())
        };
        assert!(!pings(FREE, &[]).are_too_many());
        assert!(pings(FREE + 1, &[]).are_too_many());
        assert!(!pings(FREE + PER_FRAME, &[WHOLE_DATA]).are_too_many());
        assert!(pings(FREE + PER_FRAME + 1, &[WHOLE_DATA]).are_too_many());
        let receiving = pings(FREE + 2, &[]);
        receiving.sent(2 * 1_024 - 1);
        assert!(receiving.are_too_many());
        receiving.sent(1);
        assert!(!receiving.are_too_many());
        assert_eq!(receiving.allowed(Duration::from_mins(1)) - receiving.allowed(Duration::ZERO), 600);
    }
}
