//! The contract of [`SharedCounter`].
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use novagate_policies::{Admission, RateLimit, SharedAsk, SharedKey};
use novagate_ports_edge::SharedCounter;

/// A counter that a fleet shares, for one case.
pub trait SharedCounterFixture: Sized + Send + Sync {
    /// A counter that has seen nothing.
    fn fresh() -> impl Future<Output = Self> + Send;

    /// The counter as a worker of one node sees it.
    fn counter(&self) -> Arc<dyn SharedCounter>;

    /// The same as a worker of another node sees it.
    fn other_node(&self) -> Arc<dyn SharedCounter>;

    /// Time since the fixture was made, by a clock that goes as the counter's does.
    fn elapsed(&self) -> Duration;

    /// Lets a moment pass, at most a few milliseconds.
    fn tick(&self) -> impl Future<Output = ()> + Send;
}

/// Runs the suite of shared counters over a [`SharedCounterFixture`](crate::SharedCounterFixture).
#[macro_export]
macro_rules! shared_counter_contract {
    ($fixture:ty) => {
        $crate::cases!(
            shared_counter, $fixture:
            as_many_as_allowed_are_admitted_at_once_over_all_nodes,
            racing_requests_are_admitted_as_often_as_allowed,
            a_refusal_of_one_bucket_charges_neither,
            refused_requests_are_not_counted_and_after_the_wait_one_is_admitted,
            never_more_than_allowed_in_any_window,
            buckets_do_not_share_and_what_is_not_asked_is_not_answered,
            a_lowered_limit_holds_at_once,
        );
    };
}

const LONG: Duration = Duration::from_mins(10);

#[expect(clippy::unnecessary_wraps, reason = "as a counter takes it")]
fn ask(number: u8, max: u32, window: Duration) -> Option<SharedAsk> {
    Some(SharedAsk { key: SharedKey::from_hash([number; 16]), limit: RateLimit { max, window } })
}

async fn admit(counter: &Arc<dyn SharedCounter>, client: Option<SharedAsk>, route: Option<SharedAsk>) -> Admission {
    counter.admit(client, route).await.unwrap()
}

pub async fn as_many_as_allowed_are_admitted_at_once_over_all_nodes<F: SharedCounterFixture>() {
    let fixture = F::fresh().await;
    let nodes = [fixture.counter(), fixture.other_node()];
    for number in 0..10_u32 {
        let node = &nodes[usize::try_from(number).unwrap() % 2];
        let decision = admit(node, ask(1, 10, LONG), None).await.client.unwrap();
        assert_eq!((decision.admitted, decision.remaining), (true, 9 - number));
        assert_eq!(decision.limit.max, 10);
        assert!(!decision.reset_after.is_zero() && decision.reset_after <= LONG);
    }
    for node in &nodes {
        let decision = admit(node, ask(1, 10, LONG), None).await.client.unwrap();
        assert_eq!((decision.admitted, decision.remaining), (false, 0));
        assert!(decision.reset_after <= LONG);
    }
}

pub async fn racing_requests_are_admitted_as_often_as_allowed<F: SharedCounterFixture>() {
    let fixture = F::fresh().await;
    let nodes = [fixture.counter(), fixture.other_node()];
    let requests = (0..60_usize).map(|number| admit(&nodes[number % 2], ask(1, 25, LONG), ask(2, 40, LONG)));
    let outcomes = join_all(requests).await;
    assert_eq!(outcomes.iter().filter(|admission| admission.admitted()).count(), 25);
}

