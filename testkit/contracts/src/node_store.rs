//! The contract of [`NodeStore`](novagate_ports_control::outbound::NodeStore).
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::collections::BTreeMap;

use futures_util::future::join_all;
use novagate_fixtures::{log_entry, logs};
use novagate_kernel::{BootId, Epoch, Head, NodeId, ObjectKind, Revision};
use novagate_ports_control::outbound::{NodeNack, NodeRecord, NodeSighting, NodeStore as _, TelemetryStore as _};
use novagate_records::AuditAction;
use novagate_sync::{NackedObject, ObjectFaultCode};

use crate::stores::{StoreFixture, World, after};

/// Runs the suite of nodes over a [`StoreFixture`](crate::StoreFixture).
#[macro_export]
macro_rules! node_store_contract {
    ($fixture:ty) => {
        $crate::cases!(
            node_store, $fixture:
            a_node_is_known_from_its_first_hello,
            a_later_hello_replaces_all_but_the_first_sighting,
            unknown_nodes_beyond_the_limit_are_not_written,
            racing_hellos_do_not_exceed_the_limit,
            a_confirmation_is_kept,
            a_refusal_is_kept_beside_what_is_served,
            a_confirmation_clears_an_older_refusal,
            a_confirmation_leaves_a_newer_refusal,
            many_nodes_confirm_together,
            nodes_are_listed_by_first_sighting,
            a_node_that_is_not_known_cannot_report,
            a_forgotten_node_is_gone_with_its_cursor,
            other_tenants_nodes_are_invisible,
            nodes_survive_a_restart,
        );
    };
}

/// A first hello, ten seconds after the start.
pub(crate) fn sighting<F: StoreFixture>(world: &World<F>, node: NodeId, boot: BootId) -> NodeSighting {
    NodeSighting {
        node,
        boot,
        build: "novagate 0.1.0".to_owned(),
        labels: BTreeMap::from([
            ("zone".to_owned(), "a \u{8336} \"b\"".to_owned()),
            ("empty".to_owned(), String::new()),
        ]),
        key: world.mint.gateway_key(),
        applied: None,
        at: after(10),
    }
}

fn first_record(hello: &NodeSighting) -> NodeRecord {
    NodeRecord {
        node: hello.node,
        boot: hello.boot,
        build: hello.build.clone(),
        labels: hello.labels.clone(),
        key: hello.key,
        first_seen: hello.at,
        last_seen: hello.at,
        applied: hello.applied,
        applied_at: None,
        nack: None,
    }
}

fn head<F: StoreFixture>(world: &World<F>, seq: u64) -> Head {
    Head { revision: Revision { epoch: Epoch::try_from_u64(7).unwrap(), seq }, digest: world.mint.digest() }
}

fn refusal<F: StoreFixture>(world: &World<F>, revision: Revision, seconds: u64) -> NodeNack {
    let object = |code, field: &str| NackedObject {
        object: world.mint.object(ObjectKind::Route),
        code: ObjectFaultCode::new(code),
        field: field.to_owned(),
    };
    let objects = vec![object("unknown_policy", "/policies/0"), object("unknown", "/m\u{e4}tch/~1\"x")];
    NodeNack { revision, at: after(seconds), objects }
}

/// A tenant's node that has said hello.
async fn known<F: StoreFixture>(world: &World<F>) -> (crate::stores::Tenant, NodeSighting) {
    let tenant = world.tenant().await;
    let hello = sighting(world, world.mint.node(), world.mint.boot());
    assert!(world.store().seen(&tenant.scope, &hello, 10).await.unwrap());
    (tenant, hello)
}

pub async fn a_node_is_known_from_its_first_hello<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (tenant, hello) = known(&world).await;
    let store = world.store();
    assert_eq!(store.node(&tenant.scope, hello.node).await.unwrap(), Some(first_record(&hello)));
    assert_eq!(store.nodes(&tenant.scope).await.unwrap(), [first_record(&hello)]);
    assert_eq!(store.node(&tenant.scope, world.mint.node()).await.unwrap(), None);
    assert_eq!(world.audit_of(&tenant.scope).await, [tenant.fresh.audit]);
}

pub async fn a_later_hello_replaces_all_but_the_first_sighting<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (tenant, hello) = known(&world).await;
    let later = NodeSighting {
        build: "novagate 0.2.0".to_owned(),
        labels: BTreeMap::new(),
        applied: Some(head(&world, 4)),
        at: after(99),
        ..sighting(&world, hello.node, world.mint.boot())
    };
    assert!(world.store().seen(&tenant.scope, &later, 10).await.unwrap());
    let mut record = world.store().node(&tenant.scope, hello.node).await.unwrap().expect("the node");
    assert_eq!(world.store().nodes(&tenant.scope).await.unwrap(), [record.clone()], "one row per node");
    // When it confirmed what it says it serves may or may not be taken to be now.
    record.applied_at = None;
    assert_eq!(record, NodeRecord { first_seen: hello.at, ..first_record(&later) });
}

