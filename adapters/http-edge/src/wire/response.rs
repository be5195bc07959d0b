//! The head of an upstream's response: read strictly, written anew.
//!
//! Always: a response whose length two readers could disagree about is refused (RFC 9112, section 6.3), so is one with
//! folded fields, bare line ends or control bytes; what concerns the upstream connection only ends here. Not here: when
//! something is read or written (`exchange`).

use novagate_framing::{end_of_token, end_of_value};

use super::fields::{ConnectionOptions, Field, Fields};
use super::names::FieldName;
use super::websocket::SWITCH;
use crate::content::Recoding;

/// Longest head that is accepted.
pub(crate) const MAX_RESPONSE_HEAD: usize = 64 * 1024;

/// The upstream's answer is not HTTP/1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadResponse;

/// How long the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// There is none.
    None,
    /// This many bytes.
    Known(u64),
    /// The chunked coding says.
    Chunked,
    /// The end of the connection ends it.
    UntilClose,
}

/// What the head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResponseHead {
    /// Its bytes.
    pub(crate) len: usize,
    /// 100 to 999.
    pub(crate) status: u16,
    /// What follows.
    pub(crate) body: BodyLength,
    /// Whether the upstream keeps the connection.
    pub(crate) keep_alive: bool,
    /// What its `Connection` says.
    pub(crate) connection: ConnectionOptions,
}

/// Reads a head that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct ResponseParser {
    at: usize,
    status: Option<u16>,
    is_http_10: bool,
    line_end: usize,
    said: Said,
}

/// What the fields that were read say about the message.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    length: Option<u64>,
    is_chunked: bool,
    connection: ConnectionOptions,
}

impl ResponseParser {
    /// Goes on with the bytes of a response, which begin with its first; nothing when the head is not complete.
    pub(crate) fn parse(
        &mut self,
        bytes: &[u8],
        to_head: bool,
        fields: &mut Vec<Field>,
    ) -> Result<Option<ResponseHead>, BadResponse> {
        if self.status.is_none() {
            fields.clear();
            if !self.status_line(bytes)? {
                return Ok(None);
            }
        }
        loop {
            let rest = bytes.get(self.at..).unwrap_or_default();
            match rest {
                [b'\r', b'\n', ..] => {
                    self.at += 2;
                    return self.conclude(to_head).map(Some);
                }
                [b'\r', _, ..] => return Err(BadResponse),
                _ => {}
            }
            let Some((colon, length)) = field_line(rest)? else {
                return if bytes.len() < MAX_RESPONSE_HEAD { Ok(None) } else { Err(BadResponse) };
            };
            let field = Field::new(bytes, self.at, self.at + colon, self.at + length);
            fields.push(field);
            self.said.observe(field.name, rest.get(colon + 1..length - 2).unwrap_or_default())?;
            self.at += length;
        }
    }

    /// The status line behind the version: the status and, if the upstream has said one, the reason phrase.
    pub(crate) fn status_text<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(9..self.line_end).unwrap_or_default()
    }

    /// Whether the answer is of HTTP/1.0.
    pub(crate) const fn is_http_10(&self) -> bool {
        self.is_http_10
    }

    /// `HTTP/1.1 200 OK`; true when the line is complete.
    fn status_line(&mut self, bytes: &[u8]) -> Result<bool, BadResponse> {
        const PREFIX: &[u8] = b"HTTP/1.";
        let seen = bytes.get(..PREFIX.len()).unwrap_or(bytes);
        if !PREFIX.starts_with(seen) {
            return Err(BadResponse);
        }
        let end = end_of_value(bytes, 0);
        if end == bytes.len() {
            return if bytes.len() < MAX_RESPONSE_HEAD { Ok(false) } else { Err(BadResponse) };
        }
        let status = match bytes.get(PREFIX.len()..end).ok_or(BadResponse)? {
            [b'0' | b'1', b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9']
            | [b'0' | b'1', b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', ..] => {
                [a, b, c].iter().fold(0_u16, |number, digit| number * 10 + u16::from(**digit - b'0'))
            }
            _ => return Err(BadResponse),
        };
        match bytes.get(end..).unwrap_or_default() {
            [b'\r', b'\n', ..] => {}
            [b'\r'] => return Ok(false),
            _ => return Err(BadResponse),
        }
        self.status = Some(status);
        self.is_http_10 = bytes.get(PREFIX.len()) == Some(&b'0');
        self.line_end = end;
        self.at = end + 2;
        Ok(true)
    }

    fn conclude(&self, to_head: bool) -> Result<ResponseHead, BadResponse> {
        let status = self.status.ok_or(BadResponse)?;
        let Said { length, is_chunked, connection } = self.said;
        if is_chunked && (length.is_some() || self.is_http_10) {
            return Err(BadResponse);
        }
        let body = if to_head || matches!(status, 100..=199 | 204 | 304) {
            BodyLength::None
        } else if is_chunked {
            BodyLength::Chunked
        } else {
            match length {
                Some(0) => BodyLength::None,
                Some(length) => BodyLength::Known(length),
                None => BodyLength::UntilClose,
            }
        };
        let keep_alive = if self.is_http_10 { connection.keeps_alive } else { !connection.closes };
        Ok(ResponseHead {
            len: self.at,
            status,
            body,
            connection,
            keep_alive: keep_alive && !matches!(body, BodyLength::UntilClose),
        })
    }
}

