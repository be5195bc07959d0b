//! Editing one object at a time.

use novagate_kernel::{ErrorCode, ObjectKind, ObjectRef};
use novagate_policies::ConfigObject;
use novagate_ports_control::{
    PageRequest,
    inbound::{Accounts, ConfigAdmin, Precondition},
    outbound::{Bus, PlanLimits, RevisionChangeOp, Wake},
};
use serde_json::json;
use uuid::Uuid;

use crate::world::{World, code, consumer, name_of, object, reference, route, service};

const ADA: &str = "ada@example.org";

#[tokio::test]
async fn an_object_is_created_under_a_fresh_id_and_read_back() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let mut bus = world.bus.subscribe().await.unwrap();
    let written = world.service(&tenant, "users").await;
    assert!(written.created);
    assert_eq!(written.head.revision.seq, 2);
    assert_ne!(reference(&written).id, Uuid::nil());
    assert_eq!(world.control.get(&tenant.scope, reference(&written)).await.unwrap(), written.view);
    assert_eq!(world.wakes(&mut bus).await, [Wake::Config { tenant: tenant.id, head: written.head }]);
}

#[tokio::test]
async fn a_name_is_unique_per_kind() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    world.service(&tenant, "users").await;
    let refusal = world.control.create(&tenant.scope, service("users")).await.unwrap_err();
    assert_eq!((refusal.code, refusal.fields[0].pointer.as_str()), (ErrorCode::NameTaken, "/name"));
    world.consumer(&tenant, "users").await;
    let other = world.service(&tenant, "orders").await;
    let renamed = service("users").with_id(reference(&other).id);
    let refusal = world.control.replace(&tenant.scope, renamed, Precondition::None).await;
    assert_eq!(code(refusal), ErrorCode::NameTaken);
}

#[tokio::test]
async fn a_write_that_changes_nothing_makes_no_revision() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let written = world.service(&tenant, "users").await;
    let mut bus = world.bus.subscribe().await.unwrap();
    let same = service("users").with_id(reference(&written).id);
    let again = world.control.replace(&tenant.scope, same, Precondition::None).await.unwrap();
    assert_eq!((again.head, again.created, again.view), (written.head, false, written.view));
    assert_eq!(world.wakes(&mut bus).await, []);
    let revisions = world.control.revisions(&tenant.scope, &PageRequest::first(9)).await.unwrap().items;
    assert_eq!(revisions[0].head, written.head);
}

#[tokio::test]
async fn preconditions_hold_or_nothing_happens() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let written = world.service(&tenant, "users").await;
    let (id, seq) = (reference(&written).id, written.view.seq);
    let body = |weight| {
        let body = json!({"name": "users", "targets": [{"url": "http://10.0.0.5:8080", "weight": weight}]});
        object(ObjectKind::Service, id, &body)
    };
    let changed = world.control.replace(&tenant.scope, body(2), Precondition::Unchanged(seq)).await.unwrap();
    assert_eq!(changed.view.seq, seq + 1);
    assert_eq!(changed.view.created_at, written.view.created_at);
    for precondition in [Precondition::Unchanged(seq), Precondition::Absent] {
        let refused = world.control.replace(&tenant.scope, body(3), precondition).await;
        assert_eq!(code(refused), ErrorCode::PreconditionFailed);
    }
    let stale = world.control.delete(&tenant.scope, reference(&written), Precondition::Unchanged(seq)).await;
    assert_eq!(code(stale), ErrorCode::PreconditionFailed);
    assert_eq!(world.control.head(&tenant.scope).await.unwrap(), changed.head);
}

#[tokio::test]
async fn replacing_what_is_not_there_creates_only_when_that_is_asked_for() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let draft = || service("users").with_id(Uuid::from_u128(77));
    let refused = world.control.replace(&tenant.scope, draft(), Precondition::None).await;
    assert_eq!(code(refused), ErrorCode::NotFound);
    let written = world.control.replace(&tenant.scope, draft(), Precondition::Absent).await.unwrap();
    assert!(written.created);
    assert_eq!(reference(&written).id, Uuid::from_u128(77));
}

#[tokio::test]
async fn a_service_with_routes_stays_and_they_are_named() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let users = world.service(&tenant, "users").await;
    let first = world.route(&tenant, "get-user", "/users/{id}", "users").await;
    let second = world.route(&tenant, "list-users", "/users", "users").await;
    let refusal = world.control.delete(&tenant.scope, reference(&users), Precondition::None).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::InUse);
    let named: Vec<&str> = refusal.fields.iter().map(|fault| fault.message.as_str()).collect();
    assert_eq!(named.len(), 2);
    assert!(
        named.iter().any(|text| text.contains("`get-user`")) && named.iter().any(|text| text.contains("`list-users`"))
    );
    for written in [&first, &second, &users] {
        world.control.delete(&tenant.scope, reference(written), Precondition::None).await.unwrap();
    }
    assert_eq!(code(world.control.get(&tenant.scope, reference(&users)).await), ErrorCode::NotFound);
}

