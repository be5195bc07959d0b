//! What a caller sees of a server that fails, how fast, and that it heals by itself.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use novagate_access::{FleetKey, TenantScope};
use novagate_contracts::{leave_out, run};
use novagate_fixtures::{ManualClock, Mint, wait_until};
use novagate_kernel::NodeId;
use novagate_net::Tasks;
use novagate_policies::{RateLimit, SharedAsk, SharedKey, SharedKeyHasher};
use novagate_ports_base::Clock as _;
use novagate_ports_control::outbound::{Bus as _, Presence as _, Throttle as _, ThrottleRule, Wake};
use novagate_ports_edge::{LeaseLedger as _, SharedCounter, SharedCounters as _};
use novagate_redis::Redis;
use novagate_services::Redis as Server;
use support::redis_at;

/// A call of a limit, and what a busy machine adds.
const DEADLINE: Duration = Duration::from_millis(100);
const SLACK: Duration = Duration::from_millis(900);
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    server: Server,
    redis: Redis,
    counter: Arc<dyn SharedCounter>,
}

fn world() -> World {
    let Some(server) = Server::own() else { leave_out() };
    let redis = redis_at(&format!("{}/0", server.url()), 1);
    World { counter: redis.counters().for_worker(), server, redis }
}

#[expect(clippy::unnecessary_wraps, reason = "as a counter takes it")]
fn ask() -> Option<SharedAsk> {
    let limit = RateLimit { max: 1_000, window: Duration::from_mins(10) };
    Some(SharedAsk { key: SharedKey::from_hash([7; 16]), limit })
}

impl World {
    async fn counts(&self) -> bool {
        self.counter.admit(ask(), None).await.is_ok()
    }

    async fn remaining(&self) -> u32 {
        self.counter.admit(ask(), None).await.unwrap().client.unwrap().remaining
    }

    /// A thousand calls one after the other all fail, and together cost a deadline for each probe.
    async fn fails_fast(&self) {
        wait_until("a call fails", PATIENCE, async || !self.counts().await).await;
        let began = Instant::now();
        for _ in 0..1_000 {
            assert!(!self.counts().await);
        }
        assert!(began.elapsed() < 3 * DEADLINE + SLACK, "{:?}", began.elapsed());
    }

    async fn heals(&self) {
        wait_until("it counts again", PATIENCE, async || self.counts().await).await;
        for _ in 0..50 {
            assert!(self.counts().await, "and goes on");
        }
    }
}

#[test]
fn a_stopped_server_fails_at_once_and_one_that_starts_empty_counts_from_nothing() {
    run(async {
        let world = world();
        assert_eq!(world.remaining().await, 999);
        world.server.stop();
        world.fails_fast().await;
        world.server.restart();
        // Its scripts are gone with it.
        wait_until("it counts again", PATIENCE, async || world.counts().await).await;
        assert_eq!(world.remaining().await, 998);
        world.heals().await;
    });
}

#[test]
fn a_frozen_server_costs_one_deadline_for_each_probe_and_goes_on_where_it_was() {
    run(async {
        let world = world();
        assert_eq!(world.remaining().await, 999);
        world.server.freeze();
        let began = Instant::now();
        assert!(!world.counts().await);
        assert!((DEADLINE..DEADLINE + SLACK).contains(&began.elapsed()), "{:?}", began.elapsed());
        world.fails_fast().await;
        world.server.thaw();
        wait_until("it counts again", PATIENCE, async || world.counts().await).await;
        assert!(world.remaining().await < 998, "nothing was forgotten");
        world.heals().await;
    });
}

