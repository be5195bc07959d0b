//! One connection out of several addresses (RFC 8305, "Happy Eyeballs").
//!
//! Always: both families take turns, the first address's family first; a further address is tried when one has failed, and
//! beside those that are silent after a quarter of a second; the first success ends all others. Not here: finding addresses
//! (`novagate_net`), the limit of it all (`connect`).

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::timeout;

/// How long an address is waited for before the next one is tried beside it (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// What the first address that answers gives, else the newest failure; `none` without an address. They are tried in their
/// order.
pub(super) async fn first<T, E, F>(addresses: &[SocketAddr], none: E, connect: impl Fn(SocketAddr) -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    if let [only] = addresses {
        return connect(*only).await;
    }
    let mut waiting = addresses.iter();
    let (mut running, mut fault) = (Vec::new(), none);
    loop {
        match waiting.next() {
            Some(address) => running.push(Box::pin(connect(*address))),
            None if running.is_empty() => return Err(fault),
            None => {}
        }
        let ended = poll_fn(|cx| poll_any(&mut running, cx));
        let ended = if waiting.len() == 0 { Some(ended.await) } else { timeout(ATTEMPT_DELAY, ended).await.ok() };
        match ended {
            Some(Ok(made)) => return Ok(made),
            Some(Err(cause)) => fault = cause,
            None => {}
        }
    }
}

/// Takes out the first one that has ended.
fn poll_any<F: Future>(running: &mut Vec<Pin<Box<F>>>, cx: &mut Context<'_>) -> Poll<F::Output> {
    for at in 0..running.len() {
        if let Some(Poll::Ready(ended)) = running.get_mut(at).map(|attempt| attempt.as_mut().poll(cx)) {
            drop(running.remove(at));
            return Poll::Ready(ended);
        }
    }
    Poll::Pending
}

/// The families in turn, each in its order (RFC 8305, section 4).
pub(super) fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let leads = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let of = |family: bool| addresses.iter().filter(move |address| address.is_ipv6() == family);
    let (mut first, mut second) = (of(leads), of(!leads));
    let mut order = Vec::with_capacity(addresses.len());
    while order.len() < addresses.len() {
        order.extend(first.next().into_iter().chain(second.next()));
    }
    order
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;
    use tokio::time::{Instant, sleep_until};

    use super::*;

    /// What an address does: it answers or fails after so many milliseconds.
    type Behaviour = (u64, Result<(), &'static str>);

    /// What comes of it, after how long, and when which address was tried.
    async fn race(script: &[(&str, Behaviour)]) -> (Result<String, &'static str>, u128, Vec<(String, u128)>) {
        let (begin, tried) = (Instant::now(), RefCell::new(Vec::new()));
        let addresses: Vec<SocketAddr> = script.iter().map(|(address, _)| address.parse().unwrap()).collect();
        let connect = |address: SocketAddr| {
            let text = address.to_string();
            tried.borrow_mut().push((text.clone(), begin.elapsed().as_millis()));
            let (_, (after, result)) = script.iter().find(|(each, _)| *each == text).copied().unwrap();
            async move {
                sleep_until(Instant::now() + Duration::from_millis(after)).await;
                result.map(|()| text)
            }
        };
        let outcome = first(&interleaved(&addresses), "none", connect).await;
        (outcome, begin.elapsed().as_millis(), tried.into_inner())
    }

    const FOUR: &str = "192.0.2.1:80";
    const FIVE: &str = "192.0.2.2:80";
    const SIX: &str = "[2001:db8::1]:80";

    #[tokio::test(start_paused = true)]
    async fn an_address_that_answers_at_once_is_the_only_one_that_is_tried() {
        let (outcome, after, tried) = race(&[(FOUR, (100, Ok(()))), (FIVE, (0, Ok(()))), (SIX, (0, Ok(())))]).await;
        assert_eq!((outcome, after, tried), (Ok(FOUR.to_owned()), 100, vec![(FOUR.to_owned(), 0)]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_costs_a_quarter_of_a_second() {
        let (outcome, after, tried) = race(&[(FOUR, (60_000, Ok(()))), (SIX, (10, Ok(())))]).await;
        assert_eq!((outcome, after), (Ok(SIX.to_owned()), 260));
        assert_eq!(tried, [(FOUR.to_owned(), 0), (SIX.to_owned(), 250)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_address_may_still_win() {
        let (outcome, after, _) = race(&[(FOUR, (300, Ok(()))), (SIX, (60_000, Ok(())))]).await;
        assert_eq!((outcome, after), (Ok(FOUR.to_owned()), 300));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_the_next_one_is_tried_at_once_and_of_the_other_family() {
        let script = [(FOUR, (10, Err("refused"))), (FIVE, (5, Ok(()))), (SIX, (20, Err("denied")))];
        let (outcome, after, tried) = race(&script).await;
        assert_eq!((outcome, after), (Ok(FIVE.to_owned()), 35));
        assert_eq!(tried, [(FOUR.to_owned(), 0), (SIX.to_owned(), 10), (FIVE.to_owned(), 30)]);
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_the_newest_failure_is_told() {
        let script = [(FOUR, (400, Err("late"))), (SIX, (10, Err("soon")))];
        let (outcome, after, _) = race(&script).await;
        assert_eq!((outcome, after), (Err("late"), 400));
        assert_eq!(race(&[]).await.0, Err("none"));
        assert_eq!(race(&[(SIX, (7, Err("only")))]).await.0, Err("only"));
    }

    proptest! {
        #[test]
        fn families_take_turns_and_nothing_is_lost(kinds in proptest::collection::vec(any::<bool>(), 0..12)) {
            let address = |(at, is_ipv6): (usize, &bool)| {
                let text = if *is_ipv6 { format!("[2001:db8::{at}]:1") } else { format!("192.0.2.{at}:1") };
                text.parse().unwrap()
            };
            let addresses: Vec<SocketAddr> = kinds.iter().enumerate().map(address).collect();
            let order = interleaved(&addresses);
            prop_assert_eq!(order.first(), addresses.first());
            for family in [false, true] {
                let of = |list: &[SocketAddr]| list.iter().copied().filter(|each| each.is_ipv6() == family).collect::<Vec<_>>();
                prop_assert_eq!(of(&order), of(&addresses));
            }
            let fewer = kinds.iter().filter(|kind| **kind).count().min(kinds.iter().filter(|kind| !**kind).count());
            let turns = order.windows(2).take((2 * fewer).saturating_sub(1));
            prop_assert!(turns.into_iter().all(|two| two[0].is_ipv6() != two[1].is_ipv6()), "{:?}", order);
        }
    }
}
