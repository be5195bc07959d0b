//! Commits, and what is read back.

use futures_util::future::{join, join_all};
use novagate_fixtures::EditBuilder;
use novagate_kernel::{Digest, Head, ObjectKind, Revision};
use novagate_ports_control::{
    PageRequest,
    outbound::{Commit, ConfigStore as _, Edit, RevisionChangeOp, StoredObject},
};
use novagate_records::{Actor, AuditAction};
use novagate_sync::object_digest;

use super::{add, body, name};
use crate::stores::{StoreFixture, Tenant, World, after};

/// That the store and the tenant's model agree about the present configuration.
pub(crate) async fn assert_as_modelled<F: StoreFixture>(world: &World<F>, tenant: &Tenant) {
    let (head, objects) = (tenant.model.head(), tenant.model.objects());
    assert_eq!(world.store().head(&tenant.scope).await.unwrap(), Some(head));
    for object in &objects {
        assert_eq!(world.store().find(&tenant.scope, object.reference).await.unwrap().as_ref(), Some(object));
    }
    assert_eq!(world.store().load(&tenant.scope).await.unwrap(), Some((head, objects)));
}

pub async fn a_new_tenant_has_the_empty_configuration<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    assert_as_modelled(&world, &tenant).await;
    assert_eq!(world.store().head(&world.nobody()).await.unwrap(), None);
    assert_eq!(world.store().load(&world.nobody()).await.unwrap(), None);
}

pub async fn what_was_committed_is_read_back_whole<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    let consumer = world.mint.object(ObjectKind::Consumer);
    let mut edit =
        tenant.model.edit(after(1)).upsert(consumer, &name("app"), body(ObjectKind::Consumer, &name("app"), 0));
    for kind in [ObjectKind::Route, ObjectKind::Service] {
        edit = edit.upsert(world.mint.object(kind), &name("users"), body(kind, &name("users"), 0));
    }
    let key = world.mint.object(ObjectKind::ConsumerKey);
    let edit = edit.upsert_child(key, consumer, body(ObjectKind::ConsumerKey, &name("x"), 1)).build();
    world.commit(&mut tenant, &edit).await;
    assert_as_modelled(&world, &tenant).await;
    assert_eq!(world.store().find(&tenant.scope, world.mint.object(ObjectKind::Route)).await.unwrap(), None);
}

/// Texts that an eager layer would tidy up.
const ODD_BODIES: [&str; 8] = [
    "{\"name\" :\t\"a\",\r\n  \"x\":  1.0e+00 }\n\n",
    "{\"b\":1,\"a\":2,\"b\":3}",
    "{\"x\":\"Stra\u{df}e \u{8336} \u{1f980} e\u{301} \u{e9}\"}",
    "{\"x\":\"\u{2028}\u{2029}\u{feff}\u{200b}\u{202e}\u{85}\"}",
    "{\"x\":\"\\u0000\\ud83e\\udd80\\/\\\\\"}",
    "{\"x\":\"'; drop table consumers; -- $1 ? :a %s\"}",
    "{\"n\":12345678901234567890.123456789012345678901234567890}",
    "{}",
];

pub async fn bodies_come_back_byte_for_byte<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    let mut edit = tenant.model.edit(after(1));
    for text in ODD_BODIES {
        edit = edit.upsert(world.mint.object(ObjectKind::Consumer), &world.mint.name("odd"), text);
    }
    let long = format!("{{\"x\":\"{}\"}}", "é".repeat(100_000));
    let edit = edit.upsert(world.mint.object(ObjectKind::Consumer), &name("long"), long).build();
    world.commit(&mut tenant, &edit).await;
    assert_as_modelled(&world, &tenant).await;
    let (_, stored) = world.store().load(&tenant.scope).await.unwrap().expect("a configuration");
    assert!(stored.iter().all(|object| object.digest == object_digest(&object.body)));
}

pub async fn an_update_keeps_the_creation_time_and_other_objects<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    let (changed, called) = add(&world, &mut tenant, ObjectKind::Service, 1).await;
    add(&world, &mut tenant, ObjectKind::Service, 2).await;
    let edit = tenant.model.edit(after(3)).upsert(changed, &called, body(ObjectKind::Service, &called, 9)).build();
    world.commit(&mut tenant, &edit).await;
    let found: StoredObject = world.store().find(&tenant.scope, changed).await.unwrap().expect("the object");
    assert_eq!((found.created_at, found.updated_at, found.seq), (after(1), after(3), 4));
    let renamed = world.mint.name("renamed");
    let edit = tenant.model.edit(after(4)).upsert(changed, &renamed, body(ObjectKind::Service, &renamed, 9)).build();
    world.commit(&mut tenant, &edit).await;
    assert_as_modelled(&world, &tenant).await;
}

