//! How tenants come into being.

use futures_util::future::join_all;
use novagate_fixtures::{START, new_tenant};
use novagate_kernel::TenantId;
use novagate_ports_control::{
    PageRequest,
    outbound::{
        Account, ConfigStore as _, GatewayKeyStore as _, Inserted, NewTenant, NodeStore as _, PlanLimits, TenantState,
        TenantStore as _,
    },
};

use crate::stores::{StoreFixture, World, after};

/// The account that a provisioned tenant begins with.
pub(crate) fn first_account(tenant: TenantId, fresh: &NewTenant) -> Account {
    Account {
        tenant,
        name: fresh.name.clone(),
        email: fresh.email.clone(),
        password: Some(fresh.password.clone()),
        state: TenantState::Active,
        generation: 0,
        limits: PlanLimits::FREE,
        created_at: fresh.at,
        updated_at: fresh.at,
    }
}

pub(crate) async fn assert_whole<F: StoreFixture>(
    world: &World<F>,
    scope: &novagate_access::TenantScope,
    fresh: &NewTenant,
) {
    let store = world.store();
    let account = Some(first_account(scope.tenant(), fresh));
    assert_eq!(store.account(scope).await.unwrap(), account);
    assert_eq!(store.find_by_email(&fresh.email).await.unwrap(), account);
    assert_eq!(store.head(scope).await.unwrap(), Some(fresh.head));
    assert_eq!(store.load(scope).await.unwrap(), Some((fresh.head, vec![])));
    assert_eq!(store.keys(scope).await.unwrap(), std::slice::from_ref(&fresh.key));
    assert_eq!(store.find_key(&fresh.key.digest).await.unwrap(), Some(fresh.key.clone()));
    assert_eq!(world.audit_of(scope).await, std::slice::from_ref(&fresh.audit));
    assert_eq!(store.nodes(scope).await.unwrap(), []);
}

async fn assert_absent<F: StoreFixture>(world: &World<F>, scope: &novagate_access::TenantScope, fresh: &NewTenant) {
    let store = world.store();
    assert_eq!(store.account(scope).await.unwrap(), None);
    assert_eq!(store.head(scope).await.unwrap(), None);
    assert_eq!(store.load(scope).await.unwrap(), None);
    assert_eq!(store.find_key(&fresh.key.digest).await.unwrap(), None);
}

pub async fn a_provisioned_tenant_is_there_as_a_whole<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    assert_whole(&world, &tenant.scope, &tenant.fresh).await;
    let pending = world.store().pending(&PageRequest::first(10)).await.unwrap();
    assert_eq!(pending.items, [], "nobody has to confirm an empty configuration");
}

pub async fn an_address_has_one_tenant<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let first = world.tenant().await;
    let (scope, mut second) = new_tenant(&world.mint, after(1));
    second.email = first.fresh.email.clone();
    assert_eq!(world.store().provision(&scope, &second).await.unwrap(), Inserted::AlreadyThere);
    assert_whole(&world, &first.scope, &first.fresh).await;
    assert_absent(&world, &scope, &second).await;
}

pub async fn provisioning_again_changes_nothing<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let again = world.store().provision(&tenant.scope, &tenant.fresh).await.unwrap();
    assert_eq!(again, Inserted::AlreadyThere);
    assert_whole(&world, &tenant.scope, &tenant.fresh).await;
}

pub async fn of_racing_provisions_of_one_address_exactly_one_wins<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let email = world.mint.email();
    let racers: Vec<_> = (0..8)
        .map(|_| {
            let (scope, fresh) = new_tenant(&world.mint, START);
            (scope, NewTenant { email: email.clone(), ..fresh })
        })
        .collect();
    let outcomes = join_all(racers.iter().map(|(scope, fresh)| world.store().provision(scope, fresh))).await;
    let outcomes: Vec<Inserted> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|&&outcome| outcome == Inserted::New).count(), 1, "{outcomes:?}");
    for ((scope, fresh), outcome) in racers.iter().zip(outcomes) {
        match outcome {
            Inserted::New => assert_whole(&world, scope, fresh).await,
            Inserted::AlreadyThere => assert_absent(&world, scope, fresh).await,
        }
    }
}

pub async fn racing_provisions_of_different_addresses_all_win<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let racers: Vec<_> = (0..8).map(|_| new_tenant(&world.mint, START)).collect();
    let outcomes = join_all(racers.iter().map(|(scope, fresh)| world.store().provision(scope, fresh))).await;
    for ((scope, fresh), outcome) in racers.iter().zip(outcomes) {
        assert_eq!(outcome.unwrap(), Inserted::New);
        assert_whole(&world, scope, fresh).await;
    }
}

pub async fn a_provisioned_tenant_survives_a_restart<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let Some(world) = world.reopened().await else { return };
    assert_whole(&world, &tenant.scope, &tenant.fresh).await;
}
