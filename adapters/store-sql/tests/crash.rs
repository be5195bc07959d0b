//! Crashes: at every step of the calls that touch two files, and of a process that is killed while it writes.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::task::Poll;

use novagate_access::TenantScope;
use novagate_fixtures::{ConfigModel, Mint, START, new_tenant};
use novagate_kernel::ObjectKind;
use novagate_ports_control::PageRequest;
use novagate_ports_control::outbound::{
    AuditStore as _, Commit, ConfigStore as _, GatewayKeyStore as _, Inserted, NewTenant, TenantErasure,
    TenantStore as _,
};
use novagate_store_sql::SqlStore;
use support::{Directory, open};

const PAGE: PageRequest = PageRequest::first(100);

/// A copy of a directory, as a crash at this moment would leave it.
fn image_of(directory: &Directory) -> Directory {
    let copy = Directory::new();
    copy_all(directory.path(), copy.path());
    copy
}

fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Runs `work` and takes an image of the directory whenever it waits: whenever a step is done and the next not begun.
async fn images_of<T>(directory: &Directory, work: impl Future<Output = T>) -> (T, Vec<Directory>) {
    let mut work = std::pin::pin!(work);
    let mut images = Vec::new();
    let outcome = std::future::poll_fn(|context| {
        images.push(image_of(directory));
        match work.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(outcome),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    images.push(image_of(directory));
    (outcome, images)
}

/// Whether the tenant is there; fails when it is there in part.
async fn is_whole(store: &SqlStore, scope: &TenantScope, fresh: &NewTenant) -> bool {
    let parts = [
        store.account(scope).await.unwrap().is_some(),
        store.find_by_email(&fresh.email).await.unwrap().is_some(),
        store.find_key(&fresh.key.digest).await.unwrap().is_some(),
        store.head(scope).await.unwrap().is_some(),
        store.revision(scope, fresh.head.revision.seq).await.unwrap().is_some(),
        !store.audit(scope, &PAGE).await.unwrap().items.is_empty(),
        store.tenants(&PAGE).await.unwrap().items.contains(&scope.tenant()),
    ];
    assert!(parts.iter().all(|&part| part == parts[0]), "{parts:?}");
    parts[0]
}

fn files(directory: &Directory) -> Vec<String> {
    let entries = std::fs::read_dir(directory.path().join("tenants")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn promise_t5_a_crash_while_provisioning_leaves_all_or_nothing_and_a_retry_works() {
    let (directory, mint) = (Directory::new(), Mint::new(1));
    let store = open(directory.path()).await;
    let (scope, fresh) = new_tenant(&mint, START);
    let (outcome, images) = images_of(&directory, store.provision(&scope, &fresh)).await;
    assert_eq!(outcome.unwrap(), Inserted::New);
    let mut found = Vec::new();
    for image in &images {
        let store = open(image.path()).await;
        let whole = is_whole(&store, &scope, &fresh).await;
        if !whole {
            assert_eq!(files(image), [""; 0], "nothing of an unfinished tenant stays");
        }
        let expected = if whole { Inserted::AlreadyThere } else { Inserted::New };
        assert_eq!(store.provision(&scope, &fresh).await.unwrap(), expected);
        assert!(is_whole(&store, &scope, &fresh).await);
        found.push(whole);
    }
    assert!(found.len() > 20, "{found:?}");
    assert!(found.contains(&false) && found.last() == Some(&true));
    assert!(found.is_sorted(), "{found:?}");
}

#[tokio::test]
async fn a_crash_while_erasing_leaves_all_or_nothing() {
    let (directory, mint) = (Directory::new(), Mint::new(2));
    let store = open(directory.path()).await;
    let (scope, fresh) = new_tenant(&mint, START);
    store.provision(&scope, &fresh).await.unwrap();
    let edit =
        ConfigModel::empty(fresh.head).edit(START).upsert(mint.object(ObjectKind::Service), &mint.name("a"), "{}");
    store.commit(&scope, &edit.build()).await.unwrap();
    let (outcome, images) = images_of(&directory, store.erase(&scope)).await;
    assert_eq!(outcome.unwrap(), TenantErasure { gateway_keys: 1, objects: 1, telemetry_rows: 0 });
    let mut found = Vec::new();
    for image in &images {
        let store = open(image.path()).await;
        let whole = is_whole(&store, &scope, &fresh).await;
        if !whole {
            assert_eq!(files(image), [""; 0], "nothing of an erased tenant stays");
        }
        found.push(whole);
    }
    assert!(found.first() == Some(&true) && found.last() == Some(&false), "{found:?}");
}

#[tokio::test]
async fn a_crash_while_committing_leaves_one_revision_or_the_other_and_pending_follows() {
    let (directory, mint) = (Directory::new(), Mint::new(3));
    let store = open(directory.path()).await;
    let (scope, fresh) = new_tenant(&mint, START);
    store.provision(&scope, &fresh).await.unwrap();
    let mut model = ConfigModel::empty(fresh.head);
    let edit = model.edit(START).upsert(mint.object(ObjectKind::Service), &mint.name("a"), "{}").build();
    let (outcome, images) = images_of(&directory, store.commit(&scope, &edit)).await;
    assert_eq!(outcome.unwrap(), Commit::Committed(edit.next));
    let before = model.clone();
    model.apply(&edit);
    let mut committed = 0;
    for image in &images {
        let store = open(image.path()).await;
        let (head, objects) = store.load(&scope).await.unwrap().unwrap();
        let expected = if head == edit.next { &model } else { &before };
        assert_eq!((head, objects), (expected.head(), expected.objects()));
        let pending = store.pending(&PAGE).await.unwrap().items;
        assert_eq!(pending.len(), usize::from(head == edit.next), "healed when the store was opened");
        committed += usize::from(head == edit.next);
    }
    assert!(committed >= 2 && committed < images.len(), "{committed} of {}", images.len());
}

#[tokio::test]
async fn a_used_file_without_a_platform_row_is_kept() {
    let (directory, mint) = (Directory::new(), Mint::new(4));
    let store = open(directory.path()).await;
    store.close().await;
    let before = image_of(&directory);
    let store = open(directory.path()).await;
    let (scope, fresh) = new_tenant(&mint, START);
    store.provision(&scope, &fresh).await.unwrap();
    let edit =
        ConfigModel::empty(fresh.head).edit(START).upsert(mint.object(ObjectKind::Service), &mint.name("a"), "{}");
    store.commit(&scope, &edit.build()).await.unwrap();
    store.close().await;
    // Somebody puts an older copy of the platform's file back.
    std::fs::copy(before.path().join("platform.db"), directory.path().join("platform.db")).unwrap();
    open(directory.path()).await.close().await;
    assert_eq!(files(&directory), [format!("{}.db", scope.tenant().schema_name())]);
}

const CHILD: &str = "NOVAGATE_STORE_SQL_CHILD";

/// Not a test by itself: commits without end and says each time which revision is durable.
#[tokio::test]
async fn child_that_commits_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let mint = Mint::new(5);
    let store = open(path.as_ref()).await;
    let (scope, fresh) = new_tenant(&mint, START);
    store.provision(&scope, &fresh).await.unwrap();
    let mut model = ConfigModel::empty(fresh.head);
    for _ in 0..100_000 {
        let edit = model.edit(START).upsert(mint.object(ObjectKind::Service), &mint.name("a"), "{}").build();
        assert_eq!(store.commit(&scope, &edit).await.unwrap(), Commit::Committed(edit.next));
        model = ConfigModel::empty(edit.next);
        let mut out = std::io::stdout();
        writeln!(out, "\ndurable {}", edit.next.revision.seq).unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn what_was_committed_survives_kill_9() {
    for commits in [1, 7, 40] {
        let directory = Directory::new();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_commits_until_it_is_killed", "--nocapture"])
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let durable = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("durable ")?.parse::<u64>().ok());
        let told = durable.take(commits).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let store = open(directory.path()).await;
        let scope = TenantScope::for_maintenance(store.tenants(&PAGE).await.unwrap().items[0]);
        let (head, objects) = store.load(&scope).await.unwrap().unwrap();
        assert!(head.revision.seq >= told, "{told} was told, {} is there", head.revision.seq);
        assert_eq!(objects.len() as u64, head.revision.seq - 1);
        assert_eq!(store.pending(&PAGE).await.unwrap().items[0].revision, head.revision);
    }
}
