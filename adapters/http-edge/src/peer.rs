//! Who is at the other end of a connection, and whose request it is.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use ipnet::IpNet;

use crate::client_cert::ClientCertificate;
use crate::wire::fields::Fields;
use crate::wire::names::FieldName;
use crate::wire::request::{Sender, stranger_lines};

/// The other end of a client's connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) ip: IpAddr,
    /// What upstreams are told about it, which is the same for all its requests.
    told: Box<[u8]>,
    /// Whether what it tells about the client is believed.
    pub(crate) is_trusted: bool,
    /// Whether its connection to us is over TLS.
    pub(crate) is_secure: bool,
    /// What it has shown there of itself.
    pub(crate) certificate: Option<Rc<ClientCertificate>>,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr, is_secure: bool, trusted: &[IpNet]) -> Self {
        let ip = address.ip().to_canonical();
        let is_trusted = is_in(ip, trusted);
        let told = if is_trusted { ip.to_string().into_bytes() } else { stranger_lines(ip, is_secure) };
        Self { ip, told: told.into(), is_trusted, is_secure, certificate: None }
    }

    /// Whom upstreams are told that a request comes from.
    pub(crate) fn sender(&self) -> Sender<'_> {
        if self.is_trusted {
            Sender::Trusted { address: &self.told, is_secure: self.is_secure }
        } else {
            Sender::Stranger { lines: &self.told }
        }
    }

    /// The client's address: of a trusted peer, the last one in `X-Forwarded-For` that is not a trusted proxy itself.
    pub(crate) fn client_ip(&self, fields: Fields<'_>, trusted: &[IpNet]) -> IpAddr {
        if !self.is_trusted {
            return self.ip;
        }
        let mut client = self.ip;
        // The last field line is the nearest; lines cannot be walked backwards, so each starts over.
        let mut lines = [&b""[..]; 8];
        let mut used = 0;
        for value in fields.values(FieldName::ForwardedFor) {
            lines.rotate_left(1);
            if let Some(last) = lines.last_mut() {
                *last = value;
            }
            used += 1;
        }
        for hop in lines.iter().rev().take(used).flat_map(|line| line.rsplit(|&byte| byte == b',')) {
            let Some(ip) = parse(hop.trim_ascii()) else { break };
            client = ip;
            if !is_in(ip, trusted) {
                break;
            }
        }
        client
    }
}

pub(crate) fn is_in(ip: IpAddr, nets: &[IpNet]) -> bool {
    nets.iter().any(|net| net.contains(&ip))
}

/// An address, with brackets and a port or without.
fn parse(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?;
    let ip: Option<IpAddr> = text.parse().ok();
    let ip = ip.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    ip.or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()).map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fields::scan;

    fn client(peer: &str, lines: &[&str]) -> String {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let lines: Vec<String> = lines.iter().map(|line| format!("X-Forwarded-For: {line}\r\n")).collect();
        let head = lines.concat() + "\r\n";
        let mut list = Vec::new();
        scan(head.as_bytes(), 0, &mut list);
        let peer = Peer::new(SocketAddr::new(peer.parse().unwrap(), 1), false, &trusted);
        peer.client_ip(Fields::new(head.as_bytes(), &list), &trusted).to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(client("192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
    }

    #[test]
    fn of_a_trusted_proxy_the_last_untrusted_address_is_the_client() {
        assert_eq!(client("10.1.1.1", &["1.2.3.4, 203.0.113.9, 10.2.2.2"]), "203.0.113.9");
        assert_eq!(client("10.1.1.1", &["1.2.3.4", "203.0.113.9", "10.2.2.2"]), "203.0.113.9");
        assert_eq!(client("10.1.1.1", &["10.3.3.3, 10.2.2.2"]), "10.3.3.3");
        assert_eq!(client("10.1.1.1", &[]), "10.1.1.1");
        assert_eq!(client("::ffff:10.1.1.1", &["203.0.113.9:4711"]), "203.0.113.9");
        assert_eq!(client("fd00::1", &["[2001:db8::1]"]), "2001:db8::1");
    }

    #[test]
    fn what_is_no_address_ends_the_search() {
        assert_eq!(client("10.1.1.1", &["203.0.113.9, unknown, 10.2.2.2"]), "10.2.2.2");
        assert_eq!(client("10.1.1.1", &["secret"]), "10.1.1.1");
    }
}
