//! Records and numbers: what they hold, and what they cannot hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use novagate_fixtures::{CANARY, START, assert_no_canary};
use novagate_kernel::ErrorCode;
use novagate_policies::ConfigObject;
use novagate_ports_edge::{MetricVisitor, UpstreamEvent};
use novagate_records::{LATENCY_CELLS, MethodLabel, NO_INDEX, StatusClass};

use crate::harness::{Edge, HELLO, Setup, Upstream, compile, get, route, service, wait_until};

#[derive(Debug, Default)]
struct Seen {
    requests: BTreeMap<(String, MethodLabel, StatusClass), u64>,
    latencies: BTreeMap<(String, MethodLabel), u64>,
    upstream: BTreeMap<String, u64>,
    timeouts: BTreeMap<String, u64>,
    events: BTreeMap<(String, usize), u64>,
    hits: BTreeMap<&'static str, u64>,
    connections: u64,
    websockets: u64,
}

impl MetricVisitor for Seen {
    fn requests(&mut self, route: &str, method: MethodLabel, status: StatusClass, count: u64) {
        assert_eq!(self.requests.insert((route.into(), method, status), count), None, "each cell once");
    }

    fn latency(&mut self, route: &str, method: MethodLabel, cells: &[u64; LATENCY_CELLS], _sum_us: u64) {
        assert_eq!(self.latencies.insert((route.into(), method), cells.iter().sum()), None, "each cell once");
    }

    fn upstream(&mut self, service: &str, cells: &[u64; LATENCY_CELLS], _sum_us: u64) {
        self.upstream.insert(service.into(), cells.iter().sum());
    }

    fn upstream_timeouts(&mut self, service: &str, count: u64) {
        self.timeouts.insert(service.into(), count);
    }

    fn upstream_events(&mut self, service: &str, event: UpstreamEvent, count: u64) {
        self.events.insert((service.into(), event.index()), count);
    }

    fn rate_limit_hits(&mut self, tier: &'static str, count: u64) {
        self.hits.insert(tier, count);
    }

    fn active_connections(&mut self, count: u64) {
        self.connections = count;
    }

    fn active_websockets(&mut self, count: u64) {
        self.websockets = count;
    }
}

fn seen(edge: &Edge) -> Seen {
    let mut seen = Seen::default();
    edge.handle.metric_source().visit(&mut seen);
    seen
}

/// How often something has happened to the service `up`.
pub(crate) fn events(edge: &Edge, event: UpstreamEvent) -> u64 {
    events_of(edge, "up", event)
}

/// The same to another service.
pub(crate) fn events_of(edge: &Edge, service: &str, event: UpstreamEvent) -> u64 {
    seen(edge).events.get(&(service.to_owned(), event.index())).copied().unwrap_or_default()
}

/// Answers with a status of this class, over all routes.
pub(crate) fn answered(edge: &Edge, class: StatusClass) -> u64 {
    seen(edge).requests.iter().filter(|((_, _, status), _)| *status == class).map(|(_, count)| count).sum()
}

/// How often the service `up` took too long.
pub(crate) fn timeouts(edge: &Edge) -> u64 {
    seen(edge).timeouts.get("up").copied().unwrap_or_default()
}

/// Open connections, and those of them that are WebSockets.
pub(crate) fn open_connections(edge: &Edge) -> (u64, u64) {
    let seen = seen(edge);
    (seen.connections, seen.websockets)
}

#[test]
fn a_record_says_what_happened() {
    let upstream = Upstream::fixed(HELLO);
    let edge = Setup::open(&[&upstream.url]).start();
    let response = edge.ask(&get("/x", ""));
    let record = edge.records(1)[0];
    assert_eq!(record.request_id.to_string(), response.field("x-request-id").unwrap());
    assert_eq!((record.at, record.table, record.route, record.status), (START, 1, 0, 200));
    assert_eq!((record.method, record.code, record.consumer), (MethodLabel::Get, None, None));
    assert!(record.upstream_us <= record.latency_us && record.upstream_us != NO_INDEX);
}

