//! Heads of requests as they are written anew.

use std::net::Ipv4Addr;

use super::super::fields::scan;
use super::*;

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn forward(fields: &str, change: impl FnOnce(&mut Forward<'_>)) -> String {
    forward_from(Sender::Stranger { lines: &stranger_lines(ADDRESS, false) }, fields, change)
}

fn forward_from(sender: Sender<'_>, fields: &str, change: impl FnOnce(&mut Forward<'_>)) -> String {
    let head = format!("GET /a HTTP/1.1\r\n{fields}\r\n");
    let mut list = Vec::new();
    scan(head.as_bytes(), 17, &mut list);
    let mut forward = Forward {
        method: b"GET",
        path: b"/a",
        query: b"?q=1",
        fields: Fields::new(head.as_bytes(), &list),
        body: BodyForm::AsItIs,
        authority: b"up:81",
        host: b"shop",
        sender,
        request_id_line: b"x-request-id: ID\r\n",
        identity: Identity::Anonymous,
        client_cert: None,
        keys: KeyFields::Ours,
        offers_websocket: false,
        te: b"",
    };
    change(&mut forward);
    let mut out = Vec::new();
    let place = forward.write(&mut out);
    assert_eq!(&out[place], forward.authority);
    String::from_utf8(out).unwrap()
}

const TAIL: &str =
    "x-forwarded-for: 192.0.2.1\r\nx-forwarded-proto: http\r\nx-forwarded-host: shop\r\nx-request-id: ID\r\n\r\n";

#[test]
fn a_request_is_forwarded_with_what_the_gateway_adds() {
    let written = forward("Host: shop\r\nAccept: */*\r\nUser-Agent: x\r\n", |_| {});
    assert_eq!(written, format!("GET /a?q=1 HTTP/1.1\r\nhost: up:81\r\nAccept: */*\r\nUser-Agent: x\r\n{TAIL}"));
}

#[test]
fn hop_by_hop_fields_and_what_connection_names_end_here() {
    let written = forward(
        "Connection: X-Hop, close, authorization\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nUpgrade: websocket\r\n\
         HTTP2-Settings: x\r\nProxy-Authorization: y\r\nExpect: 100-continue\r\nAuthorization: Basic z\r\n",
        |_| {},
    );
    assert_eq!(written, format!("GET /a?q=1 HTTP/1.1\r\nhost: up:81\r\nAuthorization: Basic z\r\n{TAIL}"));
}

#[test]
fn a_websocket_handshake_is_offered_anew_and_alone() {
    let written = forward(
        "Connection: keep-alive, Upgrade\r\nUpgrade: h2c, websocket\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n",
        |forward| forward.offers_websocket = true,
    );
    assert_eq!(
        written,
        format!(
            "GET /a?q=1 HTTP/1.1\r\nhost: up:81\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\
             connection: upgrade\r\nupgrade: websocket\r\n{TAIL}"
        )
    );
}

#[test]
fn a_client_cannot_set_what_only_the_gateway_may() {
    let written = forward(
        "X-Consumer-Id: spoofed\r\nx_consumer_groups: spoofed\r\nX-Token-Subject: spoofed\r\nX-Request-ID: spoofed\r\n\
         X-Forwarded-For: spoofed\r\nX-Forwarded-Proto: spoofed\r\nX-Forwarded-Host: spoofed\r\nForwarded: spoofed\r\n\
         X-Real-IP: spoofed\r\n",
        |_| {},
    );
    assert_eq!(written, format!("GET /a?q=1 HTTP/1.1\r\nhost: up:81\r\n{TAIL}"));
}

#[test]
fn a_trusted_peer_tells_about_the_client() {
    let written = forward_from(
        Sender::Trusted { address: b"192.0.2.1", is_secure: false },
        "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 198.51.100.1\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: shop.example\r\n",
        |_| {},
    );
    assert!(written.contains("x-forwarded-for: 203.0.113.9, 198.51.100.1, 192.0.2.1\r\n"));
    assert!(written.contains("X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n"));
    assert!(!written.contains("x-forwarded-proto") && !written.contains("x-forwarded-host"));
}

#[test]
fn a_request_that_came_over_tls_is_told_to_be_so() {
    let lines = stranger_lines(ADDRESS, true);
    let trusted = Sender::Trusted { address: b"192.0.2.1", is_secure: true };
    for (fields, sender) in [("X-Forwarded-Proto: http\r\n", Sender::Stranger { lines: &lines }), ("", trusted)] {
        let written = forward_from(sender, fields, |_| {});
        assert!(written.contains("x-forwarded-for: 192.0.2.1\r\nx-forwarded-proto: https\r\n"), "{written}");
        assert!(!written.contains("Proto: http\r\n"), "{written}");
    }
}

#[test]
fn keys_are_removed_and_tokens_go_on() {
    let fields = "X-API-Key: abc\r\nAuthorization: Bearer ck_0123\r\n";
    assert_eq!(forward(fields, |_| {}), format!("GET /a?q=1 HTTP/1.1\r\nhost: up:81\r\n{TAIL}"));
    assert!(forward("Authorization: Bearer a.b.c\r\n", |_| {}).contains("Authorization: Bearer a.b.c\r\n"));
}

#[test]
fn a_route_without_credentials_leaves_the_upstreams_own_key_alone() {
    let plain = |forward: &mut Forward<'_>| forward.keys = KeyFields::OnlyRecognised;
    assert!(forward("X-API-Key: abc\r\n", plain).contains("X-API-Key: abc\r\n"));
    assert!(!forward("X-API-Key: ck_abc\r\n", plain).contains("ck_abc"));
}

#[test]
fn a_subject_is_told_to_the_upstream() {
    let written = forward("", |forward| forward.identity = Identity::Subject(Some("ada")));
    assert!(written.contains("x-token-subject: ada\r\n") && !written.contains("x-consumer-id"));
}

#[test]
fn another_target_gets_its_own_authority() {
    let mut head = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec();
    let mut place = 22..23;
    replace_authority(&mut head, &mut place, b"longer:81");
    replace_authority(&mut head, &mut place, b"b:1");
    assert_eq!(head, b"GET / HTTP/1.1\r\nhost: b:1\r\n\r\n");
}

#[test]
fn targets_are_split_into_path_and_query() {
    for (target, path, query) in [
        ("/a/b?c=d?e", "/a/b", "?c=d?e"),
        ("/", "/", ""),
        ("http://host:80/a?b", "/a", "?b"),
        ("http://host", "/", ""),
        ("http://host?b=/c", "/", "?b=/c"),
    ] {
        let (found_path, found_query) = split_target(target.as_bytes());
        assert_eq!((found_path, found_query), (path.as_bytes(), query.as_bytes()), "{target}");
    }
}

#[test]
fn an_authority_names_only_unusual_ports() {
    assert_eq!(&*authority("a.example", 80, false), b"a.example");
    assert_eq!(&*authority("a.example", 80, true), b"a.example:80");
    assert_eq!(&*authority("::1", 8080, false), b"[::1]:8080");
}
