//! Starting, overload, edits under load, health checks, ending.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use novagate_kernel::ServiceId;
use novagate_routing::{HealthCheck, ProbeKind};

use crate::harness::{HELLO, PATIENCE, Setup, Upstream, compile, get, wait_until};

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

#[test]
fn connections_beyond_the_limit_are_told_so() {
    let upstream = Upstream::fixed(HELLO);
    let edge = Setup::open(&[&upstream.url]).with(|settings| settings.max_connections = 2).start();
    let mut held: Vec<_> = (0..2).map(|_| edge.connect()).collect();
    for client in &mut held {
        client.send(get("/", ""));
        assert_eq!(client.response().status, 200);
    }
    let mut third = edge.connect();
    third.send(get("/", ""));
    let response = third.response();
    assert_eq!((response.status, response.code().as_str()), (503, "OVERLOADED"));
    assert!(third.is_closed());
    held.clear();
    wait_until("there is room", || edge.handle.active_connections() == 0);
    assert_eq!(edge.ask(&get("/", "")).status, 200);
}

#[test]
fn a_drain_lets_running_requests_finish_and_closes_what_is_idle() {
    let (go, may_go) = channel::<()>();
    let may_go = std::sync::Mutex::new(may_go);
    let upstream = Upstream::scripted(move |_, conn| {
        conn.next_head();
        may_go.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        conn.send(HELLO);
    });
    let mut setup = Setup::open(&[&upstream.url]);
    setup.workers = 2;
    let edge = Arc::new(setup.start());
    let mut idle = edge.connect();
    let mut busy = edge.connect();
    busy.send(get("/", ""));
    wait_until("the request is there", || upstream.connections() == 1);
    wait_until("both are there", || edge.handle.active_connections() == 2);
    let drained = {
        let edge = Arc::clone(&edge);
        std::thread::spawn(move || block_on(edge.handle.drain(PATIENCE)))
    };
    assert!(idle.is_closed());
    go.send(()).unwrap();
    let response = busy.response();
    assert_eq!((response.text().as_str(), response.field("connection")), ("hello", Some("close")));
    assert_eq!(drained.join().unwrap(), 0);
    assert!(TcpStream::connect(edge.handle.local_addr()).is_err());
    assert_eq!(edge.records(1).len(), 1);
}

#[test]
fn requests_that_cross_with_a_drain_are_answered() {
    let upstream = Upstream::fixed(HELLO);
    let edge = Arc::new(Setup::open(&[&upstream.url]).start());
    let mut used = edge.connect();
    used.send(get("/", ""));
    assert_eq!(used.response().status, 200);
    let mut fresh = edge.connect();
    wait_until("both are there", || edge.handle.active_connections() == 2);
    let drained = {
        let edge = Arc::clone(&edge);
        std::thread::spawn(move || block_on(edge.handle.drain(PATIENCE)))
    };
    wait_until("nobody listens", || TcpStream::connect(edge.handle.local_addr()).is_err());
    for client in [&mut used, &mut fresh] {
        client.send(get("/", ""));
        let response = client.response();
        assert_eq!((response.text().as_str(), response.field("connection")), ("hello", Some("close")));
        assert!(client.is_closed());
    }
    assert_eq!(drained.join().unwrap(), 0);
}

#[test]
fn a_drain_ends_at_its_limit() {
    let upstream = Upstream::scripted(|_, conn| drop(conn.rest()));
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send(get("/", ""));
    wait_until("the request is there", || upstream.connections() == 1);
    assert_eq!(block_on(edge.handle.drain(Duration::from_millis(50))), 1);
    assert!(client.is_closed());
    assert_eq!(edge.handle.active_connections(), 0);
}

#[test]
fn a_dropped_server_is_gone() {
    let edge = Setup::open(&["http://127.0.0.1:1"]).start();
    let addr = edge.handle.local_addr();
    let mut client = edge.connect();
    drop(edge);
    assert!(client.is_closed());
    wait_until("nobody listens", || TcpStream::connect(addr).is_err());
}

#[test]
fn edits_under_load_lose_no_request() {
    let upstream = Upstream::fixed(HELLO);
    let mut setup = Setup::open(&[&upstream.url]);
    let objects = setup.objects.clone();
    setup.workers = 2;
    let edge = Arc::new(setup.start());
    let over = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (edge, over) = (Arc::clone(&edge), Arc::clone(&over));
            std::thread::spawn(move || {
                let mut client = edge.connect();
                while !over.load(Ordering::SeqCst) {
                    client.send(get("/", ""));
                    assert_eq!(client.response().text(), "hello");
                }
            })
        })
        .collect();
    for table in 2..300 {
        edge.live.store(Some(Arc::new(compile(table, &objects))));
    }
    over.store(true, Ordering::SeqCst);
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_target_that_fails_its_health_checks_gets_no_requests() {
    let well = Arc::new(AtomicBool::new(false));
    let answer = Arc::clone(&well);
    let sick = Upstream::scripted(move |_, conn| {
        while let Some(head) = conn.next_head() {
            let is_well = answer.load(Ordering::SeqCst) || !head.starts_with("GET /health ");
            conn.send(if is_well { HELLO } else { "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n" });
        }
    });
    let good = Upstream::fixed(HELLO);
    let check = HealthCheck::every(Duration::from_secs(1), ProbeKind::get("/health"));
    let edge = Setup::open(&[&sick.url, &good.url])
        .with_service(|service| service.health_check = Some(Box::new(check.clone())))
        .start();
    let health = edge.handle.upstream_health();
    wait_until("the sick target is out", || health.targets(ServiceId::from_u128(1)) == Some((1, 2)));
    let before = good.requests().iter().filter(|head| !head.contains("/health")).count();
    for _ in 0..10 {
        assert_eq!(edge.ask(&get("/", "")).status, 200);
    }
    let after = good.requests().iter().filter(|head| !head.contains("/health")).count();
    assert_eq!(after - before, 10);
    well.store(true, Ordering::SeqCst);
    wait_until("it is in again", || health.targets(ServiceId::from_u128(1)) == Some((2, 2)));
}
