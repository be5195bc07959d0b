//! How one of several targets is chosen, seen from outside.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use novagate_policies::ConfigObject;
use novagate_routing::{HashOn, LoadBalancing};

use crate::harness::{Client, Edge, HELLO, Setup, Upstream, consumer, get, grant, key, wait_until};

fn setup(balancing: LoadBalancing, targets: &[&str]) -> Setup {
    Setup::open(targets).with_service(move |service| service.load_balancing = balancing.clone())
}

fn hash_on(text: &str) -> LoadBalancing {
    LoadBalancing::ConsistentHash(HashOn::parse(text).unwrap())
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

#[test]
fn requests_go_where_the_fewest_run() {
    let ((busy, leave), free) = (held(), Upstream::fixed(HELLO));
    let edge = setup(LoadBalancing::LeastConnections, &[&busy.url, &free.url]).start();
    let mut first = edge.connect();
    first.send(get("/", ""));
    wait_until("the first request runs", || busy.connections() == 1);
    for _ in 0..20 {
        assert_eq!(edge.ask(&get("/", "")).status, 200);
    }
    assert_eq!((busy.connections(), free.requests().len()), (1, 20));
    leave.send(()).unwrap();
    assert_eq!(first.response().status, 200);
    let mut next = (edge.connect(), edge.connect());
    next.0.send(get("/", ""));
    next.1.send(get("/", ""));
    leave.send(()).unwrap();
    assert_eq!((next.0.response().status, next.1.response().status), (200, 200));
    assert_eq!(free.requests().len(), 21, "both have nothing to do, so they take turns");
}

#[test]
fn a_target_that_answers_slowly_is_left_alone() {
    let (slow_count, quick) = (Arc::new(Mutex::new(0)), Upstream::fixed(HELLO));
    let count = Arc::clone(&slow_count);
    let slow = Upstream::scripted(move |_, conn| {
        while conn.next_head().is_some() {
            *count.lock().unwrap() += 1;
            let begin = Instant::now();
            wait_until("the answer is due", || begin.elapsed() > Duration::from_millis(30));
            conn.send(HELLO);
        }
    });
    let edge = setup(LoadBalancing::Latency, &[&slow.url, &quick.url]).start();
    for _ in 0..100 {
        assert_eq!(edge.ask(&get("/", "")).status, 200);
    }
    assert!((1..=3).contains(&*slow_count.lock().unwrap()), "{slow_count:?}");
}

/// Which of two upstreams answers `fields`, asked five times.
fn target_of(edge: &Edge, upstreams: [&Upstream; 2], fields: &str) -> usize {
    let before = upstreams.map(|upstream| upstream.requests().len());
    for _ in 0..5 {
        assert_eq!(edge.ask(&get("/", fields)).status, 200);
    }
    let counts = [0, 1].map(|at| upstreams[at].requests().len() - before[at]);
    assert!(counts.contains(&5), "{fields}: {counts:?}");
    usize::from(counts[1] == 5)
}

#[test]
fn the_same_value_goes_to_the_same_target_on_every_worker() {
    let upstreams = [Upstream::fixed(HELLO), Upstream::fixed(HELLO)];
    let both = [&upstreams[0], &upstreams[1]];
    for (text, field) in [("header:X-User", "x-user: u"), ("cookie:sid", "Cookie: a=b; sid=u")] {
        let setup = setup(hash_on(text), &[&both[0].url, &both[1].url]);
        let edge = Setup { workers: 2, ..setup }.start();
        let targets: Vec<usize> = (0..30).map(|user| target_of(&edge, both, &format!("{field}{user}\r\n"))).collect();
        assert!(targets.contains(&0) && targets.contains(&1), "{text}: {targets:?}");
    }
}

#[test]
fn requests_without_a_value_take_turns() {
    let upstreams = [Upstream::fixed(HELLO), Upstream::fixed(HELLO)];
    let edge = setup(hash_on("header:x-user"), &[&upstreams[0].url, &upstreams[1].url]).start();
    (0..10).for_each(|_| assert_eq!(edge.ask(&get("/", "")).status, 200));
    assert_eq!(upstreams.map(|upstream| upstream.requests().len()), [5, 5]);
}

#[test]
fn a_consumer_keeps_its_target() {
    let upstreams = [Upstream::fixed(HELLO), Upstream::fixed(HELLO)];
    let both = [&upstreams[0], &upstreams[1]];
    let mut setup = setup(hash_on("consumer"), &[&both[0].url, &both[1].url]);
    for number in 1..=16_u8 {
        let id = u128::from(number) + 100;
        setup.objects.push(consumer(id, &format!("consumer-{number}"), &[], None));
        setup.objects.push(grant(number, id));
    }
    let setup = setup.with_route(|route| route.auth.accept_key = true);
    assert!(setup.objects.iter().any(|object| matches!(object, ConfigObject::Consumer(_))));
    let edge = setup.start();
    let targets: Vec<usize> =
        (1..=16).map(|number| target_of(&edge, both, &format!("X-API-Key: {}\r\n", key(number).expose()))).collect();
    assert!(targets.contains(&0) && targets.contains(&1), "{targets:?}");
}

#[test]
fn a_value_whose_target_is_gone_goes_to_another_one() {
    let upstream = Upstream::fixed(HELLO);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let edge = setup(hash_on("header:x-user"), &[&gone, &upstream.url]).start();
    for user in 0..20 {
        assert_eq!(edge.ask(&get("/", &format!("X-User: {user}\r\n"))).status, 200);
    }
    assert_eq!(upstream.requests().len(), 20);
}
