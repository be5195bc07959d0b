//! Lists of objects.

use novagate_kernel::ObjectKind;
use novagate_ports_control::{
    PageRequest,
    outbound::{ConfigStore as _, StoredObject},
};

use super::{add, body, name};
use crate::pages::{assert_pages, read_all};
use crate::stores::{StoreFixture, Tenant, World, after};

/// The model's objects of a kind in the order of lists.
fn expected(tenant: &Tenant, kind: ObjectKind) -> Vec<StoredObject> {
    let mut objects = tenant.model.objects();
    objects.retain(|object| object.reference.kind == kind);
    objects.sort_by_key(|object| (object.created_at, object.reference.id));
    objects
}

pub async fn objects_are_listed_by_creation_time_then_id<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    // Four objects of one time, and one each before and after, although the clock steps back in between.
    for seconds in [50, 20, 90] {
        let mut edit = tenant.model.edit(after(seconds));
        for _ in 0..if seconds == 50 { 4 } else { 1 } {
            let called = world.mint.name("list");
            let text = body(ObjectKind::Service, &called, 0);
            edit = edit.upsert(world.mint.object(ObjectKind::Service), &called, text);
        }
        let edit = edit.build();
        world.commit(&mut tenant, &edit).await;
    }
    add(&world, &mut tenant, ObjectKind::Route, 1).await;
    // A change moves nothing.
    let changed = tenant.model.objects().swap_remove(0);
    let text = body(ObjectKind::Service, &name("moved"), 1);
    let edit = tenant.model.edit(after(100)).upsert(changed.reference, &name("moved"), text).build();
    world.commit(&mut tenant, &edit).await;
    let (store, scope) = (world.store(), &tenant.scope);
    for kind in ObjectKind::ALL {
        let fetch = |request: PageRequest| async move { store.list(scope, kind, None, &request).await };
        assert_pages(&expected(&tenant, kind), fetch).await;
    }
}

pub async fn children_are_listed_by_parent<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    let mut parents = Vec::new();
    for _ in 0..3 {
        parents.push(add(&world, &mut tenant, ObjectKind::Consumer, 1).await.0);
    }
    for seconds in 2..9 {
        let parent = parents[usize::from(seconds % 3 > 0)];
        let text = body(ObjectKind::ConsumerKey, &name("x"), seconds);
        let key = world.mint.object(ObjectKind::ConsumerKey);
        let edit = tenant.model.edit(after(seconds)).upsert_child(key, parent, text).build();
        world.commit(&mut tenant, &edit).await;
    }
    let (store, scope) = (world.store(), &tenant.scope);
    for parent in parents {
        let mut children = expected(&tenant, ObjectKind::ConsumerKey);
        children.retain(|object| object.parent == Some(parent));
        let fetch = |request: PageRequest| async move {
            store.list(scope, ObjectKind::ConsumerKey, Some(parent), &request).await
        };
        assert_pages(&children, fetch).await;
    }
    let all = store.list(scope, ObjectKind::ConsumerKey, None, &PageRequest::first(100)).await.unwrap().items;
    assert_eq!(all, expected(&tenant, ObjectKind::ConsumerKey));
}

pub async fn pages_of_objects_stay_stable_while_objects_come_and_go<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let mut tenant = world.tenant().await;
    for seconds in 0..8 {
        add(&world, &mut tenant, ObjectKind::Service, 10 + seconds).await;
    }
    let before = expected(&tenant, ObjectKind::Service);
    let first = world.store().list(&tenant.scope, ObjectKind::Service, None, &PageRequest::first(3)).await.unwrap();
    assert_eq!(first.items, before[..3]);
    let next = first.next.expect("a next page");
    // One comes before the position, one at the end; the one at the position itself goes.
    add(&world, &mut tenant, ObjectKind::Service, 1).await;
    add(&world, &mut tenant, ObjectKind::Service, 99).await;
    let edit = tenant.model.edit(after(100)).delete(before[2].reference).build();
    world.commit(&mut tenant, &edit).await;
    let (store, scope) = (world.store(), &tenant.scope);
    let fetch = |request: PageRequest| {
        let after = request.after.or_else(|| Some(next.clone()));
        async move { store.list(scope, ObjectKind::Service, None, &PageRequest { after, ..request }).await }
    };
    let rest = read_all(2, fetch).await;
    let now = expected(&tenant, ObjectKind::Service);
    assert_eq!(rest, now[3..], "everything behind the position, nothing twice");
}
