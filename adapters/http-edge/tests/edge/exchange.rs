//! Golden requests and responses: what an upstream gets, what a client gets.

use novagate_policies::ConfigObject;
use novagate_routing::ForwardPath;

use crate::harness::{HELLO, Setup, Upstream, get, host, route, service};

const ID: &str = "0198c0de-0000-4000-8000-0000000000ff";

#[test]
fn a_request_reaches_the_upstream_as_documented() {
    let upstream = Upstream::echo();
    let edge = Setup::open(&[&upstream.url]).start();
    let asked =
        edge.ask(&get("/a/b?x=1&y=%2F", &format!("Accept: */*\r\nX-Request-ID: {ID}\r\nConnection: keep-alive\r\n")));
    let expected = format!(
        "GET /a/b?x=1&y=%2F HTTP/1.1\r\nhost: {}\r\nAccept: */*\r\nx-forwarded-for: 127.0.0.1\r\n\
         x-forwarded-proto: http\r\nx-forwarded-host: shop.example\r\nx-request-id: {ID}\r\n\r\n",
        upstream.addr
    );
    assert_eq!(asked.text(), expected);
    assert_eq!((asked.status, asked.field("x-request-id")), (200, Some(ID)));
}

#[test]
fn promise_x4_a_request_id_that_is_no_uuid_is_replaced_everywhere_alike() {
    let upstream = Upstream::echo();
    let edge = Setup::open(&[&upstream.url]).start();
    let asked = edge.ask(&get("/", "X-Request-ID: junk\r\n"));
    let id = asked.field("x-request-id").unwrap().to_owned();
    assert_eq!(id.len(), 36);
    assert!(asked.text().contains(&format!("x-request-id: {id}\r\n")));
    assert_eq!(edge.records(1)[0].request_id.to_string(), id);
    let other = edge.ask(&get("/", "X-Request-ID: junk\r\n"));
    assert_ne!(other.field("x-request-id"), Some(&*id));
}

#[test]
fn a_response_reaches_the_client_as_the_upstream_gave_it() {
    let upstream = Upstream::fixed(
        "HTTP/1.1 418 I'm a Teapot\r\nServer: pot\r\nDate: then\r\nKeep-Alive: 5\r\nConnection: x-hop\r\nX-Hop: 1\r\n\
         Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 3\r\n\r\ntea",
    );
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send(get("/", &format!("X-Request-ID: {ID}\r\n")));
    let head = String::from_utf8(client.read_until("\r\n\r\n")).unwrap();
    let (fields, limits) = head.split_once("ratelimit-policy").unwrap();
    assert_eq!(
        fields,
        format!(
            "HTTP/1.1 418 I'm a Teapot\r\nServer: pot\r\nDate: then\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\
             Content-Length: 3\r\nx-request-id: {ID}\r\n"
        )
    );
    assert_eq!(limits, ": \"unauth\";q=1000000;w=60\r\nratelimit: \"unauth\";r=999999;t=61\r\n\r\n");
    assert_eq!(client.read_exact(3), b"tea");
}

