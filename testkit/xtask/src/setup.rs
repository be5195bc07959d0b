//! What the tests need beside the Rust toolchain.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use novagate_services::{NGINX_PACKAGE, nginx};

use crate::servers;

/// Installs what is missing when this is a Debian machine and we may; otherwise says which command does.
pub(crate) fn ensure(with_servers: bool) -> Result<()> {
    let mut missing = Vec::new();
    if !is_there("cc") {
        missing.push("build-essential");
    }
    if with_servers {
        missing.extend(servers::missing_packages());
    }
    let hint = if with_servers { " (tests without servers: cargo xtask test --offline-services)" } else { "" };
    install(&missing, hint)?;
    if with_servers && nginx().is_none() {
        // Tests that compare the gateway with it say that they are left out.
        install(&[NGINX_PACKAGE], "").unwrap_or_else(|error| eprintln!("tests beside nginx are left out: {error:#}"));
    }
    Ok(())
}

/// The same for what counts instructions.
pub(crate) fn ensure_valgrind() -> Result<()> {
    if is_there("valgrind") { Ok(()) } else { install(&["valgrind"], "") }
}

fn install(missing: &[&str], hint: &str) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let command = format!("apt-get update && apt-get install -y --no-install-recommends {}", missing.join(" "));
    if !is_there("apt-get") {
        bail!("these packages are missing, and this is not a Debian or Ubuntu machine: {}", missing.join(", "));
    }
    if !may_install() {
        bail!("packages are missing; run this as root: {command}{hint}");
    }
    eprintln!("installing {}", missing.join(", "));
    let status = Command::new("sh").args(["-c", &command]).env("DEBIAN_FRONTEND", "noninteractive").status();
    if status.context("apt-get could not be started")?.success() { Ok(()) } else { bail!("this failed: {command}") }
}

pub(crate) fn is_there(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Whether this is Debian or Ubuntu and this process is root.
fn may_install() -> bool {
    let id = Command::new("id").arg("-u").stdin(Stdio::null()).output();
    Path::new("/etc/debian_version").exists() && id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
