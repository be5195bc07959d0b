//! Upstreams over HTTP/2: what passes, from clients of both versions, in clear and over TLS.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::Method;
use novagate_policies::ConfigObject;
use novagate_routing::{HealthCheck, Mirror, ProbeKind, RouteAction};
use tokio::sync::Semaphore;

use crate::harness::{Certificate, HELLO, Setup, Upstream, get as get_http1, route, service, wait_until};
use crate::harness_http2::{Http2, answer, get, request, send_all, spawn};
use crate::harness_http2_upstream::{Http2Upstream, http2, over_http2, piece, push, trailers};

const MANY: usize = 16 * 1024 * 1024;

fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|at| b'a' + u8::try_from(at * 31 % 23).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_all_clients_share_one_connection() {
    let upstream = Http2Upstream::hello().await;
    let edge = over_http2(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let fields = [("te", "trailers"), ("cookie", "a=1"), ("x-a", "b"), ("x-api-key", "ck_none")];
    for _ in 0..3 {
        assert_eq!(client.ask(request("GET", "/a/../b?q=1", &fields[..3]), b"").await.unwrap().text(), "hello");
        let seen = edge.ask(&get_http1("/c", "Connection: close, x-hop\r\nX-Hop: 1\r\nUpgrade: h2c\r\n"));
        assert_eq!((seen.status, seen.text().as_str()), (200, "hello"));
        assert!(seen.field("x-request-id").is_some() && seen.field("date").is_some());
    }
    assert_eq!(upstream.connections(), 1);
    let heads = upstream.heads();
    let (one, two) = (&heads[0], &heads[1]);
    assert_eq!((one.method.as_str(), one.uri.to_string()), ("GET", format!("{}/b?q=1", upstream.url)));
    let value = |name: &str| one.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!((value("te"), value("cookie"), value("x-a")), (Some("trailers"), Some("a=1"), Some("b")));
    assert_eq!((value("x-forwarded-for"), value("host")), (Some("127.0.0.1"), None));
    for name in ["connection", "upgrade", "x-hop", "te", "transfer-encoding"] {
        assert!(!two.headers.contains_key(name), "{name}");
    }
    assert!(edge.records(6).iter().all(|record| record.status == 200 && record.code.is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_pass_unchanged_both_ways() {
    let upstream = Http2Upstream::echo().await;
    let edge = over_http2(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let body = pattern(MANY);
    for fields in [&[][..], &[("content-length", &*MANY.to_string())]] {
        let seen = client.ask(request("POST", "/", fields), &body).await.unwrap();
        assert!(seen.body == body, "{} bytes", seen.body.len());
    }
    let mut old = edge.connect();
    let sending = old.stream.try_clone().unwrap();
    let sent = body.clone();
    let sender = std::thread::spawn(move || {
        let mut sending = sending;
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {MANY}\r\n\r\n");
        std::io::Write::write_all(&mut sending, head.as_bytes()).unwrap();
        std::io::Write::write_all(&mut sending, &sent).unwrap();
    });
    let seen = tokio::task::block_in_place(|| old.response());
    assert!(seen.body == body, "{} bytes", seen.body.len());
    sender.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_pass_both_ways_behind_bodies_of_any_kind() {
    let upstream = Http2Upstream::new(|mut asked| async move {
        let (body, sent) = asked.read().await;
        let sum = sent.as_ref().and_then(|sent| sent.get("x-sum")).map(|sum| sum.to_str().unwrap().to_owned());
        assert!(sent.is_none_or(|sent| !sent.contains_key("content-type")), "not for a trailer section");
        let told = format!("{} {}", String::from_utf8(body).unwrap(), sum.unwrap_or_default());
        let length = told.len().to_string();
        let fields = [("content-length", length.as_str())];
        let fields = if asked.head.uri.path() == "/known" { &fields[..] } else { &[] };
        let mut stream = asked.begin(200, fields);
        assert!(push(&mut stream, told.as_bytes()).await);
        stream.send_trailers(trailers(&[("x-told", "yes"), ("x-told", "again")])).unwrap();
    })
    .await;
    let edge = over_http2(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    for (path, fields) in [("/chunks", &[][..]), ("/known", &[("content-length", "5")])] {
        let (response, stream) = client.begin(request("POST", path, fields)).await;
        let sum = [("x-sum", "7"), ("content-type", "a/b")];
        // In chunks such a trailer is refused.
        send_all(stream, b"hello", Some(trailers(&sum[..if path == "/known" { 2 } else { 1 }]))).await;
        let seen = answer(response).await.unwrap();
        assert_eq!(seen.text(), "hello 7", "{path}");
        let told = seen.trailers.unwrap();
        assert_eq!(told.get_all("x-told").iter().collect::<Vec<_>>(), ["yes", "again"], "{path}");
        assert_eq!(seen.head.headers().contains_key("content-length"), path == "/known");
    }
    // And without any.
    let seen = client.ask(request("POST", "/known", &[("content-length", "5")]), b"hello").await.unwrap();
    assert_eq!((seen.text().as_str(), seen.trailers.is_some()), ("hello ", true));
    let mut old = edge.connect();
    old.send(
        "POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 8\r\n\r\n",
    );
    assert!(old.head().contains("transfer-encoding: chunked"));
    assert_eq!(old.read_until("\r\n\r\n"), b"7\r\nhello 8\r\n0\r\nx-told: yes\r\nx-told: again\r\n\r\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_a_body_and_those_before_the_answer_are_understood() {
    let upstream = Http2Upstream::new(|mut asked| async move {
        let path = asked.head.uri.path().to_owned();
        for _ in 0..3 {
            let early = http::Response::builder().status(103).header("link", "</a>").body(()).unwrap();
            asked.respond.send_informational(early).unwrap();
        }
        match (asked.head.method.clone(), path.as_str()) {
            (Method::HEAD, _) => asked.answer(200, &[("content-length", "9")], b"", None).await,
            (_, "/204") => asked.answer(204, &[], b"", None).await,
            (_, "/304") => asked.answer(304, &[("etag", "\"a\"")], b"", None).await,
            (_, "/none") => asked.answer(200, &[], b"", None).await,
            _ => {
                let mut stream = asked.begin(200, &[]);
                stream.send_data(bytes::Bytes::new(), true).unwrap();
            }
        }
    })
    .await;
    let edge = over_http2(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let mut old = edge.connect();
    for (method, path, status) in
        [("HEAD", "/", 200), ("GET", "/204", 204), ("GET", "/304", 304), ("GET", "/none", 200), ("GET", "/late", 200)]
    {
        let seen = client.ask(request(method, path, &[]), b"").await.unwrap();
        assert_eq!((seen.status(), seen.body.len()), (status, 0), "{method} {path}");
        old.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let seen = old.response_to(method);
        assert_eq!((seen.status, seen.body.len()), (status, 0), "{method} {path}");
    }
    let seen = client.ask(request("HEAD", "/", &[]), b"").await.unwrap();
    assert_eq!(seen.head.headers()["content-length"], "9");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_waits_to_be_asked_for_is_asked_for() {
    let upstream = Http2Upstream::echo().await;
    let edge = over_http2(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert!(client.head().starts_with("http/1.1 100 "));
    client.send("hello");
    assert_eq!(client.response().text(), "hello");
    assert!(!upstream.heads()[0].headers.contains_key("expect"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_http_2_is_agreed_on() {
    let certificate = Certificate::new("http2-upstream");
    let mut config = (*certificate.server(None)).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let serve = |asked: crate::harness_http2_upstream::Asked| asked.answer(200, &[], b"hello", None);
    let upstream = Http2Upstream::with(|_| {}, Some(Arc::new(config)), serve).await;
    let mut setup = over_http2(&[&upstream.url]);
    setup.upstream_ca = Some(certificate.cert());
    let edge = setup.start();
    for _ in 0..2 {
        assert_eq!(edge.ask(&get_http1("/", "")).text(), "hello");
    }
    assert_eq!(upstream.connections(), 1);
    assert_eq!(upstream.heads()[0].uri.scheme_str(), Some("https"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_connections_are_made_when_the_upstream_takes_no_more_streams_on_one() {
    let (gate, arrived) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (may_go, has_come) = (Arc::clone(&gate), Arc::clone(&arrived));
    let serve = move |asked: crate::harness_http2_upstream::Asked| {
        let (may_go, has_come) = (Arc::clone(&may_go), Arc::clone(&has_come));
        async move {
            has_come.add_permits(1);
            may_go.acquire().await.unwrap().forget();
            asked.answer(200, &[], b"hello", None).await;
        }
    };
    let upstream = Http2Upstream::with(|builder| _ = builder.max_concurrent_streams(2), None, serve).await;
    let edge = over_http2(&[&upstream.url]).start();
    let client = Arc::new(Http2::connect(&edge).await);
    let ask = || {
        let client = Arc::clone(&client);
        spawn(async move { client.ask(get("/"), b"").await.unwrap().text() })
    };
    // 16 connections with two streams each, and three requests that wait.
    let asked: Vec<_> = (0..35).map(|_| ask()).collect();
    arrived.acquire_many(32).await.unwrap().forget();
    assert_eq!(upstream.connections(), 16);
    assert_eq!(arrived.available_permits(), 0);
    gate.add_permits(35);
    for each in asked {
        assert_eq!(each.await.unwrap(), "hello");
    }
    assert_eq!(upstream.connections(), 16);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_stops_its_stream_and_no_other() {
    let upstream = Http2Upstream::new(|mut asked| async move {
        if asked.head.uri.path() != "/endless" {
            return asked.answer(200, &[], b"hello", None).await;
        }
        let mut stream = asked.begin(200, &[]);
        while push(&mut stream, &[b'x'; 16_384]).await {}
    })
    .await;
    let edge = over_http2(&[&upstream.url]).start();
    // More of them than a window of the usual size for a connection would bear.
    let mut stalled = Vec::new();
    for _ in 0..40 {
        let client = Http2::connect(&edge).await;
        let mut send = client.send.clone().ready().await.unwrap();
        let (response, _stream) = send.send_request(get("/endless"), true).unwrap();
        let body = response.await.unwrap().into_body();
        stalled.push((client, body));
    }
    let client = Http2::connect(&edge).await;
    for _ in 0..100 {
        assert_eq!(client.ask(get("/"), b"").await.unwrap().text(), "hello");
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_does_not_read_stops_the_client() {
    let gate = Arc::new(Semaphore::new(0));
    let may_go = Arc::clone(&gate);
    let upstream = Http2Upstream::new(move |asked| {
        let may_go = Arc::clone(&may_go);
        async move {
            if asked.head.method == Method::POST {
                may_go.acquire().await.unwrap().forget();
            }
            asked.answer(200, &[], b"hello", None).await;
        }
    })
    .await;
    let edge = over_http2(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let (response, mut stream) = client.begin(request("POST", "/", &[])).await;
    let mut sent = 0;
    // As far as windows and buffers let it, and then no further while others are served.
    for _ in 0..300 {
        stream.reserve_capacity(65_536);
        let room = poll_fn(|cx| match stream.poll_capacity(cx) {
            Poll::Ready(room) => Poll::Ready(room.map(Result::unwrap)),
            Poll::Pending => Poll::Ready(None),
        });
        match room.await {
            Some(room) if room > 0 => {
                stream.send_data(vec![b'x'; room].into(), false).unwrap();
                sent += room;
            }
            _ => assert_eq!(client.ask(get("/"), b"").await.unwrap().text(), "hello"),
        }
    }
    assert!((65_536..1_000_000).contains(&sent), "{sent}");
    gate.add_permits(1);
    assert_eq!(answer(response).await.unwrap().text(), "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_before_the_end_of_the_request_is_passed_on() {
    let upstream = Http2Upstream::new(|mut asked| async move {
        assert_eq!(piece(&mut asked.body).await.unwrap(), "half");
        asked.answer(413, &[], b"too much", None).await;
    })
    .await;
    let edge = over_http2(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let (response, mut stream) = client.begin(request("POST", "/", &[])).await;
    stream.send_data("half".into(), false).unwrap();
    let seen = answer(response).await.unwrap();
    assert_eq!((seen.status(), seen.text().as_str()), (413, "too much"));
    assert_eq!(edge.records(1)[0].status, 413);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_and_probes_speak_http_2_too() {
    let (upstream, copies) = (Upstream::fixed(HELLO), Http2Upstream::hello().await);
    let mut second = service(2, "copies", &[&copies.url]);
    http2(&mut second);
    second.health_check = Some(Box::new(HealthCheck::every(Duration::from_secs(1), ProbeKind::get("/health"))));
    let mut first = route(1, "/*", "up");
    if let RouteAction::Forward(forward) = &mut first.route.action {
        forward.mirror =
            Some(Mirror { service: crate::harness::name("copies"), percent: 100, max_body: Mirror::USUAL_BODY });
    }
    let objects = vec![
        ConfigObject::Service(service(1, "up", &[&upstream.url])),
        ConfigObject::Service(second),
        ConfigObject::Route(first),
    ];
    let edge = Setup::new(objects).start();
    wait_until("a probe has come", || copies.heads().iter().any(|head| head.uri.path() == "/health"));
    assert_eq!(edge.ask(&get_http1("/a", "")).text(), "hello");
    wait_until("a copy has come", || copies.heads().iter().any(|head| head.uri.path() == "/a"));
    let probe = copies.heads().into_iter().find(|head| head.uri.path() == "/health").unwrap();
    assert_eq!(probe.headers["user-agent"], "novagate-probe");
    let health = edge.handle.upstream_health();
    wait_until("it is well", || {
        health.state(novagate_kernel::ServiceId::from_u128(2)).is_some_and(|state| state.healthy == 1)
    });
    assert_eq!((edge.handle.mirrors_failed(), edge.handle.mirrors_left_out()), (0, 0));
}
