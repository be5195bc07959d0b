//! The two URLs that settings hold: a scheme, a host and perhaps a port, nothing else.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use crate::parse::{Broken, number};

/// `host` or `host:port` of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Authority {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    host: String,
    port: Option<u16>,
}

/// Where the control plane is: `wss://host[:port]`, or `ws://` where that was permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlPlaneUrl {
    secure: bool,
    authority: Authority,
}

/// How browsers reach the control plane: `https://host[:port]` or `http://host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    secure: bool,
    authority: Authority,
}

impl ControlPlaneUrl {
    /// Reads a URL; `ws://` to an address that is not loopback only when `insecure` is permitted.
    pub(crate) fn parse(text: &str, insecure: bool) -> Result<Self, Broken> {
        let (secure, authority) = parse(text, ["wss://", "ws://"]).ok_or("must be wss://host[:port]")?;
        if !secure && !insecure && !authority.is_loopback() {
            return Err("must be wss:// unless the host is a loopback address or ALLOW_INSECURE_CONTROL_PLANE is true"
                .to_owned());
        }
        Ok(Self { secure, authority })
    }

    /// Whether TLS is spoken.
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// A name, or an IP address without brackets.
    pub fn host(&self) -> &str {
        &self.authority.host
    }

    /// The port, by default that of the scheme.
    pub fn port(&self) -> u16 {
        self.authority.port.unwrap_or(if self.secure { 443 } else { 80 })
    }

    /// `host[:port]` as a Host header carries it.
    pub fn authority(&self) -> String {
        self.authority.to_string()
    }
}

impl fmt::Display for ControlPlaneUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", if self.secure { "wss" } else { "ws" }, self.authority)
    }
}

impl PublicUrl {
    pub(crate) fn parse(text: &str) -> Result<Self, Broken> {
        let (secure, authority) = parse(text, ["https://", "http://"]).ok_or("must be http(s)://host[:port]")?;
        Ok(Self { secure, authority })
    }

    /// A name, or an IP address without brackets.
    pub fn host(&self) -> &str {
        &self.authority.host
    }

    /// Whether it is `https`.
    pub const fn is_secure(&self) -> bool {
        self.secure
    }
}

/// Without a slash at the end.
impl fmt::Display for PublicUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", if self.secure { "https" } else { "http" }, self.authority)
    }
}

/// Whether it is the secure one of two schemes, and the rest.
fn parse(text: &str, [secure, plain]: [&str; 2]) -> Option<(bool, Authority)> {
    let (is_secure, rest) = match (text.strip_prefix(secure), text.strip_prefix(plain)) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return None,
    };
    Some((is_secure, Authority::parse(rest.strip_suffix('/').unwrap_or(rest))?))
}

/// `host` or `host:port`, an IPv6 address in brackets.
pub(crate) fn host_and_port(text: &str, default: u16) -> Option<(String, u16)> {
    let Authority { host, port } = Authority::parse(text)?;
    Some((host, port.unwrap_or(default)))
}

impl Authority {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, after) = rest.split_once(']')?;
            let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
            (host.parse::<Ipv6Addr>().ok()?.to_string(), port)
        } else {
            let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
            (is_host(host).then(|| host.to_ascii_lowercase())?, port)
        };
        let port = match port {
            Some(port) => Some(u16::try_from(number(port, 1, 65_535).ok()?).ok()?),
            None => None,
        };
        Some(Self { host, port })
    }

    fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]", self.host)?;
        } else {
            formatter.write_str(&self.host)?;
        }
        self.port.map_or(Ok(()), |port| write!(formatter, ":{port}"))
    }
}

/// A name of letters, digits, hyphens and (container networks have them) underscores, or an IPv4 address.
fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    host.len() <= 253 && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_control_plane_is_a_scheme_a_host_and_perhaps_a_port() {
        for (text, shown, host, port) in [
            ("wss://cp.example.com", "wss://cp.example.com", "cp.example.com", 443),
            ("wss://CP.example.com:8443/", "wss://cp.example.com:8443", "cp.example.com", 8443),
            ("wss://[2001:db8::1]:1", "wss://[2001:db8::1]:1", "2001:db8::1", 1),
            ("ws://127.0.0.1:8080", "ws://127.0.0.1:8080", "127.0.0.1", 8080),
            ("ws://localhost", "ws://localhost", "localhost", 80),
            ("ws://[::1]", "ws://[::1]", "::1", 80),
        ] {
            let url = ControlPlaneUrl::parse(text, false).unwrap();
            assert_eq!((url.to_string().as_str(), url.host(), url.port()), (shown, host, port));
        }
    }

    #[test]
    fn what_is_more_or_less_than_that_is_refused() {
        for bad in [
            "",
            "wss://",
            "cp.example.com",
            "https://cp.example.com",
            "wss://cp.example.com/sync",
            "wss://cp.example.com?x",
            "wss://user:pass@cp.example.com",
            "wss://cp.example.com:0",
            "wss://cp.example.com:65536",
            "wss://cp.example.com:",
            "wss://[::1",
            "wss://[::1]8080",
            "wss://a..b",
            "wss://a b",
        ] {
            assert!(ControlPlaneUrl::parse(bad, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn plain_text_leaves_the_machine_only_by_permission() {
        for text in ["ws://cp.example.com", "ws://10.0.0.1", "ws://localhost.example.com", "ws://[2001:db8::1]"] {
            assert!(ControlPlaneUrl::parse(text, false).unwrap_err().contains("ALLOW_INSECURE_CONTROL_PLANE"));
            assert!(!ControlPlaneUrl::parse(text, true).unwrap().is_secure());
        }
    }

    #[test]
    fn a_public_url_has_no_slash_at_its_end() {
        assert_eq!(PublicUrl::parse("https://nova.example.com/").unwrap().to_string(), "https://nova.example.com");
        assert!(PublicUrl::parse("https://nova.example.com").unwrap().is_secure());
        assert!(PublicUrl::parse("ftp://nova.example.com").is_err());
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_shown_so_that_it_is_accepted_again(text in "(wss?|https?)://[a-z0-9:\\[\\]._/-]{0,20}") {
            if let Ok(url) = ControlPlaneUrl::parse(&text, true) {
                prop_assert_eq!(ControlPlaneUrl::parse(&url.to_string(), true).unwrap(), url);
            }
        }
    }
}
