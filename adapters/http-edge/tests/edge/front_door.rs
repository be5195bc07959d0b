//! Before the first request: who a connection comes from, and how many an address may have.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use novagate_net::client_config;

use crate::client_tls::{connect_over, response};
use crate::harness::{Certificate, Client, Edge, HELLO, Setup, Upstream, get, wait_until};

/// A gateway that believes loopback peers when they speak the PROXY protocol.
fn behind_proxy(upstream: &Upstream) -> Setup {
    let peers = vec!["127.0.0.0/8".parse().unwrap()];
    Setup::open(&[&upstream.url]).with(|settings| settings.proxy_protocol = peers)
}

/// A header of version 2 for an IPv4 connection from 198.51.100.7:51000, with a TLV.
fn block() -> Vec<u8> {
    let addresses = [198, 51, 100, 7, 192, 0, 2, 2, 0xc7, 0x38, 1, 0xbb, 4, 0, 1, 0];
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x10".as_slice(), &addresses].concat()
}

/// What the upstream is told about the client of a connection that begins with `header`.
fn told(edge: &Edge, header: &[u8]) -> String {
    let mut client = edge.connect();
    client.send([header, get("/", "").as_bytes()].concat());
    let echoed = client.response().text();
    let (_, behind) = echoed.split_once("x-forwarded-for: ").unwrap();
    behind.split("\r\n").next().unwrap().to_owned()
}

#[test]
fn the_address_that_a_proxy_tells_is_the_clients() {
    let upstream = Upstream::echo();
    let edge = behind_proxy(&upstream).start();
    assert_eq!(told(&edge, b"PROXY TCP4 203.0.113.9 192.0.2.2 51000 443\r\n"), "203.0.113.9");
    assert_eq!(told(&edge, b"PROXY TCP6 2001:db8::9 2001:db8::2 51000 443\r\n"), "2001:db8::9");
    assert_eq!(told(&edge, &block()), "198.51.100.7");
    for own in [b"PROXY UNKNOWN\r\n".as_slice(), b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"] {
        assert_eq!(told(&edge, own), "127.0.0.1");
    }
    assert_eq!(edge.handle.proxy_header_failures(), 0);
}

#[test]
fn a_header_may_come_in_pieces_and_the_connection_is_an_ordinary_one_afterwards() {
    let upstream = Upstream::fixed(HELLO);
    let edge = behind_proxy(&upstream).start();
    let mut client = edge.connect();
    for piece in [b"PROXY TCP4 203".as_slice(), b".0.113.9 192.0.2.2 510", b"00 443\r", b"\nGET / HT"] {
        client.send(piece);
        wait_until("it is taken", || edge.handle.active_connections() == 1);
    }
    client.send("TP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status, 200);
    client.send(get("/again", ""));
    assert_eq!(client.response().status, 200);
}

#[test]
fn a_peer_that_has_to_tell_and_does_not_is_closed_and_counted() {
    let upstream = Upstream::fixed(HELLO);
    let edge = behind_proxy(&upstream).with(|settings| settings.timeouts.header = Duration::from_millis(80)).start();
    let mut plain = edge.connect();
    plain.send(get("/", ""));
    assert!(plain.is_closed());
    let mut silent = edge.connect();
    silent.send("PROXY TCP4");
    assert!(silent.is_closed());
    wait_until("both are counted", || edge.handle.proxy_header_failures() == 2);
    wait_until("both are gone", || edge.handle.active_connections() == 0);
    assert!(upstream.requests().is_empty());
}

#[test]
fn from_other_peers_such_a_header_is_a_broken_request() {
    let upstream = Upstream::fixed(HELLO);
    let elsewhere = vec!["203.0.113.0/24".parse().unwrap()];
    let edge = Setup::open(&[&upstream.url]).with(|settings| settings.proxy_protocol = elsewhere).start();
    for header in [b"PROXY TCP4 203.0.113.9 192.0.2.2 51000 443\r\n".to_vec(), block()] {
        let mut client = edge.connect();
        client.send([header, get("/", "").into_bytes()].concat());
        assert_eq!(client.response().code(), "BAD_REQUEST");
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn the_header_comes_before_tls() {
    let upstream = Upstream::echo();
    let certificate = Certificate::new("behind-proxy");
    let edge = Setup { client_tls: Some(certificate.server(None)), ..behind_proxy(&upstream) }.start();
    let mut stream = TcpStream::connect(edge.handle.local_addr()).unwrap();
    stream.write_all(&block()).unwrap();
    let mut client = connect_over(stream, client_config(Some(&certificate.cert())).unwrap());
    client.write_all(get("/", "").as_bytes()).unwrap();
    let echoed = String::from_utf8(response(&mut client).1).unwrap();
    assert!(echoed.contains("x-forwarded-for: 198.51.100.7\r\nx-forwarded-proto: https\r\n"), "{echoed}");
}

#[test]
fn an_address_has_so_many_connections_and_one_more_when_one_has_ended() {
    let upstream = Upstream::fixed(HELLO);
    let setup = behind_proxy(&upstream).with(|settings| settings.max_connections_per_address = Some(2));
    let edge = setup.start();
    let connect = |from: &str| {
        let mut client = edge.connect();
        client.send(format!("PROXY TCP4 {from} 192.0.2.2 51000 443\r\n{}", get("/", "")));
        let response = client.response();
        (client, response)
    };
    let (first, second) = (connect("203.0.113.9"), connect("203.0.113.9"));
    assert_eq!((first.1.status, second.1.status), (200, 200));
    let (mut refused, response) = connect("203.0.113.9");
    assert_eq!((response.status, response.code().as_str()), (503, "OVERLOADED"));
    assert_eq!(response.field("retry-after"), Some("1"));
    assert!(refused.is_closed());
    assert_eq!(connect("203.0.113.8").1.status, 200);
    wait_until("it is counted", || edge.handle.turned_away() == 1);
    drop(first);
    wait_until("its place is free", || connect("203.0.113.9").1.status == 200);
}

#[test]
fn trusted_proxies_have_as_many_connections_as_they_want() {
    let upstream = Upstream::fixed(HELLO);
    let loopback = vec!["127.0.0.0/8".parse().unwrap()];
    let edge = Setup::open(&[&upstream.url])
        .with(|settings| (settings.max_connections_per_address, settings.trusted_proxies) = (Some(1), loopback))
        .start();
    let address: SocketAddr = edge.handle.local_addr();
    let mut clients: Vec<Client> = (0..5).map(|_| Client::connect(address)).collect();
    for client in &mut clients {
        client.send(get("/", ""));
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn a_worker_that_is_late_refuses_most_requests_and_keeps_their_connections() {
    let upstream = Upstream::fixed(HELLO);
    // Whatever is due is late by some microseconds.
    let edge = Setup::open(&[&upstream.url]).with(|settings| settings.overload_delay = Some(Duration::ZERO)).start();
    let mut client = edge.connect();
    let mut ask = || {
        client.send(get("/a", ""));
        client.response()
    };
    wait_until("a request is refused", || ask().status == 503);
    let (mut served, mut refused) = (0, 0);
    while served == 0 || refused == 0 {
        let response = ask();
        if response.status == 200 {
            served += 1;
            continue;
        }
        refused += 1;
        assert_eq!((response.code().as_str(), response.field("retry-after")), ("OVERLOADED", Some("1")));
    }
    assert!(edge.handle.requests_shed() > refused);
}
