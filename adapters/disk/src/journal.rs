//! Revoked keys: one line of hexadecimal each. A half-written last line, as a power loss leaves it, is dropped.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use novagate_access::KeyDigest;

use crate::data_dir::{private, write_durably};

/// All noted keys; none when the file is missing.
pub(crate) fn read(file: &Path) -> io::Result<BTreeSet<KeyDigest>> {
    match fs::read(file) {
        Ok(content) => {
            Ok(String::from_utf8_lossy(&content).lines().filter_map(|line| KeyDigest::parse(line).ok()).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

/// Adds keys; on disk when it returns.
pub(crate) fn append(file: &Path, keys: &[KeyDigest]) -> io::Result<()> {
    // A leading line break separates from whatever half line an earlier power loss has left.
    let lines: Vec<String> = [String::new()].into_iter().chain(keys.iter().map(ToString::to_string)).collect();
    let lines = format!("{}\n", lines.join("\n"));
    let mut handle = private().append(true).create(true).open(file)?;
    handle.write_all(lines.as_bytes())?;
    handle.sync_all()?;
    crate::data_dir::sync_parent(file)
}

/// Keeps these keys and no others.
pub(crate) fn replace(file: &Path, keys: &BTreeSet<KeyDigest>) -> io::Result<()> {
    let lines: Vec<String> = keys.iter().map(ToString::to_string).chain([String::new()]).collect();
    write_durably(file, lines.join("\n").as_bytes())
}
