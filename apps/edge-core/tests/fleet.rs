//! What a gateway shares with its fleet: a kept configuration, and limits.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use novagate_access::{FleetKey, KeyDigest};
use novagate_edge_core::{CachedSnapshots, FleetCounting};
use novagate_fixtures::{Ledger, ManualClock, Mint, wait_until};
use novagate_kernel::{Epoch, NodeId, Revision, TenantId};
use novagate_policies::{
    Bucket, ClientKeyHasher, FleetSize, HashKey, Identity, LeaseAnswer, LeaseAsk, LeaseKeeper, LeaseTable, NodeLimits,
    SharedKeyHasher,
};
use novagate_ports_base::{Clock as _, FaultKind, PortError};
use novagate_ports_edge::{LeaseLedger, LoadReport, LoadedSnapshot, QuarantinedSlot, SnapshotStore};
use novagate_sync::ConfigSet;

/// One place for a configuration, which can be away.
#[derive(Default)]
struct Place {
    kept: Mutex<LoadReport>,
    is_away: AtomicBool,
    writes: AtomicU64,
}

impl Place {
    fn with(report: LoadReport) -> Arc<Self> {
        Arc::new(Self { kept: Mutex::new(report), ..Self::default() })
    }

    fn check(&self) -> Result<(), PortError> {
        let away = || PortError::new("place", FaultKind::Unavailable, "away");
        if self.is_away.load(Ordering::SeqCst) { Err(away()) } else { Ok(()) }
    }

    fn kept(&self) -> Option<LoadedSnapshot> {
        self.kept.lock().unwrap().newest.clone()
    }
}

#[async_trait]
impl SnapshotStore for Place {
    async fn load(&self, _: Option<TenantId>) -> Result<LoadReport, PortError> {
        self.check()?;
        Ok(self.kept.lock().unwrap().clone())
    }

    async fn save(&self, tenant: TenantId, config: &ConfigSet) -> Result<(), PortError> {
        self.check()?;
        self.writes.fetch_add(1, Ordering::SeqCst);
        let mut kept = self.kept.lock().unwrap();
        let revoked = kept.newest.take().map(|snapshot| snapshot.revoked).unwrap_or_default();
        kept.newest = Some(LoadedSnapshot { tenant, config: config.clone(), revoked });
        Ok(())
    }

    async fn note_revoked(&self, keys: &[KeyDigest]) -> Result<(), PortError> {
        self.check()?;
        if let Some(snapshot) = &mut self.kept.lock().unwrap().newest {
            snapshot.revoked.extend(keys);
        }
        Ok(())
    }
}

fn tenant() -> TenantId {
    TenantId::from_entropy([1; 16])
}

fn snapshot(epoch: u64, seq: u64) -> LoadReport {
    let revision = Revision { epoch: Epoch::try_from_u64(epoch).unwrap(), seq };
    let newest = Some(LoadedSnapshot { tenant: tenant(), config: ConfigSet::new(revision, []), revoked: vec![] });
    LoadReport { newest, quarantined: vec![] }
}

async fn found(disk: LoadReport, cache: LoadReport) -> Option<(u64, u64)> {
    let (store, _writer) = CachedSnapshots::new(Place::with(disk), Place::with(cache));
    let newest = store.load(Some(tenant())).await.unwrap().newest?;
    let revision = newest.config.head().revision;
    Some((revision.epoch.get(), revision.seq))
}

#[tokio::test]
async fn the_newest_of_both_copies_is_served_and_of_different_epochs_the_disks() {
    assert_eq!(found(LoadReport::default(), LoadReport::default()).await, None);
    assert_eq!(found(LoadReport::default(), snapshot(1, 4)).await, Some((1, 4)));
    assert_eq!(found(snapshot(1, 3), LoadReport::default()).await, Some((1, 3)));
    assert_eq!(found(snapshot(1, 3), snapshot(1, 4)).await, Some((1, 4)));
    assert_eq!(found(snapshot(1, 5), snapshot(1, 4)).await, Some((1, 5)));
    assert_eq!(found(snapshot(2, 1), snapshot(1, 9)).await, Some((2, 1)));
}

#[tokio::test]
async fn a_key_that_either_copy_knows_to_be_revoked_stays_so() {
    let mint = Mint::new(1);
    let keys = [mint.key_digest(), mint.key_digest()];
    let with = |report: LoadReport, key| {
        let newest = report.newest.map(|snapshot| LoadedSnapshot { revoked: vec![key], ..snapshot });
        Place::with(LoadReport { newest, ..report })
    };
    let (store, _writer) = CachedSnapshots::new(with(snapshot(1, 3), keys[0]), with(snapshot(1, 4), keys[1]));
    assert_eq!(store.load(None).await.unwrap().newest.unwrap().revoked, keys);
}

#[tokio::test]
async fn a_fleet_that_is_away_is_no_obstacle_and_what_was_set_aside_anywhere_is_told() {
    let slot = |name: &str| QuarantinedSlot { slot: name.to_owned(), reason: "torn".to_owned() };
    let disk = Place::with(LoadReport { quarantined: vec![slot("a")], ..snapshot(1, 3) });
    let cache = Place::with(LoadReport { newest: None, quarantined: vec![slot("b")] });
    let (store, _writer) = CachedSnapshots::new(disk, Arc::clone(&cache) as _);
    assert_eq!(store.load(None).await.unwrap().quarantined, [slot("a"), slot("b")]);
    cache.is_away.store(true, Ordering::SeqCst);
    let report = store.load(None).await.unwrap();
    assert_eq!((report.newest.is_some(), report.quarantined), (true, vec![slot("a")]));
}

