//! The contract of [`AuditStore`].
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use novagate_kernel::ObjectKind;
use novagate_ports_control::{PageRequest, outbound::AuditStore};
use novagate_records::{Actor, AuditAction, AuditRecord};

use crate::pages::{assert_pages, read_all};
use crate::stores::{StoreFixture, World, after};

/// Runs the suite of the audit log over a [`StoreFixture`](crate::StoreFixture).
#[macro_export]
macro_rules! audit_store_contract {
    ($fixture:ty) => {
        $crate::cases!(
            audit_store, $fixture:
            an_entry_is_read_back_whole,
            every_action_and_actor_can_be_told,
            entries_are_listed_newest_first_in_pages,
            entries_of_one_time_have_a_stable_order,
            pages_of_entries_stay_stable_while_entries_are_added,
            other_tenants_entries_are_invisible,
            entries_survive_a_restart,
        );
    };
}

pub async fn an_entry_is_read_back_whole<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let full = AuditRecord {
        actor: Actor::Operator,
        object: Some(world.mint.object(ObjectKind::ConsumerKey)),
        name: Some(world.mint.name("route")),
        subject: Some(world.mint.uuid()),
        revision: Some(world.mint.first_head().revision),
        ..world.audit_at(AuditAction::ObjectDeleted, after(2))
    };
    let bare = world.audit_at(AuditAction::LoggedIn, after(1));
    for entry in [&bare, &full] {
        AuditStore::append_audit(world.store(), &tenant.scope, entry).await.unwrap();
    }
    assert_eq!(world.audit_of(&tenant.scope).await, [full, bare, tenant.fresh.audit]);
}

pub async fn every_action_and_actor_can_be_told<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let mut expected = Vec::new();
    for (seconds, action) in (1..).zip(AuditAction::ALL) {
        for actor in [Actor::Account, Actor::Operator, Actor::System] {
            let at = after(seconds * 10 + expected.len() as u64);
            let entry = AuditRecord { actor, ..world.audit_at(action, at) };
            world.store().append_audit(&tenant.scope, &entry).await.unwrap();
            expected.insert(0, entry);
        }
    }
    expected.push(tenant.fresh.audit);
    assert_eq!(world.audit_of(&tenant.scope).await, expected);
}

pub async fn entries_are_listed_newest_first_in_pages<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let mut expected = vec![tenant.fresh.audit];
    // Written in another order than they happened in.
    for seconds in [30, 10, 50, 20, 60, 40] {
        let entry = world.audit_at(AuditAction::LoggedIn, after(seconds));
        world.store().append_audit(&tenant.scope, &entry).await.unwrap();
        expected.push(entry);
    }
    expected.sort_by_key(|entry| std::cmp::Reverse(entry.at));
    let (store, scope) = (world.store(), &tenant.scope);
    assert_pages(&expected, |request| async move { store.audit(scope, &request).await }).await;
}

pub async fn entries_of_one_time_have_a_stable_order<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    for _ in 0..8 {
        let entry = world.audit_at(AuditAction::LoggedIn, after(5));
        world.store().append_audit(&tenant.scope, &entry).await.unwrap();
    }
    let listed = world.audit_of(&tenant.scope).await;
    assert_eq!(listed.len(), 9);
    let (store, scope) = (world.store(), &tenant.scope);
    assert_pages(&listed, |request| async move { store.audit(scope, &request).await }).await;
}

pub async fn pages_of_entries_stay_stable_while_entries_are_added<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let (store, scope) = (world.store(), &tenant.scope);
    for seconds in 1..8 {
        store.append_audit(scope, &world.audit_at(AuditAction::LoggedIn, after(seconds))).await.unwrap();
    }
    let before = world.audit_of(scope).await;
    let page = store.audit(scope, &PageRequest::first(3)).await.unwrap();
    store.append_audit(scope, &world.audit_at(AuditAction::LoggedIn, after(99))).await.unwrap();
    let next = page.next.expect("a next page");
    let fetch = |request: PageRequest| {
        let after = request.after.or_else(|| Some(next.clone()));
        async move { store.audit(scope, &PageRequest { after, ..request }).await }
    };
    assert_eq!(read_all(2, fetch).await, before[3..]);
}

pub async fn other_tenants_entries_are_invisible<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let entry = world.audit(AuditAction::LoggedIn);
    world.store().append_audit(&tenant.scope, &entry).await.unwrap();
    assert_eq!(world.audit_of(&other.scope).await, [other.fresh.audit]);
}

pub async fn entries_survive_a_restart<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let entry = world.audit(AuditAction::LoggedIn);
    world.store().append_audit(&tenant.scope, &entry).await.unwrap();
    let Some(world) = world.reopened().await else { return };
    assert_eq!(world.audit_of(&tenant.scope).await, [entry, tenant.fresh.audit]);
}