#[test]
fn a_server_that_became_a_replica_or_is_out_of_memory_fails_at_once_until_it_takes_writes() {
    run(async {
        let world = world();
        assert!(world.counts().await);
        for (spoil, mend) in
            [("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"), ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0")]
        {
            world.server.command(0, spoil);
            world.fails_fast().await;
            world.server.command(0, mend);
            world.heals().await;
        }
    });
}

#[test]
fn a_killed_connection_costs_at_most_a_few_calls() {
    run(async {
        let world = world();
        for _ in 0..5 {
            assert!(world.counts().await);
            world.server.command(0, "CLIENT KILL TYPE normal SKIPME yes");
            let began = Instant::now();
            world.heals().await;
            assert!(began.elapsed() < 5 * DEADLINE + SLACK, "{:?}", began.elapsed());
        }
    });
}

#[test]
fn forgotten_scripts_are_sent_again_without_a_failure() {
    run(async {
        let world = world();
        assert!(world.counts().await);
        world.server.command(0, "SCRIPT FLUSH");
        assert!(world.counts().await);
        assert_eq!(world.remaining().await, 997);
    });
}

#[test]
fn calls_that_wait_at_the_same_time_share_one_connection_and_a_dropped_one_disturbs_none() {
    run(async {
        let world = world();
        assert!(world.counts().await);
        for _ in 0..200 {
            let both = tokio::join!(
                tokio::time::timeout(Duration::from_micros(30), world.counter.admit(ask(), None)),
                world.counter.admit(ask(), None),
            );
            assert!(both.1.is_ok());
        }
        let clients = world.server.command(0, "CLIENT LIST");
        // The one of this command, and the one of the counter.
        assert_eq!(clients.lines().filter(|line| line.contains("id=")).count(), 2, "{clients}");
    });
}

#[test]
fn everything_else_fails_within_a_second_and_heals() {
    run(async {
        let world = world();
        let (clock, mint) = (ManualClock::default(), Mint::new(1));
        let presence = world.redis.presence(Arc::new(clock.clone()));
        let throttle = world.redis.throttle(&FleetKey::new("control nodes"));
        let ledger = world.redis.ledger(&SharedKeyHasher::new(&FleetKey::new("gateways")));
        let (scope, node) = (TenantScope::for_maintenance(mint.tenant()), mint.node());
        let rule = ThrottleRule { max: 1_000, window: Duration::from_mins(15) };
        let works = async || {
            let beat = presence.beat(&scope, node, clock.now()).await.is_ok();
            let attempt = throttle.attempt("a", rule, clock.now()).await.is_ok();
            [beat, attempt, ledger.nodes(node).await.is_ok()]
        };
        assert_eq!(works().await, [true; 3]);
        for frozen in [true, false] {
            if frozen {
                world.server.freeze();
            } else {
                world.server.stop();
            }
            let began = Instant::now();
            wait_until("all fail", PATIENCE, async || works().await == [false; 3]).await;
            assert!(began.elapsed() < Duration::from_secs(3) + SLACK, "{:?}", began.elapsed());
            if frozen {
                world.server.thaw();
            } else {
                world.server.restart();
            }
            wait_until("all work again", PATIENCE, async || works().await == [true; 3]).await;
        }
    });
}

#[test]
fn a_fleet_counts_nodes_that_told_lately() {
    run(async {
        let world = world();
        let other = redis_at(&format!("{}/0", world.server.url()), 2);
        let keys = SharedKeyHasher::new(&FleetKey::new("gateways"));
        let (one, two) = (world.redis.ledger(&keys), other.ledger(&keys));
        let node = NodeId::from_u128;
        assert_eq!(one.nodes(node(1)).await.unwrap(), 1);
        assert_eq!(two.nodes(node(2)).await.unwrap(), 2);
        assert_eq!(one.nodes(node(1)).await.unwrap(), 2);
        let foreign = other.ledger(&SharedKeyHasher::new(&FleetKey::new("another fleet")));
        assert_eq!(foreign.nodes(node(3)).await.unwrap(), 1);
    });
}

#[test]
fn a_subscriber_is_told_of_a_loss_and_hears_on() {
    run(async {
        let world = world();
        let (tasks, mint) = (Tasks::new(), Mint::new(2));
        let bus = world.redis.bus(tasks.clone());
        let speaker = redis_at(&format!("{}/0", world.server.url()), 2).bus(tasks.clone());
        let mut heard = bus.subscribe().await.unwrap();
        for fault in ["kill", "stop", "garbage", "freeze"] {
            match fault {
                "kill" => drop(world.server.command(0, "CLIENT KILL TYPE pubsub")),
                "stop" => {
                    world.server.stop();
                    world.server.restart();
                }
                "garbage" => drop(world.server.command(0, "PUBLISH config.update nonsense")),
                _ => world.server.freeze(),
            }
            // What was said more than once before comes first.
            let lost = async { while heard.next().await.is_some() {} };
            assert!(tokio::time::timeout(PATIENCE, lost).await.is_ok(), "{fault}");
            if fault == "freeze" {
                world.server.thaw();
            }
            let wake = Wake::TenantClosed { tenant: mint.tenant() };
            // Said until it is heard: the connection may just be on its way.
            let again = async || {
                let said = speaker.publish(&wake).await.is_ok();
                let next = tokio::time::timeout(Duration::from_millis(200), heard.next()).await;
                said && next == Ok(Some(wake.clone()))
            };
            hears(again).await;
        }
        tasks.shutdown(Duration::from_secs(5)).await;
    });
}

async fn hears(mut again: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !again().await {
        assert!(began.elapsed() < PATIENCE, "it does not hear on");
    }
}

#[test]
fn a_control_node_listens_before_its_server_is_there() {
    run(async {
        let world = world();
        world.server.stop();
        let tasks = Tasks::new();
        let mut heard = world.redis.bus(tasks.clone()).subscribe().await.unwrap();
        world.server.restart();
        assert_eq!(tokio::time::timeout(PATIENCE, heard.next()).await, Ok(None));
        tasks.shutdown(Duration::from_secs(5)).await;
    });
}
