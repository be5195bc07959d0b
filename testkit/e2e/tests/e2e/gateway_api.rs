//! The semantics of the Gateway API's `HTTPRoute` by example, in our own words: `testkit/fixtures/golden/gateway-api.json`.
//!
//! A row is `METHOD [host]/path [fields] -> what follows`: the service that gets it (`got` a target, `at` a host, `copied to`
//! another one), or a status with the `Location` of a redirect. Where this gateway differs on purpose, the group says so.

use std::collections::BTreeMap;

use novagate_e2e::{Answer, Gateway, PATIENCE, Request, Response, Upstream, free_port, request, wait_until};
use serde::Deserialize;
use serde_json::{Value, json};

const VECTORS: &str = include_str!("../../../fixtures/golden/gateway-api.json");

/// A behaviour with the routes that show it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    feature: String,
    /// How it differs from the specification, and why.
    #[serde(default)]
    decision: Option<String>,
    routes: Vec<Value>,
    answers: Vec<String>,
}

/// The host of a group whose routes name none.
fn own_host(number: usize) -> String {
    format!("group-{number}.example")
}

fn groups() -> Vec<Group> {
    let groups: Vec<Group> = serde_json::from_str(VECTORS).unwrap();
    assert!(groups.iter().all(|group| group.decision.as_ref().is_none_or(|decision| decision.len() > 10)));
    groups
}

/// All groups in one configuration, each under hosts of its own.
fn configuration(groups: &[Group], services: &BTreeMap<&str, String>) -> Value {
    let routes = groups.iter().enumerate().flat_map(|(number, group)| {
        group.routes.iter().enumerate().map(move |(at, route)| {
            let mut route = route.clone();
            route["name"] = json!(format!("group-{number}-{at}"));
            if route["match"]["hosts"].is_null() {
                route["match"]["hosts"] = json!([own_host(number)]);
            }
            route
        })
    });
    let services = services.iter().map(|(name, url)| json!({ "name": name, "targets": [{ "url": url }] }));
    json!({ "services": services.collect::<Vec<_>>(), "routes": routes.collect::<Vec<_>>() })
}

/// A row's request.
fn parse(row: &str, own_host: &str) -> Request {
    let (line, fields) = row.split_once(" [").map_or((row, ""), |(line, fields)| (line, fields.trim_end_matches(']')));
    let (method, place) = line.split_once(' ').unwrap();
    let at = place.find('/').unwrap();
    let (host, target) = place.split_at(at);
    let asked = Request::new(method, target).header("Host", if host.is_empty() { own_host } else { host });
    fields.split("; ").filter_map(|field| field.split_once(':')).fold(asked, |asked, (name, value)| {
        // With its blanks.
        asked.header(name, value)
    })
}

/// What happened, in the words of a row that has `expected`.
fn outcome(answer: &Response, expected: &str) -> String {
    if answer.status != 200 {
        let location = answer.header("location").map_or_else(String::new, |location| format!(" {location}"));
        return format!("{}{location}", answer.status);
    }
    let seen = answer.json();
    let mut told = seen["service"].as_str().unwrap().to_owned();
    for (word, what) in [(" got ", "target"), (" at ", "host")] {
        if expected.contains(word) {
            told.push_str(word);
            told.push_str(seen[what].as_str().unwrap());
        }
    }
    told
}

#[test]
fn routes_match_and_act_as_the_vectors_say() {
    let echoes = ["v1", "v2", "v3"].map(|name| {
        let echo = Upstream::start(move |asked| {
            let host = asked.header("host").unwrap_or_default();
            Answer::new(200, json!({ "service": name, "target": asked.target, "host": host }).to_string())
        });
        (name, echo)
    });
    // It takes connections and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut services: BTreeMap<&str, String> = echoes.iter().map(|(name, echo)| (*name, echo.url())).collect();
    services.insert("silent", format!("http://{}", silent.local_addr().unwrap()));
    services.insert("nobody", format!("http://127.0.0.1:{}", free_port()));
    let groups = groups();
    let (gateway, _folder) = Gateway::of_file(&configuration(&groups, &services), Vec::new());
    let targets: BTreeMap<&str, String> =
        echoes.iter().map(|(name, echo)| (*name, echo.address().to_string())).collect();
    for (number, group) in groups.iter().enumerate() {
        let host = own_host(number);
        for row in &group.answers {
            let (asked, expected) = row.split_once(" -> ").unwrap();
            let (expected, copied) =
                expected.split_once(" copied to ").map_or((expected, None), |(expected, to)| (expected, Some(to)));
            let target = expected.split(' ').next().and_then(|name| targets.get(name)).map_or("", String::as_str);
            let expected = expected.replace("{host}", &host).replace("{target}", target);
            let answer = request(gateway.address(), &parse(&asked.replace("{host}", &host), &host)).unwrap();
            assert_eq!(outcome(&answer, &expected), expected, "{}: {row}", group.feature);
            let Some(to) = copied else { continue };
            let mirror = &echoes.iter().find(|(name, _)| *name == to).unwrap().1;
            let target = expected.split(" got ").nth(1).unwrap();
            wait_until(&format!("{row} is copied"), PATIENCE, || mirror.last_to(target).is_some());
        }
    }
    drop(silent);
}
