//! Nodes that share limits by leases, simulated: one ledger, messages that take their time, get lost or find nobody.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking, helpers included")]

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use novagate_access::FleetKey;
use novagate_fixtures::{Ledger, START};
use novagate_kernel::Timestamp;
use novagate_policies::{
    Asked, Bucket, ClientKeyHasher, Decision, FleetSize, HashKey, Identity, LeaseAnswer, LeaseKeeper, LeaseTable,
    NodeLimits, SharedKeyHasher,
};
use proptest::prelude::*;

/// A node with its keeper.
struct Node {
    table: Arc<LeaseTable>,
    keeper: LeaseKeeper,
    under_way: Vec<Exchange>,
}

/// Asks that have left a node.
struct Exchange {
    sent_at: Timestamp,
    asked: Vec<Asked>,
    /// Once the ledger has worked on them.
    answers: Option<Vec<LeaseAnswer>>,
}

struct Fleet {
    nodes: Vec<Node>,
    ledger: Ledger,
    limits: NodeLimits,
    keys: ClientKeyHasher,
    now: Timestamp,
    /// Times of admissions, by client.
    admitted: HashMap<u8, Vec<Timestamp>>,
}

impl Fleet {
    fn new(nodes: u32, max: u32, window: Duration) -> Self {
        let size = FleetSize::default();
        size.set(nodes);
        let node = |_| {
            let keys = SharedKeyHasher::new(&FleetKey::new("a fleet"));
            let table = Arc::new(LeaseTable::new(1024, keys, size.clone()));
            Node { keeper: LeaseKeeper::new(Arc::clone(&table)), table, under_way: Vec::new() }
        };
        Self {
            nodes: (0..nodes).map(node).collect(),
            ledger: Ledger::default(),
            limits: NodeLimits { window, unauth_max: max, auth_max: max },
            keys: ClientKeyHasher::new(HashKey::from_entropy([7; 16])),
            now: START,
            admitted: HashMap::new(),
        }
    }

    fn request(&mut self, node: usize, client: u8) -> Decision {
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, client));
        let bucket = Bucket::of_client(&Identity::Anonymous, address, &self.limits);
        let admission = self.nodes[node].table.admit_two(Some((self.keys.key(&bucket), &bucket)), None, self.now);
        let decision = admission.client.expect("the client's bucket");
        if decision.admitted {
            self.admitted.entry(client).or_default().push(self.now);
        }
        decision
    }

    fn ask(&mut self, node: usize) {
        let asked = self.nodes[node].keeper.collect(self.now, 16);
        if !asked.is_empty() {
            self.nodes[node].under_way.push(Exchange { sent_at: self.now, asked, answers: None });
        }
    }

    /// The ledger receives what a node has sent.
    fn arrive(&mut self, node: usize) {
        for exchange in self.nodes[node].under_way.iter_mut().filter(|exchange| exchange.answers.is_none()) {
            let answers = exchange.asked.iter().map(|asked| self.ledger.exchange(&asked.ask, self.now)).collect();
            exchange.answers = Some(answers);
        }
    }

    /// The node receives what the ledger has answered, or learns that nobody does.
    fn answer(&mut self, node: usize, lost: bool) {
        let node = &mut self.nodes[node];
        for exchange in std::mem::take(&mut node.under_way) {
            match exchange.answers {
                Some(answers) if !lost => node.keeper.settle(exchange.asked, &answers, exchange.sent_at, self.now),
                Some(_) | None => node.keeper.fail(exchange.asked),
            }
        }
    }

    /// A whole exchange without a loss.
    fn exchange(&mut self, node: usize) {
        self.ask(node);
        self.arrive(node);
        self.answer(node, false);
    }

    fn most_in_a_window(&self, client: u8) -> usize {
        let times = self.admitted.get(&client).map_or(&[][..], Vec::as_slice);
        let within = |first: &Timestamp| {
            times.iter().filter(|time| *time >= first && time.since(*first) < self.limits.window).count()
        };
        times.iter().map(within).max().unwrap_or(0)
    }
}

