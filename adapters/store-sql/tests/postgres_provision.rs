//! Tenants that come and go: all or nothing, whatever interrupts it.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/postgres.rs"]
mod postgres;

use std::sync::Arc;

use futures_util::future::join_all;
use novagate_access::TenantScope;
use novagate_fixtures::{ConfigModel, Mint, Polled, START, audit_entry, log_entry, logs, new_tenant};
use novagate_kernel::{Name, ObjectKind, TenantId};
use novagate_ports_base::FaultKind;
use novagate_ports_control::PageRequest;
use novagate_ports_control::outbound::{
    AuditStore as _, Commit, ConfigStore as _, GatewayKeyStore as _, Inserted, LogFilter, NewTenant,
    TelemetryStore as _, TenantStore as _,
};
use novagate_records::AuditAction;
use novagate_store_sql::SqlStore;
use postgres::Prepared;

const PAGE: PageRequest = PageRequest::first(100);

/// Whether the tenant is there; fails when it is there in part.
async fn is_whole(prepared: &Prepared, store: &SqlStore, scope: &TenantScope, fresh: &NewTenant) -> bool {
    let name = scope.tenant().schema_name();
    let catalog = prepared.ask(&format!(
        "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = '{name}'), EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}')"
    ));
    let parts = [
        store.account(scope).await.unwrap().is_some(),
        store.find_by_email(&fresh.email).await.unwrap().is_some(),
        store.find_key(&fresh.key.digest).await.unwrap().is_some(),
        store.head(scope).await.unwrap().is_some(),
        !store.audit(scope, &PAGE).await.unwrap().items.is_empty(),
        store.tenants(&PAGE).await.unwrap().items.contains(&scope.tenant()),
        catalog == "t|t",
    ];
    assert!(parts.iter().all(|&part| part == parts[0]), "{parts:?} {catalog}");
    parts[0]
}

