//! The contract of [`SnapshotStore`].
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::collections::BTreeSet;
use std::future::Future;

use futures_util::future::{join, join_all};
use novagate_access::KeyDigest;
use novagate_fixtures::Mint;
use novagate_kernel::{Epoch, ObjectKind, Revision, TenantId};
use novagate_ports_edge::{LoadReport, LoadedSnapshot, SnapshotStore};
use novagate_sync::{ConfigSet, WireObject};

/// A place for configurations, for one case.
pub trait SnapshotFixture: Sized + Send + Sync {
    /// The store.
    type Store: SnapshotStore;

    /// An empty store that no other case knows.
    fn fresh() -> impl Future<Output = Self> + Send;

    /// The store.
    fn store(&self) -> &Self::Store;

    /// What a new process finds: the store is dropped without any farewell and opened again.
    fn reopened(self) -> impl Future<Output = Self> + Send;

    /// Damages the configuration that was saved last, as a failing disk would, and says whether it could.
    fn damage_newest(&mut self) -> bool;
}

/// Runs the suite of kept configurations over a [`SnapshotFixture`](crate::SnapshotFixture).
#[macro_export]
macro_rules! snapshot_store_contract {
    ($fixture:ty) => {
        $crate::cases!(
            snapshot_store, $fixture:
            nothing_is_found_where_nothing_was_saved,
            a_saved_configuration_is_found_by_the_next_process,
            the_configuration_that_was_saved_last_is_found,
            a_configuration_of_a_new_epoch_replaces_a_higher_seq,
            an_empty_and_a_large_configuration_are_kept,
            another_tenants_configuration_counts_as_absent,
            noted_revocations_are_found_by_the_next_process,
            noted_revocations_outlive_later_configurations,
            racing_saves_and_notes_all_end_well,
            a_damaged_slot_is_set_aside_and_reported,
        );
    };
}

fn epoch() -> Epoch {
    Epoch::try_from_u64(42).unwrap()
}

fn config(mint: &Mint, revision: Revision, objects: u64) -> ConfigSet {
    let object = |at: u64| {
        let reference = mint.object(ObjectKind::ALL[usize::try_from(at % 4).unwrap()]);
        WireObject::new(reference, format!("{{\"n\" : {at},\n\"x\":\"\u{8336}\u{2028}\"}}").into())
    };
    ConfigSet::new(revision, (0..objects).map(object))
}

fn revision(seq: u64) -> Revision {
    Revision { epoch: epoch(), seq }
}

fn report(tenant: TenantId, config: &ConfigSet) -> LoadReport {
    let newest = Some(LoadedSnapshot { tenant, config: config.clone(), revoked: vec![] });
    LoadReport { newest, quarantined: vec![] }
}

async fn revoked<F: SnapshotFixture>(fixture: &F, tenant: TenantId) -> BTreeSet<String> {
    let report = fixture.store().load(Some(tenant)).await.unwrap();
    report.newest.expect("a configuration").revoked.iter().map(KeyDigest::to_string).collect()
}

fn set(keys: &[KeyDigest]) -> BTreeSet<String> {
    keys.iter().map(KeyDigest::to_string).collect()
}

pub async fn nothing_is_found_where_nothing_was_saved<F: SnapshotFixture>() {
    let (fixture, tenant) = (F::fresh().await, Mint::new(1).tenant());
    for wanted in [None, Some(tenant)] {
        assert_eq!(fixture.store().load(wanted).await.unwrap(), LoadReport::default());
    }
}

pub async fn a_saved_configuration_is_found_by_the_next_process<F: SnapshotFixture>() {
    let (fixture, mint) = (F::fresh().await, Mint::new(2));
    let (tenant, saved) = (mint.tenant(), config(&mint, revision(7), 12));
    fixture.store().save(tenant, &saved).await.unwrap();
    assert_eq!(fixture.store().load(Some(tenant)).await.unwrap(), report(tenant, &saved));
    let fixture = fixture.reopened().await;
    for wanted in [None, Some(tenant), Some(tenant)] {
        assert_eq!(fixture.store().load(wanted).await.unwrap(), report(tenant, &saved));
    }
}

pub async fn the_configuration_that_was_saved_last_is_found<F: SnapshotFixture>() {
    let (mut fixture, mint) = (F::fresh().await, Mint::new(3));
    let tenant = mint.tenant();
    for seq in 1..=7 {
        let saved = config(&mint, revision(seq), seq);
        fixture.store().save(tenant, &saved).await.unwrap();
        if seq % 2 == 0 {
            fixture = fixture.reopened().await;
        }
        assert_eq!(fixture.store().load(Some(tenant)).await.unwrap(), report(tenant, &saved));
    }
}

pub async fn a_configuration_of_a_new_epoch_replaces_a_higher_seq<F: SnapshotFixture>() {
    let (fixture, mint) = (F::fresh().await, Mint::new(4));
    let tenant = mint.tenant();
    fixture.store().save(tenant, &config(&mint, revision(9), 3)).await.unwrap();
    let restored = config(&mint, Revision { epoch: Epoch::try_from_u64(7).unwrap(), seq: 2 }, 3);
    fixture.store().save(tenant, &restored).await.unwrap();
    let fixture = fixture.reopened().await;
    assert_eq!(fixture.store().load(Some(tenant)).await.unwrap(), report(tenant, &restored));
}

