//! A control plane in memory behind a real hub, and gateways with the real driver.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use novagate_access::{GatewayKey, GatewayKeyRecord, KeyDigest, KeyRefusal, TenantScope, Verified};
use novagate_fixtures::{ManualClock, Mint, SeededEntropy, wait_until};
use novagate_kernel::{
    BatchKind, BootId, GatewayKeyId, Head, NodeId, ObjectRef, Revision, RouteId, SessionId, TenantId, Timestamp,
};
use novagate_net::{
    CertificateFile, CertificateFiles, ClientAuth, HttpLimits, HttpListener, Resolver, ResolverFiles, Tasks, bind,
    client_config, serve_http,
};
use novagate_ports_base::{FaultKind, PortError};
use novagate_ports_control::inbound::{ConfigAnswer, GatewaySync, SyncRefusal};
use novagate_ports_control::outbound::{BusSubscription, Ingested, NodeSighting, TelemetryBatch, Wake};
use novagate_ports_edge::{ConfigHost, DialError, Staged, SyncDialer, TelemetryItem};
use novagate_sync::{
    Ack, ByeCode, ConfigSet, Delta, Nack, NackedObject, NodeIdentity, NodeMachine, SpoolLimits, WireObject,
};
use novagate_sync_client::{Endpoint, KeySource, LinkStatus, NodeDriver, PlainText, WebSocketDialer};
use novagate_sync_hub::{HubState, router, serve_session};
use novagate_sync_memory::MemoryNetwork;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

/// Longest wait for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The use cases, in memory.
pub struct Control {
    mint: Mint,
    state: Mutex<State>,
    wakes: broadcast::Sender<Option<Wake>>,
    pub tenant: TenantId,
    pub store_is_away: AtomicBool,
    pub suspended: AtomicBool,
    /// Whoever holds it keeps confirmations from being written.
    pub writing: tokio::sync::Mutex<()>,
}

pub struct State {
    keys: Vec<GatewayKeyRecord>,
    history: Vec<ConfigSet>,
    pub acked: Vec<(NodeId, Head)>,
    pub nacked: Vec<(NodeId, u64)>,
    pub deltas: usize,
    pub snapshots: usize,
    pub stored: BTreeMap<BootId, BTreeSet<u64>>,
    pub beats: usize,
    pub left: usize,
}

struct Wakes(broadcast::Receiver<Option<Wake>>);

#[async_trait]
impl BusSubscription for Wakes {
    async fn next(&mut self) -> Option<Wake> {
        match self.0.recv().await {
            Ok(wake) => wake,
            Err(broadcast::error::RecvError::Lagged(_)) => None,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Control {
    pub fn new() -> Arc<Self> {
        let mint = Mint::new(1);
        let empty = ConfigSet::new(Revision { epoch: mint.epoch(), seq: 1 }, []);
        let state = State {
            keys: vec![],
            history: vec![empty],
            acked: vec![],
            nacked: vec![],
            deltas: 0,
            snapshots: 0,
            stored: BTreeMap::new(),
            beats: 0,
            left: 0,
        };
        let tenant = mint.tenant();
        let (wakes, _) = broadcast::channel(64);
        let (store_is_away, suspended) = (AtomicBool::new(false), AtomicBool::new(false));
        let writing = tokio::sync::Mutex::default();
        Arc::new(Self { mint, state: Mutex::new(state), wakes, tenant, store_is_away, suspended, writing })
    }

    /// Another one each time: sessions of two hubs have ids of their own.
    pub fn seed(&self) -> u64 {
        u64::from_le_bytes(self.mint.entropy().take())
    }

    pub fn new_key(&self) -> (GatewayKeyId, String) {
        let key = GatewayKey::generate(self.tenant, self.mint.entropy().take());
        let id = self.mint.gateway_key();
        let (tenant, digest, created_at) = (self.tenant, key.digest(), Timestamp::UNIX_EPOCH);
        self.see(|state| state.keys.push(GatewayKeyRecord { id, tenant, digest, created_at, revoked_at: None }));
        (id, key.expose().to_owned())
    }

    pub fn see<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap())
    }

    pub fn head(&self) -> Head {
        self.see(|state| state.history.last().unwrap().head())
    }

    pub fn edit(&self, route: u128, body: &str) -> Head {
        let head = self.see(|state| {
            let latest = state.history.last().unwrap();
            let reference: ObjectRef = RouteId::from_u128(route).into();
            let object = WireObject::new(reference, Bytes::from(format!("{{\"name\":\"{body}\"}}")));
            let kept = latest.objects().filter(|old| old.reference() != reference).cloned();
            let next = ConfigSet::new(latest.head().revision.next(), kept.chain([object]).collect::<Vec<_>>());
            let head = next.head();
            state.history.push(next);
            head
        });
        self.wake(Wake::Config { tenant: self.tenant, head });
        head
    }

    pub fn wake(&self, wake: Wake) {
        // Nobody may be listening yet.
        let _ = self.wakes.send(Some(wake));
    }

    /// Wake-ups may have been lost.
    pub fn lose_wakes(&self) {
        let _ = self.wakes.send(None);
    }

    pub fn revoke(&self, id: GatewayKeyId) {
        self.revoke_unheard(id);
        self.wake(Wake::GatewayKeyRevoked { tenant: self.tenant, key: id });
    }

    /// As another control node does that ends before it can say so.
    pub fn revoke_unheard(&self, id: GatewayKeyId) {
        self.see(|state| {
            for key in state.keys.iter_mut().filter(|key| key.id == id) {
                key.revoked_at = Some(Timestamp::UNIX_EPOCH);
            }
        });
    }

    pub async fn until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        wait_until(what, PATIENCE, || async { self.see(|state| holds(state)) }).await;
    }

