//! SRV records against a DNS server of the test's own.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail like tests: by panicking")]

use std::net::{Ipv4Addr, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use novagate_net::{Discovered, ResolveError, Resolver, ResolverFiles};

const A: u8 = 1;
const SRV: u8 = 33;

/// A name, the kind of the record, its time to live in seconds, its data.
type Entry = (&'static str, u8, u32, Vec<u8>);

fn address(name: &'static str, ttl: u32, address: &str) -> Entry {
    (name, A, ttl, address.parse::<Ipv4Addr>().unwrap().octets().to_vec())
}

fn service(name: &'static str, ttl: u32, [priority, weight, port]: [u16; 3], host: &str) -> Entry {
    let mut data: Vec<u8> = [priority, weight, port].into_iter().flat_map(u16::to_be_bytes).collect();
    for label in host.split('.').filter(|label| !label.is_empty()) {
        data.push(u8::try_from(label.len()).unwrap());
        data.extend(label.as_bytes());
    }
    data.push(0);
    (name, SRV, ttl, data)
}

/// A resolver that knows only what is in the zone; the server ends with its process.
fn resolver(zone: Vec<Entry>) -> Resolver {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let dns_port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut query) {
            socket.send_to(&answer(&query[..length], &zone), peer).unwrap();
        }
    });
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let resolv_conf = std::env::temp_dir().join(format!("novagate-discovery-{}-{number}", std::process::id()));
    std::fs::write(&resolv_conf, "nameserver 127.0.0.1\n").unwrap();
    let resolver = Resolver::new(ResolverFiles { hosts: PathBuf::new(), resolv_conf: resolv_conf.clone(), dns_port });
    std::fs::remove_file(resolv_conf).unwrap();
    resolver.unwrap()
}

/// The response to a query with one question.
fn answer(query: &[u8], zone: &[Entry]) -> Vec<u8> {
    let mut labels = Vec::new();
    let mut at = 12;
    while query[at] != 0 {
        let length = usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..at + 1 + length]).to_ascii_lowercase());
        at += length + 1;
    }
    let asked = labels.join(".");
    let known: Vec<&Entry> = zone.iter().filter(|(name, ..)| *name == asked).collect();
    let wanted: Vec<&&Entry> = known.iter().filter(|(_, kind, ..)| *kind == query[at + 2]).collect();
    let mut out = query[..2].to_vec();
    let code = if known.is_empty() { 0x83 } else { 0x80 };
    out.extend([0x81, code, 0, 1, 0, u8::try_from(wanted.len()).unwrap(), 0, 0, 0, 0]);
    out.extend(&query[12..at + 5]);
    for (_, kind, ttl, data) in wanted {
        out.extend([0xc0, 12, 0, *kind, 0, 1]);
        out.extend(ttl.to_be_bytes());
        out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        out.extend(data);
    }
    out
}

fn shown(found: &Discovered) -> Vec<(u16, u16, Vec<String>)> {
    let addresses = |addresses: &[_]| addresses.iter().map(ToString::to_string).collect();
    found.instances.iter().map(|each| (each.priority, each.weight, addresses(&each.addresses))).collect()
}

const NAME: &str = "_http._tcp.users.example";

#[tokio::test]
async fn instances_are_found_with_their_ports_and_addresses_by_priority() {
    let resolver = resolver(vec![
        service(NAME, 20, [20, 0, 8082], "b.example"),
        service(NAME, 20, [10, 7, 8081], "a.example"),
        address("a.example", 20, "192.0.2.1"),
        address("a.example", 20, "192.0.2.2"),
        address("b.example", 20, "192.0.2.3"),
    ]);
    let found = resolver.discover(NAME).await.unwrap();
    let (one, other) =
        (vec!["192.0.2.1:8081".to_owned(), "192.0.2.2:8081".to_owned()], vec!["192.0.2.3:8082".to_owned()]);
    assert_eq!(shown(&found), [(10, 7, one), (20, 0, other)]);
    assert!((Duration::from_secs(10)..=Duration::from_secs(20)).contains(&found.valid_for));
}

#[tokio::test]
async fn the_shortest_time_to_live_counts_within_bounds() {
    let day = 86_400;
    let resolver = resolver(vec![
        service(NAME, day, [1, 1, 80], "a.example"),
        address("a.example", 3, "192.0.2.1"),
        service("_long._tcp.users.example", day, [1, 1, 80], "b.example"),
        address("b.example", day, "192.0.2.2"),
    ]);
    assert!(resolver.discover(NAME).await.unwrap().valid_for <= Duration::from_secs(3));
    assert!(resolver.discover("_long._tcp.users.example").await.unwrap().valid_for <= Duration::from_secs(30));
}

#[tokio::test]
async fn an_instance_that_cannot_be_resolved_is_left_out() {
    let resolver = resolver(vec![
        service(NAME, 20, [1, 1, 81], "absent.example"),
        service(NAME, 20, [1, 1, 82], "a.example"),
        service(NAME, 20, [1, 1, 0], "a.example"),
        address("a.example", 20, "192.0.2.1"),
        service("_lost._tcp.users.example", 20, [1, 1, 81], "absent.example"),
    ]);
    assert_eq!(shown(&resolver.discover(NAME).await.unwrap()), [(1, 1, vec!["192.0.2.1:82".to_owned()])]);
    assert_eq!(resolver.discover("_lost._tcp.users.example").await, Err(ResolveError::Unknown));
}

#[tokio::test]
async fn a_service_that_is_not_there_is_unknown() {
    let resolver = resolver(vec![
        // "The service is decidedly not available at this domain."
        service(NAME, 20, [0, 0, 80], ""),
        address("plain.example", 20, "192.0.2.1"),
    ]);
    for name in [NAME, "plain.example", "_absent._tcp.users.example"] {
        assert_eq!(resolver.discover(name).await, Err(ResolveError::Unknown), "{name}");
    }
}