pub async fn a_refusal_of_one_bucket_charges_neither<F: SharedCounterFixture>() {
    let fixture = F::fresh().await;
    let counter = fixture.counter();
    for _ in 0..2 {
        assert!(admit(&counter, ask(1, 5, LONG), ask(2, 2, LONG)).await.admitted());
    }
    for _ in 0..10 {
        let refused = admit(&counter, ask(1, 5, LONG), ask(2, 2, LONG)).await;
        let (client, route) = (refused.client.unwrap(), refused.route.unwrap());
        assert_eq!((client.admitted, client.remaining, route.admitted, route.remaining), (true, 3, false, 0));
    }
    for _ in 0..3 {
        assert!(admit(&counter, ask(1, 5, LONG), ask(3, 5, LONG)).await.admitted());
    }
    let refused = admit(&counter, ask(1, 5, LONG), ask(3, 5, LONG)).await;
    assert_eq!((refused.client.unwrap().admitted, refused.route.unwrap().remaining), (false, 2));
}

pub async fn refused_requests_are_not_counted_and_after_the_wait_one_is_admitted<F: SharedCounterFixture>() {
    const WINDOW: Duration = Duration::from_millis(300);
    let fixture = F::fresh().await;
    let counter = fixture.counter();
    for _ in 0..3 {
        let began = fixture.elapsed();
        while admit(&counter, ask(1, 2, WINDOW), None).await.admitted() {}
        let wait = admit(&counter, ask(1, 2, WINDOW), None).await.client.unwrap().reset_after;
        let told = fixture.elapsed();
        assert!(wait <= WINDOW);
        // Whoever asks in vain all the time waits no longer for it.
        while !admit(&counter, ask(1, 2, WINDOW), None).await.admitted() {
            assert!(fixture.elapsed() < told + wait + Duration::from_secs(10), "the wait was not enough");
            fixture.tick().await;
        }
        assert!(fixture.elapsed() >= began + wait, "the wait was too long");
    }
}

pub async fn never_more_than_allowed_in_any_window<F: SharedCounterFixture>() {
    const WINDOW: Duration = Duration::from_millis(60);
    const MAX: usize = 5;
    let fixture = F::fresh().await;
    let nodes = [fixture.counter(), fixture.other_node()];
    let mut admitted: Vec<(Duration, Duration)> = Vec::new();
    let mut number = 0;
    while fixture.elapsed() < 8 * WINDOW {
        number += 1;
        let before = fixture.elapsed();
        if admit(&nodes[number % 2], ask(1, 5, WINDOW), None).await.admitted() {
            admitted.push((before, fixture.elapsed()));
        }
        if number % 3 == 0 {
            fixture.tick().await;
        }
    }
    assert!(admitted.len() > MAX);
    for span in admitted.windows(MAX + 1) {
        let ((first, _), (_, last)) = (span[0], span[MAX]);
        assert!(last >= first + WINDOW, "{} between {first:?} and {last:?}", MAX + 1);
    }
}

pub async fn buckets_do_not_share_and_what_is_not_asked_is_not_answered<F: SharedCounterFixture>() {
    let fixture = F::fresh().await;
    let counter = fixture.counter();
    assert_eq!(admit(&counter, None, None).await, Admission::default());
    assert!(admit(&counter, ask(1, 1, LONG), None).await.admitted());
    assert!(!admit(&counter, ask(1, 1, LONG), None).await.admitted());
    let other = admit(&counter, None, ask(2, 1, LONG)).await;
    assert!(other.client.is_none() && other.route.unwrap().admitted);
    // A bucket is the same on whichever side it stands.
    assert!(!admit(&counter, None, ask(1, 1, LONG)).await.admitted());
}

pub async fn a_lowered_limit_holds_at_once<F: SharedCounterFixture>() {
    let fixture = F::fresh().await;
    let counter = fixture.counter();
    for _ in 0..10 {
        assert!(admit(&counter, ask(1, 10, LONG), None).await.admitted());
    }
    let refused = admit(&counter, ask(1, 3, LONG), None).await.client.unwrap();
    assert_eq!((refused.admitted, refused.remaining), (false, 0));
    let raised = admit(&counter, ask(1, 12, LONG), None).await.client.unwrap();
    assert_eq!((raised.admitted, raised.remaining), (true, 1));
}