pub async fn unknown_nodes_beyond_the_limit_are_not_written<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (tenant, hello) = known(&world).await;
    let store = world.store();
    let second = sighting(&world, world.mint.node(), world.mint.boot());
    assert!(!store.seen(&tenant.scope, &second, 1).await.unwrap());
    assert_eq!(store.nodes(&tenant.scope).await.unwrap(), [first_record(&hello)]);
    // A known node is welcome even where the limit has been lowered.
    let again = NodeSighting { at: after(20), ..hello.clone() };
    assert!(store.seen(&tenant.scope, &again, 0).await.unwrap());
    assert!(store.seen(&tenant.scope, &second, 2).await.unwrap());
    assert!(store.forget(&tenant.scope, hello.node, &world.audit(AuditAction::NodeForgotten)).await.unwrap());
    let third = sighting(&world, world.mint.node(), world.mint.boot());
    assert!(store.seen(&tenant.scope, &third, 2).await.unwrap(), "a forgotten node makes room");
}

pub async fn racing_hellos_do_not_exceed_the_limit<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let hellos: Vec<_> = (0..8).map(|_| sighting(&world, world.mint.node(), world.mint.boot())).collect();
    let outcomes = join_all(hellos.iter().map(|hello| world.store().seen(&tenant.scope, hello, 3))).await;
    let welcome = outcomes.into_iter().map(Result::unwrap).filter(|&welcome| welcome).count();
    assert_eq!(welcome, 3);
    assert_eq!(world.store().nodes(&tenant.scope).await.unwrap().len(), 3);
}

pub async fn a_confirmation_is_kept<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (tenant, hello) = known(&world).await;
    let serves = head(&world, 5);
    world.store().applied(&tenant.scope, &[hello.node], serves, after(30)).await.unwrap();
    let expected =
        NodeRecord { applied: Some(serves), applied_at: Some(after(30)), last_seen: after(30), ..first_record(&hello) };
    assert_eq!(world.store().node(&tenant.scope, hello.node).await.unwrap(), Some(expected));
}

pub async fn a_refusal_is_kept_beside_what_is_served<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (tenant, hello) = known(&world).await;
    let serves = head(&world, 5);
    world.store().applied(&tenant.scope, &[hello.node], serves, after(30)).await.unwrap();
    for seq in [6, 7] {
        let nack = refusal(&world, Revision { seq, ..serves.revision }, 30 + seq);
        world.store().nacked(&tenant.scope, hello.node, &nack).await.unwrap();
        let expected = NodeRecord {
            applied: Some(serves),
            applied_at: Some(after(30)),
            last_seen: nack.at,
            nack: Some(nack),
            ..first_record(&hello)
        };
        assert_eq!(world.store().node(&tenant.scope, hello.node).await.unwrap(), Some(expected));
    }
}

pub async fn a_confirmation_clears_an_older_refusal<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (tenant, hello) = known(&world).await;
    let serves = head(&world, 7);
    let nack = refusal(&world, Revision { seq: 6, ..serves.revision }, 20);
    world.store().nacked(&tenant.scope, hello.node, &nack).await.unwrap();
    world.store().applied(&tenant.scope, &[hello.node], serves, after(30)).await.unwrap();
    let record = world.store().node(&tenant.scope, hello.node).await.unwrap().expect("the node");
    assert_eq!((record.applied, record.nack), (Some(serves), None));
}

pub async fn a_confirmation_leaves_a_newer_refusal<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (tenant, hello) = known(&world).await;
    let serves = head(&world, 7);
    let nack = refusal(&world, Revision { seq: 8, ..serves.revision }, 20);
    world.store().nacked(&tenant.scope, hello.node, &nack).await.unwrap();
    world.store().applied(&tenant.scope, &[hello.node], serves, after(30)).await.unwrap();
    let record = world.store().node(&tenant.scope, hello.node).await.unwrap().expect("the node");
    assert_eq!((record.applied, record.nack), (Some(serves), Some(nack)));
}

