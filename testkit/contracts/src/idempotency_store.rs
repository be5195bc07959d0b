//! The contract of [`IdempotencyStore`](novagate_ports_control::outbound::IdempotencyStore).
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use bytes::Bytes;
use futures_util::future::join_all;
use novagate_kernel::{Digest, Timestamp};
use novagate_ports_control::outbound::{IdempotencyStore as _, IdempotentBegin, IdempotentReply};

use crate::stores::{MICROSECOND, StoreFixture, Tenant, World, after};

/// Runs the suite of remembered POSTs over a [`StoreFixture`](crate::StoreFixture).
#[macro_export]
macro_rules! idempotency_store_contract {
    ($fixture:ty) => {
        $crate::cases!(
            idempotency_store, $fixture:
            a_finished_post_is_answered_again,
            a_running_post_is_in_progress,
            of_racing_claims_exactly_one_starts,
            of_racing_claims_after_the_claimant_died_exactly_one_starts,
            a_key_with_another_request_is_reused,
            an_abandoned_key_is_new_again,
            an_unfinished_claim_ends_after_a_minute,
            an_answer_ends_after_a_day,
            a_key_is_its_own_tenants,
            an_answer_survives_a_restart,
        );
    };
}

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * 60;

struct Post {
    tenant: Tenant,
    key: Digest,
    request: Digest,
}

async fn post<F: StoreFixture>(world: &World<F>) -> Post {
    Post { tenant: world.tenant().await, key: world.mint.digest(), request: world.mint.digest() }
}

async fn begin<F: StoreFixture>(world: &World<F>, post: &Post, now: Timestamp) -> IdempotentBegin {
    world.store().begin(&post.tenant.scope, post.key, post.request, now).await.unwrap()
}

/// A body that no text column would keep.
fn reply() -> IdempotentReply {
    IdempotentReply { status: 201, body: Bytes::from_static(b"{\"id\":\"\xf0\x9f\xa6\x80\", \"key\":null}\r\n") }
}

async fn finish<F: StoreFixture>(world: &World<F>, post: &Post) {
    world.store().finish(&post.tenant.scope, post.key, &reply()).await.unwrap();
}

pub async fn a_finished_post_is_answered_again<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let post = post(&world).await;
    assert_eq!(begin(&world, &post, after(0)).await, IdempotentBegin::Started);
    finish(&world, &post).await;
    for seconds in [0, 1, MINUTE + 1] {
        assert_eq!(begin(&world, &post, after(seconds)).await, IdempotentBegin::Done(reply()));
    }
}

pub async fn a_running_post_is_in_progress<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let post = post(&world).await;
    assert_eq!(begin(&world, &post, after(0)).await, IdempotentBegin::Started);
    for seconds in [0, 1, MINUTE - 1] {
        assert_eq!(begin(&world, &post, after(seconds)).await, IdempotentBegin::InProgress);
    }
}

pub async fn of_racing_claims_exactly_one_starts<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let post = post(&world).await;
    assert_one_starts(&join_all((0..8).map(|_| begin(&world, &post, after(0)))).await);
}

fn assert_one_starts(outcomes: &[IdempotentBegin]) {
    let started = outcomes.iter().filter(|outcome| **outcome == IdempotentBegin::Started).count();
    let running = outcomes.iter().filter(|outcome| **outcome == IdempotentBegin::InProgress).count();
    assert_eq!((started, running), (1, outcomes.len() - 1), "{outcomes:?}");
}

pub async fn of_racing_claims_after_the_claimant_died_exactly_one_starts<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let post = post(&world).await;
    begin(&world, &post, after(0)).await;
    // The claimant has died: whoever comes after the minute takes over, and only one of them.
    assert_one_starts(&join_all((0..8).map(|_| begin(&world, &post, after(MINUTE + 1)))).await);
}

pub async fn a_key_with_another_request_is_reused<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let first = post(&world).await;
    let second = Post { request: world.mint.digest(), ..first };
    assert_eq!(begin(&world, &second, after(0)).await, IdempotentBegin::Started);
    let other = Post { request: world.mint.digest(), ..second };
    assert_eq!(begin(&world, &other, after(1)).await, IdempotentBegin::Reused, "while it runs");
    finish(&world, &other).await;
    assert_eq!(begin(&world, &other, after(2)).await, IdempotentBegin::Reused, "and once it is done");
    let next = Post { key: world.mint.digest(), ..other };
    assert_eq!(begin(&world, &next, after(3)).await, IdempotentBegin::Started, "another key is another matter");
}

pub async fn an_abandoned_key_is_new_again<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let post = post(&world).await;
    for seconds in 0..3 {
        assert_eq!(begin(&world, &post, after(seconds)).await, IdempotentBegin::Started);
        world.store().abandon(&post.tenant.scope, post.key).await.unwrap();
    }
    world.store().abandon(&post.tenant.scope, post.key).await.unwrap();
    let other = Post { request: world.mint.digest(), ..post };
    assert_eq!(begin(&world, &other, after(4)).await, IdempotentBegin::Started, "with another request, too");
}

pub async fn an_unfinished_claim_ends_after_a_minute<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let post = post(&world).await;
    begin(&world, &post, after(0)).await;
    let last = after(MINUTE).minus(MICROSECOND);
    assert_eq!(begin(&world, &post, last).await, IdempotentBegin::InProgress);
    let late = after(MINUTE).plus(MICROSECOND);
    assert_eq!(begin(&world, &post, late).await, IdempotentBegin::Started);
    assert_eq!(begin(&world, &post, after(2 * MINUTE)).await, IdempotentBegin::InProgress, "its minute began anew");
    let other = Post { request: world.mint.digest(), ..post };
    assert_eq!(begin(&world, &other, after(4 * MINUTE)).await, IdempotentBegin::Started, "an ended claim binds nobody");
}

pub async fn an_answer_ends_after_a_day<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let post = post(&world).await;
    begin(&world, &post, after(0)).await;
    finish(&world, &post).await;
    let last = after(DAY).minus(MICROSECOND);
    assert_eq!(begin(&world, &post, last).await, IdempotentBegin::Done(reply()));
    assert_eq!(begin(&world, &post, after(DAY).plus(MICROSECOND)).await, IdempotentBegin::Started);
    finish(&world, &post).await;
    assert_eq!(begin(&world, &post, after(2 * DAY)).await, IdempotentBegin::Done(reply()));
}

pub async fn a_key_is_its_own_tenants<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mine = post(&world).await;
    let theirs = Post { tenant: world.tenant().await, key: mine.key, request: mine.request };
    begin(&world, &mine, after(0)).await;
    finish(&world, &mine).await;
    assert_eq!(begin(&world, &theirs, after(1)).await, IdempotentBegin::Started);
    world.store().abandon(&theirs.tenant.scope, theirs.key).await.unwrap();
    assert_eq!(begin(&world, &mine, after(2)).await, IdempotentBegin::Done(reply()));
}

pub async fn an_answer_survives_a_restart<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let done = post(&world).await;
    let running = Post { tenant: world.tenant().await, key: world.mint.digest(), request: world.mint.digest() };
    begin(&world, &done, after(0)).await;
    finish(&world, &done).await;
    begin(&world, &running, after(0)).await;
    let Some(world) = world.reopened().await else { return };
    assert_eq!(begin(&world, &done, after(1)).await, IdempotentBegin::Done(reply()));
    assert_eq!(begin(&world, &running, after(1)).await, IdempotentBegin::InProgress);
}
