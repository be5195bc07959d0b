//! Names against a DNS server of the test's own.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail like tests: by panicking")]

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use novagate_net::{ResolveError, Resolved, Resolver, ResolverFiles};

/// What the server knows: a name's addresses, each with its time to live in seconds.
type Zone = HashMap<&'static str, Vec<(IpAddr, u32)>>;

/// A DNS server on loopback that answers from a zone; it ends with its process.
struct Dns {
    port: u16,
    zone: Arc<Mutex<Zone>>,
    asked: Arc<AtomicUsize>,
}

impl Dns {
    fn start<const N: usize>(entries: [(&'static str, &[&str]); N]) -> Self {
        let known = |addresses: &[&str]| addresses.iter().map(|text| (text.parse().unwrap(), 20)).collect();
        let zone = entries.into_iter().map(|(name, addresses)| (name, known(addresses))).collect();
        Self::serve(Arc::new(Mutex::new(zone)), |answer| answer)
    }

    fn serve(zone: Arc<Mutex<Zone>>, mangle: fn(Vec<u8>) -> Vec<u8>) -> Self {
        Self::serve_from(UdpSocket::bind("127.0.0.1:0").unwrap(), zone, mangle)
    }

    fn serve_from(socket: UdpSocket, zone: Arc<Mutex<Zone>>, mangle: fn(Vec<u8>) -> Vec<u8>) -> Self {
        let (port, asked) = (socket.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let (known, count) = (Arc::clone(&zone), Arc::clone(&asked));
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, peer)) = socket.recv_from(&mut query) {
                count.fetch_add(1, Ordering::SeqCst);
                let answer = mangle(answer(&query[..length], &known.lock().unwrap()));
                if !answer.is_empty() {
                    socket.send_to(&answer, peer).unwrap();
                }
            }
        });
        Self { port, zone, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Sockets of both protocols at one port. A port that is free for the one can be an outgoing connection's for the other.
fn udp_and_tcp() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()) {
            return (socket, listener);
        }
    }
    panic!("no port is free for both protocols");
}

/// The response to a query with one question: its addresses, or that there is no such name.
fn answer(query: &[u8], zone: &Zone) -> Vec<u8> {
    let mut labels = Vec::new();
    let mut at = 12;
    while query[at] != 0 {
        let length = usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..at + 1 + length]).to_ascii_lowercase());
        at += length + 1;
    }
    let is_ipv6 = query[at + 2] == 28;
    let addresses = zone.get(labels.join(".").as_str());
    let wanted: Vec<_> = addresses.into_iter().flatten().filter(|(address, _)| address.is_ipv6() == is_ipv6).collect();
    let mut out = query[..2].to_vec();
    out.extend([0x81, if addresses.is_some() { 0x80 } else { 0x83 }, 0, 1, 0, u8::try_from(wanted.len()).unwrap()]);
    out.extend([0; 4]);
    out.extend(&query[12..at + 5]);
    for (address, ttl) in wanted {
        let bytes = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        out.extend([0xc0, 12, 0, if is_ipv6 { 28 } else { 1 }, 0, 1]);
        out.extend(ttl.to_be_bytes());
        out.extend([0, u8::try_from(bytes.len()).unwrap()]);
        out.extend(bytes);
    }
    out
}

/// The two files in a folder that goes with the value.
struct Files(PathBuf);

