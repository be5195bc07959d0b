//! The directory itself.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use novagate_kernel::NodeId;
use novagate_ports_base::Entropy;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It cannot be made, read or written.
    #[error("DATA_DIR {path}: {step}: {source}")]
    Io {
        /// Which directory or file.
        path: PathBuf,
        /// What was tried.
        step: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Another process has it.
    #[error("DATA_DIR {path} is in use by another running gateway; give each its own")]
    InUse {
        /// Which directory.
        path: PathBuf,
    },
}

/// A data directory that this process alone uses, until the value is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if need be, locks it, and checks that it can be written.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let fault = |step| move |source| DataDirError::Io { path: path.to_owned(), step, source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fault("cannot be made"))?;
        let lock = private().write(true).create(true).truncate(false).open(path.join("lock"));
        let lock = lock.map_err(fault("cannot be written"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(fault("cannot be locked")(source)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The id of this installation: read, or drawn once and kept. A damaged file is replaced by a new id.
    pub fn node_id(&self, entropy: &dyn Entropy) -> Result<NodeId, DataDirError> {
        let file = self.path.join("node-id");
        let fault = |step| {
            let path = file.clone();
            move |source| DataDirError::Io { path, step, source }
        };
        match fs::read_to_string(&file) {
            Ok(text) => {
                if let Ok(id) = NodeId::parse(text.trim()) {
                    return Ok(id);
                }
                tracing::warn!("the file node-id is damaged: this gateway gets a new id");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!("the file node-id is damaged: this gateway gets a new id");
            }
            Err(error) => return Err(fault("cannot be read")(error)),
        }
        let id = NodeId::from_entropy(entropy.bytes());
        write_durably(&file, format!("{id}\n").as_bytes()).map_err(fault("cannot be written"))?;
        Ok(id)
    }
}

/// Options for files that only their owner may read.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Replaces a file so that after a power loss it is either the old or the new one, whole.
pub(crate) fn write_durably(file: &Path, content: &[u8]) -> io::Result<()> {
    let partial = file.with_extension("partial");
    let mut handle = private().write(true).create(true).truncate(true).open(&partial)?;
    handle.write_all(content)?;
    handle.sync_all()?;
    drop(handle);
    fs::rename(&partial, file)?;
    sync_parent(file)
}

/// Makes a rename or removal in a directory durable.
pub(crate) fn sync_parent(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
