//! Host patterns, and the form that host names have in this crate.
//!
//! Decides which texts name a host. Always: names are in lower case without a dot at the end, addresses in their canonical
//! text. Not here: ports, which no pattern has; which of several patterns wins (`table`).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Longest host name, in bytes (RFC 1035, without the dot at the end).
pub(crate) const MAX_HOST_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// The host criterion of a route: `api.example.com`, `10.0.0.1`, `[2001:db8::1]`, or `*.example.com`.
///
/// `*.example.com` matches one or more labels in front: `a.example.com` and `a.b.example.com`, not `example.com`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPattern(Arc<str>);

/// Which rule of [`HostPattern`] a text breaks; `at` is the offset of the byte where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    /// Nothing at all, or nothing behind `*.`.
    #[error("a host must not be empty; leave the list empty to match any host")]
    Empty,
    /// More than 253 bytes.
    #[error("a host has at most {MAX_HOST_BYTES} bytes")]
    TooLong,
    /// A label that is empty (also: a dot at either end) or longer than 63 bytes.
    #[error("byte {at}: a label has 1 to {MAX_LABEL_BYTES} bytes")]
    BadLabel {
        /// Where the label begins.
        at: usize,
    },
    /// An upper-case letter.
    #[error("byte {at}: hosts are written in lower case")]
    UpperCase {
        /// Its offset.
        at: usize,
    },
    /// A port, or an IPv6 address without brackets.
    #[error("byte {at}: a host has no port, and an IPv6 address stands in brackets")]
    Colon {
        /// Its offset.
        at: usize,
    },
    /// Another character outside `a-z 0-9 - _ .`, or a hyphen at an end of a label.
    #[error("byte {at}: labels have letters, digits, _ and inner hyphens; other scripts are written as xn--")]
    BadByte {
        /// Its offset.
        at: usize,
    },
    /// A `*` that is not the whole first label.
    #[error("byte {at}: * is the whole first label, as in *.example.com; leave the list empty to match any host")]
    StrayStar {
        /// Its offset.
        at: usize,
    },
    /// The last label is a number, and the text is no IPv4 address; or brackets enclose no IPv6 address.
    #[error("an address is written in its canonical form, as 10.0.0.1 or [2001:db8::1]")]
    BadAddress,
}

impl HostPattern {
    /// Reads a pattern, or says which rule it breaks where.
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        if text.len() > MAX_HOST_BYTES {
            return Err(HostPatternError::TooLong);
        }
        match text.strip_prefix("*.") {
            Some(suffix) if is_numeric(suffix) => return Err(HostPatternError::BadAddress),
            Some(suffix) => check_name(suffix, 2)?,
            None if text.starts_with('[') => check_literal(text)?,
            None => check_name(text, 0)?,
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it begins with `*.`.
    pub fn is_wildcard(&self) -> bool {
        self.suffix().is_some()
    }

    /// What follows `*.` in a wildcard.
    pub fn suffix(&self) -> Option<&str> {
        self.0.strip_prefix("*.")
    }

    /// The address in an IPv6 pattern.
    pub(crate) fn ipv6(&self) -> Option<Ipv6Addr> {
        bracketed(&self.0)
    }

    /// Whether it matches a request's host, given without port: without regard to case and one dot at the end; IPv6
    /// addresses by value, with or without brackets. This is the meaning of a pattern; `RouteTable` agrees with it.
    pub fn matches(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        match (self.ipv6(), self.suffix()) {
            (Some(address), _) => ipv6_of(host) == Some(address),
            (None, None) => host.eq_ignore_ascii_case(&self.0),
            (None, Some(suffix)) => host
                .len()
                .checked_sub(suffix.len() + 1)
                .filter(|&dot| dot > 0)
                .and_then(|dot| host.split_at_checked(dot))
                .and_then(|(_, rest)| rest.strip_prefix('.'))
                .is_some_and(|rest| rest.eq_ignore_ascii_case(suffix)),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "HostPattern({})", self.0)
    }
}

/// The host in an authority `host[:port]`, as `RouteTable::find` takes it. Text without a valid port comes back whole.
pub fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        // The last colon of a bare IPv6 address is no separator, that of a bracketed one only behind the bracket.
        Some((host, port))
            if port.bytes().all(|digit| digit.is_ascii_digit()) && (!host.contains(':') || host.ends_with(']')) =>
        {
            host
        }
        _ => authority,
    }
}

/// The IPv6 address that a host without port is, with or without brackets.
pub(crate) fn ipv6_of(host: &str) -> Option<Ipv6Addr> {
    bracketed(host).or_else(|| host.parse().ok())
}

fn bracketed(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

fn check_literal(text: &str) -> Result<(), HostPatternError> {
    match bracketed(text) {
        Some(address) if format!("[{address}]") == text => Ok(()),
        _ => Err(HostPatternError::BadAddress),
    }
}

/// Checks a DNS name or an IPv4 address that begins at byte `start` of what was given.
pub(crate) fn check_name(name: &str, start: usize) -> Result<(), HostPatternError> {
    if name.is_empty() {
        return Err(HostPatternError::Empty);
    }
    let mut at = start;
    for label in name.split('.') {
        check_label(label, at)?;
        at += label.len() + 1;
    }
    // Resolvers and URL parsers read a name that ends in a number as an address.
    match name.parse::<Ipv4Addr>() {
        Err(_) if is_numeric(name) => Err(HostPatternError::BadAddress),
        _ => Ok(()),
    }
}

fn check_label(label: &str, start: usize) -> Result<(), HostPatternError> {
    for (index, octet) in label.bytes().enumerate() {
        let at = start + index;
        let at_end = index == 0 || index + 1 == label.len();
        match octet {
            b'a'..=b'z' | b'0'..=b'9' | b'_' => {}
            b'-' if !at_end => {}
            b'A'..=b'Z' => return Err(HostPatternError::UpperCase { at }),
            b':' => return Err(HostPatternError::Colon { at }),
            b'*' => return Err(HostPatternError::StrayStar { at }),
            _ => return Err(HostPatternError::BadByte { at }),
        }
    }
    if label.is_empty() || label.len() > MAX_LABEL_BYTES {
        return Err(HostPatternError::BadLabel { at: start });
    }
    Ok(())
}

/// Whether the last label is a number, decimal or `0x`, as `inet_aton` and URL parsers read it.
fn is_numeric(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let decimal = !last.is_empty() && last.bytes().all(|octet| octet.is_ascii_digit());
    decimal || last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|octet| octet.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests;
