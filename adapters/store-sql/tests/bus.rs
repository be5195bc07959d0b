//! The contracts of the bus and of presence over PostgreSQL, and what happens when the connection breaks.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::Arc;
use std::time::Duration;

use novagate_contracts::{BusFixture, PresenceFixture, leave_out};
use novagate_fixtures::{ManualClock, Mint, SeededEntropy, wait_until};
use novagate_kernel::Timestamp;
use novagate_net::Tasks;
use novagate_ports_base::{Clock as _, Entropy};
use novagate_ports_control::outbound::{Bus, Presence, Wake};
use novagate_services::{Database, Postgres};
use novagate_store_sql::{PgBus, PgBusSettings};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// Two control nodes on one database.
pub struct TwoNodes {
    first: PgBus,
    second: PgBus,
    clock: ManualClock,
    _database: Database,
}

fn bus(url: &str, seed: u64, clock: &ManualClock) -> PgBus {
    let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(seed));
    PgBus::new(PgBusSettings { url: url.to_owned(), tasks: Tasks::new(), clock: Arc::new(clock.clone()), entropy })
        .unwrap()
}

impl TwoNodes {
    fn new() -> Self {
        let Some(server) = Postgres::shared() else { leave_out() };
        let (database, clock) = (server.database(), ManualClock::default());
        let (first, second) = (bus(database.url(), 1, &clock), bus(database.url(), 2, &clock));
        Self { first, second, clock, _database: database }
    }
}

impl BusFixture for TwoNodes {
    async fn fresh() -> Self {
        Self::new()
    }

    fn bus(&self) -> Arc<dyn Bus> {
        Arc::new(self.first.clone())
    }

    fn other_node(&self) -> Arc<dyn Bus> {
        Arc::new(self.second.clone())
    }
}

impl PresenceFixture for TwoNodes {
    async fn fresh() -> Self {
        Self::new()
    }

    fn presence(&self) -> Arc<dyn Presence> {
        Arc::new(self.first.presence())
    }

    fn other_node(&self) -> Arc<dyn Presence> {
        Arc::new(self.second.presence())
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn elapse(&self, duration: Duration) -> bool {
        self.clock.advance(duration);
        true
    }
}

novagate_contracts::bus_contract!(TwoNodes);
novagate_contracts::presence_contract!(TwoNodes);

fn closed(mint: &Mint) -> Wake {
    Wake::TenantClosed { tenant: mint.tenant() }
}

#[tokio::test]
async fn a_broken_connection_is_told_as_a_loss_and_the_bus_is_heard_again() {
    let Some(server) = Postgres::own() else { return };
    let (database, clock, mint) = (server.database(), ManualClock::default(), Mint::new(1));
    let (speaker, hearer) = (bus(database.url(), 1, &clock), bus(database.url(), 2, &clock));
    let mut subscription = hearer.subscribe().await.unwrap();
    server.crash();
    assert!(speaker.publish(&closed(&mint)).await.is_err(), "nobody else can hear it");
    server.restart();
    assert_eq!(timeout(PATIENCE, subscription.next()).await.unwrap(), None);
    let wake = closed(&mint);
    wait_until("it can be spoken again", PATIENCE, || async { speaker.publish(&wake).await.is_ok() }).await;
    assert_eq!(timeout(PATIENCE, subscription.next()).await.unwrap(), Some(wake));
}

#[tokio::test]
async fn a_node_hears_itself_while_the_server_is_away() {
    let Some(server) = Postgres::own() else { return };
    let (database, clock, mint) = (server.database(), ManualClock::default(), Mint::new(2));
    let bus = bus(database.url(), 1, &clock);
    let mut subscription = bus.subscribe().await.unwrap();
    server.stop();
    let wake = closed(&mint);
    assert!(bus.publish(&wake).await.is_err());
    assert_eq!(timeout(PATIENCE, subscription.next()).await.unwrap(), Some(wake));
}

#[tokio::test]
async fn a_node_that_begins_to_listen_learns_who_is_connected_elsewhere() {
    let Some(server) = Postgres::shared() else { return };
    let (database, clock, mint) = (server.database(), ManualClock::default(), Mint::new(3));
    let first = bus(database.url(), 1, &clock).presence();
    let scope = novagate_access::TenantScope::for_maintenance(mint.tenant());
    let (node, at) = (mint.node(), clock.now());
    first.beat(&scope, node, at).await.unwrap();
    let late = bus(database.url(), 2, &clock).presence();
    let knows = || async { late.online(&scope).await.unwrap() == [(node, at)] };
    wait_until("the late one knows", PATIENCE, knows).await;
}

#[tokio::test]
async fn a_node_that_moved_stays_connected_when_its_old_session_ends() {
    let Some(server) = Postgres::shared() else { return };
    let (database, clock, mint) = (server.database(), ManualClock::default(), Mint::new(4));
    let (old, new) = (bus(database.url(), 1, &clock).presence(), bus(database.url(), 2, &clock).presence());
    let scope = novagate_access::TenantScope::for_maintenance(mint.tenant());
    let node = mint.node();
    old.beat(&scope, node, clock.now()).await.unwrap();
    clock.advance(Duration::from_secs(5));
    let moved = clock.now();
    new.beat(&scope, node, moved).await.unwrap();
    let knows = || async { old.online(&scope).await.unwrap() == [(node, moved)] };
    wait_until("the old one knows", PATIENCE, knows).await;
    old.leave(&scope, node).await.unwrap();
    let mark = mint.node();
    old.beat(&scope, mark, moved).await.unwrap();
    let hears = || async { new.online(&scope).await.unwrap().contains(&(mark, moved)) };
    wait_until("what the old one said last is heard", PATIENCE, hears).await;
    assert!(new.online(&scope).await.unwrap().contains(&(node, moved)));
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_and_not_repeated() {
    let clock = ManualClock::default();
    let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(1));
    let url = "postgres://user:hunter2@db:port/x".to_owned();
    let settings = PgBusSettings { url, tasks: Tasks::new(), clock: Arc::new(clock), entropy };
    let refused = PgBus::new(settings).unwrap_err();
    assert!(!format!("{refused} {:?}", refused.source).contains("hunter2"));
}
