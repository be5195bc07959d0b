//! What was, and what is different since.

use novagate_fixtures::{ConfigModel, NetChanges};
use novagate_kernel::{ObjectKind, ObjectRef, Revision};
use novagate_ports_control::{
    PageRequest,
    outbound::{ConfigStore as _, Edit, RevisionKind},
};
use novagate_records::Actor;

use super::{add, body, name};
use crate::pages::assert_pages;
use crate::stores::{StoreFixture, Tenant, World, after};

/// An edit of one to four objects, such that creations, changes, changes back, deletions and returns all happen.
fn random_edit<F: StoreFixture>(world: &World<F>, model: &ConfigModel, pool: &[ObjectRef], seconds: u64) -> Edit {
    let entropy = world.mint.entropy();
    let mut edit = model.edit(after(seconds));
    let mut touched: Vec<ObjectRef> = Vec::new();
    for _ in 0..=entropy.below(3) {
        let object = *entropy.pick(pool);
        if touched.contains(&object) {
            continue;
        }
        touched.push(object);
        let called = name(&format!("o{:x}", object.id.as_u128() & 0xffff_ffff_ffff));
        edit = if model.find(object).is_some() && entropy.below(3) == 0 {
            edit.delete(object)
        } else {
            // Few different bodies, so that an earlier one often returns.
            edit.upsert(object, &called, body(object.kind, &called, entropy.below(3)))
        };
    }
    edit.build()
}

async fn random_history<F: StoreFixture>(world: &World<F>, tenant: &mut Tenant, edits: u64) {
    let kinds = [ObjectKind::Service, ObjectKind::Route, ObjectKind::Consumer];
    let pool: Vec<ObjectRef> = (0..9).map(|at| world.mint.object(kinds[at % 3])).collect();
    for seconds in 0..edits {
        let edit = random_edit(world, &tenant.model, &pool, seconds);
        world.commit(tenant, &edit).await;
    }
}

async fn assert_history<F: StoreFixture>(world: &World<F>, tenant: &Tenant) {
    let (store, scope, model) = (world.store(), &tenant.scope, &tenant.model);
    for seq in model.seqs() {
        let mut loaded = store.load_at(scope, seq).await.unwrap().expect("a kept revision");
        loaded.sort_by_key(|object| object.reference);
        assert_eq!(Some(loaded), model.objects_at(seq), "at {seq}");
        assert_eq!(Some(net_changes(world, tenant, seq).await), model.changes_since(seq), "since {seq}");
    }
}

async fn net_changes<F: StoreFixture>(world: &World<F>, tenant: &Tenant, seq: u64) -> NetChanges {
    let from = Revision { seq, ..tenant.model.head().revision };
    let mut changes = world.store().changes_since(&tenant.scope, from).await.unwrap().expect("a known revision");
    assert_eq!(changes.head, tenant.model.head());
    changes.upserts.sort_by_key(|object| object.reference);
    changes.deletes.sort_unstable();
    NetChanges { upserts: changes.upserts, deletes: changes.deletes }
}

pub async fn every_revision_can_be_loaded_as_it_was<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    random_history(&world, &mut tenant, 40).await;
    assert_history(&world, &tenant).await;
    let next = tenant.model.head().revision.seq + 1;
    for seq in [0, next, u64::try_from(i64::MAX).unwrap(), u64::MAX] {
        assert_eq!(world.store().load_at(&tenant.scope, seq).await.unwrap(), None, "{seq}");
    }
    assert_eq!(world.store().load_at(&world.nobody(), 1).await.unwrap(), None);
}

