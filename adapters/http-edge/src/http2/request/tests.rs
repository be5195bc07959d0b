//! Requests as bytes: what they say, and that there is only ever one.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use novagate_framing::{BodyKind, Limits, RequestFraming, Step};
use proptest::prelude::*;
use tokio::io::ReadBuf;

use super::*;

fn head(method: &str, uri: &str, fields: &[(&str, &[u8])]) -> Parts {
    let mut head = Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0;
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        head.headers.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    head
}

/// Reads what is there, in pieces of `room` bytes.
fn take(writer: &mut MessageWriter, room: usize, out: &mut Vec<u8>) -> usize {
    let mut of_body = 0;
    while !writer.is_drained() {
        let mut bytes = vec![0; room];
        let mut into = ReadBuf::new(&mut bytes);
        of_body += writer.read(&mut into);
        out.extend_from_slice(into.filled());
    }
    of_body
}

fn written(head: &Parts, body: &[&[u8]], trailers: Option<&HeaderMap>, room: usize) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::new();
    let mut writer = write_request(head, body.is_empty() && trailers.is_none(), None)?;
    take(&mut writer, room, &mut out);
    if writer.has_ended() {
        return Ok(out);
    }
    let mut of_body = 0;
    for piece in body {
        writer.data(Bytes::copy_from_slice(piece), false)?;
        of_body += take(&mut writer, room, &mut out);
    }
    writer.end(trailers.cloned())?;
    of_body += take(&mut writer, room, &mut out);
    assert!(writer.has_ended());
    assert_eq!(of_body, body.concat().len());
    Ok(out)
}

fn text(head: &Parts, body: &[&[u8]]) -> String {
    String::from_utf8(written(head, body, None, 7).unwrap()).unwrap()
}

/// How many requests the framing machine reads; nothing when it refuses one.
fn requests(mut bytes: &[u8]) -> Option<usize> {
    let mut framing = RequestFraming::new(Limits::default());
    let mut count = 0;
    loop {
        let consumed = match framing.feed(bytes) {
            Step::Head(info) => {
                count += 1;
                info.len
            }
            Step::Body { consumed } | Step::EndOfMessage { consumed } => consumed,
            Step::NeedMore if bytes.is_empty() => return Some(count),
            Step::NeedMore => return Some(count + 1),
            Step::Violation(_) | Step::Closed => return None,
        };
        bytes = &bytes[consumed..];
    }
}

#[test]
fn a_request_without_body_is_a_head() {
    let fields: [(&str, &[u8]); 4] = [("cookie", b"a=1"), ("accept", b"*/*"), ("cookie", b"b=2"), ("te", b"trailers")];
    assert_eq!(
        text(&head("GET", "https://shop.example/a?b=c", &fields), &[]),
        "GET /a?b=c HTTP/1.1\r\nhost: shop.example\r\naccept: */*\r\nte: trailers\r\ncookie: a=1; b=2\r\n\r\n"
    );
}

#[test]
fn a_body_goes_by_its_length_or_else_in_chunks() {
    let known = head("POST", "http://a/", &[("content-length", b"5")]);
    assert_eq!(text(&known, &[b"he", b"", b"llo"]), "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
    assert_eq!(
        text(&head("POST", "http://a/", &[]), &[b"hello, you all!!", b"", b"x"]),
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n10\r\nhello, you all!!\r\n1\r\nx\r\n0\r\n\r\n"
    );
}

#[test]
fn trailers_stand_behind_chunks_and_nowhere_else() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    let chunked = written(&head("POST", "http://a/", &[]), &[b"x"], Some(&trailers), 64).unwrap();
    assert!(chunked.ends_with(b"1\r\nx\r\n0\r\nx-sum: 7\r\n\r\n"));
    let known = head("POST", "http://a/", &[("content-length", b"1")]);
    assert!(written(&known, &[b"x"], Some(&trailers), 64).unwrap().ends_with(b"\r\n\r\nx"));
}

#[test]
fn the_end_of_a_known_length_is_held_until_it_is_known_what_is_behind_it() {
    let known = head("POST", "http://a/", &[("content-length", b"4")]);
    let mut trailers = HeaderMap::new();
    for (name, value) in [("x-sum", "7"), ("x-sum", "8"), ("host", "b"), ("content-length", "9")] {
        trailers.append(name, HeaderValue::from_static(value));
    }
    let (mut writer, mut out) = (write_request(&known, false, None).unwrap(), Vec::new());
    for (piece, at_once) in [("ab", 2), ("cd", 0)] {
        take(&mut writer, 64, &mut out);
        writer.data(piece.into(), false).unwrap();
        assert_eq!(take(&mut writer, 64, &mut out), at_once);
    }
    assert!(writer.take_trailers().is_none());
    writer.end(Some(trailers)).unwrap();
    let trailers = writer.take_trailers().unwrap();
    assert_eq!(trailers.get_all("x-sum").iter().count(), 2);
    assert_eq!(trailers.len(), 2, "only what may stand behind a body");
    assert_eq!(take(&mut writer, 64, &mut out), 2);
    assert!(out.ends_with(b"\r\n\r\nabcd"));

    let mut writer = write_request(&known, false, None).unwrap();
    take(&mut writer, 64, &mut out);
    writer.data("abcd".into(), true).unwrap();
    assert_eq!(take(&mut writer, 64, &mut out), 4, "nothing can be behind it");
}