    pub async fn until_acked(&self, head: Head) {
        self.until("the head is acked", |state| state.acked.last().is_some_and(|(_, acked)| *acked == head)).await;
    }

    fn away() -> SyncRefusal {
        PortError::new("test", FaultKind::Unavailable, "the store is away").into()
    }
}

#[async_trait]
impl GatewaySync for Control {
    async fn authenticate(&self, presented: &str) -> Result<Verified<GatewayKeyRecord>, SyncRefusal> {
        let key = GatewayKey::parse(presented).map_err(|_| SyncRefusal::KeyInvalid)?;
        let stored = self.see(|state| state.keys.iter().find(|known| known.digest == key.digest()).cloned());
        let verified = key.verify(stored.as_ref()).map_err(|refusal| match refusal {
            KeyRefusal::Unknown => SyncRefusal::KeyInvalid,
            KeyRefusal::Revoked => SyncRefusal::KeyRevoked,
        })?;
        if self.suspended.load(Ordering::SeqCst) { Err(SyncRefusal::TenantSuspended) } else { Ok(verified) }
    }

    async fn confirm(&self, key: &Verified<GatewayKeyRecord>) -> Result<(), SyncRefusal> {
        let id = key.get().id;
        let is_revoked = |known: &GatewayKeyRecord| known.id == id && known.revoked_at.is_some();
        if self.see(|state| state.keys.iter().any(is_revoked)) { Err(SyncRefusal::KeyRevoked) } else { Ok(()) }
    }

    async fn hello(&self, scope: &TenantScope, session: SessionId, sighting: &NodeSighting) -> Result<(), SyncRefusal> {
        assert_eq!(scope.tenant(), self.tenant);
        let NodeSighting { node, boot, at, .. } = *sighting;
        self.wake(Wake::NodeSeen { tenant: self.tenant, node, boot, session, at });
        Ok(())
    }

    async fn config_for(&self, _scope: &TenantScope, applied: Option<Head>) -> Result<ConfigAnswer, SyncRefusal> {
        Ok(self.see(|state| {
            let latest = state.history.last().unwrap().clone();
            if applied == Some(latest.head()) {
                return ConfigAnswer::Current(latest.head());
            }
            let base = state.history.iter().find(|set| Some(set.head()) == applied);
            let Some(base) = base else {
                state.snapshots += 1;
                return ConfigAnswer::Snapshot(Arc::new(latest));
            };
            state.deltas += 1;
            let changed = |object: &&WireObject| base.get(object.reference()) != Some(*object);
            let upserts = latest.objects().filter(changed).cloned().collect();
            let from = base.head().revision.seq;
            ConfigAnswer::Delta(Arc::new(Delta { from, to: latest.head(), upserts, deletes: vec![] }))
        }))
    }

