//! Targets that are ejected and return, services that panic, circuits that open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use novagate_kernel::ServiceId;
use novagate_ports_edge::{UpstreamEvent, UpstreamState};
use novagate_routing::{CircuitBreaker, HealthCheck, OutlierDetection, ProbeKind};

use crate::harness::{Client, Edge, HELLO, Setup, Upstream, compile, get, nobody, wait_until};
use crate::observe::events;

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";

/// Ejects at the first failure, for longer than a test takes, and that share of the targets.
pub(crate) fn at_once(max_ejected_percent: u8) -> OutlierDetection {
    let (eject, max_eject) = (Duration::from_hours(1), Duration::from_hours(1));
    OutlierDetection { consecutive_failures: 1, error_rate: None, eject, max_eject, max_ejected_percent }
}

/// A service that ejects after two failures.
fn ejecting(targets: &[&str], change: impl Fn(&mut OutlierDetection)) -> Setup {
    Setup::open(targets).with_service(move |service| {
        let mut rule = OutlierDetection {
            consecutive_failures: 2,
            error_rate: None,
            eject: Duration::from_secs(30),
            max_eject: Duration::from_mins(5),
            max_ejected_percent: 50,
        };
        change(&mut rule);
        service.resilience.outlier_detection = Some(rule);
    })
}

fn state(edge: &Edge) -> UpstreamState {
    edge.handle.upstream_health().state(ServiceId::from_u128(1)).unwrap()
}

fn ejections(edge: &Edge) -> u64 {
    events(edge, UpstreamEvent::Ejection)
}

/// An answer may be read before its worker has counted it.
fn wait_for_ejections(edge: &Edge, count: u64) {
    wait_until("targets are ejected", || ejections(edge) >= count);
    assert_eq!(ejections(edge), count);
}

fn statuses(edge: &Edge, count: usize) -> Vec<u16> {
    (0..count).map(|_| edge.ask(&get("/", "")).status).collect()
}

/// An upstream that is busy while it is told to be.
fn moody() -> (Upstream, Arc<AtomicBool>) {
    let busy = Arc::new(AtomicBool::new(true));
    let mood = Arc::clone(&busy);
    let upstream = Upstream::scripted(move |_, conn| {
        while conn.next_head().is_some() {
            conn.send(if mood.load(Ordering::SeqCst) { BUSY } else { HELLO });
        }
    });
    (upstream, busy)
}

#[test]
fn a_target_that_fails_is_ejected_and_returns_after_its_time() {
    let ((bad, busy), good) = (moody(), Upstream::fixed(HELLO));
    let edge = ejecting(&[&bad.url, &good.url], |rule| rule.eject = Duration::from_secs(2)).start();
    assert_eq!(statuses(&edge, 4).iter().filter(|status| **status == 503).count(), 2);
    wait_for_ejections(&edge, 1);
    let ejected = state(&edge);
    assert_eq!((ejected.healthy, ejected.total), (1, 2));
    assert_eq!(ejected.ejected[0].0.to_string(), bad.url);
    assert!(ejected.ejected[0].1 <= Duration::from_secs(2));
    busy.store(false, Ordering::SeqCst);
    let seen = good.requests().len();
    assert_eq!(statuses(&edge, 6), [200; 6]);
    assert_eq!(good.requests().len(), seen + 6);
    wait_until("it is back", || state(&edge).healthy == 2);
    let seen = good.requests().len();
    assert_eq!(statuses(&edge, 6), [200; 6]);
    assert_eq!((good.requests().len(), ejections(&edge)), (seen + 3, 1));
}

#[test]
fn a_second_ejection_in_a_row_lasts_longer() {
    let ((bad, _busy), good) = (moody(), Upstream::fixed(HELLO));
    let edge = ejecting(&[&bad.url, &good.url], |rule| rule.eject = Duration::from_secs(2)).start();
    statuses(&edge, 4);
    wait_for_ejections(&edge, 1);
    wait_until("it is back", || state(&edge).healthy == 2);
    statuses(&edge, 4);
    wait_for_ejections(&edge, 2);
    let again = state(&edge);
    assert!(again.ejected[0].1 > Duration::from_secs(2), "{again:?}");
}

#[test]
fn connections_that_end_or_cannot_be_made_are_failures_too() {
    let reset = Upstream::scripted(|_, conn| drop(conn.next_head()));
    let cut = Upstream::scripted(|_, conn| {
        conn.next_head();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf");
    });
    for url in [&reset.url, &cut.url, &nobody()] {
        let good = Upstream::fixed(HELLO);
        let edge = ejecting(&[url, &good.url], |_| ()).start();
        for _ in 0..4 {
            let mut client = edge.connect();
            client.send(get("/", ""));
            client.half_close();
            let mut seen = Vec::new();
            // An answer, or a reset in the middle of one.
            let _ = std::io::Read::read_to_end(&mut client.stream, &mut seen);
        }
        wait_for_ejections(&edge, 1);
        assert_eq!(state(&edge).ejected[0].0.to_string(), *url);
        assert_eq!(statuses(&edge, 4), [200; 4]);
    }
}

