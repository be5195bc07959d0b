//! The configuration that requests are served from.

use std::sync::Arc;

use novagate_policies::CompiledConfig;

/// What workers read on every request, through one atomic pointer (`Arc<ArcSwapOption<LiveConfig>>`): `apps/edge-core`
/// stores a new value, `adapters/http-edge` loads it. `None`: no configuration yet, requests get `NOT_READY`.
#[derive(Debug, Clone)]
pub struct LiveConfig {
    /// Number of this compiled configuration in this process, from 1; `RequestRecord::table`.
    pub table: u32,
    /// The compiled configuration, without the consumer keys that were revoked after it was compiled.
    pub compiled: Arc<CompiledConfig>,
}
