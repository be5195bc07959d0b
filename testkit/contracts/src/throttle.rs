//! The contract of [`Throttle`].
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use novagate_fixtures::{START, SeededEntropy};
use novagate_kernel::Timestamp;
use novagate_ports_control::outbound::{Throttle, ThrottleRule};

use crate::stores::{MICROSECOND, after};

/// A throttle for one case.
pub trait ThrottleFixture: Sized + Send + Sync {
    /// A throttle that has seen nothing.
    fn fresh() -> impl Future<Output = Self> + Send;

    /// The throttle.
    fn throttle(&self) -> Arc<dyn Throttle>;
}

/// Runs the suite of throttles over a [`ThrottleFixture`](crate::ThrottleFixture).
#[macro_export]
macro_rules! throttle_contract {
    ($fixture:ty) => {
        $crate::cases!(
            throttle, $fixture:
            as_many_as_allowed_are_admitted_at_once,
            never_more_than_allowed_in_any_window,
            after_the_wait_one_is_admitted,
            refused_attempts_are_not_counted,
            racing_attempts_are_admitted_as_often_as_allowed,
            the_count_is_of_admitted_attempts_within_the_window,
            a_cleared_key_begins_anew,
            keys_do_not_share,
            a_clock_that_steps_back_admits_nobody_more,
            nothing_is_admitted_where_nothing_is_allowed,
        );
    };
}

const RULE: ThrottleRule = ThrottleRule { max: 5, window: Duration::from_mins(15) };

async fn attempt(throttle: &Arc<dyn Throttle>, key: &str, rule: ThrottleRule, now: Timestamp) -> Option<Duration> {
    let wait = throttle.attempt(key, rule, now).await.unwrap();
    assert!(wait.is_none_or(|wait| !wait.is_zero()), "a refused attempt has to wait");
    wait
}

pub async fn as_many_as_allowed_are_admitted_at_once<F: ThrottleFixture>() {
    let throttle = F::fresh().await.throttle();
    for _ in 0..RULE.max {
        assert_eq!(attempt(&throttle, "a", RULE, START).await, None);
    }
    assert_eq!(attempt(&throttle, "a", RULE, START).await, Some(RULE.window));
}

pub async fn never_more_than_allowed_in_any_window<F: ThrottleFixture>() {
    let throttle = F::fresh().await.throttle();
    for seed in 0..40 {
        let entropy = SeededEntropy::new(seed);
        let max = 1 + u32::try_from(entropy.below(8)).unwrap();
        let rule = ThrottleRule { max, window: Duration::from_micros(1_000 + entropy.below(1_000_000)) };
        let longest_step = 2 * u64::try_from(rule.window.as_micros()).unwrap() / u64::from(max);
        let (key, mut now) = (format!("seed-{seed}"), START);
        let mut admitted: Vec<Timestamp> = Vec::new();
        for _ in 0..150 {
            if let Some(wait) = attempt(&throttle, &key, rule, now).await {
                assert!(wait <= rule.window, "seed {seed}: {wait:?} is longer than the window");
                now = if entropy.below(4) == 0 { now.plus(wait) } else { now.plus(MICROSECOND) };
            } else {
                admitted.push(now);
                now = now.plus(Duration::from_micros(entropy.below(longest_step)));
            }
        }
        for pair in admitted.windows(rule.max as usize + 1) {
            let (first, last) = (pair[0], pair[pair.len() - 1]);
            assert!(last.since(first) >= rule.window, "seed {seed}: {} within {:?}", pair.len(), rule.window);
        }
    }
}

pub async fn after_the_wait_one_is_admitted<F: ThrottleFixture>() {
    let throttle = F::fresh().await.throttle();
    let entropy = SeededEntropy::new(1);
    let mut now = START;
    for round in 0..60 {
        if let Some(wait) = attempt(&throttle, "a", RULE, now).await {
            let early = now.plus(wait).minus(MICROSECOND);
            assert!(attempt(&throttle, "a", RULE, early).await.is_some(), "round {round}: the wait was too long");
            now = now.plus(wait);
            assert_eq!(attempt(&throttle, "a", RULE, now).await, None, "round {round}: the wait was not enough");
        }
        now = now.plus(Duration::from_micros(entropy.below(200_000_000)));
    }
}

