//! How one of several targets is chosen, as data and as text.
//!
//! Not here: choosing (`novagate_policies`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How one of several targets is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LoadBalancing {
    /// Smooth weighted round-robin.
    #[default]
    RoundRobin,
    /// The target with the fewest running requests for its weight.
    LeastConnections,
    /// Of two targets picked by weight, the one that is expected to answer sooner.
    Latency,
    /// The same target for the same value, as long as it takes traffic.
    ConsistentHash(HashOn),
}

/// Which targets are chosen rather than others, and which less often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preference {
    /// For how long a target that has come, or come back, gets less than its share; 1 s to 1 h, not with a consistent hash.
    /// `None`: it gets all of it at once.
    pub slow_start: Option<Duration>,
    /// Targets in the gateway's own zone are preferred while this share of them takes traffic, and at least one does; 0 to 100.
    pub zone_min_percent: u8,
}

/// What requests have in common that go to the same target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashOn {
    /// The consumer.
    Consumer,
    /// The first value of a request header; its name in lower case.
    Header(Arc<str>),
    /// The value of a cookie (RFC 6265, section 4.2); its name counts with its case.
    Cookie(Arc<str>),
}

/// The text is neither `consumer`, nor `header:NAME`, nor `cookie:NAME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be consumer, header:NAME or cookie:NAME, with a NAME of at most {MAX_NAME} characters (RFC 9110, section 5.6.2)"
)]
pub struct HashOnError;

/// Longest name of a header or cookie.
const MAX_NAME: usize = 64;

impl Preference {
    /// The share that holds unless said otherwise.
    pub const ZONE_MIN_PERCENT: u8 = 50;
}

impl Default for Preference {
    fn default() -> Self {
        Self { slow_start: None, zone_min_percent: Self::ZONE_MIN_PERCENT }
    }
}

/// Longest name of a zone.
const MAX_ZONE: usize = 63;

/// Whether a text names a zone: 1 to 63 letters, digits, hyphens, dots and underscores. Its case counts.
pub fn is_zone(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (1..=MAX_ZONE).contains(&text.len()) && text.bytes().all(fits)
}

impl HashOn {
    /// Reads `consumer`, `header:NAME` or `cookie:NAME`; the case of a header's name makes no difference.
    pub fn parse(text: &str) -> Result<Self, HashOnError> {
        let name = |name: &str| {
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            let fits = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_token);
            fits.then(|| Arc::from(name)).ok_or(HashOnError)
        };
        match text.split_once(':') {
            None if text == "consumer" => Ok(Self::Consumer),
            Some(("header", header)) => name(&header.to_ascii_lowercase()).map(Self::Header),
            Some(("cookie", cookie)) => name(cookie).map(Self::Cookie),
            _ => Err(HashOnError),
        }
    }
}

/// [`HashOn::parse`] reads it back.
impl fmt::Display for HashOn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consumer => formatter.write_str("consumer"),
            Self::Header(name) => write!(formatter, "header:{name}"),
            Self::Cookie(name) => write!(formatter, "cookie:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_in_one_form() {
        for (text, written) in
            [("consumer", "consumer"), ("header:X-User", "header:x-user"), ("cookie:SID", "cookie:SID")]
        {
            let read = HashOn::parse(text).unwrap();
            assert_eq!(read.to_string(), written);
            assert_eq!(HashOn::parse(written), Ok(read));
        }
    }

    #[test]
    fn a_zone_is_a_short_label() {
        let long = "a".repeat(64);
        assert!(["a", "eu-west_1.b", "Z9", &long[1..]].into_iter().all(is_zone));
        assert!(!["", "a b", "a/b", "\u{e9}", &long].into_iter().any(is_zone));
    }

    #[test]
    fn other_texts_are_refused() {
        let long = format!("header:{}", "a".repeat(65));
        for text in ["", "Consumer", "header:", "header", "cookie:a b", "header:a:b", "cookie:\u{e9}", "ip", &long] {
            assert_eq!(HashOn::parse(text), Err(HashOnError), "{text}");
        }
    }
}
