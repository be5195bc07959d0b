//! Sliding windows against an exact log of admissions, and the table under threads.

use std::time::Duration;

use novagate_kernel::Timestamp;
use proptest::prelude::*;

use super::*;

fn limit(max: u32, window_ms: u64) -> RateLimit {
    RateLimit { max, window: Duration::from_millis(window_ms) }
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// A key in the given shard.
fn key(shard: u8, number: u64) -> ClientKey {
    ClientKey::from_halves(number, u64::from(shard))
}

/// Sub-buckets are rounded up to whole microseconds.
fn slot_of(window_us: i64) -> i64 {
    (window_us + 59) / 60
}

#[test]
fn max_at_once_are_admitted_and_not_one_more() {
    let mut window = Window::default();
    let limit = limit(100, 60_000);
    for left in (0..100).rev() {
        let decision = window.admit(limit, at(5));
        assert!(decision.admitted);
        assert_eq!(decision.remaining, left);
    }
    let refused = window.admit(limit, at(5));
    assert!(!refused.admitted);
    assert!(refused.reset_after >= Duration::from_mins(1) - Duration::from_micros(5));
    assert!(refused.reset_after <= Duration::from_secs(61));
}

#[test]
fn refused_requests_are_not_counted() {
    let mut window = Window::default();
    let limit = limit(1, 1_000);
    assert!(window.admit(limit, at(0)).admitted);
    for now in (0..1_000_000).step_by(10_000) {
        assert!(!window.admit(limit, at(now)).admitted);
    }
    assert!(window.admit(limit, at(1_020_000)).admitted);
}

#[test]
fn a_clock_that_stepped_back_far_freezes_nothing_and_forgets_nothing() {
    let limit = limit(1, 1_000);
    for step_back in [1, 500_000, 1_000_000, 1_000_001, 5_000_000, 86_400_000_000, i64::MAX / 2] {
        let mut window = Window::default();
        assert!(window.admit(limit, at(0)).admitted);
        let refused = window.admit(limit, at(-step_back));
        assert!(!refused.admitted, "{step_back}");
        assert!(refused.reset_after <= Duration::from_millis(2_100), "{step_back}: {:?}", refused.reset_after);
        assert!(window.admit(limit, at(-step_back).plus(refused.reset_after)).admitted, "{step_back}");
    }
}

#[test]
fn the_ends_of_time_are_times_like_others() {
    let limit = limit(2, 86_400_000);
    for now in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX] {
        let mut window = Window::default();
        assert!(window.admit(limit, at(now)).admitted);
        assert!(window.admit(limit, at(now)).admitted);
        assert!(!window.admit(limit, at(now)).admitted);
    }
}

#[test]
fn a_lowered_limit_waits_until_enough_have_left() {
    let mut window = Window::default();
    for second in 0..10 {
        assert!(window.admit(limit(10, 60_000), at(second * 1_000_000)).admitted);
    }
    let refused = window.admit(limit(3, 60_000), at(10_000_000));
    assert_eq!((refused.admitted, refused.remaining), (false, 0));
    // Eight of the ten have to leave; the eighth came at second 7 and leaves with its sub-bucket.
    assert_eq!(refused.reset_after, Duration::from_secs(58));
    assert!(!window.admit(limit(3, 60_000), at(67_999_999)).admitted);
    assert!(window.admit(limit(3, 60_000), at(68_000_000)).admitted);
}

#[test]
fn a_window_of_another_length_goes_on_with_what_was_counted() {
    let mut window = Window::default();
    for _ in 0..5 {
        assert!(window.admit(limit(5, 1_000), at(0)).admitted);
    }
    assert!(!window.admit(limit(5, 60_000), at(900_000)).admitted);
    assert!(!window.admit(limit(5, 60_000), at(60_000_000)).admitted);
    assert!(window.admit(limit(5, 60_000), at(61_000_000)).admitted);
}