pub async fn refused_attempts_are_not_counted<F: ThrottleFixture>() {
    let throttle = F::fresh().await.throttle();
    for _ in 0..RULE.max {
        attempt(&throttle, "a", RULE, START).await;
    }
    for seconds in 0..RULE.window.as_secs() {
        assert!(attempt(&throttle, "a", RULE, after(seconds)).await.is_some());
    }
    assert_eq!(throttle.count("a", RULE, after(899)).await.unwrap(), RULE.max);
    for _ in 0..RULE.max {
        assert_eq!(attempt(&throttle, "a", RULE, after(900)).await, None);
    }
}

pub async fn racing_attempts_are_admitted_as_often_as_allowed<F: ThrottleFixture>() {
    let throttle = F::fresh().await.throttle();
    let outcomes = join_all((0..20).map(|_| attempt(&throttle, "a", RULE, START))).await;
    assert_eq!(outcomes.into_iter().filter(Option::is_none).count(), RULE.max as usize);
}

pub async fn the_count_is_of_admitted_attempts_within_the_window<F: ThrottleFixture>() {
    let throttle = F::fresh().await.throttle();
    assert_eq!(throttle.count("a", RULE, START).await.unwrap(), 0);
    for seconds in [0, 100, 200] {
        attempt(&throttle, "a", RULE, after(seconds)).await;
    }
    for (seconds, expected) in [(200, 3), (899, 3), (901, 2), (1_001, 1), (1_101, 0)] {
        assert_eq!(throttle.count("a", RULE, after(seconds)).await.unwrap(), expected, "after {seconds} s");
    }
}

pub async fn a_cleared_key_begins_anew<F: ThrottleFixture>() {
    let throttle = F::fresh().await.throttle();
    for key in ["a", "b"] {
        for _ in 0..RULE.max {
            attempt(&throttle, key, RULE, START).await;
        }
    }
    throttle.clear("a").await.unwrap();
    throttle.clear("never seen").await.unwrap();
    assert_eq!(throttle.count("a", RULE, START).await.unwrap(), 0);
    assert_eq!(attempt(&throttle, "a", RULE, START).await, None);
    assert!(attempt(&throttle, "b", RULE, START).await.is_some());
}

pub async fn keys_do_not_share<F: ThrottleFixture>() {
    let throttle = F::fresh().await.throttle();
    let keys = ["a", "A", "a ", "a:b", "", "\u{8336}"];
    for key in keys {
        for _ in 0..RULE.max {
            assert_eq!(attempt(&throttle, key, RULE, START).await, None, "{key:?}");
        }
        assert!(attempt(&throttle, key, RULE, START).await.is_some(), "{key:?}");
    }
}

pub async fn a_clock_that_steps_back_admits_nobody_more<F: ThrottleFixture>() {
    let throttle = F::fresh().await.throttle();
    for _ in 0..RULE.max {
        attempt(&throttle, "a", RULE, after(10_000)).await;
    }
    let now = after(9_990);
    let wait = attempt(&throttle, "a", RULE, now).await.expect("as many as allowed were admitted");
    assert_eq!(attempt(&throttle, "a", RULE, now.plus(wait)).await, None);
}

pub async fn nothing_is_admitted_where_nothing_is_allowed<F: ThrottleFixture>() {
    let throttle = F::fresh().await.throttle();
    let rule = ThrottleRule { max: 0, ..RULE };
    for seconds in [0, 1, 10_000] {
        assert!(attempt(&throttle, "a", rule, after(seconds)).await.is_some());
    }
    assert_eq!(throttle.count("a", rule, after(10_000)).await.unwrap(), 0);
}
