//! HTTP/2: what passes, by prior knowledge and over TLS.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::Poll;

use http::{HeaderMap, HeaderValue, Method};
use novagate_net::client_config;
use novagate_records::MethodLabel;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::harness::{Certificate, HELLO, Setup, Upstream, get as get_http1};
use crate::harness_http2::{Http2, answer, get, request, send_all, spawn};

const MANY: usize = 4 * 1024 * 1024;
/// More than all buffers on the way hold.
const ENDLESS: usize = 256 * 1024 * 1024;

fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|at| b'a' + u8::try_from(at * 31 % 23).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_one_connection_are_served_and_recorded_one_by_one() {
    let upstream = Upstream::echo();
    let edge = Setup::open(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let fields = [("cookie", "a=1"), ("cookie", "b=2"), ("x-forwarded-proto", "https"), ("x-a", "b")];
    let seen = client.ask(request("GET", "/a/../b?q=1", &fields), b"").await.unwrap();
    let head = seen.text().to_ascii_lowercase();
    assert!(head.starts_with("get /b?q=1 http/1.1\r\n"), "{head}");
    for line in ["cookie: a=1; b=2", "x-a: b", "x-forwarded-proto: http", "x-forwarded-host: shop.example"] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} in {head}");
    }
    assert!(seen.head.headers().contains_key("x-request-id") && !seen.head.headers().contains_key("connection"));
    assert!(!head.contains("transfer-encoding") && !head.contains("content-length"));

    let known = client.ask(request("POST", "/", &[("content-length", "5")]), b"hello").await.unwrap();
    assert!(known.text().ends_with("\r\n\r\nhello"));
    let chunked = client.ask(request("POST", "/", &[("expect", "100-continue")]), b"hello").await.unwrap();
    assert!(chunked.text().ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{}", chunked.text());
    assert_eq!(edge.handle.active_connections(), 1);
    let records = edge.records(3);
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| record.status == 200));
    assert_eq!(records[0].method, MethodLabel::Get);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_head_is_a_head() {
    let upstream = Upstream::fixed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nKeep-Alive: timeout=5\r\n\r\n");
    let edge = Setup::open(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    for _ in 0..2 {
        let seen = client.ask(request("HEAD", "/", &[]), b"").await.unwrap();
        assert_eq!((seen.status(), seen.body.len()), (200, 0));
        assert_eq!(seen.head.headers()["content-length"], "5");
        assert!(!seen.head.headers().contains_key("keep-alive"));
    }
    assert!(upstream.requests().iter().all(|head| head.starts_with("HEAD / HTTP/1.1\r\n")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_pass_unchanged_both_ways() {
    let upstream = Upstream::echo();
    let edge = Setup::open(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let body = pattern(MANY);
    let seen = client.ask(request("POST", "/", &[("content-length", &MANY.to_string())]), &body).await.unwrap();
    assert!(seen.body.ends_with(&body));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_stops_the_upstream_and_no_other_stream() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let upstream = Upstream::scripted(move |_, conn| {
        while let Some(head) = conn.next_head() {
            if !head.contains("/endless") {
                conn.send(HELLO);
                continue;
            }
            conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {ENDLESS}\r\n\r\n"));
            let piece = vec![b'x'; 65_536];
            while std::io::Write::write_all(&mut conn.stream, &piece).is_ok() {
                count.fetch_add(piece.len(), Ordering::SeqCst);
            }
        }
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let mut asking = client.send.clone().ready().await.unwrap();
    let (response, _stream) = asking.send_request(get("/endless"), true).unwrap();
    let mut stalled = response.await.unwrap().into_body();
    assert!(!stalled.data().await.unwrap().unwrap().is_empty());
    for _ in 0..200 {
        assert_eq!(client.ask(get("/"), b"").await.unwrap().text(), "hello");
    }
    assert!(sent.load(Ordering::SeqCst) < ENDLESS / 2, "{sent:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_does_not_read_stops_the_client_at_its_window() {
    let (go, may_go) = std::sync::mpsc::channel::<()>();
    let may_go = std::sync::Mutex::new(may_go);
    let upstream = Upstream::scripted(move |_, conn| {
        while let Some(head) = conn.next_head() {
            if head.starts_with("POST") {
                // Until the test is over.
                let _ = may_go.lock().unwrap().recv();
                return;
            }
            conn.send(HELLO);
        }
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let (_response, mut stream) = client.begin(request("POST", "/", &[])).await;
    let (mut taken, mut refused) = (0, 0);
    while refused < 100 {
        stream.reserve_capacity(ENDLESS);
        match poll_fn(|cx| Poll::Ready(stream.poll_capacity(cx))).await {
            Poll::Ready(room) => {
                let room = room.unwrap().unwrap();
                stream.send_data(vec![0; room].into(), false).unwrap();
                (taken, refused) = (taken + room, 0);
                assert!(taken < ENDLESS / 2);
            }
            // What others do shows that time passes, and that they are not held up.
            Poll::Pending => {
                assert_eq!(client.ask(get("/"), b"").await.unwrap().text(), "hello");
                refused += 1;
            }
        }
    }
    assert!(taken >= 64 * 1024, "{taken}");
    drop(go);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_pass_both_ways() {
    let upstream = Upstream::scripted(|_, conn| {
        while conn.next_head().is_some() {
            let body = String::from_utf8(conn.read_until("\r\n\r\n")).unwrap().to_ascii_lowercase();
            let is_whole = body == "4\r\nping\r\n0\r\nx-sum: 7\r\n\r\n";
            conn.send("HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n");
            conn.send(format!("4\r\npong\r\n0\r\nGrpc-Status: {}\r\n\r\n", if is_whole { 0 } else { 13 }));
        }
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let fields = [("te", "trailers"), ("content-type", "application/grpc")];
    let (response, stream) = client.begin(request("POST", "/svc/Call", &fields)).await;
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("7"))]);
    send_all(stream, b"ping", Some(trailers)).await;
    let seen = answer(response).await.unwrap();
    assert_eq!(seen.text(), "pong");
    assert_eq!(seen.trailers.unwrap()["grpc-status"], "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_requests_run_at_a_time_on_one_connection() {
    let all_are_here = Arc::new(Barrier::new(100));
    let upstream = Upstream::scripted(move |_, conn| {
        if conn.next_head().is_some() {
            all_are_here.wait();
            conn.send(HELLO);
        }
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let client = Arc::new(Http2::connect(&edge).await);
    let asked: Vec<_> = (0..100)
        .map(|number| {
            let client = Arc::clone(&client);
            spawn(async move { client.ask(get(&format!("/{number}")), b"").await.unwrap().text() })
        })
        .collect();
    for asked in asked {
        assert_eq!(asked.await.unwrap(), "hello");
    }
    assert_eq!(edge.handle.active_connections(), 1);
    assert_eq!(edge.records(100).len(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_it_is_agreed_on_and_http_1_1_is_spoken_on_the_same_port() {
    let (certificate, upstream) = (Certificate::new("http2"), Upstream::echo());
    let edge = Setup { client_tls: Some(certificate.server(None)), ..Setup::open(&[&upstream.url]) }.start();
    for (offered, expected) in [(&["h2", "http/1.1"][..], "h2"), (&["http/1.1"], "http/1.1")] {
        let mut config = Arc::unwrap_or_clone(client_config(Some(&certificate.cert())).unwrap());
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let tcp = tokio::net::TcpStream::connect(edge.handle.local_addr()).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(expected.as_bytes()));
        if expected == "h2" {
            let client = Http2::over(stream).await;
            let mut secure = request("POST", "/", &[("content-length", "2")]);
            *secure.uri_mut() = "https://shop.example/".parse().unwrap();
            *secure.method_mut() = Method::POST;
            let seen = client.ask(secure, b"hi").await.unwrap().text();
            assert!(seen.contains("x-forwarded-proto: https\r\n") && seen.ends_with("\r\n\r\nhi"), "{seen}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_1_1_is_spoken_beside_it_and_http_2_only_where_it_is_on() {
    let upstream = Upstream::fixed(HELLO);
    let edge = Setup::open(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    assert_eq!(client.ask(get("/"), b"").await.unwrap().text(), "hello");
    assert_eq!(edge.ask(&get_http1("/", "")).text(), "hello");
    // It begins a connection or nothing.
    let mut late = edge.connect();
    late.send(get_http1("/", ""));
    assert_eq!(late.response().text(), "hello");
    late.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(late.response().code(), "HTTP_VERSION_NOT_SUPPORTED");

    let off = Setup::open(&[&upstream.url]).with(|settings| settings.http2 = false).start();
    assert_eq!(off.ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").code(), "HTTP_VERSION_NOT_SUPPORTED");
    // However the preface is cut.
    let mut slow = edge.connect();
    for byte in crate::harness_http2::PREFACE {
        slow.send([*byte]);
    }
    assert_eq!(slow.read_exact(9)[3], 4, "settings");
}
