//! Pingora as a proxy: a program of a few lines that is built here, from the package registry and with a lock file of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::{Peer, ready};
use crate::process::Program;
use crate::workspace::{WorkDir, free_addresses};

const NAME: &str = "novagate-bench-pingora";

/// A plain proxy with one thread; nothing where it cannot be built.
pub(crate) fn pingora(work: &WorkDir, upstream: SocketAddr) -> Result<Option<Peer>> {
    let Some(binary) = build()? else { return Ok(None) };
    let [address] = free_addresses()?;
    let mut command = Command::new(binary);
    command.args([address, upstream].map(|address| address.to_string())).stdout(Stdio::null());
    let program = Program::start("pingora", work.path(), &mut command)?;
    ready(Peer { program, address, log: None }).map(Some)
}

/// The version that its lock file has.
pub(super) fn version() -> Option<String> {
    let lock = std::fs::read_to_string(source().join("Cargo.lock")).ok()?;
    let (_, behind) = lock.split_once("name = \"pingora-proxy\"\nversion = \"")?;
    behind.split('"').next().map(str::to_owned)
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pingora")
}

/// Takes some minutes when it was not built before.
fn build() -> Result<Option<PathBuf>> {
    let target = source().join("../../../target/pingora");
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--locked", "--quiet", "--manifest-path"]).arg(source().join("Cargo.toml"));
    command.arg("--target-dir").arg(&target).env_remove("RUSTFLAGS");
    let status = command.status().context("cargo does not start")?;
    Ok(status.success().then(|| target.join("release").join(NAME)))
}
