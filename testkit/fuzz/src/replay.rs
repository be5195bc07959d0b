//! The kept inputs of a fuzz target, for the tests that run them again without libFuzzer and include this file.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Calls `check` with each kept input of the target, in the order of their names.
pub(crate) fn each_kept(target: &str, mut check: impl FnMut(&[u8])) {
    // Every crate of the house lies two folders below the root.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testkit/fuzz/corpus").join(target);
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.sort();
    for path in paths {
        let input = std::fs::read(&path).unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| check(&input)));
        assert!(outcome.is_ok(), "broken by {}", path.display());
    }
}
