//! Upstreams and clients that break, and whose fault it is said to be.

use std::sync::mpsc::channel;
use std::time::Duration;

use novagate_kernel::{ErrorCode, ServiceId};

use crate::harness::{HELLO, PATIENCE, Setup, Upstream, get, nobody, wait_until};

#[test]
fn an_upstream_that_cannot_be_reached_is_502_and_the_connection_stays() {
    let edge = Setup::open(&[&nobody()]).start();
    let mut client = edge.connect();
    for _ in 0..5 {
        client.send(get("/", ""));
        let response = client.response();
        assert_eq!((response.status, response.code().as_str()), (502, "DOWNSTREAM_ERROR"));
    }
}

#[test]
fn answers_that_are_not_http_or_ambiguous_are_502() {
    for answer in [
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        "",
        "HTTP/1.1 200 OK\r\nContent-",
    ] {
        let upstream = Upstream::scripted(move |_, conn| {
            conn.next_head();
            conn.send(answer);
        });
        let edge = Setup::open(&[&upstream.url]).start();
        let response = edge.ask(&get("/", ""));
        assert_eq!((response.status, response.code().as_str()), (502, "DOWNSTREAM_ERROR"), "{answer:?}");
        assert_eq!(edge.records(1)[0].code, Some(ErrorCode::DownstreamError));
    }
}

#[test]
fn a_response_that_breaks_off_is_never_taken_for_a_whole_one() {
    for (answer, request) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf", get("/", "")),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", get("/", "")),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\n\r\n".into(),
        ),
    ] {
        let upstream = Upstream::scripted(move |_, conn| {
            conn.next_head();
            conn.send(answer);
        });
        let edge = Setup::open(&[&upstream.url]).start();
        let mut client = edge.connect();
        client.send(&request);
        let mut seen = Vec::new();
        // A reset, or an end inside of the body.
        let end = std::io::Read::read_to_end(&mut client.stream, &mut seen);
        let text = String::from_utf8_lossy(&seen);
        assert!(!text.ends_with("0\r\n\r\n"), "{text}");
        assert!(!request.contains("HTTP/1.0") || end.is_err(), "{answer}");
        let record = edge.records(1)[0];
        assert_eq!((record.status, record.code), (200, Some(ErrorCode::DownstreamError)), "{answer}");
    }
}