#[test]
fn a_websocket_is_the_handshake_that_it_is_in_http_1_1() {
    let fields: [(&str, &[u8]); 2] = [("sec-websocket-version", b"13"), ("origin", b"http://b")];
    let head = head("CONNECT", "https://shop.example/chat?a", &fields);
    let mut writer = write_request(&head, false, Some(&Handshake::new([7; 16]))).unwrap();
    let mut out = Vec::new();
    take(&mut writer, 9, &mut out);
    let seen = String::from_utf8(out).unwrap();
    assert_eq!(
        seen,
        "GET /chat?a HTTP/1.1\r\nhost: shop.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-key: BwcHBwcHBwcHBwcHBwcHBw==\r\nsec-websocket-version: 13\r\norigin: http://b\r\n\r\n"
    );
    assert!(writer.has_ended());
    writer.switch();
    writer.data("raw".into(), false).unwrap();
    let mut out = Vec::new();
    assert_eq!(take(&mut writer, 9, &mut out), 3);
    assert_eq!(out, b"raw");
}

#[test]
fn a_length_that_the_body_does_not_have_is_refused() {
    let declared = |value: &[u8]| head("POST", "http://a/", &[("content-length", value)]);
    for (length, body) in [("5", &[&b"hell"[..]][..]), ("5", &[b"hello!"]), ("5", &[b"hell", b"o!"]), ("5", &[])] {
        assert_eq!(written(&declared(length.as_bytes()), body, None, 64), Err(Malformed), "{length} {body:?}");
    }
    for length in ["", "+5", "5, 5", "0x5", "5 ", "1234567890123456789"] {
        assert_eq!(written(&declared(length.as_bytes()), &[b"hello"], None, 64), Err(Malformed), "{length:?}");
    }
    let twice = head("POST", "http://a/", &[("content-length", b"1"), ("content-length", b"1")]);
    assert_eq!(written(&twice, &[b"x"], None, 64), Err(Malformed));
}

#[test]
fn fields_about_a_connection_are_refused() {
    for (name, value) in [
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("keep-alive", "timeout=1"),
        ("proxy-connection", "close"),
        ("te", "gzip"),
    ] {
        assert_eq!(
            written(&head("GET", "http://a/", &[(name, value.as_bytes())]), &[], None, 64),
            Err(Malformed),
            "{name}"
        );
    }
}

#[test]
fn the_authority_is_the_host_and_another_host_beside_it_breaks_the_rules() {
    let same = text(&head("GET", "http://Shop.example/", &[("host", b"shop.EXAMPLE")]), &[]);
    assert_eq!(same.matches("host: ").count(), 1);
    let alone = text(&head("GET", "/", &[("host", b"b")]), &[]);
    assert_eq!(alone, "GET / HTTP/1.1\r\nhost: b\r\n\r\n");
    assert_eq!(requests(alone.as_bytes()), Some(1));
    for bad in [head("GET", "http://a/", &[("host", b"b")]), head("GET", "/", &[]), head("CONNECT", "a:80", &[])] {
        assert_eq!(requests(text(&bad, &[]).as_bytes()), None, "{bad:?}");
    }
}

#[test]
fn the_kind_of_body_is_what_framing_reads() {
    for (bytes, kind) in [
        (text(&head("GET", "http://a/", &[]), &[]), BodyKind::None),
        (text(&head("PUT", "http://a/", &[("content-length", b"2")]), &[b"ab"]), BodyKind::Length(2)),
        (text(&head("PUT", "http://a/", &[]), &[b"ab"]), BodyKind::Chunked),
    ] {
        let Step::Head(info) = RequestFraming::new(Limits::default()).feed(bytes.as_bytes()) else { panic!("{bytes}") };
        assert_eq!(info.body, kind);
    }
}

/// Bytes that could end something early, among others.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let byte =
        prop_oneof![Just(b'\r'), Just(b'\n'), Just(0), Just(b':'), Just(b' '), Just(b'\t'), any::<u8>(), 32..127_u8];
    prop::collection::vec(byte, 0..24)
}

proptest! {
    #[test]
    fn whatever_the_library_delivers_is_one_request_or_none(
        method in hostile(),
        path in hostile(),
        authority in hostile(),
        fields in prop::collection::vec((hostile(), hostile()), 0..6),
        trailers in prop::collection::vec((hostile(), hostile()), 0..3),
        body in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4),
        length in prop::option::of(0..100_usize),
        room in 1..50_usize,
    ) {
        let map = |list: &[(Vec<u8>, Vec<u8>)]| {
            let mut map = HeaderMap::new();
            for (name, value) in list {
                if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                    map.append(name, value);
                }
            }
            map
        };
        let mut head = head("POST", "http://a/", &[]);
        if let Ok(method) = Method::from_bytes(&method) {
            head.method = method;
        }
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(http::uri::Scheme::HTTP);
        uri.authority = http::uri::Authority::try_from(&*authority).ok().or_else(|| "a".parse().ok());
        uri.path_and_query = http::uri::PathAndQuery::try_from(&*path).ok().or_else(|| "/".parse().ok());
        if let Ok(uri) = http::Uri::from_parts(uri) {
            head.uri = uri;
        }
        head.headers = map(&fields);
        if let Some(length) = length {
            head.headers.insert("content-length", length.into());
        }
        let pieces: Vec<&[u8]> = body.iter().map(Vec::as_slice).collect();
        let trailers = map(&trailers);
        if let Ok(bytes) = written(&head, &pieces, Some(&trailers), room) {
            prop_assert!(requests(&bytes).is_none_or(|count| count == 1), "{:?}", String::from_utf8_lossy(&bytes));
            prop_assert_eq!(&bytes, &written(&head, &pieces, Some(&trailers), 4096).unwrap());
        }
    }
}
