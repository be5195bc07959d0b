//! Content codings by the libraries themselves, and texts to put them on.

use std::io::{Read, Write};

use novagate_ports_edge::{ContentEvent, MetricVisitor};
use novagate_routing::{Compression, ContentCoding, Decompression, MediaRange};
use zstd_safe::{CCtx, DCtx, InBuffer, OutBuffer};

use crate::harness::{Edge, Setup};

/// Text that repeats itself as text does; every piece of it is another one.
pub(crate) fn text(length: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(length + 64);
    for number in 0_u64.. {
        if text.len() >= length {
            break;
        }
        let value = number.wrapping_mul(6_364_136_223_846_793_005) >> 40;
        write!(text, "{{\"id\":{number},\"name\":\"item {value}\",\"is\":true}},").unwrap();
    }
    text.truncate(length);
    text
}

/// Bytes that get no shorter.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut seed = 5_u64;
    let mut next = |_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed.to_be_bytes()[0]
    };
    (0..length).map(&mut next).collect()
}

pub(crate) fn encode(coding: ContentCoding, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        ContentCoding::Gzip => {
            flate2::read::GzEncoder::new(content, flate2::Compression::new(9)).read_to_end(&mut out).unwrap();
        }
        ContentCoding::Brotli => {
            brotli::CompressorReader::new(content, 4096, 5, 22).read_to_end(&mut out).unwrap();
        }
        ContentCoding::Zstd => {
            out.reserve(zstd_safe::compress_bound(content.len()));
            CCtx::create().compress(&mut out, content, 3).unwrap();
        }
    }
    out
}

/// Reads a coding piece by piece.
pub(crate) enum Reading {
    Gzip(Box<flate2::write::GzDecoder<Vec<u8>>>),
    Brotli(Box<brotli::DecompressorWriter<Vec<u8>>>),
    /// With whether its last frame has ended.
    Zstd(DCtx<'static>, Vec<u8>, bool),
}

impl Reading {
    pub(crate) fn new(coding: ContentCoding) -> Self {
        match coding {
            ContentCoding::Gzip => Self::Gzip(Box::new(flate2::write::GzDecoder::new(Vec::new()))),
            ContentCoding::Brotli => Self::Brotli(Box::new(brotli::DecompressorWriter::new(Vec::new(), 4096))),
            ContentCoding::Zstd => Self::Zstd(DCtx::create(), Vec::new(), false),
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Gzip(reading) => {
                reading.write_all(bytes).unwrap();
                reading.flush().unwrap();
            }
            Self::Brotli(reading) => {
                reading.write_all(bytes).unwrap();
                reading.flush().unwrap();
            }
            Self::Zstd(reading, content, has_ended) => {
                let mut input = InBuffer::around(bytes);
                loop {
                    content.reserve(200_000);
                    let (at, room) = (content.len(), content.capacity());
                    let left = reading.decompress_stream(&mut OutBuffer::around_pos(content, at), &mut input).unwrap();
                    *has_ended = left == 0;
                    if input.pos() == bytes.len() && content.len() < room {
                        break;
                    }
                }
            }
        }
    }

    /// What has come so far.
    pub(crate) fn content(&self) -> &[u8] {
        match self {
            Self::Gzip(reading) => reading.get_ref(),
            Self::Brotli(reading) => reading.get_ref(),
            Self::Zstd(_, content, _) => content,
        }
    }

    /// Whether the coding has its end.
    pub(crate) fn is_whole(&mut self) -> bool {
        match self {
            Self::Gzip(reading) => reading.try_finish().is_ok(),
            Self::Brotli(reading) => reading.close().is_ok(),
            Self::Zstd(_, _, has_ended) => *has_ended,
        }
    }
}

/// The content of a whole body.
pub(crate) fn decode(coding: ContentCoding, bytes: &[u8]) -> Vec<u8> {
    let mut reading = Reading::new(coding);
    reading.push(bytes);
    assert!(reading.is_whole(), "{coding:?}");
    reading.content().to_vec()
}

/// Compresses all that it may.
pub(crate) fn all() -> Compression {
    let types = ["text/*", "text/event-stream", "application/json", "application/octet-stream"];
    Compression {
        encodings: ContentCoding::ALL.to_vec(),
        min_bytes: 100,
        types: types.iter().map(|text| MediaRange::parse(text).unwrap()).collect(),
    }
}

/// A gateway whose route compresses all that it may.
pub(crate) fn compressing(target: &str) -> Setup {
    Setup::open(&[target]).with_forward(|forward| forward.compression = Some(Box::new(all())))
}

/// A gateway whose route decodes.
pub(crate) fn decompressing(target: &str, max_bytes: Option<u64>, max_ratio: u16) -> Setup {
    Setup::open(&[target]).with_forward(|forward| forward.decompression = Some(Decompression { max_bytes, max_ratio }))
}

/// What was counted of a coding.
pub(crate) fn counted(edge: &Edge, event: ContentEvent, coding: ContentCoding) -> u64 {
    struct Sought(ContentEvent, &'static str, u64);
    impl MetricVisitor for Sought {
        fn contents(&mut self, event: ContentEvent, coding: &'static str, count: u64) {
            if (event, coding) == (self.0, self.1) {
                self.2 = count;
            }
        }
    }
    let mut sought = Sought(event, coding.as_str(), 0);
    edge.handle.metric_source().visit(&mut sought);
    sought.2
}