pub async fn a_deleted_object_is_gone<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    let (gone, called) = add(&world, &mut tenant, ObjectKind::Service, 1).await;
    add(&world, &mut tenant, ObjectKind::Service, 2).await;
    let edit = tenant.model.edit(after(3)).delete(gone).build();
    world.commit(&mut tenant, &edit).await;
    assert_eq!(world.store().find(&tenant.scope, gone).await.unwrap(), None);
    assert_as_modelled(&world, &tenant).await;
    // A rollback brings an object back under its old id; it is a new object from then on.
    let edit = tenant.model.edit(after(4)).upsert(gone, &called, body(ObjectKind::Service, &called, 0)).build();
    world.commit(&mut tenant, &edit).await;
    assert_as_modelled(&world, &tenant).await;
}

/// The edit as if it had been worked out against `base`.
fn rebased(edit: &Edit, base: Head) -> Edit {
    Edit { base, next: Head { revision: base.revision.next(), digest: edit.next.digest }, ..edit.clone() }
}

pub async fn a_commit_from_another_base_does_nothing<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    let first = tenant.model.head();
    add(&world, &mut tenant, ObjectKind::Service, 1).await;
    let head = tenant.model.head();
    world.store().settle(&tenant.scope, head.revision).await.unwrap();
    let audits = world.audit_of(&tenant.scope).await;
    let called = world.mint.name("late");
    let edit = tenant.model.edit(after(2)).upsert(world.mint.object(ObjectKind::Service), &called, "{}");
    let edit = edit.audit(world.audit(AuditAction::ObjectCreated)).build();
    let epoch = world.mint.epoch();
    let wrong = [
        first,
        Head { revision: head.revision.next(), ..head },
        Head { revision: Revision { epoch, ..head.revision }, ..head },
        Head { digest: Digest::from_bytes([7; 32]), ..head },
    ];
    for base in wrong {
        let outcome = world.store().commit(&tenant.scope, &rebased(&edit, base)).await.unwrap();
        assert_eq!(outcome, Commit::Moved(head), "from {base:?}");
    }
    assert_as_modelled(&world, &tenant).await;
    assert_eq!(world.audit_of(&tenant.scope).await, audits);
    assert_eq!(world.store().pending(&PageRequest::first(10)).await.unwrap().items, []);
    assert_eq!(world.store().revision(&tenant.scope, head.revision.seq + 1).await.unwrap(), None);
    assert_eq!(world.store().commit(&tenant.scope, &edit).await.unwrap(), Commit::Committed(edit.next));
}

pub async fn of_racing_commits_from_one_base_exactly_one_wins<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    let edits: Vec<Edit> = (0..8)
        .map(|racer| {
            let (object, called) = (world.mint.object(ObjectKind::Service), world.mint.name("racer"));
            tenant.model.edit(after(racer)).upsert(object, &called, body(ObjectKind::Service, &called, racer)).build()
        })
        .collect();
    let outcomes = join_all(edits.iter().map(|edit| world.store().commit(&tenant.scope, edit))).await;
    let outcomes: Vec<Commit> = outcomes.into_iter().map(Result::unwrap).collect();
    let committed = |outcome: &Commit| matches!(outcome, Commit::Committed(_));
    let winner = outcomes.iter().position(committed).expect("one racer wins");
    for (racer, outcome) in outcomes.into_iter().enumerate() {
        let expected = edits[winner].next;
        let expected = if racer == winner { Commit::Committed(expected) } else { Commit::Moved(expected) };
        assert_eq!(outcome, expected);
    }
    tenant.model.apply(&edits[winner]);
    assert_as_modelled(&world, &tenant).await;
}

pub async fn racing_commits_that_try_again_all_get_through<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let race = |racer: u64| {
        let (object, called) = (world.mint.object(ObjectKind::Consumer), world.mint.name("racer"));
        let (world, scope) = (&world, &tenant.scope);
        async move {
            loop {
                let (head, objects) = world.store().load(scope).await.unwrap().expect("a configuration");
                let edit = EditBuilder::new(head, &objects, after(racer)).upsert(object, &called, "{}").build();
                if let Commit::Committed(head) = world.store().commit(scope, &edit).await.unwrap() {
                    return head.revision.seq;
                }
            }
        }
    };
    let mut seqs = join_all((0..6).map(race)).await;
    seqs.sort_unstable();
    assert_eq!(seqs, [2, 3, 4, 5, 6, 7]);
    let (_, objects) = world.store().load(&tenant.scope).await.unwrap().expect("a configuration");
    assert_eq!(objects.len(), 6);
}

