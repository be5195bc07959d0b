//! The real driver against the real hub, in memory and over WebSocket.
#![expect(unreachable_pub, clippy::unwrap_used, reason = "tests fail by panicking, and share their support by `pub`")]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use novagate_access::{GatewayKey, KeyDigest};
use novagate_fixtures::wait_until;
use novagate_kernel::NodeId;
use novagate_ports_control::outbound::Wake;
use novagate_ports_edge::{DialError, SyncDialer};
use novagate_sync::ByeCode;
use novagate_sync_client::LinkStatus;
use support::{Control, Gateway, PATIENCE, Site};

const NODE: NodeId = NodeId::from_u128(11);

type Way = fn(&Site, &str) -> Arc<dyn SyncDialer>;

/// Runs a scenario over both transports.
macro_rules! over_both {
    ($($scenario:ident),+ $(,)?) => { $(
        mod $scenario {
            use super::*;

            #[tokio::test]
            async fn in_memory() {
                super::$scenario(Site::memory).await;
            }

            #[tokio::test]
            async fn over_websocket() {
                super::$scenario(Site::websocket).await;
            }
        }
    )+ };
}

over_both!(
    a_node_gets_a_snapshot_then_deltas_and_acks_both,
    a_refused_revision_is_nacked_once_and_the_next_one_served,
    a_node_that_outruns_the_store_stays_and_its_newest_confirmation_is_written,
    a_revoked_key_ends_its_sessions_within_a_second_and_others_stay,
    revoked_consumer_keys_reach_the_node,
    telemetry_is_stored_when_the_store_is_back,
    a_revocation_whose_wake_up_was_lost_ends_the_sessions_of_the_key,
    a_second_process_with_the_same_node_id_ends_the_older_session,
    a_node_that_comes_back_on_another_control_node_ends_its_older_session,
    a_stopping_hub_says_goodbye,
    a_stopping_node_says_goodbye,
    a_closed_tenant_ends_its_sessions,
);

async fn a_node_gets_a_snapshot_then_deltas_and_acks_both(way: Way) {
    let site = Site::start(Control::new(), None).await;
    let control = &site.control;
    let (_, key) = control.new_key();
    let first = control.edit(1, "a");
    let gateway = Gateway::start(way(&site, &key), None, NODE, 1, &site.tasks);
    control.until_acked(first).await;
    assert!(gateway.status.connected());
    let second = control.edit(1, "b");
    control.until_acked(second).await;
    assert_eq!(control.see(|state| (state.snapshots, state.deltas)), (1, 1));
    assert_eq!(*gateway.host.staged.lock().unwrap(), [first, second]);
}

async fn a_refused_revision_is_nacked_once_and_the_next_one_served(way: Way) {
    let site = Site::start(Control::new(), None).await;
    let control = &site.control;
    let (_, key) = control.new_key();
    let gateway = Gateway::start(way(&site, &key), None, NODE, 1, &site.tasks);
    control.until_acked(control.head()).await;
    *gateway.host.hated.lock().unwrap() = Some("bad");
    let bad = control.edit(1, "bad");
    control.until("the nack", |state| state.nacked == [(NODE, bad.revision.seq)]).await;
    control.wake(Wake::Config { tenant: control.tenant, head: bad });
    let good = control.edit(1, "good");
    control.until_acked(good).await;
    let staged = gateway.host.staged.lock().unwrap();
    assert_eq!(staged.iter().filter(|head| **head == bad).count(), 1);
}

async fn a_node_that_outruns_the_store_stays_and_its_newest_confirmation_is_written(way: Way) {
    let site = Site::start(Control::new(), None).await;
    let control = &site.control;
    let (_, key) = control.new_key();
    let gateway = Gateway::start(way(&site, &key), None, NODE, 1, &site.tasks);
    control.until_acked(control.head()).await;
    let before = control.see(|state| state.acked.len());
    let held = control.writing.lock().await;
    let mut last = control.head();
    for edit in 0..100 {
        last = control.edit(1, &format!("edit-{edit}"));
        wait_until("the edit serves", PATIENCE, || async { gateway.host.staged.lock().unwrap().last() == Some(&last) })
            .await;
    }
    drop(held);
    control.until_acked(last).await;
    let (written, left) = control.see(|state| (state.acked.len() - before, state.left));
    assert!(written <= 3, "{written} confirmations were written");
    assert_eq!((left, gateway.status.connected()), (0, true));
}

