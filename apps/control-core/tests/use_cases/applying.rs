//! Whole configurations: apply, dry run, rollback.

use std::collections::BTreeMap;

use novagate_kernel::{ErrorCode, ObjectKind, ObjectRef};
use novagate_policies::ConfigObject;
use novagate_ports_control::{
    PageRequest,
    inbound::{ConfigAdmin, Precondition},
    outbound::{Bus, RevisionChangeOp, RevisionKind, Wake},
};

use crate::world::{Tenant, World, code, consumer, name_of, reference, route, service};

const ADA: &str = "ada@example.org";

async fn apply(world: &World, tenant: &Tenant, drafts: Vec<ConfigObject>) -> novagate_ports_control::inbound::Applied {
    world.control.apply(&tenant.scope, drafts, None, false).await.unwrap()
}

fn three() -> Vec<ConfigObject> {
    vec![service("users"), route("get-user", "/users/{id}", "users"), consumer("app")]
}

async fn ids(world: &World, tenant: &Tenant) -> BTreeMap<(ObjectKind, Option<String>), ObjectRef> {
    let (_, views) = world.control.export(&tenant.scope).await.unwrap();
    let key = |object: &ConfigObject| (object.kind(), object.name().map(ToString::to_string));
    views.iter().map(|view| (key(&view.object), view.object.reference())).collect()
}

async fn key_of_app(world: &World, tenant: &Tenant) -> novagate_ports_control::inbound::NewConsumerKey {
    let app = ids(world, tenant).await[&(ObjectKind::Consumer, Some("app".to_owned()))];
    world.control.create_consumer_key(&tenant.scope, novagate_kernel::ConsumerId::from_uuid(app.id)).await.unwrap()
}

#[tokio::test]
async fn applying_keeps_ids_and_consumer_keys_and_deletes_what_is_missing() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    apply(&world, &tenant, three()).await;
    let key = key_of_app(&world, &tenant).await;
    let before = ids(&world, &tenant).await;
    let mut drafts = three();
    drafts.remove(1);
    drafts.push(service("orders"));
    let applied = apply(&world, &tenant, drafts).await;
    let ops: Vec<_> = applied.diff.iter().map(|line| (line.op, line.name.as_ref().unwrap().to_string())).collect();
    assert_eq!(
        ops,
        [(RevisionChangeOp::Created, "orders".to_owned()), (RevisionChangeOp::Deleted, "get-user".to_owned())]
    );
    let after = ids(&world, &tenant).await;
    for kept in [(ObjectKind::Service, Some("users".to_owned())), (ObjectKind::Consumer, Some("app".to_owned()))] {
        assert_eq!(before[&kept], after[&kept]);
    }
    world.control.get(&tenant.scope, key.view.object.reference()).await.expect("the key stays");
}

#[tokio::test]
async fn applying_the_same_again_makes_no_revision() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let first = apply(&world, &tenant, three()).await;
    let second = apply(&world, &tenant, three()).await;
    assert_eq!(first.head, second.head);
    assert!(second.diff.is_empty());
}

#[tokio::test]
async fn a_dry_run_tells_the_difference_and_changes_nothing() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let head = world.control.head(&tenant.scope).await.unwrap();
    let mut bus = world.bus.subscribe().await.unwrap();
    let dry = world.control.apply(&tenant.scope, three(), None, true).await.unwrap();
    assert_eq!((dry.head, dry.diff.len()), (head, 3));
    assert_eq!(world.control.head(&tenant.scope).await.unwrap(), head);
    assert!(world.control.export(&tenant.scope).await.unwrap().1.is_empty());
    assert_eq!(world.wakes(&mut bus).await, []);
    let broken = world.control.apply(&tenant.scope, vec![route("r", "/r", "nowhere")], None, true).await;
    assert_eq!(code(broken), ErrorCode::ValidationFailed, "a dry run checks all the same");
}

#[tokio::test]
async fn applying_to_another_head_than_expected_is_refused() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let head = world.control.head(&tenant.scope).await.unwrap();
    world.control.apply(&tenant.scope, three(), Some(head), false).await.unwrap();
    let late = world.control.apply(&tenant.scope, Vec::new(), Some(head), false).await;
    assert_eq!(code(late), ErrorCode::PreconditionFailed);
}