pub async fn an_empty_and_a_large_configuration_are_kept<F: SnapshotFixture>() {
    let (mut fixture, mint) = (F::fresh().await, Mint::new(5));
    let tenant = mint.tenant();
    for (seq, objects) in [(1, 0), (2, 20_000), (3, 0)] {
        let saved = config(&mint, revision(seq), objects);
        fixture.store().save(tenant, &saved).await.unwrap();
        fixture = fixture.reopened().await;
        assert!(fixture.store().load(Some(tenant)).await.unwrap() == report(tenant, &saved), "{objects} objects");
    }
}

pub async fn another_tenants_configuration_counts_as_absent<F: SnapshotFixture>() {
    let (fixture, mint) = (F::fresh().await, Mint::new(6));
    let (tenant, other) = (mint.tenant(), mint.tenant());
    let saved = config(&mint, revision(1), 2);
    fixture.store().save(tenant, &saved).await.unwrap();
    fixture.store().note_revoked(&[mint.key_digest()]).await.unwrap();
    let fixture = fixture.reopened().await;
    assert_eq!(fixture.store().load(Some(other)).await.unwrap().newest, None);
    let theirs = config(&mint, revision(1), 5);
    fixture.store().save(other, &theirs).await.unwrap();
    let found = fixture.store().load(Some(other)).await.unwrap().newest.expect("their configuration");
    assert_eq!((found.tenant, found.config), (other, theirs));
}

pub async fn noted_revocations_are_found_by_the_next_process<F: SnapshotFixture>() {
    let (mut fixture, mint) = (F::fresh().await, Mint::new(7));
    let tenant = mint.tenant();
    fixture.store().save(tenant, &config(&mint, revision(1), 2)).await.unwrap();
    let keys: Vec<KeyDigest> = (0..9).map(|_| mint.key_digest()).collect();
    fixture.store().note_revoked(&[]).await.unwrap();
    for (known, part) in keys.chunks(3).enumerate() {
        fixture.store().note_revoked(part).await.unwrap();
        fixture = fixture.reopened().await;
        assert_eq!(revoked(&fixture, tenant).await, set(&keys[..(known + 1) * 3]));
    }
}

pub async fn noted_revocations_outlive_later_configurations<F: SnapshotFixture>() {
    let (mut fixture, mint) = (F::fresh().await, Mint::new(8));
    let (tenant, keys) = (mint.tenant(), [mint.key_digest(), mint.key_digest()]);
    fixture.store().save(tenant, &config(&mint, revision(1), 2)).await.unwrap();
    fixture.store().note_revoked(&keys).await.unwrap();
    for seq in 2..=5 {
        // None of these configurations has the keys' grants removed: dropping the notes would let them in again.
        fixture.store().save(tenant, &config(&mint, revision(seq), 2)).await.unwrap();
        fixture = fixture.reopened().await;
        assert_eq!(revoked(&fixture, tenant).await, set(&keys), "after revision {seq}");
    }
}

pub async fn racing_saves_and_notes_all_end_well<F: SnapshotFixture>() {
    let (fixture, mint) = (F::fresh().await, Mint::new(9));
    let tenant = mint.tenant();
    let configs: Vec<ConfigSet> = (1..=6).map(|seq| config(&mint, revision(seq), seq)).collect();
    let keys: Vec<[KeyDigest; 1]> = (0..6).map(|_| [mint.key_digest()]).collect();
    let saves = join_all(configs.iter().map(|config| fixture.store().save(tenant, config)));
    let notes = join_all(keys.iter().map(|key| fixture.store().note_revoked(key)));
    let (saves, notes) = join(saves, notes).await;
    for outcome in saves.into_iter().chain(notes) {
        outcome.unwrap();
    }
    let fixture = fixture.reopened().await;
    let report = fixture.store().load(Some(tenant)).await.unwrap();
    assert_eq!(report.quarantined, []);
    assert!(configs.contains(&report.newest.expect("a configuration").config));
    assert_eq!(revoked(&fixture, tenant).await, set(&keys.concat()));
}

pub async fn a_damaged_slot_is_set_aside_and_reported<F: SnapshotFixture>() {
    let (mut fixture, mint) = (F::fresh().await, Mint::new(10));
    let tenant = mint.tenant();
    let (older, newer) = (config(&mint, revision(1), 3), config(&mint, revision(2), 3));
    fixture.store().save(tenant, &older).await.unwrap();
    fixture.store().save(tenant, &newer).await.unwrap();
    if !fixture.damage_newest() {
        return;
    }
    let mut fixture = fixture.reopened().await;
    let found = fixture.store().load(Some(tenant)).await.unwrap();
    assert_eq!(found.quarantined.len(), 1, "the damage is reported");
    assert_eq!(found.newest.map(|snapshot| snapshot.config), Some(older), "the one before is still there");
    let again = fixture.store().load(Some(tenant)).await.unwrap();
    assert_eq!(again.quarantined, [], "it was set aside");
    let repaired = config(&mint, revision(3), 3);
    fixture.store().save(tenant, &repaired).await.unwrap();
    fixture = fixture.reopened().await;
    assert_eq!(fixture.store().load(Some(tenant)).await.unwrap(), report(tenant, &repaired));
}
