//! Match order, conflicts, and agreement with a naive model.

mod golden;
mod model;
mod slashes;
mod steps;

use http::Method;
use novagate_kernel::Name;

use super::*;
use crate::{HostPattern, RouteMatch, normalise};

/// A route in the notation of these tests: `GET,POST a.com,*.b.com /path`; `*` for any method or any host.
fn matcher(text: &str) -> RouteMatch {
    let mut words = text.split(' ');
    let mut next = || words.next().unwrap();
    let split = |word: &str| -> Vec<String> {
        if word == "*" { Vec::new() } else { word.split(',').map(str::to_owned).collect() }
    };
    let methods = split(next()).iter().map(|method| Method::from_bytes(method.as_bytes()).unwrap()).collect();
    let hosts = split(next()).iter().map(|host| HostPattern::parse(host).unwrap()).collect();
    RouteMatch { hosts, methods, path: PathPattern::parse(next()).unwrap() }
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// A table of `name: route` lines that reject encoded slashes unless the line ends in `keep` or `decode`.
fn try_table(lines: &[(&str, &str)]) -> Result<RouteTable<String>, Vec<Conflict>> {
    let mut builder = RouteTableBuilder::new();
    for (route, text) in lines {
        let slashes = match text.split(' ').nth(3) {
            Some("keep") => EncodedSlashes::Keep,
            Some("decode") => EncodedSlashes::Decode,
            _ => EncodedSlashes::Reject,
        };
        builder.insert(name(route), &matcher(text), slashes, (*route).to_owned()).unwrap();
    }
    builder.build()
}

fn table(lines: &[(&str, &str)]) -> RouteTable<String> {
    try_table(lines).unwrap()
}

/// The outcome of `METHOD host path` as a word: the route's value, or the refusal.
fn outcome(table: &RouteTable<String>, request: &str) -> String {
    let mut words = request.split(' ');
    let method = Method::from_bytes(words.next().unwrap().as_bytes()).unwrap();
    let host = words.next().filter(|host| *host != "-");
    let path = normalise(words.next().unwrap()).unwrap();
    match table.find(host, &method, &path) {
        Lookup::Found(found) => found.value().clone(),
        Lookup::MethodNotAllowed(allowed) => format!("405 {allowed}"),
        Lookup::NotFound => "404".to_owned(),
        Lookup::EncodedSlash => "400".to_owned(),
    }
}
