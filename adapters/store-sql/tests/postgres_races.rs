//! Several writers at once, on one store and on two.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/postgres.rs"]
mod postgres;

use futures_util::future::join_all;
use novagate_access::TenantScope;
use novagate_fixtures::{ConfigModel, Mint, START, audit_entry, log_entry, logs, new_tenant};
use novagate_kernel::ObjectKind;
use novagate_ports_base::FaultKind;
use novagate_ports_control::PageRequest;
use novagate_ports_control::outbound::{
    AuditStore as _, Commit, ConfigStore as _, GatewayKeyStore as _, Ingested, Inserted, TelemetryStore as _,
    TenantStore as _,
};
use novagate_records::AuditAction;
use novagate_services::{PATIENCE, wait_until};
use novagate_store_sql::SqlStore;
use postgres::Prepared;

async fn tenant(store: &SqlStore, mint: &Mint) -> (TenantScope, ConfigModel) {
    let (scope, fresh) = new_tenant(mint, START);
    store.provision(&scope, &fresh).await.unwrap();
    (scope, ConfigModel::empty(fresh.head))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_stores_that_race_on_one_object_one_wins_and_the_other_learns_the_head() {
    let Some(prepared) = Prepared::migrated() else { return };
    let (one, other, mint) = (prepared.open().await, prepared.open().await, Mint::new(prepared.seed()));
    let (scope, mut model) = tenant(&one, &mint).await;
    let (service, name) = (mint.object(ObjectKind::Service), mint.name("a"));
    for round in 0..60 {
        let edit = |who: &str| model.edit(START).upsert(service, &name, format!("{{\"{who}\":{round}}}")).build();
        let (first, second) = (edit("one"), edit("other"));
        let (here, there) = tokio::join!(one.commit(&scope, &first), other.commit(&scope, &second));
        let (won, lost) = match (here.unwrap(), there.unwrap()) {
            (Commit::Committed(_), lost) => (first, lost),
            (lost, Commit::Committed(_)) => (second, lost),
            outcome => panic!("nobody won: {outcome:?}"),
        };
        assert_eq!(lost, Commit::Moved(won.next), "round {round}");
        model.apply(&won);
        assert_eq!(one.load(&scope).await.unwrap(), Some((model.head(), model.objects())));
        let pending = other.pending(&PageRequest::first(5)).await.unwrap().items;
        assert_eq!(pending.iter().map(|pending| pending.revision).collect::<Vec<_>>(), [won.next.revision]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_renames_keys_batches_and_an_erasure_at_once_end_without_a_deadlock_that_shows() {
    let Some(prepared) = Prepared::migrated() else { return };
    let (one, other, mint) = (prepared.open().await, prepared.open().await, Mint::new(prepared.seed()));
    for _ in 0..6 {
        let (scope, model) = tenant(&one, &mint).await;
        let begun =
            format!("SELECT count(*) FROM {}.audit_log WHERE action <> 'tenant.created'", scope.tenant().schema_name());
        let work = (0..24).map(|number| {
            let store = if number % 2 == 0 { &one } else { &other };
            let (scope, mint, model, prepared, begun) = (&scope, &mint, &model, &prepared, &begun);
            async move {
                match number % 4 {
                    0 => {
                        let object = mint.object(ObjectKind::Service);
                        let edit = model.edit(START).upsert(object, &mint.name("x"), "{}").build();
                        store.commit(scope, &edit).await.map(drop)
                    }
                    1 => {
                        let audit = audit_entry(mint, AuditAction::TenantRenamed, START);
                        store.rename(scope, "renamed", &audit).await.map(drop)
                    }
                    2 => {
                        let batch = logs(mint.node(), mint.boot(), 1, &[], &[log_entry(mint, START)]);
                        store.ingest(scope, &batch).await.map(drop)
                    }
                    _ if number == 23 => {
                        // Some of the others have got somewhere.
                        while prepared.ask(begun) == "0" {
                            tokio::task::yield_now().await;
                        }
                        store.erase(scope).await.map(drop)
                    }
                    _ => store.load(scope).await.map(drop),
                }
            }
        });
        for outcome in join_all(work).await {
            // The tenant may have gone meanwhile; nothing else may happen.
            if let Err(error) = outcome {
                assert_eq!(error.kind, FaultKind::Conflict, "{error:?}");
            }
        }
        assert_eq!(one.head(&scope).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_victim_of_a_deadlock_is_tried_again() {
    let Some(prepared) = Prepared::migrated() else { return };
    let (store, mint) = (prepared.open().await, Mint::new(prepared.seed()));
    let (scope, model) = tenant(&store, &mint).await;
    let name = scope.tenant().schema_name();
    // An operator's session takes the locks of an edit in the opposite order, the second one as soon as the edit waits for the
    // first, so that it is the edit which finds out.
    let operator = format!(
        "BEGIN; SET LOCAL deadlock_timeout = '30s';
         UPDATE {name}.config_head SET seq = seq;
         DO $$ BEGIN FOR turn IN 1..3000 LOOP
             EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)));
             PERFORM pg_sleep(0.01);
         END LOOP; END $$;
         UPDATE public.tenants SET name = name WHERE id = '{}'; ROLLBACK",
        scope.tenant()
    );
    let held = format!(
        "SELECT count(*) FROM pg_locks WHERE mode = 'RowExclusiveLock' AND relation = '{name}.config_head'::regclass"
    );
    let edit = model.edit(START).upsert(mint.object(ObjectKind::Service), &mint.name("a"), "{}").build();
    let committed = std::thread::scope(|threads| {
        threads.spawn(|| prepared.ask(&operator));
        wait_until("the operator holds the first lock", PATIENCE, || prepared.ask(&held) != "0");
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(store.commit(&scope, &edit)))
    });
    assert_eq!(committed.unwrap(), Commit::Committed(edit.next));
    let deadlocks =
        "SELECT pg_stat_clear_snapshot(); SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    wait_until("the server has counted the deadlock", PATIENCE, || prepared.ask(deadlocks).ends_with('1'));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_registered_from_everywhere_at_once_belongs_to_one_tenant() {
    let Some(prepared) = Prepared::migrated() else { return };
    let (one, other, mint) = (prepared.open().await, prepared.open().await, Mint::new(prepared.seed()));
    let (_, template) = new_tenant(&mint, START);
    let fresh: Vec<_> = (0..8)
        .map(|_| {
            let (scope, mut fresh) = new_tenant(&mint, START);
            fresh.email = template.email.clone();
            (scope, fresh)
        })
        .collect();
    let stores = [&one, &other];
    let made = fresh.iter().zip(stores.into_iter().cycle()).map(|((scope, new), store)| store.provision(scope, new));
    let outcomes: Vec<Inserted> = join_all(made).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|&&outcome| outcome == Inserted::New).count(), 1, "{outcomes:?}");
    assert_eq!(prepared.ask("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'tenant\\_%'"), "1");
    let owner = one.find_by_email(&template.email).await.unwrap().unwrap();
    assert_eq!(one.keys(&TenantScope::for_maintenance(owner.tenant)).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_one_run_that_arrive_at_once_are_each_taken_once() {
    let Some(prepared) = Prepared::migrated() else { return };
    let (one, other, mint) = (prepared.open().await, prepared.open().await, Mint::new(prepared.seed()));
    let (scope, _) = tenant(&one, &mint).await;
    let (node, boot) = (mint.node(), mint.boot());
    let batches: Vec<_> = (1..=20).map(|seq| logs(node, boot, seq, &[], &[log_entry(&mint, START)])).collect();
    let twice = batches.iter().flat_map(|batch| [one.ingest(&scope, batch), other.ingest(&scope, batch)]);
    let outcomes: Vec<Ingested> = join_all(twice).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|&&outcome| outcome == Ingested::New).count(), 20);
    assert_eq!(one.received(&scope, boot).await.unwrap(), 20);
}

#[tokio::test]
async fn tenants_of_different_shapes_share_connections_without_a_stale_plan() {
    let Some(prepared) = Prepared::migrated() else { return };
    let (store, mint) = (prepared.open().await, Mint::new(prepared.seed()));
    let ((plain, mut of_plain), (wide, mut of_wide)) = (tenant(&store, &mint).await, tenant(&store, &mint).await);
    let name = wide.tenant().schema_name();
    for round in 0..8 {
        // As a later, additive step that has reached one tenant only.
        for table in ["services", "audit_log", "revisions", "nodes", "request_logs"] {
            prepared.ask(&format!("ALTER TABLE {name}.{table} ADD COLUMN later_{round} text"));
        }
        for (scope, model) in [(&plain, &mut of_plain), (&wide, &mut of_wide)] {
            let edit = model.edit(START).upsert(mint.object(ObjectKind::Service), &mint.name("a"), "{}").build();
            assert_eq!(store.commit(scope, &edit).await.unwrap(), Commit::Committed(edit.next));
            model.apply(&edit);
            assert_eq!(store.load(scope).await.unwrap(), Some((model.head(), model.objects())));
            assert!(!store.audit(scope, &PageRequest::first(5)).await.unwrap().items.is_empty());
            let batch = logs(mint.node(), mint.boot(), 1, &[], &[log_entry(&mint, START)]);
            assert_eq!(store.ingest(scope, &batch).await.unwrap(), Ingested::New);
        }
    }
}
