//! Changes of accounts, and the list of tenants.

use futures_util::future::join_all;
use novagate_kernel::TenantId;
use novagate_ports_control::{
    PageRequest,
    outbound::{Account, TenantState, TenantStore as _},
};
use novagate_records::AuditAction;

use super::provisioning::{assert_whole, first_account};
use crate::pages::{assert_pages, read_all};
use crate::stores::{StoreFixture, World, after};

pub async fn a_rename_is_written_with_its_audit_entry<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let audit = world.audit_at(AuditAction::TenantRenamed, after(9));
    assert!(world.store().rename(&tenant.scope, "Café \u{1f980} GmbH", &audit).await.unwrap());
    let expected = Account {
        name: "Café \u{1f980} GmbH".to_owned(),
        updated_at: after(9),
        ..first_account(tenant.scope.tenant(), &tenant.fresh)
    };
    assert_eq!(world.store().account(&tenant.scope).await.unwrap(), Some(expected));
    assert_eq!(world.audit_of(&tenant.scope).await, [audit, tenant.fresh.audit]);
}

pub async fn a_state_is_kept<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    for (second, state) in [(5, TenantState::Suspended), (6, TenantState::Active)] {
        assert!(world.store().set_state(&tenant.scope, state, after(second)).await.unwrap());
        let expected =
            Account { state, updated_at: after(second), ..first_account(tenant.scope.tenant(), &tenant.fresh) };
        assert_eq!(world.store().account(&tenant.scope).await.unwrap(), Some(expected.clone()));
        assert_eq!(world.store().find_by_email(&tenant.fresh.email).await.unwrap(), Some(expected));
    }
}

pub async fn a_new_password_ends_tokens_and_reset_links<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let store = world.store();
    let link = world.mint.key_digest();
    store.set_reset(&tenant.scope, &link, after(3600)).await.unwrap();
    let (password, audit) = (world.mint.password_hash(), world.audit(AuditAction::PasswordChanged));
    assert_eq!(store.set_password(&tenant.scope, &password, &audit).await.unwrap(), Some(1));
    assert_eq!(store.take_reset(&link, after(1)).await.unwrap(), None);
    let account = store.account(&tenant.scope).await.unwrap().expect("an account");
    assert_eq!((account.password, account.generation), (Some(password), 1));
    assert_eq!(world.audit_of(&tenant.scope).await, [audit, tenant.fresh.audit]);
}

pub async fn ending_tokens_raises_the_generation_only<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let link = world.mint.key_digest();
    world.store().set_reset(&tenant.scope, &link, after(3600)).await.unwrap();
    let audit = world.audit(AuditAction::LoggedOut);
    assert_eq!(world.store().end_tokens(&tenant.scope, &audit).await.unwrap(), Some(1));
    let account = world.store().account(&tenant.scope).await.unwrap().expect("an account");
    assert_eq!((account.generation, account.password), (1, Some(tenant.fresh.password)));
    assert_eq!(world.audit_of(&tenant.scope).await, [audit, tenant.fresh.audit]);
    assert_eq!(world.store().take_reset(&link, after(1)).await.unwrap(), Some(tenant.scope.tenant()));
}

pub async fn racing_ends_of_tokens_each_raise_the_generation<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let audits: Vec<_> = (0..6).map(|_| world.audit(AuditAction::LoggedOut)).collect();
    let outcomes = join_all(audits.iter().map(|audit| world.store().end_tokens(&tenant.scope, audit))).await;
    let mut generations: Vec<u64> = outcomes.into_iter().filter_map(Result::unwrap).collect();
    generations.sort_unstable();
    assert_eq!(generations, [1, 2, 3, 4, 5, 6]);
}

pub async fn nothing_can_be_done_to_a_tenant_that_is_not_there<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (store, nobody) = (world.store(), world.nobody());
    let audit = world.audit(AuditAction::TenantRenamed);
    assert_eq!(store.account(&nobody).await.unwrap(), None);
    assert_eq!(store.find_by_email(&world.mint.email()).await.unwrap(), None);
    assert!(!store.rename(&nobody, "x", &audit).await.unwrap());
    assert!(!store.set_state(&nobody, TenantState::Suspended, after(1)).await.unwrap());
    assert_eq!(store.set_password(&nobody, &world.mint.password_hash(), &audit).await.unwrap(), None);
    assert_eq!(store.end_tokens(&nobody, &audit).await.unwrap(), None);
    assert!(!store.set_reset(&nobody, &world.mint.key_digest(), after(3600)).await.unwrap());
    assert_eq!(store.tenants(&PageRequest::first(10)).await.unwrap().items, []);
}

pub async fn changes_of_an_account_touch_no_other<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (one, other) = (world.tenant().await, world.tenant().await);
    let store = world.store();
    store.rename(&one.scope, "Renamed", &world.audit(AuditAction::TenantRenamed)).await.unwrap();
    store.set_state(&one.scope, TenantState::Suspended, after(2)).await.unwrap();
    let password = world.mint.password_hash();
    store.set_password(&one.scope, &password, &world.audit(AuditAction::PasswordChanged)).await.unwrap();
    store.end_tokens(&one.scope, &world.audit(AuditAction::LoggedOut)).await.unwrap();
    assert_whole(&world, &other.scope, &other.fresh).await;
    assert_eq!(world.audit_of(&one.scope).await.len(), 4);
}

pub async fn all_provisioned_tenants_are_listed_in_pages<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.push(world.tenant().await.scope.tenant());
    }
    let (store, email) = (world.store(), world.mint.email());
    let token = world.mint.key_digest();
    store.register_pending(&world.nobody(), "Waiting", &email, &token, after(3600), after(0)).await.unwrap();
    let listed = store.tenants(&PageRequest::first(500)).await.unwrap().items;
    let mut sorted = listed.clone();
    sorted.sort_unstable();
    expected.sort_unstable();
    assert_eq!(sorted, expected, "every provisioned tenant, and none that only waits");
    assert_pages(&listed, |request| async move { store.tenants(&request).await }).await;
}

pub async fn pages_of_tenants_stay_stable_while_tenants_come<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut first = Vec::new();
    for _ in 0..6 {
        first.push(world.tenant().await.scope.tenant());
    }
    let store = world.store();
    let page = store.tenants(&PageRequest::first(3)).await.unwrap();
    for _ in 0..3 {
        world.tenant().await;
    }
    let after_three = page.next.expect("a next page");
    let fetch = |request: PageRequest| {
        let after = request.after.unwrap_or_else(|| after_three.clone());
        async move { store.tenants(&PageRequest { limit: request.limit, after: Some(after) }).await }
    };
    let rest: Vec<TenantId> = read_all(2, fetch).await;
    for tenant in first {
        let times = page.items.iter().chain(&rest).filter(|&&listed| listed == tenant).count();
        assert_eq!(times, 1, "a tenant that was there all the time is listed once");
    }
}
