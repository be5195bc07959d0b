//! The answers to connected gateways.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use novagate_access::{GatewayKey, GatewayKeyRecord, KeyRefusal, TenantScope, Verified};
use novagate_kernel::{BootId, Epoch, Head, NodeId, Revision, SessionId, TenantId, Timestamp};
use novagate_ports_base::{FaultKind, PortError};
use novagate_ports_control::{
    inbound::{ConfigAnswer, GatewaySync, SyncRefusal},
    outbound::{
        Account, BusSubscription, ConfigChanges, Ingested, NodeNack, NodeSighting, StoredObject, TelemetryBatch,
        TenantState, Wake,
    },
};
use novagate_records::Batch;
use novagate_sync::{Ack, ConfigSet, Delta, Nack, WireObject};

use crate::config::{ConfigCache, is_behind};
use crate::{Control, fleet::all_confirmed};

/// How far behind and ahead of the hub's clock a record's time may be; outside, the time of receipt stands in.
const OLDEST: Duration = Duration::from_hours(8 * 24);
const NEWEST: Duration = Duration::from_hours(1);

/// Deltas that were worked out lately: many nodes of a tenant need the same one at the same time.
#[derive(Default)]
pub(crate) struct DeltaCache(Mutex<HashMap<TenantId, CachedDelta>>);

struct CachedDelta {
    from: Head,
    delta: Arc<Delta>,
    /// When this process committed the edit that it is; `None`: it was worked out from history.
    committed_at: Option<Timestamp>,
}

/// For how long after a commit its delta is handed out without a look at storage: all nodes of the tenant ask at once, and
/// one that is given a delta that is not the newest any more asks again.
const FRESH: Duration = Duration::from_secs(1);

/// Most tenants in the cache; one delta each.
const CACHED_DELTAS: usize = 256;

impl DeltaCache {
    fn get(&self, tenant: TenantId, from: Head, head: Head) -> Option<Arc<Delta>> {
        let deltas = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = deltas.get(&tenant)?;
        (cached.from == from && cached.delta.to == head).then(|| Arc::clone(&cached.delta))
    }

    /// The delta of an edit that was committed a moment ago.
    fn just_committed(&self, tenant: TenantId, from: Head, now: Timestamp) -> Option<Arc<Delta>> {
        let deltas = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = deltas.get(&tenant)?;
        let at = cached.committed_at?;
        let fresh = at <= now && now.since(at) < FRESH;
        (fresh && cached.from == from).then(|| Arc::clone(&cached.delta))
    }

    pub(crate) fn put(&self, tenant: TenantId, from: Head, delta: &Arc<Delta>, committed_at: Option<Timestamp>) {
        let mut deltas = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if deltas.len() >= CACHED_DELTAS && !deltas.contains_key(&tenant) {
            deltas.clear();
        }
        deltas.insert(tenant, CachedDelta { from, delta: Arc::clone(delta), committed_at });
    }

    pub(crate) fn forget(&self, tenant: TenantId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&tenant);
    }

    /// Forgets a delta that does not lead to `head` or beyond.
    fn forget_behind(&self, tenant: TenantId, head: Head) {
        let mut deltas = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if deltas.get(&tenant).is_some_and(|cached| is_behind(cached.delta.to, head)) {
            deltas.remove(&tenant);
        }
    }

    fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Wake-ups on their way to the sessions: what another control node wrote ends what this one remembers.
struct Heeding {
    wakes: Box<dyn BusSubscription>,
    cache: Arc<ConfigCache>,
    deltas: Arc<DeltaCache>,
}

#[async_trait]
impl BusSubscription for Heeding {
    async fn next(&mut self) -> Option<Wake> {
        let wake = self.wakes.next().await;
        match &wake {
            Some(Wake::Config { tenant, head }) => {
                self.cache.forget_behind(*tenant, *head);
                self.deltas.forget_behind(*tenant, *head);
            }
            Some(Wake::TenantClosed { tenant }) => {
                self.cache.forget(*tenant);
                self.deltas.forget(*tenant);
            }
            Some(Wake::ConsumerKeysRevoked { .. } | Wake::GatewayKeyRevoked { .. } | Wake::NodeSeen { .. }) => {}
            None => {
                self.cache.clear();
                self.deltas.clear();
            }
        }
        wake
    }
}

#[async_trait]
impl GatewaySync for Control {
    async fn authenticate(&self, presented: &str) -> Result<Verified<GatewayKeyRecord>, SyncRefusal> {
        let key = GatewayKey::parse(presented).map_err(|_| SyncRefusal::KeyInvalid)?;
        let stored = self.deps.keys.find_key(&key.digest()).await?;
        let verified = key.verify(stored.as_ref()).map_err(|refusal| match refusal {
            KeyRefusal::Unknown => SyncRefusal::KeyInvalid,
            KeyRefusal::Revoked => SyncRefusal::KeyRevoked,
        })?;
        let account = self.deps.tenants.account(&verified.scope()).await?.ok_or(SyncRefusal::KeyInvalid)?;
        match account.state {
            TenantState::Active => Ok(verified),
            TenantState::Suspended => Err(SyncRefusal::TenantSuspended),
            TenantState::Unverified => Err(SyncRefusal::KeyInvalid),
        }
    }

