//! Limits that a fleet counts together, as clients of one node see them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use novagate_access::FleetKey;
use novagate_fixtures::{Ledger, LedgerCounter, ManualClock};
use novagate_http_edge::{Counters, ExactCounters};
use novagate_policies::{
    Admission, ConfigObject, FleetSize, LeaseKeeper, LeaseTable, LimitBy, LimitTable, RateLimit, RouteLimit, SharedAsk,
    SharedKeyHasher,
};
use novagate_ports_base::{Clock as _, FaultKind, PortError};
use novagate_ports_edge::{SharedCounter, SharedCounters};

use crate::harness::{Edge, HELLO, Setup, Upstream, consumer, get, grant, key, route, service};

/// A counter that can be away.
#[derive(Clone)]
struct Remote {
    counter: LedgerCounter,
    is_away: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
}

#[async_trait::async_trait]
impl SharedCounter for Remote {
    async fn admit(&self, client: Option<SharedAsk>, route: Option<SharedAsk>) -> Result<Admission, PortError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        // A real one answers from another task.
        tokio::task::yield_now().await;
        if self.is_away.load(Ordering::SeqCst) {
            return Err(PortError::new("counter.admit", FaultKind::Unavailable, "away"));
        }
        self.counter.admit(client, route).await
    }
}

impl SharedCounters for Remote {
    fn for_worker(&self) -> Arc<dyn SharedCounter> {
        Arc::new(self.clone())
    }
}

struct Exact {
    remote: Remote,
    clock: ManualClock,
    fleet: FleetSize,
    errors: Arc<AtomicU64>,
}

impl Exact {
    fn new() -> Self {
        let clock = ManualClock::default();
        let counter = LedgerCounter::new(clock.clone());
        let remote = Remote { counter, is_away: Arc::default(), calls: Arc::default() };
        Self { remote, clock, fleet: FleetSize::default(), errors: Arc::default() }
    }

    /// One of the fleet's nodes.
    fn node(&self, setup: Setup) -> Edge {
        let counters = Counters::Exact(ExactCounters {
            shared: Arc::new(self.remote.clone()),
            keys: SharedKeyHasher::new(&FleetKey::new("a fleet")),
            own: Arc::new(LimitTable::default()),
            fleet: self.fleet.clone(),
            errors: Arc::clone(&self.errors),
        });
        Setup { counters: Some(counters), clock: self.clock.clone(), ..setup }.start()
    }
}

fn open(upstream: &Upstream, max: u32) -> Setup {
    Setup::open(&[&upstream.url]).with(|settings| settings.node_limits.unauth_max = max)
}

fn statuses(edge: &Edge, count: usize) -> Vec<u16> {
    (0..count).map(|_| edge.ask(&get("/", "")).status).collect()
}

#[test]
fn two_nodes_that_count_exactly_admit_together_what_one_may() {
    let upstream = Upstream::fixed(HELLO);
    let fleet = Exact::new();
    let (one, two) = (fleet.node(open(&upstream, 3)), fleet.node(open(&upstream, 3)));
    assert_eq!([one.ask(&get("/", "")).status, two.ask(&get("/", "")).status], [200, 200]);
    let last = one.ask(&get("/", ""));
    assert_eq!((last.status, last.field("ratelimit-policy")), (200, Some("\"unauth\";q=3;w=60")));
    assert_eq!(last.field("ratelimit"), Some("\"unauth\";r=0;t=60"));
    for node in [&one, &two] {
        let refused = node.ask(&get("/", ""));
        assert_eq!((refused.status, refused.field("retry-after")), (429, Some("60")));
    }
    fleet.clock.advance(Duration::from_mins(1));
    assert_eq!(two.ask(&get("/", "")).status, 200);
    assert_eq!((fleet.remote.calls.load(Ordering::SeqCst), fleet.errors.load(Ordering::SeqCst)), (6, 0));
}

