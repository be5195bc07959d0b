//! How one of several targets is chosen, as data and as text.
//!
//! Not here: choosing (`novagate_policies`).

use std::fmt;
use std::sync::Arc;

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
    fn other_texts_are_refused() {
        let long = format!("header:{}", "a".repeat(65));
        for text in ["", "Consumer", "header:", "header", "cookie:a b", "header:a:b", "cookie:\u{e9}", "ip", &long] {
            assert_eq!(HashOn::parse(text), Err(HashOnError), "{text}");
        }
    }
}
