//! A request of HTTP/2 as the bytes of one of HTTP/1.1.
//!
//! Always: a WebSocket (RFC 8441) is told as the handshake that it is in HTTP/1.1. Not here: what a request must be
//! (`novagate_framing` reads these bytes like those of any client), bodies (`writer`), frames and windows (`stream`).

use http::Method;
use http::request::Parts;
use novagate_framing::end_of_value;

use super::handshake::Handshake;
use super::writer::{Body, Malformed, MessageWriter, content_length, push_field, write_fields};
use crate::wire::response::push_line;

/// Begins to write a request. `ended`: nothing follows its head; nothing of what follows a handshake is its body.
pub(super) fn write_request(
    head: &Parts,
    ended: bool,
    websocket: Option<&Handshake>,
) -> Result<MessageWriter, Malformed> {
    let body = match (ended || websocket.is_some(), content_length(&head.headers)?) {
        (true, None | Some(0)) => Body::Ended,
        (true, Some(_)) => return Err(Malformed),
        (false, Some(length)) => Body::Known(length),
        (false, None) => Body::Chunked,
    };
    let mut lines = Vec::with_capacity(512);
    write_head(&mut lines, head, websocket)?;
    Ok(MessageWriter::new(lines, body))
}

/// The head without the empty line.
fn write_head(out: &mut Vec<u8>, head: &Parts, websocket: Option<&Handshake>) -> Result<(), Malformed> {
    let authority = head.uri.authority().map_or("", |authority| authority.as_str()).as_bytes();
    let (method, target) = match (&head.method, head.uri.path_and_query()) {
        (&Method::CONNECT, Some(target)) if websocket.is_some() => (&Method::GET, target.as_str().as_bytes()),
        // Refused like any other; it has no path.
        (&Method::CONNECT, _) => (&Method::CONNECT, authority),
        (method, Some(target)) => (method, target.as_str().as_bytes()),
        (_, None) => return Err(Malformed),
    };
    let is_plain = |bytes: &[u8]| end_of_value(bytes, 0) == bytes.len() && !bytes.contains(&b' ');
    if !is_plain(target) || !is_plain(authority) {
        return Err(Malformed);
    }
    for part in [method.as_str().as_bytes(), b" ", target, b" HTTP/1.1\r\n"] {
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
    if let Some(handshake) = websocket {
        handshake.write(out);
    }
    write_fields(out, &head.headers)
}

#[cfg(test)]
mod tests;
