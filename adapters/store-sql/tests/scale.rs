//! A large tenant: 10,000 routes. The limits are those of a slow, shared machine; the printed times are the figures.

mod support;

use std::time::{Duration, Instant};

use novagate_fixtures::{ConfigModel, Mint, START, log_entry, logs, new_tenant};
use novagate_kernel::{Name, ObjectKind};
use novagate_ports_control::PageRequest;
use novagate_ports_control::outbound::{
    Commit, ConfigStore as _, Ingested, LogFilter, TelemetryStore as _, TenantStore as _,
};
use support::{Directory, open};

const ROUTES: u32 = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_routes_are_put_loaded_and_edited() {
    let (directory, mint) = (Directory::new(), Mint::new(1));
    let store = open(directory.path()).await;
    let (scope, fresh) = new_tenant(&mint, START);
    let begun = Instant::now();
    store.provision(&scope, &fresh).await.unwrap();
    println!("provision: {:?}", begun.elapsed());
    let mut model = ConfigModel::empty(fresh.head);
    let mut edit = model.edit(START);
    let body = |mark: u32| format!("{{\"path\":\"/items/{mark}/{}\"}}", "x".repeat(200));
    for number in 0..ROUTES {
        let name = Name::parse(&format!("route-{number}")).unwrap();
        edit = edit.upsert(mint.object(ObjectKind::Route), &name, body(number));
    }
    let edit = edit.build();
    let begun = Instant::now();
    assert_eq!(store.commit(&scope, &edit).await.unwrap(), Commit::Committed(edit.next));
    println!("put of {ROUTES} routes: {:?}", begun.elapsed());
    model.apply(&edit);

    let mut loads = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        let (head, objects) = store.load(&scope).await.unwrap().unwrap();
        loads.push(begun.elapsed());
        assert_eq!((head, objects.len()), (edit.next, 10_000));
    }
    println!("load: {loads:?}");
    let objects = model.objects();
    let mut commits = Vec::new();
    let mut head = edit.next;
    for object in objects.iter().take(20) {
        let edit = novagate_fixtures::EditBuilder::new(head, &objects, START);
        let edit = edit.upsert(object.reference, object.name.as_ref().unwrap(), body(77)).build();
        let begun = Instant::now();
        assert_eq!(store.commit(&scope, &edit).await.unwrap(), Commit::Committed(edit.next));
        commits.push(begun.elapsed());
        head = edit.next;
    }
    println!("single commits: {commits:?}");
    assert!(loads.iter().all(|&took| took < Duration::from_secs(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_batches_of_a_thousand_requests_are_stored_and_found() {
    let (directory, mint) = (Directory::new(), Mint::new(2));
    let store = open(directory.path()).await;
    let (scope, fresh) = new_tenant(&mint, START);
    store.provision(&scope, &fresh).await.unwrap();
    let (node, boot) = (mint.node(), mint.boot());
    let batches: Vec<_> = (1..=50)
        .map(|number| {
            let at = START.plus(Duration::from_secs(number));
            let entries: Vec<_> = (0..1_000).map(|_| log_entry(&mint, at)).collect();
            logs(node, boot, number, &[], &entries)
        })
        .collect();
    let begun = Instant::now();
    for batch in &batches {
        assert_eq!(store.ingest(&scope, batch).await.unwrap(), Ingested::New);
    }
    println!("50,000 rows: {:?}", begun.elapsed());
    let begun = Instant::now();
    let page = store.logs(&scope, &LogFilter::default(), &PageRequest::first(100)).await.unwrap();
    println!("newest 100: {:?}", begun.elapsed());
    assert_eq!(page.items.len(), 100);
    let begun = Instant::now();
    let gone = store.prune(&scope, START.plus(Duration::from_secs(26))).await.unwrap();
    println!("prune of {gone}: {:?}", begun.elapsed());
    assert_eq!(gone, 25_000);
}
