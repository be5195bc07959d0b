//! Names are unique per kind, at the end of each edit.

use novagate_kernel::ObjectKind;
use novagate_ports_base::FaultKind;
use novagate_ports_control::{PageRequest, outbound::ConfigStore as _};
use novagate_records::AuditAction;

use super::{add, body, commits::assert_as_modelled, name};
use crate::stores::{StoreFixture, World, after, assert_fault};

pub async fn a_taken_name_is_a_conflict_and_nothing_is_written<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    let (_, taken) = add(&world, &mut tenant, ObjectKind::Service, 1).await;
    let (other, _) = add(&world, &mut tenant, ObjectKind::Service, 1).await;
    let head = tenant.model.head();
    world.store().settle(&tenant.scope, head.revision).await.unwrap();
    let audits = world.audit_of(&tenant.scope).await;
    for object in [world.mint.object(ObjectKind::Service), other] {
        let innocent = world.mint.object(ObjectKind::Consumer);
        let edit = tenant.model.edit(after(2)).upsert(innocent, &name("innocent"), "{}");
        let edit = edit.audit(world.audit(AuditAction::ConfigApplied));
        let edit = edit.upsert(object, &taken, body(ObjectKind::Service, &taken, 5)).build();
        assert_fault(world.store().commit(&tenant.scope, &edit).await, FaultKind::Conflict);
    }
    assert_as_modelled(&world, &tenant).await;
    assert_eq!(world.audit_of(&tenant.scope).await, audits);
    assert_eq!(world.store().revision(&tenant.scope, head.revision.seq + 1).await.unwrap(), None);
    assert_eq!(world.store().pending(&PageRequest::first(10)).await.unwrap().items, []);
}

pub async fn one_name_twice_in_an_edit_is_a_conflict<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let mut edit = tenant.model.edit(after(1));
    for _ in 0..2 {
        edit = edit.upsert(world.mint.object(ObjectKind::Consumer), &name("twice"), "{}");
    }
    assert_fault(world.store().commit(&tenant.scope, &edit.build()).await, FaultKind::Conflict);
    assert_as_modelled(&world, &tenant).await;
}

pub async fn names_are_unique_per_kind_and_tenant_only<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    for mut tenant in [world.tenant().await, world.tenant().await] {
        let mut edit = tenant.model.edit(after(1));
        for kind in [ObjectKind::Service, ObjectKind::Route, ObjectKind::Consumer] {
            edit = edit.upsert(world.mint.object(kind), &name("same"), body(kind, &name("same"), 0));
        }
        let edit = edit.build();
        world.commit(&mut tenant, &edit).await;
        assert_as_modelled(&world, &tenant).await;
    }
}

pub async fn names_may_be_exchanged_within_an_edit<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    let mut objects = Vec::new();
    for _ in 0..3 {
        objects.push(add(&world, &mut tenant, ObjectKind::Service, 1).await);
    }
    let mut edit = tenant.model.edit(after(2));
    for (at, (object, _)) in objects.iter().enumerate() {
        let (_, called) = &objects[(at + 1) % objects.len()];
        edit = edit.upsert(*object, called, body(ObjectKind::Service, called, 0));
    }
    let edit = edit.build();
    world.commit(&mut tenant, &edit).await;
    assert_as_modelled(&world, &tenant).await;
}

pub async fn the_name_of_a_deleted_object_is_free_at_once<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    let (gone, freed) = add(&world, &mut tenant, ObjectKind::Route, 1).await;
    let edit = tenant.model.edit(after(2)).delete(gone);
    let edit = edit.upsert(world.mint.object(ObjectKind::Route), &freed, body(ObjectKind::Route, &freed, 1)).build();
    world.commit(&mut tenant, &edit).await;
    assert_as_modelled(&world, &tenant).await;
}

pub async fn objects_without_names_never_collide<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    let (consumer, _) = add(&world, &mut tenant, ObjectKind::Consumer, 1).await;
    let mut edit = tenant.model.edit(after(2));
    for mark in 0..3 {
        let text = body(ObjectKind::ConsumerKey, &name("x"), mark);
        edit = edit.upsert_child(world.mint.object(ObjectKind::ConsumerKey), consumer, text);
    }
    let edit = edit.build();
    world.commit(&mut tenant, &edit).await;
    assert_as_modelled(&world, &tenant).await;
}
