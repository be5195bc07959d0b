//! Takes a coding off content that comes in pieces.
//!
//! Always: a step gives out a bounded number of bytes, whatever was put in; windows are bounded; content that decodes to more
//! than its rule admits is refused before any of what is too much is given out. Not here: where the bytes go (`exchange`).

use std::fmt;

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use flate2::{Decompress, FlushDecompress, Status};
use novagate_kernel::ErrorCode;
use novagate_routing::ContentCoding;
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use crate::refusal::Refusal;

/// Most bytes of one step.
const STEP: usize = 32 * 1024;
/// Decoded bytes below which it makes no difference how few bytes they came from.
const GRACE: u64 = 64 * 1024;
const GZIP_WINDOW_BITS: u8 = 15;
/// 8 MiB: what RFC 9659 admits on the web.
const ZSTD_WINDOW_BITS: u32 = 23;

const BAD: Refusal = Refusal { code: ErrorCode::BadRequest, message: "the body is not what its Content-Encoding says" };
const TOO_LARGE: Refusal = Refusal { code: ErrorCode::RequestTooLarge, message: "the decoded body is too large" };
const TOO_DENSE: Refusal =
    Refusal { code: ErrorCode::RequestTooLarge, message: "the body decodes to too many bytes for its length" };

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// What a body is decoded from, and how much of it may come out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decoding {
    pub(crate) coding: ContentCoding,
    /// Decoded bytes.
    pub(crate) max_bytes: Option<u64>,
    /// Decoded bytes for each received one.
    pub(crate) max_ratio: u16,
}

/// One coding in use.
enum State {
    Zstd(DCtx<'static>),
    Brotli(Box<Brotli>),
    Gzip(Decompress),
}

/// Where in a stream it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Inside,
    End,
}

/// What a step has come to.
struct Progress {
    consumed: usize,
    written: usize,
    place: Place,
}

/// The bytes are no content of the coding.
struct Bad;

/// A body on its way through a decoder.
pub(crate) struct ContentDecoder {
    rule: Decoding,
    state: State,
    place: Place,
    received: u64,
    decoded: u64,
    /// The last step was as long as it may be: more may come out without more being put in.
    was_full: bool,
}

impl ContentDecoder {
    /// Nothing when there is no memory for it.
    pub(crate) fn new(rule: Decoding) -> Option<Self> {
        let state = match rule.coding {
            ContentCoding::Zstd => {
                let mut context = DCtx::try_create()?;
                context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_BITS)).ok()?;
                State::Zstd(context)
            }
            ContentCoding::Brotli => State::Brotli(Box::new(brotli())),
            ContentCoding::Gzip => State::Gzip(Decompress::new_gzip(GZIP_WINDOW_BITS)),
        };
        Some(Self { rule, state, place: Place::Start, received: 0, decoded: 0, was_full: false })
    }

    pub(crate) const fn coding(&self) -> ContentCoding {
        self.rule.coding
    }

    /// Whether more may come out without more being put in.
    pub(crate) const fn was_full(&self) -> bool {
        self.was_full
    }

    /// Decodes from the front of `data`, puts what comes out in the place of what is in `piece`, and says how many bytes are
    /// done with.
    pub(crate) fn decode(&mut self, data: &[u8], piece: &mut Vec<u8>) -> Result<usize, Refusal> {
        piece.resize(STEP, 0);
        let step = self.step(data, piece).map_err(|Bad| BAD)?;
        // An empty step that could have done something would be done for ever.
        if step.consumed == 0 && step.written == 0 && !data.is_empty() {
            return Err(BAD);
        }
        piece.truncate(step.written);
        self.place = step.place;
        self.was_full = step.written == STEP;
        self.received += step.consumed as u64;
        self.decoded += step.written as u64;
        if self.rule.max_bytes.is_some_and(|most| self.decoded > most) {
            return Err(TOO_LARGE);
        }
        let most = self.received.saturating_mul(u64::from(self.rule.max_ratio)).max(GRACE);
        if self.decoded > most {
            return Err(TOO_DENSE);
        }
        Ok(step.consumed)
    }

    /// Nothing more will be put in. No bytes at all are no content.
    pub(crate) fn end(&self) -> Result<(), Refusal> {
        if self.place == Place::Inside { Err(BAD) } else { Ok(()) }
    }

    fn step(&mut self, data: &[u8], room: &mut [u8]) -> Result<Progress, Bad> {
        if self.place != Place::Inside && data.is_empty() {
            return Ok(Progress { consumed: 0, written: 0, place: self.place });
        }
        match &mut self.state {
            State::Zstd(context) => step_zstd(context, data, room),
            // Behind its end there is nothing.
            State::Brotli(_) if self.place == Place::End => Err(Bad),
            State::Brotli(state) => step_brotli(state, data, room),
            State::Gzip(state) => {
                // A file of gzip has one member after the other (RFC 1952, section 2.2).
                if self.place == Place::End {
                    *state = Decompress::new_gzip(GZIP_WINDOW_BITS);
                }
                step_gzip(state, data, room)
            }
        }
    }
}

impl fmt::Debug for ContentDecoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ContentDecoder").field("rule", &self.rule).finish_non_exhaustive()
    }
}

/// Without the large windows that no RFC knows.
fn brotli() -> Brotli {
    let alloc = StandardAlloc::default;
    BrotliState::<StandardAlloc, StandardAlloc, StandardAlloc>::new_strict(alloc(), alloc(), alloc())
}

fn step_zstd(context: &mut DCtx<'static>, data: &[u8], room: &mut [u8]) -> Result<Progress, Bad> {
    let (mut input, mut output) = (InBuffer::around(data), OutBuffer::around(room));
    let left = context.decompress_stream(&mut output, &mut input).map_err(|_code| Bad)?;
    let place = if left == 0 { Place::End } else { Place::Inside };
    Ok(Progress { consumed: input.pos(), written: output.pos(), place })
}

fn step_brotli(state: &mut Brotli, data: &[u8], room: &mut [u8]) -> Result<Progress, Bad> {
    let (mut left, mut consumed, mut free, mut written, mut total) = (data.len(), 0, room.len(), 0, 0);
    let result =
        BrotliDecompressStream(&mut left, &mut consumed, data, &mut free, &mut written, room, &mut total, state);
    let place = match result {
        BrotliResult::ResultSuccess => Place::End,
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => Place::Inside,
        BrotliResult::ResultFailure => return Err(Bad),
    };
    Ok(Progress { consumed, written, place })
}

fn step_gzip(state: &mut Decompress, data: &[u8], room: &mut [u8]) -> Result<Progress, Bad> {
    let (total_in, total_out) = (state.total_in(), state.total_out());
    let status = state.decompress(data, room, FlushDecompress::None).map_err(|_fault| Bad)?;
    let count = |now: u64, before: u64| usize::try_from(now - before).map_err(|_far| Bad);
    Ok(Progress {
        consumed: count(state.total_in(), total_in)?,
        written: count(state.total_out(), total_out)?,
        place: if status == Status::StreamEnd { Place::End } else { Place::Inside },
    })
}

#[cfg(test)]
mod tests;
