//! The head of a request as the upstream gets it.
//!
//! Always: fields that only the gateway may set are taken from the client first and then added from what was proven;
//! credentials for the gateway go no further; what a client says about its own address goes on only when it is trusted.
//! Not here: what was proven (`admission`), the body (`exchange`).

use std::net::IpAddr;
use std::ops::Range;

use novagate_policies::{Identity, carries_consumer_key};

use super::fields::{Field, Fields};
use super::grammar::push_number;
use super::names::FieldName;
use super::response::push_line;
use super::websocket::SWITCH;
use crate::content::speaks_of_bytes;

/// The credentials that are taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyFields {
    /// Consumer keys, wherever they stand: the route reads credentials.
    Ours,
    /// Only what looks like one of our keys: an `X-API-Key` of a route that reads no credential is for the upstream.
    OnlyRecognised,
}

/// How the body goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyForm {
    /// As its fields say, if there is one.
    AsItIs,
    /// In chunks.
    Chunked,
    /// In chunks, out of its content coding.
    Decoded,
}

/// Whom a request comes from, as its upstream is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender<'a> {
    /// Nothing of what it says about the client goes on.
    Stranger {
        /// Of [`stranger_lines`].
        lines: &'a [u8],
    },
    /// It may tell about the client.
    Trusted {
        /// Its own address, as text.
        address: &'a [u8],
        /// Whether its connection is over TLS.
        is_secure: bool,
    },
}

/// A request to be forwarded.
#[derive(Debug)]
pub(crate) struct Forward<'a> {
    pub(crate) method: &'a [u8],
    /// Normalised, with its prefix stripped where the route says so; begins with a slash.
    pub(crate) path: &'a [u8],
    /// With its question mark; empty without one.
    pub(crate) query: &'a [u8],
    pub(crate) fields: Fields<'a>,
    pub(crate) body: BodyForm,
    /// The value of `Host` for the chosen target.
    pub(crate) authority: &'a [u8],
    /// The client's `Host`.
    pub(crate) host: &'a [u8],
    /// The other end of the client's connection.
    pub(crate) sender: Sender<'a>,
    /// The field `X-Request-ID` with the end of its line.
    pub(crate) request_id_line: &'a [u8],
    pub(crate) identity: Identity<'a>,
    /// The certificate that the client has shown, for an upstream that is to know.
    pub(crate) client_cert: Option<&'a [u8]>,
    pub(crate) keys: KeyFields,
    /// It offers the upstream to go on as a WebSocket.
    pub(crate) offers_websocket: bool,
    /// The line that says that the client takes trailers, if the upstream is to know it.
    pub(crate) te: &'a [u8],
}

impl Forward<'_> {
    /// Writes the head; where the authority stands in it, for another target.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Range<usize> {
        out.clear();
        for part in [self.method, b" ", self.path, self.query, b" HTTP/1.1\r\nhost: "] {
            out.extend_from_slice(part);
        }
        let authority = out.len()..out.len() + self.authority.len();
        out.extend_from_slice(self.authority);
        out.extend_from_slice(b"\r\n");
        let listed = self.fields.connection().names_fields;
        let fields = self.fields;
        fields.copy_lines(out, |field, name| {
            self.keeps(field, name) && !(listed && field.name == FieldName::Plain && fields.has_option(name))
        });
        if self.body != BodyForm::AsItIs {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        if self.offers_websocket {
            out.extend_from_slice(SWITCH);
        }
        out.extend_from_slice(self.te);
        self.write_forwarded(out);
        out.extend_from_slice(self.request_id_line);
        self.write_identity(out);
        out.extend_from_slice(b"\r\n");
        authority
    }

    fn keeps(&self, field: &Field, name: &[u8]) -> bool {
        let is_decoded = self.body == BodyForm::Decoded;
        match field.name {
            FieldName::ContentLength => !is_decoded,
            // What tells something of the bytes as they came would be untrue.
            FieldName::Plain => !is_decoded || !speaks_of_bytes(name),
            FieldName::EndToEnd => !is_decoded || !name.eq_ignore_ascii_case(b"content-encoding"),
            FieldName::RateLimit | FieldName::Date => true,
            FieldName::HopByHop
            | FieldName::Connection
            | FieldName::Upgrade
            | FieldName::TransferEncoding
            | FieldName::Host
            | FieldName::RequestId
            | FieldName::Identity
            | FieldName::ForwardedFor => false,
            FieldName::ForwardedProto | FieldName::ForwardedHost | FieldName::ForwardedOther => {
                matches!(self.sender, Sender::Trusted { .. })
            }
            FieldName::Authorization => !carries_consumer_key(self.fields.value(field)),
            FieldName::ApiKey => {
                matches!(self.keys, KeyFields::OnlyRecognised) && !self.fields.value(field).starts_with(b"ck_")
            }
        }
    }

    fn write_forwarded(&self, out: &mut Vec<u8>) {
        let is_host_told = match self.sender {
            Sender::Stranger { lines } => {
                out.extend_from_slice(lines);
                false
            }
            Sender::Trusted { address, is_secure } => self.write_trusted(out, address, is_secure),
        };
        if !is_host_told && !self.host.is_empty() {
            push_line(out, b"x-forwarded-host", self.host);
        }
    }

    /// Goes on with what a trusted sender tells; whether that has the host.
    fn write_trusted(&self, out: &mut Vec<u8>, address: &[u8], is_secure: bool) -> bool {
        out.extend_from_slice(b"x-forwarded-for: ");
        for value in self.fields.values(FieldName::ForwardedFor).filter(|value| !value.is_empty()) {
            out.extend_from_slice(value);
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(address);
        out.extend_from_slice(b"\r\n");
        let is_told = |name| self.fields.values(name).next().is_some();
        if !is_told(FieldName::ForwardedProto) {
            push_line(out, b"x-forwarded-proto", scheme(is_secure));
        }
        is_told(FieldName::ForwardedHost)
    }

    fn write_identity(&self, out: &mut Vec<u8>) {
        if let Some(consumer) = self.identity.consumer() {
            push_line(out, b"x-consumer-id", &consumer.id.spelt());
            if let Some(groups) = consumer.groups_field() {
                push_line(out, b"x-consumer-groups", groups.as_bytes());
            }
        }
        if let Some(subject) = self.identity.subject() {
            push_line(out, b"x-token-subject", subject.as_bytes());
        }
        if let Some(certificate) = self.client_cert {
            push_line(out, b"client-cert", certificate);
        }
    }
}