#[test]
fn promise_n1_nothing_that_a_request_carries_is_in_records_or_labels() {
    let upstream = Upstream::echo();
    let edge = Setup::open(&[&upstream.url]).start();
    let head = format!(
        "/{CANARY}?q={CANARY} HTTP/1.1\r\nHost: {CANARY}.example\r\nAuthorization: Basic {CANARY}\r\nCookie: {CANARY}\r\n\
         X-Request-ID: {CANARY}\r\nUser-Agent: {CANARY}\r\nX-{CANARY}: {CANARY}\r\n"
    );
    for method in ["GET", "POST", CANARY] {
        let response = edge.ask(&format!("{method} {head}Content-Length: 8\r\n\r\n{CANARY}"));
        assert_eq!(response.status, 200);
    }
    edge.ask(&format!("GET {head}Content-Length: x{CANARY}\r\n\r\n"));
    assert_no_canary("a record", &format!("{:?}", edge.records(4)));
    assert_no_canary("a label", &format!("{:?}", seen(&edge)));
}

#[test]
fn promise_n2_paths_methods_and_hosts_do_not_make_series() {
    let upstream = Upstream::fixed(HELLO);
    let service = service(1, "up", &[&upstream.url]);
    let edge = Setup::new(vec![ConfigObject::Service(service), ConfigObject::Route(route(1, "/a/{id}", "up"))]).start();
    let mut client = edge.connect();
    for number in 0..300 {
        let path = if number % 2 == 0 { "/a" } else { "/none" };
        client.send(format!("M{number} {path}/{number} HTTP/1.1\r\nHost: h{number}\r\n\r\n"));
        client.response();
    }
    edge.records(300);
    let seen = seen(&edge);
    let labels: Vec<_> =
        seen.requests.iter().map(|((route, method, _), count)| (route.as_str(), *method, *count)).collect();
    assert_eq!(labels, [("*/a/{id}", MethodLabel::Other, 150), ("unmatched", MethodLabel::Other, 150)]);
}

#[test]
fn everything_is_counted_once() {
    let upstream = Upstream::fixed(HELLO);
    let edge = Setup::open(&[&upstream.url]).with(|settings| settings.node_limits.unauth_max = 3).start();
    let mut client = edge.connect();
    for _ in 0..5 {
        client.send(get("/", ""));
        client.response();
    }
    edge.records(5);
    let seen = seen(&edge);
    let of = |class| seen.requests.get(&("*/*".to_owned(), MethodLabel::Get, class)).copied();
    assert_eq!((of(StatusClass::Success), of(StatusClass::ClientError)), (Some(3), Some(2)));
    assert_eq!(seen.latencies.values().copied().collect::<Vec<_>>(), [5]);
    assert_eq!(seen.upstream.get("up"), Some(&3));
    assert_eq!(seen.hits.get("unauth"), Some(&2));
    assert_eq!(seen.connections, 1);
    drop(client);
    wait_until("the connection has ended", || self::seen(&edge).connections == 0);
}

#[test]
fn counters_go_on_over_edits_and_leave_with_their_route() {
    let upstream = Upstream::fixed(HELLO);
    let service = ConfigObject::Service(service(1, "up", &[&upstream.url]));
    let both = [service.clone(), ConfigObject::Route(route(1, "/a", "up")), ConfigObject::Route(route(2, "/b", "up"))];
    let one = [service, ConfigObject::Route(route(1, "/a", "up"))];
    let edge = Setup::new(both.to_vec()).start();
    let mut client = edge.connect();
    let mut ask = |path: &str| {
        client.send(get(path, ""));
        client.response().status
    };
    let count = |label: &str| {
        seen(&edge).requests.iter().filter(|((route, ..), _)| route == label).map(|(_, n)| n).sum::<u64>()
    };
    for round in 1..=4_u32 {
        assert_eq!([ask("/a"), ask("/b")], [200, 200]);
        wait_until("both are counted", || count("*/a") == u64::from(round) && count("*/b") == u64::from(round));
        edge.live.store(Some(Arc::new(compile(round + 1, &both))));
    }
    edge.live.store(Some(Arc::new(compile(9, &one))));
    assert_eq!([ask("/a"), ask("/b")], [200, 404]);
    wait_until("what is gone has left", || count("*/b") == 0);
    assert_eq!(count("*/a"), 5);
    let tables: Vec<_> = edge.records(10).iter().map(|record| record.table).collect();
    assert_eq!(tables, [1, 1, 2, 2, 3, 3, 4, 4, 9, 9]);
}

#[test]
fn refused_and_malformed_requests_leave_records_too() {
    let edge = Setup::new(Vec::new()).start();
    edge.ask(&get("/", ""));
    edge.ask("garbage\r\n\r\n");
    let found: Vec<_> = edge.records(2).iter().map(|record| (record.status, record.code, record.route)).collect();
    assert_eq!(found, [(404, Some(ErrorCode::RouteNotFound), NO_INDEX), (400, Some(ErrorCode::BadRequest), NO_INDEX)]);
}