#[tokio::test]
async fn a_renamed_service_takes_its_routes_along_in_one_revision() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let users = world.service(&tenant, "users").await;
    world.service(&tenant, "orders").await;
    let moved = world.route(&tenant, "get-user", "/users/{id}", "users").await;
    let kept = world.route(&tenant, "get-order", "/orders/{id}", "orders").await;
    let renamed = service("people").with_id(reference(&users).id);
    let written = world.control.replace(&tenant.scope, renamed, Precondition::None).await.unwrap();
    assert_eq!(written.head.revision.seq, kept.head.revision.seq + 1);
    let service_of =
        async |reference: ObjectRef| match world.control.get(&tenant.scope, reference).await.unwrap().object {
            ConfigObject::Route(route) => route.route.action.services().next().unwrap().to_string(),
            other @ (ConfigObject::Service(_) | ConfigObject::Consumer(_) | ConfigObject::ConsumerKey(_)) => {
                panic!("{other:?}")
            }
        };
    assert_eq!(service_of(reference(&moved)).await, "people");
    assert_eq!(service_of(reference(&kept)).await, "orders");
    let record = world.control.revision(&tenant.scope, written.head.revision.seq).await.unwrap().record;
    assert_eq!(record.changes.len(), 2);
    assert!(record.changes.iter().all(|change| change.op == RevisionChangeOp::Updated));
}

#[tokio::test]
async fn faults_point_into_the_body_and_name_other_objects_in_words() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let unknown = world.control.create(&tenant.scope, route("r", "/r", "nowhere")).await.unwrap_err();
    assert_eq!(unknown.code, ErrorCode::ValidationFailed);
    assert_eq!((unknown.fields[0].pointer.as_str(), unknown.fields[0].code.as_str()), ("/service", "unknown_service"));
    world.service(&tenant, "users").await;
    world.route(&tenant, "first", "/a/{x}", "users").await;
    let conflict = world.control.create(&tenant.scope, route("second", "/a/{y}", "users")).await.unwrap_err();
    assert_eq!(conflict.code, ErrorCode::ValidationFailed);
    let text = format!("{:?}", conflict.fields);
    assert!(text.contains("route_conflict") && text.contains("first"), "{text}");
    assert_eq!(world.control.export(&tenant.scope).await.unwrap().1.len(), 2, "nothing was written");
}

#[tokio::test]
async fn a_deleted_consumer_takes_its_keys_along_and_they_are_revoked_first() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let app = world.consumer(&tenant, "app").await;
    let ConfigObject::Consumer(ref body) = app.view.object else { panic!("a consumer") };
    let key = world.control.create_consumer_key(&tenant.scope, body.id).await.unwrap();
    let mut bus = world.bus.subscribe().await.unwrap();
    let head = world.control.delete(&tenant.scope, reference(&app), Precondition::None).await.unwrap();
    let wakes = world.wakes(&mut bus).await;
    let revoked = Wake::ConsumerKeysRevoked { tenant: tenant.id, keys: vec![key.key.digest()] };
    assert_eq!(wakes, [revoked, Wake::Config { tenant: tenant.id, head }]);
    assert_eq!(code(world.control.get(&tenant.scope, key.view.object.reference()).await), ErrorCode::NotFound);
}

#[tokio::test]
async fn a_key_needs_its_consumer_and_a_consumer_has_a_hundred_keys() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let nobody = novagate_kernel::ConsumerId::from_uuid(Uuid::from_u128(5));
    assert_eq!(code(world.control.create_consumer_key(&tenant.scope, nobody).await), ErrorCode::NotFound);
    let app = world.consumer(&tenant, "app").await;
    let ConfigObject::Consumer(body) = &app.view.object else { panic!("a consumer") };
    for _ in 0..100 {
        world.control.create_consumer_key(&tenant.scope, body.id).await.unwrap();
    }
    let refusal = world.control.create_consumer_key(&tenant.scope, body.id).await.unwrap_err();
    assert_eq!((refusal.code, refusal.limit), (ErrorCode::PlanLimit, Some("keys per consumer")));
    let page = PageRequest::first(500);
    let keys = world.control.list(&tenant.scope, ObjectKind::ConsumerKey, Some(reference(&app)), &page).await.unwrap();
    assert_eq!(keys.items.len(), 100);
}