/// All that upstreams are told about a sender that is not trusted, but for the host that it has asked for.
pub(crate) fn stranger_lines(ip: IpAddr, is_secure: bool) -> Vec<u8> {
    let mut lines = Vec::with_capacity(64);
    push_line(&mut lines, b"x-forwarded-for", ip.to_string().as_bytes());
    push_line(&mut lines, b"x-forwarded-proto", scheme(is_secure));
    lines
}

const fn scheme(is_secure: bool) -> &'static [u8] {
    if is_secure { b"https" } else { b"http" }
}

/// Puts another authority in the place of the one that [`Forward::write`] told.
pub(crate) fn replace_authority(head: &mut Vec<u8>, place: &mut Range<usize>, authority: &[u8]) {
    head.splice(place.clone(), authority.iter().copied());
    place.end = place.start + authority.len();
}

/// The part of a target that is a path, and the query with its question mark.
pub(crate) fn split_target(target: &[u8]) -> (&[u8], &[u8]) {
    let from_path = if target.starts_with(b"/") {
        target
    } else {
        // Absolute form: behind the authority.
        let authority = target.iter().position(|&byte| byte == b':').map_or(target.len(), |at| at + 3);
        let rest = target.get(authority..).unwrap_or_default();
        let at = rest.iter().position(|&byte| byte == b'/' || byte == b'?').unwrap_or(rest.len());
        rest.get(at..).unwrap_or_default()
    };
    let at = from_path.iter().position(|&byte| byte == b'?').unwrap_or(from_path.len());
    let (path, query) = from_path.split_at(at);
    (if path.is_empty() { b"/" } else { path }, query)
}

/// The status line and fields of a request that the gateway makes up itself, for health probes.
pub(crate) fn write_probe(out: &mut Vec<u8>, path: &str, authority: &[u8]) {
    out.clear();
    for part in [b"GET ", path.as_bytes(), b" HTTP/1.1\r\nhost: ", authority] {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\nuser-agent: novagate-probe\r\naccept: */*\r\nconnection: close\r\n\r\n");
}

/// `host` or `host:port`, as `Host` wants it; the scheme's default port is left out.
pub(crate) fn authority(host: &str, port: u16, tls: bool) -> Box<[u8]> {
    let mut text = Vec::with_capacity(host.len() + 8);
    let is_ipv6 = host.contains(':');
    for part in [if is_ipv6 { "[" } else { "" }, host, if is_ipv6 { "]" } else { "" }] {
        text.extend_from_slice(part.as_bytes());
    }
    if port != if tls { 443 } else { 80 } {
        text.push(b':');
        push_number(&mut text, u64::from(port));
    }
    text.into()
}

#[cfg(test)]
mod tests;
