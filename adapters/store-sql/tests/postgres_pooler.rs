//! Behind a pooler that shares two server connections between transactions and follows no prepared statements.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/postgres.rs"]
mod postgres;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use novagate_documents::stored::JsonObjectCodec;
use novagate_fixtures::{ConfigModel, Mint, Polled, START, log_entry, logs, new_tenant};
use novagate_kernel::{Name, ObjectKind};
use novagate_ports_control::PageRequest;
use novagate_ports_control::outbound::{
    Commit, ConfigStore as _, GatewayKeyStore as _, Ingested, LogFilter, TelemetryStore as _, TenantStore as _,
};
use novagate_services::{PATIENCE, Postgres, free_port, wait_until};
use novagate_store_sql::{PostgresSettings, SqlStore};
use postgres::{Prepared, SERVING};

const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// A pooler that ends with its value.
struct Pooler {
    process: Child,
    port: u16,
    folder: PathBuf,
}

impl Pooler {
    /// `None` where it is not installed; the test says so.
    fn start() -> Option<Self> {
        let server = Postgres::shared()?;
        if !std::path::Path::new(PROGRAM).exists() {
            novagate_services::skip("pgbouncer");
            return None;
        }
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("novagate-pooler-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("users"), format!("\"{SERVING}\" \"testing\"\n")).unwrap();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = 2\n",
            server.port(),
            folder.join("users").display(),
        );
        std::fs::write(folder.join("settings"), settings).unwrap();
        let mut command = Command::new(PROGRAM);
        // As root it would refuse to start.
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
        if is_root {
            command.args(["-u", "nobody"]);
        }
        let process = command.arg(folder.join("settings")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pooler = Self { process, port, folder };
        wait_until("the pooler listens", PATIENCE, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(pooler)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_stay_apart_behind_a_pooler_of_transactions() {
    let (Some(pooler), Some(prepared)) = (Pooler::start(), Prepared::migrated()) else { return };
    let (scheme, rest) = prepared.serving_url().split_once("://").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let (login, place) = rest.split_once('@').unwrap();
    let database = place.split_once('/').unwrap().1;
    let url = format!("{scheme}://{login}@127.0.0.1:{}/{database}?statement-cache-capacity=0", pooler.port);
    let open =
        || async { SqlStore::open_postgres(PostgresSettings::new(url.clone()), Arc::new(JsonObjectCodec)).await };
    let stores = [open().await.unwrap(), open().await.unwrap()];
    let mint = Mint::new(prepared.seed());
    let (object, name) = (mint.object(ObjectKind::Service), Name::parse("canary").unwrap());
    let mut tenants = Vec::new();
    for number in 0..12 {
        let (scope, fresh) = new_tenant(&mint, START);
        let store = &stores[number % 2];
        store.provision(&scope, &fresh).await.unwrap();
        let body = format!("{{\"canary\":\"{}\"}}", scope.tenant());
        let edit = ConfigModel::empty(fresh.head).edit(START).upsert(object, &name, body.clone()).build();
        assert_eq!(store.commit(&scope, &edit).await.unwrap(), Commit::Committed(edit.next));
        let batch = logs(mint.node(), mint.boot(), 1, &[], &[log_entry(&mint, START)]);
        assert_eq!(store.ingest(&scope, &batch).await.unwrap(), Ingested::New);
        tenants.push((scope, body));
    }
    let calls = (0..600_usize).map(|number| {
        let ((scope, body), store) = (&tenants[number * 7 % 12], &stores[number % 2]);
        async move {
            // Every third call is dropped on its way.
            let left = if number % 3 == 0 { 1 + number % 9 } else { usize::MAX };
            let read = async {
                let (_, objects) = store.load(scope).await.unwrap().unwrap();
                assert_eq!(objects.iter().map(|object| object.body.as_ref()).collect::<Vec<_>>(), [body.as_bytes()]);
                let page = store.logs(scope, &LogFilter::default(), &PageRequest::first(9)).await.unwrap();
                assert_eq!(page.items.len(), 1);
                assert_eq!(store.keys(scope).await.unwrap()[0].tenant, scope.tenant());
            };
            Polled::new(left, read).await;
        }
    });
    stream::iter(calls).for_each_concurrent(12, |call| call).await;
    let sessions = prepared.ask(&format!(
        "SELECT count(*) <= 2 FROM pg_stat_activity WHERE datname = current_database() AND usename = '{SERVING}'"
    ));
    assert_eq!(sessions, "t", "two connections served everybody");
    store_is_whole(&stores[0], &tenants).await;
}

async fn store_is_whole(store: &SqlStore, tenants: &[(novagate_access::TenantScope, String)]) {
    for (scope, _) in tenants {
        assert!(store.head(scope).await.unwrap().is_some());
    }
}
