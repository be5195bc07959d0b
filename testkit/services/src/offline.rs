//! Tests that are left out because servers are not wanted.

use std::fs::OpenOptions;
use std::io::Write as _;

/// Set to anything: tests that need a server are left out.
pub const OFFLINE: &str = "NOVAGATE_OFFLINE_SERVICES";

/// A file that gets one line for each test that is left out.
pub const SKIPPED_FILE: &str = "NOVAGATE_SKIPPED_FILE";

/// Whether tests that need a server are left out.
pub fn are_offline() -> bool {
    std::env::var_os(OFFLINE).is_some()
}

/// Says loudly that the present test is left out since it needs `server`, and counts it.
pub fn skip(server: &str) {
    let thread = std::thread::current();
    let line = format!("LEFT OUT, needs {server}: {}\n", thread.name().unwrap_or("a test"));
    // Not `eprint!`, which the test harness swallows where a test passes.
    drop(std::io::stderr().write_all(line.as_bytes()));
    if let Some(path) = std::env::var_os(SKIPPED_FILE) {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the file of tests left out can be written");
    }
}
