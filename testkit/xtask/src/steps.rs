//! The steps that tasks are made of.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::image::{self, Profile, TemporaryImages};
use crate::testing::{self, Selection};
use crate::{linking, profiling, setup};

/// The programs that end-to-end tests start.
pub(crate) const BINARIES: [&str; 3] = ["novagate", "novagate-control", "novagate-gateway"];

/// The one that is compiled by a profile.
pub(crate) const GATEWAY: &str = "novagate-gateway";
/// With a target of its own, which `dist` has, build scripts and macros are not linked statically.
pub(crate) const STATIC: &str = "-C target-feature=+crt-static";

/// Everything that a change must pass.
pub(crate) fn ci() -> Result<()> {
    setup::ensure(true)?;
    cargo("format", ["fmt", "--all", "--check"])?;
    cargo("lints", ["clippy", "--workspace", "--all-targets", "--profile", "ci", "--locked", "--", "-D", "warnings"])?;
    documentation()?;
    each_binary_alone()?;
    deny()?;
    testing::test(&Selection::default())?;
    instructions()
}

/// That a request takes no more instructions than is known: of all that speed is made of, this can be told on any machine.
/// Without link-time optimisation, which would take longer than the rest.
fn instructions() -> Result<()> {
    setup::ensure_valgrind()?;
    cargo("fast gateway", ["build", "--release", "--locked", "--package", "novagate-gateway"])?;
    cargo("bench", ["build", "--profile", "ci", "--workspace", "--locked", "--bin", "novagate-bench"])?;
    let mut command = Command::new(target_folder().join("ci/novagate-bench"));
    command.args(["instructions", "--bin-dir"]).arg(target_folder().join("release"));
    run("instructions of a request", command)
}

/// Builds the programs that end-to-end tests start, static like the published ones. Answers where they are.
pub(crate) fn programs() -> Result<PathBuf> {
    let mut command = Command::new("cargo");
    command.args(["build", "--profile", "ci", "--locked"]);
    command.args(BINARIES.iter().flat_map(|package| ["--package", package]));
    linking::statically(&mut command)?;
    run("programs", command)?;
    // A copy: tests build programs too, and cargo puts them at the same place.
    let folder = std::path::absolute(target_folder().join("static")).context("the target folder has no path")?;
    fs::create_dir_all(&folder).context("the folder of static programs cannot be made")?;
    for program in BINARIES {
        let built = target_folder().join("ci").join(program);
        fs::copy(built, folder.join(program)).with_context(|| format!("{program} cannot be copied"))?;
    }
    Ok(folder)
}

/// The bench, beside the programs it measures, all built as they are published.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    let folder = dist(&["novagate-gateway", "novagate-control", "novagate-bench"])?;
    let sizes = arguments.iter().any(|argument| argument == "size");
    let images = if sizes { image::temporary(Profile::Dist)? } else { None };
    let mut command = Command::new(folder.join("novagate-bench"));
    command.args(arguments);
    TemporaryImages::tell(images.as_ref(), &mut command);
    run("bench", command)
}

/// Builds programs as they are published: fat LTO, stripped, linked statically, the gateway by its profile. Answers where
/// they are.
pub(crate) fn dist(packages: &[&str]) -> Result<PathBuf> {
    let host = host_triple()?;
    let (gateway, others): (Vec<&str>, Vec<&str>) = packages.iter().partition(|package| **package == GATEWAY);
    if !gateway.is_empty() {
        run(GATEWAY, dist_build(&host, &gateway, &profiling::flags()?))?;
    }
    if !others.is_empty() {
        run("programs", dist_build(&host, &others, STATIC))?;
    }
    Ok(target_folder().join(host).join("dist"))
}

/// Packages that are built together have features, and by them names, that each alone may not have.
pub(crate) fn dist_build(host: &str, packages: &[&str], flags: &str) -> Command {
    let mut command = Command::new("cargo");
    command.args(["build", "--profile", "dist", "--locked", "--target", host]);
    command.args(packages.iter().flat_map(|package| ["--package", package])).env("RUSTFLAGS", flags);
    command
}

/// Where cargo builds.
pub(crate) fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}

pub(crate) fn host_triple() -> Result<String> {
    let output =
        Command::new("rustc").args(["--print", "host-tuple"]).output().context("rustc could not be started")?;
    let text = String::from_utf8(output.stdout).context("rustc printed no text")?;
    if text.trim().is_empty() {
        bail!("rustc does not say which machine this is");
    }
    Ok(text.trim().to_owned())
}

fn documentation() -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(["doc", "--workspace", "--no-deps", "--profile", "ci", "--locked"]).env("RUSTDOCFLAGS", "-D warnings");
    run("documentation", command)
}

/// A workspace build switches on features that a program alone may lack.
fn each_binary_alone() -> Result<()> {
    for package in BINARIES {
        cargo(package, ["check", "--profile", "ci", "--locked", "--package", package])?;
    }
    Ok(())
}

/// Licences, advisories and bans, where the tool is installed.
fn deny() -> Result<()> {
    if has_cargo_tool("deny") {
        cargo("dependencies", ["deny", "--offline", "check", "bans", "licenses", "sources"])
    } else {
        eprintln!("-- dependencies: cargo-deny is not installed, left out");
        Ok(())
    }
}

pub(crate) fn has_cargo_tool(tool: &str) -> bool {
    let probe = Command::new("cargo").args([tool, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    probe.is_ok_and(|status| status.success())
}

pub(crate) fn cargo<A: AsRef<OsStr>>(step: &str, arguments: impl IntoIterator<Item = A>) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(arguments);
    run(step, command)
}

pub(crate) fn run(step: &str, mut command: Command) -> Result<()> {
    eprintln!("-- {step}");
    let begin = Instant::now();
    let status = command.status().with_context(|| format!("{step}: could not be started"))?;
    if !status.success() {
        bail!("{step}: failed after {:.0?}: {command:?}", begin.elapsed());
    }
    eprintln!("-- {step}: ok after {:.0?}", begin.elapsed());
    Ok(())
}
