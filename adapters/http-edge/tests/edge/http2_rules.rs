//! HTTP/2: rules, limits and refusals are those of HTTP/1.1; what the protocol forbids ends a stream.

use std::io::Write;
use std::sync::{Arc, Mutex};

use h2::Reason;
use http::Request;
use novagate_framing::Limits;
use novagate_policies::ConfigObject;

use crate::harness::{HELLO, Setup, Upstream, route, service};
use crate::harness_http2::{
    GOAWAY, HEADERS, Http2, RST_STREAM, WHOLE, frame, get, literal, next_frame, raw, reason, request,
};

const PLAIN: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_those_of_http_1_1_and_leave_the_connection() {
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&heads);
    // It waits for the body: an answer before would be the client's.
    let upstream = Upstream::scripted(move |_, conn| {
        while let Some(head) = conn.next_head() {
            let is_get = head.starts_with("GET ");
            noted.lock().unwrap().push(head);
            if !is_get {
                return drop(conn.rest());
            }
            conn.send(HELLO);
        }
    });
    let mut closed = route(2, "/closed", "up");
    closed.auth.required = true;
    let objects = vec![
        ConfigObject::Service(service(1, "up", &[&upstream.url])),
        ConfigObject::Route(route(1, "/open", "up")),
        ConfigObject::Route(closed),
    ];
    let setup = Setup::new(objects).with(|settings| {
        settings.framing = Limits::new(2_000, 10, 512).unwrap().with_max_body_bytes(Some(10));
        settings.node_limits.unauth_max = 2;
    });
    let edge = setup.start();
    let client = Http2::connect(&edge).await;
    let (long, many) = ("x".repeat(2_500), [("x", "y"); 11]);
    let too_long = format!("/{}", &long[..600]);
    let mut connect = Request::builder().method("CONNECT").uri("shop.example:443").body(()).unwrap();
    connect.headers_mut().insert("x", "y".parse().unwrap());
    for (asked, body, status, code) in [
        (get("/nowhere"), &b""[..], 404, "ROUTE_NOT_FOUND"),
        (get("/closed"), b"", 401, "TOKEN_MISSING"),
        (request("GET", "/closed", &[("x-api-key", "ck_none")]), b"", 401, "KEY_INVALID"),
        (connect, b"", 405, "METHOD_NOT_ALLOWED"),
        (request("POST", "/open", &[("content-length", "11")]), b"hello world", 413, "REQUEST_TOO_LARGE"),
        (request("POST", "/open", &[]), b"hello world", 413, "REQUEST_TOO_LARGE"),
        (get(&too_long), b"", 414, "URI_TOO_LONG"),
        (request("GET", "/open", &[("expect", "a-miracle")]), b"", 417, "EXPECTATION_FAILED"),
        (request("GET", "/open", &[("x", &long)]), b"", 431, "HEADERS_TOO_LARGE"),
        (request("GET", "/open", &many), b"", 431, "HEADERS_TOO_LARGE"),
        (request("GET", "/open", &[("host", "other.example")]), b"", 400, "BAD_REQUEST"),
        (get("/a%zz"), b"", 400, "BAD_REQUEST"),
    ] {
        let seen = client.ask(asked, body).await.unwrap();
        assert_eq!((seen.status(), seen.code().as_str()), (status, code));
        assert!(!seen.head.headers().contains_key("connection"));
        assert_eq!(seen.head.headers().contains_key("www-authenticate"), status == 401);
    }
    assert_eq!(client.ask(get("/open"), b"").await.unwrap().text(), "hello");
    let counted = client.ask(get("/open"), b"").await.unwrap();
    assert_eq!((counted.status(), counted.code().as_str()), (429, "RATE_LIMIT_EXCEEDED"));
    assert!(counted.head.headers().contains_key("retry-after"));
    let records = edge.records(14);
    assert_eq!(records.iter().filter(|record| record.code.is_some()).count(), 13);
    // A body shows that it is too long only when it comes.
    assert!(heads.lock().unwrap().iter().all(|head| head.contains(" /open HTTP/1.1\r\n")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_body_of_a_refused_request_is_read_and_a_long_one_is_not() {
    let edge = Setup::new(Vec::new()).start();
    let client = Http2::connect(&edge).await;
    for length in [100, 60_000, 5_000_000] {
        let asked = request("POST", "/", &[("content-length", &length.to_string())]);
        let seen = client.ask(asked, &vec![b'x'; length]).await.unwrap();
        assert_eq!(seen.code(), "ROUTE_NOT_FOUND");
    }
    assert_eq!(client.ask(get("/"), b"").await.unwrap().status(), 404);
}

#[test]
fn a_stream_that_is_no_request_is_reset_and_others_go_on() {
    let upstream = Upstream::fixed(HELLO);
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = raw(&edge);
    let with = |field: (&'static str, &'static str)| PLAIN.into_iter().chain([field]).collect::<Vec<_>>();
    let without = |name: &str| PLAIN.into_iter().filter(|field| field.0 != name).collect::<Vec<_>>();
    let mut number = 1;
    for fields in [
        without(":method"),
        without(":scheme"),
        without(":path"),
        with((":path", "/other")),
        with((":method", "POST")),
        with((":status", "200")),
        with((":protocol", "websocket")),
        with(("connection", "close")),
        with(("transfer-encoding", "chunked")),
        with(("upgrade", "h2c")),
        with(("keep-alive", "timeout=5")),
        with(("proxy-connection", "keep-alive")),
        with(("te", "gzip")),
        with(("content-length", "5")),
        with(("content-length", "+0")),
    ] {
        client.write_all(&frame(HEADERS, WHOLE, number, &literal(&fields))).unwrap();
        let seen = next_frame(&mut client, &[RST_STREAM, HEADERS]).unwrap_or_else(|| panic!("an answer to {fields:?}"));
        assert_eq!((seen.0, reason(&seen)), (RST_STREAM, Reason::PROTOCOL_ERROR), "{fields:?}");
        number += 2;
    }
    client.write_all(&frame(HEADERS, WHOLE, number, &literal(&PLAIN))).unwrap();
    assert_eq!(next_frame(&mut client, &[RST_STREAM, HEADERS]).unwrap().0, HEADERS);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_field_that_could_be_read_as_two_ends_the_connection() {
    let upstream = Upstream::fixed(HELLO);
    let edge = Setup::open(&[&upstream.url]).start();
    for field in [("X-Upper", "a"), ("x-line", "a\r\nhost: b"), ("x-nul", "a\0"), ("x name", "a"), ("x:name", "a")] {
        let mut client = raw(&edge);
        let fields: Vec<_> = PLAIN.into_iter().chain([field]).collect();
        client.write_all(&frame(HEADERS, WHOLE, 1, &literal(&fields))).unwrap();
        let seen = next_frame(&mut client, &[RST_STREAM, HEADERS, GOAWAY]).unwrap();
        assert_eq!((seen.0, reason(&seen)), (GOAWAY, Reason::PROTOCOL_ERROR), "{field:?}");
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_body_with_another_length_than_it_said_is_no_request() {
    let upstream = Upstream::echo();
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = raw(&edge);
    let fields: Vec<_> = PLAIN.into_iter().chain([("content-length", "5")]).collect();
    for (number, body) in [(1, &b"hell"[..]), (3, b"hello!")] {
        // Without the end of the stream, then a body with it.
        client.write_all(&frame(HEADERS, 4, number, &literal(&fields))).unwrap();
        client.write_all(&frame(0, 1, number, body)).unwrap();
        let seen = next_frame(&mut client, &[RST_STREAM, HEADERS]).unwrap();
        assert_eq!((seen.0, reason(&seen)), (RST_STREAM, Reason::PROTOCOL_ERROR), "{body:?}");
    }
}

#[test]
fn heads_far_beyond_the_limit_are_never_taken_in() {
    let edge = Setup::open(&["http://127.0.0.1:1"]).start();
    let mut client = raw(&edge);
    client.write_all(&frame(HEADERS, 1, 1, &literal(&PLAIN))).unwrap();
    let piece = literal(&vec![("x", "y"); 2_000]);
    // Continuations without end: either side of the connection may notice first.
    let is_refused = (0..20_000).any(|_| client.write_all(&frame(9, 0, 1, &piece)).is_err());
    assert!(is_refused);
}
