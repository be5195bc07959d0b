//! The profile that the published gateway is compiled by: how often what runs in a gateway under load, and what does not.
//!
//! Always: the profile is a file of the repository, so that a build is one pass, wants no tools that rustc does not bring, and
//! does not depend on what was measured where it runs. What has changed since it was made is compiled as if there were
//! no profile. Not here: the loads (`testkit/bench`).

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::steps::{self, STATIC};

/// Made by `cargo xtask profile`. It knows all functions, of which most do not run: they are compiled to be small.
const PROFILE: &str = "apps/gateway/gateway.profdata.zst";

/// Zstandard's strongest without more memory for whoever unpacks.
const LEVEL: i32 = 19;

/// What LLVM is told beside. What the profile knows not to run is put elsewhere, and what runs in the order in which it
/// does, so that a request reads less code (docs/adr/0036). That some code is newer than the profile is no news for whoever
/// builds.
const LLVM: &str = "-C llvm-args=-enable-split-machine-functions -C llvm-args=-enable-ext-tsp-block-placement \
                      -C llvm-args=-no-pgo-warn-mismatch";

/// How rustc is told to use the profile.
pub(crate) fn flags() -> Result<String> {
    let unpacked = unpack().context("the profile cannot be unpacked")?;
    Ok(format!("{STATIC} {LLVM} -C profile-use={}", unpacked.display()))
}

/// Where rustc can read it. Another profile has another name. One that is there already is left alone: cargo builds all anew
/// when it was written since.
fn unpack() -> Result<PathBuf> {
    let packed = fs::read(PROFILE)?;
    let mut hasher = DefaultHasher::new();
    packed.hash(&mut hasher);
    let folder = std::path::absolute(steps::target_folder())?.join("profiles");
    let unpacked = folder.join(format!("{:016x}.profdata", hasher.finish()));
    let profile = decompress(&packed)?;
    if !fs::read(&unpacked).is_ok_and(|there| there == profile) {
        fs::create_dir_all(&folder)?;
        fs::write(&unpacked, profile)?;
    }
    Ok(unpacked)
}

fn decompress(packed: &[u8]) -> Result<Vec<u8>> {
    let size = zstd_safe::get_frame_content_size(packed).ok().flatten().context("it has no size")?;
    let mut profile = Vec::with_capacity(usize::try_from(size)?);
    zstd_safe::decompress(&mut profile, packed).map_err(fault)?;
    Ok(profile)
}

/// Makes the profile anew: builds a gateway that counts, puts it under load, and keeps the counts.
pub(crate) fn remake() -> Result<()> {
    let host = steps::host_triple()?;
    let profdata = llvm_profdata(&host)?;
    let folder =
        std::path::absolute(steps::target_folder().join("profile")).context("the target folder has no path")?;
    let (counts, merged) = (folder.join("counts"), folder.join("gateway.profdata"));
    let flags = format!("{STATIC} -C profile-generate={}", counts.display());
    let mut command = steps::dist_build(&host, &[steps::GATEWAY], &flags);
    command.arg("--target-dir").arg(&folder);
    steps::run("counting gateway", command)?;
    steps::cargo("bench", ["build", "--profile", "ci", "--workspace", "--locked", "--bin", "novagate-bench"])?;
    if counts.exists() {
        fs::remove_dir_all(&counts).context("old counts cannot be removed")?;
    }
    let mut command = Command::new(steps::target_folder().join("ci/novagate-bench"));
    command.args(["training", "--bin-dir"]).arg(folder.join(&host).join("dist"));
    steps::run("loads", command)?;
    let mut command = Command::new(profdata);
    command.args(["merge", "--output"]).args([&merged, &counts]);
    steps::run("profile", command)?;
    pack(&merged).context("the profile cannot be kept")
}

fn pack(merged: &Path) -> Result<()> {
    let profile = fs::read(merged)?;
    let mut packed = Vec::with_capacity(zstd_safe::compress_bound(profile.len()));
    zstd_safe::compress(&mut packed, &profile, LEVEL).map_err(fault)?;
    fs::write(PROFILE, packed)?;
    Ok(())
}

fn fault(code: zstd_safe::ErrorCode) -> anyhow::Error {
    anyhow!("{}", zstd_safe::get_error_name(code))
}

/// LLVM's tool of the toolchain that compiles.
fn llvm_profdata(host: &str) -> Result<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().context("rustc could not be started")?;
    let sysroot = String::from_utf8(output.stdout).context("rustc printed no text")?;
    let tool = Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin/llvm-profdata");
    if !tool.is_file() {
        bail!("llvm-profdata is missing: rustup component add llvm-tools");
    }
    Ok(tool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_of_the_repository_is_one_that_llvm_reads() {
        let packed = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PROFILE)).unwrap();
        assert!(decompress(&packed).unwrap().starts_with(b"\xfflprofi\x81"));
    }
}
