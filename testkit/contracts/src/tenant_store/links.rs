//! Registrations that wait for proof, and links that set a new password.

use futures_util::future::join_all;
use novagate_access::{EmailKey, KeyDigest, TenantScope};
use novagate_fixtures::new_tenant;
use novagate_ports_control::outbound::{GatewayKeyStore as _, Inserted, NewTenant, TenantState, TenantStore as _};

use super::provisioning::{assert_whole, first_account};
use crate::stores::{MICROSECOND, StoreFixture, World, after};

struct Registration {
    scope: TenantScope,
    email: EmailKey,
    token: KeyDigest,
}

/// Registers an address until an hour after the start.
async fn register<F: StoreFixture>(world: &World<F>, email: &EmailKey) -> Registration {
    let scope = world.nobody();
    let token = world.mint.key_digest();
    let outcome = world.store().register_pending(&scope, "Waiting", email, &token, after(3600), after(0)).await;
    assert_eq!(outcome.unwrap(), Inserted::New);
    Registration { scope, email: email.clone(), token }
}

pub async fn a_pending_registration_is_found_until_it_expires<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let waiting = register(&world, &world.mint.email()).await;
    let last = after(3600).minus(MICROSECOND);
    for now in [after(0), last, last] {
        let found = world.store().find_pending(&waiting.token, now).await.unwrap().expect("a pending registration");
        assert_eq!((found.tenant, found.name.as_str()), (waiting.scope.tenant(), "Waiting"));
        assert_eq!((&found.email, found.password.as_ref()), (&waiting.email, None));
        assert_eq!((found.state, found.generation), (TenantState::Unverified, 0));
        assert_eq!(found.created_at, after(0));
    }
    assert_eq!(world.store().find_pending(&world.mint.key_digest(), last).await.unwrap(), None);
    let late = after(3600).plus(MICROSECOND);
    assert_eq!(world.store().find_pending(&waiting.token, late).await.unwrap(), None);
}

pub async fn an_expired_registration_is_removed_on_the_way<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let waiting = register(&world, &world.mint.email()).await;
    assert_eq!(world.store().find_pending(&waiting.token, after(3601)).await.unwrap(), None);
    assert_eq!(world.store().find_pending(&waiting.token, after(0)).await.unwrap(), None);
}

pub async fn a_later_registration_replaces_the_earlier_one<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let first = register(&world, &world.mint.email()).await;
    let second = register(&world, &first.email).await;
    assert_eq!(world.store().find_pending(&first.token, after(1)).await.unwrap(), None);
    let found = world.store().find_pending(&second.token, after(1)).await.unwrap().expect("the later one");
    assert_eq!(found.tenant, second.scope.tenant());
}

pub async fn an_address_with_a_tenant_cannot_be_registered_again<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let token = world.mint.key_digest();
    let store = world.store();
    let email = &tenant.fresh.email;
    let outcome = store.register_pending(&world.nobody(), "Other", email, &token, after(3600), after(0)).await;
    assert_eq!(outcome.unwrap(), Inserted::AlreadyThere);
    assert_eq!(store.find_pending(&token, after(1)).await.unwrap(), None);
    assert_whole(&world, &tenant.scope, &tenant.fresh).await;
}

pub async fn provisioning_ends_the_pending_registration<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let waiting = register(&world, &world.mint.email()).await;
    let (_, fresh) = new_tenant(&world.mint, after(60));
    let mut fresh = NewTenant { email: waiting.email.clone(), ..fresh };
    fresh.key.tenant = waiting.scope.tenant();
    assert_eq!(world.store().provision(&waiting.scope, &fresh).await.unwrap(), Inserted::New);
    assert_eq!(world.store().find_pending(&waiting.token, after(61)).await.unwrap(), None);
    let account = world.store().account(&waiting.scope).await.unwrap().expect("an account");
    assert_eq!((account.state, account.password), (TenantState::Active, Some(fresh.password.clone())));
    assert_eq!(account.name, fresh.name);
    assert_eq!(world.store().keys(&waiting.scope).await.unwrap(), [fresh.key]);
}

pub async fn provisioning_under_another_id_replaces_the_pending_registration<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let waiting = register(&world, &world.mint.email()).await;
    let (scope, fresh) = new_tenant(&world.mint, after(60));
    let fresh = NewTenant { email: waiting.email.clone(), ..fresh };
    assert_eq!(world.store().provision(&scope, &fresh).await.unwrap(), Inserted::New);
    assert_whole(&world, &scope, &fresh).await;
    assert_eq!(world.store().find_pending(&waiting.token, after(61)).await.unwrap(), None);
}

