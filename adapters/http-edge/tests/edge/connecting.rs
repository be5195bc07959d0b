//! Connections to targets: out of several addresses, and no more than the service says.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use novagate_kernel::ServiceId;
use novagate_net::{Resolver, ResolverFiles};
use novagate_ports_edge::{UpstreamEvent, UpstreamState};
use novagate_routing::CircuitBreaker;
use socket2::{Domain, Socket, Type};

use crate::harness::{Client, Edge, HELLO, Setup, Upstream, get, handshake, wait_until};
use crate::observe::events;
use crate::routing::mirrored;

fn state(edge: &Edge) -> UpstreamState {
    edge.handle.upstream_health().state(ServiceId::from_u128(1)).unwrap()
}

fn connections(edge: &Edge) -> u32 {
    state(edge).connections.unwrap()
}

/// A name with these addresses, as a file that goes with the value.
struct Hosts(PathBuf);

impl Hosts {
    fn new(test: &str, addresses: &[&str]) -> Self {
        let file = std::env::temp_dir().join(format!("novagate-http-edge-hosts-{}-{test}", std::process::id()));
        let lines = addresses.iter().flat_map(|address| [address, " many.example\n"]).collect::<String>();
        std::fs::write(&file, lines).unwrap();
        Self(file)
    }

    fn resolver(&self) -> Resolver {
        Resolver::new(ResolverFiles { hosts: self.0.clone(), ..ResolverFiles::default() }).unwrap()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A listener that takes no connection: its queue is full.
fn silent(addr: SocketAddr) -> (Socket, std::net::TcpStream) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&addr.into()).unwrap();
    socket.listen(0).unwrap();
    (socket, std::net::TcpStream::connect(addr).unwrap())
}

#[test]
fn an_address_that_is_silent_does_not_hold_up_the_others() {
    let upstream = Upstream::fixed(HELLO);
    let port = upstream.addr.port();
    let _full = silent(format!("127.0.0.2:{port}").parse().unwrap());
    let hosts = Hosts::new("silent", &["127.0.0.2", "127.0.0.1"]);
    let mut setup = Setup::open(&[&format!("http://many.example:{port}")]);
    setup.resolver = Some(hosts.resolver());
    let edge = setup.start();
    let begin = Instant::now();
    assert_eq!(edge.ask(&get("/", "")).text(), "hello");
    let took = begin.elapsed();
    assert!((Duration::from_millis(200)..Duration::from_secs(4)).contains(&took), "{took:?}");
}

#[test]
fn an_address_that_refuses_costs_nothing() {
    let upstream = Upstream::fixed(HELLO);
    let hosts = Hosts::new("refuses", &["127.0.0.3", "127.0.0.1"]);
    let mut setup = Setup::open(&[&format!("http://many.example:{}", upstream.addr.port())]);
    setup.resolver = Some(hosts.resolver());
    let edge = setup.start();
    assert_eq!(edge.ask(&get("/", "")).text(), "hello");
    assert_eq!(upstream.connections(), 1);
}

/// A resolver that knows `one.example` as this machine and these SRV records: priority, weight, port.
fn discovering(test: &str, records: Vec<[u16; 3]>) -> (Hosts, Resolver) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let dns_port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut query) {
            // One question, and the client adds a record of its own behind it.
            let end = 12 + query[12..length].iter().position(|byte| *byte == 0).unwrap() + 5;
            let mut answer =
                [&query[..2], &[0x81, 0x80, 0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0]].concat();
            answer.extend(&query[12..end]);
            for numbers in &records {
                answer.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 20, 0, 19]);
                answer.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
                answer.extend(b"\x03one\x07example\0");
            }
            socket.send_to(&answer, peer).unwrap();
        }
    });
    let hosts = Hosts::new(test, &["127.0.0.1"]);
    std::fs::write(&hosts.0, "127.0.0.1 one.example\nnameserver 127.0.0.1\n").unwrap();
    let files = ResolverFiles { hosts: hosts.0.clone(), resolv_conf: hosts.0.clone(), dns_port };
    (hosts, Resolver::new(files).unwrap())
}

const SERVICE: &str = "http+srv://_http._tcp.users.example";

#[test]
fn srv_records_say_hosts_and_ports_and_who_is_asked_first() {
    let upstream = Upstream::fixed(HELLO);
    let dead = { std::net::TcpListener::bind("127.0.0.1:0").unwrap() }.local_addr().unwrap().port();
    let (_hosts, resolver) = discovering("priorities", vec![[20, 0, upstream.addr.port()], [10, 5, dead]]);
    let edge = Setup { resolver: Some(resolver), ..Setup::open(&[SERVICE]) }.start();
    assert_eq!(edge.ask(&get("/", "")).text(), "hello");
    let asked = upstream.requests()[0].to_ascii_lowercase();
    assert!(asked.contains("\r\nhost: users.example\r\n"), "{asked}");
}