    async fn acked(&self, _scope: &TenantScope, node: NodeId, ack: Ack) -> Result<(), SyncRefusal> {
        drop(self.writing.lock().await);
        self.see(|state| state.acked.push((node, ack.head)));
        Ok(())
    }

    async fn nacked(&self, _scope: &TenantScope, node: NodeId, nack: &Nack) -> Result<(), SyncRefusal> {
        self.see(|state| state.nacked.push((node, nack.seq)));
        Ok(())
    }

    async fn received(&self, _scope: &TenantScope, boot: BootId) -> Result<u64, SyncRefusal> {
        Ok(self.see(|state| state.stored.get(&boot).and_then(|seqs| seqs.last().copied()).unwrap_or(0)))
    }

    async fn ingest(&self, _scope: &TenantScope, batch: TelemetryBatch) -> Result<Ingested, SyncRefusal> {
        if self.store_is_away.load(Ordering::SeqCst) {
            return Err(Self::away());
        }
        let new = self.see(|state| state.stored.entry(batch.boot).or_default().insert(batch.batch_seq));
        Ok(if new { Ingested::New } else { Ingested::AlreadyHave })
    }

    async fn beat(&self, _scope: &TenantScope, _node: NodeId) -> Result<(), SyncRefusal> {
        self.see(|state| state.beats += 1);
        Ok(())
    }

    async fn left(&self, _scope: &TenantScope, _node: NodeId) -> Result<(), SyncRefusal> {
        self.see(|state| state.left += 1);
        Ok(())
    }

    async fn wakes(&self) -> Result<Box<dyn BusSubscription>, SyncRefusal> {
        Ok(Box::new(Wakes(self.wakes.subscribe())))
    }
}

/// What a gateway makes of configurations.
#[derive(Default)]
pub struct Host {
    /// Configurations with an object whose body contains this are refused.
    pub hated: Mutex<Option<&'static str>>,
    pub staged: Mutex<Vec<Head>>,
    pub revoked: Mutex<Vec<KeyDigest>>,
    pub told: Mutex<Vec<(bool, Option<ByeCode>)>>,
}

#[async_trait]
impl ConfigHost for Host {
    async fn stage(&self, config: ConfigSet) -> Staged {
        self.staged.lock().unwrap().push(config.head());
        let hated = *self.hated.lock().unwrap();
        let is_hated =
            |object: &&WireObject| hated.is_some_and(|word| String::from_utf8_lossy(object.body()).contains(word));
        if let Some(object) = config.objects().find(is_hated) {
            let code = novagate_sync::ObjectFaultCode::new("hated");
            return Staged::Refused(vec![NackedObject { object: object.reference(), code, field: String::new() }]);
        }
        Staged::Live { compile: Duration::from_micros(7) }
    }

    async fn revoke(&self, keys: Vec<KeyDigest>) {
        self.revoked.lock().unwrap().extend(keys);
    }

    fn link_changed(&self, connected: bool, refused: Option<ByeCode>) {
        self.told.lock().unwrap().push((connected, refused));
    }
}

/// A gateway with its driver.
pub struct Gateway {
    pub status: LinkStatus,
    pub host: Arc<Host>,
    pub boot: BootId,
    pub telemetry: mpsc::Sender<TelemetryItem>,
    pub stop: CancellationToken,
}