#[tokio::test(start_paused = true)]
async fn the_fleets_copy_is_written_once_edits_have_settled_and_again_after_a_fault() {
    let (disk, cache) = (Place::with(LoadReport::default()), Place::with(LoadReport::default()));
    let (store, writer) = CachedSnapshots::new(Arc::clone(&disk) as _, Arc::clone(&cache) as _);
    let test = async {
        for seq in 1..=20 {
            let config = snapshot(1, seq).newest.unwrap().config;
            store.save(tenant(), &config).await.unwrap();
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert_eq!((disk.writes.load(Ordering::SeqCst), cache.writes.load(Ordering::SeqCst)), (20, 0));
        let settled = async || cache.kept().is_some_and(|kept| kept.config.head().revision.seq == 20);
        wait_until("the fleet has it", Duration::from_secs(20), settled).await;
        assert_eq!(cache.writes.load(Ordering::SeqCst), 1);
        cache.is_away.store(true, Ordering::SeqCst);
        let key = Mint::new(2).key_digest();
        store.note_revoked(&[key]).await.unwrap();
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(cache.kept().unwrap().revoked, []);
        cache.is_away.store(false, Ordering::SeqCst);
        let healed = async || cache.kept().is_some_and(|kept| kept.revoked == [key]);
        wait_until("the fleet has that too", Duration::from_secs(20), healed).await;
    };
    tokio::select! {
        () = test => {}
        () = writer.run() => {}
    }
}

/// A ledger that can be away, and other nodes that come and go.
struct Remote {
    ledger: Mutex<Ledger>,
    clock: ManualClock,
    nodes: Mutex<HashMap<NodeId, u32>>,
    is_away: AtomicBool,
    exchanges: AtomicU64,
}

#[async_trait]
impl LeaseLedger for Remote {
    async fn exchange(&self, asks: &[LeaseAsk]) -> Result<Vec<LeaseAnswer>, PortError> {
        self.exchanges.fetch_add(1, Ordering::SeqCst);
        if self.is_away.load(Ordering::SeqCst) {
            return Err(PortError::new("exchange", FaultKind::TimedOut, "away"));
        }
        let mut ledger = self.ledger.lock().unwrap();
        Ok(asks.iter().map(|ask| ledger.exchange(ask, self.clock.now())).collect())
    }

    async fn nodes(&self, node: NodeId) -> Result<u32, PortError> {
        let mut nodes = self.nodes.lock().unwrap();
        *nodes.entry(node).or_default() += 1;
        Ok(u32::try_from(nodes.len()).unwrap())
    }
}

#[tokio::test]
async fn a_node_learns_how_many_there_are_and_gets_its_leases_through_faults() {
    let clock = ManualClock::default();
    let remote = Arc::new(Remote {
        ledger: Mutex::default(),
        clock: clock.clone(),
        nodes: Mutex::default(),
        is_away: AtomicBool::new(false),
        exchanges: AtomicU64::new(0),
    });
    let mint = Mint::new(3);
    remote.nodes(mint.node()).await.unwrap();
    let (fleet, errors) = (FleetSize::default(), Arc::<AtomicU64>::default());
    let table = Arc::new(LeaseTable::new(1024, SharedKeyHasher::new(&FleetKey::new("a fleet")), fleet.clone()));
    let keeper = Some(LeaseKeeper::new(Arc::clone(&table)));
    let (ledger, wall) = (Arc::clone(&remote) as _, Arc::new(clock.clone()));
    let mut counting = FleetCounting::new(ledger, keeper, fleet.clone(), mint.node(), wall, Arc::clone(&errors));
    counting.turn().await;
    assert_eq!(fleet.get(), 2);

    let limits = NodeLimits { window: Duration::from_mins(1), unauth_max: 100, auth_max: 100 };
    let bucket = Bucket::of_client(&Identity::Anonymous, IpAddr::V4(Ipv4Addr::LOCALHOST), &limits);
    let key = ClientKeyHasher::new(HashKey::from_entropy([1; 16])).key(&bucket);
    let request = || table.admit_two(Some((key, &bucket)), None, clock.now()).admitted();
    let mut admitted = (0..60).filter(|_| request()).count();
    assert_eq!(admitted, 50, "its share");
    remote.is_away.store(true, Ordering::SeqCst);
    for _ in 0..100 {
        counting.turn().await;
        clock.advance(Duration::from_millis(20));
    }
    let (failed, tried) = (errors.load(Ordering::SeqCst), remote.exchanges.load(Ordering::SeqCst));
    assert_eq!(failed, tried);
    assert!((4..=10).contains(&failed), "{failed} in two seconds");
    remote.is_away.store(false, Ordering::SeqCst);
    for _ in 0..40 {
        clock.advance(Duration::from_millis(20));
        counting.turn().await;
        admitted += (0..5).filter(|_| request()).count();
    }
    assert_eq!(admitted, 100, "what the other node did not use");
}
