//! Upstreams over HTTP/2 that fail: what is tried again, what clients are told, how connections end.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use h2::Reason;
use novagate_kernel::ErrorCode;
use novagate_routing::{Retries, RetryGround};

use crate::harness::{Certificate, PATIENCE, Upstream, get as get_http1};
use crate::harness_http2::{GOAWAY, HEADERS, Http2, RST_STREAM, frame, get, literal};
use crate::harness_http2_upstream::{DATA, Frame, Http2Upstream, PING, by_hand, greet, next, over_http2, piece, push};

/// `:status: 200` by the static table.
const OK: &[u8] = &[0x88];

fn retries(attempts: u8, on: &[RetryGround], statuses: &[u16]) -> Retries {
    let (on, statuses, methods) = (on.to_vec(), statuses.to_vec(), Retries::IDEMPOTENT.to_vec());
    let max_body = Retries::USUALLY_KEPT;
    Retries { attempts, on, statuses, methods, per_try_timeout: None, budget_percent: 100, max_body }
}

/// Answers `hello` on a stream.
fn hello(stream: &mut TcpStream, number: u32) {
    let mut bytes = frame(HEADERS, 4, number, OK);
    bytes.extend(frame(DATA, 1, number, b"hello"));
    stream.write_all(&bytes).unwrap();
}

/// The next request.
fn asked(stream: &mut TcpStream) -> Option<Frame> {
    next(stream, &[HEADERS])
}

/// A head of a body of known length.
fn known() -> Vec<u8> {
    literal(&[(":status", "200"), ("content-length", "100")])
}

fn go_away(last: u32, reason: Reason) -> Vec<u8> {
    let mut payload = last.to_be_bytes().to_vec();
    payload.extend(u32::from(reason).to_be_bytes());
    frame(GOAWAY, 0, 0, &payload)
}

fn reset(number: u32, reason: Reason) -> Vec<u8> {
    frame(RST_STREAM, 0, number, &u32::from(reason).to_be_bytes())
}

/// Reads until the other side has ended.
fn linger(stream: &mut TcpStream) {
    while next(stream, &[DATA, HEADERS, RST_STREAM]).is_some() {}
}

#[test]
fn an_upstream_that_speaks_http_1_1_only_is_none() {
    let upstream = Upstream::scripted(|_, conn| {
        // As servers do that know of HTTP/2 just so much that it is none of theirs.
        let _ = conn.next_head();
        conn.send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    });
    let edge = over_http2(&[&upstream.url]).start();
    let seen = edge.ask(&get_http1("/", ""));
    assert_eq!((seen.status, seen.code().as_str()), (502, "DOWNSTREAM_ERROR"));
    let good = by_hand(|_, stream| {
        while let Some(seen) = asked(stream) {
            hello(stream, seen.stream);
        }
    });
    let edge = over_http2(&[&upstream.url, &good.url]).start();
    for _ in 0..4 {
        assert_eq!(edge.ask(&get_http1("/", "")).text(), "hello", "no connection could be made, so another target is");
    }
}

#[test]
fn an_upstream_that_does_not_agree_on_http_2_over_tls_is_none() {
    let certificate = Certificate::new("http2-none");
    let upstream = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let config = certificate.server(None);
        assert_eq!(config.alpn_protocols, [b"http/1.1".to_vec()]);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut connection = tokio_rustls::rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = stream.unwrap();
                while connection.complete_io(&mut stream).is_ok_and(|(read, _)| read > 0) {}
            }
        });
        format!("https://{addr}")
    };
    let mut setup = over_http2(&[&upstream]);
    setup.upstream_ca = Some(certificate.cert());
    let seen = setup.start().ask(&get_http1("/", ""));
    assert_eq!((seen.status, seen.code().as_str()), (502, "DOWNSTREAM_ERROR"));
}

#[test]
fn an_upstream_that_hangs_is_too_late() {
    let silent = Upstream::scripted(|_, conn| drop(conn.rest()));
    let idle = by_hand(|_, stream| linger(stream));
    for upstream in [silent, idle] {
        let setup = over_http2(&[&upstream.url]);
        let edge = setup.with_service(|service| service.timeout = Some(Duration::from_millis(200))).start();
        let seen = edge.ask(&get_http1("/", ""));
        assert_eq!((seen.status, seen.code().as_str()), (504, "DOWNSTREAM_TIMEOUT"));
    }
}

