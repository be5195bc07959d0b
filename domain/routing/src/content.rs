//! What a route does about content codings (RFC 9110, section 8.4), as data.
//!
//! Always: each part is there only when the route asks for it. Not here: what a client takes, and coding itself
//! (`adapters/http-edge`).

use std::fmt;
use std::sync::Arc;

/// Longest media type, in bytes: a type and a subtype of RFC 6838 have at most 127 characters each.
const MAX_MEDIA_TYPE: usize = 255;
/// What clients read piece by piece; compressed only where it is named.
const EVENT_STREAM: &str = "text/event-stream";
/// Messages of gRPC have a coding of their own, and its fields are no content of ours to change.
const GRPC: &str = "application/grpc";

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentCoding {
    /// RFC 8878, with the window of RFC 9659.
    Zstd,
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
}

/// How responses are compressed for clients that take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    /// Codings, the preferred one first; 1 to 3, no duplicates.
    pub encodings: Vec<ContentCoding>,
    /// Bodies that are known to be shorter stay as they are; at most 1 MiB.
    pub min_bytes: u64,
    /// What is compressed; 1 to 64, no duplicates.
    pub types: Vec<MediaRange>,
}

/// How bodies of requests are decoded for a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decompression {
    /// Decoded bytes; 1 to 1 TiB. `None`: as many as a body may have that is not coded.
    pub max_bytes: Option<u64>,
    /// Decoded bytes for each received one; 1 to 10000.
    pub max_ratio: u16,
}

/// A media type, all subtypes of a type, or those with a suffix: `text/html`, `text/*`, `application/*+json`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MediaRange(Arc<str>);

/// Why a text is no [`MediaRange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MediaRangeError {
    /// It has not the form.
    #[error("must be a media type without parameters, as text/html, text/* or application/*+json")]
    Form,
    /// gRPC has codings of its own.
    #[error("must not be a type of gRPC, which has codings of its own")]
    Grpc,
}

impl ContentCoding {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// Its registered name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The coding of this name, in any case; `x-gzip` is another name of `gzip` (RFC 9110, section 8.4.1.3).
    pub fn named(name: &[u8]) -> Option<Self> {
        let is = |known: &&Self| name.eq_ignore_ascii_case(known.as_str().as_bytes());
        if name.eq_ignore_ascii_case(b"x-gzip") { Some(Self::Gzip) } else { Self::ALL.iter().find(is).copied() }
    }

    /// Its place in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl Compression {
    /// Bytes below which compressing does more harm than good, unless said otherwise.
    pub const MIN_BYTES: u64 = 1024;
    /// Most types of one route.
    pub const MAX_TYPES: usize = 64;

    /// What is compressed, unless said otherwise: text and what is written like it.
    pub fn usual_types() -> Vec<MediaRange> {
        const USUAL: [&str; 13] = [
            "text/*",
            "application/json",
            "application/*+json",
            "application/javascript",
            "application/xml",
            "application/*+xml",
            "application/x-ndjson",
            "application/manifest+json",
            "application/wasm",
            "application/vnd.ms-fontobject",
            "font/otf",
            "font/ttf",
            "image/svg+xml",
        ];
        USUAL.iter().map(|text| MediaRange(Arc::from(*text))).collect()
    }

    /// Whether content of this type, the value of `Content-Type`, is compressed.
    pub fn takes(&self, content_type: &[u8]) -> bool {
        let end = content_type.iter().position(|&byte| byte == b';').unwrap_or(content_type.len());
        let essence = content_type.get(..end).unwrap_or_default().trim_ascii();
        let is_grpc = essence.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC.as_bytes()));
        !is_grpc && self.types.iter().any(|range| range.covers(essence))
    }
}

impl Decompression {
    /// Decoded bytes for each received one, unless said otherwise. Text seldom has more than 20.
    pub const MAX_RATIO: u16 = 100;
}

impl MediaRange {
    /// Reads one; its case makes no difference.
    ///
    /// # Errors
    /// When it has not the form, or is a type of gRPC.
    pub fn parse(text: &str) -> Result<Self, MediaRangeError> {
        let (kind, subtype) = text.split_once('/').ok_or(MediaRangeError::Form)?;
        let rest = match subtype.strip_prefix('*') {
            None => subtype,
            Some("") => "all",
            Some(suffix) => suffix.strip_prefix('+').ok_or(MediaRangeError::Form)?,
        };
        let is_name = |name: &str| {
            name.starts_with(|first: char| first.is_ascii_alphanumeric())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
        };
        if text.len() > MAX_MEDIA_TYPE || !is_name(kind) || !is_name(rest) {
            return Err(MediaRangeError::Form);
        }
        let range = text.to_ascii_lowercase();
        if range.starts_with(GRPC) { Err(MediaRangeError::Grpc) } else { Ok(Self(range.into())) }
    }

