//! What a route does about content codings: bodies, tables and conversion.

use novagate_ports_control::inbound::FieldFault;
use novagate_routing::{Compression, ContentCoding, Decompression, MediaRange};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::convert::at_pointer;
use super::rules;
use super::shapes::{nullable, optional};
use crate::shape::Shape;

/// How responses are compressed for clients that take it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompressionBody {
    /// Codings, the preferred one first; missing: all of them.
    #[serde(default = "EncodingWord::all")]
    #[schema(min_items = 1, max_items = 3)]
    pub encodings: Vec<EncodingWord>,
    /// Bodies that are known to be shorter stay as they are.
    #[serde(default = "min_bytes")]
    #[schema(maximum = 1_048_576, default = 1024)]
    pub min_bytes: u64,
    /// What is compressed: media types, `text/*`, `application/*+json`; missing: text and what is written like it.
    #[serde(default = "types")]
    #[schema(min_items = 1, max_items = 64, example = json!(["text/*", "application/json"]))]
    pub types: Vec<String>,
}

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EncodingWord {
    /// Zstandard.
    Zstd,
    /// Brotli.
    Br,
    /// gzip.
    Gzip,
}

/// How bodies of requests that are `gzip`, `br` or `zstd` are decoded for the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecompressionBody {
    /// Decoded bytes of a body; missing: as many as a body may have that is not coded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_099_511_627_776_u64)]
    pub max_bytes: Option<u64>,
    /// Decoded bytes for each received one.
    #[serde(default = "max_ratio")]
    #[schema(minimum = 1, maximum = 10_000, default = 100)]
    pub max_ratio: u16,
}

static ENCODING: Shape = Shape::Word(&["zstd", "br", "gzip"]);
static TYPE: Shape = Shape::Text(rules::media_range);

pub(super) const COMPRESSION: Shape = Shape::Object(&[
    optional("encodings", Shape::List { of: &ENCODING, min: 1, max: 3, distinct: true }),
    optional("minBytes", Shape::Integer { min: 0, max: 1 << 20 }),
    optional("types", Shape::List { of: &TYPE, min: 1, max: 64, distinct: true }),
]);

pub(super) const DECOMPRESSION: Shape = Shape::Object(&[
    nullable("maxBytes", Shape::Integer { min: 1, max: 1 << 40 }),
    optional("maxRatio", Shape::Integer { min: 1, max: 10_000 }),
]);

pub(super) fn compression(body: &CompressionBody) -> Result<Compression, FieldFault> {
    let range =
        |(at, text): (usize, &String)| at_pointer(MediaRange::parse(text), || format!("/compression/types/{at}"));
    Ok(Compression {
        encodings: body.encodings.iter().map(|&word| word.into()).collect(),
        min_bytes: body.min_bytes,
        types: body.types.iter().enumerate().map(range).collect::<Result<_, _>>()?,
    })
}

pub(super) const fn decompression(body: &DecompressionBody) -> Decompression {
    Decompression { max_bytes: body.max_bytes, max_ratio: body.max_ratio }
}

impl From<&Compression> for CompressionBody {
    fn from(rule: &Compression) -> Self {
        Self {
            encodings: rule.encodings.iter().map(|&coding| coding.into()).collect(),
            min_bytes: rule.min_bytes,
            types: rule.types.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<Decompression> for DecompressionBody {
    fn from(rule: Decompression) -> Self {
        Self { max_bytes: rule.max_bytes, max_ratio: rule.max_ratio }
    }
}

impl From<EncodingWord> for ContentCoding {
    fn from(word: EncodingWord) -> Self {
        match word {
            EncodingWord::Zstd => Self::Zstd,
            EncodingWord::Br => Self::Brotli,
            EncodingWord::Gzip => Self::Gzip,
        }
    }
}

impl From<ContentCoding> for EncodingWord {
    fn from(coding: ContentCoding) -> Self {
        match coding {
            ContentCoding::Zstd => Self::Zstd,
            ContentCoding::Brotli => Self::Br,
            ContentCoding::Gzip => Self::Gzip,
        }
    }
}

impl EncodingWord {
    fn all() -> Vec<Self> {
        vec![Self::Zstd, Self::Br, Self::Gzip]
    }
}

const fn min_bytes() -> u64 {
    Compression::MIN_BYTES
}

fn types() -> Vec<String> {
    Compression::usual_types().iter().map(ToString::to_string).collect()
}

const fn max_ratio() -> u16 {
    Decompression::MAX_RATIO
}