#[test]
fn connections_to_both_sides_are_used_again() {
    let upstream = Upstream::fixed(HELLO);
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    for _ in 0..5 {
        client.send(get("/", ""));
        assert_eq!(client.response().text(), "hello");
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::echo();
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    let all: String = (0..40).map(|number| get(&format!("/{number}"), "")).collect();
    client.send(all);
    for number in 0..40 {
        assert!(client.response().text().starts_with(&format!("GET /{number} ")));
    }
}

#[test]
fn responses_without_body_end_with_their_head() {
    for (method, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\nETag: x\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ] {
        let upstream = Upstream::fixed(answer);
        let edge = Setup::open(&[&upstream.url]).start();
        let mut client = edge.connect();
        for _ in 0..3 {
            client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
            let response = client.response_to(method);
            assert!(response.body.is_empty());
            assert_eq!(response.field("content-length").is_some(), answer.contains("Content-Length"), "{answer}");
        }
        assert_eq!(upstream.connections(), 1, "{answer}");
    }
}

#[test]
fn a_chunked_response_stays_chunked_and_keeps_its_trailers() {
    let upstream = Upstream::fixed(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5;x=y\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\
         X-Sum: 11\r\nContent-Length: 5\r\n\r\n",
    );
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    for _ in 0..2 {
        client.send(get("/", ""));
        assert!(client.head().contains("transfer-encoding: chunked\r\n"));
        let body = client.read_until("\r\n\r\n");
        let text = String::from_utf8(body).unwrap();
        assert_eq!(text, "5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX-Sum: 11\r\n\r\n");
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_response_until_the_close_is_chunked_for_http_1_1_and_raw_for_http_1_0() {
    let upstream = Upstream::scripted(|_, conn| {
        conn.next_head();
        conn.send("HTTP/1.1 200 OK\r\n\r\nall there is");
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send(get("/", ""));
    let response = client.response();
    assert_eq!((response.field("transfer-encoding"), response.text().as_str()), (Some("chunked"), "all there is"));
    client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    let response = client.response();
    assert_eq!((response.field("transfer-encoding"), response.field("connection")), (None, Some("close")));
    assert_eq!(response.text(), "all there is");
}

#[test]
fn an_http_1_0_client_keeps_its_connection_when_it_asks() {
    let upstream = Upstream::fixed(HELLO);
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(client.response().field("connection"), Some("keep-alive"));
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().field("connection"), Some("close"));
    assert!(client.is_closed());
}

#[test]
fn interim_responses_are_not_taken_for_the_answer() {
    let upstream = Upstream::fixed(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    );
    let edge = Setup::open(&[&upstream.url]).start();
    let response = edge.ask(&get("/", ""));
    assert_eq!((response.status, response.text().as_str(), response.field("link")), (200, "hello", None));
}

#[test]
fn bodies_reach_the_upstream_whole_and_with_their_framing() {
    let upstream = Upstream::echo();
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert!(client.response().text().ends_with("\r\n\r\nhello"));
    client.send(
        "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=\"1\"\r\nhello\r\n0\r\nX-Sum: 1\r\n\
         X-Consumer-Id: spoofed\r\nx_consumer_groups: spoofed\r\n\r\n",
    );
    let text = client.response().text();
    assert!(text.contains("transfer-encoding: chunked\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), "{text}");
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_client_that_waits_for_continue_gets_it() {
    let upstream = Upstream::echo();
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send("PUT /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.head(), "http/1.1 100 continue\r\n\r\n");
    client.send("hello");
    let text = client.response().text();
    assert!(text.ends_with("\r\n\r\nhello") && !text.to_ascii_lowercase().contains("expect"), "{text}");
}

#[test]
fn paths_are_normalised_and_prefixes_stripped() {
    let upstream = Upstream::echo();
    let setup = Setup::new(vec![
        ConfigObject::Service(service(1, "up", &[&upstream.url])),
        ConfigObject::Route(route(1, "/api/*", "up")),
    ]);
    let edge = setup.with_forward(|forward| forward.path = ForwardPath::Stripped).start();
    for (sent, got) in [("/api/x", "/x"), ("/api", "/"), ("//api/./y/../%7ez?q=/../", "/~z?q=/../"), ("/api/?a", "/?a")]
    {
        let text = edge.ask(&get(sent, "")).text();
        assert!(text.starts_with(&format!("GET {got} HTTP/1.1\r\n")), "{sent}: {text}");
    }
}

#[test]
fn an_absolute_target_is_served_like_its_path() {
    let upstream = Upstream::echo();
    let edge = Setup::open(&[&upstream.url]).start();
    let text = edge.ask("GET http://shop.example/a?b HTTP/1.1\r\nHost: shop.example\r\n\r\n").text();
    assert!(text.starts_with("GET /a?b HTTP/1.1\r\n"), "{text}");
}

#[test]
fn hosts_decide_and_ports_of_hosts_do_not() {
    let (one, other) = (Upstream::fixed(HELLO), Upstream::fixed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"));
    let mut exact = route(1, "/*", "one");
    exact.route.matcher.hosts = vec![host("shop.example")];
    let edge = Setup::new(vec![
        ConfigObject::Service(service(1, "one", &[&one.url])),
        ConfigObject::Service(service(2, "other", &[&other.url])),
        ConfigObject::Route(exact),
        ConfigObject::Route(route(2, "/*", "other")),
    ])
    .start();
    for (name, body) in [("shop.example", "hello"), ("SHOP.example:8000", "hello"), ("elsewhere", "other")] {
        assert_eq!(edge.ask(&format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n")).text(), body);
    }
}

#[test]
fn targets_share_requests_by_weight() {
    let (heavy, light) = (Upstream::fixed(HELLO), Upstream::fixed(HELLO));
    let edge = Setup::open(&[&heavy.url, &light.url]).with_service(|service| service.targets[0].weight = 3).start();
    let mut client = edge.connect();
    for _ in 0..40 {
        client.send(get("/", ""));
        client.response();
    }
    assert_eq!((heavy.requests().len(), light.requests().len()), (30, 10));
}

#[test]
fn an_offer_of_another_protocol_is_ignored() {
    let upstream = Upstream::echo();
    let edge = Setup::open(&[&upstream.url]).start();
    for protocol in ["h2c", "TLS/1.2", "websocket/13", "websocket"] {
        let response = edge.ask(&get("/", &format!("Connection: upgrade\r\nUpgrade: {protocol}\r\n")));
        assert_eq!(response.status, 200, "{protocol}");
        assert!(!response.text().to_ascii_lowercase().contains("upgrade"), "{protocol}");
    }
}
