//! What the gateway answers itself.

use novagate_framing::Limits;
use novagate_policies::ConfigObject;

use crate::harness::{HELLO, Setup, Upstream, get, route, service};

#[test]
fn malformed_requests_are_refused_with_their_code_and_the_connection_ends() {
    let upstream = Upstream::fixed(HELLO);
    let limits = Limits::new(2048, 20, 512).unwrap().with_max_body_bytes(Some(10));
    let edge = Setup::open(&[&upstream.url]).with(|settings| settings.framing = limits).start();
    let long = "x".repeat(3000);
    let many = "X-A: b\r\n".repeat(21);
    for (request, status, code) in [
        ("GET / HTTP/1.1\r\n\r\n", 400, "BAD_REQUEST"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "BAD_REQUEST"),
        ("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", 400, "BAD_REQUEST"),
        ("GET / HTTP/1.1\nHost: a\n\n", 400, "BAD_REQUEST"),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "BAD_REQUEST"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400, "BAD_REQUEST"),
        ("GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n", 400, "BAD_REQUEST"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400, "BAD_REQUEST"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "BAD_REQUEST"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400, "BAD_REQUEST"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, "BAD_REQUEST"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 400, "BAD_REQUEST"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "NOT_IMPLEMENTED"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", 413, "REQUEST_TOO_LARGE"),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\n\r\n", 417, "EXPECTATION_FAILED"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP_VERSION_NOT_SUPPORTED"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405, "METHOD_NOT_ALLOWED"),
        ("PRI * HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP_VERSION_NOT_SUPPORTED"),
        ("\x16\x03\x01\x02\x00\x01\x00\x01", 400, "BAD_REQUEST"),
        (&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", &long[..600]), 414, "URI_TOO_LONG"),
        (&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), 431, "HEADERS_TOO_LARGE"),
        (&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431, "HEADERS_TOO_LARGE"),
    ] {
        let mut client = edge.connect();
        client.send(request);
        let response = client.response();
        assert_eq!((response.status, response.code().as_str()), (status, code), "{request:?}");
        assert_eq!(response.field("connection"), Some("close"), "{request:?}");
        assert!(response.field("date").is_some());
        assert!(client.is_closed(), "{request:?}");
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_smuggled_request_behind_a_malformed_one_is_never_served() {
    let upstream = Upstream::fixed(HELLO);
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    client.send(get("/smuggled", ""));
    assert_eq!(client.response().status, 400);
    assert!(client.is_closed());
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_violation_behind_a_good_request_comes_after_its_answer() {
    let upstream = Upstream::fixed(HELLO);
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send(get("/", "") + "NOT HTTP\r\n\r\n");
    assert_eq!(client.response().text(), "hello");
    assert_eq!(client.response().code(), "BAD_REQUEST");
    assert!(client.is_closed());
}

#[test]
fn unacceptable_paths_are_refused_and_the_connection_stays() {
    let upstream = Upstream::fixed(HELLO);
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    for path in ["/%00", "/a%5cb", "/../x", "/a%2Fb", "/%zz"] {
        client.send(get(path, ""));
        let response = client.response();
        assert_eq!((response.status, response.code().as_str()), (400, "BAD_REQUEST"), "{path}");
    }
    client.send(get("/", ""));
    assert_eq!(client.response().status, 200);
}

#[test]
fn unknown_routes_and_methods_are_told_apart() {
    let upstream = Upstream::fixed(HELLO);
    let mut one = route(1, "/a", "up");
    one.route.matcher.methods = vec![http::Method::GET, http::Method::DELETE];
    let service = service(1, "up", &[&upstream.url]);
    let edge = Setup::new(vec![ConfigObject::Service(service), ConfigObject::Route(one)]).start();
    let unknown = edge.ask(&get("/b", ""));
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "ROUTE_NOT_FOUND"));
    let mut client = edge.connect();
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    let other = client.response();
    assert_eq!(
        (other.status, other.code().as_str(), other.field("allow")),
        (405, "METHOD_NOT_ALLOWED", Some("delete, get"))
    );
    client.send(get("/a", ""));
    assert_eq!(client.response().status, 200);
    client.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status, 404);
    client.send("HEAD /b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_to("HEAD").status, 404);
    client.send(get("/a", ""));
    assert_eq!(client.response().status, 200);
}

#[test]
fn a_refused_upload_ends_with_its_connection_and_is_not_read_as_a_request() {
    let upstream = Upstream::fixed(HELLO);
    let edge = Setup::new(vec![
        ConfigObject::Service(service(1, "up", &[&upstream.url])),
        ConfigObject::Route(route(1, "/a", "up")),
    ])
    .start();
    let smuggled = get("/a", "");
    let mut client = edge.connect();
    client.send(format!(
        "POST /none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{smuggled}\r\n0\r\n\r\n",
        smuggled.len()
    ));
    assert_eq!(client.response().status, 404);
    assert!(client.is_closed());
    let mut client = edge.connect();
    client.send(format!("POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{smuggled}", smuggled.len()));
    assert_eq!(client.response().status, 404);
    client.send(get("/a", "X-Mine: 1\r\n"));
    assert_eq!(client.response().status, 200);
    assert_eq!(upstream.requests().len(), 1);
    assert!(upstream.requests()[0].contains("X-Mine"));
}

#[test]
fn a_malformed_body_is_the_clients_fault_and_ends_the_upstream_request() {
    let (ended, is_ended) = std::sync::mpsc::channel();
    let upstream = Upstream::scripted(move |_, conn| {
        conn.next_head();
        ended.send(String::from_utf8_lossy(&conn.rest()).into_owned()).unwrap();
    });
    let edge = Setup::open(&[&upstream.url]).start();
    for body in ["3\r\nabc\r\nzz\r\n", "3\r\nabcd\r\n", "3\nabc", "3;\0\r\nabc"] {
        let mut client = edge.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
        client.send(body);
        let response = client.response();
        assert_eq!((response.status, response.code().as_str()), (400, "BAD_REQUEST"), "{body:?}");
        assert!(client.is_closed());
        let seen = is_ended.recv_timeout(crate::harness::PATIENCE).unwrap();
        assert!(!seen.contains("0\r\n\r\n"), "{seen:?}");
    }
}

#[test]
fn a_chunked_body_over_its_limit_is_413() {
    let upstream = Upstream::scripted(|_, conn| drop(conn.rest()));
    let limits = Limits::default().with_max_body_bytes(Some(10));
    let edge = Setup::open(&[&upstream.url]).with(|settings| settings.framing = limits).start();
    let mut client = edge.connect();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n",
    );
    assert_eq!(client.response().code(), "REQUEST_TOO_LARGE");
    assert!(client.is_closed());
}

#[test]
fn without_a_configuration_requests_are_answered_not_ready() {
    let edge = Setup::new(Vec::new()).start_with(None);
    let response = edge.ask(&get("/", ""));
    assert_eq!((response.status, response.code().as_str()), (503, "NOT_READY"));
    assert_eq!(edge.records(1)[0].table, 0);
}