#[tokio::test]
async fn plan_limits_are_named() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let tight = PlanLimits { services: 1, routes: 1, consumers: 1, ..PlanLimits::FREE };
    *world.plan.lock().unwrap() = tight;
    world.service(&tenant, "users").await;
    world.route(&tenant, "a", "/a", "users").await;
    world.consumer(&tenant, "app").await;
    for (draft, limit) in
        [(service("more"), "services"), (route("b", "/b", "users"), "routes"), (consumer("more"), "consumers")]
    {
        let refusal = world.control.create(&tenant.scope, draft).await.unwrap_err();
        assert_eq!((refusal.code, refusal.limit), (ErrorCode::PlanLimit, Some(limit)));
    }
    *world.plan.lock().unwrap() = PlanLimits { config_bytes: 100, ..PlanLimits::FREE };
    let refusal = world.control.create(&tenant.scope, service("more")).await.unwrap_err();
    assert_eq!(refusal.limit, Some("config bytes"));
}

#[tokio::test]
async fn a_tenant_beyond_a_smaller_plan_may_shrink_but_not_grow() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let mut services = Vec::new();
    for name in ["a", "b", "c", "d"] {
        services.push(world.service(&tenant, name).await);
    }
    *world.plan.lock().unwrap() = PlanLimits { services: 1, ..PlanLimits::FREE };
    assert_eq!(code(world.control.create(&tenant.scope, service("e")).await), ErrorCode::PlanLimit);
    world.control.delete(&tenant.scope, reference(&services[0]), Precondition::None).await.unwrap();
    let renamed = service("bb").with_id(reference(&services[1]).id);
    world.control.replace(&tenant.scope, renamed, Precondition::None).await.unwrap();
}

#[tokio::test]
async fn another_tenants_objects_are_not_there() {
    let world = World::open();
    let (ada, bob) = (world.tenant(ADA).await, world.tenant("bob@example.org").await);
    let own = world.service(&ada, "users").await;
    let object = reference(&own);
    assert_eq!(code(world.control.get(&bob.scope, object).await), ErrorCode::NotFound);
    assert_eq!(code(world.control.delete(&bob.scope, object, Precondition::None).await), ErrorCode::NotFound);
    let stolen = service("mine").with_id(object.id);
    assert_eq!(code(world.control.replace(&bob.scope, stolen, Precondition::None).await), ErrorCode::NotFound);
    world.service(&bob, "users").await;
    assert_eq!(world.control.head(&ada.scope).await.unwrap(), own.head);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_edits_all_land_and_their_numbers_have_no_gap() {
    const TASKS: usize = 8;
    const EDITS: usize = 25;
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let control = &world.control;
    let scope = &tenant.scope;
    let edit = async |task: usize| {
        for number in 0..EDITS {
            control.create(scope, service(&format!("s-{task}-{number}"))).await.unwrap();
        }
    };
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (control, scope) = (control.clone(), scope.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(async {
                    for number in 0..EDITS {
                        control.create(&scope, service(&format!("t-{task}-{number}"))).await.unwrap();
                    }
                });
            })
        })
        .collect();
    edit(0).await;
    for task in tasks {
        task.join().unwrap();
    }
    let (head, objects) = control.export(scope).await.unwrap();
    assert_eq!(objects.len(), (TASKS + 1) * EDITS);
    let mut page = PageRequest::first(100);
    let mut seqs = Vec::new();
    loop {
        let found = control.revisions(scope, &page).await.unwrap();
        seqs.extend(found.items.iter().map(|record| record.head.revision.seq));
        match found.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    let newest = head.revision.seq;
    assert_eq!(newest, 1 + objects.len() as u64);
    let wanted: Vec<u64> = (1..=newest).rev().collect();
    assert_eq!(seqs, wanted);
}

#[tokio::test]
async fn an_edit_on_another_control_node_is_seen_by_the_next_edit_here() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let users = world.service(&tenant, "users").await;
    // Another control node: the same storage, a cache of its own.
    let draft = service("orders").with_id(Uuid::from_u128(9));
    let codec = novagate_documents::stored::JsonObjectCodec;
    let body = novagate_ports_base::ObjectCodec::encode(&codec, &draft);
    let stored =
        novagate_ports_control::outbound::ConfigStore::load(&world.store, &tenant.scope).await.unwrap().unwrap();
    let name = draft.name().unwrap().clone();
    let edit = novagate_fixtures::EditBuilder::new(stored.0, &stored.1, novagate_fixtures::START)
        .upsert(draft.reference(), &name, body)
        .build();
    novagate_ports_control::outbound::ConfigStore::commit(&world.store, &tenant.scope, &edit).await.unwrap();
    assert_eq!(code(world.control.create(&tenant.scope, service("orders")).await), ErrorCode::NameTaken);
    let route = world.route(&tenant, "get-order", "/orders", "orders").await;
    assert_eq!(route.head.revision.seq, users.head.revision.seq + 2);
    let names: Vec<String> =
        world.control.export(&tenant.scope).await.unwrap().1.iter().map(|view| name_of(&view.object)).collect();
    assert_eq!(names.len(), 3);
    assert!(world.control.tenant(&tenant.scope).await.is_ok());
}
