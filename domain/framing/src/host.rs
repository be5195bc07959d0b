//! The authority `host[:port]` of a Host field or an absolute target.
//!
//! Decides which hosts are names: an IPv6 literal in brackets, or a name of letters, digits, `-`, `_` in non-empty labels
//! (one dot at the end is allowed), where four labels of digits must be an IPv4 address. A port has one to five digits and
//! is at most 65535. Always: no userinfo, path, list, zone or percent-encoding passes. Not here: which hosts are served.

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::tables::{self, HOST};

/// The longest name in the domain name system.
const MAX_NAME_BYTES: usize = 255;
/// The longest text of an IPv6 address.
const MAX_IPV6_BYTES: usize = 45;
/// The longest text that is remembered.
const KNOWN_BYTES: usize = 48;

/// A valid authority.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Authority<'a> {
    host: HostName<'a>,
    port: Option<u16>,
}

#[derive(Debug, Clone, Copy)]
enum HostName<'a> {
    Named(&'a [u8]),
    V6(Ipv6Addr),
}

/// The host that a connection has named last, if it was valid and is not long: nearly all of its requests name it again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownHost {
    text: [u8; KNOWN_BYTES],
    len: usize,
}

impl KnownHost {
    /// None yet.
    pub(crate) const fn new() -> Self {
        Self { text: [0; KNOWN_BYTES], len: 0 }
    }

    /// Whether the text is a valid authority.
    pub(crate) fn admits(&mut self, text: &[u8]) -> bool {
        if !text.is_empty() && self.text.get(..self.len) == Some(text) {
            return true;
        }
        let is_valid = Authority::parse(text).is_some();
        if let Some(place) = self.text.get_mut(..text.len()).filter(|_| is_valid) {
            place.copy_from_slice(text);
            self.len = text.len();
        }
        is_valid
    }
}

impl<'a> Authority<'a> {
    /// The authority in this text, or nothing when it is not valid.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let (host, rest) = match text.strip_prefix(b"[") {
            Some(literal) => bracketed(literal)?,
            None => named(text)?,
        };
        let port = match rest.strip_prefix(b":") {
            Some(digits) => Some(decimal_port(digits)?),
            None if rest.is_empty() => None,
            None => return None,
        };
        Some(Self { host, port })
    }

    /// Whether both name the same host and port. Names are compared without case, IPv6 addresses by value, and a missing
    /// port is the default one.
    pub(crate) fn same_as(&self, other: &Self, default_port: u16) -> bool {
        let hosts_equal = match (self.host, other.host) {
            (HostName::Named(mine), HostName::Named(theirs)) => mine.eq_ignore_ascii_case(theirs),
            (HostName::V6(mine), HostName::V6(theirs)) => mine == theirs,
            (HostName::Named(_), HostName::V6(_)) | (HostName::V6(_), HostName::Named(_)) => false,
        };
        hosts_equal && self.port.unwrap_or(default_port) == other.port.unwrap_or(default_port)
    }
}

/// An IPv6 literal behind its opening bracket, and what follows the closing one.
fn bracketed(literal: &[u8]) -> Option<(HostName<'_>, &[u8])> {
    let close = literal.iter().take(MAX_IPV6_BYTES + 1).position(|&byte| byte == b']')?;
    let (address, rest) = literal.split_at_checked(close)?;
    let address: Ipv6Addr = core::str::from_utf8(address).ok()?.parse().ok()?;
    Some((HostName::V6(address), rest.get(1..)?))
}

/// A registered name or IPv4 address, and what follows it.
fn named(text: &[u8]) -> Option<(HostName<'_>, &[u8])> {
    let (name, rest) = text.split_at_checked(tables::end_of_run(text, 0, HOST))?;
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return None;
    }
    let labels = name.strip_suffix(b".").unwrap_or(name);
    let (mut count, mut is_numeric, mut label_len) = (1, true, 0);
    for &byte in labels {
        if byte == b'.' {
            if label_len == 0 {
                return None;
            }
            (count, label_len) = (count + 1, 0);
        } else {
            is_numeric &= byte.is_ascii_digit();
            label_len += 1;
        }
    }
    let is_broken = label_len == 0 || (is_numeric && count == 4 && !is_ipv4(labels));
    (!is_broken).then_some((HostName::Named(name), rest))
}

fn is_ipv4(text: &[u8]) -> bool {
    core::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv4Addr>().is_ok())
}

fn decimal_port(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let port = digits.iter().fold(0_u32, |port, digit| port * 10 + u32::from(digit - b'0'));
    u16::try_from(port).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_authorities_pass() {
        for text in [
            "a",
            "localhost",
            "shop.example",
            "shop.example.",
            "SHOP.example:0",
            "a_b-c.d:65535",
            "1.2.3.4",
            "1.2.3.4:80",
            "1",
            "127.1",
            "1.2.3.4.5",
            "[::1]",
            "[::1]:8000",
            "[1:2:3:4:5:6:7:8]",
            "[::ffff:1.2.3.4]:1",
            "xn--bcher-kva.example:00080",
        ] {
            assert!(Authority::parse(text.as_bytes()).is_some(), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            ":",
            ":80",
            "a:",
            "a:b",
            "a:-1",
            "a:+1",
            "a:65536",
            "a:000080",
            "a:80:80",
            "a b",
            "a,b",
            "a/b",
            "/",
            "user@host",
            "u:p@host",
            "a?b",
            "a#b",
            "a%41",
            "a;b",
            "a\\b",
            ".",
            "..",
            ".a",
            "a..b",
            "a..",
            "256.1.1.1",
            "1.2.3.04",
            "1.2.3.4 ",
            "[",
            "[]",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:",
            "[::1%25eth0]",
            "[v1.a]",
            "[1.2.3.4]",
            "[::1]]",
            "[[::1]]",
            "b\u{fc}cher.example",
        ] {
            assert!(Authority::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(Authority::parse(&[b'a'; 256]).is_none());
        assert!(Authority::parse(&[b'a'; 255]).is_some());
    }

    #[test]
    fn what_was_valid_before_does_not_make_another_text_valid() {
        let mut known = KnownHost::new();
        assert!(!known.admits(b""));
        for text in ["shop.example", "shop.example", "shop.example:80", "[::1]", "a"] {
            assert!(known.admits(text.as_bytes()), "{text}");
        }
        for text in ["", "a:", "a..b", "shop.example:", "shop example"] {
            assert!(!known.admits(text.as_bytes()), "{text}");
        }
        let long = [b'a'; KNOWN_BYTES + 1];
        assert!(known.admits(&long) && known.admits(b"a") && known.admits(&long));
        assert!(!known.admits(&[b'.'; KNOWN_BYTES + 1]));
    }

    #[test]
    fn equality_ignores_case_and_default_ports() {
        let same = |left: &str, right: &str, port| {
            let left = Authority::parse(left.as_bytes()).unwrap();
            left.same_as(&Authority::parse(right.as_bytes()).unwrap(), port)
        };
        assert!(same("A.example", "a.EXAMPLE:80", 80));
        assert!(same("a:443", "a", 443));
        assert!(same("[::1]", "[0:0:0:0:0:0:0:1]:80", 80));
        assert!(!same("a", "a:443", 80));
        assert!(!same("a", "a.", 80));
        assert!(!same("a", "b", 80));
        assert!(!same("[::1]", "a", 80));
    }
}