pub async fn a_pending_registration_survives_a_restart<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let waiting = register(&world, &world.mint.email()).await;
    let Some(world) = world.reopened().await else { return };
    let found = world.store().find_pending(&waiting.token, after(1)).await.unwrap().expect("a pending registration");
    assert_eq!(found.tenant, waiting.scope.tenant());
}

pub async fn a_reset_link_works_once<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let link = world.mint.key_digest();
    assert!(world.store().set_reset(&tenant.scope, &link, after(3600)).await.unwrap());
    assert_eq!(world.store().take_reset(&world.mint.key_digest(), after(1)).await.unwrap(), None);
    assert_eq!(world.store().take_reset(&link, after(1)).await.unwrap(), Some(tenant.scope.tenant()));
    assert_eq!(world.store().take_reset(&link, after(1)).await.unwrap(), None);
    let account = world.store().account(&tenant.scope).await.unwrap();
    assert_eq!(account, Some(first_account(tenant.scope.tenant(), &tenant.fresh)), "a link changes nothing by itself");
}

pub async fn of_racing_uses_of_a_reset_link_exactly_one_wins<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let link = world.mint.key_digest();
    world.store().set_reset(&tenant.scope, &link, after(3600)).await.unwrap();
    let outcomes = join_all((0..8).map(|_| world.store().take_reset(&link, after(1)))).await;
    let winners = outcomes.into_iter().filter_map(Result::unwrap).count();
    assert_eq!(winners, 1);
}

pub async fn a_reset_link_ends_with_its_time<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (early, late) = (world.tenant().await, world.tenant().await);
    let (first, second) = (world.mint.key_digest(), world.mint.key_digest());
    world.store().set_reset(&early.scope, &first, after(3600)).await.unwrap();
    world.store().set_reset(&late.scope, &second, after(3600)).await.unwrap();
    let taken = world.store().take_reset(&first, after(3600).minus(MICROSECOND)).await.unwrap();
    assert_eq!(taken, Some(early.scope.tenant()));
    assert_eq!(world.store().take_reset(&second, after(3600).plus(MICROSECOND)).await.unwrap(), None);
}

pub async fn an_expired_reset_link_is_removed_on_the_way<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let link = world.mint.key_digest();
    world.store().set_reset(&tenant.scope, &link, after(3600)).await.unwrap();
    assert_eq!(world.store().take_reset(&link, after(3601)).await.unwrap(), None);
    assert_eq!(world.store().take_reset(&link, after(1)).await.unwrap(), None);
}

pub async fn a_later_reset_link_replaces_the_earlier_one<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let (first, second) = (world.mint.key_digest(), world.mint.key_digest());
    world.store().set_reset(&tenant.scope, &first, after(3600)).await.unwrap();
    world.store().set_reset(&tenant.scope, &second, after(3600)).await.unwrap();
    assert_eq!(world.store().take_reset(&first, after(1)).await.unwrap(), None);
    assert_eq!(world.store().take_reset(&second, after(1)).await.unwrap(), Some(tenant.scope.tenant()));
}

pub async fn a_reset_link_is_its_own_tenants<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (one, other) = (world.tenant().await, world.tenant().await);
    let (first, second) = (world.mint.key_digest(), world.mint.key_digest());
    world.store().set_reset(&one.scope, &first, after(3600)).await.unwrap();
    world.store().set_reset(&other.scope, &second, after(3600)).await.unwrap();
    assert_eq!(world.store().take_reset(&second, after(1)).await.unwrap(), Some(other.scope.tenant()));
    assert_eq!(world.store().take_reset(&first, after(1)).await.unwrap(), Some(one.scope.tenant()));
}

pub async fn a_reset_link_survives_a_restart<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let (used, unused) = (world.mint.key_digest(), world.mint.key_digest());
    world.store().set_reset(&tenant.scope, &used, after(3600)).await.unwrap();
    world.store().take_reset(&used, after(1)).await.unwrap();
    world.store().set_reset(&tenant.scope, &unused, after(3600)).await.unwrap();
    let Some(world) = world.reopened().await else { return };
    assert_eq!(world.store().take_reset(&used, after(2)).await.unwrap(), None);
    assert_eq!(world.store().take_reset(&unused, after(2)).await.unwrap(), Some(tenant.scope.tenant()));
}
