//! What becomes of a response on a route that compresses, and of its fields.
//!
//! Always: what a cache needs to know is said also on responses that stay as they are; what would become untrue by coding
//! keeps a response from being coded. Not here: the bytes (`encoder`).

use std::sync::Arc;

use novagate_routing::{Compression, ContentCoding};

use super::negotiation::{choose, coding_of};
use crate::wire::fields::Fields;
use crate::wire::names::options;
use crate::wire::response::{BodyLength, ResponseHead, push_line};

/// Fields that tell something of the bytes of their message: RFC 9530, RFC 3230, RFC 1864.
const OF_BYTES: [&[u8]; 4] = [b"content-digest", b"repr-digest", b"digest", b"content-md5"];

/// A route's rule, and what the client of one request takes of it.
#[derive(Debug)]
pub(crate) struct Compressing {
    rule: Arc<Compression>,
    coding: Option<ContentCoding>,
}

/// How a response is changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Recoding {
    /// What is put on its content.
    pub(crate) coding: Option<ContentCoding>,
    /// Another client may get, or could have got, other bytes.
    varies: bool,
    /// Its validator is not one of these very bytes.
    is_weak: bool,
}

/// Whether a field of this name tells something of the bytes of its message.
pub(crate) fn speaks_of_bytes(name: &[u8]) -> bool {
    OF_BYTES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

impl Compressing {
    /// `request`: the fields of the request.
    pub(crate) fn new(rule: &Arc<Compression>, request: Fields<'_>) -> Self {
        Self { rule: Arc::clone(rule), coding: choose(&rule.encodings, request.named(b"accept-encoding")) }
    }

    /// What is made of a response; `may_code`: the request was not HEAD, and its client takes chunks.
    pub(crate) fn plan(&self, head: &ResponseHead, fields: Fields<'_>, may_code: bool) -> Recoding {
        if head.status == 304 {
            // As the 200 would have had it (RFC 9110, section 15.4.5).
            return Recoding { coding: None, varies: true, is_weak: self.coding.is_some() };
        }
        if !self.suits(head, fields) {
            return Recoding::default();
        }
        let has_content = !matches!(head.body, BodyLength::None);
        let coding = self.coding.filter(|_| may_code && has_content);
        Recoding { coding, varies: true, is_weak: coding.is_some() }
    }

    /// Whether the response is coded for a client that takes it.
    fn suits(&self, head: &ResponseHead, fields: Fields<'_>) -> bool {
        let length = match head.body {
            BodyLength::Known(length) => Some(length),
            BodyLength::Chunked | BodyLength::UntilClose => None,
            // Of an answer to HEAD, or of none.
            BodyLength::None => fields.named(b"content-length").next().map(number),
        };
        let is_long = length.is_none_or(|length| length >= self.rule.min_bytes.max(1));
        if !is_long || head.status < 200 || matches!(head.status, 204..=206) {
            return false;
        }
        let mut is_of_type = false;
        for (_, name, value) in fields.lines() {
            let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
            if is(b"content-type") {
                is_of_type = self.rule.takes(value);
            } else if is(b"content-range")
                || (is(b"content-encoding") && coding_of([value].into_iter()) != Ok(None))
                || (is(b"cache-control") && forbids(value))
                || speaks_of_bytes(name)
            {
                return false;
            }
        }
        is_of_type
    }
}

impl Recoding {
    /// Whether a line with this name is left out, or written by [`Self::write`].
    pub(crate) fn replaces(self, name: &[u8]) -> bool {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 => (self.is_weak && is(b"etag")) || (self.varies && is(b"vary")),
            13 => self.coding.is_some() && is(b"accept-ranges"),
            16 => self.coding.is_some() && is(b"content-encoding"),
            _ => false,
        }
    }

    /// Writes the lines in the place of those that were left out; `fields`: those of the upstream's response.
    pub(crate) fn write(self, out: &mut Vec<u8>, fields: Fields<'_>) {
        if let Some(coding) = self.coding {
            push_line(out, b"content-encoding", coding.as_str().as_bytes());
        }
        if let Some(tag) = fields.named(b"etag").next().filter(|_| self.is_weak) {
            out.extend_from_slice(if tag.starts_with(b"W/") { b"etag: " } else { b"etag: W/" });
            out.extend_from_slice(tag);
            out.extend_from_slice(b"\r\n");
        }
        if self.varies {
            write_vary(out, fields);
        }
    }
}

/// One line with all that a response depends on.
fn write_vary(out: &mut Vec<u8>, fields: Fields<'_>) {
    let on = || fields.named(b"vary").flat_map(options);
    if on().any(|name| name == b"*") {
        push_line(out, b"vary", b"*");
        return;
    }
    out.extend_from_slice(b"vary: ");
    for name in on().filter(|name| !name.eq_ignore_ascii_case(b"accept-encoding")) {
        out.extend_from_slice(name);
        out.extend_from_slice(b", ");
    }
    out.extend_from_slice(b"accept-encoding\r\n");
}

/// Whether a `Cache-Control` has `no-transform` (RFC 9111, section 5.2.2.6).
fn forbids(value: &[u8]) -> bool {
    options(value).any(|directive| directive.eq_ignore_ascii_case(b"no-transform"))
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
