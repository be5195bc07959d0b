//! Puts a coding on content that comes in pieces.
//!
//! Always: what was given so far can be decoded by the other side after a flush; memory is at most what docs/adr/0031 says for
//! each coding. Not here: when to flush (`exchange`).

use std::fmt;

use brotli::enc::StandardAlloc;
use brotli::enc::encode::{BrotliEncoderOperation, BrotliEncoderParameter, BrotliEncoderStateStruct};
use flate2::{Compress, Compression, FlushCompress, Status};
use novagate_routing::ContentCoding;
use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer};

/// Room that an encoder is given at a time.
const ROOM: usize = 16 * 1024;
const GZIP_LEVEL: u32 = 5;
/// The largest that there is.
const GZIP_WINDOW_BITS: u8 = 15;
const BROTLI_QUALITY: u32 = 4;
const BROTLI_WINDOW_BITS: u32 = 16;
const ZSTD_LEVEL: i32 = 3;
/// Windows and tables of 64 to 128 KiB: twice the window costs twice the memory and saves a twentieth of the bytes.
const ZSTD_WINDOW_BITS: u32 = 16;
const ZSTD_HASH_BITS: u32 = 15;
const ZSTD_CHAIN_BITS: u32 = 14;

/// What is done with what an encoder holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It stays, for the sake of what comes.
    More,
    /// It is given out.
    Flush,
    /// It is given out, and nothing comes behind it.
    End,
}

/// An encoder does not do what it is made for: a defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EncoderFault;

/// One coding in use.
pub(crate) enum Encoder {
    Zstd(CCtx<'static>),
    Brotli(Box<BrotliEncoderStateStruct<StandardAlloc>>),
    Gzip(Compress),
}

impl Encoder {
    /// For content of this length, if that is known. Nothing when there is no memory for it.
    pub(crate) fn new(coding: ContentCoding, length: Option<u64>) -> Option<Self> {
        Some(match coding {
            ContentCoding::Zstd => Self::Zstd(zstd(length)?),
            ContentCoding::Brotli => {
                let mut state = BrotliEncoderStateStruct::new(StandardAlloc::default());
                state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_QUALITY, BROTLI_QUALITY);
                state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_LGWIN, BROTLI_WINDOW_BITS);
                Self::Brotli(Box::new(state))
            }
            ContentCoding::Gzip => Self::Gzip(Compress::new_gzip(Compression::new(GZIP_LEVEL), GZIP_WINDOW_BITS)),
        })
    }

    /// Takes all of `data` and adds what comes out to `out`.
    pub(crate) fn encode(&mut self, data: &[u8], step: Step, out: &mut Vec<u8>) -> Result<(), EncoderFault> {
        match self {
            Self::Zstd(context) => encode_zstd(context, data, step, out),
            Self::Brotli(state) => encode_brotli(state, data, step, out),
            Self::Gzip(state) => encode_gzip(state, data, step, out),
        }
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Encoder")
    }
}

fn zstd(length: Option<u64>) -> Option<CCtx<'static>> {
    let mut context = CCtx::try_create()?;
    for parameter in [
        CParameter::CompressionLevel(ZSTD_LEVEL),
        CParameter::WindowLog(ZSTD_WINDOW_BITS),
        CParameter::HashLog(ZSTD_HASH_BITS),
        CParameter::ChainLog(ZSTD_CHAIN_BITS),
    ] {
        context.set_parameter(parameter).ok()?;
    }
    context.set_pledged_src_size(length).ok()?;
    Some(context)
}

fn encode_zstd(context: &mut CCtx<'static>, data: &[u8], step: Step, out: &mut Vec<u8>) -> Result<(), EncoderFault> {
    let directive = match step {
        Step::More => ZSTD_EndDirective::ZSTD_e_continue,
        Step::Flush => ZSTD_EndDirective::ZSTD_e_flush,
        Step::End => ZSTD_EndDirective::ZSTD_e_end,
    };
    let mut input = InBuffer::around(data);
    loop {
        out.reserve(ROOM);
        let at = out.len();
        let left = context
            .compress_stream2(&mut OutBuffer::around_pos(out, at), &mut input, directive)
            .map_err(|_code| EncoderFault)?;
        if input.pos() == data.len() && (step == Step::More || left == 0) {
            return Ok(());
        }
    }
}

fn encode_brotli(
    state: &mut BrotliEncoderStateStruct<StandardAlloc>,
    data: &[u8],
    step: Step,
    out: &mut Vec<u8>,
) -> Result<(), EncoderFault> {
    let operation = match step {
        Step::More => BrotliEncoderOperation::BROTLI_OPERATION_PROCESS,
        Step::Flush => BrotliEncoderOperation::BROTLI_OPERATION_FLUSH,
        Step::End => BrotliEncoderOperation::BROTLI_OPERATION_FINISH,
    };
    let (mut left, mut at) = (data.len(), 0);
    loop {
        // Its output is taken from where it keeps it.
        let (mut no_room, mut none_written) = (0, 0);
        let is_well = state.compress_stream(
            operation,
            &mut left,
            data,
            &mut at,
            &mut no_room,
            &mut [],
            &mut none_written,
            &mut None,
            &mut |_, _, _, _| (),
        );
        if !is_well {
            return Err(EncoderFault);
        }
        let before = out.len();
        while state.has_more_output() {
            let mut size = 0;
            let piece = state.take_output(&mut size);
            out.extend_from_slice(piece.get(..size).ok_or(EncoderFault)?);
        }
        let has_ended = left == 0 && (step != Step::End || state.is_finished());
        if has_ended && out.len() == before {
            return Ok(());
        }
    }
}

fn encode_gzip(state: &mut Compress, data: &[u8], step: Step, out: &mut Vec<u8>) -> Result<(), EncoderFault> {
    let flush = match step {
        Step::More => FlushCompress::None,
        Step::Flush => FlushCompress::Sync,
        Step::End => FlushCompress::Finish,
    };
    let mut rest = data;
    loop {
        out.reserve(ROOM);
        let (taken, room) = (state.total_in(), out.capacity() - out.len());
        let before = out.len();
        let status = state.compress_vec(rest, out, flush).map_err(|_fault| EncoderFault)?;
        let taken = usize::try_from(state.total_in() - taken).map_err(|_far| EncoderFault)?;
        rest = rest.get(taken..).ok_or(EncoderFault)?;
        // With room left it has given out everything.
        let has_room = out.len() - before < room;
        if status == Status::StreamEnd || (rest.is_empty() && has_room && step != Step::End) {
            return Ok(());
        }
        if taken == 0 && out.len() == before {
            return Err(EncoderFault);
        }
    }
}

#[cfg(test)]
mod tests;
