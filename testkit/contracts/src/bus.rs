//! The contract of [`Bus`].
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use novagate_fixtures::{Mint, START};
use novagate_kernel::{Head, Revision};
use novagate_ports_control::outbound::{Bus, BusSubscription, Wake};
use tokio::time::timeout;

/// A bus between control nodes for one case.
pub trait BusFixture: Sized + Send + Sync {
    /// A bus that no other case knows.
    fn fresh() -> impl Future<Output = Self> + Send;

    /// The bus as one control node sees it.
    fn bus(&self) -> Arc<dyn Bus>;

    /// The same bus as another control node sees it.
    fn other_node(&self) -> Arc<dyn Bus>;
}

/// Runs the suite of the bus over a [`BusFixture`](crate::BusFixture).
#[macro_export]
macro_rules! bus_contract {
    ($fixture:ty) => {
        $crate::cases!(
            bus, $fixture:
            a_subscriber_hears_everything_in_order,
            a_subscriber_does_not_hear_what_was_before,
            every_subscriber_of_every_node_hears_everything,
            what_racing_publishers_say_all_arrives,
            nobody_waits_for_a_slow_subscriber_and_it_learns_of_its_loss,
            listening_can_be_given_up_without_loss,
            a_subscriber_that_left_bothers_nobody,
            nobody_has_to_listen,
        );
    };
}

/// Far more than any bus takes; only a failing case waits that long.
const PATIENCE: Duration = Duration::from_secs(20);

fn wake(mint: &Mint, seq: u64) -> Wake {
    let head = mint.first_head();
    let head = Head { revision: Revision { seq, ..head.revision }, ..head };
    Wake::Config { tenant: mint.tenant(), head }
}

fn seq_of(wake: &Wake) -> u64 {
    match wake {
        Wake::Config { head, .. } => head.revision.seq,
        Wake::ConsumerKeysRevoked { .. }
        | Wake::GatewayKeyRevoked { .. }
        | Wake::TenantClosed { .. }
        | Wake::NodeSeen { .. } => 0,
    }
}

async fn heard(subscription: &mut Box<dyn BusSubscription>) -> Option<Wake> {
    timeout(PATIENCE, subscription.next()).await.expect("something to hear in time")
}

pub async fn a_subscriber_hears_everything_in_order<F: BusFixture>() {
    let (fixture, mint) = (F::fresh().await, Mint::new(1));
    let bus = fixture.bus();
    let mut subscription = bus.subscribe().await.unwrap();
    let tenant = mint.tenant();
    let wakes = [
        wake(&mint, 7),
        Wake::ConsumerKeysRevoked { tenant, keys: vec![mint.key_digest(), mint.key_digest()] },
        Wake::ConsumerKeysRevoked { tenant, keys: vec![] },
        Wake::GatewayKeyRevoked { tenant, key: mint.gateway_key() },
        Wake::TenantClosed { tenant },
        Wake::NodeSeen { tenant, node: mint.node(), boot: mint.boot(), session: mint.session(), at: START },
        wake(&mint, 8),
    ];
    for wake in &wakes {
        bus.publish(wake).await.unwrap();
    }
    for wake in wakes {
        assert_eq!(heard(&mut subscription).await, Some(wake));
    }
    assert!(subscription.next().now_or_never().is_none(), "nothing else was said");
}

pub async fn a_subscriber_does_not_hear_what_was_before<F: BusFixture>() {
    let (fixture, mint) = (F::fresh().await, Mint::new(2));
    let bus = fixture.bus();
    bus.publish(&wake(&mint, 1)).await.unwrap();
    let mut subscription = bus.subscribe().await.unwrap();
    let later = wake(&mint, 2);
    bus.publish(&later).await.unwrap();
    assert_eq!(heard(&mut subscription).await, Some(later));
}