    async fn confirm(&self, key: &Verified<GatewayKeyRecord>) -> Result<(), SyncRefusal> {
        let stored = self.deps.keys.find_key(&key.get().digest).await?.ok_or(SyncRefusal::KeyInvalid)?;
        if stored.revoked_at.is_some() { Err(SyncRefusal::KeyRevoked) } else { Ok(()) }
    }

    async fn hello(&self, scope: &TenantScope, session: SessionId, sighting: &NodeSighting) -> Result<(), SyncRefusal> {
        let account = self.served(scope).await?;
        if !self.deps.nodes.seen(scope, sighting, account.limits.nodes).await? {
            return Err(SyncRefusal::TooManyNodes);
        }
        // Who is connected is shown to people; a gateway is served without it.
        if let Err(refusal) = self.beat(scope, sighting.node).await {
            tracing::warn!(node = %sighting.node, error = %refusal, "a connected gateway is not shown as such yet");
        }
        let NodeSighting { node, boot, at, .. } = *sighting;
        self.wake(&Wake::NodeSeen { tenant: scope.tenant(), node, boot, session, at }).await;
        Ok(())
    }

    async fn config_for(&self, scope: &TenantScope, applied: Option<Head>) -> Result<ConfigAnswer, SyncRefusal> {
        let just_committed =
            applied.and_then(|head| self.deltas.just_committed(scope.tenant(), head, self.deps.clock.now()));
        if let Some(delta) = just_committed {
            return Ok(ConfigAnswer::Delta(delta));
        }
        self.served(scope).await?;
        let head = self.deps.configs.head(scope).await?.ok_or(SyncRefusal::TenantSuspended)?;
        let Some(applied) = applied else { return self.snapshot(scope).await };
        if applied == head {
            return Ok(ConfigAnswer::Current(head));
        }
        if applied.revision.epoch != head.revision.epoch {
            return self.snapshot(scope).await;
        }
        if applied.revision.seq >= head.revision.seq {
            self.heal_history(scope, applied).await?;
            return self.snapshot(scope).await;
        }
        if let Some(delta) = self.deltas.get(scope.tenant(), applied, head) {
            return Ok(ConfigAnswer::Delta(delta));
        }
        let published = self.deps.configs.revision(scope, applied.revision.seq).await?;
        if published.is_some_and(|record| record.head.revision == applied.revision && record.head != applied) {
            self.begin_epoch(scope, head).await?;
            return self.snapshot(scope).await;
        }
        match self.deps.configs.changes_since(scope, applied.revision).await? {
            Some(changes) => {
                let delta = Arc::new(delta_of(applied.revision, changes));
                self.deltas.put(scope.tenant(), applied, &delta, None);
                Ok(ConfigAnswer::Delta(delta))
            }
            None => self.snapshot(scope).await,
        }
    }

    async fn acked(&self, scope: &TenantScope, node: NodeId, ack: Ack) -> Result<(), SyncRefusal> {
        Ok(self.write_receipt(scope, node, ack.head).await?)
    }

    async fn nacked(&self, scope: &TenantScope, node: NodeId, nack: &Nack) -> Result<(), SyncRefusal> {
        let revision = Revision { epoch: nack.epoch, seq: nack.seq };
        let record = NodeNack { revision, at: self.deps.clock.now(), objects: nack.objects.clone() };
        Ok(self.deps.nodes.nacked(scope, node, &record).await?)
    }

    async fn received(&self, scope: &TenantScope, boot: BootId) -> Result<u64, SyncRefusal> {
        Ok(self.deps.telemetry.received(scope, boot).await?)
    }

    async fn ingest(&self, scope: &TenantScope, mut batch: TelemetryBatch) -> Result<Ingested, SyncRefusal> {
        let limits = self.served(scope).await?.limits;
        self.keep_to_plan(scope.tenant(), &mut batch.batch, limits.log_rows_per_second);
        let corrected = clamp_times(&mut batch.batch, self.deps.clock.now());
        if corrected > 0 {
            tracing::warn!(node = %batch.node, corrected, "records with impossible times got the time of receipt");
        }
        Ok(self.deps.telemetry.ingest(scope, &batch).await?)
    }

    async fn beat(&self, scope: &TenantScope, node: NodeId) -> Result<(), SyncRefusal> {
        Ok(self.deps.presence.beat(scope, node, self.deps.clock.now()).await?)
    }

    async fn left(&self, scope: &TenantScope, node: NodeId) -> Result<(), SyncRefusal> {
        Ok(self.deps.presence.leave(scope, node).await?)
    }

    async fn wakes(&self) -> Result<Box<dyn BusSubscription>, SyncRefusal> {
        let wakes = self.deps.bus.subscribe().await?;
        Ok(Box::new(Heeding { wakes, cache: Arc::clone(&self.cache), deltas: Arc::clone(&self.deltas) }))
    }
}

