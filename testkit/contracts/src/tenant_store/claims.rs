//! Which POST a tenant came from.

use std::time::Duration;

use futures_util::future::join_all;
use novagate_access::TenantScope;
use novagate_fixtures::{START, new_tenant};
use novagate_kernel::{Digest, Timestamp};
use novagate_ports_control::outbound::{
    CLAIM_LIFETIME, ClaimedTenant, Inserted, NewTenant, PostClaim, TenantStore as _,
};

use crate::stores::{StoreFixture, World};

const CLAIM: PostClaim = PostClaim { key: Digest::from_bytes([1; 32]), request: Digest::from_bytes([2; 32]) };
const OTHER: PostClaim = PostClaim { key: Digest::from_bytes([3; 32]), ..CLAIM };

fn claiming<F: StoreFixture>(world: &World<F>, claim: PostClaim, at: Timestamp) -> (TenantScope, NewTenant) {
    let (scope, fresh) = new_tenant(&world.mint, at);
    (scope, NewTenant { claim: Some(claim), ..fresh })
}

const fn made(scope: &TenantScope, claim: PostClaim) -> ClaimedTenant {
    ClaimedTenant { tenant: scope.tenant(), request: claim.request }
}

pub async fn a_claim_finds_its_tenant_for_a_day<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (scope, fresh) = claiming(&world, CLAIM, START);
    let store = world.store();
    assert_eq!(store.claimed(CLAIM.key, START).await.unwrap(), None);
    assert_eq!(store.provision(&scope, &fresh).await.unwrap(), Inserted::New);
    world.tenant().await;
    let end = START.plus(CLAIM_LIFETIME);
    assert_eq!(store.claimed(CLAIM.key, START).await.unwrap(), Some(made(&scope, CLAIM)));
    assert_eq!(store.claimed(CLAIM.key, end.minus(Duration::from_secs(1))).await.unwrap(), Some(made(&scope, CLAIM)));
    assert_eq!(store.claimed(CLAIM.key, end).await.unwrap(), None);
    assert_eq!(store.claimed(OTHER.key, START).await.unwrap(), None);
    let (next, fresh) = claiming(&world, CLAIM, end);
    assert_eq!(store.provision(&next, &fresh).await.unwrap(), Inserted::New, "the key is free again");
    assert_eq!(store.claimed(CLAIM.key, end).await.unwrap(), Some(made(&next, CLAIM)));
}

pub async fn a_claim_makes_one_tenant<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (first, fresh) = claiming(&world, CLAIM, START);
    let store = world.store();
    assert_eq!(store.provision(&first, &fresh).await.unwrap(), Inserted::New);
    let (second, fresh) = claiming(&world, CLAIM, START);
    assert_eq!(store.provision(&second, &fresh).await.unwrap(), Inserted::AlreadyThere);
    assert_eq!(store.account(&second).await.unwrap(), None);
    let (third, fresh) = claiming(&world, OTHER, START);
    assert_eq!(store.provision(&third, &fresh).await.unwrap(), Inserted::New);
    assert_eq!(store.claimed(CLAIM.key, START).await.unwrap(), Some(made(&first, CLAIM)));
}

pub async fn of_racing_provisions_with_one_claim_exactly_one_wins<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let racers: Vec<_> = (0..8).map(|_| claiming(&world, CLAIM, START)).collect();
    let outcomes = join_all(racers.iter().map(|(scope, fresh)| world.store().provision(scope, fresh))).await;
    let outcomes: Vec<Inserted> = outcomes.into_iter().map(Result::unwrap).collect();
    let winners: Vec<_> = racers.iter().zip(&outcomes).filter(|(_, outcome)| **outcome == Inserted::New).collect();
    let [((winner, _), _)] = winners.as_slice() else { panic!("{outcomes:?}") };
    assert_eq!(world.store().claimed(CLAIM.key, START).await.unwrap(), Some(made(winner, CLAIM)));
}

pub async fn a_claim_ends_with_its_tenant<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (scope, fresh) = claiming(&world, CLAIM, START);
    world.store().provision(&scope, &fresh).await.unwrap();
    world.store().erase(&scope).await.unwrap();
    assert_eq!(world.store().claimed(CLAIM.key, START).await.unwrap(), None);
}

pub async fn a_claim_survives_a_restart<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (scope, fresh) = claiming(&world, CLAIM, START);
    world.store().provision(&scope, &fresh).await.unwrap();
    let Some(world) = world.reopened().await else { return };
    assert_eq!(world.store().claimed(CLAIM.key, START).await.unwrap(), Some(made(&scope, CLAIM)));
}
