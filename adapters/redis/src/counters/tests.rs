//! The scripts, run by a real server under a clock of the test's own, against the model of a ledger.

use std::sync::Arc;
use std::time::Duration;

use novagate_fixtures::{Ledger, SeededEntropy};
use novagate_kernel::Timestamp;
use novagate_policies::{LeaseAnswer, ReturnedLease};
use novagate_services::Redis;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::Runtime;

use super::*;
use crate::testing::target;

const LIMITS: [(u32, u64); 4] = [(1, 1_000), (3, 1_000), (7, 60_000), (40, 2_000)];

#[derive(Debug, Clone)]
enum Step {
    Admit { client: Option<u8>, route: Option<u8>, times: u32 },
    Lease { bucket: u8, debt: u32, want: u32, gives_back: bool },
    Wait(i64),
    Back(i64),
}

/// A server, the scripts and the model.
struct Pair {
    runtime: Runtime,
    link: Link,
    admit: Script,
    lease: Script,
    model: Ledger,
    now: i64,
    last: Option<ReturnedLease>,
}

impl Pair {
    fn new(url: &str) -> Self {
        let server = Server::new(&target(url)).unwrap();
        Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            link: Link::new(server, Duration::from_secs(20), Arc::new(SeededEntropy::new(1))),
            admit: Script::admit_at(),
            lease: Script::lease_at(),
            model: Ledger::default(),
            now: 1_700_000_000_000_000,
            last: None,
        }
    }

    fn run(&self, script: &Script, call: &mut Cmd) -> Value {
        call.arg(self.now);
        self.runtime.block_on(self.link.run("test", script, call)).unwrap()
    }

    fn admit(&mut self, client: Option<SharedAsk>, route: Option<SharedAsk>) -> (Admission, Admission) {
        let expected = self.model.admit(client, route, Timestamp::from_micros(self.now));
        let mut call = admit_call(&self.admit, client, route);
        let answer = self.run(&self.admit, &mut call);
        (admission(&answer, client, route).unwrap(), expected)
    }

    fn lease(&mut self, ask: &LeaseAsk) -> (LeaseAnswer, LeaseAnswer) {
        let expected = self.model.exchange(ask, Timestamp::from_micros(self.now));
        let mut call = lease_call(&self.lease, std::slice::from_ref(ask));
        let answer = self.run(&self.lease, &mut call);
        (Numbers::of(&answer).lease().unwrap(), expected)
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Wait(micros) => self.now += micros,
            Step::Back(micros) => self.now -= micros,
            Step::Admit { client, route, times } => {
                let (client, route) = (client.map(ask), route.map(|bucket| ask(bucket + 100)));
                for _ in 0..*times {
                    let (got, expected) = self.admit(client, route);
                    prop_assert_eq!(got, expected);
                }
            }
            Step::Lease { bucket, debt, want, gives_back } => {
                let SharedAsk { key, limit } = ask(*bucket);
                let returned = self.last.take().filter(|_| *gives_back);
                let ask = LeaseAsk { key, limit, life: limit.window / 20, debt: *debt, want: *want, returned };
                let (got, expected) = self.lease(&ask);
                prop_assert_eq!(got, expected);
                if got.granted > 0 {
                    self.last = Some(ReturnedLease { stamp: got.stamp, permits: got.granted });
                }
            }
        }
        Ok(())
    }
}

fn ask(bucket: u8) -> SharedAsk {
    let (max, window_ms) = LIMITS[usize::from(bucket) % LIMITS.len()];
    let limit = RateLimit { max, window: Duration::from_millis(window_ms) };
    SharedAsk { key: SharedKey::from_hash([bucket; 16]), limit }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bucket = || proptest::option::of(0_u8..6);
    let step = prop_oneof![
        6 => (bucket(), bucket(), 1_u32..6).prop_map(|(client, route, times)| Step::Admit { client, route, times }),
        3 => (0_u8..6, 0_u32..4, 0_u32..9, any::<bool>())
            .prop_map(|(bucket, debt, want, gives_back)| Step::Lease { bucket, debt, want, gives_back }),
        3 => (0_i64..60_000).prop_map(Step::Wait),
        3 => (0_i64..1_100_000).prop_map(Step::Wait),
        1 => (0_i64..80_000_000).prop_map(Step::Wait),
        1 => (0_i64..5_000_000).prop_map(Step::Back),
    ];
    proptest::collection::vec(step, 1..60)
}

#[test]
fn the_scripts_decide_as_the_model_does_whatever_the_clock_does() {
    let Some(server) = Redis::shared() else { return };
    let database = server.database();
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() });
    let outcome = runner.run(&steps(), |steps| {
        server.command(database.number(), "FLUSHDB");
        let mut pair = Pair::new(database.url());
        steps.iter().try_for_each(|step| pair.step(step))
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn many_leave_at_once_and_as_many_as_a_limit_has_fit_into_one_lease() {
    let Some(server) = Redis::shared() else { return };
    let database = server.database();
    let mut pair = Pair::new(database.url());
    let limit = RateLimit { max: 1_000_000, window: Duration::from_mins(1) };
    let key = SharedKey::from_hash([1; 16]);
    for (debt, want, wait) in [(300_000, 100_000, 1_000_000), (7, 250_000, 61_000_000), (1, 1_000_000, 70_000_000)] {
        let ask = LeaseAsk { key, limit, life: Duration::from_secs(3), debt, want, returned: None };
        let (got, expected) = pair.lease(&ask);
        assert_eq!(got, expected);
        pair.now += wait;
    }
    let (got, expected) = pair.admit(Some(SharedAsk { key, limit }), None);
    assert_eq!(got, expected);
}

#[test]
fn a_bucket_goes_by_itself_when_the_last_of_it_has_left() {
    let Some(server) = Redis::shared() else { return };
    let database = server.database();
    let mut pair = Pair::new(database.url());
    let key = SharedKey::from_hash([2; 16]);
    let limit = RateLimit { max: 2, window: Duration::from_secs(5) };
    pair.admit(Some(SharedAsk { key, limit }), None);
    let left: u64 = server.command(database.number(), "PTTL rl:02020202020202020202020202020202").parse().unwrap();
    assert!((60_000..=65_002).contains(&left), "{left}");
}
