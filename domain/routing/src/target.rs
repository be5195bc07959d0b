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
    /// None of the known schemes stands in front.
    #[error("a target begins with http:// or https://, or with http+srv:// or https+srv:// for SRV records")]
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
    /// No name of SRV records, or a port beside it.
    #[error("behind http+srv:// or https+srv:// stands _service._tcp.domain, without a port")]
    BadService,
}

/// What the name of SRV records over TCP has as its second label.
const TCP: &str = "_tcp.";

impl TargetUrl {
    /// Reads `http://host[:port]` or `https://host[:port]`, or `http+srv://_service._tcp.domain` or its `https+srv` for what
    /// SRV records say; the host's case makes no difference.
    pub fn parse(text: &str) -> Result<Self, TargetUrlError> {
        let (scheme, authority) = text.split_once("://").ok_or(TargetUrlError::BadScheme)?;
        let (tls, is_srv) = match scheme {
            "http" => (false, false),
            "https" => (true, false),
            "http+srv" => (false, true),
            "https+srv" => (true, true),
            _ => return Err(TargetUrlError::BadScheme),
        };
        let offset = text.len() - authority.len();
        if let Some(at) = authority.find(['/', '?', '#', '\\']) {
            return Err(TargetUrlError::NotAnOrigin { at: offset + at });
        }
        if let Some(at) = authority.find('@') {
            return Err(TargetUrlError::Credentials { at: offset + at });
        }
        let (host, port) = split_port(authority);
        if is_srv {
            let is_service = port.is_none() && service_domain(host).is_some();
            let host = name(host).ok().filter(|_| is_service).ok_or(TargetUrlError::BadService)?;
            return Ok(Self { tls, host: host.into(), port: 0 });
        }
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

    /// Whether SRV records (RFC 2782) say where it is.
    pub const fn is_srv(&self) -> bool {
        self.port == 0
    }

    /// The name that it goes by, in `Host` and in its certificate. Of SRV records that is the domain: what they name was not
    /// chosen by whom the operator trusts (RFC 6125, section 1.8).
    pub fn name(&self) -> &str {
        service_domain(&self.host).filter(|_| self.is_srv()).unwrap_or(&self.host)
    }

    /// The port, or the scheme's default where SRV records say it.
    pub const fn port_or_default(&self) -> u16 {
        match (self.port, self.tls) {
            (0, true) => 443,
            (0, false) => 80,
            (port, _) => port,
        }
    }
}

/// The canonical text, `http://host:port` or `http+srv://name`; [`TargetUrl::parse`] reads it back.
impl fmt::Display for TargetUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tls, host, port } = self;
        let scheme = if *tls { "https" } else { "http" };
        if self.is_srv() {
            write!(formatter, "{scheme}+srv://{host}")
        } else if host.contains(':') {
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

/// What follows `_service._tcp.`, which is a domain of its own.
fn service_domain(host: &str) -> Option<&str> {
    let (service, rest) = host.strip_prefix('_')?.split_once('.')?;
    // `get` is there for hosts whose bytes are no letters: their case is of no interest either.
    let is_tcp = rest.get(..TCP.len()).is_some_and(|label| label.eq_ignore_ascii_case(TCP));
    let domain = rest.get(TCP.len()..).filter(|domain| !domain.is_empty() && is_tcp)?;
    (!service.is_empty() && domain.parse::<std::net::Ipv4Addr>().is_err()).then_some(domain)
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
    fn srv_records_go_by_the_name_of_their_domain() {
        for (text, canonical, name, port) in [
            ("http+srv://_http._tcp.users.internal", "http+srv://_http._tcp.users.internal", "users.internal", 80),
            ("https+srv://_API._TCP.Example", "https+srv://_api._tcp.example", "example", 443),
        ] {
            let url = TargetUrl::parse(text).unwrap();
            assert_eq!((&*url.to_string(), url.name(), url.port_or_default()), (canonical, name, port));
            assert_eq!((url.is_srv(), TargetUrl::parse(canonical)), (true, Ok(url)));
        }
        let plain = TargetUrl::parse("http://_http._tcp.users.internal:81").unwrap();
        assert_eq!((plain.is_srv(), plain.name(), plain.port_or_default()), (false, "_http._tcp.users.internal", 81));
        for host in [
            "users",
            "_http.users",
            "_http._udp.users",
            "_._tcp.users",
            "_http._tcp.",
            "_http._tcp",
            "_http._tcp.a:80",
            "_http._tcp.a b",
            "[::1]",
            "10.0.0.1",
            "_http._tcp.10.0.0.1",
            "",
        ] {
            let text = format!("http+srv://{host}");
            assert_eq!(TargetUrl::parse(&text), Err(TargetUrlError::BadService), "{text}");
        }
        assert_eq!(TargetUrl::parse("http+srv://_http._tcp.a/"), Err(TargetUrlError::NotAnOrigin { at: 23 }));
        assert_eq!(TargetUrl::parse("srv://_http._tcp.a"), Err(TargetUrlError::BadScheme));
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
        fn canonical_text_reads_back_as_the_same_origin(text in "https?(\\+srv)?://((_h\\._tcp\\.)?[a-zA-Z0-9_.-]{0,12}|\\[[0-9a-f:.]{0,12}\\])(:[0-9]{1,5})?") {
            if let Ok(url) = TargetUrl::parse(&text) {
                prop_assert_eq!(TargetUrl::parse(&url.to_string()), Ok(url));
            }
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,40}", scheme in "(https?(\\+srv)?://)?") {
            let _ = TargetUrl::parse(&[scheme, text].concat());
        }
    }
}
