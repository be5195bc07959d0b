//! The files of the repository.
//!
//! Always: paths are relative to the root, with `/`, sorted; what git ignores is not there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// A text file of the repository.
#[derive(Debug, Clone)]
pub struct File {
    /// From the root.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// The directory of the workspace.
///
/// # Errors
/// This crate lies outside a workspace.
pub fn repository_root() -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = own.ancestors().find(|folder| folder.join("Cargo.lock").is_file());
    root.map(Path::to_owned).context("no workspace around this crate")
}

/// Every text file that is tracked or about to be; without git, everything but build output and dot-directories.
///
/// # Errors
/// The tree cannot be read.
pub fn files() -> Result<Vec<File>> {
    let root = repository_root()?;
    let mut paths = match listed_by_git(&root) {
        Ok(paths) => paths,
        Err(_) => walked(&root)?,
    };
    paths.sort();
    paths.dedup();
    // A file that is listed but deleted, or not text, has nothing to check.
    let read = |path: String| Some(File { text: fs::read_to_string(root.join(&path)).ok()?, path });
    Ok(paths.into_iter().filter_map(read).collect())
}

fn listed_by_git(root: &Path) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
    let output = git.output()?;
    ensure!(output.status.success(), "git ls-files failed");
    let listing = String::from_utf8(output.stdout)?;
    Ok(listing.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

fn walked(root: &Path) -> Result<Vec<String>> {
    let (mut found, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                open.push(path);
            } else if path.is_file() {
                found.push(path.strip_prefix(root)?.to_string_lossy().into_owned());
            }
        }
    }
    Ok(found)
}
