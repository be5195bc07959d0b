//! Requests that go to another target too because the first one is slow.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use h2::Reason;
use http::Method;
use novagate_ports_edge::UpstreamEvent;
use novagate_routing::{CircuitBreaker, ContentCoding, Forward, Hedge, RetryGround, Service};

use crate::harness::{Client, Edge, HELLO, PATIENCE, Setup, Upstream, get, wait_until};
use crate::harness_content::{all, decode, text};
use crate::harness_http2::{HEADERS, RST_STREAM, frame};
use crate::harness_http2_upstream::{DATA, by_hand, http2, next};
use crate::observe::events;
use crate::resilience::at_once;
use crate::retries::{BUSY, retries, rule};

const DELAY: Duration = Duration::from_millis(60);

pub(crate) fn hedging(targets: &[&str], change: impl Fn(&mut Service)) -> Setup {
    Setup::open(targets).with_service(move |service| {
        service.resilience.hedge = Some(Hedge { delay: DELAY, max_extra: 1, methods: Hedge::SAFE.to_vec() });
        change(service);
    })
}

fn retrying(service: &mut Service) {
    service.resilience.retries = Some(rule());
}

/// Hedges, and those of them that have won.
pub(crate) fn hedges(edge: &Edge) -> (u64, u64) {
    (events(edge, UpstreamEvent::Hedge), events(edge, UpstreamEvent::HedgeWon))
}

/// Answers nothing, and tells when its connections end.
pub(crate) fn silent() -> (Upstream, Receiver<usize>) {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let upstream = Upstream::scripted(move |number, conn| {
        conn.rest();
        let _ = tell.lock().unwrap().send(number);
    });
    (upstream, told)
}

/// Answers when it may.
fn gated(answer: &'static str) -> (Upstream, Arc<AtomicBool>) {
    let may = Arc::<AtomicBool>::default();
    let gate = Arc::clone(&may);
    let upstream = Upstream::scripted(move |_, conn| {
        while conn.next_request().is_some() {
            wait_until("it may answer", || gate.load(Ordering::SeqCst));
            if answer.is_empty() {
                return;
            }
            let _ = conn.stream.write_all(answer.as_bytes());
        }
    });
    (upstream, may)
}

#[test]
fn a_slow_target_is_outrun_and_let_go() {
    let ((slow, ended), good) = (silent(), Upstream::echo());
    let edge = hedging(&[&slow.url, &good.url], |_| ()).start();
    let mut client = edge.connect();
    for at in 0..4 {
        client.send(get(&format!("/{at}"), ""));
        let response = client.response();
        assert!(response.text().starts_with(&format!("GET /{at} ")), "{response:?}");
        assert!(response.text().contains(&format!("host: {}\r\n", good.addr)), "{response:?}");
    }
    assert_eq!((hedges(&edge), retries(&edge)), ((2, 2), 0), "they take turns");
    for _ in 0..2 {
        ended.recv_timeout(PATIENCE).unwrap();
    }
    assert_eq!(good.connections(), 1, "the winner's connection stays");
    let records = edge.records(4);
    assert!(records.iter().all(|record| record.status == 200 && record.code.is_none()), "{records:?}");
}

#[test]
fn the_response_of_another_target_is_compressed_too() {
    let good = Upstream::scripted(|_, conn| {
        while conn.next_head().is_some() {
            conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\n");
            conn.send(text(5000));
        }
    });
    let compress = |forward: &mut Forward| forward.compression = Some(Box::new(all()));
    let edge = hedging(&[&silent().0.url, &good.url], |_| ()).with_forward(compress).start();
    let mut client = edge.connect();
    for _ in 0..2 {
        client.send(get("/", "Accept-Encoding: gzip\r\n"));
        let response = client.response();
        assert_eq!(response.field("content-encoding"), Some("gzip"));
        assert!(decode(ContentCoding::Gzip, &response.body) == text(5000));
    }
    assert_eq!(hedges(&edge), (1, 1));
}