#[test]
fn a_request_that_is_too_late_is_cancelled_and_others_live() {
    let (told, is_told) = std::sync::mpsc::channel();
    let upstream = by_hand(move |_, stream| {
        let late = asked(stream).unwrap();
        let cancelled = next(stream, &[RST_STREAM]).unwrap();
        told.send((cancelled.stream == late.stream, cancelled.payload)).unwrap();
        let seen = asked(stream).unwrap();
        hello(stream, seen.stream);
        linger(stream);
    });
    let setup = over_http2(&[&upstream.url]);
    let edge = setup.with_service(|service| service.timeout = Some(Duration::from_millis(100))).start();
    assert_eq!(edge.ask(&get_http1("/", "")).status, 504);
    let cancelled = is_told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(cancelled, (true, u32::from(Reason::CANCEL).to_be_bytes().to_vec()));
    assert_eq!(edge.ask(&get_http1("/", "")).text(), "hello");
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_resets_its_stream_and_no_other() {
    let (told, is_told) = std::sync::mpsc::channel();
    let upstream = Http2Upstream::new(move |mut asked| {
        let told = told.clone();
        async move {
            if asked.head.uri.path() == "/stay" {
                return asked.answer(200, &[], b"hello", None).await;
            }
            let mut stream = asked.begin(200, &[]);
            while push(&mut stream, &[b'x'; 8_192]).await {}
            let reason = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
            told.send(reason.unwrap()).unwrap();
        }
    })
    .await;
    let edge = over_http2(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let mut send = client.send.clone().ready().await.unwrap();
    let (response, mut stream) = send.send_request(get("/go"), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    assert!(piece(&mut body).await.is_some());
    stream.send_reset(Reason::CANCEL);
    assert_eq!(is_told.recv_timeout(PATIENCE).unwrap(), Reason::CANCEL);
    let mut old = edge.connect();
    old.send(get_http1("/go", ""));
    old.read_until("xxxx");
    drop(old);
    assert_eq!(is_told.recv_timeout(PATIENCE).unwrap(), Reason::CANCEL);
    assert_eq!(client.ask(get("/stay"), b"").await.unwrap().text(), "hello");
    assert_eq!(upstream.connections(), 1);
    assert_eq!(edge.records(3)[0].code, Some(ErrorCode::ClientClosed));
}

#[test]
fn a_refused_stream_is_opened_again_whatever_its_method() {
    let refused = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refused);
    let upstream = by_hand(move |_, stream| {
        while let Some(seen) = asked(stream) {
            if count.fetch_add(1, Ordering::SeqCst) == 0 {
                stream.write_all(&reset(seen.stream, Reason::REFUSED_STREAM)).unwrap();
            } else {
                hello(stream, seen.stream);
            }
        }
    });
    let edge = over_http2(&[&upstream.url]).start();
    let seen = edge.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((seen.status, seen.text().as_str()), (200, "hello"));
    assert_eq!(refused.load(Ordering::SeqCst), 2);
    assert_eq!(edge.records(1)[0].code, None);
}

#[test]
fn a_stream_that_is_refused_again_is_a_failure_unless_retries_say_more() {
    let asked_for = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked_for);
    let upstream = by_hand(move |_, stream| {
        while let Some(seen) = asked(stream) {
            count.fetch_add(1, Ordering::SeqCst);
            stream.write_all(&reset(seen.stream, Reason::REFUSED_STREAM)).unwrap();
        }
    });
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    let edge = over_http2(&[&upstream.url]).start();
    let seen = edge.ask(post);
    assert_eq!((seen.status, seen.code().as_str(), asked_for.swap(0, Ordering::SeqCst)), (502, "DOWNSTREAM_ERROR", 4));
    let setup = over_http2(&[&upstream.url]).with_service(|service| {
        service.resilience.retries = Some(retries(3, &[RetryGround::Connect], &[]));
    });
    assert_eq!(setup.start().ask(post).status, 502);
    assert_eq!(asked_for.load(Ordering::SeqCst), 7, "nothing was sent, so any method may be tried again");
}

#[test]
fn go_away_finishes_what_was_taken_up_and_repeats_what_was_not() {
    let upstream = by_hand(|number, stream| {
        if number > 0 {
            while let Some(seen) = asked(stream) {
                hello(stream, seen.stream);
            }
            return;
        }
        let taken = asked(stream).unwrap();
        let untouched = asked(stream).unwrap();
        assert!(untouched.stream > taken.stream);
        stream.write_all(&go_away(taken.stream, Reason::NO_ERROR)).unwrap();
        hello(stream, taken.stream);
        linger(stream);
    });
    let edge = over_http2(&[&upstream.url]).start();
    let (mut one, mut two) = (edge.connect(), edge.connect());
    // A body that is not taken from the client yet may be sent to another connection.
    one.send(get_http1("/", ""));
    two.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(one.response().text(), "hello");
    assert_eq!(two.response().text(), "hello");
    assert_eq!(upstream.connections(), 2);
    assert_eq!(edge.ask(&get_http1("/", "")).text(), "hello");
    assert_eq!(upstream.connections(), 2);
    assert!(edge.records(3).iter().all(|record| record.code.is_none()));
}

#[test]
fn an_upstream_that_always_goes_away_is_a_failure() {
    let upstream = by_hand(|_, stream| {
        let _ = asked(stream);
        stream.write_all(&go_away(0, Reason::NO_ERROR)).unwrap();
        linger(stream);
    });
    let edge = over_http2(&[&upstream.url]).start();
    let seen = edge.ask(&get_http1("/", ""));
    assert_eq!((seen.status, seen.code().as_str()), (502, "DOWNSTREAM_ERROR"));
    assert_eq!(upstream.connections(), 4);
}

#[test]
fn a_peer_that_takes_fewer_streams_than_it_says_gets_as_many_as_it_takes() {
    // One at a time, on each of its connections.
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let upstream = by_hand(move |_, stream| {
        let first = asked(stream).unwrap();
        tell.lock().unwrap().send(()).unwrap();
        if let Some(second) = asked(stream) {
            stream.write_all(&reset(second.stream, Reason::REFUSED_STREAM)).unwrap();
            hello(stream, first.stream);
            linger(stream);
        }
    });
    let edge = over_http2(&[&upstream.url]).start();
    let (mut one, mut two) = (edge.connect(), edge.connect());
    one.send(get_http1("/", ""));
    told.recv_timeout(PATIENCE).unwrap();
    two.send(get_http1("/", ""));
    assert_eq!(one.response().text(), "hello");
    told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(upstream.connections(), 2, "the refused one has a connection of its own");
}

#[test]
fn a_reset_before_the_head_is_a_failure_of_its_stream() {
    let upstream = by_hand(|_, stream| {
        let seen = asked(stream).unwrap();
        stream.write_all(&reset(seen.stream, Reason::INTERNAL_ERROR)).unwrap();
        let seen = asked(stream).unwrap();
        hello(stream, seen.stream);
        linger(stream);
    });
    let edge = over_http2(&[&upstream.url]).start();
    let seen = edge.ask(&get_http1("/", ""));
    assert_eq!((seen.status, seen.code().as_str()), (502, "DOWNSTREAM_ERROR"));
    assert_eq!(edge.ask(&get_http1("/", "")).text(), "hello");
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_in_the_middle_of_a_response_resets_the_client() {
    let upstream = by_hand(|_, stream| {
        while let Some(seen) = asked(stream) {
            // A stream of a connection has the next odd number: the two of each path come one after the other.
            let head = if seen.stream % 8 < 4 { literal(&[(":status", "200")]) } else { known() };
            let mut bytes = frame(HEADERS, 4, seen.stream, &head);
            bytes.extend(frame(DATA, 0, seen.stream, b"half"));
            bytes.extend(reset(seen.stream, Reason::INTERNAL_ERROR));
            stream.write_all(&bytes).unwrap();
        }
    });
    let edge = over_http2(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    for path in ["/chunks", "/known"] {
        let fault = client.ask(get(path), b"").await.unwrap_err();
        assert_eq!(fault.reason(), Some(Reason::INTERNAL_ERROR), "{path}: {fault:?}");
        let mut old = edge.connect();
        old.send(get_http1(path, ""));
        let rest = tokio::task::block_in_place(|| old.rest());
        assert!(!rest.ends_with(b"0\r\n\r\n"), "no end of a response");
    }
    assert!(edge.records(4).iter().all(|record| record.code == Some(ErrorCode::DownstreamError)));
}

#[test]
fn a_reset_without_error_behind_a_whole_response_is_none() {
    let upstream = by_hand(|_, stream| {
        while let Some(seen) = asked(stream) {
            // The rest of the body is not wanted.
            let mut bytes = frame(HEADERS, 4, seen.stream, OK);
            bytes.extend(frame(DATA, 1, seen.stream, b"hello"));
            bytes.extend(reset(seen.stream, Reason::NO_ERROR));
            stream.write_all(&bytes).unwrap();
        }
    });
    let edge = over_http2(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhalf");
    let seen = client.response();
    assert_eq!((seen.status, seen.text().as_str()), (200, "hello"));
    assert_eq!(edge.records(1)[0].code, None);
}

#[test]
fn garbage_ends_the_connection_and_the_next_request_has_a_new_one() {
    for garbage in [frame(HEADERS, 4, 1, b"\xff\xff\xff\xff"), vec![0xff; 64], frame(DATA, 0, 99, b"x"), Vec::new()] {
        let upstream = by_hand(move |number, stream| {
            let Some(seen) = asked(stream) else { return };
            if number > 0 {
                hello(stream, seen.stream);
                return linger(stream);
            }
            stream.write_all(&garbage).unwrap();
        });
        let edge = over_http2(&[&upstream.url]).start();
        let seen = edge.ask(&get_http1("/", ""));
        assert_eq!((seen.status, seen.code().as_str()), (502, "DOWNSTREAM_ERROR"));
        assert_eq!(edge.ask(&get_http1("/", "")).text(), "hello");
    }
}

#[test]
fn a_response_that_is_none_is_a_failure_of_its_stream() {
    let bad: Vec<Vec<u8>> = [
        &[("x-a", "b")][..],
        &[(":status", "101")],
        &[(":status", "200"), ("connection", "close")],
        &[(":status", "200"), ("transfer-encoding", "chunked")],
        &[(":status", "200"), ("content-length", "5")],
        &[(":status", "200"), ("content-length", "0x0")],
    ]
    .into_iter()
    .map(literal)
    .collect();
    let count = bad.len();
    let upstream = by_hand(move |_, stream| {
        for head in &bad {
            let Some(seen) = asked(stream) else { return };
            stream.write_all(&frame(HEADERS, 5, seen.stream, head)).unwrap();
        }
        let seen = asked(stream).unwrap();
        hello(stream, seen.stream);
        linger(stream);
    });
    let edge = over_http2(&[&upstream.url]).start();
    for number in 0..count {
        let seen = edge.ask(&get_http1("/", ""));
        assert_eq!((seen.status, seen.code().as_str()), (502, "DOWNSTREAM_ERROR"), "{number}");
    }
    assert_eq!(edge.ask(&get_http1("/", "")).text(), "hello");
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_peer_that_has_gone_without_a_word_is_noticed() {
    let (told, is_told) = std::sync::mpsc::channel();
    let upstream = by_hand(move |number, stream| {
        if number > 0 {
            while let Some(seen) = asked(stream) {
                hello(stream, seen.stream);
            }
            return;
        }
        asked(stream).unwrap();
        // It is asked, and says nothing.
        told.send(next(stream, &[PING]).unwrap().flags).unwrap();
        linger(stream);
    });
    let setup = over_http2(&[&upstream.url]);
    let edge = setup.with(|settings| settings.timeouts.upstream_silence = Duration::from_millis(100)).start();
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    let seen = edge.ask(post);
    assert_eq!((seen.status, seen.code().as_str()), (502, "DOWNSTREAM_ERROR"));
    assert_eq!(is_told.recv_timeout(PATIENCE).unwrap(), 0);
    assert_eq!(edge.ask(&get_http1("/", "")).text(), "hello");
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn a_peer_that_is_only_slow_answers_and_is_not_asked_again_and_again() {
    let pings = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&pings);
    let upstream = by_hand(move |_, stream| {
        while let Some(seen) = next(stream, &[HEADERS, PING]) {
            if seen.kind == PING && seen.flags == 0 {
                count.fetch_add(1, Ordering::SeqCst);
                stream.write_all(&frame(PING, 1, 0, &seen.payload)).unwrap();
            }
        }
    });
    let setup = over_http2(&[&upstream.url]).with_service(|service| service.timeout = Some(Duration::from_secs(1)));
    let edge = setup.with(|settings| settings.timeouts.upstream_silence = Duration::from_millis(50)).start();
    assert_eq!(edge.ask(&get_http1("/", "")).status, 504);
    assert_eq!(pings.load(Ordering::SeqCst), 1);
    assert_eq!(edge.ask(&get_http1("/", "")).status, 504);
    assert_eq!(pings.load(Ordering::SeqCst), 2, "a stream was opened");
}

#[test]
fn an_answer_that_is_listed_is_tried_again_on_another_target() {
    let answering = |status: u8| {
        by_hand(move |_, stream| {
            while let Some(seen) = asked(stream) {
                let mut bytes = frame(HEADERS, 4, seen.stream, &[status]);
                bytes.extend(frame(DATA, 1, seen.stream, b"hello"));
                stream.write_all(&bytes).unwrap();
            }
        })
    };
    // 500 and 200 by the static table.
    let (bad, good) = (answering(0x8e), answering(0x88));
    let setup = over_http2(&[&bad.url, &good.url]).with_service(|service| {
        service.resilience.retries = Some(retries(1, &[], &[500]));
    });
    let edge = setup.start();
    for _ in 0..4 {
        let seen = edge.ask(&get_http1("/", ""));
        assert_eq!((seen.status, seen.text().as_str()), (200, "hello"));
    }
    assert_eq!(bad.connections(), 1);
}

#[test]
fn streams_that_the_peer_takes_none_of_are_too_late() {
    // MAX_CONCURRENT_STREAMS of 0.
    let upstream = Upstream::scripted(|_, conn| {
        if greet(conn, &[0, 3, 0, 0, 0, 0]) {
            linger(&mut conn.stream);
        }
    });
    let setup = over_http2(&[&upstream.url]);
    let edge = setup.with_service(|service| service.timeout = Some(Duration::from_millis(200))).start();
    assert_eq!(edge.ask(&get_http1("/", "")).code(), "DOWNSTREAM_TIMEOUT");
}