impl Gateway {
    pub fn start(dialer: Arc<dyn SyncDialer>, key: Option<KeySource>, node: NodeId, boot: u128, tasks: &Tasks) -> Self {
        let identity = NodeIdentity {
            node,
            boot: BootId::from_u128(boot),
            build: "test/1".to_owned(),
            features: vec![],
            labels: BTreeMap::new(),
        };
        let clock = ManualClock::default();
        let machine = NodeMachine::new(identity, SpoolLimits::default(), None, novagate_fixtures::START);
        let host = Arc::new(Host::default());
        let entropy = Arc::new(SeededEntropy::new(u64::try_from(boot).unwrap()));
        let driver = NodeDriver::new(dialer, Arc::clone(&host) as _, key, Arc::new(clock), entropy, tasks);
        let (status, stop) = (driver.status(), CancellationToken::new());
        let (telemetry, items) = mpsc::channel(16);
        tasks.spawn("gateway", driver.run(machine, items, stop.clone()));
        Self { status, host, boot: BootId::from_u128(boot), telemetry, stop }
    }

    pub async fn until(&self, what: &str, holds: impl Fn(&LinkStatus) -> bool) {
        wait_until(what, PATIENCE, || async { holds(&self.status) }).await;
    }

    pub async fn report(&self, batches: usize) {
        for _ in 0..batches {
            let body = Bytes::from_static(b"{\"records\":[]}");
            self.telemetry.send(TelemetryItem { kind: BatchKind::Errors, body, records: 1 }).await.unwrap();
        }
    }
}

/// A hub with a way in.
pub struct Site {
    pub control: Arc<Control>,
    pub hub: Arc<HubState>,
    pub tasks: Tasks,
    pub network: MemoryNetwork,
    pub addr: SocketAddr,
}

impl Site {
    /// Over memory and, on a loopback port, over WebSocket.
    pub async fn start(control: Arc<Control>, tls: Option<(&Path, &Path)>) -> Self {
        let tasks = Tasks::new();
        let (clock, entropy) = (Arc::new(ManualClock::default()), Arc::new(SeededEntropy::new(control.seed())));
        let hub = HubState::start(Arc::clone(&control) as _, clock, entropy, &tasks).await.unwrap();
        let (network, mut listener) = MemoryNetwork::new();
        let (inner, sync, spawner) = (Arc::clone(&hub), Arc::clone(&control), tasks.clone());
        tasks.spawn("accept", async move {
            let soft = spawner.soft();
            while let Some(Some(incoming)) = soft.run_until_cancelled(listener.accept()).await {
                match sync.authenticate(incoming.key()).await {
                    Ok(key) => {
                        let Some(connection) = incoming.accept() else { continue };
                        spawner.spawn("session", serve_session(connection, key, Arc::clone(&inner)));
                    }
                    Err(SyncRefusal::KeyRevoked) => incoming.refuse(DialError::Refused { code: ByeCode::KeyRevoked }),
                    Err(_) => incoming.refuse(DialError::Refused { code: ByeCode::KeyInvalid }),
                }
            }
        });
        let socket = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), "TEST").unwrap();
        let tls = tls.map(|(cert, key)| {
            let file = CertificateFile { cert: cert.to_owned(), key: key.to_owned() };
            CertificateFiles::load(vec![file]).unwrap().server_config(&ClientAuth::None).unwrap()
        });
        let listener = HttpListener { name: "sync", socket, tls };
        let addr = serve_http(listener, router(Arc::clone(&hub)), HttpLimits::default(), &tasks).unwrap();
        Self { control, hub, tasks, network, addr }
    }

    pub fn memory(&self, key: &str) -> Arc<dyn SyncDialer> {
        Arc::new(self.network.dialer(key))
    }

    pub fn websocket(&self, key: &str) -> Arc<dyn SyncDialer> {
        let key = key.to_owned();
        self.websocket_of(Arc::new(move || Ok(GatewayKey::parse(&key)?)), "127.0.0.1", false, None)
    }

    pub fn websocket_of(&self, key: KeySource, host: &str, secure: bool, ca: Option<&Path>) -> Arc<dyn SyncDialer> {
        let endpoint = Endpoint { secure, host: host.to_owned(), port: self.addr.port() };
        let resolver = Resolver::new(ResolverFiles::default()).unwrap();
        let dialer = WebSocketDialer::new(endpoint, client_config(ca).unwrap(), resolver, PlainText::Loopback, key);
        Arc::new(dialer.unwrap())
    }
}
