//! Every port that keeps or delivers something has one suite, and every adapter of it runs the suite.

use std::collections::BTreeMap;

use novagate_tidy::{File, Offence, RustFile, assert_none, files};

/// Beside every `...Store` and every port with two implementations among the adapters.
const ALSO: [&str; 2] = ["ObjectCodec", "SharedCounter"];

/// What only receives, and may do with it what it likes.
const FREE: [&str; 1] = ["MetricVisitor"];

/// Ports that are looked at together with another one, whose suite has their cases.
const WITHIN: [(&str, &str); 3] =
    [("BusSubscription", "Bus"), ("SyncConnection", "Transport"), ("SyncDialer", "Transport")];

/// Adapters whose suite is run where their other end is.
const ELSEWHERE: [(&str, &str); 1] = [("adapters/sync-client/", "adapters/sync-hub/")];

#[test]
fn every_port_with_a_contract_has_a_suite() {
    let files = files().unwrap();
    let suites = macros(&files);
    let missing = ports(&files).into_iter().filter(|(port, _)| !suites.contains_key(&suite_of(port)));
    let missing =
        missing.map(|(port, place)| Offence::at(place, format!("testkit/contracts has no {}!", suite_of(&port))));
    assert_none("a store, and whatever has two implementations, has a suite in testkit/contracts", missing);
}

#[test]
fn every_suite_is_of_a_port() {
    let files = files().unwrap();
    let suites: Vec<String> = ports(&files).iter().map(|(port, _)| suite_of(port)).collect();
    let strangers = macros(&files).into_keys().filter(|name| name.ends_with("_contract") && !suites.contains(name));
    let offences =
        strangers.map(|name| Offence::at("testkit/contracts", format!("{name}! is of no port that is looked at")));
    assert_none("this test knows every port with a suite", offences);
}

#[test]
fn every_adapter_runs_the_suites_of_its_ports() {
    let files = files().unwrap();
    let suites = macros(&files);
    let mut offences = Vec::new();
    for (port, _) in ports(&files) {
        for rust in files.iter().filter(|file| file.path.starts_with("adapters/")).filter_map(RustFile::of) {
            let Some((line, _)) = rust.code().find(|(_, code)| implements(code, &port)) else { continue };
            let suite = suite_of(&port);
            let folder = folder_of(rust.path);
            let folder = ELSEWHERE.iter().find(|(own, _)| *own == folder).map_or(folder, |(_, other)| *other);
            if !runs(&files, folder, &suite, &suites) {
                offences.push(Offence::at_line(rust.path, line, format!("the tests do not run {suite}!")));
            }
        }
    }
    assert_none("an adapter runs the contract suite of every port it implements", offences);
}

/// Names of traits with the place of each.
fn ports(files: &[File]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for rust in files.iter().filter(|file| file.path.starts_with("ports/")).filter_map(RustFile::of) {
        for (line, code) in rust.code() {
            let Some(rest) = code.strip_prefix("pub trait ") else { continue };
            let name = rest.split([':', '<', ' ']).next().unwrap_or_default();
            if name.ends_with("Store")
                || ALSO.contains(&name)
                || (!FREE.contains(&name) && has_two_implementations(files, name))
            {
                found.push((name.to_owned(), format!("{}:{}", rust.path, line + 1)));
            }
        }
    }
    found
}

/// In adapters, tests left aside.
fn has_two_implementations(files: &[File], port: &str) -> bool {
    let adapters = files.iter().filter(|file| file.path.starts_with("adapters/")).filter_map(RustFile::of);
    adapters.flat_map(|rust| rust.code()).filter(|(_, code)| implements(code, port)).count() > 1
}

/// Macros of the contracts, each with those that it runs.
fn macros(files: &[File]) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.path.starts_with("testkit/contracts/src/")) {
        let mut current = None;
        for line in file.text.lines() {
            if let Some(rest) = line.strip_prefix("macro_rules! ") {
                current = Some(rest.trim_end_matches([' ', '{']).to_owned());
                found.entry(current.clone().unwrap_or_default()).or_default();
            } else if let (Some(name), Some(rest)) = (&current, line.trim().strip_prefix("$crate::")) {
                let called = rest.split_once("!(").map(|(called, _)| called.to_owned());
                found.entry(name.clone()).or_default().extend(called);
            }
        }
    }
    found
}

fn runs(files: &[File], folder: &str, suite: &str, suites: &BTreeMap<String, Vec<String>>) -> bool {
    let groups =
        suites.iter().filter(|(_, inner)| inner.iter().any(|called| called == suite)).map(|(name, _)| name.as_str());
    let accepted: Vec<_> = groups.chain([suite]).map(|name| format!("{name}!(")).collect();
    let own = files.iter().filter(|file| file.path.starts_with(folder)).filter_map(RustFile::of);
    own.flat_map(|rust| rust.tests()).any(|(_, code)| accepted.iter().any(|call| code.contains(call.as_str())))
}

fn implements(code: &str, port: &str) -> bool {
    code.starts_with("impl") && code.contains(&format!(" {port} for "))
}

/// `KeyStore` becomes `key_store_contract`.
fn suite_of(port: &str) -> String {
    let port = WITHIN.iter().find(|(part, _)| *part == port).map_or(port, |(_, whole)| *whole);
    let mut name = String::new();
    for letter in port.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name + "_contract"
}

/// `adapters/x/`.
fn folder_of(path: &str) -> &str {
    path.find("/src/").and_then(|end| path.get(..=end)).unwrap_or(path)
}
