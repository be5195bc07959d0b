//! Bodies of requests that are sent again.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use h2::Reason;
use http::{HeaderMap, Method};
use novagate_routing::{Retries, RetryGround};

use crate::harness::{Client, HELLO, PATIENCE, Setup, Upstream, get, wait_until};
use crate::harness_http2::{HEADERS, Http2, RST_STREAM, frame, request, send_all};
use crate::harness_http2_upstream::{Asked, DATA, Http2Upstream, by_hand, http2, next, trailers};
use crate::retries::{BUSY, retries, retrying};

/// Reads whole requests and answers them, or ends their connections.
struct Reading {
    upstream: Upstream,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Reading {
    fn new(answer: impl Fn(usize) -> Option<&'static str> + Send + Sync + 'static) -> Self {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&seen);
        let upstream = Upstream::scripted(move |number, conn| {
            while let Some(whole) = conn.next_request() {
                log.lock().unwrap().push(String::from_utf8(whole).unwrap());
                let Some(answer) = answer(number) else { return };
                conn.send(answer);
            }
        });
        Self { upstream, seen }
    }

    fn url(&self) -> &str {
        &self.upstream.url
    }

    /// The bodies, as they came.
    fn bodies(&self) -> Vec<String> {
        let body = |whole: &String| whole.split_once("\r\n\r\n").unwrap().1.to_owned();
        self.seen.lock().unwrap().iter().map(body).collect()
    }
}

