//! Calls whose futures are dropped half way: nothing of them may reach the next caller of the connection.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use novagate_access::TenantScope;
use novagate_fixtures::{ConfigModel, Mint, Polled, START, audit_entry, log_entry, logs, new_tenant};
use novagate_kernel::ObjectKind;
use novagate_ports_control::PageRequest;
use novagate_ports_control::outbound::{
    AuditStore as _, Commit, ConfigStore as _, LogFilter, TelemetryStore as _, TenantStore as _,
};
use novagate_records::AuditAction;
use novagate_store_sql::SqlStore;
use support::{Directory, open};

/// Cancelled calls of each kind.
const ROUNDS: usize = 2_000;

struct World {
    mint: Mint,
    store: SqlStore,
    scope: TenantScope,
    model: ConfigModel,
    _directory: Directory,
}

async fn world(seed: u64) -> World {
    let (directory, mint) = (Directory::new(), Mint::new(seed));
    let store = open(directory.path()).await;
    let (scope, fresh) = new_tenant(&mint, START);
    store.provision(&scope, &fresh).await.unwrap();
    World { mint, store, scope, model: ConfigModel::empty(fresh.head), _directory: directory }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_commit_is_whole_or_absent_and_the_next_call_is_clean() {
    let World { mint, store, scope, mut model, _directory } = world(1).await;
    let (mut cancelled, mut absent) = (0, 0);
    let service = mint.object(ObjectKind::Service);
    let name = mint.name("a");
    for round in 0..ROUNDS {
        let body = format!("{{\"round\":{round}}}");
        let edit = model.edit(START).upsert(service, &name, body).build();
        let before = model.head();
        cancelled += usize::from(Polled::new(1 + round % 12, store.commit(&scope, &edit)).await.is_none());
        let (head, objects) = store.load(&scope).await.unwrap().unwrap();
        if head == before {
            absent += 1;
            assert_eq!(objects, model.objects(), "round {round}");
        } else {
            model.apply(&edit);
            assert_eq!((head, objects), (model.head(), model.objects()), "round {round}");
        }
        if round % 10 == 0 {
            let edit = model.edit(START).upsert(service, &name, "{}").build();
            assert_eq!(store.commit(&scope, &edit).await.unwrap(), Commit::Committed(edit.next), "round {round}");
            model.apply(&edit);
        }
    }
    assert!(cancelled > ROUNDS / 3 && absent > ROUNDS / 4, "{cancelled} cancelled, {absent} absent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_change_over_both_files_leaves_both_usable() {
    let World { mint, store, scope, _directory, .. } = world(2).await;
    let mut cancelled = 0;
    for round in 0..ROUNDS {
        let audit = audit_entry(&mint, AuditAction::TenantRenamed, START);
        let name = format!("name {round}");
        let outcome = Polled::new(1 + round % 7, store.rename(&scope, &name, &audit)).await;
        cancelled += usize::from(outcome.is_none());
        let account = store.account(&scope).await.unwrap().unwrap();
        if account.name == name {
            let newest = store.audit(&scope, &PageRequest::first(500)).await.unwrap().items;
            assert!(newest.contains(&audit) || newest.len() == 500, "an effect without its entry, round {round}");
        }
    }
    assert!(cancelled > ROUNDS / 3, "{cancelled}");
    let audit = audit_entry(&mint, AuditAction::TenantRenamed, START);
    assert!(store.rename(&scope, "last", &audit).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_batch_is_stored_whole_with_its_cursor_or_not_at_all() {
    let World { mint, store, scope, _directory, .. } = world(3).await;
    let (node, boot) = (mint.node(), mint.boot());
    let (mut sent, mut cancelled) = (0_u64, 0);
    for round in 0..ROUNDS {
        let entries: Vec<_> = (0..3).map(|_| log_entry(&mint, START)).collect();
        let batch = logs(node, boot, sent + 1, &[], &entries);
        cancelled += usize::from(Polled::new(1 + round % 7, store.ingest(&scope, &batch)).await.is_none());
        let upto = store.received(&scope, boot).await.unwrap();
        assert!(upto == sent || upto == sent + 1);
        let filter = LogFilter { request_id: Some(entries[2].request_id), ..LogFilter::default() };
        let found = store.logs(&scope, &filter, &PageRequest::first(1)).await.unwrap().items.len();
        assert_eq!(u64::try_from(found).unwrap(), upto - sent, "round {round}");
        sent = upto;
    }
    assert!(cancelled > ROUNDS / 3, "{cancelled}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_provisioning_is_whole_or_can_be_repeated() {
    let (directory, mint) = (Directory::new(), Mint::new(4));
    let store = open(directory.path()).await;
    for polls in 1..120 {
        let (scope, fresh) = new_tenant(&mint, START);
        Polled::new(polls, store.provision(&scope, &fresh)).await;
        store.provision(&scope, &fresh).await.unwrap();
        assert_eq!(store.load(&scope).await.unwrap(), Some((fresh.head, vec![])), "after {polls} polls");
    }
}