/// Ends every session of the serving login, as the death of its process does.
fn kill_sessions(prepared: &Prepared) {
    prepared.ask(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
         WHERE datname = current_database() AND usename = 'novagate_app'",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_t5_an_end_at_each_step_of_provisioning_leaves_all_or_nothing_and_a_retry_works() {
    let Some(prepared) = Prepared::migrated() else { return };
    let (store, mint) = (prepared.open().await, Mint::new(prepared.seed()));
    let (mut absent, mut complete) = (0, 0);
    // How many polls provisioning takes depends on the machine: each climb goes on until one is enough.
    let mut polls = 0;
    for _ in 0..2_000 {
        if absent >= 8 && complete >= 4 {
            break;
        }
        polls += 1;
        let (scope, fresh) = new_tenant(&mint, START);
        let outcome = Polled::new(polls, store.provision(&scope, &fresh)).await;
        kill_sessions(&prepared);
        let whole = is_whole(&prepared, &store, &scope, &fresh).await;
        absent += usize::from(!whole);
        if let Some(outcome) = outcome {
            assert_eq!(outcome.unwrap(), Inserted::New);
            assert!(whole, "after {polls} polls");
            complete += 1;
            polls = 0;
        }
        let expected = if whole { Inserted::AlreadyThere } else { Inserted::New };
        assert_eq!(store.provision(&scope, &fresh).await.unwrap(), expected, "after {polls} polls");
        assert!(is_whole(&prepared, &store, &scope, &fresh).await);
        store.erase(&scope).await.unwrap();
    }
    assert!(absent >= 8 && complete >= 4, "{absent} absent, {complete} complete");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_t5_a_server_that_ends_the_session_while_provisioning_leaves_all_or_nothing() {
    let Some(prepared) = Prepared::migrated() else { return };
    let (store, mint) = (prepared.open().await, Mint::new(prepared.seed()));
    let (mut absent, mut cut) = (0, 0);
    // How many polls provisioning takes depends on the machine: each climb goes on until one is enough.
    let mut polls = 0;
    for _ in 0..2_000 {
        if cut >= 20 && absent > 0 {
            break;
        }
        polls += 1;
        let (scope, fresh) = new_tenant(&mint, START);
        let mut running = Polled::new(polls, store.provision(&scope, &fresh));
        let outcome = if let Some(outcome) = (&mut running).await {
            polls = 0;
            outcome
        } else {
            cut += 1;
            kill_sessions(&prepared);
            running.into_inner().await
        };
        let whole = is_whole(&prepared, &store, &scope, &fresh).await;
        match outcome {
            Ok(inserted) => assert!(whole && inserted == Inserted::New),
            Err(error) => assert_eq!(error.kind, FaultKind::Unavailable, "{error:?}"),
        }
        absent += usize::from(!whole);
        let expected = if whole { Inserted::AlreadyThere } else { Inserted::New };
        assert_eq!(store.provision(&scope, &fresh).await.unwrap(), expected);
        store.erase(&scope).await.unwrap();
    }
    assert!(cut >= 20 && absent > 0, "{cut} were cut off, {absent} left nothing");
}

#[tokio::test]
async fn an_erased_tenant_leaves_neither_schema_nor_role_and_its_id_can_be_used_again() {
    let Some(prepared) = Prepared::migrated() else { return };
    let (store, mint) = (prepared.open().await, Mint::new(prepared.seed()));
    let (scope, fresh) = new_tenant(&mint, START);
    for _ in 0..3 {
        assert_eq!(store.provision(&scope, &fresh).await.unwrap(), Inserted::New);
        let batch = logs(mint.node(), mint.boot(), 1, &[], &[log_entry(&mint, START)]);
        store.ingest(&scope, &batch).await.unwrap();
        assert!(is_whole(&prepared, &store, &scope, &fresh).await);
        assert_eq!(store.erase(&scope).await.unwrap().telemetry_rows, 1);
        assert!(!is_whole(&prepared, &store, &scope, &fresh).await);
    }
}

#[tokio::test]
async fn a_schema_that_somebody_removed_is_corrupt_not_gone() {
    let Some(prepared) = Prepared::migrated() else { return };
    let (store, mint) = (prepared.open().await, Mint::new(prepared.seed()));
    let (scope, fresh) = new_tenant(&mint, START);
    store.provision(&scope, &fresh).await.unwrap();
    let name = scope.tenant().schema_name();
    prepared.ask(&format!("DROP SCHEMA {name} CASCADE"));
    let error = store.head(&scope).await.unwrap_err();
    assert_eq!((error.kind, error.source.to_string()), (FaultKind::Corrupt, format!("storage {name}")));
    prepared.ask(&format!("DROP ROLE {name}"));
    assert_eq!(store.head(&scope).await.unwrap_err().kind, FaultKind::Corrupt);
    assert_eq!(store.erase(&scope).await.unwrap().gateway_keys, 1);
    assert_eq!(store.head(&scope).await.unwrap(), None);
}

#[tokio::test]
async fn texts_of_an_attackers_choice_are_values_and_ids_of_his_choice_are_names_of_nothing_else() {
    let Some(prepared) = Prepared::migrated() else { return };
    let (store, mint) = (prepared.open().await, Mint::new(prepared.seed()));
    let (victim, of_victim) = new_tenant(&mint, START);
    store.provision(&victim, &of_victim).await.unwrap();
    let hostile = [
        "'; DROP SCHEMA public CASCADE; --",
        "\"; SET ROLE novagate_owner; --",
        "$ddl$; SELECT 1; $ddl$",
        "tenant_00000000\u{2019} OR 1=1",
        "\\'; COPY x TO PROGRAM 'id'",
        "%s %I %L {} $1",
    ];
    for text in hostile {
        let (scope, fresh) = new_tenant(&mint, START);
        let fresh = NewTenant { name: text.to_owned(), ..fresh };
        assert_eq!(store.provision(&scope, &fresh).await.unwrap(), Inserted::New);
        assert_eq!(store.account(&scope).await.unwrap().unwrap().name, text);
        let audit = audit_entry(&mint, AuditAction::TenantRenamed, START);
        assert!(store.rename(&scope, &text.repeat(3), &audit).await.unwrap());
        let mut model = ConfigModel::empty(fresh.head);
        let body = serde_json::to_string(&serde_json::json!({ "x": text })).unwrap();
        let edit = model.edit(START).upsert(mint.object(ObjectKind::Service), &mint.name("a"), body).build();
        assert_eq!(store.commit(&scope, &edit).await.unwrap(), Commit::Committed(edit.next));
        model.apply(&edit);
        assert_eq!(store.load(&scope).await.unwrap(), Some((model.head(), model.objects())));
    }
    let extremes = [[0; 16], [0xff; 16], *b"'\"; DROP ROLE --", *b"$$\\\0\n\t%I%s%L;--x"];
    for entropy in extremes {
        let scope = TenantScope::for_provisioning(TenantId::from_entropy(entropy));
        let (_, fresh) = new_tenant(&mint, START);
        let key = novagate_access::GatewayKeyRecord { tenant: scope.tenant(), ..fresh.key.clone() };
        let fresh = NewTenant { key, ..fresh };
        assert_eq!(store.provision(&scope, &fresh).await.unwrap(), Inserted::New);
        assert!(is_whole(&prepared, &store, &scope, &fresh).await);
        store.erase(&scope).await.unwrap();
    }
    assert!(is_whole(&prepared, &store, &victim, &of_victim).await);
}

/// Calls by interleaved tasks over few connections.
const CALLS: usize = 2_400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_t2_two_hundred_interleaved_tenants_see_their_own_canary_only() {
    let Some(prepared) = Prepared::migrated() else { return };
    let (store, mint) = (Arc::new(prepared.open().await), Mint::new(prepared.seed()));
    let fresh: Vec<_> = (0..200).map(|_| new_tenant(&mint, START)).collect();
    for part in fresh.chunks(4) {
        let made = join_all(part.iter().map(|(scope, new)| store.provision(scope, new))).await;
        assert!(made.into_iter().all(|outcome| outcome.unwrap() == Inserted::New));
    }
    let object = mint.object(ObjectKind::Service);
    let name = Name::parse("canary").unwrap();
    let body = |tenant: TenantId| format!("{{\"canary\":\"{tenant}\"}}");
    let fill = fresh.iter().map(|(scope, new)| {
        let model = ConfigModel::empty(new.head);
        let edit = model.edit(START).upsert(object, &name, body(scope.tenant())).build();
        let (store, mint) = (&store, &mint);
        async move {
            assert_eq!(store.commit(scope, &edit).await.unwrap(), Commit::Committed(edit.next));
            let batch = logs(mint.node(), mint.boot(), 1, &[], &[log_entry(mint, START)]);
            store.ingest(scope, &batch).await.unwrap();
        }
    });
    futures_util::StreamExt::for_each_concurrent(futures_util::stream::iter(fill), 8, |work| work).await;
    let entropy = mint.entropy();
    let picks: Vec<(usize, u64)> =
        (0..CALLS).map(|_| (usize::try_from(entropy.below(200)).unwrap(), entropy.below(3))).collect();
    let calls = picks.into_iter().map(|(tenant, what)| {
        let ((scope, new), store) = (&fresh[tenant], &store);
        async move {
            match what {
                0 => {
                    let (_, objects) = store.load(scope).await.unwrap().unwrap();
                    assert_eq!(objects.len(), 1);
                    assert_eq!(objects[0].body, body(scope.tenant()).as_bytes());
                }
                1 => assert_eq!(store.logs(scope, &LogFilter::default(), &PAGE).await.unwrap().items.len(), 1),
                _ => {
                    assert_eq!(store.account(scope).await.unwrap().unwrap().email, new.email);
                    assert_eq!(store.keys(scope).await.unwrap()[0].tenant, scope.tenant());
                }
            }
        }
    });
    futures_util::StreamExt::for_each_concurrent(futures_util::stream::iter(calls), 16, |work| work).await;
}
