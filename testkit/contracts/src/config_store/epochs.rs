//! New epochs, and revisions that nodes have not confirmed.

use futures_util::future::join_all;
use novagate_kernel::{Head, ObjectKind, Revision};
use novagate_ports_control::{
    PageRequest,
    outbound::{Commit, ConfigStore as _, PendingUpdate},
};

use super::{add, body};
use crate::pages::assert_pages;
use crate::stores::{StoreFixture, World, after};

const PAGE: PageRequest = PageRequest::first(100);

pub async fn a_new_epoch_replaces_the_expected_one_only<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    add(&world, &mut tenant, ObjectKind::Service, 1).await;
    let (store, old) = (world.store(), tenant.model.head());
    let next = world.mint.epoch();
    assert!(!store.renew_epoch(&tenant.scope, world.mint.epoch(), next).await.unwrap());
    assert_eq!(store.head(&tenant.scope).await.unwrap(), Some(old));
    assert!(store.renew_epoch(&tenant.scope, old.revision.epoch, next).await.unwrap());
    let renewed = Head { revision: Revision { epoch: next, seq: old.revision.seq }, ..old };
    assert_eq!(store.head(&tenant.scope).await.unwrap(), Some(renewed), "seq and content stay");
    assert_eq!(store.load(&tenant.scope).await.unwrap(), Some((renewed, tenant.model.objects())));
    assert!(!store.renew_epoch(&tenant.scope, old.revision.epoch, world.mint.epoch()).await.unwrap());
    assert!(!store.renew_epoch(&world.nobody(), next, world.mint.epoch()).await.unwrap());
    let Some(world) = world.reopened().await else { return };
    assert_eq!(world.store().head(&tenant.scope).await.unwrap(), Some(renewed));
}

pub async fn of_racing_renewals_exactly_one_wins<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let old = tenant.model.head().revision.epoch;
    let epochs: Vec<_> = (0..6).map(|_| world.mint.epoch()).collect();
    let outcomes = join_all(epochs.iter().map(|&next| world.store().renew_epoch(&tenant.scope, old, next))).await;
    let outcomes: Vec<bool> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|&&won| won).count(), 1, "{outcomes:?}");
    let winner = outcomes.iter().position(|&won| won).map(|at| epochs[at]);
    let head = world.store().head(&tenant.scope).await.unwrap();
    assert_eq!(head.map(|head| head.revision.epoch), winner);
}

pub async fn a_history_goes_on_in_the_new_epoch<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    let (object, called) = add(&world, &mut tenant, ObjectKind::Service, 1).await;
    let (store, old, next) = (world.store(), tenant.model.head(), world.mint.epoch());
    let stale = tenant.model.edit(after(2)).delete(object).build();
    assert!(store.renew_epoch(&tenant.scope, old.revision.epoch, next).await.unwrap());
    let head = store.head(&tenant.scope).await.unwrap().expect("a head");
    assert_eq!(store.changes_since(&tenant.scope, old.revision).await.unwrap(), None, "of another epoch");
    let none = store.changes_since(&tenant.scope, head.revision).await.unwrap().expect("the present revision");
    assert_eq!((none.head, none.upserts, none.deletes), (head, vec![], vec![]));
    assert_eq!(store.load_at(&tenant.scope, head.revision.seq).await.unwrap(), Some(tenant.model.objects()));
    assert_eq!(store.commit(&tenant.scope, &stale).await.unwrap(), Commit::Moved(head));
    let edit = novagate_fixtures::EditBuilder::new(head, &tenant.model.objects(), after(3));
    let edit = edit.upsert(object, &called, body(ObjectKind::Service, &called, 7)).build();
    assert_eq!(store.commit(&tenant.scope, &edit).await.unwrap(), Commit::Committed(edit.next));
    let changes = store.changes_since(&tenant.scope, head.revision).await.unwrap().expect("a revision of this epoch");
    assert_eq!((changes.head, changes.upserts.len()), (edit.next, 1));
    let newest = store.revisions(&tenant.scope, &PageRequest::first(1)).await.unwrap().items;
    assert_eq!(newest.first().map(|record| record.head), Some(edit.next));
}

pub async fn an_epoch_belongs_to_one_tenant<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (one, other) = (world.tenant().await, world.tenant().await);
    let epoch = one.model.head().revision.epoch;
    assert!(!world.store().renew_epoch(&other.scope, epoch, world.mint.epoch()).await.unwrap());
    assert!(world.store().renew_epoch(&one.scope, epoch, world.mint.epoch()).await.unwrap());
    assert_eq!(world.store().head(&other.scope).await.unwrap(), Some(other.model.head()));
}

pub async fn an_unconfirmed_revision_is_pending_until_it_is_settled<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    for seconds in [10, 20] {
        add(&world, &mut tenant, ObjectKind::Service, seconds).await;
        let pending = world.store().pending(&PAGE).await.unwrap().items;
        assert_eq!(pending.len(), 1, "one per tenant");
        assert_eq!((pending[0].tenant, pending[0].revision), (tenant.scope.tenant(), tenant.model.head().revision));
    }
    world.store().settle(&tenant.scope, tenant.model.head().revision).await.unwrap();
    assert_eq!(world.store().pending(&PAGE).await.unwrap().items, []);
    world.store().settle(&tenant.scope, tenant.model.head().revision).await.unwrap();
    world.store().settle(&world.nobody(), tenant.model.head().revision).await.unwrap();
}

pub async fn settling_an_older_revision_changes_nothing<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (mut tenant, mut other) = (world.tenant().await, world.tenant().await);
    add(&world, &mut tenant, ObjectKind::Service, 10).await;
    let older = tenant.model.head().revision;
    add(&world, &mut tenant, ObjectKind::Service, 20).await;
    add(&world, &mut other, ObjectKind::Service, 30).await;
    let standing = world.store().pending(&PAGE).await.unwrap().items;
    assert_eq!(standing.len(), 2);
    world.store().settle(&tenant.scope, older).await.unwrap();
    assert_eq!(world.store().pending(&PAGE).await.unwrap().items, standing);
    world.store().settle(&tenant.scope, tenant.model.head().revision).await.unwrap();
    let left: Vec<PendingUpdate> = world.store().pending(&PAGE).await.unwrap().items;
    assert_eq!(left.len(), 1, "another tenant's stays");
    assert_eq!((left[0].tenant, left[0].since), (other.scope.tenant(), after(30)));
}

pub async fn pending_updates_of_all_tenants_are_listed_in_pages<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    for seconds in 0..5 {
        let mut tenant = world.tenant().await;
        add(&world, &mut tenant, ObjectKind::Service, seconds).await;
    }
    let store = world.store();
    let all = store.pending(&PAGE).await.unwrap().items;
    assert_eq!(all.len(), 5);
    assert_pages(&all, |request| async move { store.pending(&request).await }).await;
}

pub async fn a_pending_update_survives_a_restart<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    add(&world, &mut tenant, ObjectKind::Service, 10).await;
    let standing = world.store().pending(&PAGE).await.unwrap().items;
    let Some(world) = world.reopened().await else { return };
    assert_eq!(world.store().pending(&PAGE).await.unwrap().items, standing);
    world.store().settle(&tenant.scope, tenant.model.head().revision).await.unwrap();
    let Some(world) = world.reopened().await else { return };
    assert_eq!(world.store().pending(&PAGE).await.unwrap().items, []);
}