#[test]
fn a_target_that_answers_in_time_is_asked_alone_and_a_first_that_answers_first_wins() {
    let good = [Upstream::fixed(HELLO), Upstream::fixed(HELLO)];
    let edge = hedging(&[&good[0].url, &good[1].url], |_| ()).start();
    for _ in 0..4 {
        assert_eq!(edge.ask(&get("/", "")).text(), "hello");
    }
    assert_eq!(hedges(&edge), (0, 0));
    let ((first, may), (second, ended)) = (gated(HELLO), silent());
    let edge = hedging(&[&first.url, &second.url], |_| ()).start();
    let mut client = edge.connect();
    client.send(get("/", ""));
    wait_until("the other is asked", || first.connections() + second.connections() == 2);
    may.store(true, Ordering::SeqCst);
    assert_eq!(client.response().text(), "hello");
    ended.recv_timeout(PATIENCE).unwrap();
    assert_eq!(hedges(&edge).0, 1);
}

#[test]
fn each_further_target_is_asked_after_another_delay() {
    let (one, two, good) = (silent().0, silent().0, Upstream::fixed(HELLO));
    let setup = hedging(&[&one.url, &two.url, &good.url], |service| {
        service.resilience.hedge.as_mut().unwrap().max_extra = 2;
    });
    let edge = setup.start();
    for _ in 0..3 {
        assert_eq!(edge.ask(&get("/", "")).text(), "hello");
    }
    let (made, won) = hedges(&edge);
    assert!((2..=5).contains(&made) && won == 2, "{made} {won}");
}

#[test]
fn when_the_first_fails_the_other_goes_on_as_the_try() {
    for failure in ["", BUSY] {
        let ((bad, may_fail), (good, may_answer)) = (gated(failure), gated(HELLO));
        let edge = hedging(&[&bad.url, &good.url], retrying).start();
        let mut client = edge.connect();
        for _ in 0..2 {
            may_fail.store(false, Ordering::SeqCst);
            may_answer.store(false, Ordering::SeqCst);
            let before = hedges(&edge).0;
            client.send(get("/", ""));
            wait_until("the other is asked", || hedges(&edge).0 == before + 1);
            wait_until("it has come", || bad.connections() > 0 && good.connections() > 0);
            may_fail.store(true, Ordering::SeqCst);
            may_answer.store(true, Ordering::SeqCst);
            assert_eq!(client.response().text(), "hello");
        }
        assert_eq!((retries(&edge), edge.records(2)[0].status), (0, 200));
    }
}

#[test]
fn when_all_fail_the_failure_of_the_first_counts() {
    let (one, two) = (gated(""), gated(""));
    let edge = hedging(&[&one.0.url, &two.0.url], |_| ()).start();
    let mut client = edge.connect();
    client.send(get("/", ""));
    wait_until("the other is asked", || one.0.connections() + two.0.connections() == 2);
    one.1.store(true, Ordering::SeqCst);
    two.1.store(true, Ordering::SeqCst);
    assert_eq!(client.response().code(), "DOWNSTREAM_ERROR");
    assert_eq!(hedges(&edge), (1, 0));
}

#[test]
fn a_status_to_be_retried_does_not_win() {
    let ((one, may_one), (two, may_two)) = (gated(BUSY), gated(BUSY));
    let edge = hedging(&[&one.url, &two.url], |service| {
        retrying(service);
        service.resilience.retries.as_mut().unwrap().on = vec![RetryGround::Connect];
    });
    let edge = edge.start();
    let mut client = edge.connect();
    client.send(get("/", ""));
    wait_until("the other is asked", || one.connections() + two.connections() == 2);
    may_one.store(true, Ordering::SeqCst);
    may_two.store(true, Ordering::SeqCst);
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (503, "CANARY7F"));
    assert_eq!((hedges(&edge), retries(&edge)), ((1, 0), 1), "when both have failed it is tried again");
    client.send(get("/next", ""));
    assert_eq!(client.response().status, 503);
}