#[test]
fn the_tighter_bucket_is_the_one_that_binds() {
    let decision = |admitted, remaining, seconds| Decision {
        admitted,
        limit: limit(10, 1000),
        remaining,
        reset_after: Duration::from_secs(seconds),
    };
    let tighter = |client, route| Admission { client, route }.tighter().map(|(side, _)| side);
    assert_eq!(tighter(None, None), None);
    assert_eq!(tighter(Some(decision(true, 5, 1)), None), Some(BucketSide::Client));
    assert_eq!(tighter(Some(decision(true, 5, 1)), Some(decision(true, 4, 1))), Some(BucketSide::Route));
    assert_eq!(tighter(Some(decision(true, 0, 1)), Some(decision(false, 0, 1))), Some(BucketSide::Route));
    assert_eq!(tighter(Some(decision(false, 0, 9)), Some(decision(false, 0, 1))), Some(BucketSide::Client));
    assert_eq!(tighter(Some(decision(true, 5, 1)), Some(decision(true, 5, 2))), Some(BucketSide::Route));
}

/// How time goes on between two requests.
#[derive(Debug, Clone)]
enum Step {
    /// True time and clock go on.
    Wait(i64),
    /// The clock steps back, and stays behind.
    Back(i64),
}

fn steps(window_us: i64) -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![
        4 => Just(0),
        4 => 0..=window_us / 200,
        4 => 0..=window_us / 10,
        1 => window_us - 2..=window_us + slot_of(window_us) + 2,
        1 => 0..=3 * window_us,
    ];
    let back = prop_oneof![0..=slot_of(window_us), 0..=window_us + slot_of(window_us) * 2, 0..=20 * window_us];
    let step = prop_oneof![12 => wait.prop_map(Step::Wait), 1 => back.prop_map(Step::Back)];
    proptest::collection::vec(step, 1..400)
}

proptest! {
    #[test]
    fn never_more_than_max_in_any_window_however_the_clock_steps_back(
        (window_ms, steps) in prop_oneof![Just(1_000_u64), Just(1_001), Just(60_000), 1_000..100_000_u64]
            .prop_flat_map(|ms| (Just(ms), steps(i64::try_from(ms).unwrap() * 1000))),
        max in 1_u32..20,
        start in any::<i32>(),
    ) {
        let limit = limit(max, window_ms);
        let window_us = i64::try_from(window_ms).unwrap() * 1000;
        let slot = slot_of(window_us);
        let (mut truth, mut clock) = (0_i64, i64::from(start) * 1000);
        let mut window = Window::default();
        let mut log: Vec<i64> = Vec::new();
        let mut stepped = false;
        for step in steps {
            match step {
                Step::Wait(by) => { truth += by; clock += by; }
                Step::Back(by) => { clock -= by; stepped = true; }
            }
            let decision = window.admit(limit, at(clock));
            let within = |span: i64| log.iter().filter(|&&when| when > truth - span).count();
            if decision.admitted {
                prop_assert!(within(window_us) < max as usize, "over-admitted");
                log.push(truth);
            } else {
                // An entry stays one sub-bucket longer at most, while the clock only goes forward.
                prop_assert!(stepped || within(window_us + slot + 1) >= max as usize, "refused without need");
                let wait = i64::try_from(decision.reset_after.as_micros()).unwrap();
                prop_assert!(wait <= 2 * window_us + 4 * slot, "frozen for {}", wait);
                prop_assert!(window.clone().admit(limit, at(clock + wait)).admitted, "Retry-After was too short");
                prop_assert!(wait == 0 || !window.clone().admit(limit, at(clock + wait - 1)).admitted || stepped);
            }
        }
    }

    #[test]
    fn both_buckets_are_charged_or_neither_as_two_windows_would_be(
        requests in proptest::collection::vec((0_u64..4, 0_u64..3, any::<bool>(), any::<bool>(), 0_i64..400_000), 1..300),
    ) {
        let table = LimitTable::new(2_000);
        let mut clients: Vec<Window> = vec![Window::default(); 4];
        let mut routes: Vec<Window> = vec![Window::default(); 3];
        let (client_limit, route_limit) = (limit(5, 2_000), limit(7, 3_000));
        let mut now = 0;
        for (client, route, with_client, with_route, wait) in requests {
            now += wait;
            // Clients 0 and 1 share a shard with routes.
            let client_ask = with_client.then(|| (key(u8::from(client > 1), client), client_limit));
            let route_ask = with_route.then(|| (key(0, 100 + route), route_limit));
            let got = table.admit_two(client_ask, route_ask, at(now));
            let client = client_ask.map(|_| &mut clients[usize::try_from(client).unwrap()]);
            let route = route_ask.map(|_| &mut routes[usize::try_from(route).unwrap()]);
            let mut expected = Admission::default();
            let mut both = [(client, client_limit, &mut expected.client), (route, route_limit, &mut expected.route)];
            for (window, limit, slot) in &mut both {
                **slot = window.as_deref_mut().map(|window| window.check(*limit, at(now)));
            }
            if both.iter().all(|(_, _, decision)| decision.is_none_or(|decision| decision.admitted)) {
                for (window, _, slot) in &mut both {
                    **slot = window.as_deref_mut().zip(**slot).map(|(window, before)| window.charge(before, at(now)));
                }
            }
            prop_assert_eq!(got, expected);
        }
    }
}

