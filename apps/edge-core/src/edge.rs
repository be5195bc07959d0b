//! Taking configurations into service.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use novagate_access::KeyDigest;
use novagate_kernel::TenantId;
use novagate_policies::{CompiledConfig, ConfigObject, ObjectFault};
use novagate_ports_base::{Clock, ObjectCodec, PortError};
use novagate_ports_edge::{ConfigHost, LiveConfig, QuarantinedSlot, SnapshotStore, Staged};
use novagate_sync::{ByeCode, ConfigSet, NackedObject, ObjectFaultCode};

use crate::names::Names;
use crate::status::{ConfigSource, EdgeStatus, StatusCell};

/// How many configurations' names are remembered for records of requests that they served.
const REMEMBERED_TABLES: usize = 64;
/// Most objects named in a refusal.
const MAX_NACKED: usize = 64;

/// What the gateway's use cases need.
#[derive(Clone)]
pub struct EdgeDeps {
    /// The pointer that workers read.
    pub live: Arc<ArcSwapOption<LiveConfig>>,
    /// Reads object bodies.
    pub codec: Arc<dyn ObjectCodec>,
    /// Keeps configurations over restarts.
    pub snapshots: Arc<dyn SnapshotStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Whose gateway this is; `None` without a control plane.
    pub tenant: Option<TenantId>,
    /// After how long without the control plane nothing is served any more; `None`: it is served for ever.
    pub max_config_age: Option<Duration>,
}

/// The gateway. Clones share everything.
#[derive(Clone)]
pub struct Edge {
    deps: EdgeDeps,
    tables: Arc<Mutex<Tables>>,
    status: Arc<StatusCell>,
}

/// What has been served from, newest last.
#[derive(Default)]
struct Tables {
    last: u32,
    remembered: VecDeque<(u32, Arc<Names>)>,
    /// Keys that were revoked ahead of the configuration that drops them.
    revoked: BTreeSet<KeyDigest>,
    /// What was served until it was too old, for when the control plane is back.
    expired: Option<Arc<LiveConfig>>,
}

/// What a gateway found when it started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColdStart {
    /// Whether it serves already.
    pub serving: bool,
    /// The configuration it serves, for the sync machine.
    pub config: Option<ConfigSet>,
    /// Slots that were set aside.
    pub quarantined: Vec<QuarantinedSlot>,
}

impl Edge {
    /// A gateway that serves nothing yet.
    pub fn new(deps: EdgeDeps) -> Self {
        let started = deps.clock.now();
        Self { deps, tables: Arc::default(), status: Arc::new(StatusCell::new(started)) }
    }

    /// Serves the newest kept configuration, before anything is dialled.
    pub async fn cold_start(&self) -> Result<ColdStart, PortError> {
        let report = self.deps.snapshots.load(self.deps.tenant).await?;
        let mut start = ColdStart { serving: false, config: None, quarantined: report.quarantined };
        let Some(snapshot) = report.newest else { return Ok(start) };
        match self.compile(&snapshot.config) {
            Ok(compiled) => {
                self.go_live(compiled, snapshot.revoked, ConfigSource::Disk);
                start.serving = true;
                start.config = Some(snapshot.config);
            }
            Err(faults) => {
                let reason = format!("cannot be compiled by this version: {} faults", faults.len());
                start.quarantined.push(QuarantinedSlot { slot: "newest".to_owned(), reason });
            }
        }
        Ok(start)
    }

    /// Serves a configuration from a file, without a control plane and without keeping it.
    pub fn serve_file(&self, config: &ConfigSet) -> Result<(), Vec<ObjectFault>> {
        let compiled = self.compile(config)?;
        self.go_live(compiled, [], ConfigSource::File);
        Ok(())
    }

    /// Stops serving a configuration that nobody has confirmed for too long, and serves it again when the link is back.
    /// Without a limit it does nothing. To be called about once a second.
    pub fn enforce_age(&self) {
        let Some(max_age) = self.deps.max_config_age else { return };
        let (status, now) = (self.status(), self.deps.clock.now());
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if status.connected {
            if let Some(live) = tables.expired.take()
                && self.deps.live.load().is_none()
            {
                self.deps.live.store(Some(live));
            }
        } else if now.since(status.link_since) > max_age
            && let Some(live) = self.deps.live.swap(None)
        {
            tracing::error!(
                "the control plane has been away for longer than MAX_CONFIG_AGE: nothing is served any more"
            );
            tables.expired = Some(live);
        }
    }

