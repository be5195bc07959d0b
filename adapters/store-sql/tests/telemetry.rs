//! Telemetry that refers to the configuration.

mod support;

use novagate_fixtures::{ConfigModel, Mint, START, metrics, new_tenant};
use novagate_kernel::{Name, ObjectKind, RouteId, ServiceId};
use novagate_ports_control::outbound::{
    Commit, ConfigStore as _, Ingested, TelemetryBatch, TelemetryStore as _, TenantStore as _,
};
use novagate_records::Batch;
use support::{Directory, open};

#[tokio::test]
async fn counts_name_the_service_that_their_route_forwarded_to_at_that_time() {
    let (directory, mint) = (Directory::new(), Mint::new(1));
    let store = open(directory.path()).await;
    let (scope, fresh) = new_tenant(&mint, START);
    store.provision(&scope, &fresh).await.unwrap();
    let name = |text: &str| Name::parse(text).unwrap();
    let (users, items) = (mint.object(ObjectKind::Service), mint.object(ObjectKind::Service));
    let (route, unreadable) = (mint.object(ObjectKind::Route), mint.object(ObjectKind::Route));
    let body = |service: &str| format!(r#"{{"name":"get","match":{{"path":"/a/*"}},"service":"{service}"}}"#);
    let mut model = ConfigModel::empty(fresh.head);
    let edit = model
        .edit(START)
        .upsert(users, &name("users"), r#"{"name":"users","targets":[{"url":"http://a.example"}]}"#)
        .upsert(items, &name("items"), r#"{"name":"items","targets":[{"url":"http://b.example"}]}"#)
        .upsert(route, &name("get"), body("users"))
        .upsert(unreadable, &name("odd"), "{}")
        .build();
    assert_eq!(store.commit(&scope, &edit).await.unwrap(), Commit::Committed(edit.next));
    model.apply(&edit);
    let (node, boot) = (mint.node(), mint.boot());
    let counts = [(Some(RouteId::from_uuid(route.id)), 3), (Some(RouteId::from_uuid(unreadable.id)), 2), (None, 1)];
    let batch = |batch_seq| TelemetryBatch { node, boot, batch_seq, batch: Batch::Metrics(metrics(START, &counts)) };
    assert_eq!(store.ingest(&scope, &batch(1)).await.unwrap(), Ingested::New);
    let edit = model.edit(START).upsert(route, &name("get"), body("items")).build();
    assert_eq!(store.commit(&scope, &edit).await.unwrap(), Commit::Committed(edit.next));
    let later = metrics(START.plus(std::time::Duration::from_hours(1)), &counts);
    let later = TelemetryBatch { node, boot, batch_seq: 2, batch: Batch::Metrics(later) };
    assert_eq!(store.ingest(&scope, &later).await.unwrap(), Ingested::New);

    let rows = store.metrics(&scope, START, START.plus(std::time::Duration::from_hours(2)), 60).await.unwrap();
    let of_route = |id| -> Vec<Option<ServiceId>> {
        rows.iter().filter(|row| row.window.route == id).map(|row| row.service).collect()
    };
    let service = |reference: novagate_kernel::ObjectRef| Some(ServiceId::from_uuid(reference.id));
    assert_eq!(of_route(counts[0].0), [service(users), service(items)]);
    assert_eq!(of_route(counts[1].0), [None, None]);
    assert_eq!(of_route(None), [None, None]);
    assert!(rows.is_sorted_by_key(|row| row.from));
}