impl Said {
    /// Takes note of a field. Few are about the message, so only their values are looked at.
    fn observe(&mut self, name: FieldName, untrimmed: &[u8]) -> Result<(), BadResponse> {
        if name == FieldName::ContentLength {
            let value = untrimmed.trim_ascii();
            let is_number = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
            if !is_number || self.length.is_some() {
                return Err(BadResponse);
            }
            self.length = Some(value.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')));
        } else if name == FieldName::TransferEncoding {
            if self.is_chunked || !untrimmed.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err(BadResponse);
            }
            self.is_chunked = true;
        } else if name == FieldName::Connection {
            self.connection.observe(untrimmed.trim_ascii());
        }
        Ok(())
    }
}

/// Colon and length of a complete line that begins a field.
fn field_line(rest: &[u8]) -> Result<Option<(usize, usize)>, BadResponse> {
    let colon = end_of_token(rest, 0);
    if colon == rest.len() {
        return Ok(None);
    }
    if colon == 0 || rest.get(colon) != Some(&b':') {
        return if rest == b"\r" { Ok(None) } else { Err(BadResponse) };
    }
    let value = rest.get(colon..).unwrap_or_default();
    let length = end_of_value(value, 0);
    if length == value.len() {
        return Ok(None);
    }
    match value.get(length..).unwrap_or_default() {
        // A line that begins with a blank continues this one: a folded field.
        [b'\r', b'\n', b' ' | b'\t', ..] => Err(BadResponse),
        [b'\r', b'\n', ..] => Ok(Some((colon, colon + length + 2))),
        [b'\r'] => Ok(None),
        _ => Err(BadResponse),
    }
}

/// What the gateway adds to, or decides about, a response.
#[derive(Debug)]
pub(crate) struct Additions<'a> {
    /// The field `X-Request-ID` with the end of its line.
    pub(crate) request_id_line: &'a [u8],
    /// Lines of `RateLimit` fields; empty for none.
    pub(crate) rate_limit: &'a [u8],
    /// The value of `Date`, where the upstream gave none.
    pub(crate) date: &'a [u8],
    /// How the body is sent: `None` leaves the upstream's `Content-Length`, if any.
    pub(crate) body: BodyLength,
    /// How the content is changed, on a route that does so.
    pub(crate) recoding: Option<Recoding>,
    /// What `Connection` of the head says.
    pub(crate) connection: ConnectionOptions,
    /// The connection ends after this response.
    pub(crate) close: bool,
    /// The client is HTTP/1.0 and has asked to keep the connection.
    pub(crate) say_keep_alive: bool,
    /// The connection becomes a WebSocket with this response.
    pub(crate) switches: bool,
}

/// Writes the head for the client; `text` is the status with the reason phrase.
pub(crate) fn write_head(out: &mut Vec<u8>, status: u16, text: &[u8], fields: Fields<'_>, add: &Additions<'_>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(text);
    // The blank stands there without a phrase too (RFC 9112, section 4).
    out.extend_from_slice(if text.len() > 3 { b"\r\n" } else { b" \r\n" });
    let mut has_date = false;
    let mut keeps = |field: &Field, name: &[u8]| match field.name {
        FieldName::HopByHop
        | FieldName::Connection
        | FieldName::Upgrade
        | FieldName::TransferEncoding
        | FieldName::RequestId => false,
        FieldName::ContentLength => status != 204 && status >= 200 && !matches!(add.body, BodyLength::Chunked),
        FieldName::RateLimit => add.rate_limit.is_empty(),
        FieldName::Date => {
            has_date = true;
            true
        }
        FieldName::Plain => !(add.connection.names_fields && fields.has_option(name)),
        FieldName::EndToEnd
        | FieldName::Host
        | FieldName::Authorization
        | FieldName::ApiKey
        | FieldName::ForwardedFor
        | FieldName::ForwardedProto
        | FieldName::ForwardedHost
        | FieldName::ForwardedOther
        | FieldName::Identity => true,
    };
    match add.recoding {
        None => fields.copy_lines(out, keeps),
        Some(recoding) => {
            fields.copy_lines(out, |field, name| keeps(field, name) && !recoding.replaces(name));
            recoding.write(out, fields);
        }
    }
    if !has_date {
        push_line(out, b"date", add.date);
    }
    out.extend_from_slice(add.request_id_line);
    out.extend_from_slice(add.rate_limit);
    if matches!(add.body, BodyLength::Chunked) {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    if add.switches {
        out.extend_from_slice(SWITCH);
    } else if add.close {
        out.extend_from_slice(b"connection: close\r\n");
    } else if add.say_keep_alive {
        out.extend_from_slice(b"connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes one field.
pub(crate) fn push_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