pub async fn many_nodes_confirm_together<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let hellos: Vec<_> = (0..70).map(|_| sighting(&world, world.mint.node(), world.mint.boot())).collect();
    for hello in &hellos {
        assert!(world.store().seen(&tenant.scope, hello, 100).await.unwrap());
    }
    let serves = head(&world, 5);
    let (some, others) = hellos.split_at(66);
    let mut nodes: Vec<NodeId> = some.iter().map(|hello| hello.node).collect();
    // One that is not known changes nothing for those that are.
    nodes.push(world.mint.node());
    world.store().applied(&tenant.scope, &nodes, serves, after(30)).await.unwrap();
    for hello in &hellos {
        let confirmed = NodeRecord {
            applied: Some(serves),
            applied_at: Some(after(30)),
            last_seen: after(30),
            ..first_record(hello)
        };
        let expected =
            if others.iter().any(|other| other.node == hello.node) { first_record(hello) } else { confirmed };
        assert_eq!(world.store().node(&tenant.scope, hello.node).await.unwrap(), Some(expected));
    }
    assert_eq!(world.store().nodes(&tenant.scope).await.unwrap().len(), hellos.len());
}

pub async fn nodes_are_listed_by_first_sighting<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let mut expected = Vec::new();
    for seconds in [40, 20, 60, 10] {
        let hello = NodeSighting { at: after(seconds), ..sighting(&world, world.mint.node(), world.mint.boot()) };
        world.store().seen(&tenant.scope, &hello, 10).await.unwrap();
        expected.push(first_record(&hello));
    }
    expected.sort_by_key(|record| record.first_seen);
    assert_eq!(world.store().nodes(&tenant.scope).await.unwrap(), expected);
}

pub async fn a_node_that_is_not_known_cannot_report<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let tenant = world.tenant().await;
    let (node, serves) = (world.mint.node(), head(&world, 5));
    let nack = refusal(&world, serves.revision, 20);
    world.store().applied(&tenant.scope, &[node], serves, after(20)).await.unwrap();
    world.store().nacked(&tenant.scope, node, &nack).await.unwrap();
    assert_eq!(world.store().nodes(&tenant.scope).await.unwrap(), []);
    let audit = world.audit(AuditAction::NodeForgotten);
    assert!(!world.store().forget(&tenant.scope, node, &audit).await.unwrap());
    assert_eq!(world.audit_of(&tenant.scope).await, [tenant.fresh.audit]);
}

pub async fn a_forgotten_node_is_gone_with_its_cursor<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (tenant, hello) = known(&world).await;
    let store = world.store();
    let batch = logs(hello.node, hello.boot, 1, &[], &[log_entry(&world.mint, after(1))]);
    store.ingest(&tenant.scope, &batch).await.unwrap();
    assert_eq!(store.received(&tenant.scope, hello.boot).await.unwrap(), 1);
    let audit = world.audit(AuditAction::NodeForgotten);
    assert!(store.forget(&tenant.scope, hello.node, &audit).await.unwrap());
    assert_eq!(store.node(&tenant.scope, hello.node).await.unwrap(), None);
    assert_eq!(store.received(&tenant.scope, hello.boot).await.unwrap(), 0);
    assert_eq!(world.audit_of(&tenant.scope).await, [audit, tenant.fresh.audit]);
    let audit = world.audit(AuditAction::NodeForgotten);
    assert!(!store.forget(&tenant.scope, hello.node, &audit).await.unwrap());
}

pub async fn other_tenants_nodes_are_invisible<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (tenant, hello) = known(&world).await;
    let other = world.tenant().await;
    let (store, serves) = (world.store(), head(&world, 5));
    assert_eq!(store.nodes(&other.scope).await.unwrap(), []);
    assert_eq!(store.node(&other.scope, hello.node).await.unwrap(), None);
    store.applied(&other.scope, &[hello.node], serves, after(20)).await.unwrap();
    store.nacked(&other.scope, hello.node, &refusal(&world, serves.revision, 20)).await.unwrap();
    assert!(!store.forget(&other.scope, hello.node, &world.audit(AuditAction::NodeForgotten)).await.unwrap());
    // The limit is each tenant's own, and so is the row of a node id that two of them know.
    let same = NodeSighting { build: "other".to_owned(), ..hello.clone() };
    assert!(store.seen(&other.scope, &same, 1).await.unwrap());
    assert_eq!(store.node(&tenant.scope, hello.node).await.unwrap(), Some(first_record(&hello)));
    assert_eq!(store.node(&other.scope, hello.node).await.unwrap(), Some(first_record(&same)));
}

pub async fn nodes_survive_a_restart<F: StoreFixture>() {
    let world = World::<F>::fresh().await;
    let (tenant, hello) = known(&world).await;
    let serves = head(&world, 5);
    world.store().applied(&tenant.scope, &[hello.node], serves, after(30)).await.unwrap();
    world.store().nacked(&tenant.scope, hello.node, &refusal(&world, serves.revision.next(), 40)).await.unwrap();
    let before = world.store().nodes(&tenant.scope).await.unwrap();
    let Some(world) = world.reopened().await else { return };
    assert_eq!(world.store().nodes(&tenant.scope).await.unwrap(), before);
}