fn put(body: &str) -> String {
    format!("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_body_is_sent_again_as_it_was_after_a_status_and_after_a_reset() {
    let body = "0123456789abcdef".repeat(4096);
    for answer in [Some(BUSY), None] {
        let (bad, good) = (Reading::new(move |_| answer), Reading::new(|_| Some(HELLO)));
        let edge = retrying(&[bad.url(), good.url()], |_| ()).start();
        let mut client = edge.connect();
        for round in 1..=3 {
            client.send(put(&body));
            assert_eq!(client.response().text(), "hello");
            client.send(put(""));
            assert_eq!(client.response().text(), "hello", "the connection is where it was");
            assert_eq!(good.bodies().len(), 2 * round);
        }
        let (first, again) = (bad.bodies(), good.bodies());
        assert!(!first.is_empty() && first.len() == usize::try_from(retries(&edge)).unwrap());
        assert!(first.iter().chain(&again).all(|seen| seen.is_empty() || *seen == body));
        assert_eq!(again.iter().filter(|seen| **seen == body).count(), 3);
    }
}

#[test]
fn chunks_are_sent_again_with_their_trailers() {
    for answer in [Some(BUSY), None] {
        let (bad, good) = (Reading::new(move |_| answer), Reading::new(|_| Some(HELLO)));
        let edge = retrying(&[bad.url(), good.url()], |_| ()).start();
        let mut client = edge.connect();
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n");
        client.send("4\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n");
        assert_eq!(client.response().text(), "hello");
        client.send(get("/next", ""));
        assert_eq!(client.response().text(), "hello");
        assert_eq!(retries(&edge), 1);
        for seen in [bad.bodies(), good.bodies()] {
            let content: String = seen[0].split("\r\n").filter(|line| !matches!(*line, "3" | "4" | "7")).collect();
            assert_eq!(content.to_ascii_lowercase(), "abcdefg0x-sum: 7", "{seen:?}");
        }
    }
}

#[test]
fn a_body_over_the_bound_is_sent_once() {
    let (bad, good) = (Reading::new(|_| Some(BUSY)), Reading::new(|_| Some(HELLO)));
    let edge = retrying(&[bad.url(), good.url()], |rule| rule.max_body = 8).start();
    let chunked = |body: &str| format!("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let mut client = edge.connect();
    let mut ask = |request: String| {
        client.send(request);
        let status = client.response().status;
        // They take turns.
        client.send(get("/", ""));
        assert_eq!(client.response().status, 200);
        status
    };
    assert_eq!((ask(put("12345678")), ask(put("123456789"))), (200, 503));
    assert_eq!(ask(chunked("4\r\nabcd\r\n4\r\nefgh\r\n0\r\n\r\n")), 503, "chunks count as they are sent");
    assert_eq!(bad.bodies()[1..], ["123456789", "4\r\nabcd\r\n4\r\nefgh\r\n0\r\n\r\n"].map(str::to_owned)[..]);
}

#[test]
fn a_long_body_in_chunks_goes_on_after_the_bound() {
    let upstream = Reading::new(|_| Some(HELLO));
    let edge = retrying(&[upstream.url()], |rule| rule.max_body = 100_000).start();
    let mut client = edge.connect();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..40 {
        client.send(format!("2710\r\n{}\r\n", "x".repeat(10_000)));
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().text(), "hello");
    assert_eq!(upstream.bodies()[0].matches('x').count(), 400_000);
}

#[test]
fn a_body_that_is_still_coming_when_the_first_try_has_failed_goes_on_in_the_next() {
    for busy in [Some(BUSY), None] {
        let bad = Upstream::scripted(move |_, conn| {
            conn.read_until("half of it, ");
            if let Some(busy) = busy {
                conn.send(busy);
                conn.rest();
            }
        });
        let good = Upstream::echo();
        let edge = retrying(&[&bad.url, &good.url], |_| ()).start();
        let mut client = edge.connect();
        client.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 25\r\n\r\nhalf of it, ");
        wait_until("it is tried again", || good.connections() == 1);
        client.send("and the other");
        let response = client.response();
        assert!(response.text().ends_with("\r\n\r\nhalf of it, and the other"), "{response:?}");
        client.send(get("/next", ""));
        assert!(client.response().text().starts_with("GET /next "));
        assert_eq!(retries(&edge), 1);
    }
}

#[test]
fn a_client_that_breaks_the_rules_after_a_retry_is_told() {
    let (bad, good) = (Upstream::scripted(|_, conn| drop(conn.read_until("abc"))), Upstream::echo());
    let edge = retrying(&[&bad.url, &good.url], |_| ()).start();
    let mut client = edge.connect();
    client.send("PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    wait_until("it is tried again", || good.connections() == 1);
    client.send("nonsense\r\n");
    assert_eq!(client.response().code(), "BAD_REQUEST");
    assert!(client.is_closed());
}

#[test]
fn a_post_that_may_have_been_done_is_not_sent_again_unless_it_is_listed() {
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    for answer in [Some(BUSY), None] {
        let (bad, good) = (Reading::new(move |_| answer), Reading::new(|_| Some(HELLO)));
        let edge = retrying(&[bad.url(), good.url()], |_| ()).start();
        assert!(edge.ask(post).status >= 500);
        assert_eq!((bad.bodies().len(), good.bodies().len(), retries(&edge)), (1, 0, 0));
        let listed = |rule: &mut Retries| rule.methods = vec![Method::POST];
        let edge = retrying(&[bad.url(), good.url()], listed).start();
        assert_eq!(edge.ask(post).text(), "hello");
        assert_eq!((good.bodies(), retries(&edge)), (vec!["abc".to_owned()], 1));
    }
}

#[test]
fn a_body_whose_old_connection_was_dead_is_sent_again_where_that_changes_nothing() {
    let dying = || {
        Upstream::scripted(|_, conn| {
            // One answer; the next request is read and not answered.
            conn.next_request();
            conn.send(HELLO);
            conn.next_request();
        })
    };
    let ask = |method: &str, max_body| {
        let upstream = dying();
        let edge = retrying(&[&upstream.url], move |rule| {
            (rule.on, rule.max_body) = (vec![RetryGround::Timeout], max_body);
        });
        let edge = edge.start();
        let mut client = edge.connect();
        client.send(get("/", ""));
        assert_eq!(client.response().text(), "hello");
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"));
        (client.response().status, retries(&edge))
    };
    assert_eq!(ask("PUT", 3), (200, 0));
    assert_eq!(ask("PUT", 2), (502, 0));
    assert_eq!(ask("POST", 3), (502, 0));
}

#[test]
fn the_limit_of_a_try_is_for_bodies_that_are_kept() {
    let slow = Reading::new(|_| Some(""));
    let good = Reading::new(|_| Some(HELLO));
    let setup = retrying(&[slow.url(), good.url()], |rule| {
        (rule.per_try_timeout, rule.max_body) = (Some(Duration::from_millis(100)), 3);
    });
    let edge = setup.with_service(|service| service.timeout = Some(Duration::from_millis(600))).start();
    assert_eq!(edge.ask(&put("abc")).text(), "hello");
    assert_eq!(edge.ask(&put("")).text(), "hello");
    assert_eq!((slow.bodies().len(), retries(&edge)), (1, 1));
    assert_eq!(edge.ask(&put("abcd")).code(), "DOWNSTREAM_TIMEOUT", "it cannot be sent again");
}

/// A service of gRPC that tries again what was not touched.
fn calls(targets: &[&str]) -> Setup {
    retrying(targets, |rule| rule.on = vec![RetryGround::Connect]).with_service(http2)
}

/// Reads a call to the end of its message.
fn message(stream: &mut std::net::TcpStream) -> Option<(u32, Vec<u8>)> {
    let (mut message, mut flags) = (Vec::new(), next(stream, &[HEADERS])?.flags);
    let mut number = 0;
    while flags & 1 == 0 {
        let piece = next(stream, &[DATA, HEADERS])?;
        if piece.kind == DATA {
            message.extend(&piece.payload);
        }
        (number, flags) = (piece.stream, piece.flags);
    }
    Some((number, message))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_not_touched_is_made_again_with_its_message() {
    const GOAWAY: u8 = 7;
    for kind in [GOAWAY, RST_STREAM] {
        let (told, is_told) = std::sync::mpsc::channel();
        let bad = by_hand(move |_, stream| {
            while let Some((number, message)) = message(stream) {
                told.send(message).unwrap();
                let refused = match kind {
                    GOAWAY => frame(GOAWAY, 0, 0, &[0; 8]),
                    _ => frame(RST_STREAM, 0, number, &u32::from(Reason::REFUSED_STREAM).to_be_bytes()),
                };
                stream.write_all(&refused).unwrap();
            }
        });
        let good = Http2Upstream::new(answer_with_what_came).await;
        let edge = calls(&[&bad.url, &good.url]).start();
        let client = Http2::connect(&edge).await;
        for _ in 0..2 {
            let call = request("POST", "/a.Service/Call", &[("content-type", "application/grpc"), ("te", "trailers")]);
            let (response, stream) = client.begin(call).await;
            send_all(stream, b"\0\0\0\0\x04ping", Some(trailers(&[("x-end", "1")]))).await;
            let answer = crate::harness_http2::answer(response).await.unwrap();
            assert_eq!((answer.status(), answer.body.as_slice()), (200, &b"\0\0\0\0\x04ping"[..]));
            assert_eq!(answer.trailers.unwrap()["x-end"], "1");
        }
        let seen = is_told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(seen, b"\0\0\0\0\x04ping");
    }
}

async fn answer_with_what_came(mut asked: Asked) {
    let (body, trailers) = asked.read().await;
    let stream = asked.begin(200, &[("content-type", "application/grpc")]);
    crate::harness_http2_upstream::send(stream, &body, Some(trailers.unwrap_or_else(HeaderMap::new))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_reset_is_not_made_again() {
    let bad = by_hand(|_, stream| {
        while let Some((number, _)) = message(stream) {
            let reason = u32::from(Reason::INTERNAL_ERROR).to_be_bytes();
            stream.write_all(&frame(RST_STREAM, 0, number, &reason)).unwrap();
        }
    });
    let edge = calls(&[&bad.url]).start();
    let client = Http2::connect(&edge).await;
    let seen = client.ask(request("POST", "/", &[]), b"ping").await.unwrap();
    assert_eq!((seen.code().as_str(), retries(&edge)), ("DOWNSTREAM_ERROR", 0));
}

#[test]
fn bodies_that_wait_behind_one_another_are_each_sent_to_their_own_end() {
    let (bad, good) = (Reading::new(|_| Some(BUSY)), Reading::new(|_| Some(HELLO)));
    let edge = retrying(&[bad.url(), good.url()], |_| ()).start();
    let mut client: Client = edge.connect();
    let many: String = (0..8).map(|at| put(&format!("body {at}"))).collect();
    client.send(many);
    for _ in 0..8 {
        assert_eq!(client.response().text(), "hello");
    }
    let expected: Vec<String> = (0..8).map(|at| format!("body {at}")).collect();
    assert_eq!(good.bodies(), expected);
}
