//! Where a benchmark works: its parameters, its directory, its ports.
//!
//! Always: the directory is new, private and removed; ports of one call differ. Not here: what runs there.

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// What every benchmark is told.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Where the programs to be measured are.
    pub bin_dir: PathBuf,
    /// Interleaved rounds.
    pub rounds: u32,
    /// Length of one run under load.
    pub run_for: Duration,
    /// Connections of the load generator.
    pub connections: u32,
    /// How many tenants are many.
    pub tenants: u32,
}

impl Scope {
    /// A program of ours, or how to get it.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf> {
        let path = self.bin_dir.join(name);
        if !path.is_file() {
            bail!("{name} is not beside this program: run it by `cargo xtask bench`, or pass --bin-dir");
        }
        Ok(path)
    }
}

/// A directory of its own, gone when dropped.
#[derive(Debug)]
pub(crate) struct WorkDir(PathBuf);

impl WorkDir {
    pub(crate) fn new(purpose: &str) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("novagate-bench-{purpose}-{}-{number}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A sub-directory.
    pub(crate) fn dir(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// Writes a file and says where it is.
    pub(crate) fn file(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, content)?;
        Ok(path)
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // What is left is in the system's directory for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Addresses that nothing listens on; nobody holds them, so take them soon.
pub(crate) fn free_addresses<const N: usize>() -> Result<[SocketAddr; N]> {
    let mut held = Vec::with_capacity(N);
    let mut found = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for address in &mut found {
        let listener = TcpListener::bind(*address)?;
        *address = listener.local_addr()?;
        held.push(listener);
    }
    Ok(found)
}

/// A file that a program's output is appended to, so that it can be cut short while the program runs.
pub(crate) fn append_to(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(path).with_context(|| format!("cannot write {}", path.display()))
}

/// The directory of `Cargo.lock`, from the current directory upwards.
///
/// # Errors
/// The current directory is not in a checkout.
pub fn repository_root() -> Result<PathBuf> {
    let here = std::env::current_dir()?;
    let root = here.ancestors().find(|folder| folder.join("Cargo.lock").is_file());
    root.map(Path::to_owned).context("not in a checkout of this repository")
}