impl Control {
    async fn snapshot(&self, scope: &TenantScope) -> Result<ConfigAnswer, SyncRefusal> {
        let (head, objects) = self.deps.configs.load(scope).await?.ok_or(SyncRefusal::TenantSuspended)?;
        let set = ConfigSet::new(head.revision, objects.into_iter().map(wire_object));
        if set.head() != head {
            let source = format!("the objects of revision {} do not have its digest", head.revision);
            return Err(PortError::new("sync.snapshot", FaultKind::Corrupt, source).into());
        }
        Ok(ConfigAnswer::Snapshot(Arc::new(set)))
    }

    /// A node knows a revision of our own epoch that we do not: this database is a restored backup. A new epoch makes
    /// sure that two revisions with one number are never taken for each other.
    async fn heal_history(&self, scope: &TenantScope, claimed: Head) -> Result<(), SyncRefusal> {
        let head = self.deps.configs.head(scope).await?.ok_or(SyncRefusal::TenantSuspended)?;
        let impossible = claimed.revision.epoch == head.revision.epoch
            && (claimed.revision.seq > head.revision.seq
                || (claimed.revision.seq == head.revision.seq && claimed.digest != head.digest));
        if impossible { self.begin_epoch(scope, head).await } else { Ok(()) }
    }

    /// Replaces the epoch of `head`, unless somebody else has, and tells the tenant's other gateways.
    async fn begin_epoch(&self, scope: &TenantScope, head: Head) -> Result<(), SyncRefusal> {
        let tenant = scope.tenant();
        let epoch = Epoch::from_entropy(self.deps.entropy.bytes());
        if self.deps.configs.renew_epoch(scope, head.revision.epoch, epoch).await? {
            self.cache.forget(tenant);
            self.deltas.forget(tenant);
            tracing::warn!(%tenant, "a gateway knows another history: a new epoch begins");
            let head = Head { revision: Revision { epoch, ..head.revision }, ..head };
            self.wake(&Wake::Config { tenant, head }).await;
        }
        Ok(())
    }

    /// The account behind a session, as long as it is served: a suspension or an erasure counts from the next call on,
    /// whichever process made it.
    async fn served(&self, scope: &TenantScope) -> Result<Account, SyncRefusal> {
        let account = self.deps.tenants.account(scope).await?.ok_or(SyncRefusal::TenantSuspended)?;
        match account.state {
            TenantState::Active => Ok(account),
            TenantState::Suspended | TenantState::Unverified => Err(SyncRefusal::TenantSuspended),
        }
    }

    /// Holds a batch to the plan's log rows per second. What goes beyond is dropped and counted in the log; the batch
    /// itself is taken, so that the node does not send it for ever.
    fn keep_to_plan(&self, tenant: TenantId, batch: &mut Batch, limit: u32) {
        let Batch::Logs(logs) = batch else { return };
        let granted = self.log_budget.take(tenant, limit, logs.entries.len(), self.deps.clock.now());
        let dropped = logs.entries.len().saturating_sub(granted);
        if dropped > 0 {
            logs.entries.truncate(granted);
            tracing::warn!(%tenant, dropped, limit, "log rows beyond the plan's rows per second were dropped");
        }
    }

    /// Removes the pending update once every known node serves the head.
    pub(crate) async fn settle_if_confirmed(&self, scope: &TenantScope) -> Result<(), PortError> {
        let Some(head) = self.deps.configs.head(scope).await? else { return Ok(()) };
        let nodes = self.deps.nodes.nodes(scope).await?;
        if all_confirmed(&nodes, head.revision) {
            self.deps.configs.settle(scope, head.revision).await?;
        }
        Ok(())
    }
}

fn wire_object(stored: StoredObject) -> WireObject {
    WireObject::new(stored.reference, stored.body)
}

fn delta_of(from: Revision, changes: ConfigChanges) -> Delta {
    Delta {
        from: from.seq,
        to: changes.head,
        upserts: changes.upserts.into_iter().map(wire_object).collect(),
        deletes: changes.deletes,
    }
}

/// Puts the time of receipt in place of impossible times; answers how many there were.
fn clamp_times(batch: &mut Batch, now: Timestamp) -> usize {
    let (oldest, newest) = (now.minus(OLDEST), now.plus(NEWEST));
    let mut corrected = 0;
    let mut clamp = |at: &mut Timestamp| {
        if *at < oldest || *at > newest {
            *at = now;
            corrected += 1;
        }
    };
    match batch {
        Batch::Logs(logs) => logs.entries.iter_mut().for_each(|entry| clamp(&mut entry.at)),
        Batch::Errors(events) => events.iter_mut().for_each(|event| clamp(&mut event.at)),
        Batch::Health(health) => clamp(&mut health.at),
        Batch::Metrics(window) => {
            clamp(&mut window.from);
            clamp(&mut window.to);
            window.to = window.to.max(window.from);
        }
    }
    corrected
}
