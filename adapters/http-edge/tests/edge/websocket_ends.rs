//! How WebSockets end, who may have one, and what is recorded of them.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use novagate_kernel::ConsumerId;
use novagate_policies::{AuthRule, ConfigObject};
use novagate_ports_edge::LiveConfig;

use crate::harness::{
    Client, Edge, HELLO, PATIENCE, SWITCHING, Setup, Upstream, compile, consumer, get, grant, handshake, key, route,
    service, wait_until,
};
use crate::lifecycle::block_on;

const SHORT: Duration = Duration::from_millis(150);

fn open(edge: &Edge, path: &str, fields: &str) -> Client {
    let mut client = edge.connect();
    client.send(handshake(path, fields));
    assert!(client.head().starts_with("http/1.1 101 "), "{path}");
    client
}

fn answers(client: &mut Client) {
    client.send("ping");
    assert_eq!(client.read_exact(4), b"ping");
}

#[test]
fn the_end_of_the_clients_side_is_passed_on_and_the_upstream_finishes() {
    let upstream = Upstream::scripted(|_, conn| {
        conn.next_head();
        conn.send(SWITCHING);
        let heard = conn.rest();
        conn.send([b"all of: ".to_vec(), heard].concat());
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = open(&edge, "/", "");
    client.send("that");
    client.half_close();
    assert_eq!(client.rest(), b"all of: that");
    wait_until("the connection has ended", || edge.handle.active_connections() == 0);
}

#[test]
fn a_client_that_ends_right_behind_its_handshake_is_heard() {
    let upstream = Upstream::websocket_echo();
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send(format!("{}early", handshake("/", "")));
    client.half_close();
    client.head();
    assert_eq!(client.rest(), b"early");
}

#[test]
fn the_end_of_the_upstreams_side_is_passed_on_and_the_client_finishes() {
    let (tell, told) = channel();
    let tell = std::sync::Mutex::new(tell);
    let upstream = Upstream::scripted(move |_, conn| {
        conn.next_head();
        conn.send(format!("{SWITCHING}bye"));
        conn.half_close();
        tell.lock().unwrap().send(conn.rest()).unwrap();
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = open(&edge, "/", "");
    assert_eq!(client.rest(), b"bye");
    client.send("so long");
    client.half_close();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), b"so long");
    wait_until("the connection has ended", || edge.handle.active_connections() == 0);
}

#[test]
fn an_upstream_that_is_gone_does_not_take_its_last_bytes_with_it() {
    let upstream = Upstream::scripted(|_, conn| {
        conn.next_head();
        conn.send(format!("{SWITCHING}the end"));
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = open(&edge, "/", "");
    // Nobody takes these; they must not reset what is on its way to the client.
    for _ in 0..100 {
        if std::io::Write::write_all(&mut client.stream, &[0; 4096]).is_err() {
            break;
        }
    }
    assert_eq!(client.rest(), b"the end");
}

#[test]
fn a_client_that_is_gone_ends_the_upstreams_connection() {
    let (ended, has_ended) = channel();
    let ended = std::sync::Mutex::new(ended);
    let upstream = Upstream::scripted(move |_, conn| {
        conn.next_head();
        conn.send(SWITCHING);
        conn.rest();
        ended.lock().unwrap().send(()).unwrap();
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let client = open(&edge, "/", "");
    client.will_reset();
    drop(client);
    has_ended.recv_timeout(PATIENCE).unwrap();
    wait_until("the connection has ended", || edge.handle.active_connections() == 0);
}

#[test]
fn a_side_that_never_finishes_is_not_waited_for() {
    let upstream = Upstream::scripted(|_, conn| {
        conn.next_head();
        conn.send(SWITCHING);
        conn.rest();
        // The connection stays open until the gateway ends it.
        while std::io::Write::write_all(&mut conn.stream, b"").is_ok() && conn.stream.take_error().unwrap().is_none() {
            std::thread::park_timeout(PATIENCE);
        }
    });
    let edge = Setup::open(&[&upstream.url]).with(|settings| settings.timeouts.body_idle = SHORT).start();
    let mut client = open(&edge, "/", "");
    client.half_close();
    assert!(client.some().is_empty());
    wait_until("the connection has ended", || edge.handle.active_connections() == 0);
}

#[test]
fn a_websocket_ends_when_nothing_comes_for_too_long_and_no_other_limit_applies() {
    let upstream = Upstream::websocket_echo();
    let edge = Setup::open(&[&upstream.url])
        .with(|settings| {
            let timeouts = &mut settings.timeouts;
            timeouts.websocket_idle = SHORT * 4;
            (timeouts.body_idle, timeouts.idle, timeouts.header, timeouts.proxy) = (SHORT, SHORT, SHORT * 4, SHORT * 4);
        })
        .with_service(|service| service.total_timeout = Some(SHORT * 4))
        .start();
    let mut client = open(&edge, "/", "");
    let begun = Instant::now();
    while begun.elapsed() < SHORT * 8 {
        answers(&mut client);
        std::thread::park_timeout(SHORT / 5);
    }
    let last = Instant::now();
    assert!(client.some().is_empty());
    assert!(last.elapsed() >= SHORT * 3, "{:?}", last.elapsed());
    assert_eq!(edge.records(1).len(), 1);
}

#[test]
fn who_is_refused_gets_no_websocket_and_the_upstream_hears_nothing() {
    let upstream = Upstream::websocket_echo();
    let setup = Setup::open(&[&upstream.url]).with(|settings| settings.node_limits.auth_max = 1);
    let mut setup = setup.with_route(|route| {
        route.auth = AuthRule { required: true, accept_jwt: false, accept_key: true, accept_certificate: false };
    });
    setup.objects.extend([consumer(5, "mobile", &[], None), grant(1, 5)]);
    let edge = setup.start();
    let field = |number: u8| format!("X-API-Key: {}\r\n", key(number).expose());
    for (fields, status, code) in [(String::new(), 401, "TOKEN_MISSING"), (field(2), 401, "KEY_INVALID")] {
        let mut client = edge.connect();
        client.send(handshake("/", &fields));
        let response = client.response();
        assert_eq!((response.status, response.code().as_str()), (status, code));
        assert_eq!((upstream.connections(), response.field("upgrade")), (0, None));
    }
    answers(&mut open(&edge, "/", &field(1)));
    let mut late = edge.connect();
    late.send(handshake("/", &field(1)));
    assert_eq!(late.response().code(), "RATE_LIMIT_EXCEEDED");
    assert_eq!(upstream.connections(), 1);
    assert_eq!(edge.records(4)[2].consumer, Some(ConsumerId::from_u128(5)));
}

#[test]
fn a_websocket_ends_with_its_route_and_outlives_other_edits() {
    let upstream = Upstream::websocket_echo();
    let up = |url: &str| ConfigObject::Service(service(1, "up", &[url]));
    let routes = [("/a", 1), ("/b", 2), ("/c", 3)].map(|(path, id)| ConfigObject::Route(route(id, path, "up")));
    let edge = Setup::new([&[up(&upstream.url)], &routes[..]].concat()).start();
    let mut gone = open(&edge, "/a", "");
    let mut kept = open(&edge, "/b", "");
    let before = Arc::downgrade(edge.live.load().as_ref().unwrap());
    // The service has another target, another route is new, and this one has another number.
    let other = Upstream::fixed(HELLO);
    let edited = [up(&other.url), routes[1].clone(), ConfigObject::Route(route(4, "/d", "up"))];
    edge.live.store(Some(Arc::new(compile(2, &edited))));
    assert!(gone.some().is_empty());
    answers(&mut kept);
    assert_eq!(edge.ask(&get("/b", "")).text(), "hello");
    wait_until("nothing holds on to the configuration before", || before.upgrade().is_none());
    answers(&mut kept);
    edge.live.store(None);
    assert!(kept.some().is_empty());
}

#[test]
fn a_websocket_ends_with_the_key_that_opened_it() {
    let upstream = Upstream::websocket_echo();
    let mut setup = Setup::open(&[&upstream.url]);
    setup.objects.extend([consumer(5, "mobile", &[], None), grant(1, 5), grant(2, 5)]);
    let edge = setup.start();
    let field = |number: u8| format!("X-API-Key: {}\r\n", key(number).expose());
    let mut revoked = open(&edge, "/", &field(1));
    let mut kept = open(&edge, "/", &field(2));
    let mut open_to_all = open(&edge, "/", "");
    let live = edge.live.load_full().unwrap();
    let compiled = Arc::new(live.compiled.revoking(&[key(1).digest()]));
    edge.live.store(Some(Arc::new(LiveConfig { table: live.table, compiled })));
    assert!(revoked.some().is_empty());
    answers(&mut kept);
    answers(&mut open_to_all);
}

#[test]
fn a_drain_waits_for_websockets_and_ends_them_at_its_limit() {
    for grace in [PATIENCE, Duration::from_millis(50)] {
        let upstream = Upstream::websocket_echo();
        let edge = Arc::new(Setup::open(&[&upstream.url]).start());
        let mut client = open(&edge, "/", "");
        let drained = {
            let edge = Arc::clone(&edge);
            std::thread::spawn(move || block_on(edge.handle.drain(grace)))
        };
        let addr = edge.handle.local_addr();
        wait_until("nobody listens", || std::net::TcpStream::connect(addr).is_err());
        if grace == PATIENCE {
            answers(&mut client);
            client.half_close();
        }
        assert!(client.some().is_empty());
        assert_eq!(drained.join().unwrap(), usize::from(grace != PATIENCE));
        assert_eq!(edge.handle.active_connections(), 0);
    }
}

#[test]
fn a_websocket_leaves_one_record_at_its_handshake_and_is_counted_while_it_is_open() {
    let upstream = Upstream::websocket_echo();
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = open(&edge, "/", "");
    let record = edge.records(1)[0];
    assert_eq!((record.status, record.code, record.route), (101, None, 0));
    assert!(record.upstream_us <= record.latency_us);
    assert_eq!(crate::observe::open_connections(&edge), (1, 1));
    answers(&mut client);
    client.half_close();
    assert!(client.some().is_empty());
    wait_until("it is not counted any more", || crate::observe::open_connections(&edge) == (0, 0));
    assert_eq!(edge.ask(&get("/", "")).text(), "hello");
    let statuses: Vec<_> = edge.records(2).iter().map(|record| record.status).collect();
    assert_eq!(statuses, [101, 200]);
}