#[test]
fn two_new_buckets_in_one_shard_are_two_buckets() {
    let table = LimitTable::default();
    let (client, route) = ((key(1, 1), limit(5, 1_000)), (key(1, 2), limit(9, 1_000)));
    let admission = table.admit_two(Some(client), Some(route), at(0));
    assert_eq!((admission.client.unwrap().remaining, admission.route.unwrap().remaining), (4, 8));
    assert_eq!(table.tracked(), 2);
}

#[test]
fn threads_together_never_get_more_than_the_limit() {
    let table = LimitTable::default();
    let limit = limit(1_000, 60_000);
    let admitted: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let table = &table;
                scope.spawn(move || {
                    let ask = Some((key(9, 1), limit));
                    (0..2_000).filter(|step| table.admit_two(ask, None, at(step * 3 + worker)).admitted()).count()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(admitted, 1_000);
}

#[test]
fn threads_with_crossing_pairs_of_buckets_neither_block_nor_over_admit() {
    let table = LimitTable::default();
    let (one, two) = ((key(3, 1), limit(500, 60_000)), (key(200, 2), limit(700, 60_000)));
    let admitted: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = [(one, two), (two, one), (one, two), (two, one)]
            .into_iter()
            .map(|(client, route)| {
                let table = &table;
                scope.spawn(move || {
                    (0..2_000).filter(|_| table.admit_two(Some(client), Some(route), at(1)).admitted()).count()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(admitted, 500);
    // The refusals of the first bucket charged nothing to the second.
    let rest = (0..1_000).filter(|_| table.admit_two(Some(two), None, at(1)).admitted()).count();
    assert_eq!(rest, 200);
}

#[test]
fn beyond_the_capacity_the_longest_idle_goes_and_is_counted() {
    let table = LimitTable::new(1_024);
    let limit = limit(2, 60_000);
    let busy = key(7, 0);
    let mut admitted = 0;
    for number in 1..20_000_u64 {
        let now = at(i64::try_from(number).unwrap());
        admitted += u32::from(table.admit_two(Some((busy, limit)), None, now).admitted());
        let shard = number.to_le_bytes()[0];
        assert!(table.admit_two(Some((key(shard, number), limit)), None, now).admitted());
        assert!(table.tracked() <= 1_024, "{}", table.tracked());
    }
    assert_eq!(admitted, 2, "a client in use keeps its window");
    assert_eq!(usize::try_from(table.evicted()).unwrap(), 20_000 - table.tracked());
}

#[test]
fn windows_that_have_run_out_are_cleared_away_without_being_counted() {
    let table = LimitTable::default();
    let limit = limit(2, 1_000);
    for number in 0..10_000_u64 {
        let now = at(i64::try_from(number).unwrap() * 100_000);
        assert!(table.admit_two(Some((key(1, number), limit)), None, now).admitted());
        assert!(table.tracked() < 20);
    }
    assert_eq!(table.evicted(), 0);
}

#[test]
fn a_client_with_few_requests_costs_few_bytes() {
    assert!(size_of::<Window>() <= 48, "{}", size_of::<Window>());
}

#[test]
fn a_table_prints_counts_and_no_clients() {
    assert_eq!(format!("{:?}", LimitTable::default()), "LimitTable { tracked: 0, evicted: 0, .. }");
}