#[test]
fn both_buckets_of_a_request_go_in_one_call_and_what_is_refused_before_in_none() {
    let upstream = Upstream::fixed(HELLO);
    let fleet = Exact::new();
    let mut limited = route(1, "/limited", "up");
    limited.rate_limit =
        Some(RouteLimit { limit: RateLimit { max: 1, window: Duration::from_mins(1) }, by: LimitBy::Route });
    limited.auth.required = true;
    let edge = fleet.node(Setup::new(vec![
        ConfigObject::Service(service(1, "up", &[&upstream.url])),
        ConfigObject::Route(limited),
        consumer(5, "mobile", &[], Some(RateLimit { max: 3, window: Duration::from_mins(1) })),
        grant(1, 5),
    ]));
    let field = format!("X-API-Key: {}\r\n", key(1).expose());
    assert_eq!([edge.ask(&get("/nowhere", &field)).status, edge.ask(&get("/limited", "")).status], [404, 401]);
    assert_eq!(fleet.remote.calls.load(Ordering::SeqCst), 0);
    assert_eq!(edge.ask(&get("/limited", &field)).field("ratelimit-policy"), Some("\"route\";q=1;w=60"));
    assert_eq!(edge.ask(&get("/limited", &field)).status, 429);
    assert_eq!(fleet.remote.calls.load(Ordering::SeqCst), 2);
    let records = edge.records(4);
    assert_eq!(records.iter().map(|record| record.status).collect::<Vec<_>>(), [404, 401, 200, 429]);
}

#[test]
fn a_counter_that_is_away_costs_accuracy_and_no_request() {
    let upstream = Upstream::fixed(HELLO);
    let fleet = Exact::new();
    fleet.fleet.set(2);
    let edge = fleet.node(open(&upstream, 6));
    fleet.remote.is_away.store(true, Ordering::SeqCst);
    assert_eq!(statuses(&edge, 5), [200, 200, 200, 429, 429], "its share of six between two");
    assert_eq!(fleet.errors.load(Ordering::SeqCst), 5);
    fleet.remote.is_away.store(false, Ordering::SeqCst);
    assert_eq!(statuses(&edge, 7), [200, 200, 200, 200, 200, 200, 429]);
    assert_eq!(fleet.errors.load(Ordering::SeqCst), 5);
}

#[test]
fn pipelined_requests_are_counted_one_after_the_other() {
    let upstream = Upstream::fixed(HELLO);
    let fleet = Exact::new();
    let edge = fleet.node(open(&upstream, 2));
    let mut client = edge.connect();
    client.send(get("/", "").repeat(3));
    assert_eq!([client.response().status, client.response().status, client.response().status], [200, 200, 429]);
}

#[test]
fn a_node_decides_by_its_leases_and_by_its_share_without_waiting() {
    let upstream = Upstream::fixed(HELLO);
    let (clock, fleet) = (ManualClock::default(), FleetSize::default());
    fleet.set(2);
    let keys = SharedKeyHasher::new(&FleetKey::new("a fleet"));
    let table = Arc::new(LeaseTable::new(1024, keys, fleet));
    let mut keeper = LeaseKeeper::new(Arc::clone(&table));
    let mut ledger = Ledger::default();
    let counters = Some(Counters::Leased(table));
    let edge = Setup { counters, clock: clock.clone(), ..open(&upstream, 10) }.start();
    assert_eq!(statuses(&edge, 6), [200, 200, 200, 200, 200, 429], "its share of ten between two");
    let mut exchange = || {
        let asked = keeper.collect(clock.now(), 16);
        let answers: Vec<_> = asked.iter().map(|asked| ledger.exchange(&asked.ask, clock.now())).collect();
        keeper.settle(asked, &answers, clock.now(), clock.now());
    };
    let mut admitted = 5;
    for _ in 0..20 {
        exchange();
        let response = edge.ask(&get("/", ""));
        assert_eq!(response.field("ratelimit-policy"), Some("\"unauth\";q=10;w=60"));
        admitted += u32::from(response.status == 200);
    }
    assert_eq!(admitted, 10, "the rest of what the fleet has left");
}