pub async fn a_reader_never_sees_half_a_commit<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    let objects: Vec<_> = (0..4).map(|_| (world.mint.object(ObjectKind::Consumer), world.mint.name("pair"))).collect();
    let scope = tenant.scope.clone();
    let write = async {
        for round in 0..20 {
            let mut edit = tenant.model.edit(after(round));
            for (object, called) in &objects {
                edit = edit.upsert(*object, called, format!("{{\"round\":{round}}}"));
            }
            world.commit(&mut tenant, &edit.build()).await;
        }
    };
    let read = async {
        for _ in 0..40 {
            let (head, objects) = world.store().load(&scope).await.unwrap().expect("a configuration");
            assert!(objects.iter().all(|object| object.seq == head.revision.seq), "objects of several revisions");
            let changes = world.store().changes_since(&scope, head.revision).await.unwrap().expect("a known revision");
            let seq = changes.head.revision.seq;
            assert!(changes.upserts.iter().all(|object| object.seq == seq), "changes of several revisions");
        }
    };
    join(write, read).await;
}

pub async fn an_edit_of_many_objects_is_one_commit<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    let mut edit = tenant.model.edit(after(1));
    for mark in 0..700 {
        let called = world.mint.name("many");
        edit = edit.upsert(world.mint.object(ObjectKind::Consumer), &called, body(ObjectKind::Consumer, &called, mark));
    }
    world.commit(&mut tenant, &edit.build()).await;
    assert_as_modelled_at_once(&world, &tenant).await;
    let mut edit = tenant.model.edit(after(2));
    for object in tenant.model.objects().iter().step_by(2) {
        edit = edit.delete(object.reference);
    }
    world.commit(&mut tenant, &edit.build()).await;
    assert_as_modelled_at_once(&world, &tenant).await;
}

async fn assert_as_modelled_at_once<F: StoreFixture>(world: &World<F>, tenant: &Tenant) {
    let expected = Some((tenant.model.head(), tenant.model.objects()));
    assert!(world.store().load(&tenant.scope).await.unwrap() == expected, "another configuration than was committed");
}

pub async fn a_commit_writes_revision_audit_and_pending_update<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    let (object, called) = (world.mint.object(ObjectKind::Route), world.mint.name("route"));
    let mut entry = world.audit_at(AuditAction::ObjectCreated, after(7));
    entry.actor = Actor::Operator;
    entry.object = Some(object);
    entry.name = Some(called.clone());
    entry.revision = Some(tenant.model.head().revision.next());
    let edit = tenant.model.edit(after(7)).actor(Actor::Operator).audit(entry.clone());
    let edit = edit.upsert(object, &called, body(ObjectKind::Route, &called, 0)).build();
    let head = world.commit(&mut tenant, &edit).await;
    let revision = world.store().revision(&tenant.scope, head.revision.seq).await.unwrap().expect("the revision");
    assert_eq!((revision.head, revision.actor, revision.at), (head, Actor::Operator, after(7)));
    assert_eq!(revision.changes.len(), 1);
    assert_eq!((revision.changes[0].object, revision.changes[0].op), (object, RevisionChangeOp::Created));
    assert_eq!(world.audit_of(&tenant.scope).await, [entry, tenant.fresh.audit.clone()]);
    let pending = world.store().pending(&PageRequest::first(10)).await.unwrap().items;
    assert_eq!(pending.len(), 1);
    assert_eq!((pending[0].tenant, pending[0].revision), (tenant.scope.tenant(), head.revision));
    assert_eq!(pending[0].since, after(7));
}

pub async fn other_tenants_see_nothing_of_a_configuration<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (mut tenant, other) = (world.tenant().await, world.tenant().await);
    let (object, _) = add(&world, &mut tenant, ObjectKind::Service, 1).await;
    let store = world.store();
    let first = Revision { seq: 1, ..tenant.model.head().revision };
    assert_as_modelled(&world, &other).await;
    assert_eq!(store.find(&other.scope, object).await.unwrap(), None);
    let list = store.list(&other.scope, object.kind, None, &PageRequest::first(10)).await.unwrap();
    assert_eq!(list.items, []);
    assert_eq!(store.changes_since(&other.scope, first).await.unwrap(), None, "a revision of another tenant's epoch");
    assert_eq!(store.revision(&other.scope, 2).await.unwrap(), None);
    assert_eq!(store.load_at(&other.scope, 2).await.unwrap(), None);
    // Another tenant's head is no base, and its object no object of one's own.
    let edit = tenant.model.edit(after(2)).delete(object).build();
    assert_eq!(store.commit(&other.scope, &edit).await.unwrap(), Commit::Moved(other.model.head()));
    assert_as_modelled(&world, &tenant).await;
}

pub async fn a_commit_survives_a_restart<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    add(&world, &mut tenant, ObjectKind::Service, 1).await;
    add(&world, &mut tenant, ObjectKind::Route, 2).await;
    let Some(world) = world.reopened().await else { return };
    assert_as_modelled(&world, &tenant).await;
    add(&world, &mut tenant, ObjectKind::Consumer, 3).await;
    assert_as_modelled(&world, &tenant).await;
}