async fn a_revoked_key_ends_its_sessions_within_a_second_and_others_stay(way: Way) {
    let site = Site::start(Control::new(), None).await;
    let ((id, key), (_, other)) = (site.control.new_key(), site.control.new_key());
    let gateway = Gateway::start(way(&site, &key), None, NODE, 1, &site.tasks);
    let stays = Gateway::start(way(&site, &other), None, NodeId::from_u128(12), 2, &site.tasks);
    gateway.until("connected", LinkStatus::connected).await;
    stays.until("connected", LinkStatus::connected).await;
    site.control.revoke(id);
    let refused = || async { gateway.status.refused() == Some(ByeCode::KeyRevoked) };
    wait_until("the session is closed", Duration::from_secs(1), refused).await;
    assert!(!gateway.status.connected() && stays.status.connected());
    wait_until("one session is left", PATIENCE, || async { site.hub.session_count() == 1 }).await;
    assert_eq!(gateway.host.told.lock().unwrap().last(), Some(&(false, Some(ByeCode::KeyRevoked))));
}

async fn revoked_consumer_keys_reach_the_node(way: Way) {
    let site = Site::start(Control::new(), None).await;
    let (_, key) = site.control.new_key();
    let gateway = Gateway::start(way(&site, &key), None, NODE, 1, &site.tasks);
    gateway.until("connected", LinkStatus::connected).await;
    let keys = vec![KeyDigest::of(b"ck_1"), KeyDigest::of(b"ck_2")];
    site.control.wake(Wake::ConsumerKeysRevoked { tenant: site.control.tenant, keys: keys.clone() });
    let told = || async { *gateway.host.revoked.lock().unwrap() == keys };
    wait_until("the keys are revoked", PATIENCE, told).await;
}

async fn telemetry_is_stored_when_the_store_is_back(way: Way) {
    let site = Site::start(Control::new(), None).await;
    let (_, key) = site.control.new_key();
    site.control.store_is_away.store(true, Ordering::SeqCst);
    let gateway = Gateway::start(way(&site, &key), None, NODE, 1, &site.tasks);
    gateway.report(20).await;
    gateway.until("all are in the spool", |status| status.spooled_records() == 20).await;
    site.control.store_is_away.store(false, Ordering::SeqCst);
    gateway.until("all are confirmed", |status| status.spooled_records() == 0).await;
    let stored = site.control.see(|state| state.stored.get(&gateway.boot).cloned().unwrap());
    assert_eq!(stored, (1..=20).collect());
    assert_eq!(gateway.status.dropped_total(), 0);
}

async fn a_revocation_whose_wake_up_was_lost_ends_the_sessions_of_the_key(way: Way) {
    let site = Site::start(Control::new(), None).await;
    let (id, key) = site.control.new_key();
    let gateway = Gateway::start(way(&site, &key), None, NODE, 1, &site.tasks);
    gateway.until("connected", LinkStatus::connected).await;
    site.control.revoke_unheard(id);
    site.control.lose_wakes();
    gateway.until("refused", |status| status.refused() == Some(ByeCode::KeyRevoked)).await;
    assert_eq!(site.hub.stats().lost_wakes, 1);
}

async fn a_node_that_comes_back_on_another_control_node_ends_its_older_session(way: Way) {
    let control = Control::new();
    let (first, second) =
        (Site::start(Arc::clone(&control), None).await, Site::start(Arc::clone(&control), None).await);
    let (_, key) = control.new_key();
    let older = Gateway::start(way(&first, &key), None, NODE, 1, &first.tasks);
    older.until("connected", LinkStatus::connected).await;
    let newer = Gateway::start(way(&second, &key), None, NODE, 2, &second.tasks);
    newer.until("connected", LinkStatus::connected).await;
    wait_until("the older session has ended", PATIENCE, || async { first.hub.session_count() == 0 }).await;
    assert_eq!((second.hub.session_count(), control.see(|state| state.left)), (1, 0), "the node is still here");
}

async fn a_second_process_with_the_same_node_id_ends_the_older_session(way: Way) {
    let site = Site::start(Control::new(), None).await;
    let (_, key) = site.control.new_key();
    let older = Gateway::start(way(&site, &key), None, NODE, 1, &site.tasks);
    older.until("connected", LinkStatus::connected).await;
    let newer = Gateway::start(way(&site, &key), None, NODE, 2, &site.tasks);
    older.until("replaced", |status| !status.connected()).await;
    newer.until("connected", LinkStatus::connected).await;
    assert_eq!(older.status.refused(), None);
    wait_until("one session is left", PATIENCE, || async { site.hub.session_count() == 1 }).await;
    assert_eq!(site.control.see(|state| state.left), 0, "the node is still here");
}

async fn a_stopping_hub_says_goodbye(way: Way) {
    let site = Site::start(Control::new(), None).await;
    let (_, key) = site.control.new_key();
    // The node's own tasks outlive the hub's.
    let own = novagate_net::Tasks::new();
    let gateway = Gateway::start(way(&site, &key), None, NODE, 1, &own);
    gateway.until("connected", LinkStatus::connected).await;
    assert!(site.tasks.shutdown(PATIENCE).await.stuck == 0);
    gateway.until("away", |status| !status.connected()).await;
    assert_eq!((site.hub.session_count(), gateway.status.refused()), (0, None));
    assert_eq!(site.control.see(|state| state.left), 1);
}

