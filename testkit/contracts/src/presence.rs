//! The contract of [`Presence`].
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use novagate_access::TenantScope;
use novagate_fixtures::{Mint, wait_until};
use novagate_kernel::{NodeId, Timestamp};
use novagate_ports_control::outbound::Presence;
use tokio::time::timeout;

/// Far longer than word of a beat may take to another control node; only a failing case waits that long.
const SOON: Duration = Duration::from_secs(10);

/// Who is connected, for one case.
pub trait PresenceFixture: Sized + Send + Sync {
    /// Nobody is connected, and no other case knows of it.
    fn fresh() -> impl Future<Output = Self> + Send;

    /// Presence as one control node sees it.
    fn presence(&self) -> Arc<dyn Presence>;

    /// The same as another control node sees it.
    fn other_node(&self) -> Arc<dyn Presence>;

    /// The present time.
    fn now(&self) -> Timestamp;

    /// Lets time pass, and says whether it could.
    fn elapse(&self, duration: Duration) -> bool;
}

/// Runs the suite of presence over a [`PresenceFixture`](crate::PresenceFixture).
#[macro_export]
macro_rules! presence_contract {
    ($fixture:ty) => {
        $crate::cases!(
            presence, $fixture:
            a_beat_is_visible_to_every_node,
            a_later_beat_replaces_the_earlier_one,
            a_node_that_left_is_gone,
            nodes_are_their_own_tenants,
            a_node_without_a_beat_for_an_hour_is_gone,
        );
    };
}

struct World<F> {
    fixture: F,
    mint: Mint,
    scope: TenantScope,
}

async fn world<F: PresenceFixture>() -> World<F> {
    let mint = Mint::new(9);
    World { fixture: F::fresh().await, scope: TenantScope::for_maintenance(mint.tenant()), mint }
}

impl<F: PresenceFixture> World<F> {
    async fn beat(&self, node: NodeId) -> (NodeId, Timestamp) {
        let now = self.fixture.now();
        self.fixture.presence().beat(&self.scope, node, now).await.unwrap();
        (node, now)
    }

    async fn assert_online(&self, expected: &[(NodeId, Timestamp)]) {
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        for presence in [self.fixture.presence(), self.fixture.other_node()] {
            let seen = Mutex::default();
            let look = async || {
                let mut online = presence.online(&self.scope).await.unwrap();
                online.sort_unstable();
                let holds = online == expected;
                *seen.lock().unwrap() = online;
                holds
            };
            if timeout(SOON, wait_until("a control node sees who is connected", SOON * 2, look)).await.is_err() {
                assert_eq!(*seen.lock().unwrap(), expected);
            }
        }
    }
}

pub async fn a_beat_is_visible_to_every_node<F: PresenceFixture>() {
    let world = world::<F>().await;
    world.assert_online(&[]).await;
    let first = world.beat(world.mint.node()).await;
    world.assert_online(&[first]).await;
    let second = (world.mint.node(), world.fixture.now());
    world.fixture.other_node().beat(&world.scope, second.0, second.1).await.unwrap();
    world.assert_online(&[first, second]).await;
}

pub async fn a_later_beat_replaces_the_earlier_one<F: PresenceFixture>() {
    let world = world::<F>().await;
    let (node, first) = world.beat(world.mint.node()).await;
    let later = first.plus(Duration::from_secs(15));
    world.fixture.presence().beat(&world.scope, node, later).await.unwrap();
    world.assert_online(&[(node, later)]).await;
}

pub async fn a_node_that_left_is_gone<F: PresenceFixture>() {
    let world = world::<F>().await;
    let (left, stays) = (world.mint.node(), world.beat(world.mint.node()).await);
    let leaves = world.beat(left).await;
    world.assert_online(&[leaves, stays]).await;
    world.fixture.other_node().leave(&world.scope, left).await.unwrap();
    world.assert_online(&[stays]).await;
    world.fixture.presence().leave(&world.scope, left).await.unwrap();
    world.fixture.presence().leave(&world.scope, world.mint.node()).await.unwrap();
    let back = world.beat(left).await;
    world.assert_online(&[stays, back]).await;
}

pub async fn nodes_are_their_own_tenants<F: PresenceFixture>() {
    let world = world::<F>().await;
    let (node, at) = world.beat(world.mint.node()).await;
    let other = TenantScope::for_maintenance(world.mint.tenant());
    let presence = world.fixture.presence();
    assert_eq!(presence.online(&other).await.unwrap(), []);
    presence.leave(&other, node).await.unwrap();
    world.assert_online(&[(node, at)]).await;
    let later = at.plus(Duration::from_secs(1));
    presence.beat(&other, node, later).await.unwrap();
    world.assert_online(&[(node, at)]).await;
    assert_eq!(presence.online(&other).await.unwrap(), [(node, later)]);
}

pub async fn a_node_without_a_beat_for_an_hour_is_gone<F: PresenceFixture>() {
    let world = world::<F>().await;
    let silent = world.beat(world.mint.node()).await;
    let node = world.mint.node();
    let early = world.beat(node).await;
    if !world.fixture.elapse(Duration::from_mins(50)) {
        return;
    }
    world.assert_online(&[silent, early]).await;
    let late = world.beat(node).await;
    world.fixture.elapse(Duration::from_mins(11));
    world.assert_online(&[late]).await;
    world.fixture.elapse(Duration::from_hours(1));
    world.assert_online(&[]).await;
}