#[derive(Debug, Clone)]
enum Event {
    Requests { node: usize, client: u8, count: u32 },
    Ask(usize),
    Arrive(usize),
    Answer(usize),
    Lose(usize),
    Exchange(usize),
    Wait(u64),
}

fn events(nodes: usize, window_us: u64) -> impl Strategy<Value = Vec<Event>> {
    let node = 0..nodes;
    let wait = prop_oneof![
        6 => 0..=window_us / 200,
        4 => 0..=window_us / 15,
        1 => 0..=2 * window_us,
    ];
    let event = prop_oneof![
        8 => (node.clone(), 0_u8..2, 1_u32..12).prop_map(|(node, client, count)| Event::Requests { node, client, count }),
        2 => node.clone().prop_map(Event::Ask),
        2 => node.clone().prop_map(Event::Arrive),
        2 => node.clone().prop_map(Event::Answer),
        1 => node.clone().prop_map(Event::Lose),
        4 => node.prop_map(Event::Exchange),
        8 => wait.prop_map(Event::Wait),
    ];
    proptest::collection::vec(event, 1..250)
}

proptest! {
    #[test]
    fn a_fleet_never_admits_more_than_the_limit_and_one_share_for_each_node(
        (nodes, window_ms, events) in (1_usize..5, prop_oneof![Just(1_000_u64), Just(60_000)])
            .prop_flat_map(|(nodes, ms)| (Just(nodes), Just(ms), events(nodes, ms * 1000))),
        max in 1_u32..60,
    ) {
        let size = u32::try_from(nodes).unwrap();
        let mut fleet = Fleet::new(size, max, Duration::from_millis(window_ms));
        for event in events {
            match event {
                Event::Requests { node, client, count } => {
                    for _ in 0..count {
                        let decision = fleet.request(node, client);
                        prop_assert!(decision.admitted || !decision.reset_after.is_zero() );
                        prop_assert!(decision.remaining <= max);
                    }
                }
                Event::Ask(node) => fleet.ask(node),
                Event::Arrive(node) => fleet.arrive(node),
                Event::Answer(node) => fleet.answer(node, false),
                Event::Lose(node) => fleet.answer(node, true),
                Event::Exchange(node) => fleet.exchange(node),
                Event::Wait(micros) => fleet.now = fleet.now.plus(Duration::from_micros(micros)),
            }
        }
        let bound = max + size * max.div_ceil(size);
        for client in 0..2 {
            prop_assert!(fleet.most_in_a_window(client) <= bound as usize);
        }
    }

    #[test]
    fn without_a_ledger_each_node_admits_its_share_and_not_one_more(
        nodes in 1_u32..6,
        max in 1_u32..100,
        waits in proptest::collection::vec(0_u64..3_000_000, 1..60),
    ) {
        let window = Duration::from_secs(10);
        let mut fleet = Fleet::new(nodes, max, window);
        let share = max.div_ceil(nodes) as usize;
        let at_once = (0..max).filter(|_| fleet.request(0, 1).admitted).count();
        prop_assert_eq!(at_once, share);
        for wait in waits {
            fleet.ask(0);
            fleet.answer(0, true);
            fleet.now = fleet.now.plus(Duration::from_micros(wait));
            for _ in 0..3 {
                let decision = fleet.request(0, 1);
                if !decision.admitted {
                    prop_assert!(decision.reset_after <= window + window / 30);
                }
            }
        }
        prop_assert!(fleet.most_in_a_window(1) <= share);
    }
}

#[test]
fn one_node_alone_admits_the_limit_at_once_and_not_one_more() {
    for between in [1, 7, 30, 100] {
        let mut fleet = Fleet::new(1, 100, Duration::from_mins(1));
        let mut admitted = 0;
        for number in 0..300 {
            admitted += u32::from(fleet.request(0, 1).admitted);
            if number % between == 0 {
                fleet.exchange(0);
            }
        }
        assert_eq!(admitted, 100, "an exchange after each {between} requests");
    }
}