#[test]
fn an_upstream_that_does_not_answer_in_time_has_failed() {
    let (silent, good) = (Upstream::scripted(|_, conn| drop(conn.rest())), Upstream::fixed(HELLO));
    let edge = ejecting(&[&silent.url, &good.url], |_| ());
    let edge = edge.with_service(|service| service.timeout = Some(Duration::from_millis(60))).start();
    let mut seen = statuses(&edge, 4);
    seen.sort_unstable();
    assert_eq!(seen, [200, 200, 504, 504]);
    wait_for_ejections(&edge, 1);
}

#[test]
fn a_share_of_failures_ejects_a_target_that_also_answers() {
    let flaky = Upstream::scripted(|_, conn| {
        for answer in [HELLO, BUSY].into_iter().cycle() {
            if conn.next_head().is_none() {
                return;
            }
            conn.send(answer);
        }
    });
    let good = Upstream::fixed(HELLO);
    let rate = Some(novagate_routing::ErrorRate { percent: 40, min_requests: 10 });
    let change = move |rule: &mut OutlierDetection| (rule.consecutive_failures, rule.error_rate) = (100, rate);
    let edge = ejecting(&[&flaky.url, &good.url], change).start();
    let mut client = edge.connect();
    let mut ask = |count: usize| {
        for _ in 0..count {
            client.send(get("/", ""));
            client.response();
        }
    };
    ask(18);
    assert_eq!(ejections(&edge), 0, "nine requests say nothing");
    ask(2);
    wait_for_ejections(&edge, 1);
}

#[test]
fn mistakes_of_clients_and_other_answers_never_count_against_a_target() {
    for status in ["400 Bad Request", "404 Not Found", "429 Too Many Requests", "500 Internal Server Error"] {
        let answer: &'static str = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").leak();
        let upstreams = [Upstream::fixed(answer), Upstream::fixed(answer)];
        let edge = ejecting(&[&upstreams[0].url, &upstreams[1].url], |rule| rule.consecutive_failures = 1).start();
        statuses(&edge, 10);
        assert_eq!((ejections(&edge), state(&edge).healthy), (0, 2), "{status}");
    }
}

#[test]
fn clients_that_go_away_never_count_against_a_target() {
    let upstreams = [(); 2].map(|()| Upstream::scripted(|_, conn| drop(conn.rest())));
    let edge = ejecting(&[&upstreams[0].url, &upstreams[1].url], |rule| rule.consecutive_failures = 1).start();
    for count in 1..=6 {
        let mut client = edge.connect();
        if count % 2 == 0 {
            client.send(get("/", ""));
        } else {
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhalf");
        }
        let connections = || upstreams.iter().map(Upstream::connections).sum::<usize>();
        wait_until("the request is there", || connections() == count);
        client.will_reset();
        drop(client);
        edge.records(count);
    }
    // A body that does not come before the end of everything is the client's doing too.
    let limited = ejecting(&[&upstreams[0].url, &upstreams[1].url], |rule| rule.consecutive_failures = 1);
    let limited = limited.with_service(|service| service.total_timeout = Some(Duration::from_millis(60))).start();
    let late = limited.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhalf");
    assert_eq!((late.status, ejections(&limited), ejections(&edge)), (504, 0, 0));
}

#[test]
fn no_more_targets_are_ejected_than_their_share() {
    let upstreams = [(); 4].map(|()| Upstream::fixed(BUSY));
    let urls: Vec<&str> = upstreams.iter().map(|upstream| upstream.url.as_str()).collect();
    for (targets, percent, left) in [(4, 50, 2), (4, 100, 0), (4, 0, 4), (2, 10, 1), (1, 100, 1)] {
        let edge = ejecting(&urls[..targets], move |rule| rule.max_ejected_percent = percent);
        let edge = Setup { workers: 2, ..edge }.start();
        let seen = statuses(&edge, 40);
        wait_for_ejections(&edge, (targets - left) as u64);
        assert_eq!(usize::from(state(&edge).healthy), left, "{targets} targets, {percent} %");
        assert_eq!(seen.iter().filter(|status| **status == 503).count(), 40);
    }
}

#[test]
fn ejections_outlive_edits_unless_the_rule_goes() {
    let ((bad, _busy), good) = (moody(), Upstream::fixed(HELLO));
    let setup = ejecting(&[&bad.url, &good.url], |_| ());
    let (mut objects, edge) = (setup.objects.clone(), setup.start());
    statuses(&edge, 4);
    wait_for_ejections(&edge, 1);
    edge.live.store(Some(Arc::new(compile(2, &objects))));
    assert_eq!(statuses(&edge, 4), [200; 4]);
    assert_eq!(state(&edge).healthy, 1);
    let novagate_policies::ConfigObject::Service(service) = &mut objects[0] else { panic!("the service") };
    service.resilience.outlier_detection = None;
    edge.live.store(Some(Arc::new(compile(3, &objects))));
    statuses(&edge, 4);
    assert_eq!(state(&edge).healthy, 2);
}

