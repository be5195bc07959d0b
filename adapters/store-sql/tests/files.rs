//! What lies in which file, who may read it, and what happens when a file is damaged, missing or replaced.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use novagate_access::TenantScope;
use novagate_documents::stored::JsonObjectCodec;
use novagate_fixtures::{ConfigModel, Mint, START, audit_entry, new_tenant};
use novagate_kernel::{ObjectKind, TenantId};
use novagate_ports_base::FaultKind;
use novagate_ports_control::PageRequest;
use novagate_ports_control::outbound::{
    AuditStore as _, Commit, ConfigStore as _, GatewayKeyStore as _, Inserted, NewTenant, TenantErasure,
    TenantStore as _,
};
use novagate_records::AuditAction;
use novagate_store_sql::{SqlStore, SqliteSettings};
use support::{Directory, open, try_open};

fn file_of(directory: &Directory, tenant: TenantId) -> PathBuf {
    directory.path().join("tenants").join(format!("{}.db", tenant.schema_name()))
}

async fn provision(store: &SqlStore, mint: &Mint) -> (TenantScope, NewTenant) {
    let (scope, fresh) = new_tenant(mint, START);
    assert_eq!(store.provision(&scope, &fresh).await.unwrap(), Inserted::New);
    (scope, fresh)
}

async fn commit_service(store: &SqlStore, scope: &TenantScope, model: &mut ConfigModel, mint: &Mint, body: String) {
    let edit = model.edit(START).upsert(mint.object(ObjectKind::Service), &mint.name("service"), body).build();
    assert_eq!(store.commit(scope, &edit).await.unwrap(), Commit::Committed(edit.next));
    model.apply(&edit);
}