#[tokio::test]
async fn faults_of_a_document_point_to_the_place_in_its_list() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    apply(&world, &tenant, three()).await;
    let mut drafts = three();
    drafts.push(route("lost", "/lost", "nowhere"));
    drafts.push(service("users"));
    let refusal = world.control.apply(&tenant.scope, drafts, None, false).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::ValidationFailed);
    let faults: Vec<(&str, &str)> =
        refusal.fields.iter().map(|fault| (fault.pointer.as_str(), fault.code.as_str())).collect();
    assert!(
        faults.contains(&("/services/1/name", "duplicate_name"))
            || faults.contains(&("/services/0/name", "duplicate_name")),
        "{faults:?}"
    );
    let mut drafts = three();
    drafts.push(route("lost", "/lost", "nowhere"));
    let refusal = world.control.apply(&tenant.scope, drafts, None, false).await.unwrap_err();
    assert_eq!(
        (refusal.fields[0].pointer.as_str(), refusal.fields[0].code.as_str()),
        ("/routes/1/service", "unknown_service")
    );
}

#[tokio::test]
async fn a_rollback_publishes_an_earlier_content_as_a_new_revision() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let first = apply(&world, &tenant, three()).await;
    let ids_before = ids(&world, &tenant).await;
    apply(&world, &tenant, vec![service("other")]).await;
    let back = world.control.rollback(&tenant.scope, first.head.revision.seq).await.unwrap();
    assert_eq!(back.head.revision.seq, first.head.revision.seq + 2);
    assert_eq!(back.head.digest, first.head.digest);
    assert_eq!(ids(&world, &tenant).await, ids_before);
    let record = world.control.revisions(&tenant.scope, &PageRequest::first(1)).await.unwrap().items.remove(0);
    assert_eq!(record.kind, RevisionKind::Rollback { to: first.head.revision.seq });
    let again = world.control.rollback(&tenant.scope, first.head.revision.seq).await.unwrap();
    assert_eq!((again.head, again.diff.len()), (back.head, 0));
    assert_eq!(code(world.control.rollback(&tenant.scope, 99).await), ErrorCode::NotFound);
}

#[tokio::test]
async fn a_rollback_revives_no_revoked_key_and_keeps_those_made_since() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    apply(&world, &tenant, three()).await;
    let revoked = key_of_app(&world, &tenant).await;
    let with_key = world.control.head(&tenant.scope).await.unwrap();
    world.control.delete(&tenant.scope, revoked.view.object.reference(), Precondition::None).await.unwrap();
    let kept = key_of_app(&world, &tenant).await;
    world.control.rollback(&tenant.scope, with_key.revision.seq).await.unwrap();
    let gone = world.control.get(&tenant.scope, revoked.view.object.reference()).await;
    assert_eq!(code(gone), ErrorCode::NotFound);
    world.control.get(&tenant.scope, kept.view.object.reference()).await.unwrap();
}

#[tokio::test]
async fn a_rollback_past_a_consumer_revokes_its_keys() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let empty = world.control.head(&tenant.scope).await.unwrap();
    apply(&world, &tenant, three()).await;
    let key = key_of_app(&world, &tenant).await;
    let mut bus = world.bus.subscribe().await.unwrap();
    let back = world.control.rollback(&tenant.scope, empty.revision.seq).await.unwrap();
    assert_eq!(back.head.digest, empty.digest);
    let wakes = world.wakes(&mut bus).await;
    assert_eq!(wakes[0], Wake::ConsumerKeysRevoked { tenant: tenant.id, keys: vec![key.key.digest()] });
}

#[tokio::test]
async fn a_rollback_across_names_that_changed_places_works() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let (left, right) = (world.service(&tenant, "left").await, world.service(&tenant, "right").await);
    let rename = async |written, name: &str| {
        let draft = service(name).with_id(reference(written).id);
        world.control.replace(&tenant.scope, draft, Precondition::None).await.unwrap()
    };
    rename(&left, "aside").await;
    rename(&right, "left").await;
    rename(&left, "right").await;
    let back = world.control.rollback(&tenant.scope, right.head.revision.seq).await.unwrap();
    assert_eq!(back.head.digest, right.head.digest);
    assert_eq!(name_of(&world.control.get(&tenant.scope, reference(&left)).await.unwrap().object), "left");
}
