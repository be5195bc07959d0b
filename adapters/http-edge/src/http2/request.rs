//! A request of HTTP/2 as the bytes of one of HTTP/1.1.
//!
//! Decides how a head, a body and trailers are written. Always: the bytes are of one request, whatever a client sends: what
//! could end a line, a field or a body early is refused; a body has the length that its head says. Not here: what a request
//! must be (`novagate_framing` reads these bytes like those of any client), frames and windows (`stream`).

use bytes::{Buf, Bytes};
use http::request::Parts;
use http::{HeaderMap, Method};
use novagate_framing::{end_of_token, end_of_value};
use tokio::io::ReadBuf;

use crate::wire::chunks::{LAST_CHUNK, push_size};
use crate::wire::names::FieldName;
use crate::wire::response::push_line;

/// The request cannot be written as one of HTTP/1.1 (RFC 9113, section 8.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Writes one request.
#[derive(Debug)]
pub(super) struct RequestWriter {
    /// The head, a chunk's size or the end of the chunks.
    text: Vec<u8>,
    text_at: usize,
    /// A piece of the body.
    data: Bytes,
    /// What is behind the piece.
    tail: &'static [u8],
    body: Body,
}

/// What is still to come of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// As many bytes, and then its end.
    Known(u64),
    Chunked,
    Ended,
}

impl RequestWriter {
    /// With a head. `ended`: nothing follows it.
    pub(super) fn new(head: &Parts, ended: bool) -> Result<Self, Malformed> {
        let length = content_length(&head.headers)?;
        let body = match (ended, length) {
            (true, None | Some(0)) => Body::Ended,
            (true, Some(_)) => return Err(Malformed),
            (false, Some(length)) => Body::Known(length),
            (false, None) => Body::Chunked,
        };
        let mut text = Vec::with_capacity(512);
        write_head(&mut text, head)?;
        if body == Body::Chunked {
            text.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        text.extend_from_slice(b"\r\n");
        Ok(Self { text, text_at: 0, data: Bytes::new(), tail: b"", body })
    }

    /// Whether everything was read that has been written.
    pub(super) fn is_drained(&self) -> bool {
        self.text_at == self.text.len() && self.data.is_empty() && self.tail.is_empty()
    }

    /// Whether the request has been written to its end.
    pub(super) fn has_ended(&self) -> bool {
        self.body == Body::Ended
    }

    /// Writes a piece of the body, after what was written before has been read.
    pub(super) fn data(&mut self, data: Bytes) -> Result<(), Malformed> {
        let length = data.len() as u64;
        match &mut self.body {
            // Nothing would be the last chunk.
            Body::Known(_) | Body::Chunked if data.is_empty() => return Ok(()),
            Body::Known(left) => *left = left.checked_sub(length).ok_or(Malformed)?,
            Body::Chunked => {
                self.start_text();
                push_size(&mut self.text, data.len());
                self.tail = b"\r\n";
            }
            Body::Ended => return Err(Malformed),
        }
        self.data = data;
        Ok(())
    }

    /// Ends the request. Trailers behind a body of known length have no place in HTTP/1.1 and are left out.
    pub(super) fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), Malformed> {
        match std::mem::replace(&mut self.body, Body::Ended) {
            Body::Known(0) => return Ok(()),
            Body::Known(_) | Body::Ended => return Err(Malformed),
            Body::Chunked => {}
        }
        self.start_text();
        self.text.extend_from_slice(LAST_CHUNK);
        if let Some(trailers) = trailers {
            write_fields(&mut self.text, trailers)?;
        }
        self.text.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Reads what was written; how many bytes of the body were among it.
    pub(super) fn read(&mut self, into: &mut ReadBuf<'_>) -> usize {
        let text = self.text.get(self.text_at..).unwrap_or_default();
        self.text_at += put(into, text);
        if self.text_at < self.text.len() {
            return 0;
        }
        let count = put(into, &self.data);
        self.data.advance(count);
        if self.data.is_empty() {
            let of_tail = put(into, self.tail);
            self.tail = self.tail.get(of_tail..).unwrap_or_default();
        }
        count
    }

    fn start_text(&mut self) {
        self.text.clear();
        self.text_at = 0;
    }
}

/// How many bytes there was room for.
fn put(into: &mut ReadBuf<'_>, bytes: &[u8]) -> usize {
    let count = bytes.len().min(into.remaining());
    into.put_slice(bytes.get(..count).unwrap_or_default());
    count
}

/// The head without the empty line.
fn write_head(out: &mut Vec<u8>, head: &Parts) -> Result<(), Malformed> {
    let authority = head.uri.authority().map_or("", |authority| authority.as_str()).as_bytes();
    let target = match (&head.method, head.uri.path_and_query()) {
        // Refused like any other; it has no path.
        (&Method::CONNECT, _) => authority,
        (_, Some(target)) => target.as_str().as_bytes(),
        (_, None) => return Err(Malformed),
    };
    let is_plain = |bytes: &[u8]| end_of_value(bytes, 0) == bytes.len() && !bytes.contains(&b' ');
    if !is_plain(target) || !is_plain(authority) {
        return Err(Malformed);
    }
    for part in [head.method.as_str().as_bytes(), b" ", target, b" HTTP/1.1\r\n"] {
        out.extend_from_slice(part);
    }
    if !authority.is_empty() {
        push_line(out, b"host", authority);
    }
    for host in head.headers.get_all("host") {
        // Another one beside it is a second host, which is refused.
        if !host.as_bytes().eq_ignore_ascii_case(authority) {
            push_field(out, b"host", host.as_bytes())?;
        }
    }
    write_fields(out, &head.headers)
}

/// All fields but `host`; cookies become one field (RFC 9113, section 8.2.3).
fn write_fields(out: &mut Vec<u8>, fields: &HeaderMap) -> Result<(), Malformed> {
    for (name, value) in fields {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        match FieldName::of(name) {
            FieldName::Host => {}
            FieldName::Connection | FieldName::Upgrade | FieldName::TransferEncoding => return Err(Malformed),
            FieldName::HopByHop if is_about_connection(name, value) => return Err(Malformed),
            FieldName::EndToEnd if name == b"cookie" => {}
            FieldName::Plain
            | FieldName::EndToEnd
            | FieldName::HopByHop
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
            | FieldName::Date => push_field(out, name, value)?,
        }
    }
    let cookies: Vec<_> = fields.get_all("cookie").iter().map(http::HeaderValue::as_bytes).collect();
    if cookies.is_empty() { Ok(()) } else { push_field(out, b"cookie", &cookies.join(&b"; "[..])) }
}

/// Whether a field that ends at the gateway must not have come over HTTP/2 (RFC 9113, section 8.2.2).
fn is_about_connection(name: &[u8], value: &[u8]) -> bool {
    match name {
        b"te" => !value.eq_ignore_ascii_case(b"trailers"),
        _ => name == b"keep-alive" || name == b"proxy-connection",
    }
}

fn push_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), Malformed> {
    let is_line = end_of_token(name, 0) == name.len() && !name.is_empty() && end_of_value(value, 0) == value.len();
    if !is_line {
        return Err(Malformed);
    }
    push_line(out, name, value);
    Ok(())
}

fn content_length(fields: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut values = fields.get_all("content-length").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let digits = value.as_bytes();
    let is_number = (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    if values.next().is_some() || !is_number {
        return Err(Malformed);
    }
    Ok(Some(digits.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0'))))
}

#[cfg(test)]
mod tests;