#[test]
fn a_body_that_is_whole_goes_to_the_other_too() {
    let ((slow, _ended), good) = (silent(), Upstream::echo());
    let edge = hedging(&[&slow.url, &good.url], |service| {
        service.resilience.hedge.as_mut().unwrap().methods = vec![Method::PUT];
    });
    let edge = edge.start();
    let mut client = edge.connect();
    for _ in 0..2 {
        client.send("PUT /k HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
        client.send("def");
        assert!(client.response().text().ends_with("\r\n\r\nabcdef"));
        client
            .send("PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n");
        assert!(client.response().text().ends_with("\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n"));
    }
    assert_eq!(hedges(&edge), (2, 2));
    let before = slow.connections() + good.connections();
    client.send("PUT /half HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    let begin = Instant::now();
    wait_until("it is due", || begin.elapsed() > DELAY * 2);
    assert!(slow.connections() + good.connections() <= before + 1 && hedges(&edge).0 == 2, "it is not whole");
}

#[test]
fn methods_that_are_not_listed_long_bodies_and_single_targets_are_asked_once() {
    let slow = |targets: usize, request: &str, max_body| {
        let upstreams: Vec<_> = (0..targets).map(|_| silent().0).collect();
        let urls: Vec<&str> = upstreams.iter().map(|upstream| upstream.url.as_str()).collect();
        let edge = hedging(&urls, move |service| {
            retrying(service);
            let rule = service.resilience.retries.as_mut().unwrap();
            (rule.max_body, rule.on) = (max_body, vec![RetryGround::Connect]);
            service.resilience.hedge.as_mut().unwrap().methods = vec![Method::GET, Method::PUT];
            service.timeout = Some(DELAY * 4);
        });
        let edge = edge.start();
        assert_eq!(edge.ask(request).code(), "DOWNSTREAM_TIMEOUT");
        (upstreams.iter().map(Upstream::connections).sum::<usize>(), hedges(&edge))
    };
    let put = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(slow(2, put, 3), (2, (1, 0)));
    assert_eq!(slow(2, put, 2), (1, (0, 0)));
    assert_eq!(slow(2, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 3), (1, (0, 0)));
    assert_eq!(slow(1, &get("/", ""), 3), (1, (0, 0)));
}

#[test]
fn a_service_whose_places_are_taken_is_asked_once() {
    for max_connections in [None, Some(1)] {
        let (one, two) = (silent().0, silent().0);
        let edge = hedging(&[&one.url, &two.url], move |service| {
            let max_requests = if max_connections.is_some() { 10 } else { 1 };
            service.resilience.circuit_breaker =
                Some(CircuitBreaker { max_requests, max_pending: None, max_connections });
            service.timeout = Some(DELAY * 4);
        });
        let edge = edge.start();
        assert_eq!(edge.ask(&get("/", "")).code(), "DOWNSTREAM_TIMEOUT");
        assert_eq!((one.connections() + two.connections(), hedges(&edge)), (1, (0, 0)));
        assert_eq!(events(&edge, UpstreamEvent::CircuitOpen), 0, "the request itself was let in");
    }
}

#[test]
fn a_target_that_was_only_slower_has_not_failed() {
    let ((slow, ended), good) = (silent(), Upstream::fixed(HELLO));
    let edge = hedging(&[&slow.url, &good.url], |service| {
        service.resilience.outlier_detection = Some(at_once(50));
    });
    let edge = edge.start();
    for _ in 0..6 {
        assert_eq!(edge.ask(&get("/", "")).text(), "hello");
    }
    for _ in 0..3 {
        ended.recv_timeout(PATIENCE).unwrap();
    }
    assert_eq!((hedges(&edge), events(&edge, UpstreamEvent::Ejection)), ((3, 3), 0));
}

#[test]
fn the_whole_of_it_ends_at_its_total_timeout() {
    let ((one, one_ended), (two, two_ended)) = (silent(), silent());
    let setup = hedging(&[&one.url, &two.url], |service| service.total_timeout = Some(DELAY * 3));
    let edge = setup.start();
    let mut client = edge.connect();
    client.send(get("/", ""));
    assert_eq!(client.response().code(), "DOWNSTREAM_TIMEOUT");
    for ended in [one_ended, two_ended] {
        ended.recv_timeout(PATIENCE).unwrap();
    }
    assert_eq!(hedges(&edge), (1, 0));
}

#[test]
fn a_try_that_takes_too_long_leaves_the_other_its_own_time() {
    let ((slow, _), (good, may)) = (silent(), gated(HELLO));
    let limit = Duration::from_millis(400);
    let edge = hedging(&[&slow.url, &good.url], move |service| {
        retrying(service);
        service.resilience.retries.as_mut().unwrap().per_try_timeout = Some(limit);
        service.resilience.hedge.as_mut().unwrap().delay = limit * 3 / 4;
    });
    let edge = edge.start();
    let mut client = edge.connect();
    let begin = Instant::now();
    client.send(get("/", ""));
    wait_until("the other is asked", || good.connections() == 1);
    wait_until("the first is over", || begin.elapsed() > limit + limit / 8);
    may.store(true, Ordering::SeqCst);
    assert_eq!(client.response().text(), "hello");
    assert_eq!((hedges(&edge), retries(&edge)), ((1, 1), 0));
}

#[test]
fn a_client_that_goes_away_lets_all_go() {
    let ((one, one_ended), (two, two_ended)) = (silent(), silent());
    let edge = hedging(&[&one.url, &two.url], |_| ()).start();
    let mut client = edge.connect();
    client.send(get("/", ""));
    wait_until("the other is asked", || one.connections() + two.connections() == 2);
    client.will_reset();
    drop(client);
    for ended in [one_ended, two_ended] {
        ended.recv_timeout(PATIENCE).unwrap();
    }
    assert_eq!(edge.records(1)[0].status, 499);
}

#[test]
fn the_losing_stream_is_cancelled_and_its_connection_lives() {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let asked = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&asked);
    let upstream = || {
        let (tell, count) = (Mutex::new(tell.lock().unwrap().clone()), Arc::clone(&count));
        by_hand(move |_, stream| {
            while let Some(seen) = next(stream, &[HEADERS, RST_STREAM]) {
                if seen.kind == RST_STREAM {
                    tell.lock().unwrap().send(seen.payload).unwrap();
                } else if count.fetch_add(1, Ordering::SeqCst) > 0 {
                    let mut bytes = frame(HEADERS, 4, seen.stream, &[0x88]);
                    bytes.extend(frame(DATA, 1, seen.stream, b"hello"));
                    stream.write_all(&bytes).unwrap();
                }
            }
        })
    };
    let (one, two) = (upstream(), upstream());
    let edge = hedging(&[&one.url, &two.url], http2).start();
    // The first that is asked never answers, whichever it is.
    assert_eq!(edge.ask(&get("/", "")).text(), "hello");
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), u32::from(Reason::CANCEL).to_be_bytes());
    for _ in 0..4 {
        assert_eq!(edge.ask(&get("/", "")).text(), "hello");
    }
    assert_eq!((one.connections(), two.connections(), hedges(&edge)), (1, 1, (1, 1)));
}

