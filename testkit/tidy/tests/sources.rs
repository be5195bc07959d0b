//! Every file: size, opening, and words that must not be there.

use novagate_tidy::{File, Offence, RustFile, assert_none, files};

const MOST_LINES: usize = 400;

/// Put together here, so that this file does not hold them.
const NOWHERE: [&str; 6] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("db", "g!("),
    concat!("#[ig", "nore"),
];

const SLEEPS: [&str; 2] = [concat!("thread::sl", "eep"), concat!("time::sl", "eep")];
/// The only places of the tests that pause: between two looks at something that has a deadline, and to pace a load.
const MAY_SLEEP: [&str; 4] = [
    "testkit/bench/src/wait.rs",
    "testkit/e2e/src/load.rs",
    "testkit/fixtures/src/wait.rs",
    "testkit/services/src/wait.rs",
];

/// What may stand at the root beside dot-files.
const AT_THE_ROOT: [&str; 20] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "Dockerfile",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "adapters",
    "apps",
    "clippy.toml",
    "compose.gateway.yaml",
    "compose.yaml",
    "deny.toml",
    "docs",
    "domain",
    "migrations",
    "ports",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "testkit",
];

#[test]
fn files_are_short_enough_to_be_read() {
    let files = files().unwrap();
    let long = files.iter().filter(|file| file.path.contains("/src/")).filter_map(RustFile::of);
    let long = long.map(|rust| (rust.path, lines_that_count(&files, &rust))).filter(|(_, lines)| *lines > MOST_LINES);
    assert_none(
        "at most 400 lines of a file are not tests",
        long.map(|(path, lines)| Offence::at(path, format!("{lines} lines"))),
    );
}

/// In the testkit everything is a test, and is to be read all the same.
fn lines_that_count(files: &[File], rust: &RustFile<'_>) -> usize {
    let whole = || files.iter().find(|file| file.path == rust.path).map_or(0, |file| file.text.lines().count());
    if rust.path.starts_with("testkit/") { whole() } else { rust.code_lines() }
}

#[test]
fn lib_is_a_contents_page() {
    let files = files().unwrap();
    let mut offences = Vec::new();
    for rust in files.iter().filter(|file| file.path.ends_with("/src/lib.rs")).filter_map(RustFile::of) {
        for (line, _) in rust.code().chain(rust.tests()).filter(|(_, code)| defines_function(code)) {
            offences.push(Offence::at_line(rust.path, line, "a function"));
        }
    }
    assert_none("lib.rs holds `mod` and `pub use`, no logic", offences);
}

/// Functions that a macro makes elsewhere have no name here.
fn defines_function(code: &str) -> bool {
    let words: Vec<_> = code.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "fn");
    let modifier = |word: &&str| matches!(*word, "async" | "const") || word.starts_with("pub");
    at.is_some_and(|at| {
        words.iter().take(at).all(modifier) && words.get(at + 1).is_some_and(|name| !name.starts_with('$'))
    })
}

#[test]
fn every_module_opens_with_what_it_is() {
    let files = files().unwrap();
    let sources = files.iter().filter(|file| file.path.contains("/src/")).filter_map(RustFile::of);
    let silent = sources.filter(|rust| !rust.opening().starts_with("//!"));
    assert_none("every file under src opens with `//!`", silent.map(|rust| Offence::at_line(rust.path, 0, "no `//!`")));
}

#[test]
fn nothing_unfinished_and_nothing_of_one_machine_is_kept() {
    let mut offences = Vec::new();
    for file in &files().unwrap() {
        for (index, line) in file.text.lines().enumerate() {
            let found = NOWHERE.iter().filter(|word| line.contains(**word));
            offences.extend(found.map(|word| Offence::at_line(&file.path, index, format!("holds {word}"))));
        }
    }
    assert_none("no path of a machine, no unfinished code, no test that is left out", offences);
}

#[test]
fn no_test_sleeps() {
    let files = files().unwrap();
    let mut offences = Vec::new();
    for rust in files.iter().filter_map(RustFile::of).filter(|rust| !MAY_SLEEP.contains(&rust.path)) {
        let sleeping = rust.tests().filter(|(_, code)| SLEEPS.iter().any(|sleep| code.contains(sleep)));
        offences.extend(sleeping.map(|(line, _)| Offence::at_line(rust.path, line, "sleeps")));
    }
    assert_none("tests move a clock or wait for something, they do not sleep", offences);
}

#[test]
fn nothing_else_stands_at_the_root() {
    let strangers = files().unwrap().into_iter().filter_map(|file| {
        let name = file.path.split('/').next().unwrap_or_default().to_owned();
        (!name.starts_with('.') && !AT_THE_ROOT.contains(&name.as_str())).then(|| Offence::at(file.path, "a new place"))
    });
    assert_none("the root holds the layers, docs and tool configuration", strangers);
}