async fn a_stopping_node_says_goodbye(way: Way) {
    let site = Site::start(Control::new(), None).await;
    let (_, key) = site.control.new_key();
    let gateway = Gateway::start(way(&site, &key), None, NODE, 1, &site.tasks);
    gateway.until("connected", LinkStatus::connected).await;
    gateway.stop.cancel();
    site.control.until("it has left", |state| state.left == 1).await;
    assert_eq!(site.hub.session_count(), 0);
}

async fn a_closed_tenant_ends_its_sessions(way: Way) {
    let site = Site::start(Control::new(), None).await;
    let (_, key) = site.control.new_key();
    let gateway = Gateway::start(way(&site, &key), None, NODE, 1, &site.tasks);
    gateway.until("connected", LinkStatus::connected).await;
    site.control.wake(Wake::TenantClosed { tenant: site.control.tenant });
    gateway.until("refused", |status| status.refused() == Some(ByeCode::TenantSuspended)).await;
}

#[tokio::test]
async fn telemetry_is_neither_lost_nor_doubled_over_cut_connections() {
    let site = Site::start(Control::new(), None).await;
    let (_, key) = site.control.new_key();
    let gateway = Gateway::start(site.memory(&key), None, NODE, 1, &site.tasks);
    for _ in 0..5 {
        gateway.until("connected", LinkStatus::connected).await;
        gateway.report(10).await;
        site.network.cut();
    }
    gateway.until("all are confirmed", |status| status.spooled_records() == 0).await;
    let stored = || site.control.see(|state| state.stored.get(&gateway.boot).cloned().unwrap_or_default());
    wait_until("all are stored", PATIENCE, || async { stored() == (1..=50).collect() }).await;
}

#[tokio::test]
async fn an_unchanged_node_transfers_no_config_when_it_comes_back() {
    let site = Site::start(Control::new(), None).await;
    let (_, key) = site.control.new_key();
    let gateway = Gateway::start(site.memory(&key), None, NODE, 1, &site.tasks);
    site.control.until_acked(site.control.head()).await;
    site.network.cut();
    site.control.until("the first session is over", |state| state.left >= 1).await;
    gateway.until("connected again", LinkStatus::connected).await;
    assert_eq!(site.control.see(|state| (state.snapshots, state.deltas)), (1, 0));
}

#[tokio::test]
async fn promise_x2_bad_keys_are_refused_before_the_upgrade_and_each_attempt_authenticates() {
    let site = Site::start(Control::new(), None).await;
    let (id, key) = site.control.new_key();
    let dialer = site.websocket(&key);
    let refused = |outcome: Result<_, DialError>| match outcome {
        Err(DialError::Refused { code }) => Some(code),
        Ok(_) | Err(_) => None,
    };
    assert!(dialer.dial().await.is_ok());
    let foreign = GatewayKey::generate(novagate_kernel::TenantId::from_u128(99), [1; 16]).expose().to_owned();
    assert_eq!(refused(site.websocket(&foreign).dial().await), Some(ByeCode::KeyInvalid));
    site.control.suspended.store(true, Ordering::SeqCst);
    assert_eq!(refused(dialer.dial().await), Some(ByeCode::TenantSuspended));
    site.control.revoke(id);
    assert_eq!(refused(dialer.dial().await), Some(ByeCode::KeyRevoked));
    assert_eq!(site.hub.stats().refused, 3);
}

#[tokio::test]
async fn promise_x2_an_untrusted_certificate_is_refused_and_a_trusted_one_accepted() {
    let dir = std::env::temp_dir().join(format!("novagate-sync-hub-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let write = |name: &str, text: String| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let pair = |name: &str| {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let cert = write(&format!("{name}.pem"), made.cert.pem());
        (cert, write(&format!("{name}.key"), made.signing_key.serialize_pem()))
    };
    let ((cert, secret), (other, _)) = (pair("own"), pair("other"));
    let site = Site::start(Control::new(), Some((&cert, &secret))).await;
    let (_, key) = site.control.new_key();
    let dial = |ca: Option<std::path::PathBuf>| {
        let key = key.clone();
        let source: novagate_sync_client::KeySource = Arc::new(move || Ok(GatewayKey::parse(&key)?));
        let dialer = site.websocket_of(source, "localhost", true, ca.as_deref());
        async move { dialer.dial().await }
    };
    assert!(dial(Some(cert.clone())).await.is_ok());
    assert!(matches!(dial(Some(other)).await, Err(DialError::Unreachable(_))));
    assert!(matches!(dial(None).await, Err(DialError::Unreachable(_))));
    std::fs::remove_dir_all(&dir).unwrap();
}