#[test]
fn after_the_wait_that_was_told_one_is_admitted() {
    let mut fleet = Fleet::new(3, 30, Duration::from_mins(1));
    for number in 0..200 {
        fleet.request(number % 3, 1);
        fleet.exchange(number % 3);
        fleet.now = fleet.now.plus(Duration::from_millis(10));
    }
    for _round in 0..10 {
        let refused = fleet.request(0, 1);
        assert!(!refused.admitted);
        assert!(refused.reset_after <= Duration::from_secs(65), "{:?}", refused.reset_after);
        fleet.now = fleet.now.plus(refused.reset_after);
        fleet.exchange(0);
        assert!(fleet.request(0, 1).admitted);
        while fleet.request(0, 1).admitted {
            fleet.exchange(0);
        }
        fleet.exchange(0);
    }
}

#[test]
fn a_node_in_steady_use_asks_once_for_many_requests() {
    let mut fleet = Fleet::new(2, 10_000, Duration::from_mins(1));
    let (mut asks, mut requests) = (0, 0);
    for _turn in 0..500 {
        for _ in 0..40 {
            assert!(fleet.request(0, 1).admitted || requests > 9_000);
            requests += 1;
        }
        fleet.ask(0);
        asks += fleet.nodes[0].under_way.iter().map(|exchange| exchange.asked.len()).sum::<usize>();
        fleet.arrive(0);
        fleet.answer(0, false);
        fleet.now = fleet.now.plus(Duration::from_millis(200));
    }
    assert!(asks * 20 <= requests, "{asks} asks for {requests} requests");
}

#[test]
fn a_lease_of_a_huge_limit_is_small() {
    let mut fleet = Fleet::new(1, 1_000_000, Duration::from_secs(1));
    for _ in 0..20_000 {
        assert!(fleet.request(0, 1).admitted);
        fleet.ask(0);
        let asked = fleet.nodes[0].under_way.iter().flat_map(|exchange| &exchange.asked);
        assert!(asked.map(|asked| asked.ask.want).all(|want| want <= 2_000));
        fleet.arrive(0);
        fleet.answer(0, false);
    }
}

#[test]
fn what_one_node_does_not_use_comes_back_for_the_others() {
    let mut fleet = Fleet::new(2, 20, Duration::from_mins(1));
    fleet.request(0, 1);
    fleet.exchange(0);
    // The lease has run out: what is left of it goes back.
    fleet.now = fleet.now.plus(Duration::from_secs(4));
    fleet.exchange(0);
    let mut elsewhere = 0;
    for _ in 0..40 {
        elsewhere += u32::from(fleet.request(1, 1).admitted);
        fleet.exchange(1);
    }
    assert_eq!(elsewhere, 19);
}

#[test]
fn a_bucket_that_is_exhausted_is_asked_about_once_until_something_leaves() {
    let mut fleet = Fleet::new(1, 10, Duration::from_mins(1));
    let mut asks = 0;
    for _ in 0..500 {
        fleet.request(0, 1);
        fleet.ask(0);
        asks += fleet.nodes[0].under_way.len();
        fleet.arrive(0);
        fleet.answer(0, false);
        fleet.now = fleet.now.plus(Duration::from_millis(100));
    }
    assert!(asks <= 25, "{asks}");
}

#[test]
fn a_ledger_that_comes_back_is_told_what_was_admitted_meanwhile() {
    let mut fleet = Fleet::new(1, 10, Duration::from_mins(1));
    for _ in 0..6 {
        assert!(fleet.request(0, 1).admitted);
        fleet.ask(0);
        fleet.answer(0, true);
    }
    fleet.exchange(0);
    let elsewhere = {
        let mut other = Fleet::new(1, 10, Duration::from_mins(1));
        std::mem::swap(&mut other.ledger, &mut fleet.ledger);
        other.request(0, 1);
        other.exchange(0);
        (0..20).filter(|_| other.request(0, 1).admitted).count() + 1
    };
    // Six were used; one more is in the first node's lease.
    assert_eq!(elsewhere, 3);
}
