//! The promises of the security page: each has a test that carries its id.

use std::collections::BTreeSet;

use novagate_tidy::{File, Offence, RustFile, assert_none, files};

const PROMISES: [&str; 24] = [
    "T1", "T2", "T3", "T4", "T5", "T6", "C1", "C2", "C3", "C4", "C5", "X1", "X2", "X3", "X4", "N1", "N2", "N3", "N4",
    "I1", "I2", "I3", "I4", "D1",
];

#[test]
fn every_promise_has_a_test() {
    let tested: BTreeSet<String> = tests_of_promises(&files().unwrap()).into_iter().map(|(id, _)| id).collect();
    let untested = ids().filter(|id| !tested.contains(*id));
    let offences = untested.map(|id| Offence::at(id, format!("no test is called promise_{}_...", id.to_lowercase())));
    assert_none("every promise has a test that carries its id", offences);
}

#[test]
fn no_test_carries_the_id_of_a_promise_that_is_not_given() {
    let strangers = tests_of_promises(&files().unwrap()).into_iter().filter(|(id, _)| !ids().any(|known| known == id));
    let offences = strangers.map(|(id, place)| Offence::at(place, format!("{id} is no promise")));
    assert_none("promise_<id>_ stands for a promise of docs/security.md", offences);
}

#[test]
fn the_security_page_names_every_promise() {
    let page = files().unwrap().into_iter().find(|file| file.path == "docs/security.md").map(|file| file.text);
    let page = page.unwrap_or_default();
    let is_part = |letter: char| letter.is_alphanumeric();
    let named: BTreeSet<&str> = page.split(|letter| !is_part(letter)).collect();
    let missing =
        ids().filter(|id| !named.contains(id)).map(|id| Offence::at("docs/security.md", format!("lacks {id}")));
    assert_none("docs/security.md lists promise, mechanism and test", missing);
}

fn ids() -> impl Iterator<Item = &'static str> {
    PROMISES.into_iter()
}

/// Ids with the place of each test.
fn tests_of_promises(files: &[File]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for rust in files.iter().filter_map(RustFile::of) {
        for (line, code) in rust.tests() {
            let code = code.trim_start();
            let Some(name) = code.strip_prefix("async ").unwrap_or(code).strip_prefix("fn promise_") else { continue };
            let id = name.split('_').next().unwrap_or_default().to_uppercase();
            found.push((id, format!("{}:{}", rust.path, line + 1)));
        }
    }
    found
}
