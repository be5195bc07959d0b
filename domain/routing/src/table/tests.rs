//! Match order, conflicts, and agreement with a naive model.

mod conditions;
mod golden;
mod model;
mod slashes;
mod steps;

use http::Method;
use novagate_kernel::Name;

use super::*;
use crate::{ConditionOn, Expression, HostPattern, RouteMatch, ValueTest, normalise};

/// A route in the notation of these tests: `GET,POST a.com,*.b.com /path`; `*` for any method or any host. Behind that
/// conditions may follow, `header:x=1`, `header:x~[0-9]+`, `query:v`, `path~/a/[0-9]+`, and a priority, `!5`.
fn matcher(text: &str) -> RouteMatch {
    let mut words = text.split(' ');
    let mut next = || words.next().unwrap();
    let split = |word: &str| -> Vec<String> {
        if word == "*" { Vec::new() } else { word.split(',').map(str::to_owned).collect() }
    };
    let methods = split(next()).iter().map(|method| Method::from_bytes(method.as_bytes()).unwrap()).collect();
    let hosts = split(next()).iter().map(|host| HostPattern::parse(host).unwrap()).collect();
    let path = PathPattern::parse(next()).unwrap();
    let rest: Vec<&str> = words.collect();
    let priority = rest.iter().find_map(|word| word.strip_prefix('!')).map_or(0, |number| number.parse().unwrap());
    RouteMatch { hosts, methods, path, conditions: rest.iter().filter_map(|word| condition(word)).collect(), priority }
}

fn condition(word: &str) -> Option<Condition> {
    let at = word.find(['=', '~']).unwrap_or(word.len());
    let (subject, value) = word.split_at(at);
    let on = match subject.split_once(':') {
        None if subject == "path" => ConditionOn::Path,
        Some(("header", name)) => ConditionOn::header(name).unwrap(),
        Some(("query", name)) => ConditionOn::query(name).unwrap(),
        _ => return None,
    };
    let test = match value.split_at_checked(1) {
        Some(("=", value)) => ValueTest::exact(value).unwrap(),
        Some((_, expression)) => ValueTest::Matches(Expression::parse(expression).unwrap()),
        None => ValueTest::Present,
    };
    Some(Condition { on, test })
}

/// Fields and query of a request.
struct View<'a>(Vec<(&'a str, &'a str)>, &'a str);

impl RequestView for View<'_> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_bytes())
    }

    fn query(&self) -> &[u8] {
        self.1.as_bytes()
    }
}

/// From the notation `x=1 y=2 ?query`.
fn view<'a>(words: &[&'a str]) -> View<'a> {
    let (queries, fields): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| word.starts_with('?'));
    View(fields.iter().filter_map(|word| word.split_once('=')).collect(), queries.first().copied().unwrap_or_default())
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

/// The outcome of `METHOD host path`, with fields and query behind it, as a word: the route's value, or the refusal.
fn outcome(table: &RouteTable<String>, request: &str) -> String {
    let mut words = request.split(' ');
    let method = Method::from_bytes(words.next().unwrap().as_bytes()).unwrap();
    let host = words.next().filter(|host| *host != "-");
    let path = normalise(words.next().unwrap()).unwrap();
    let rest: Vec<&str> = words.collect();
    match table.find(host, &method, &path, &view(&rest)) {
        Lookup::Found(found) => found.value().clone(),
        Lookup::MethodNotAllowed(allowed) => format!("405 {allowed}"),
        Lookup::NotFound => "404".to_owned(),
        Lookup::EncodedSlash => "400".to_owned(),
    }
}
