//! Requests that are tried again, and those that are not.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use novagate_kernel::ErrorCode;
use novagate_ports_edge::UpstreamEvent;
use novagate_routing::{Retries, RetryGround};

use crate::harness::{Client, Edge, HELLO, Setup, Upstream, compile, get, handshake, wait_until};
use crate::observe::events;

const CANARY: &str = "CANARY7F";
/// An answer that is not to be seen.
pub(crate) const BUSY: &str =
    "HTTP/1.1 503 Service Unavailable\r\nX-Canary: CANARY7F\r\nContent-Length: 8\r\n\r\nCANARY7F";

/// One more try after anything.
pub(crate) fn rule() -> Retries {
    Retries {
        attempts: 1,
        on: vec![RetryGround::Connect, RetryGround::Reset, RetryGround::Timeout],
        statuses: vec![503],
        methods: Retries::IDEMPOTENT.to_vec(),
        per_try_timeout: None,
        budget_percent: 100,
        max_body: Retries::USUALLY_KEPT,
    }
}

/// A service that tries again after anything.
pub(crate) fn retrying(targets: &[&str], change: impl Fn(&mut Retries)) -> Setup {
    Setup::open(targets).with_service(move |service| {
        let mut rule = rule();
        change(&mut rule);
        service.resilience.retries = Some(rule);
    })
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Reads requests and ends their connections.
fn resetting() -> Upstream {
    Upstream::scripted(|_, conn| drop(conn.next_head()))
}

/// Answers nothing and keeps the connection.
fn silent() -> Upstream {
    Upstream::scripted(|_, conn| drop(conn.rest()))
}

pub(crate) fn retries(edge: &Edge) -> u64 {
    events(edge, UpstreamEvent::Retry)
}

#[test]
fn an_answer_that_is_tried_again_never_reaches_the_client() {
    for busy in [
        BUSY,
        "HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nCANARY7F\r\n0\r\nX-Canary: CANARY7F\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nX-Canary: CANARY7F\r\n\r\nHTTP/1.1 503 CANARY7F\r\nContent-Length: 99\r\n\r\nCANARY7F",
    ] {
        let (bad, good) = (Upstream::fixed(busy), Upstream::echo());
        let edge = retrying(&[&bad.url, &good.url], |_| ()).start();
        let mut client = edge.connect();
        for at in 0..10 {
            client.send(get(&format!("/{at}"), ""));
            let response = client.response();
            assert_eq!(response.status, 200);
            assert!(response.text().starts_with(&format!("GET /{at} HTTP/1.1\r\n")), "{response:?}");
            assert!(response.text().contains(&format!("host: {}\r\n", good.addr)), "{response:?}");
            assert!(!format!("{response:?} {}", response.text()).contains(CANARY), "{response:?}");
        }
        assert_eq!((retries(&edge), bad.requests().len()), (5, 5), "they take turns");
        let records = edge.records(10);
        assert!(records.iter().all(|record| record.status == 200 && record.code.is_none()), "{records:?}");
    }
}

#[test]
fn the_answer_of_the_last_try_passes_unchanged() {
    let upstream = Upstream::fixed(BUSY);
    let edge = retrying(&[&upstream.url], |rule| rule.attempts = 2).start();
    let response = edge.ask(&get("/", ""));
    assert_eq!((response.status, response.text().as_str()), (503, CANARY));
    assert_eq!(response.field("x-canary"), Some("canary7f"));
    assert_eq!((upstream.requests().len(), retries(&edge)), (3, 2));
}

#[test]
fn a_status_that_is_not_listed_and_a_service_without_retries_are_left_alone() {
    let upstream = Upstream::fixed(BUSY);
    let edge = retrying(&[&upstream.url], |rule| rule.statuses = vec![502, 504]).start();
    assert_eq!(edge.ask(&get("/", "")).status, 503);
    let plain = Setup::open(&[&upstream.url]).start();
    assert_eq!(plain.ask(&get("/", "")).status, 503);
    assert_eq!((upstream.requests().len(), retries(&edge), retries(&plain)), (2, 0, 0));
}

#[test]
fn a_connection_that_ends_without_an_answer_is_a_ground_of_its_own() {
    let (bad, good) = (resetting(), Upstream::fixed(HELLO));
    let edge = retrying(&[&bad.url, &good.url], |_| ()).start();
    let mut client = edge.connect();
    for _ in 0..6 {
        client.send(get("/", ""));
        assert_eq!(client.response().text(), "hello");
    }
    assert_eq!((bad.connections(), retries(&edge)), (3, 3));
    let edge = retrying(&[&bad.url], |rule| rule.on = vec![RetryGround::Timeout]).start();
    assert_eq!(edge.ask(&get("/", "")).code(), "DOWNSTREAM_ERROR");
    assert_eq!((bad.connections(), retries(&edge)), (4, 0));
}

#[test]
fn a_try_that_takes_too_long_is_given_up_for_another() {
    let (slow, good) = (silent(), Upstream::fixed(HELLO));
    let limit = Some(Duration::from_millis(100));
    let edge = retrying(&[&slow.url, &good.url], move |rule| rule.per_try_timeout = limit).start();
    let mut client = edge.connect();
    for _ in 0..4 {
        client.send(get("/", ""));
        assert_eq!(client.response().text(), "hello");
    }
    assert_eq!((slow.connections(), retries(&edge)), (2, 2));
    let edge = retrying(&[&slow.url], move |rule| {
        rule.per_try_timeout = limit;
        rule.on = vec![RetryGround::Reset];
    });
    let edge = edge.start();
    assert_eq!(edge.ask(&get("/", "")).code(), "DOWNSTREAM_TIMEOUT");
    assert_eq!((slow.connections(), retries(&edge)), (3, 0));
}

#[test]
fn the_limit_of_a_try_is_for_requests_that_may_be_tried_again() {
    let upstream = Upstream::scripted(|_, conn| {
        conn.next_head();
        let begin = Instant::now();
        wait_until("the answer is due", || begin.elapsed() > Duration::from_millis(200));
        conn.send(HELLO);
    });
    let limit = Some(Duration::from_millis(50));
    let edge = retrying(&[&upstream.url], move |rule| rule.per_try_timeout = limit).start();
    assert_eq!(edge.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").text(), "hello");
    assert_eq!(edge.ask(&get("/", "")).status, 504);
}

#[test]
fn connections_that_cannot_be_made_are_tried_elsewhere_whatever_the_method() {
    let good = Upstream::fixed(HELLO);
    let (one, two) = (nobody(), nobody());
    let targets = [one.as_str(), two.as_str(), &good.url];
    let edge = retrying(&targets, |_| ()).start();
    for request in [get("/", ""), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".to_owned()] {
        assert_eq!(edge.ask(&request).text(), "hello");
    }
    // One other target is no retry; the second one is.
    assert!(retries(&edge) >= 1);
    let edge = retrying(&targets, |rule| rule.on = vec![RetryGround::Reset]).start();
    assert_eq!(edge.ask(&get("/", "")).status, 502);
    assert_eq!(retries(&edge), 0);
}

#[test]
fn a_method_with_effects_is_tried_again_only_where_it_is_listed() {
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    let (bad, good) = (Upstream::fixed(BUSY), Upstream::fixed(HELLO));
    let edge = retrying(&[&bad.url, &good.url], |_| ()).start();
    assert_eq!((edge.ask(request).status, edge.ask(request).status), (503, 200));
    let listed = |rule: &mut Retries| rule.methods = vec![http::Method::POST];
    let edge = retrying(&[&bad.url, &good.url], listed).start();
    assert_eq!((edge.ask(request).status, edge.ask(request).status), (200, 200));
    assert_eq!((edge.ask(&get("/", "")).status, retries(&edge)), (503, 1));
}

#[test]
fn a_head_request_is_tried_again() {
    let busy = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\n\r\n";
    let (bad, good) = (Upstream::fixed(busy), Upstream::fixed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"));
    let edge = retrying(&[&bad.url, &good.url], |_| ()).start();
    let mut client = edge.connect();
    for _ in 0..4 {
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response_to("HEAD").status, 200);
    }
}

#[test]
fn a_request_whose_body_has_begun_is_not_sent_again_where_nothing_is_kept() {
    let (bad, reset, good) = (Upstream::fixed(BUSY), resetting(), Upstream::fixed(HELLO));
    let request = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nhalf of it";
    let edge = retrying(&[&bad.url, &good.url], |rule| rule.max_body = 0).start();
    let mut client = edge.connect();
    client.send(request);
    assert_eq!(client.response().text(), CANARY);
    let edge = retrying(&[&reset.url, &good.url], |rule| rule.max_body = 0).start();
    let mut client = edge.connect();
    client.send(request);
    assert_eq!(client.response().code(), "DOWNSTREAM_ERROR");
    assert_eq!((good.connections(), retries(&edge)), (0, 0));
}

#[test]
fn a_request_whose_body_has_not_begun_is_sent_again_with_all_of_it() {
    let (bad, good) = (Upstream::fixed(BUSY), Upstream::echo());
    let edge = retrying(&[&bad.url, &good.url], |_| ()).start();
    let mut client = edge.connect();
    client.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    wait_until("it is tried again", || good.connections() == 1);
    client.send("whole");
    let response = client.response();
    assert!(response.status == 200 && response.text().ends_with("\r\n\r\nwhole"), "{response:?}");
    client.send(get("/next", ""));
    assert!(client.response().text().contains("GET /next"));
}

#[test]
fn a_target_that_was_tried_is_not_tried_again_while_there_are_others() {
    let bad = [Upstream::fixed(BUSY), Upstream::fixed(BUSY)];
    let good = Upstream::fixed(HELLO);
    let edge = retrying(&[&bad[0].url, &bad[1].url, &good.url], |rule| rule.attempts = 2).start();
    for _ in 0..6 {
        assert_eq!(edge.ask(&get("/", "")).text(), "hello");
    }
    assert!(bad.iter().all(|upstream| upstream.requests().len() <= 6));
    assert_eq!(good.requests().len(), 6);
}

#[test]
fn a_websocket_is_not_tried_again() {
    let upstream = Upstream::fixed(BUSY);
    let edge = retrying(&[&upstream.url], |_| ()).start();
    assert_eq!(edge.ask(&handshake("/", "")).text(), CANARY);
    assert_eq!((upstream.requests().len(), retries(&edge)), (1, 0));
}

#[test]
fn requests_that_wait_behind_one_that_is_tried_again_are_answered_in_order() {
    let (bad, good) = (Upstream::fixed(BUSY), Upstream::echo());
    let edge = retrying(&[&bad.url, &good.url], |_| ()).start();
    let mut client = edge.connect();
    let many: String = (0..8).map(|at| get(&format!("/{at}"), "")).collect();
    client.send(many);
    for at in 0..8 {
        assert!(client.response().text().starts_with(&format!("GET /{at} ")));
    }
    client.send(get("/last", "Connection: close\r\n"));
    assert!(client.response().text().starts_with("GET /last "));
    assert!(client.is_closed());
}

#[test]
fn a_failing_service_is_asked_no_more_than_its_budget_allows() {
    let upstream = Upstream::fixed(BUSY);
    let edge = retrying(&[&upstream.url], |rule| (rule.attempts, rule.budget_percent) = (5, 20)).start();
    let mut clients: Vec<Client> = (0..50).map(|_| edge.connect()).collect();
    let begin = Instant::now();
    for _ in 0..8 {
        for client in &mut clients {
            client.send(get("/", ""));
        }
        for client in &mut clients {
            assert_eq!(client.response().text(), CANARY, "the original failure is told");
        }
    }
    let (asked, over) = (upstream.requests().len() as u64, events(&edge, UpstreamEvent::RetryOverBudget));
    assert_eq!(asked, 400 + retries(&edge));
    // On a machine that needs more than a window the least of each one is added.
    let most = 80 + 30 * (begin.elapsed().as_secs() / 10);
    assert!((30..=most).contains(&retries(&edge)) && over >= 400 - most, "{} retries, {over} refused", retries(&edge));
}

#[test]
fn a_budget_that_is_spent_stays_spent_over_an_edit() {
    let upstream = Upstream::fixed(BUSY);
    let setup = retrying(&[&upstream.url], |rule| rule.budget_percent = 1);
    let (objects, edge) = (setup.objects.clone(), setup.start());
    let begin = Instant::now();
    for table in 2..5 {
        let mut clients: Vec<Client> = (0..40).map(|_| edge.connect()).collect();
        for client in &mut clients {
            client.send(get("/", ""));
        }
        for client in &mut clients {
            assert_eq!(client.response().status, 503);
        }
        edge.live.store(Some(Arc::new(compile(table, &objects))));
    }
    let most = 30 + 30 * (begin.elapsed().as_secs() / 10);
    assert!((30..=most).contains(&retries(&edge)), "{}", retries(&edge));
}

#[test]
fn a_value_goes_back_to_its_target_after_a_request_was_tried_elsewhere() {
    let targets = [(); 2].map(|()| {
        Upstream::scripted(|number, conn| {
            while conn.next_head().is_some() {
                conn.send(if number == 0 { BUSY } else { HELLO });
            }
        })
    });
    let hash_on = novagate_routing::HashOn::parse("header:x-user").unwrap();
    let balancing = novagate_routing::LoadBalancing::ConsistentHash(hash_on);
    let setup = retrying(&[&targets[0].url, &targets[1].url], |rule| rule.attempts = 3);
    let edge = setup.with_service(move |service| service.load_balancing = balancing.clone()).start();
    for _ in 0..5 {
        assert_eq!(edge.ask(&get("/", "x-user: u\r\n")).text(), "hello");
    }
    // Its own target fails once and then the other one; from then on its own has every request.
    let mut connections = [targets[0].connections(), targets[1].connections()];
    connections.sort_unstable();
    assert_eq!((connections, retries(&edge)), ([1, 2], 2));
}

#[test]
fn the_whole_exchange_ends_at_its_total_timeout() {
    let upstream = silent();
    let change = |rule: &mut Retries| {
        rule.attempts = 5;
        rule.per_try_timeout = Some(Duration::from_millis(60));
    };
    let total = Some(Duration::from_millis(250));
    let edge = retrying(&[&upstream.url], change).with_service(move |service| service.total_timeout = total).start();
    let mut client = edge.connect();
    client.send(get("/", ""));
    assert_eq!(client.response().code(), "DOWNSTREAM_TIMEOUT");
    assert!((1..=4).contains(&upstream.connections()), "{}", upstream.connections());
    let record = edge.records(1)[0];
    assert!((60_000..1_000_000).contains(&record.latency_us), "{record:?}");
    assert_eq!(record.code, Some(ErrorCode::DownstreamTimeout));
    client.send(get("/", ""));
    assert_eq!(client.response().status, 504, "the connection stays");
}
