//! A request's body on its way out of a coding.
//!
//! Always: what was received waits here until it is decoded, and is never more than one buffer of the client's; what is decoded
//! waits for the upstream, one step of the decoder at a time. Not here: what a body may decode to (`content`).

use std::rc::Rc;

use novagate_framing::BodyKind;
use novagate_kernel::ErrorCode;
use novagate_ports_edge::ContentEvent;

use super::End;
use super::body::push_trailer;
use crate::content::{ContentDecoder, Decoding};
use crate::places::Place;
use crate::wire::chunks::{ChunkDecoder, LAST_CHUNK, Part, push_chunk};
use crate::worker::Worker;

/// A body that is decoded.
pub(crate) struct DecodedBody {
    worker: Rc<Worker>,
    /// Of a body in chunks.
    chunks: Option<ChunkDecoder>,
    decoder: ContentDecoder,
    /// Received and not decoded, from `at` on.
    received: Vec<u8>,
    at: usize,
    /// What came out of the decoder.
    piece: Vec<u8>,
    /// In chunks for the upstream, from `sent` on.
    coded: Vec<u8>,
    sent: usize,
    trailers: Vec<u8>,
    progress: Progress,
    _place: Place,
}

/// How far the body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// More comes from the client.
    Receiving,
    /// Everything was received.
    Received,
    /// Everything was decoded.
    Decoded,
}

impl DecodedBody {
    /// Nothing when there is no room or no memory for it.
    pub(crate) fn new(kind: BodyKind, decoding: Decoding, worker: &Rc<Worker>) -> Option<Self> {
        let (place, decoder) = (worker.decoders.take()?, ContentDecoder::new(decoding)?);
        worker.cells.count_content(ContentEvent::Decoded, decoding.coding, 1);
        Some(Self {
            worker: Rc::clone(worker),
            chunks: matches!(kind, BodyKind::Chunked).then(ChunkDecoder::new),
            decoder,
            received: Vec::new(),
            at: 0,
            piece: Vec::new(),
            coded: Vec::new(),
            sent: 0,
            trailers: Vec::new(),
            progress: Progress::Receiving,
            _place: place,
        })
    }

    /// Takes bytes that framing has admitted.
    pub(super) fn take(&mut self, bytes: &[u8], ended: bool) -> Result<(), End> {
        let (received, trailers) = (&mut self.received, &mut self.trailers);
        match &mut self.chunks {
            None => received.extend_from_slice(bytes),
            Some(chunks) => {
                let decoded = chunks.decode(bytes, |part| match part {
                    Part::Data(data) => received.extend_from_slice(data),
                    Part::Trailer(line) => push_trailer(trailers, line),
                });
                // What framing admits is well-formed for the decoder too; a difference would be a defect of ours.
                if !decoded.is_ok_and(|decoded| decoded.consumed == bytes.len() && decoded.ended == ended) {
                    return Err(End::Failed(ErrorCode::Internal));
                }
            }
        }
        if ended {
            self.progress = Progress::Received;
        }
        self.decode()
    }

    /// Whether there is something that was received and did not go into what is to be sent.
    pub(super) fn has_undecoded(&self) -> bool {
        self.at < self.received.len() || self.decoder.was_full() || self.progress == Progress::Received
    }

    /// Goes on decoding until there is something to be sent, or nothing left.
    pub(super) fn decode(&mut self) -> Result<(), End> {
        while self.coded.is_empty() && (self.at < self.received.len() || self.decoder.was_full()) {
            let rest = self.received.get(self.at..).unwrap_or_default();
            let taken = self.decoder.decode(rest, &mut self.piece).map_err(End::Violated)?;
            self.at += taken;
            push_chunk(&mut self.coded, &self.piece);
            let cells = &self.worker.cells;
            cells.count_content(ContentEvent::DecodedFrom, self.decoder.coding(), taken);
            cells.count_content(ContentEvent::DecodedTo, self.decoder.coding(), self.piece.len());
        }
        let is_through = self.at >= self.received.len() && !self.decoder.was_full();
        if is_through {
            self.received.clear();
            self.at = 0;
        }
        if is_through && self.progress == Progress::Received {
            self.decoder.end().map_err(End::Violated)?;
            self.progress = Progress::Decoded;
            self.coded.extend_from_slice(LAST_CHUNK);
            self.coded.append(&mut self.trailers);
            self.coded.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    /// What is to be sent.
    pub(super) fn unsent(&self) -> &[u8] {
        self.coded.get(self.sent..).unwrap_or_default()
    }

    /// Bytes of it were taken by the upstream.
    pub(super) fn sent(&mut self, count: usize) {
        self.sent += count;
        if self.sent >= self.coded.len() {
            self.coded.clear();
            self.sent = 0;
        }
    }
}