pub async fn every_subscriber_of_every_node_hears_everything<F: BusFixture>() {
    let (fixture, mint) = (F::fresh().await, Mint::new(3));
    let (bus, other) = (fixture.bus(), fixture.other_node());
    let mut subscriptions = Vec::new();
    for node in [&bus, &bus, &other] {
        subscriptions.push(node.subscribe().await.unwrap());
    }
    for (seq, node) in [&bus, &other].into_iter().enumerate() {
        let wake = wake(&mint, seq as u64);
        node.publish(&wake).await.unwrap();
        for subscription in &mut subscriptions {
            assert_eq!(heard(subscription).await.as_ref(), Some(&wake));
        }
    }
}

pub async fn what_racing_publishers_say_all_arrives<F: BusFixture>() {
    let (fixture, mint) = (F::fresh().await, Mint::new(4));
    let bus = fixture.bus();
    let mut subscription = bus.subscribe().await.unwrap();
    let wakes: Vec<Wake> = (1..=50).map(|seq| wake(&mint, seq)).collect();
    for outcome in join_all(wakes.iter().map(|wake| bus.publish(wake))).await {
        outcome.unwrap();
    }
    let mut seqs = Vec::new();
    for _ in &wakes {
        seqs.push(seq_of(&heard(&mut subscription).await.expect("nothing was lost")));
    }
    seqs.sort_unstable();
    assert!(seqs.into_iter().eq(1..=50));
}

pub async fn nobody_waits_for_a_slow_subscriber_and_it_learns_of_its_loss<F: BusFixture>() {
    const WAKES: u64 = 5_000;
    let (fixture, mint) = (F::fresh().await, Mint::new(5));
    let bus = fixture.bus();
    let mut slow = bus.subscribe().await.unwrap();
    for seq in 1..=WAKES {
        timeout(PATIENCE, bus.publish(&wake(&mint, seq))).await.expect("nobody waits").unwrap();
    }
    let mut expected = Some(1);
    let mut last = 0;
    while last < WAKES {
        match heard(&mut slow).await {
            None => expected = None,
            Some(wake) => {
                let seq = seq_of(&wake);
                assert!(seq > last, "out of order: {seq} after {last}");
                assert!(expected.is_none_or(|expected| expected == seq), "{last} to {seq} were lost without a word");
                last = seq;
                expected = Some(seq + 1);
            }
        }
    }
    let fresh = wake(&mint, WAKES + 1);
    bus.publish(&fresh).await.unwrap();
    assert_eq!(heard(&mut slow).await, Some(fresh), "it hears on");
}

pub async fn listening_can_be_given_up_without_loss<F: BusFixture>() {
    let (fixture, mint) = (F::fresh().await, Mint::new(6));
    let bus = fixture.bus();
    let mut subscription = bus.subscribe().await.unwrap();
    let mut seqs = Vec::new();
    for seq in 1..=100 {
        assert!(
            seq % 3 > 0
                || subscription.next().now_or_never().flatten().is_none_or(|wake| {
                    seqs.push(seq_of(&wake));
                    true
                })
        );
        bus.publish(&wake(&mint, seq)).await.unwrap();
    }
    while seqs.len() < 100 {
        // Given up after a moment again and again: what arrived in that moment must be there next time.
        if let Ok(wake) = timeout(Duration::from_micros(50), subscription.next()).await {
            seqs.push(seq_of(&wake.expect("nothing was lost")));
        }
    }
    assert!(seqs.into_iter().eq(1..=100));
}

pub async fn a_subscriber_that_left_bothers_nobody<F: BusFixture>() {
    let (fixture, mint) = (F::fresh().await, Mint::new(7));
    let bus = fixture.bus();
    let left = bus.subscribe().await.unwrap();
    let mut stays = bus.subscribe().await.unwrap();
    drop(left);
    for seq in 0..10 {
        let wake = wake(&mint, seq);
        bus.publish(&wake).await.unwrap();
        assert_eq!(heard(&mut stays).await, Some(wake));
    }
}

pub async fn nobody_has_to_listen<F: BusFixture>() {
    let (fixture, mint) = (F::fresh().await, Mint::new(8));
    for seq in 0..10 {
        fixture.bus().publish(&wake(&mint, seq)).await.unwrap();
    }
}