#[test]
fn a_service_that_is_slow_altogether_is_asked_no_more_than_its_budget_allows() {
    let asked = Arc::<AtomicUsize>::default();
    let slow = || {
        let count = Arc::clone(&asked);
        Upstream::scripted(move |_, conn| {
            while conn.next_head().is_some() {
                count.fetch_add(1, Ordering::SeqCst);
                let begin = Instant::now();
                wait_until("it is slow", || begin.elapsed() > DELAY * 4);
                let _ = conn.stream.write_all(HELLO.as_bytes());
            }
        })
    };
    let (one, two) = (slow(), slow());
    let edge = hedging(&[&one.url, &two.url], |_| ()).start();
    let mut clients: Vec<Client> = (0..40).map(|_| edge.connect()).collect();
    let begin = Instant::now();
    for _ in 0..5 {
        for client in &mut clients {
            client.send(get("/", ""));
        }
        for client in &mut clients {
            assert_eq!(client.response().text(), "hello");
        }
    }
    // A fifth of the requests; on a machine that needs more than a window the least of each one is added.
    let most = 40 + 30 * (begin.elapsed().as_secs() / 10);
    let (made, over) = (hedges(&edge).0, events(&edge, UpstreamEvent::RetryOverBudget));
    assert!((20..=most).contains(&made) && over >= 200 - most, "{made} hedges, {over} refused");
    assert!(asked.load(Ordering::SeqCst) as u64 <= 200 + made);
}
