//! Fuzz targets under libFuzzer, which stand in a workspace of their own: `testkit/fuzz`.
//!
//! Always: the pinned toolchain and no other; nothing of it is built by other tasks. Not here: what must hold, which is in files
//! named `hostile.rs` that tests run too, over the inputs that are kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::setup;
use crate::steps::{host_triple, run, target_folder};

/// How code is built so that libFuzzer sees which parts run and what is compared.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1 -Cdebug-assertions";
const PROJECT: &str = "testkit/fuzz";

/// What is fuzzed.
#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Target {
    /// Any bytes from a client, through the whole gateway to upstreams that read strictly.
    WholePath,
    /// Any bytes from an upstream, through the whole gateway to a client that reads strictly.
    Responses,
    /// Any bytes through the machine that frames requests.
    Framing,
    /// Any bytes as a path.
    Paths,
    /// Any bytes as a frame of the sync link and as a configuration.
    Documents,
}

impl Target {
    const fn name(self) -> &'static str {
        match self {
            Self::WholePath => "whole_path",
            Self::Responses => "responses",
            Self::Framing => "framing",
            Self::Paths => "paths",
            Self::Documents => "documents",
        }
    }

    /// Inputs that tests of the crate have anyway.
    const fn known(self) -> Option<&'static str> {
        match self {
            Self::WholePath | Self::Framing => Some("domain/framing/corpus"),
            Self::Documents => Some("adapters/documents/golden"),
            Self::Responses | Self::Paths => None,
        }
    }
}

/// Fuzzes for so many seconds. Fails, and says with which input, when something does not hold.
pub(crate) fn fuzz(target: Target, seconds: u64) -> Result<()> {
    if !["c++", "g++", "clang++"].iter().any(|program| setup::is_there(program)) && std::env::var_os("CXX").is_none() {
        bail!("libFuzzer is C++, and there is no compiler for it: install g++ or clang++, or name one in CXX");
    }
    let program = build(target)?;
    let name = target.name();
    let (found, faults) = (work_folder("inputs", name)?, work_folder("findings", name)?);
    let before = files_of(&faults)?;
    let mut command = Command::new(&program);
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={}/", faults.display()));
    command.args(["-max_len=4096", "-timeout=60", "-rss_limit_mb=4096", "-print_final_stats=1"]);
    command.arg(format!("-dict={PROJECT}/words.dict"));
    command.arg(&found).arg(Path::new(PROJECT).join("corpus").join(name)).args(target.known());
    let outcome = run(&format!("fuzz {name}"), command);
    let new = files_of(&faults)?.into_iter().find(|path| !before.contains(path));
    match new {
        Some(input) => bail!("found: {}; again with {} {}", input.display(), program.display(), input.display()),
        None => outcome,
    }
}

fn build(target: Target) -> Result<PathBuf> {
    let (host, folder) = (host_triple()?, target_folder().join("fuzz"));
    let mut command = Command::new("cargo");
    // With a target of its own, build scripts and macros are not instrumented.
    command.args(["build", "--release", "--locked", "--bin", target.name(), "--target", &host]);
    command.arg("--manifest-path").arg(Path::new(PROJECT).join("Cargo.toml")).arg("--target-dir").arg(&folder);
    command.env("RUSTFLAGS", FLAGS).env_remove("CARGO_ENCODED_RUSTFLAGS");
    run("fuzz target", command)?;
    Ok(folder.join(host).join("release").join(target.name()))
}

fn work_folder(kind: &str, name: &str) -> Result<PathBuf> {
    let folder = target_folder().join("fuzz").join(kind).join(name);
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    Ok(folder)
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = folder.read_dir().with_context(|| format!("{} cannot be read", folder.display()))?;
    Ok(entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect())
}
