//! A gateway that starts from what an earlier run left on its disk, without a control plane.
//!
//! Not here: which configuration it is.

use std::sync::Arc;

use anyhow::Result;
use novagate_disk::{DataDir, DiskSnapshots};
use novagate_kernel::TenantId;
use novagate_ports_edge::SnapshotStore as _;
use novagate_sync::ConfigSet;

use crate::gateway::{Gateway, Origin};
use crate::workspace::{Scope, WorkDir, free_addresses};

const TENANT: TenantId = TenantId::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0001);

/// Leaves what an earlier run of the gateway would have left.
pub(crate) fn save(work: &WorkDir, name: &str, config: &ConfigSet) -> Result<()> {
    let snapshots = DiskSnapshots::new(Arc::new(DataDir::open(&work.dir(name)?)?));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(snapshots.save(TENANT, config))?)
}

/// Starts the gateway of this name; nobody is where its control plane would be.
pub(crate) fn start(scope: &Scope, work: &WorkDir, name: &str) -> Result<Gateway> {
    let [nobody] = free_addresses()?;
    let api_key = format!("gw_{TENANT}_{:032x}", 7);
    Gateway::start(scope, work, name, &Origin::ControlPlane { address: nobody, api_key: &api_key })
}
