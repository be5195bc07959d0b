//! Every wait has a limit, and whoever let it pass is told so.

use std::time::Duration;

use novagate_http_edge::EdgeTimeouts;
use novagate_kernel::ErrorCode;

use crate::harness::{HELLO, Setup, Upstream, get};

const SHORT: Duration = Duration::from_millis(150);

fn short(change: impl FnOnce(&mut EdgeTimeouts)) -> impl FnOnce(&mut novagate_http_edge::EdgeSettings) {
    |settings| change(&mut settings.timeouts)
}

/// Answers nothing and keeps the connection.
fn silent() -> Upstream {
    Upstream::scripted(|_, conn| drop(conn.rest()))
}

#[test]
fn an_upstream_that_does_not_answer_is_504() {
    let upstream = silent();
    let edge = Setup::open(&[&upstream.url]).with(short(|timeouts| timeouts.proxy = SHORT)).start();
    let mut client = edge.connect();
    for request in [get("/", ""), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi".to_owned()] {
        client.send(request);
        let response = client.response();
        assert_eq!((response.status, response.code().as_str()), (504, "DOWNSTREAM_TIMEOUT"));
    }
    let record = edge.records(2)[0];
    assert!(record.latency_us >= 150_000, "{record:?}");
}

#[test]
fn a_services_own_timeout_comes_before_the_nodes() {
    let upstream = silent();
    let edge = Setup::open(&[&upstream.url]).with_service(|service| service.timeout = Some(SHORT)).start();
    assert_eq!(edge.ask(&get("/", "")).code(), "DOWNSTREAM_TIMEOUT");
}

#[test]
fn a_response_that_stalls_is_broken_off() {
    let upstream = Upstream::scripted(|_, conn| {
        conn.next_head();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf");
        conn.rest();
    });
    let edge = Setup::open(&[&upstream.url]).with(short(|timeouts| timeouts.body_idle = SHORT)).start();
    let mut client = edge.connect();
    client.send(get("/", ""));
    client.rest();
    let record = edge.records(1)[0];
    assert_eq!((record.status, record.code), (200, Some(ErrorCode::DownstreamTimeout)));
}

#[test]
fn a_total_timeout_ends_a_stream_that_never_stalls() {
    let upstream = Upstream::scripted(|_, conn| {
        conn.next_head();
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while std::io::Write::write_all(&mut conn.stream, b"1\r\nx\r\n").is_ok() {
            std::thread::park_timeout(Duration::from_millis(10));
        }
    });
    let edge = Setup::open(&[&upstream.url]).with_service(|service| service.total_timeout = Some(SHORT)).start();
    let mut client = edge.connect();
    client.send(get("/", ""));
    client.rest();
    assert_eq!(edge.records(1)[0].code, Some(ErrorCode::DownstreamTimeout));
}

#[test]
fn a_head_that_is_not_finished_is_408_however_slowly_it_goes_on() {
    let edge = Setup::open(&[&silent().url]).with(short(|timeouts| timeouts.header = SHORT)).start();
    let mut client = edge.connect();
    client.send("GET / HT");
    let response = client.response();
    assert_eq!((response.status, response.code().as_str()), (408, "REQUEST_TIMEOUT"));
    assert!(client.is_closed());
    let mut slow = edge.connect();
    while std::io::Write::write_all(&mut slow.stream, b"x").is_ok() {
        std::thread::park_timeout(Duration::from_millis(20));
        slow.stream.set_nonblocking(true).unwrap();
        let count = std::io::Read::read(&mut slow.stream, &mut [0; 1]);
        slow.stream.set_nonblocking(false).unwrap();
        if count.is_ok() {
            return;
        }
    }
}

#[test]
fn a_connection_without_a_request_is_closed_without_a_word() {
    let upstream = Upstream::fixed(HELLO);
    let edge = Setup::open(&[&upstream.url]).with(short(|timeouts| timeouts.idle = SHORT)).start();
    assert!(edge.connect().is_closed());
    let mut client = edge.connect();
    client.send(get("/", ""));
    assert_eq!(client.response().text(), "hello");
    assert!(client.is_closed());
    assert_eq!(edge.records(1).len(), 1);
}

#[test]
fn a_body_that_stalls_is_408() {
    let edge = Setup::open(&[&silent().url]).with(short(|timeouts| timeouts.body_idle = SHORT)).start();
    for framing in ["Content-Length: 50", "Transfer-Encoding: chunked"] {
        let mut client = edge.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n3\r\n"));
        let response = client.response();
        assert_eq!((response.status, response.code().as_str()), (408, "REQUEST_TIMEOUT"), "{framing}");
        assert!(client.is_closed());
    }
}

#[test]
fn a_client_that_does_not_read_is_let_go() {
    let upstream = Upstream::scripted(|_, conn| {
        conn.next_head();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
        let piece = vec![0; 65_536];
        while std::io::Write::write_all(&mut conn.stream, &piece).is_ok() {}
    });
    let edge = Setup::open(&[&upstream.url]).with(short(|timeouts| timeouts.body_idle = SHORT)).start();
    let mut client = edge.connect();
    client.send(get("/", ""));
    client.head();
    let record = edge.records(1)[0];
    assert_eq!((record.status, record.code), (499, Some(ErrorCode::ClientClosed)));
}