#[test]
fn connections_are_shared_by_the_weights_of_srv_records() {
    const BYE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    let upstreams = [(); 2].map(|()| Upstream::fixed(BYE));
    let records = vec![[1, 10, upstreams[0].addr.port()], [1, 30, upstreams[1].addr.port()]];
    let (_hosts, resolver) = discovering("weights", records);
    let edge = Setup { resolver: Some(resolver), ..Setup::open(&[SERVICE]) }.start();
    let mut client = edge.connect();
    assert_eq!([(); 80].map(|()| exchange(&mut client)), [200; 80]);
    let seen = upstreams.each_ref().map(|upstream| upstream.requests().len());
    assert!((8..=32).contains(&seen[0]) && seen[0] + seen[1] == 80, "{seen:?}");
}

fn bounded(targets: &[&str], most: u32) -> Setup {
    let breaker = CircuitBreaker { max_requests: 1000, max_pending: None, max_connections: Some(most) };
    Setup::open(targets).with_service(move |service| service.resilience.circuit_breaker = Some(breaker))
}

/// Asks and waits for the answer.
fn exchange(client: &mut Client) -> u16 {
    client.send(get("/", ""));
    client.response().status
}

#[test]
fn no_more_connections_are_made_than_the_service_says() {
    let upstream = Upstream::scripted(|_, conn| {
        while let Some(head) = conn.next_head() {
            if head.starts_with("GET /held ") {
                conn.rest();
                return;
            }
            conn.send(HELLO);
        }
    });
    let edge = bounded(&[&upstream.url], 2).start();
    let mut held = [edge.connect(), edge.connect()];
    for (client, count) in held.iter_mut().zip(1..) {
        client.send(get("/held", ""));
        wait_until("it is held", || upstream.connections() == count);
    }
    let mut client = edge.connect();
    client.send(get("/", ""));
    let refused = client.response();
    assert_eq!((refused.code().as_str(), refused.field("retry-after")), ("OVERLOADED", Some("1")));
    assert_eq!((connections(&edge), events(&edge, UpstreamEvent::CircuitOpen), upstream.connections()), (2, 1, 2));
    drop(held);
    wait_until("there is room", || connections(&edge) == 0);
    // One connection serves one request after the other.
    assert_eq!([(); 5].map(|()| exchange(&mut client)), [200; 5]);
    assert_eq!((connections(&edge), upstream.connections()), (1, 3));
}

#[test]
fn an_idle_connection_to_one_target_makes_room_for_another() {
    let upstreams = [(); 3].map(|()| Upstream::fixed(HELLO));
    let edge = bounded(&[&upstreams[0].url, &upstreams[1].url, &upstreams[2].url], 1).start();
    let mut client = edge.connect();
    assert_eq!([(); 6].map(|()| exchange(&mut client)), [200; 6]);
    assert_eq!((connections(&edge), events(&edge, UpstreamEvent::CircuitOpen)), (1, 0));
    assert_eq!(upstreams.each_ref().map(Upstream::connections), [2, 2, 2]);
}

#[test]
fn idle_connections_of_one_worker_make_room_for_another_one() {
    let upstream = Upstream::fixed(HELLO);
    let edge = Setup { workers: 2, ..bounded(&[&upstream.url], 1) }.start();
    // Clients come to either worker; one of them has no room.
    let mut refused = None;
    wait_until("a worker has no room", || {
        let mut client = edge.connect();
        let status = exchange(&mut client);
        refused = (status == 503).then_some(client);
        refused.is_some()
    });
    let mut client = refused.unwrap();
    wait_until("the other one has made room", || exchange(&mut client) == 200);
    assert!(connections(&edge) <= 1);
}

#[test]
fn a_websocket_counts_as_long_as_it_is_open() {
    let upstream = Upstream::websocket_echo();
    let edge = bounded(&[&upstream.url], 1).start();
    let mut socket = edge.connect();
    socket.send(handshake("/", ""));
    assert!(socket.head().starts_with("http/1.1 101"));
    socket.send("ping");
    assert_eq!(socket.read_exact(4), b"ping");
    assert_eq!((connections(&edge), edge.ask(&get("/", "")).code().as_str()), (1, "OVERLOADED"));
    drop(socket);
    wait_until("it has ended", || connections(&edge) == 0);
    assert_eq!(edge.ask(&get("/", "")).status, 200);
}

#[test]
fn connections_that_cannot_be_made_do_not_count() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", { nobody }.local_addr().unwrap());
    let edge = bounded(&[&nobody], 1).start();
    for _ in 0..5 {
        assert_eq!(edge.ask(&get("/", "")).status, 502);
    }
    assert_eq!(connections(&edge), 0);
}

#[test]
fn copies_for_a_mirror_have_no_more_connections_than_its_service_says() {
    let first = Upstream::fixed(HELLO);
    let second = Upstream::scripted(|_, conn| drop(conn.rest()));
    let edge = mirrored(&first.url, &second.url, 100).with_service(|service| {
        if service.id == ServiceId::from_u128(2) {
            let breaker = CircuitBreaker { max_requests: 1000, max_pending: None, max_connections: Some(1) };
            service.resilience.circuit_breaker = Some(breaker);
        }
    });
    let edge = edge.start();
    assert_eq!(edge.ask(&get("/", "")).status, 200);
    wait_until("the first copy has its connection", || second.connections() == 1);
    assert_eq!((0..3).map(|_| edge.ask(&get("/", "")).status).collect::<Vec<_>>(), [200; 3]);
    wait_until("the others have none", || edge.handle.mirrors_failed() == 3);
    assert_eq!(second.connections(), 1);
}
