//! What lies in Redis: the kept configuration is sealed, and names hold nothing personal.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use novagate_access::{FleetKey, TenantScope};
use novagate_contracts::{leave_out, run};
use novagate_fixtures::{CANARY, ManualClock, Mint};
use novagate_kernel::{Epoch, ObjectKind, Revision};
use novagate_policies::{LeaseAsk, RateLimit, SharedAsk, SharedKey, SharedKeyHasher};
use novagate_ports_base::Clock as _;
use novagate_ports_control::outbound::{Presence as _, Throttle as _, ThrottleRule};
use novagate_ports_edge::{LeaseLedger as _, SharedCounters as _, SnapshotStore as _};
use novagate_services::Redis as Server;
use novagate_sync::{ConfigSet, WireObject};
use support::redis_at;

fn server() -> &'static Server {
    Server::shared().unwrap_or_else(|| leave_out())
}

fn config(mint: &Mint, seq: u64) -> ConfigSet {
    let object = WireObject::new(mint.object(ObjectKind::Route), format!("{{\"name\":\"{CANARY}\"}}").into());
    ConfigSet::new(Revision { epoch: Epoch::try_from_u64(42).unwrap(), seq }, [object])
}

#[test]
fn a_kept_configuration_is_sealed_and_of_its_fleet_only() {
    run(async {
        let (server, mint) = (server(), Mint::new(1));
        let database = server.database();
        let redis = redis_at(database.url(), 1);
        let (ours, theirs) = (FleetKey::new("ours"), FleetKey::new("theirs"));
        let tenant = mint.tenant();
        let store = redis.snapshots(&ours).unwrap();
        store.save(tenant, &config(&mint, 1)).await.unwrap();
        store.note_revoked(&[mint.key_digest()]).await.unwrap();
        let lies = server.command(database.number(), "HGETALL cfg:default");
        assert!(!lies.contains(CANARY) && !lies.contains(&tenant.to_string()));
        let other = redis.snapshots(&theirs).unwrap();
        let report = other.load(Some(tenant)).await.unwrap();
        assert_eq!((report.newest, report.quarantined.len()), (None, 1));
        assert!(report.quarantined[0].reason.contains("not sealed by this fleet"));
        // Another fleet's is replaced, with what was revoked in it.
        other.save(tenant, &config(&mint, 7)).await.unwrap();
        assert_eq!(other.load(Some(tenant)).await.unwrap().newest.unwrap().revoked, []);
    });
}

#[test]
fn a_damaged_configuration_counts_as_absent_until_the_next_is_kept() {
    run(async {
        let (server, mint) = (server(), Mint::new(2));
        let database = server.database();
        let store = redis_at(database.url(), 1).snapshots(&FleetKey::new("ours")).unwrap();
        let tenant = mint.tenant();
        for field in ["config", "revoked"] {
            store.save(tenant, &config(&mint, 1)).await.unwrap();
            store.note_revoked(&[mint.key_digest()]).await.unwrap();
            server.command(database.number(), &format!("HSET cfg:default {field} torn"));
            let report = store.load(Some(tenant)).await.unwrap();
            assert_eq!((report.newest, report.quarantined.len()), (None, 1), "{field}");
            store.save(tenant, &config(&mint, 2)).await.unwrap();
            assert!(store.load(Some(tenant)).await.unwrap().newest.is_some());
            server.command(database.number(), "DEL cfg:default");
        }
    });
}

#[test]
fn a_node_that_lags_behind_does_not_replace_what_is_newer() {
    run(async {
        let mint = Mint::new(3);
        let database = server().database();
        let store = |seed| redis_at(database.url(), seed).snapshots(&FleetKey::new("ours")).unwrap();
        let (fast, slow, tenant) = (store(1), store(2), mint.tenant());
        fast.save(tenant, &config(&mint, 5)).await.unwrap();
        slow.save(tenant, &config(&mint, 4)).await.unwrap();
        let kept = slow.load(Some(tenant)).await.unwrap().newest.unwrap();
        assert_eq!(kept.config.head().revision.seq, 5);
    });
}

#[test]
fn promise_i3_every_name_has_a_documented_prefix_and_nothing_personal() {
    run(async {
        let (server, mint, clock) = (server(), Mint::new(4), ManualClock::default());
        let database = server.database();
        let redis = redis_at(database.url(), 1);
        let (fleet, tenant) = (FleetKey::new("ours"), mint.tenant());
        let keys = SharedKeyHasher::new(&fleet);
        let limit = RateLimit { max: 10, window: Duration::from_mins(1) };
        let ask = |number: u8| SharedAsk { key: SharedKey::from_hash([number; 16]), limit };
        redis.counters().for_worker().admit(Some(ask(1)), Some(ask(2))).await.unwrap();
        let ledger = redis.ledger(&keys);
        let lease = LeaseAsk {
            key: SharedKey::from_hash([3; 16]),
            limit,
            life: Duration::from_secs(3),
            debt: 1,
            want: 2,
            returned: None,
        };
        ledger.exchange(&[lease]).await.unwrap();
        ledger.nodes(mint.node()).await.unwrap();
        let store = redis.snapshots(&fleet).unwrap();
        store.save(tenant, &config(&mint, 1)).await.unwrap();
        let presence = redis.presence(Arc::new(clock.clone()));
        presence.beat(&TenantScope::for_maintenance(tenant), mint.node(), clock.now()).await.unwrap();
        let rule = ThrottleRule { max: 3, window: Duration::from_mins(15) };
        let throttle = redis.throttle(&FleetKey::new("control nodes"));
        for key in ["ada@example.org", "203.0.113.7", CANARY] {
            throttle.attempt(key, rule, clock.now()).await.unwrap();
        }
        let names = server.command(database.number(), "KEYS *");
        assert_eq!(names.lines().count(), 9, "{names}");
        for name in names.lines() {
            let is_hash = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let is_ours = name == "cfg:default"
                || name.strip_prefix("rl:").is_some_and(is_hash)
                || name.strip_prefix("gw:online:") == Some(tenant.to_string().as_str());
            assert!(is_ours, "{name}");
            let expires: i64 = server.command(database.number(), &format!("PTTL {name}")).parse().unwrap();
            assert!(expires > 0 || name == "cfg:default", "{name} stays for ever");
        }
    });
}
