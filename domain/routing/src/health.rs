//! How targets are probed, as data and as text.
//!
//! Not here: probing (`adapters/http-edge`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// An active health probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked, and which answer is a good one.
    pub kind: ProbeKind,
    /// Time between probes of one target; 1 s to 1 h.
    pub interval: Duration,
    /// How long a probe may take, its connection included; 1 ms to 1 min.
    pub timeout: Duration,
    /// Bad probes in a row after which a target is taken out; 1 to 100.
    pub unhealthy_threshold: u8,
    /// Good probes in a row after which it is taken in again; 1 to 100.
    pub healthy_threshold: u8,
    /// By which share of `interval` a pause is shorter or longer, by chance; 0 to 100.
    pub jitter_percent: u8,
}

/// What is asked, and which answer is a good one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeKind {
    /// A GET.
    Http(HttpProbe),
    /// A connection, over TLS where requests are.
    Tcp,
    /// `grpc.health.v1.Health/Check`, over HTTP/2.
    Grpc {
        /// The service that is asked for, 1 to 255 visible ASCII characters; `None`: the server as a whole.
        service: Option<Arc<str>>,
    },
}

/// A GET, and which statuses are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProbe {
    /// Origin-form path.
    pub path: Arc<str>,
    /// The value of `Host`; `None`: the target's.
    pub host: Option<Arc<str>>,
    /// Good statuses; at most 16 ranges. Empty: 200 to 299.
    pub expect: Vec<StatusRange>,
}

/// Statuses from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatusRange {
    /// 200 to 599.
    pub first: u16,
    /// `first` to 599.
    pub last: u16,
}

/// The text is neither a status nor a range of statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a status from 200 to 599, or two with a hyphen between, the lower one first")]
pub struct StatusRangeError;

impl HealthCheck {
    /// How long a probe may take, unless said otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(5);
    /// Bad probes in a row that take a target out, unless said otherwise.
    pub const UNHEALTHY: u8 = 3;
    /// Good probes in a row that take it in again, unless said otherwise.
    pub const HEALTHY: u8 = 2;
    /// The share of a pause that is left to chance, unless said otherwise.
    pub const JITTER: u8 = 10;

    /// A probe of this kind so often; everything else as usual.
    pub const fn every(interval: Duration, kind: ProbeKind) -> Self {
        Self {
            kind,
            interval,
            timeout: Self::TIMEOUT,
            unhealthy_threshold: Self::UNHEALTHY,
            healthy_threshold: Self::HEALTHY,
            jitter_percent: Self::JITTER,
        }
    }
}

impl ProbeKind {
    /// A GET of this path; statuses from 200 to 299 are good.
    pub fn get(path: impl Into<Arc<str>>) -> Self {
        Self::Http(HttpProbe { path: path.into(), host: None, expect: Vec::new() })
    }
}

impl HttpProbe {
    /// Whether this status is a good one.
    pub fn expects(&self, status: u16) -> bool {
        let is_in = |range: &StatusRange| (range.first..=range.last).contains(&status);
        self.expect.iter().any(is_in) || (self.expect.is_empty() && (200..300).contains(&status))
    }
}

impl StatusRange {
    /// Reads `204` or `200-299`.
    pub fn parse(text: &str) -> Result<Self, StatusRangeError> {
        let status = |text: &str| {
            let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| digits).ok_or(StatusRangeError)
        };
        let range = match text.split_once('-') {
            Some((first, last)) => Self { first: status(first)?, last: status(last)? },
            None => Self { first: status(text)?, last: status(text)? },
        };
        if range.is_valid() { Ok(range) } else { Err(StatusRangeError) }
    }

    /// Whether it is one of final statuses.
    pub const fn is_valid(self) -> bool {
        200 <= self.first && self.first <= self.last && self.last <= 599
    }
}

/// [`StatusRange::parse`] reads it back.
impl fmt::Display for StatusRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(formatter, "{}", self.first);
        }
        write!(formatter, "{}-{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_or_a_range_of_them_is_read_and_written() {
        for (text, first, last) in [("200", 200, 200), ("200-299", 200, 299), ("404-404", 404, 404), ("599", 599, 599)]
        {
            let range = StatusRange::parse(text).unwrap();
            assert_eq!(range, StatusRange { first, last });
            assert_eq!(StatusRange::parse(&range.to_string()), Ok(range));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "-", "20", "199", "600", "0200", "299-200", "200-", "-200", "+20", "200 - 299", "2xx", "200-300-400"]
        {
            assert_eq!(StatusRange::parse(text), Err(StatusRangeError), "{text}");
        }
    }

    #[test]
    fn without_a_list_2xx_is_good_and_with_one_nothing_else() {
        let ProbeKind::Http(mut probe) = ProbeKind::get("/") else { panic!("a GET") };
        assert_eq!([199, 200, 299, 300, 404].map(|status| probe.expects(status)), [false, true, true, false, false]);
        probe.expect = vec![StatusRange { first: 300, last: 399 }, StatusRange { first: 404, last: 404 }];
        assert_eq!([200, 300, 399, 404, 405].map(|status| probe.expects(status)), [false, true, true, true, false]);
    }
}
