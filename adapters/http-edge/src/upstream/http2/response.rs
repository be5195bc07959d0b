//! A response of HTTP/2 as the bytes of one of HTTP/1.1.
//!
//! Always: a body has the length that its head says; what has no length goes in chunks, so that trailers have a place. Not
//! here: what a response must be (`wire::response` reads these bytes like those of any upstream), bodies (`crate::http2`).

use http::StatusCode;
use http::response::Parts;

use crate::http2::{ACCEPT_FIELD, Body, Malformed, MessageWriter, content_length, write_fields};
use crate::wire::grammar::push_number;
use crate::wire::response::push_line;
use crate::wire::websocket::SWITCH;

/// Begins to write a response. `to_head`: the request was HEAD; `ended`: nothing follows the head.
pub(super) fn write_response(head: &Parts, to_head: bool, ended: bool) -> Result<MessageWriter, Malformed> {
    let mut lines = start(head.status);
    write_fields(&mut lines, &head.headers)?;
    let length = content_length(&head.headers)?;
    let is_bodiless = to_head || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body = match (ended, length) {
        _ if head.status.is_informational() => return Err(Malformed),
        (true, _) if is_bodiless => Body::Ended,
        // The end may come in a frame of its own, and must not come with anything.
        (false, _) if is_bodiless => Body::Known(0),
        (true, Some(0)) => Body::Ended,
        (true, Some(_)) => return Err(Malformed),
        (true, None) => {
            push_line(&mut lines, b"content-length", b"0");
            Body::Ended
        }
        (false, Some(length)) => Body::Known(length),
        (false, None) => Body::Chunked,
    };
    Ok(MessageWriter::new(lines, body))
}

/// The switch that a 2xx is the answer of.
pub(super) fn write_switch(head: &Parts, accept: &[u8]) -> Result<MessageWriter, Malformed> {
    let mut lines = start(StatusCode::SWITCHING_PROTOCOLS);
    write_fields(&mut lines, &head.headers)?;
    lines.extend_from_slice(SWITCH);
    push_line(&mut lines, ACCEPT_FIELD.as_bytes(), accept);
    Ok(MessageWriter::new(lines, Body::Raw))
}

fn start(status: StatusCode) -> Vec<u8> {
    let mut lines = Vec::with_capacity(512);
    lines.extend_from_slice(b"HTTP/1.1 ");
    push_number(&mut lines, u64::from(status.as_u16()));
    lines.push(b' ');
    lines.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    lines.extend_from_slice(b"\r\n");
    lines
}

#[cfg(test)]
mod tests;
