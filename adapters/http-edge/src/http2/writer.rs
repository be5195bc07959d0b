//! A message of HTTP/2 as the bytes of one of HTTP/1.1, in either direction.
//!
//! Always: the bytes are of one message, whatever the other side sends: what could end a line, a field or a body early is
//! refused; a body has the length that its head says, and its last bytes are there only when it is known what is behind
//! them. Not here: what a head must be (`request`, `upstream::http2::response`), frames and windows (`stream`).

use bytes::{Buf, Bytes};
use http::HeaderMap;
use novagate_framing::{end_of_token, end_of_value};
use tokio::io::ReadBuf;

use crate::wire::chunks::{LAST_CHUNK, push_size};
use crate::wire::names::FieldName;
use crate::wire::response::push_line;

/// The message cannot be written as one of HTTP/1.1 (RFC 9113, section 8.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Writes one message.
#[derive(Debug)]
pub(crate) struct MessageWriter {
    /// The head, a chunk's size or the end of the chunks.
    text: Vec<u8>,
    text_at: usize,
    /// A piece of the body.
    data: Bytes,
    /// The last piece of a body of known length, until the end has come.
    held: Bytes,
    /// What is behind the piece.
    tail: &'static [u8],
    body: Body,
    /// Of a body of known length, behind which HTTP/1.1 has no place for them.
    trailers: Option<HeaderMap>,
}

/// What is still to come of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// As many bytes, and then its end.
    Known(u64),
    Chunked,
    /// Bytes that are no message's.
    Raw,
    Ended,
}

impl MessageWriter {
    /// With the lines of its head; what its body needs is added.
    pub(crate) fn new(mut lines: Vec<u8>, body: Body) -> Self {
        if body == Body::Chunked {
            lines.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        lines.extend_from_slice(b"\r\n");
        let (data, held) = (Bytes::new(), Bytes::new());
        Self { text: lines, text_at: 0, data, held, tail: b"", body, trailers: None }
    }

    /// Whether everything was read that has been written.
    pub(crate) fn is_drained(&self) -> bool {
        self.text_at == self.text.len() && self.data.is_empty() && self.tail.is_empty()
    }

    /// Whether the message has been written to its end.
    pub(crate) fn has_ended(&self) -> bool {
        self.body == Body::Ended
    }

    /// Whether what is read are bytes that are no message's.
    pub(crate) fn is_raw(&self) -> bool {
        self.body == Body::Raw
    }

    /// Goes on with bytes that are no message's.
    pub(crate) fn switch(&mut self) {
        self.body = Body::Raw;
    }

    /// Trailers behind a body of known length; there with its last bytes.
    pub(crate) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    /// Writes a piece of the body, after what was written before has been read. `is_last`: nothing follows it.
    pub(crate) fn data(&mut self, data: Bytes, is_last: bool) -> Result<(), Malformed> {
        let length = data.len() as u64;
        match &mut self.body {
            // Nothing would be the last chunk.
            Body::Known(_) | Body::Chunked if data.is_empty() => return Ok(()),
            Body::Known(left) => {
                *left = left.checked_sub(length).ok_or(Malformed)?;
                if *left == 0 && !is_last {
                    self.held = data;
                    return Ok(());
                }
            }
            Body::Chunked => {
                self.start_text();
                push_size(&mut self.text, data.len());
                self.tail = b"\r\n";
            }
            Body::Raw => {}
            Body::Ended => return Err(Malformed),
        }
        self.data = data;
        Ok(())
    }

    /// Ends the message.
    pub(crate) fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Malformed> {
        match std::mem::replace(&mut self.body, Body::Ended) {
            Body::Known(0) => {
                self.data = std::mem::take(&mut self.held);
                self.trailers = trailers.map(only_trailers).filter(|trailers| !trailers.is_empty());
                return Ok(());
            }
            Body::Raw => return Ok(()),
            Body::Known(_) | Body::Ended => return Err(Malformed),
            Body::Chunked => {}
        }
        self.start_text();
        self.text.extend_from_slice(LAST_CHUNK);
        if let Some(trailers) = trailers {
            write_fields(&mut self.text, &trailers)?;
        }
        self.text.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Reads what was written; how many bytes of the body were among it.
    pub(crate) fn read(&mut self, into: &mut ReadBuf<'_>) -> usize {
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

/// Trailers that do not pass framing: without those that a trailer section may not have.
fn only_trailers(trailers: HeaderMap) -> HeaderMap {
    let (mut kept, mut name) = (HeaderMap::new(), None);
    for (next, value) in trailers {
        name = next.or(name);
        if let Some(name) = name.clone().filter(|name| FieldName::of(name.as_str().as_bytes()).may_trail()) {
            // There were no fewer before.
            let _ = kept.try_append(name, value);
        }
    }
    kept
}

/// All fields but `host`; cookies become one field (RFC 9113, section 8.2.3).
pub(crate) fn write_fields(out: &mut Vec<u8>, fields: &HeaderMap) -> Result<(), Malformed> {
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

/// Writes one field.
pub(crate) fn push_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), Malformed> {
    let is_line = end_of_token(name, 0) == name.len() && !name.is_empty() && end_of_value(value, 0) == value.len();
    if !is_line {
        return Err(Malformed);
    }
    push_line(out, name, value);
    Ok(())
}

/// What a head says about the length of its body.
pub(crate) fn content_length(fields: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut values = fields.get_all("content-length").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let digits = value.as_bytes();
    let is_number = (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    if values.next().is_some() || !is_number {
        return Err(Malformed);
    }
    Ok(Some(digits.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0'))))
}
