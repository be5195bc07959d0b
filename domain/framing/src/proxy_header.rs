//! What a proxy in front says about a connection before its first byte: the PROXY protocol, versions 1 and 2
//! (`HAProxy`, "The PROXY protocol", sections 2.1 and 2.2).
//!
//! Decides how many more bytes surely belong to the header, so that a driver which reads no more than that never reads what
//! comes behind it. Always: bounded; a byte that no header can have at its place ends it. Additional fields of version 2
//! (TLVs, a checksum among them) are passed over. Not here: from whom such a header is believed (`adapters/http-edge`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The shortest one, `PROXY UNKNOWN` and a line end.
const MIN_LINE: usize = 15;
/// What version 2 begins with (section 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes before the addresses of version 2.
const FIXED: usize = 16;
/// Longest header of version 2: addresses take 216 bytes at most, the rest is for TLVs.
const MAX_BLOCK: usize = 4096;

/// What the bytes so far come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// At least so many more bytes belong to the header.
    NeedMore(usize),
    /// The header is complete. Whom the connection comes from; `None`: the proxy speaks for itself, or does not know.
    Complete(Option<SocketAddr>),
    /// This is no header.
    Invalid,
}

impl ProxyHeader {
    /// Longest header of version 1, its line end included (section 2.1): `P`, and the first line feed ends it.
    pub const MAX_LINE: usize = 107;

    /// Reads a header, of which `bytes` are the first ones.
    pub fn read(bytes: &[u8]) -> Self {
        match bytes.first() {
            None => Self::NeedMore(1),
            Some(b'P') => line(bytes),
            Some(_) => block(bytes),
        }
    }
}

/// Version 1: `PROXY TCP4 192.0.2.1 192.0.2.2 51000 443` and CRLF.
fn line(bytes: &[u8]) -> ProxyHeader {
    let begin = b"PROXY ";
    if bytes.iter().zip(begin).any(|(octet, wanted)| octet != wanted) || bytes.len() > ProxyHeader::MAX_LINE {
        return ProxyHeader::Invalid;
    }
    let Some(text) = bytes.strip_suffix(b"\n") else {
        return if bytes.len() == ProxyHeader::MAX_LINE || bytes.contains(&b'\n') {
            ProxyHeader::Invalid
        } else {
            ProxyHeader::NeedMore(MIN_LINE.saturating_sub(bytes.len()).max(1))
        };
    };
    let text = text.strip_suffix(b"\r").and_then(|text| std::str::from_utf8(text).ok());
    let Some(text) = text.and_then(|text| text.strip_prefix("PROXY ")) else { return ProxyHeader::Invalid };
    if text.contains(['\r', '\n']) {
        return ProxyHeader::Invalid;
    }
    // Whatever stands behind it (section 2.1).
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return ProxyHeader::Complete(None);
    }
    source(text).map_or(ProxyHeader::Invalid, |source| ProxyHeader::Complete(Some(source)))
}

fn source(text: &str) -> Option<SocketAddr> {
    let mut words = text.split(' ');
    let (family, source, destination) = (words.next()?, words.next()?, words.next()?);
    let ports = (port(words.next()?)?, port(words.next()?)?);
    if words.next().is_some() {
        return None;
    }
    let ip: IpAddr = match family {
        "TCP4" => destination.parse().and_then(|_: Ipv4Addr| source.parse()).map(IpAddr::V4).ok()?,
        "TCP6" => destination.parse().and_then(|_: Ipv6Addr| source.parse()).map(IpAddr::V6).ok()?,
        _ => return None,
    };
    Some(SocketAddr::new(ip, ports.0))
}

/// Without sign and leading zeros.
fn port(text: &str) -> Option<u16> {
    let is_plain = text == "0" || (text.bytes().all(|octet| octet.is_ascii_digit()) && !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

/// Version 2.
fn block(bytes: &[u8]) -> ProxyHeader {
    if bytes.iter().zip(SIGNATURE).any(|(octet, wanted)| octet != wanted) {
        return ProxyHeader::Invalid;
    }
    let Some((&[.., command, family, high, low], rest)) = bytes.split_first_chunk::<FIXED>() else {
        return ProxyHeader::NeedMore(FIXED - bytes.len());
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if FIXED + length > MAX_BLOCK || rest.len() > length {
        return ProxyHeader::Invalid;
    }
    // Version 2, and LOCAL or PROXY.
    if !matches!(command, 0x20 | 0x21) {
        return ProxyHeader::Invalid;
    }
    if rest.len() < length {
        return ProxyHeader::NeedMore(length - rest.len());
    }
    match (command, family) {
        // The proxy's own connection, a health check for instance.
        (0x20, _) => ProxyHeader::Complete(None),
        (_, 0x11) => match rest.first_chunk::<12>() {
            Some(&[a, b, c, d, _, _, _, _, high, low, _, _]) => complete([a, b, c, d], [high, low]),
            None => ProxyHeader::Invalid,
        },
        (_, 0x21) => match (rest.first_chunk::<16>(), rest.get(32..34), rest.get(34..36)) {
            (Some(ip), Some(&[high, low]), Some(_)) => complete(*ip, [high, low]),
            _ => ProxyHeader::Invalid,
        },
        // Datagrams, local sockets, families to come: not addresses of a TCP connection.
        _ => ProxyHeader::Complete(None),
    }
}

fn complete(ip: impl Into<IpAddr>, port: [u8; 2]) -> ProxyHeader {
    ProxyHeader::Complete(Some(SocketAddr::new(ip.into(), u16::from_be_bytes(port))))
}

#[cfg(test)]
mod tests;