fn names_in(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Bytes of a file and of those beside it.
fn bytes_of(path: &Path) -> Vec<u8> {
    let parent = path.parent().unwrap();
    let stem = path.file_name().unwrap().to_str().unwrap();
    let own = names_in(parent).into_iter().filter(|name| name.starts_with(stem));
    own.flat_map(|name| std::fs::read(parent.join(name)).unwrap()).collect()
}

#[tokio::test]
async fn promise_t1_what_a_tenant_writes_lies_in_its_own_file_only() {
    let (directory, mint) = (Directory::new(), Mint::new(1));
    let store = open(directory.path()).await;
    let (one, first) = provision(&store, &mint).await;
    let (other, second) = provision(&store, &mint).await;
    let mark = "CANARY-of-one-tenant";
    let mut model = ConfigModel::empty(first.head);
    commit_service(&store, &one, &mut model, &mint, format!("{{\"x\":\"{mark}\"}}")).await;
    let holds = |path: &Path| bytes_of(path).windows(mark.len()).any(|window| window == mark.as_bytes());
    assert!(holds(&file_of(&directory, one.tenant())));
    assert!(!holds(&file_of(&directory, other.tenant())));
    assert!(!holds(&directory.path().join("platform.db")));
    assert_eq!(store.load(&other).await.unwrap(), Some((second.head, vec![])));
}

#[tokio::test]
async fn files_and_directories_are_closed_to_other_users() {
    let (directory, mint) = (Directory::new(), Mint::new(2));
    let root = directory.path().join("data");
    let store = open(&root).await;
    provision(&store, &mint).await;
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(root.clone()), 0o700);
    assert_eq!(mode(root.join("tenants")), 0o700);
    for name in names_in(&root).into_iter().filter(|name| name != "tenants") {
        assert_eq!(mode(root.join(&name)), 0o600, "{name}");
    }
    for name in names_in(&root.join("tenants")) {
        assert_eq!(mode(root.join("tenants").join(&name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn an_erased_tenant_leaves_no_file() {
    let (directory, mint) = (Directory::new(), Mint::new(3));
    let store = open(directory.path()).await;
    let (scope, _) = provision(&store, &mint).await;
    let (kept, _) = provision(&store, &mint).await;
    assert_eq!(store.erase(&scope).await.unwrap(), TenantErasure { gateway_keys: 1, ..TenantErasure::default() });
    let stem = kept.tenant().schema_name();
    assert!(names_in(&directory.path().join("tenants")).iter().all(|name| name.starts_with(&stem)));
}

#[tokio::test]
async fn a_damaged_tenant_file_is_named_and_stops_nobody_else() {
    let (directory, mint) = (Directory::new(), Mint::new(4));
    let store = open(directory.path()).await;
    let (damaged, _) = provision(&store, &mint).await;
    let (sound, fresh) = provision(&store, &mint).await;
    store.close().await;
    let path = file_of(&directory, damaged.tenant());
    std::fs::write(&path, vec![b'x'; 8_192]).unwrap();
    let store = open(directory.path()).await;
    let error = store.load(&damaged).await.unwrap_err();
    assert_eq!(error.kind, FaultKind::Corrupt);
    assert_eq!(error.source.to_string(), format!("storage tenants/{}.db", damaged.tenant().schema_name()));
    assert_eq!(store.load(&sound).await.unwrap(), Some((fresh.head, vec![])));
    assert_eq!(store.tenants(&PageRequest::first(10)).await.unwrap().items.len(), 2);
    assert_eq!(store.erase(&damaged).await.unwrap().gateway_keys, 1);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_damaged_page_is_corrupt_and_never_a_panic() {
    let (directory, mint) = (Directory::new(), Mint::new(5));
    let store = open(directory.path()).await;
    let (scope, fresh) = provision(&store, &mint).await;
    let mut model = ConfigModel::empty(fresh.head);
    for _ in 0..20 {
        commit_service(&store, &scope, &mut model, &mint, format!("{{\"x\":\"{}\"}}", "y".repeat(2_000))).await;
    }
    store.close().await;
    let path = file_of(&directory, scope.tenant());
    let sound = std::fs::read(&path).unwrap();
    let mut corrupt = 0;
    for page in 0..sound.len() / 4_096 {
        let mut bytes = sound.clone();
        bytes[page * 4_096..(page + 1) * 4_096].fill(0xa5);
        std::fs::write(&path, bytes).unwrap();
        let store = open(directory.path()).await;
        match store.load(&scope).await {
            Ok(loaded) => assert_eq!(loaded, Some((model.head(), model.objects())), "page {page}"),
            Err(error) => {
                assert_eq!(error.kind, FaultKind::Corrupt, "page {page}: {error:?}");
                corrupt += 1;
            }
        }
        store.close().await;
    }
    assert!(corrupt > 10, "{corrupt}");
}

#[tokio::test]
async fn a_damaged_platform_file_is_named_when_the_store_is_opened() {
    let directory = Directory::new();
    open(directory.path()).await.close().await;
    std::fs::write(directory.path().join("platform.db"), vec![b'x'; 8_192]).unwrap();
    let error = try_open(directory.path()).await.err().unwrap();
    assert_eq!(error.kind, FaultKind::Corrupt);
    assert_eq!(error.source.to_string(), "storage platform.db");
}

#[tokio::test]
async fn a_missing_file_of_a_provisioned_tenant_is_corrupt_not_gone() {
    let (directory, mint) = (Directory::new(), Mint::new(6));
    let store = open(directory.path()).await;
    let (scope, _) = provision(&store, &mint).await;
    std::fs::remove_file(file_of(&directory, scope.tenant())).unwrap();
    assert_eq!(store.head(&scope).await.unwrap_err().kind, FaultKind::Corrupt);
}

#[tokio::test]
async fn a_file_put_back_from_a_copy_is_read_without_a_restart() {
    let (directory, mint) = (Directory::new(), Mint::new(7));
    let store = open(directory.path()).await;
    let (scope, fresh) = provision(&store, &mint).await;
    let path = file_of(&directory, scope.tenant());
    store.close().await;
    let copy = std::fs::read(&path).unwrap();
    let store = open(directory.path()).await;
    let mut model = ConfigModel::empty(fresh.head);
    commit_service(&store, &scope, &mut model, &mint, "{}".to_owned()).await;
    for name in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{name}", path.display()));
    }
    std::fs::write(&path, copy).unwrap();
    assert_eq!(store.head(&scope).await.unwrap(), Some(fresh.head));
}

#[tokio::test]
async fn more_tenants_than_open_files_all_work() {
    let (directory, mint) = (Directory::new(), Mint::new(8));
    let settings = SqliteSettings { open_tenants: 3, ..SqliteSettings::new(directory.path()) };
    let store = SqlStore::open_sqlite(settings, Arc::new(JsonObjectCodec)).await.unwrap();
    let mut tenants = Vec::new();
    for _ in 0..10 {
        let (scope, fresh) = provision(&store, &mint).await;
        tenants.push((scope, ConfigModel::empty(fresh.head)));
    }
    for _ in 0..3 {
        for (scope, model) in &mut tenants {
            commit_service(&store, scope, model, &mint, "{}".to_owned()).await;
        }
    }
    let reads = tenants.iter().map(|(scope, _)| store.head(scope));
    for (found, (_, model)) in futures_util::future::join_all(reads).await.into_iter().zip(&tenants) {
        assert_eq!(found.unwrap(), Some(model.head()));
    }
}

#[tokio::test]
async fn two_stores_over_the_same_files_see_each_others_work() {
    let (directory, mint) = (Directory::new(), Mint::new(9));
    let (server, tool) = (open(directory.path()).await, open(directory.path()).await);
    let (scope, fresh) = provision(&server, &mint).await;
    assert_eq!(tool.head(&scope).await.unwrap(), Some(fresh.head));
    let mut model = ConfigModel::empty(fresh.head);
    commit_service(&tool, &scope, &mut model, &mint, "{}".to_owned()).await;
    assert_eq!(server.head(&scope).await.unwrap(), Some(model.head()));
    tool.erase(&scope).await.unwrap();
    assert_eq!(server.head(&scope).await.unwrap(), None);
    assert_eq!(server.find_key(&fresh.key.digest).await.unwrap(), None);
    let audit = audit_entry(&mint, AuditAction::LoggedIn, START);
    assert_eq!(server.append_audit(&scope, &audit).await.unwrap_err().kind, FaultKind::Conflict);
}