    /// As it is written, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a type without parameters is in it.
    fn covers(&self, essence: &[u8]) -> bool {
        let Some((prefix, suffix)) = self.0.split_once('*') else {
            return essence.eq_ignore_ascii_case(self.0.as_bytes());
        };
        let starts = essence.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()));
        let behind = essence.get(prefix.len()..).unwrap_or_default();
        let at = behind.len().checked_sub(suffix.len());
        let ends = at.and_then(|at| behind.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(suffix.as_bytes()));
        starts && ends && at > Some(0) && !essence.eq_ignore_ascii_case(EVENT_STREAM.as_bytes())
    }
}

impl fmt::Display for MediaRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(types: &[&str], content_type: &str) -> bool {
        let types = types.iter().map(|text| MediaRange::parse(text).unwrap()).collect();
        Compression { encodings: vec![ContentCoding::Gzip], min_bytes: 0, types }.takes(content_type.as_bytes())
    }

    #[test]
    fn codings_are_known_by_their_registered_names() {
        for (name, coding) in [
            ("gzip", Some(ContentCoding::Gzip)),
            ("X-GZip", Some(ContentCoding::Gzip)),
            ("br", Some(ContentCoding::Brotli)),
            ("ZSTD", Some(ContentCoding::Zstd)),
            ("deflate", None),
            ("identity", None),
            ("", None),
        ] {
            assert_eq!(ContentCoding::named(name.as_bytes()), coding, "{name}");
        }
        assert_eq!(ContentCoding::ALL.map(ContentCoding::index), [0, 1, 2]);
    }

    #[test]
    fn a_type_is_compared_without_its_parameters_and_case() {
        for (range, content_type, is_taken) in [
            ("text/html", "text/html", true),
            ("text/html", "Text/HTML ; charset=utf-8", true),
            ("TEXT/html", "text/html;charset=\"a;b\"", true),
            ("text/html", "text/htm", false),
            ("text/html", "text/html5", false),
            ("text/html", "", false),
            ("text/*", "text/css", true),
            ("text/*", "text/", false),
            ("text/*", "textual/css", false),
            ("application/*+json", "application/problem+json; x=1", true),
            ("application/*+json", "application/+json", false),
            ("application/*+json", "application/json", false),
            ("application/*+json", "application/problem+jsonp", false),
        ] {
            assert_eq!(takes(&[range], content_type), is_taken, "{range} {content_type}");
        }
    }

    #[test]
    fn an_event_stream_is_taken_only_where_it_is_named_and_grpc_never() {
        assert!(!takes(&["text/*"], "text/event-stream"));
        assert!(takes(&["text/*", "text/event-stream"], "Text/Event-Stream; charset=utf-8"));
        for content_type in ["application/grpc", "application/grpc+json", "Application/gRPC-Web+proto"] {
            assert!(!takes(&["application/*", "application/*+json"], content_type), "{content_type}");
        }
    }

    #[test]
    fn the_usual_types_can_be_written_in_the_config_language() {
        for range in Compression::usual_types() {
            assert_eq!(MediaRange::parse(range.as_str()), Ok(range));
        }
        let usual = Compression { encodings: Vec::new(), min_bytes: 0, types: Compression::usual_types() };
        for taken in ["text/html", "application/json", "application/ld+json", "application/atom+xml", "image/svg+xml"] {
            assert!(usual.takes(taken.as_bytes()), "{taken}");
        }
        for left in ["image/png", "application/octet-stream", "application/zip", "video/mp4", "text/event-stream"] {
            assert!(!usual.takes(left.as_bytes()), "{left}");
        }
    }

    #[test]
    fn what_is_no_media_range_is_refused() {
        let long = format!("text/{}", "a".repeat(251));
        for text in [
            "",
            "text",
            "/html",
            "text/",
            "*/*",
            "text/*json",
            "text/html;q=1",
            "text/*+",
            "te xt/a",
            "text/a/b",
            &long,
        ] {
            assert_eq!(MediaRange::parse(text), Err(MediaRangeError::Form), "{text}");
        }
        assert_eq!(MediaRange::parse("application/GRPC+proto"), Err(MediaRangeError::Grpc));
    }
}
