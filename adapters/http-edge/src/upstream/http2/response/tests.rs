//! Responses as bytes: what they say, and that readers of HTTP/1.1 find one response in them.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use tokio::io::ReadBuf;

use super::*;

fn head(status: u16, fields: &[(&'static str, &'static str)]) -> Parts {
    let mut head = Response::builder().status(status).body(()).unwrap().into_parts().0;
    for (name, value) in fields {
        head.headers.append(*name, HeaderValue::from_static(value));
    }
    head
}

fn take(writer: &mut MessageWriter, out: &mut Vec<u8>) {
    while !writer.is_drained() {
        let mut bytes = [0; 11];
        let mut into = ReadBuf::new(&mut bytes);
        writer.read(&mut into);
        out.extend_from_slice(into.filled());
    }
}

/// As text; `body`: `None` ends the stream with the head.
fn written(
    head: &Parts,
    to_head: bool,
    body: Option<&'static str>,
    trailers: Option<HeaderMap>,
) -> Result<String, Malformed> {
    let (mut writer, mut out) = (write_response(head, to_head, body.is_none())?, Vec::new());
    take(&mut writer, &mut out);
    if let Some(body) = body {
        writer.data(Bytes::from_static(body.as_bytes()), false)?;
        take(&mut writer, &mut out);
        writer.end(trailers)?;
        take(&mut writer, &mut out);
    }
    assert!(writer.has_ended());
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn a_body_has_its_length_or_goes_in_chunks_with_its_trailers() {
    let known = written(&head(200, &[("content-length", "5"), ("x-a", "b")]), false, Some("hello"), None);
    assert_eq!(known.unwrap(), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: b\r\n\r\nhello");
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let chunked = written(&head(200, &[]), false, Some("hello"), Some(trailers)).unwrap();
    assert_eq!(
        chunked,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\ngrpc-status: 0\r\n\r\n"
    );
}

#[test]
fn what_has_no_body_says_so_where_that_is_not_known_anyhow() {
    for (head, to_head, written_as) in [
        (head(200, &[]), false, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        (head(200, &[]), true, "HTTP/1.1 200 OK\r\n\r\n"),
        (head(200, &[("content-length", "9")]), true, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"),
        (head(204, &[]), false, "HTTP/1.1 204 No Content\r\n\r\n"),
        (head(304, &[("content-length", "9")]), false, "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n"),
        (head(799, &[]), false, "HTTP/1.1 799 \r\ncontent-length: 0\r\n\r\n"),
    ] {
        assert_eq!(written(&head, to_head, None, None).as_deref(), Ok(written_as));
    }
    // The end in a frame of its own.
    assert_eq!(written(&head(204, &[]), false, Some(""), None).as_deref(), Ok("HTTP/1.1 204 No Content\r\n\r\n"));
}

#[test]
fn what_is_no_response_is_refused() {
    for (head, to_head, body) in [
        (head(200, &[("content-length", "5")]), false, Some("hell")),
        (head(200, &[("content-length", "5")]), false, Some("hello!")),
        (head(200, &[("content-length", "5")]), false, None),
        (head(200, &[("content-length", "5"), ("content-length", "5")]), false, Some("hello")),
        (head(200, &[("content-length", "+5")]), false, Some("hello")),
        (head(200, &[("connection", "close")]), false, Some("hello")),
        (head(200, &[("transfer-encoding", "chunked")]), false, Some("hello")),
        (head(204, &[]), false, Some("hello")),
        (head(200, &[]), true, Some("hello")),
        (head(101, &[]), false, None),
    ] {
        assert_eq!(written(&head, to_head, body, None), Err(Malformed), "{head:?}");
    }
}

#[test]
fn a_websocket_is_a_switch() {
    let (mut writer, mut out) = (write_switch(&head(200, &[("x-a", "b")]), b"c3VyZQ==").unwrap(), Vec::new());
    take(&mut writer, &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "HTTP/1.1 101 Switching Protocols\r\nx-a: b\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: c3VyZQ==\r\n\r\n"
    );
    assert!(writer.is_raw());
}