#[test]
fn a_reset_until_the_close_is_no_end_of_the_body() {
    let upstream = Upstream::scripted(|_, conn| {
        conn.next_head();
        conn.send("HTTP/1.1 200 OK\r\n\r\nhalf");
        // The client confirms what it has by asking for more on the same connection.
        std::thread::park_timeout(Duration::from_millis(100));
        conn.will_reset();
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send(get("/", ""));
    let seen = client.rest();
    assert!(!seen.ends_with(b"0\r\n\r\n"));
    assert_eq!(edge.records(1)[0].code, Some(ErrorCode::DownstreamError));
}

#[test]
fn an_old_connection_that_is_dead_costs_nothing() {
    let upstream = Upstream::scripted(|_, conn| {
        // One answer per connection, and no word about it.
        if conn.next_head().is_some() {
            conn.send(HELLO);
        }
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    for _ in 0..50 {
        client.send(get("/", ""));
        assert_eq!(client.response().text(), "hello");
    }
}

#[test]
fn an_old_connection_that_dies_under_a_request_is_replaced_once_when_that_is_safe() {
    let upstream = Upstream::scripted(|number, conn| {
        conn.next_head();
        conn.send(HELLO);
        // The second request on the first connection is read and never answered.
        if conn.next_head().is_some() && number > 0 {
            conn.send(HELLO);
        }
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    for _ in 0..2 {
        client.send(get("/", ""));
        assert_eq!(client.response().text(), "hello");
    }
    assert_eq!(upstream.connections(), 2);
    let edge = Setup::open(&[&Upstream::scripted(|_, conn| {
        conn.next_head();
        conn.send(HELLO);
        conn.next_head();
    })
    .url])
    .start();
    let mut client = edge.connect();
    client.send(get("/", ""));
    assert_eq!(client.response().text(), "hello");
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().status, 502);
}

#[test]
fn a_target_that_cannot_be_reached_is_replaced_by_another_and_then_rests() {
    let good = Upstream::echo();
    let edge = Setup::open(&[&nobody(), &good.url]).start();
    let mut client = edge.connect();
    for _ in 0..20 {
        client.send(get("/", ""));
        let response = client.response();
        assert_eq!(response.status, 200);
        assert!(response.text().contains(&format!("host: {}\r\n", good.addr)));
    }
    assert_eq!(edge.handle.upstream_health().targets(ServiceId::from_u128(1)), Some((1, 2)));
}

#[test]
fn without_any_target_requests_are_503() {
    let edge = Setup::open(&[&nobody(), &nobody()]).start();
    let mut codes = Vec::new();
    wait_until("both targets rest", || {
        codes.push(edge.ask(&get("/", "")).code());
        codes.last().is_some_and(|code| code == "NO_HEALTHY_TARGETS")
    });
    assert!(codes.iter().any(|code| code == "DOWNSTREAM_ERROR"));
}

#[test]
fn forbidden_addresses_are_not_connected_to_even_by_name() {
    let upstream = Upstream::fixed(HELLO);
    let by_name = format!("http://localhost:{}", upstream.addr.port());
    for url in [&upstream.url, &by_name] {
        let denied = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let edge = Setup::open(&[url]).with(|settings| settings.denied_upstreams = denied).start();
        assert_eq!(edge.ask(&get("/", "")).code(), "DOWNSTREAM_ERROR");
    }
    assert_eq!(upstream.connections(), 0);
    let edge = Setup::open(&[&by_name]).start();
    assert_eq!(edge.ask(&get("/", "")).text(), "hello");
}

#[test]
fn the_gateways_own_listeners_are_no_upstreams() {
    let admin = Upstream::fixed(HELLO);
    let edge = Setup::open(&[&admin.url]).with(|settings| settings.own_listeners = vec![admin.addr]).start();
    assert_eq!(edge.ask(&get("/", "")).code(), "DOWNSTREAM_ERROR");
    let any = std::net::SocketAddr::from(([0, 0, 0, 0], admin.addr.port()));
    let edge = Setup::open(&[&admin.url]).with(|settings| settings.own_listeners = vec![any]).start();
    assert_eq!(edge.ask(&get("/", "")).code(), "DOWNSTREAM_ERROR");
    assert!(admin.requests().is_empty());
}

#[test]
fn a_client_that_goes_away_ends_the_upstream_request() {
    for how in ["reset", "close"] {
        let (ended, is_ended) = channel();
        let upstream = Upstream::scripted(move |_, conn| {
            conn.next_head();
            ended.send(conn.is_closed()).unwrap();
        });
        let edge = Setup::open(&[&upstream.url]).start();
        let mut client = edge.connect();
        client.send(get("/", ""));
        wait_until("the request is there", || upstream.connections() == 1);
        if how == "reset" {
            client.will_reset();
        }
        drop(client);
        assert!(is_ended.recv_timeout(PATIENCE).unwrap());
        let record = edge.records(1)[0];
        assert_eq!((record.status, record.code), (499, Some(ErrorCode::ClientClosed)), "{how}");
    }
}

#[test]
fn a_client_that_goes_away_in_its_body_ends_the_upstream_request() {
    let (ended, is_ended) = channel();
    let upstream = Upstream::scripted(move |_, conn| {
        conn.next_head();
        conn.read_exact(4);
        ended.send(conn.is_closed()).unwrap();
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhalf");
    wait_until("the request is there", || upstream.connections() == 1);
    drop(client);
    assert!(is_ended.recv_timeout(PATIENCE).unwrap());
    assert_eq!(edge.records(1)[0].code, Some(ErrorCode::ClientClosed));
}

#[test]
fn a_client_that_only_closes_its_sending_side_is_answered() {
    let upstream = Upstream::fixed(HELLO);
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send(get("/", ""));
    client.half_close();
    assert_eq!(client.response().text(), "hello");
    assert!(client.is_closed());
}
