//! A request of HTTP/1.1, as the pipeline writes it for an upstream, as the parts of one of HTTP/2.
//!
//! Always: what concerns a connection of HTTP/1.1 ends here (RFC 9113, section 8.2.2), but that the client takes trailers
//! goes on. Not here: bodies (`crate::http2`), what is forwarded (`wire::request`).

use h2::ext::Protocol;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Uri};

use crate::http2::{BadMessage, BodyPart, BodyReader, HeadBuffer, KEY_FIELD, accept, push};
use crate::wire::fields::{Fields, scan};
use crate::wire::names::FieldName;

/// A part of a request.
#[derive(Debug)]
pub(super) enum Part<'a> {
    /// With whether it is all.
    Head(Request<()>, bool),
    /// Bytes of the body; never empty.
    Data(&'a [u8]),
    /// Nothing comes behind it.
    End(Option<HeaderMap>),
}

/// Reads one request.
#[derive(Debug)]
pub(super) struct RequestReader {
    is_secure: bool,
    head: HeadBuffer,
    /// Once its head is there.
    body: Option<BodyReader>,
    pub(super) is_head: bool,
    /// The answer to the key of a WebSocket that it begins.
    pub(super) accept: Option<Vec<u8>>,
}

impl RequestReader {
    pub(super) fn new(is_secure: bool) -> Self {
        Self { is_secure, head: HeadBuffer::default(), body: None, is_head: false, accept: None }
    }

    /// Whether its head is still to come.
    pub(super) const fn is_new(&self) -> bool {
        self.body.is_none()
    }

    /// Goes on with bytes that are no request's.
    pub(super) fn switch(&mut self) {
        self.body = Some(BodyReader::Raw);
    }

    /// Whether what comes is a WebSocket's.
    pub(super) const fn has_switched(&self) -> bool {
        matches!(self.body, Some(BodyReader::Raw))
    }

    /// Nothing more will be read of a WebSocket.
    pub(super) fn shut(&mut self) {
        self.body = Some(BodyReader::Ended);
    }

    /// Reads as much as there is and hands each part to `sink`; how many bytes are done with, some of what is not nothing.
    /// `may_switch`: the upstream takes WebSockets.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        may_switch: bool,
        sink: &mut impl FnMut(Part<'_>),
    ) -> Result<usize, BadMessage> {
        if let Some(body) = &mut self.body {
            return body.read(bytes, &mut |part| {
                sink(match part {
                    BodyPart::Data(data) => Part::Data(data),
                    BodyPart::End(trailers) => Part::End(trailers),
                });
            });
        }
        let (count, is_whole) = self.head.take(bytes);
        if is_whole {
            self.read_head(may_switch, sink)?;
            self.head.clear();
        }
        Ok(count)
    }

    fn read_head(&mut self, may_switch: bool, sink: &mut impl FnMut(Part<'_>)) -> Result<(), BadMessage> {
        let bytes = self.head.bytes();
        let line = bytes.iter().position(|&byte| byte == b'\r').ok_or(BadMessage)?;
        let mut words = bytes.get(..line).unwrap_or_default().split(|&byte| byte == b' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut list = Vec::new();
        scan(bytes, line + 2, &mut list);
        let fields = Fields::new(bytes, &list);
        let mut request = Request::new(());
        *request.method_mut() = Method::from_bytes(method).map_err(|_bad| BadMessage)?;
        *request.uri_mut() = uri(self.is_secure, fields.single(FieldName::Host).unwrap_or_default(), target)?;
        self.is_head = request.method() == Method::HEAD;
        let offers = fields.values(FieldName::Upgrade).next().is_some() && may_switch;
        if let Some(key) = fields.single_named(KEY_FIELD).filter(|_| offers) {
            self.accept = Some(accept(key));
            *request.method_mut() = Method::CONNECT;
            request.extensions_mut().insert(Protocol::from_static("websocket"));
        }
        copy(fields, request.headers_mut(), offers)?;
        let body = body(fields)?;
        let is_all = body.has_ended() && self.accept.is_none();
        self.body = Some(body);
        sink(Part::Head(request, is_all));
        Ok(())
    }
}

fn body(fields: Fields<'_>) -> Result<BodyReader, BadMessage> {
    if fields.values(FieldName::TransferEncoding).next().is_some() {
        return Ok(BodyReader::chunked());
    }
    let Some(length) = fields.single(FieldName::ContentLength) else { return Ok(BodyReader::Ended) };
    let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok()).ok_or(BadMessage)?;
    Ok(if length == 0 { BodyReader::Ended } else { BodyReader::Known(length) })
}

fn copy(fields: Fields<'_>, into: &mut HeaderMap, is_handshake: bool) -> Result<(), BadMessage> {
    for (meaning, name, value) in fields.lines() {
        let goes_on = match meaning {
            FieldName::Host | FieldName::Connection | FieldName::Upgrade | FieldName::TransferEncoding => false,
            FieldName::HopByHop => name.eq_ignore_ascii_case(b"te"),
            // Over HTTP/2 a handshake has no key.
            FieldName::Plain => !(is_handshake && name.eq_ignore_ascii_case(KEY_FIELD)),
            FieldName::EndToEnd
            | FieldName::ContentLength
            | FieldName::Authorization
            | FieldName::ApiKey
            | FieldName::RequestId
            | FieldName::ForwardedFor
            | FieldName::ForwardedProto
            | FieldName::ForwardedHost
            | FieldName::ForwardedOther
            | FieldName::Identity
            | FieldName::RateLimit
            | FieldName::Date => true,
        };
        if goes_on {
            push(into, name, value)?;
        }
    }
    Ok(())
}

fn uri(is_secure: bool, authority: &[u8], target: &[u8]) -> Result<Uri, BadMessage> {
    let target = PathAndQuery::try_from(target).or_else(|_bad| PathAndQuery::try_from(escaped(target)));
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if is_secure { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(Authority::try_from(authority).map_err(|_bad| BadMessage)?);
    parts.path_and_query = Some(target.map_err(|_bad| BadMessage)?);
    Uri::from_parts(parts).map_err(|_bad| BadMessage)
}

/// Bytes of a query that no query may have (RFC 3986, section 3.4) in hexadecimal: HTTP/2 has no other way to tell them.
fn escaped(target: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(target.len() + 16);
    for &byte in target {
        if matches!(byte, b'"' | b'<' | b'>' | b'#' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
            || !byte.is_ascii_graphic()
        {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            out.push(byte);
        }
    }
    out
}

#[cfg(test)]
mod tests;
