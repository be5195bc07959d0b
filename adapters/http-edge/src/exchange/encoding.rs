//! A response's content on its way through a coding.
//!
//! Always: while the upstream has more, the coding keeps what serves it; when it has nothing at the moment, all that it gave
//! goes on; after some work the worker's other tasks have their turn; a response whose end did not come is never ended. Not
//! here: which responses (`content`).

use std::future::Future;
use std::pin::pin;
use std::task::Context;

use novagate_kernel::ErrorCode;
use novagate_ports_edge::ContentEvent;
use novagate_routing::ContentCoding;

use super::download::{Phase, keep_trailer};
use super::{Asks, End, Exchange};
use crate::content::{Encoder, Recoding, Step};
use crate::observe::totals::WorkerCells;
use crate::places::{Place, Places};
use crate::wire::chunks::{Part, push_chunk};
use crate::wire::fields::Fields;
use crate::wire::response::{BodyLength, ResponseHead};

/// Bytes that are coded before others have their turn: some milliseconds.
const TURN: usize = 128 * 1024;

/// A coding in use.
#[derive(Debug)]
pub(super) struct Encoding {
    coding: ContentCoding,
    encoder: Encoder,
    /// What came out of the encoder.
    piece: Vec<u8>,
    /// The encoder may hold something back.
    holds: bool,
    /// Bytes that were coded in this turn.
    worked: usize,
    _place: Place,
}

impl Encoding {
    /// Nothing when there is no room or no memory for it.
    fn new(coding: ContentCoding, length: Option<u64>, places: &Places) -> Option<Self> {
        let (place, encoder) = (places.take()?, Encoder::new(coding, length)?);
        Some(Self { coding, encoder, piece: Vec::new(), holds: false, worked: 0, _place: place })
    }

    /// Takes content and puts what comes out into chunks.
    fn push(&mut self, data: &[u8], step: Step, output: &mut Vec<u8>, cells: &WorkerCells) -> Result<(), End> {
        let encoded = self.encoder.encode(data, step, &mut self.piece);
        encoded.map_err(|_fault| End::Aborted(ErrorCode::Internal))?;
        self.holds = step == Step::More;
        push_chunk(output, &self.piece);
        cells.count_content(ContentEvent::CompressedFrom, self.coding, data.len());
        cells.count_content(ContentEvent::CompressedTo, self.coding, self.piece.len());
        self.piece.clear();
        self.worked += data.len();
        Ok(())
    }

    /// Whether others are to have their turn; then the task is woken after them.
    pub(super) fn ends_turn(&mut self, cx: &mut Context<'_>) -> bool {
        let is_over = self.worked >= TURN;
        if is_over {
            self.worked = 0;
            // Wakes the task once the sockets were looked after; the value itself is of no use.
            let _ = pin!(tokio::task::yield_now()).poll(cx);
        }
        is_over
    }
}

impl Exchange<'_> {
    /// How a response is changed, on a route that compresses. Without room for its encoder it stays as it is.
    pub(super) fn recode(&self, head: &ResponseHead, fields: Fields<'_>) -> Option<(Recoding, Option<Box<Encoding>>)> {
        let rule = self.terms.compression?;
        let may_code = self.terms.asks != Asks::HeadOnly && !self.terms.is_http_10;
        let recoding = rule.plan(head, fields, may_code);
        let Some(coding) = recoding.coding else { return Some((recoding, None)) };
        let length = if let BodyLength::Known(length) = head.body { Some(length) } else { None };
        let encoding = Encoding::new(coding, length, &self.worker.encoders);
        let event = if encoding.is_some() { ContentEvent::Compressed } else { ContentEvent::LeftOut };
        self.worker.cells.count_content(event, coding, 1);
        let recoding = if encoding.is_some() { recoding } else { rule.plan(head, fields, false) };
        Some((recoding, encoding.map(Box::new)))
    }

    /// Makes output of what was received, through the coding; false when that takes more.
    pub(super) fn take_encoded(&mut self) -> Result<bool, End> {
        let (received, cells) = (self.conn.input.unread(), &self.worker.cells);
        let Some(encoding) = self.download.encoding.as_mut().filter(|_| !received.is_empty()) else {
            return Ok(false);
        };
        let output = &mut self.client.output;
        let (consumed, ended, trailers) = match &mut self.download.phase {
            Phase::Known(left) => {
                let count = usize::try_from(*left).map_or(received.len(), |left| left.min(received.len()));
                *left -= count as u64;
                encoding.push(received.get(..count).unwrap_or_default(), Step::More, output, cells)?;
                (count, *left == 0, Vec::new())
            }
            Phase::UntilClose => {
                encoding.push(received, Step::More, output, cells)?;
                (received.len(), false, Vec::new())
            }
            Phase::Chunked { decoder, trailers } => {
                let mut pushed = Ok(());
                let decoded = decoder.decode(received, |part| match part {
                    Part::Data(data) if pushed.is_ok() => pushed = encoding.push(data, Step::More, output, cells),
                    Part::Data(_) => {}
                    Part::Trailer(line) => keep_trailer(trailers, line),
                });
                pushed?;
                let decoded = decoded.map_err(|_bad| End::Aborted(ErrorCode::DownstreamError))?;
                (decoded.consumed, decoded.ended, if decoded.ended { std::mem::take(trailers) } else { Vec::new() })
            }
            Phase::Head | Phase::Ended | Phase::Switched => return Ok(false),
        };
        self.conn.input.consume(consumed);
        if ended {
            self.pass_trailers();
            self.end_chunks(&trailers)?;
        }
        Ok(consumed > 0)
    }

    /// Gives out what the coding holds back; false when it holds nothing.
    pub(super) fn flush_encoded(&mut self) -> Result<bool, End> {
        self.step_encoded(Step::Flush)
    }

    /// Gives out the end of the coding.
    pub(super) fn end_encoded(&mut self) -> Result<(), End> {
        if let Some(encoding) = &mut self.download.encoding {
            encoding.holds = true;
        }
        self.step_encoded(Step::End).map(drop)
    }

    fn step_encoded(&mut self, step: Step) -> Result<bool, End> {
        let Some(encoding) = self.download.encoding.as_mut().filter(|encoding| encoding.holds) else {
            return Ok(false);
        };
        encoding.push(b"", step, &mut self.client.output, &self.worker.cells)?;
        Ok(true)
    }
}
