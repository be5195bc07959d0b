//! Upstream origins as text.
//!
//! Decides which texts name an origin, and its one canonical text. Not here: whether its address may be reached (decided at
//! connect), names that do not resolve.

use std::fmt;
use std::net::Ipv6Addr;

use crate::TargetUrl;
use crate::host;

/// Which rule of [`TargetUrl`] a text breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetUrlError {
    /// Neither `http://` nor `https://` stands in front.
    #[error("a target begins with http:// or https://")]
    BadScheme,
    /// A path (also: a slash at the end), a query or a fragment.
    #[error("byte {at}: a target ends after its host and port, with no path, query or fragment")]
    NotAnOrigin {
        /// Offset of the first byte that is too much.
        at: usize,
    },
    /// A user name or password.
    #[error("byte {at}: a target has no user name or password")]
    Credentials {
        /// Offset of the `@`.
        at: usize,
    },
    /// No DNS name and no canonical address.
    #[error("the host of a target is a DNS name, an IPv4 address, or an IPv6 address in brackets")]
    BadHost,
    /// Something other than 1 to 65535 behind the colon.
    #[error("the port of a target is a number from 1 to 65535")]
    BadPort,
}

impl TargetUrl {
    /// Reads `http://host[:port]` or `https://host[:port]`; the host's case makes no difference.
    pub fn parse(text: &str) -> Result<Self, TargetUrlError> {
        let (tls, authority) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(authority), _) => (false, authority),
            (None, Some(authority)) => (true, authority),
            (None, None) => return Err(TargetUrlError::BadScheme),
        };
        let offset = text.len() - authority.len();
        if let Some(at) = authority.find(['/', '?', '#', '\\']) {
            return Err(TargetUrlError::NotAnOrigin { at: offset + at });
        }
        if let Some(at) = authority.find('@') {
            return Err(TargetUrlError::Credentials { at: offset + at });
        }
        let (host, port) = split_port(authority);
        let host = match host.strip_prefix('[') {
            Some(literal) => ipv6(literal)?,
            None => name(host)?,
        };
        let port = match port {
            Some(digits) => parse_port(digits)?,
            None if tls => 443,
            None => 80,
        };
        Ok(Self { tls, host: host.into(), port })
    }
}

/// The canonical text, `http://host:port`; [`TargetUrl::parse`] reads it back.
impl fmt::Display for TargetUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tls, host, port } = self;
        let scheme = if *tls { "https" } else { "http" };
        if host.contains(':') {
            write!(formatter, "{scheme}://[{host}]:{port}")
        } else {
            write!(formatter, "{scheme}://{host}:{port}")
        }
    }
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((_, inside)) if inside.contains(']') => (authority, None),
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    }
}

fn ipv6(literal: &str) -> Result<String, TargetUrlError> {
    let address: Option<Ipv6Addr> = literal.strip_suffix(']').and_then(|inside| inside.parse().ok());
    address.map(|address| address.to_string()).ok_or(TargetUrlError::BadHost)
}

fn name(host: &str) -> Result<String, TargetUrlError> {
    let host = host.to_ascii_lowercase();
    match host::check_name(&host, 0) {
        Ok(()) if host.len() <= host::MAX_HOST_BYTES => Ok(host),
        _ => Err(TargetUrlError::BadHost),
    }
}

fn parse_port(digits: &str) -> Result<u16, TargetUrlError> {
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    match digits.parse() {
        Ok(port) if is_number && port > 0 => Ok(port),
        _ => Err(TargetUrlError::BadPort),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_origin_is_read_with_the_default_port_of_its_scheme() {
        for (text, canonical) in [
            ("http://10.0.0.5:8080", "http://10.0.0.5:8080"),
            ("http://users", "http://users:80"),
            ("https://API.example.com", "https://api.example.com:443"),
            ("https://my_service.internal:8443", "https://my_service.internal:8443"),
            ("http://[2001:DB8:0::1]", "http://[2001:db8::1]:80"),
            ("http://[::1]:65535", "http://[::1]:65535"),
            ("http://h:00080", "http://h:80"),
        ] {
            assert_eq!(TargetUrl::parse(text).unwrap().to_string(), canonical);
        }
        let bare = TargetUrl::parse("https://[::1]").unwrap();
        assert_eq!((bare.tls, &*bare.host, bare.port), (true, "::1", 443));
    }

    #[test]
    fn each_rule_is_named_when_it_breaks() {
        for (text, error) in [
            ("", TargetUrlError::BadScheme),
            ("10.0.0.5:80", TargetUrlError::BadScheme),
            ("HTTP://h", TargetUrlError::BadScheme),
            ("ftp://h", TargetUrlError::BadScheme),
            ("http://h/", TargetUrlError::NotAnOrigin { at: 8 }),
            ("https://h?q", TargetUrlError::NotAnOrigin { at: 9 }),
            ("http://h#", TargetUrlError::NotAnOrigin { at: 8 }),
            ("http://h\\@x", TargetUrlError::NotAnOrigin { at: 8 }),
            ("http://user:pw@h", TargetUrlError::Credentials { at: 14 }),
            ("http://", TargetUrlError::BadHost),
            ("http://:80", TargetUrlError::BadHost),
            ("http://::1", TargetUrlError::BadHost),
            ("http://[::1", TargetUrlError::BadHost),
            ("http://[::1]x", TargetUrlError::BadHost),
            ("http://[::1]x:80", TargetUrlError::BadHost),
            ("http://[fe80::1%eth0]", TargetUrlError::BadHost),
            ("http://a b", TargetUrlError::BadHost),
            ("http://h.", TargetUrlError::BadHost),
            ("http://127.1", TargetUrlError::BadHost),
            ("http://0x7f.1", TargetUrlError::BadHost),
            ("http://é", TargetUrlError::BadHost),
            ("http://*.h", TargetUrlError::BadHost),
            ("http://h:", TargetUrlError::BadPort),
            ("http://h:0", TargetUrlError::BadPort),
            ("http://h:65536", TargetUrlError::BadPort),
            ("http://h:+1", TargetUrlError::BadPort),
            ("http://h:8o", TargetUrlError::BadPort),
        ] {
            assert_eq!(TargetUrl::parse(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn canonical_text_reads_back_as_the_same_origin(text in "https?://([a-zA-Z0-9_.-]{0,12}|\\[[0-9a-f:.]{0,12}\\])(:[0-9]{1,5})?") {
            if let Ok(url) = TargetUrl::parse(&text) {
                prop_assert_eq!(TargetUrl::parse(&url.to_string()), Ok(url));
            }
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,40}", scheme in "(https?://)?") {
            let _ = TargetUrl::parse(&[scheme, text].concat());
        }
    }
}