impl Files {
    fn new(hosts: &str, resolv_conf: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("novagate-resolver-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("hosts"), hosts).unwrap();
        std::fs::write(folder.join("resolv.conf"), resolv_conf).unwrap();
        Self(folder)
    }

    fn resolver(&self, dns_port: u16) -> Resolver {
        let files = ResolverFiles { hosts: self.0.join("hosts"), resolv_conf: self.0.join("resolv.conf"), dns_port };
        Resolver::new(files).unwrap()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

const SERVER: &str = "nameserver 127.0.0.1\n";

fn shown(resolved: &Resolved) -> Vec<String> {
    resolved.addresses.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn both_kinds_of_addresses_are_found_ipv4_first_for_their_time_to_live() {
    let dns = Dns::start([("two.example", &["2001:db8::2", "192.0.2.2"])]);
    let found = Files::new("", SERVER).resolver(dns.port).resolve("Two.Example", 80).await.unwrap();
    assert_eq!(shown(&found), ["192.0.2.2:80", "[2001:db8::2]:80"]);
    assert!(found.valid_for <= Duration::from_secs(20) && found.valid_for > Duration::from_secs(10));
}

#[tokio::test]
async fn an_answer_is_not_asked_for_twice_and_never_kept_for_long() {
    let dns = Dns::start([("one.example", &[])]);
    let day = 86_400;
    let both = [Ipv4Addr::new(192, 0, 2, 1).into(), Ipv6Addr::LOCALHOST.into()].map(|address| (address, day));
    dns.zone.lock().unwrap().insert("one.example", both.to_vec());
    let files = Files::new("", SERVER);
    let resolver = files.resolver(dns.port);
    let first = resolver.resolve("one.example", 80).await.unwrap();
    let asked = dns.asked();
    resolver.clone().resolve("one.example", 81).await.unwrap();
    assert_eq!(dns.asked(), asked);
    assert!(first.valid_for <= Duration::from_secs(30));
}

#[tokio::test]
async fn the_hosts_file_decides_alone() {
    let dns = Dns::start([("here.example", &["192.0.2.1", "2001:db8::1"])]);
    let files = Files::new("10.0.0.9 here.example\n", SERVER);
    let found = files.resolver(dns.port).resolve("here.example", 8080).await.unwrap();
    assert_eq!(shown(&found), ["10.0.0.9:8080"]);
    assert_eq!(dns.asked(), 0);
}

#[tokio::test]
async fn addresses_and_localhost_need_no_server() {
    let dns = Dns::start([]);
    let files = Files::new("", SERVER);
    let resolver = files.resolver(dns.port);
    for (host, expected) in [
        ("192.0.2.7", vec!["192.0.2.7:1"]),
        ("2001:db8::7", vec!["[2001:db8::7]:1"]),
        ("localhost", vec!["127.0.0.1:1", "[::1]:1"]),
        ("app.LocalHost.", vec!["127.0.0.1:1", "[::1]:1"]),
    ] {
        assert_eq!(shown(&resolver.resolve(host, 1).await.unwrap()), expected, "{host}");
    }
    assert_eq!(dns.asked(), 0);
}

#[tokio::test]
async fn search_domains_are_tried_and_a_broken_one_does_no_harm() {
    let dns = Dns::start([("app.shop.example", &["192.0.2.3"]), ("other.example", &["192.0.2.4"])]);
    let files = Files::new("", "search shop.example\nnameserver 127.0.0.1\n");
    assert_eq!(shown(&files.resolver(dns.port).resolve("app", 1).await.unwrap()), ["192.0.2.3:1"]);
    let long = format!("search {}\n{SERVER}", "a".repeat(64));
    let files = Files::new("", &long);
    assert_eq!(shown(&files.resolver(dns.port).resolve("other.example", 1).await.unwrap()), ["192.0.2.4:1"]);
}

#[tokio::test]
async fn without_a_server_in_the_file_or_without_files_the_one_on_this_machine_is_asked() {
    let dns = Dns::start([("one.example", &["192.0.2.1"])]);
    let files = Files::new("", "# nothing\n");
    files.resolver(dns.port).resolve("one.example", 1).await.unwrap();
    let absent =
        ResolverFiles { hosts: files.0.join("absent"), resolv_conf: files.0.join("absent"), dns_port: dns.port };
    Resolver::new(absent).unwrap().resolve("one.example", 1).await.unwrap();
}

#[tokio::test]
async fn unknown_names_are_told_from_servers_that_do_not_answer() {
    let dns = Dns::start([("empty.example", &[])]);
    let files = Files::new("", SERVER);
    let resolver = files.resolver(dns.port);
    for host in ["absent.example", "empty.example"] {
        assert_eq!(resolver.resolve(host, 1).await, Err(ResolveError::Unknown), "{host}");
    }
    // Nothing listens there any more.
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_eq!(files.resolver(closed).resolve("one.example", 1).await, Err(ResolveError::Unavailable));
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_no_more_than_the_deadline() {
    let dns = Dns::serve(Arc::default(), |_answer| Vec::new());
    let files = Files::new("", SERVER);
    let begin = std::time::Instant::now();
    let fault = files.resolver(dns.port).resolve("one.example", 1).await.unwrap_err();
    assert!(matches!(fault, ResolveError::TimedOut | ResolveError::Unavailable), "{fault}");
    assert!(begin.elapsed() < Duration::from_secs(6));
    assert!(dns.asked() >= 2, "it was asked again");
}

#[tokio::test]
async fn a_truncated_answer_is_asked_for_again_by_tcp() {
    let (socket, listener) = udp_and_tcp();
    let dns = Dns::serve_from(socket, Arc::default(), |mut answer| {
        answer[2] |= 0x02;
        answer
    });
    dns.zone.lock().unwrap().insert("big.example", vec![(Ipv4Addr::new(192, 0, 2, 9).into(), 20)]);
    let zone = Arc::clone(&dns.zone);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut length = [0; 2];
            while stream.read_exact(&mut length).is_ok() {
                let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut query).unwrap();
                let answer = answer(&query, &zone.lock().unwrap());
                let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
                stream.write_all(&[length.as_slice(), &answer].concat()).unwrap();
            }
        }
    });
    let files = Files::new("", SERVER);
    let found = files.resolver(dns.port).resolve("big.example", 1).await.unwrap();
    assert_eq!(shown(&found), ["192.0.2.9:1"]);
}

#[tokio::test]
async fn a_crowd_that_asks_at_once_is_answered_as_a_whole() {
    const CROWD: usize = 400;
    let names: Vec<&'static str> = (0..CROWD).map(|number| &*format!("n{number}.example").leak()).collect();
    let dns = Dns::start([]);
    let address = || (Ipv4Addr::new(192, 0, 2, 1).into(), 20);
    dns.zone.lock().unwrap().extend(names.iter().map(|&name| (name, vec![address()])));
    let files = Files::new("", SERVER);
    let resolver = files.resolver(dns.port);
    let asking = names.iter().map(|name| resolver.resolve(name, 1));
    let answers = futures_util::future::join_all(asking).await;
    let lost: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    assert!(lost.is_empty(), "{} of {CROWD}, first: {:?}", lost.len(), lost.first());
}

#[tokio::test]
async fn garbage_from_a_server_is_no_answer() {
    let dns = Dns::serve(Arc::default(), |mut answer| {
        answer.truncate(13);
        answer
    });
    let files = Files::new("", SERVER);
    assert!(files.resolver(dns.port).resolve("one.example", 1).await.is_err());
}

#[tokio::test]
async fn names_that_cannot_be_names_are_refused() {
    let dns = Dns::start([]);
    let files = Files::new("", SERVER);
    let resolver = files.resolver(dns.port);
    let long = "a".repeat(64);
    for host in ["", ".", "..", "a..b", long.as_str(), "a b", "\u{0}"] {
        assert!(resolver.resolve(host, 1).await.is_err(), "{host:?}");
    }
}

#[test]
fn one_resolver_serves_several_runtimes_and_outlives_each() {
    let dns = Dns::start([("a.example", &["192.0.2.1"]), ("b.example", &["192.0.2.2"]), ("c.example", &["192.0.2.3"])]);
    let files = Files::new("", SERVER);
    let resolver = files.resolver(dns.port);
    let expected: [(&str, SocketAddr); 3] = [
        ("a.example", "192.0.2.1:1".parse().unwrap()),
        ("b.example", "192.0.2.2:1".parse().unwrap()),
        ("c.example", "192.0.2.3:1".parse().unwrap()),
    ];
    for (host, address) in expected {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let found = runtime.block_on(resolver.resolve(host, 1)).unwrap();
        assert_eq!(found.addresses, [address]);
    }
}
