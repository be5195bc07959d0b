//! The contract of [`GatewayKeyStore`](novagate_ports_control::outbound::GatewayKeyStore).
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use futures_util::future::join_all;
use novagate_access::GatewayKeyRecord;
use novagate_kernel::Timestamp;
use novagate_ports_control::outbound::{GatewayKeyStore as _, Inserted, KeyRevocation};
use novagate_records::AuditAction;

use crate::stores::{StoreFixture, Tenant, World, after};

/// Runs the suite of gateway keys over a [`StoreFixture`](crate::StoreFixture).
#[macro_export]
macro_rules! gateway_key_store_contract {
    ($fixture:ty) => {
        $crate::cases!(
            gateway_key_store, $fixture:
            keys_are_found_by_digest_and_listed_oldest_first,
            a_known_id_or_digest_changes_nothing,
            a_revoked_key_stays_listed_and_is_found_as_revoked,
            a_second_revocation_keeps_the_first_time,
            of_racing_revocations_exactly_one_revokes,
            an_unknown_key_cannot_be_revoked,
            another_tenants_keys_are_invisible,
            a_key_and_its_revocation_are_audited,
            keys_survive_a_restart,
        );
    };
}

fn key<F: StoreFixture>(world: &World<F>, tenant: &Tenant, created_at: Timestamp) -> GatewayKeyRecord {
    GatewayKeyRecord {
        id: world.mint.gateway_key(),
        tenant: tenant.scope.tenant(),
        digest: world.mint.key_digest(),
        created_at,
        revoked_at: None,
    }
}

async fn insert<F: StoreFixture>(world: &World<F>, tenant: &Tenant, key: &GatewayKeyRecord) -> Inserted {
    let audit = world.audit(AuditAction::GatewayKeyCreated);
    world.store().insert_key(&tenant.scope, key, &audit).await.unwrap()
}

async fn revoke<F: StoreFixture>(world: &World<F>, tenant: &Tenant, key: &GatewayKeyRecord, at: u64) -> KeyRevocation {
    let audit = world.audit(AuditAction::GatewayKeyRevoked);
    world.store().revoke_key(&tenant.scope, key.id, after(at), &audit).await.unwrap()
}

pub async fn keys_are_found_by_digest_and_listed_oldest_first<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let (late, early) = (key(&world, &tenant, after(20)), key(&world, &tenant, after(10)));
    for key in [&late, &early] {
        assert_eq!(insert(&world, &tenant, key).await, Inserted::New);
        assert_eq!(world.store().find_key(&key.digest).await.unwrap().as_ref(), Some(key));
    }
    assert_eq!(world.store().keys(&tenant.scope).await.unwrap(), [tenant.fresh.key, early, late]);
    assert_eq!(world.store().find_key(&world.mint.key_digest()).await.unwrap(), None);
}

pub async fn a_known_id_or_digest_changes_nothing<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let first = key(&world, &tenant, after(1));
    insert(&world, &tenant, &first).await;
    let audits = world.audit_of(&tenant.scope).await;
    let same_id = GatewayKeyRecord { id: first.id, ..key(&world, &tenant, after(2)) };
    let same_digest = GatewayKeyRecord { digest: first.digest, ..key(&world, &tenant, after(2)) };
    for known in [&same_id, &same_digest, &first] {
        assert_eq!(insert(&world, &tenant, known).await, Inserted::AlreadyThere);
    }
    let foreign = GatewayKeyRecord { digest: first.digest, ..key(&world, &other, after(2)) };
    assert_eq!(insert(&world, &other, &foreign).await, Inserted::AlreadyThere);
    assert_eq!(world.store().find_key(&first.digest).await.unwrap(), Some(first.clone()));
    assert_eq!(world.store().keys(&tenant.scope).await.unwrap(), [tenant.fresh.key, first]);
    assert_eq!(world.store().keys(&other.scope).await.unwrap(), [other.fresh.key]);
    assert_eq!(world.audit_of(&tenant.scope).await, audits, "nothing happened that could be told");
}

pub async fn a_revoked_key_stays_listed_and_is_found_as_revoked<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let known = tenant.fresh.key.clone();
    let revoked = GatewayKeyRecord { revoked_at: Some(after(5)), ..known.clone() };
    assert_eq!(revoke(&world, &tenant, &known, 5).await, KeyRevocation::Revoked(revoked.clone()));
    assert_eq!(world.store().find_key(&known.digest).await.unwrap(), Some(revoked.clone()));
    assert_eq!(world.store().keys(&tenant.scope).await.unwrap(), [revoked]);
}

pub async fn a_second_revocation_keeps_the_first_time<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let known = tenant.fresh.key.clone();
    revoke(&world, &tenant, &known, 5).await;
    let revoked = GatewayKeyRecord { revoked_at: Some(after(5)), ..known.clone() };
    assert_eq!(revoke(&world, &tenant, &known, 9).await, KeyRevocation::AlreadyRevoked(revoked.clone()));
    assert_eq!(insert(&world, &tenant, &known).await, Inserted::AlreadyThere);
    assert_eq!(world.store().find_key(&known.digest).await.unwrap(), Some(revoked), "inserting does not revive");
}

pub async fn of_racing_revocations_exactly_one_revokes<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let outcomes = join_all((0..6).map(|second| revoke(&world, &tenant, &tenant.fresh.key, second))).await;
    let winners = outcomes.iter().filter(|outcome| matches!(outcome, KeyRevocation::Revoked(_))).count();
    assert_eq!(winners, 1, "{outcomes:?}");
}

pub async fn an_unknown_key_cannot_be_revoked<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let unknown = key(&world, &tenant, after(1));
    assert_eq!(revoke(&world, &tenant, &unknown, 1).await, KeyRevocation::Unknown);
    assert_eq!(revoke(&world, &tenant, &other.fresh.key, 1).await, KeyRevocation::Unknown);
    assert_eq!(world.store().find_key(&other.fresh.key.digest).await.unwrap(), Some(other.fresh.key));
    assert_eq!(world.audit_of(&tenant.scope).await, [tenant.fresh.audit]);
    assert_eq!(world.audit_of(&other.scope).await, [other.fresh.audit]);
}

pub async fn another_tenants_keys_are_invisible<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    insert(&world, &tenant, &key(&world, &tenant, after(1))).await;
    assert_eq!(world.store().keys(&other.scope).await.unwrap(), [other.fresh.key]);
    assert_eq!(world.store().keys(&world.nobody()).await.unwrap(), []);
}

pub async fn a_key_and_its_revocation_are_audited<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let made = key(&world, &tenant, after(1));
    let created = world.audit_at(AuditAction::GatewayKeyCreated, after(1));
    let revoked = world.audit_at(AuditAction::GatewayKeyRevoked, after(2));
    world.store().insert_key(&tenant.scope, &made, &created).await.unwrap();
    world.store().revoke_key(&tenant.scope, made.id, after(2), &revoked).await.unwrap();
    assert_eq!(world.audit_of(&tenant.scope).await, [revoked, created, tenant.fresh.audit]);
}

pub async fn keys_survive_a_restart<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let made = key(&world, &tenant, after(1));
    insert(&world, &tenant, &made).await;
    revoke(&world, &tenant, &tenant.fresh.key, 2).await;
    let Some(world) = world.reopened().await else { return };
    let revoked = GatewayKeyRecord { revoked_at: Some(after(2)), ..tenant.fresh.key };
    assert_eq!(world.store().keys(&tenant.scope).await.unwrap(), [revoked, made]);
}
