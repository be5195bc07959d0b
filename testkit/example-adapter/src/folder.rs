//! One folder per tenant, one file per node, the time of its last beat inside.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, fs, io};

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{NodeId, Timestamp};
use novagate_ports_base::{Clock, FaultKind, PortError};
use novagate_ports_control::outbound::Presence;

/// How long a beat counts.
const MEMORY: Duration = Duration::from_hours(1);

/// Who is connected, in a folder. It waits for the disk on the caller's thread: good enough for an example.
///
/// ```
/// use std::sync::Arc;
/// use novagate_example_adapter::FolderPresence;
/// use novagate_fixtures::ManualClock;
///
/// let folder = std::env::temp_dir().join("novagate-example");
/// let presence = FolderPresence::new(folder, Arc::new(ManualClock::default()));
/// # drop(presence);
/// ```
pub struct FolderPresence {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
}

impl FolderPresence {
    /// In this folder, which is made when it is first needed.
    pub fn new(folder: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self { folder: folder.into(), clock }
    }

    fn of_tenant(&self, scope: &TenantScope) -> PathBuf {
        self.folder.join(scope.tenant().to_string())
    }
}

impl fmt::Debug for FolderPresence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FolderPresence").field("folder", &self.folder).finish_non_exhaustive()
    }
}

#[async_trait]
impl Presence for FolderPresence {
    async fn beat(&self, scope: &TenantScope, node: NodeId, at: Timestamp) -> Result<(), PortError> {
        let folder = self.of_tenant(scope);
        fs::create_dir_all(&folder).map_err(away)?;
        // A new file in place of the old one: whoever reads sees one of the two, never a part.
        let fresh = folder.join(format!("{node}.new"));
        fs::write(&fresh, at.as_micros().to_string()).map_err(away)?;
        fs::rename(fresh, folder.join(node.to_string())).map_err(away)
    }

    async fn leave(&self, scope: &TenantScope, node: NodeId) -> Result<(), PortError> {
        match fs::remove_file(self.of_tenant(scope).join(node.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(away(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    async fn online(&self, scope: &TenantScope) -> Result<Vec<(NodeId, Timestamp)>, PortError> {
        let entries = match fs::read_dir(self.of_tenant(scope)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            outcome => outcome.map_err(away)?,
        };
        let now = self.clock.now();
        let beats = entries.flatten().filter_map(|entry| beat_in(&entry.path()));
        Ok(beats.filter(|(_, at)| now.since(*at) <= MEMORY).collect())
    }
}

/// What a file says; nothing when it is none of ours, or has just gone.
fn beat_in(file: &Path) -> Option<(NodeId, Timestamp)> {
    let node = NodeId::parse(file.file_name()?.to_str()?).ok()?;
    let at = fs::read_to_string(file).ok()?.parse().ok()?;
    Some((node, Timestamp::from_micros(at)))
}

fn away(error: io::Error) -> PortError {
    PortError::new("example.presence", FaultKind::Unavailable, error)
}