#[test]
fn a_service_without_enough_targets_panics_and_asks_all_of_them() {
    let upstreams = [Upstream::fixed(BUSY), Upstream::fixed(BUSY)];
    let urls = [upstreams[0].url.as_str(), upstreams[1].url.as_str()];
    let calm = ejecting(&urls, |rule| rule.max_ejected_percent = 100).start();
    statuses(&calm, 4);
    wait_for_ejections(&calm, 2);
    assert_eq!(calm.ask(&get("/", "")).code(), "NO_HEALTHY_TARGETS");
    let edge = ejecting(&urls, |rule| rule.max_ejected_percent = 100);
    let edge = edge.with_service(|service| service.resilience.panic_percent = 50).start();
    statuses(&edge, 4);
    wait_for_ejections(&edge, 2);
    let panicking = state(&edge);
    assert!(panicking.panics && panicking.healthy == 0, "{panicking:?}");
    assert_eq!(edge.ask(&get("/", "")).text(), "busy");
    assert_eq!(ejections(&edge), 2, "what fails meanwhile ejects nobody anew");
}

#[test]
fn a_service_that_panics_does_not_listen_to_probes() {
    let upstream = Upstream::scripted(|_, conn| {
        while let Some(head) = conn.next_head() {
            conn.send(if head.starts_with("GET /health ") { BUSY } else { HELLO });
        }
    });
    let check = HealthCheck::every(Duration::from_secs(1), ProbeKind::get("/health"));
    for (percent, status) in [(0, 503), (1, 200)] {
        let check = check.clone();
        let setup = Setup::open(&[&upstream.url]).with_service(move |service| {
            service.health_check = Some(Box::new(check.clone()));
            service.resilience.panic_percent = percent;
        });
        let edge = setup.start();
        wait_until("its probes take it out", || state(&edge).healthy == 0);
        assert_eq!(edge.ask(&get("/", "")).status, status);
    }
}

/// An upstream whose answers wait for leave.
fn held() -> (Upstream, Sender<()>) {
    let (leave, waits): (_, Receiver<()>) = channel();
    let waits = Mutex::new(waits);
    let answer = move |_, conn: &mut Client| {
        while conn.next_head().is_some() {
            if waits.lock().unwrap_or_else(PoisonError::into_inner).recv().is_err() {
                return;
            }
            conn.send(HELLO);
        }
    };
    (Upstream::scripted(answer), leave)
}

fn breaking(url: &str, max_requests: u32, max_pending: Option<u32>) -> Setup {
    let setup = ejecting(&[url, url], |rule| rule.consecutive_failures = 1);
    let breaker = CircuitBreaker { max_requests, max_pending, max_connections: None };
    setup.with_service(move |service| service.resilience.circuit_breaker = Some(breaker))
}

#[test]
fn a_circuit_opens_at_its_bound_over_all_workers_and_closes_at_once() {
    let (upstream, leave) = held();
    let edge = Setup { workers: 2, ..breaking(&upstream.url, 2, None) }.start();
    let mut running = [edge.connect(), edge.connect()];
    for client in &mut running {
        client.send(get("/", ""));
    }
    wait_until("both run", || state(&edge).running == Some(2) && upstream.connections() == 2);
    let mut client = edge.connect();
    for _ in 0..5 {
        client.send(get("/", ""));
        let response = client.response();
        assert_eq!((response.code().as_str(), response.field("retry-after")), ("OVERLOADED", Some("1")));
    }
    assert_eq!((events(&edge, UpstreamEvent::CircuitOpen), upstream.connections()), (5, 2));
    (0..3).for_each(|_| leave.send(()).unwrap());
    for client in &mut running {
        assert_eq!(client.response().text(), "hello");
    }
    wait_until("none runs", || state(&edge).running == Some(0));
    client.send(get("/", ""));
    assert_eq!(client.response().text(), "hello");
    assert_eq!((ejections(&edge), state(&edge).healthy), (0, 2), "nobody is blamed");
}

#[test]
fn clients_that_go_away_make_room() {
    let (upstream, _leave) = held();
    let edge = breaking(&upstream.url, 1, None).start();
    for count in 1..=3 {
        let mut client = edge.connect();
        client.send(get("/", ""));
        wait_until("it runs", || upstream.connections() == count && state(&edge).running == Some(1));
        drop(client);
        wait_until("its place is free", || state(&edge).running == Some(0));
    }
}

#[test]
fn requests_that_wait_for_connections_have_a_bound_of_their_own() {
    // Accepts connections and never says a word of TLS.
    let mute = Upstream::scripted(|_, conn| drop(conn.rest()));
    let edge = breaking(&mute.url.replace("http:", "https:"), 100, Some(1)).start();
    let mut waiting = edge.connect();
    waiting.send(get("/", ""));
    wait_until("it waits for its connection", || mute.connections() == 1);
    let response = edge.ask(&get("/", ""));
    assert_eq!((response.code().as_str(), response.field("retry-after")), ("OVERLOADED", Some("1")));
    assert_eq!((ejections(&edge), mute.connections()), (0, 1));
    drop(waiting);
}