    /// How the gateway is.
    pub fn status(&self) -> EdgeStatus {
        let live = self.deps.live.load();
        self.status.read(live.as_ref().map(|config| config.compiled.head()), self.deps.clock.now())
    }

    /// The configuration that is served now.
    pub fn live(&self) -> Option<Arc<CompiledConfig>> {
        self.deps.live.load().as_ref().map(|live| Arc::clone(&live.compiled))
    }

    /// The names that a record's numbers stand for, while they are remembered.
    pub(crate) fn names(&self, table: u32) -> Option<Arc<Names>> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let found = tables.remembered.iter().rev().find(|(known, _)| *known == table)?;
        Some(Arc::clone(&found.1))
    }

    fn compile(&self, config: &ConfigSet) -> Result<CompiledConfig, Vec<ObjectFault>> {
        let mut objects: Vec<ConfigObject> = Vec::with_capacity(config.objects().len());
        let mut faults = Vec::new();
        for wire in config.objects() {
            let reference = wire.reference();
            match self.deps.codec.decode(reference.kind, reference.id, wire.body()) {
                Ok(object) => objects.push(object),
                Err(error) => faults.push(ObjectFault {
                    object: reference,
                    name: None,
                    pointer: error.pointer,
                    code: "unreadable",
                    message: error.rule,
                }),
            }
        }
        if faults.is_empty() { CompiledConfig::compile(config.head(), &objects) } else { Err(faults) }
    }

    /// One pointer swap; requests that run go on with what they loaded.
    fn go_live(&self, compiled: CompiledConfig, noted: impl IntoIterator<Item = KeyDigest>, source: ConfigSource) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.revoked.extend(noted);
        // A key that the configuration does not hold needs no entry of its own any more.
        tables.revoked.retain(|key| compiled.consumer_of_key(key).is_some());
        let revoked: Vec<KeyDigest> = tables.revoked.iter().copied().collect();
        let compiled = Arc::new(if revoked.is_empty() { compiled } else { compiled.revoking(&revoked) });
        tables.expired = None;
        tables.last = tables.last.wrapping_add(1);
        let table = tables.last;
        let before = tables.remembered.back().map(|(_, names)| Arc::clone(names)).unwrap_or_default();
        tables.remembered.push_back((table, Arc::new(Names::new(&compiled, &before))));
        if tables.remembered.len() > REMEMBERED_TABLES {
            tables.remembered.pop_front();
        }
        self.deps.live.store(Some(Arc::new(LiveConfig { table, compiled })));
        drop(tables);
        self.status.config_changed(source, self.deps.clock.now());
    }

    async fn keep(&self, config: &ConfigSet) {
        let Some(tenant) = self.deps.tenant else { return };
        if let Err(error) = self.deps.snapshots.save(tenant, config).await {
            self.status.snapshot_failed();
            tracing::error!(error = %error, cause = %error.source, "the configuration is serving but could not be kept on disk");
        }
    }
}

#[async_trait]
impl ConfigHost for Edge {
    async fn stage(&self, config: ConfigSet) -> Staged {
        let begin = self.deps.clock.now();
        let compiled = match self.compile(&config) {
            Ok(compiled) => compiled,
            Err(faults) => {
                tracing::error!(revision = %config.head().revision, faults = faults.len(), "a revision was refused; the last good one goes on serving");
                return Staged::Refused(faults.iter().take(MAX_NACKED).map(nacked).collect());
            }
        };
        let compile = self.deps.clock.now().since(begin);
        self.go_live(compiled, [], ConfigSource::Live);
        self.status.compiled_in(compile);
        self.keep(&config).await;
        Staged::Live { compile }
    }

    async fn revoke(&self, keys: Vec<KeyDigest>) {
        // In force first, durable right after: a full disk must not keep a revoked key alive.
        {
            let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
            tables.revoked.extend(keys.iter().copied());
            if let Some(live) = self.deps.live.load_full() {
                let compiled = Arc::new(live.compiled.revoking(&keys));
                self.deps.live.store(Some(Arc::new(LiveConfig { table: live.table, compiled })));
            }
        }
        if let Err(error) = self.deps.snapshots.note_revoked(&keys).await {
            self.status.snapshot_failed();
            tracing::error!(error = %error, cause = %error.source, "revoked keys are refused but could not be noted on disk");
        }
    }

    fn link_changed(&self, connected: bool, refused: Option<ByeCode>) {
        self.status.link_changed(connected, refused, self.deps.clock.now());
    }
}

fn nacked(fault: &ObjectFault) -> NackedObject {
    NackedObject { object: fault.object, code: ObjectFaultCode::new(fault.code), field: fault.pointer.clone() }
}
