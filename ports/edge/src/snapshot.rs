//! Configurations that survive a restart.

use async_trait::async_trait;
use novagate_access::KeyDigest;
use novagate_kernel::TenantId;
use novagate_ports_base::PortError;
use novagate_sync::ConfigSet;

/// A configuration found at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedSnapshot {
    /// Whose it is.
    pub tenant: TenantId,
    /// What.
    pub config: ConfigSet,
    /// Consumer keys revoked after it was written.
    pub revoked: Vec<KeyDigest>,
}

/// A slot that could not be read and was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantinedSlot {
    /// Which slot, as its file name or key.
    pub slot: String,
    /// Why; never content.
    pub reason: String,
}

/// The outcome of looking.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadReport {
    /// The newest valid configuration.
    pub newest: Option<LoadedSnapshot>,
    /// What was set aside on the way.
    pub quarantined: Vec<QuarantinedSlot>,
}

/// Keeps the last good configuration. Contract, checked by `testkit/contracts`: after `save` returned, `load` in a new
/// process gives that configuration or a later one, whatever happened to the machine in between; a configuration of another
/// tenant than `tenant` counts as absent; a damaged slot is set aside and reported, never fatal.
#[async_trait]
pub trait SnapshotStore: Send + Sync + 'static {
    /// The newest valid configuration of `tenant` (of whoever it is, when `None`: a node without control plane).
    async fn load(&self, tenant: Option<TenantId>) -> Result<LoadReport, PortError>;

    /// Keeps a configuration: durable when it returns. Revocations noted before are still noted afterwards.
    async fn save(&self, tenant: TenantId, config: &ConfigSet) -> Result<(), PortError>;

    /// Notes revoked keys: durable when it returns.
    async fn note_revoked(&self, keys: &[KeyDigest]) -> Result<(), PortError>;
}