pub async fn changes_are_net_of_what_came_and_went<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    add(&world, &mut tenant, ObjectKind::Service, 1).await;
    let (fleeting, called) = add(&world, &mut tenant, ObjectKind::Route, 2).await;
    let edit = tenant.model.edit(after(3)).delete(fleeting).build();
    world.commit(&mut tenant, &edit).await;
    let nothing = NetChanges { upserts: vec![], deletes: vec![] };
    assert_eq!(net_changes(&world, &tenant, 2).await, nothing);
    assert_eq!(net_changes(&world, &tenant, 4).await, nothing);
    assert_eq!(net_changes(&world, &tenant, 3).await, NetChanges { upserts: vec![], deletes: vec![fleeting] });
    // Deleted and made again with the same body: for somebody who had it, nothing is different.
    let edit = tenant.model.edit(after(4)).upsert(fleeting, &called, body(ObjectKind::Route, &called, 0)).build();
    world.commit(&mut tenant, &edit).await;
    assert_eq!(net_changes(&world, &tenant, 3).await, nothing);
    assert_eq!(net_changes(&world, &tenant, 4).await.upserts.len(), 1);
}

pub async fn a_body_that_returned_is_no_change<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    let (object, called) = add(&world, &mut tenant, ObjectKind::Consumer, 1).await;
    for mark in [1, 0] {
        let edit =
            tenant.model.edit(after(2)).upsert(object, &called, body(ObjectKind::Consumer, &called, mark)).build();
        world.commit(&mut tenant, &edit).await;
    }
    assert_eq!(net_changes(&world, &tenant, 2).await, NetChanges { upserts: vec![], deletes: vec![] });
    assert_eq!(net_changes(&world, &tenant, 3).await.upserts, tenant.model.objects());
}

pub async fn a_revision_that_is_not_of_this_history_has_no_changes<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    add(&world, &mut tenant, ObjectKind::Service, 1).await;
    let head = tenant.model.head().revision;
    let unknown = [
        Revision { seq: 0, ..head },
        Revision { seq: head.seq + 1, ..head },
        Revision { seq: u64::MAX, ..head },
        Revision { epoch: world.mint.epoch(), ..head },
        Revision { epoch: world.mint.epoch(), seq: 1 },
    ];
    for from in unknown {
        assert_eq!(world.store().changes_since(&tenant.scope, from).await.unwrap(), None, "{from}");
    }
    assert_eq!(world.store().changes_since(&world.nobody(), head).await.unwrap(), None);
}

pub async fn revisions_are_listed_newest_first<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    random_history(&world, &mut tenant, 9).await;
    let (store, scope) = (world.store(), &tenant.scope);
    let listed = store.revisions(scope, &PageRequest::first(500)).await.unwrap().items;
    let (initial, edits) = listed.split_last().expect("the first revision");
    assert_eq!(edits, tenant.model.revisions());
    assert_eq!((initial.head, initial.kind), (tenant.fresh.head, RevisionKind::Initial));
    assert_eq!((initial.at, initial.changes.as_slice()), (tenant.fresh.at, [].as_slice()));
    assert_pages(&listed, |request| async move { store.revisions(scope, &request).await }).await;
    for record in &listed {
        let found = store.revision(scope, record.head.revision.seq).await.unwrap();
        assert_eq!(found.as_ref(), Some(record));
    }
    for seq in [0, tenant.model.head().revision.seq + 1, u64::MAX] {
        assert_eq!(store.revision(scope, seq).await.unwrap(), None, "{seq}");
    }
}

pub async fn how_a_revision_came_about_is_kept<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    let kinds = [RevisionKind::Edit, RevisionKind::Apply, RevisionKind::Rollback { to: 2 }];
    for (kind, actor) in kinds.into_iter().zip([Actor::Account, Actor::Operator, Actor::System]) {
        let edit = tenant.model.edit(after(1)).kind(kind).actor(actor);
        let edit = edit.upsert(world.mint.object(ObjectKind::Consumer), &world.mint.name("c"), "{}").build();
        world.commit(&mut tenant, &edit).await;
        let seq = edit.next.revision.seq;
        let record = world.store().revision(&tenant.scope, seq).await.unwrap().expect("the revision");
        assert_eq!((record.kind, record.actor), (kind, actor));
    }
}

pub async fn a_history_survives_a_restart<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    random_history(&world, &mut tenant, 12).await;
    let Some(world) = world.reopened().await else { return };
    assert_history(&world, &tenant).await;
    random_history(&world, &mut tenant, 4).await;
    assert_history(&world, &tenant).await;
}
