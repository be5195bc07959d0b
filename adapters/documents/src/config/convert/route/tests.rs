//! Bad values at their pointers, good ones there and back.

use novagate_kernel::ObjectKind;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::config::{parse_object, render_object};

fn body(fields: &Value) -> Value {
    let mut body = json!({"name": "r", "match": {"path": "/users/{id}/*"}, "service": "users"});
    merge(&mut body, fields);
    body
}

/// Lays one object over another; `null` takes a field away.
fn merge(into: &mut Value, fields: &Value) {
    for (key, value) in fields.as_object().unwrap() {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(key);
        } else if value.is_object() && into.get(key).is_some_and(Value::is_object) {
            merge(&mut into[key], value);
        } else {
            into[key] = value.clone();
        }
    }
}

fn faults(fields: &Value) -> Vec<(String, String)> {
    let found = parse_object(ObjectKind::Route, Uuid::nil(), &body(fields)).err().unwrap_or_default();
    found.into_iter().map(|fault| (fault.pointer, fault.code)).collect()
}

#[test]
fn what_a_route_wants_and_does_survives_a_round_trip() {
    for fields in [
        json!({"match": {"pathRegex": "/users/[0-9]+(/.*)?", "priority": 7}}),
        json!({"match": {"headers": [{"name": "x-a"}, {"name": "x-b", "value": "1"}, {"name": "x-c", "regex": "[0-9]+"}]}}),
        json!({"match": {"query": [{"name": "V", "value": "a b"}, {"name": "w", "value": ""}]}}),
        json!({"preserveHost": true, "timeoutMs": 5, "totalTimeoutMs": 50, "maxBodyBytes": 0}),
        json!({"mirror": {"service": "users-next", "percent": 10}}),
        json!({"mirror": {"service": "users-next", "percent": 100, "maxBodyBytes": 0}}),
        json!({"forwardClientCert": true, "auth": {"required": true, "accept": ["jwt", "certificate"]}}),
        json!({"rewrite": {"path": "/v2/{id}/*", "host": "users.internal:8080"}}),
        json!({"match": {"pathRegex": "/users/(?<n>[0-9]+)/.*"}, "rewrite": {"path": "/{n}-{id}/*", "host": "{n}.{id}.internal:81"}}),
        json!({"match": {"pathRegex": "/users/(?P<n>[0-9]+)"}, "service": null, "redirect": {"status": 301, "path": "/{n}/{id}"}}),
        json!({"compression": {"encodings": ["gzip", "zstd"], "minBytes": 0, "types": ["text/*", "application/*+json"]}}),
        json!({"decompression": {"maxBytes": 1_048_576, "maxRatio": 20}}),
        json!({"service": null, "split": {"on": "cookie:sid", "services": [
            {"service": "users", "weight": 95}, {"service": "users-v2", "weight": 5}]}}),
        json!({"service": null, "redirect": {"status": 308, "scheme": "https", "host": "www.example.com", "port": 8443,
            "path": "/new/{id}", "dropQuery": true}}),
    ] {
        let given = body(&fields);
        let object = parse_object(ObjectKind::Route, Uuid::nil(), &given).unwrap();
        let rendered = render_object(&object);
        assert_eq!(parse_object(ObjectKind::Route, Uuid::nil(), &rendered).unwrap(), object);
        for (field, value) in given.as_object().unwrap().iter().filter(|(field, _)| *field != "match") {
            assert_eq!(&rendered[field], value, "{field}");
        }
        for (field, value) in given["match"].as_object().unwrap() {
            assert_eq!(&rendered["match"][field], value, "{field}");
        }
    }
}

#[test]
fn names_of_fields_and_hosts_are_written_in_one_form() {
    let fields = json!({"match": {"headers": [{"name": "X-Canary"}]}, "rewrite": {"host": "Users.Internal:80"}});
    let written = render_object(&parse_object(ObjectKind::Route, Uuid::nil(), &body(&fields)).unwrap());
    assert_eq!(written["match"]["headers"][0]["name"], "x-canary");
    assert_eq!(written["rewrite"]["host"], "users.internal");
    let fields = json!({"match": {"path": "/{Id}"}, "rewrite": {"host": "{Id}.Users.Internal:80"}});
    let written = render_object(&parse_object(ObjectKind::Route, Uuid::nil(), &body(&fields)).unwrap());
    assert_eq!(written["rewrite"]["host"], "{Id}.users.internal");
}

#[test]
fn codings_have_their_usual_values_where_nothing_is_said() {
    let fields = json!({"compression": {}, "decompression": {}});
    let written = render_object(&parse_object(ObjectKind::Route, Uuid::nil(), &body(&fields)).unwrap());
    let compression = &written["compression"];
    assert_eq!((&compression["encodings"], &compression["minBytes"]), (&json!(["zstd", "br", "gzip"]), &json!(1024)));
    assert!(compression["types"].as_array().unwrap().contains(&json!("application/*+json")));
    assert_eq!(written["decompression"], json!({"maxRatio": 100}));
    let fields = json!({"compression": {"types": ["Text/HTML"]}});
    let written = render_object(&parse_object(ObjectKind::Route, Uuid::nil(), &body(&fields)).unwrap());
    assert_eq!(written["compression"]["types"], json!(["text/html"]));
}

#[test]
fn every_bad_value_of_a_coding_is_refused_at_its_pointer() {
    let many: Vec<_> = (0..65).map(|number| format!("text/x{number}")).collect();
    for (fields, pointer, code) in [
        (json!({"compression": true}), "/compression", "wrong_type"),
        (json!({"compression": {"encodings": []}}), "/compression/encodings", "out_of_range"),
        (json!({"compression": {"encodings": ["deflate"]}}), "/compression/encodings/0", "unknown_value"),
        (json!({"compression": {"encodings": ["br", "br"]}}), "/compression/encodings/1", "duplicate"),
        (json!({"compression": {"minBytes": 1_048_577}}), "/compression/minBytes", "out_of_range"),
        (json!({"compression": {"minBytes": -1}}), "/compression/minBytes", "out_of_range"),
        (json!({"compression": {"types": []}}), "/compression/types", "out_of_range"),
        (json!({"compression": {"types": many}}), "/compression/types", "out_of_range"),
        (json!({"compression": {"types": ["text/*", "text"]}}), "/compression/types/1", "invalid_type"),
        (json!({"compression": {"types": ["*/*"]}}), "/compression/types/0", "invalid_type"),
        (json!({"compression": {"types": ["application/grpc"]}}), "/compression/types/0", "invalid_type"),
        (json!({"compression": {"types": ["text/a", "text/a"]}}), "/compression/types/1", "duplicate"),
        (json!({"compression": {"level": 9}}), "/compression/level", "unknown_field"),
        (json!({"decompression": {"maxBytes": 0}}), "/decompression/maxBytes", "out_of_range"),
        (json!({"decompression": {"maxBytes": 1_099_511_627_777_u64}}), "/decompression/maxBytes", "out_of_range"),
        (json!({"decompression": {"maxRatio": 0}}), "/decompression/maxRatio", "out_of_range"),
        (json!({"decompression": {"maxRatio": 10_001}}), "/decompression/maxRatio", "out_of_range"),
        (json!({"service": null, "redirect": {"scheme": "https"}, "compression": {}}), "/compression", "not_allowed"),
        (
            json!({"service": null, "redirect": {"scheme": "https"}, "decompression": {}}),
            "/decompression",
            "not_allowed",
        ),
    ] {
        assert_eq!(faults(&fields), [(pointer.to_owned(), code.to_owned())], "{fields}");
    }
}

#[test]
fn every_bad_value_is_refused_at_its_pointer() {
    let at = |list: &str, condition: Value| json!({"match": {list: [condition]}});
    let redirect = |fields: Value| json!({"service": null, "redirect": fields});
    let long = "a".repeat(600);
    for (fields, pointer, code) in [
        (json!({"match": {"pathRegex": "("}}), "/match/pathRegex", "invalid_regex"),
        (json!({"match": {"pathRegex": long}}), "/match/pathRegex", "invalid_regex"),
        (json!({"match": {"priority": 1001}}), "/match/priority", "out_of_range"),
        (at("headers", json!({"name": "a b"})), "/match/headers/0/name", "invalid_name"),
        (at("headers", json!({"name": "x-consumer-id"})), "/match/headers/0/name", "invalid_name"),
        (at("headers", json!({"name": "a", "value": "\n"})), "/match/headers/0/value", "invalid_value"),
        (at("headers", json!({"name": "a", "regex": "(?=a)"})), "/match/headers/0/regex", "invalid_regex"),
        (at("headers", json!({"name": "a", "value": "b", "regex": "b"})), "/match/headers/0/regex", "not_allowed"),
        (at("query", json!({"value": "b"})), "/match/query/0/name", "required"),
        (at("query", json!({"name": ""})), "/match/query/0/name", "invalid_name"),
        (at("query", json!({"name": "a", "is": "b"})), "/match/query/0/is", "unknown_field"),
        (json!({"service": null}), "/service", "required"),
        (
            json!({"split": {"services": [{"service": "a", "weight": 1}, {"service": "b", "weight": 1}]}}),
            "/split",
            "not_allowed",
        ),
        (json!({"redirect": {"scheme": "https"}}), "/redirect", "not_allowed"),
        (
            json!({"service": null, "split": {"services": [{"service": "a", "weight": 1}]}}),
            "/split/services",
            "out_of_range",
        ),
        (
            json!({"service": null, "split": {"on": "ip", "services": [{"service": "a", "weight": 1}, {"service": "b", "weight": 1}]}}),
            "/split/on",
            "invalid_hash_on",
        ),
        (
            json!({"service": null, "split": {"services": [{"service": "a", "weight": 1001}, {"service": "b", "weight": 1}]}}),
            "/split/services/0/weight",
            "out_of_range",
        ),
        (redirect(json!({"status": 304, "scheme": "https"})), "/redirect/status", "out_of_range"),
        (redirect(json!({"scheme": "ftp"})), "/redirect/scheme", "unknown_value"),
        (redirect(json!({"host": "*.example.com"})), "/redirect/host", "invalid"),
        (redirect(json!({"host": "a.example/path"})), "/redirect/host", "invalid_host"),
        (redirect(json!({"port": 0})), "/redirect/port", "out_of_range"),
        (redirect(json!({"path": "new"})), "/redirect/path", "invalid_path"),
        (redirect(json!({"path": "/{name}"})), "/redirect/path", "invalid"),
        (json!({"service": null, "redirect": {"scheme": "https"}, "stripPrefix": true}), "/stripPrefix", "not_allowed"),
        (json!({"service": null, "redirect": {"scheme": "https"}, "timeoutMs": 5}), "/timeoutMs", "not_allowed"),
        (
            json!({"service": null, "redirect": {"scheme": "https"}, "forwardClientCert": true}),
            "/forwardClientCert",
            "not_allowed",
        ),
        (json!({"auth": {"accept": ["certificate", "cookie"]}}), "/auth/accept/1", "unknown_value"),
        (at("headers", json!({"name": "Client-Cert"})), "/match/headers/0/name", "invalid_name"),
        (json!({"rewrite": {"path": "/a/*"}, "stripPrefix": true}), "/rewrite/path", "not_allowed"),
        (json!({"rewrite": {"path": "/a//b"}}), "/rewrite/path", "invalid"),
        (json!({"rewrite": {"host": "a.example/"}}), "/rewrite/host", "invalid_host"),
        (json!({"rewrite": {"host": "user@a.example"}}), "/rewrite/host", "invalid_host"),
        (json!({"rewrite": {"host": "a.example"}, "preserveHost": true}), "/rewrite/host", "not_allowed"),
        (json!({"rewrite": {"host": "{id}.a.example/"}}), "/rewrite/host", "invalid_host"),
        (json!({"rewrite": {"host": "{id.a.example"}}), "/rewrite/host", "invalid_host"),
        (json!({"rewrite": {"host": "{name}.a.example"}}), "/rewrite/host", "invalid"),
        (json!({"rewrite": {"host": "{id}.a.example"}, "preserveHost": true}), "/rewrite/host", "not_allowed"),
        (json!({"match": {"pathRegex": "/(?<id>.*)"}, "rewrite": {"host": "{id}.a"}}), "/rewrite/host", "invalid"),
        (json!({"match": {"pathRegex": "/(?<id>.*)"}, "rewrite": {"path": "/{id}"}}), "/rewrite/path", "invalid"),
        (json!({"match": {"pathRegex": "/(?<a>.*)"}, "rewrite": {"path": "/{b}"}}), "/rewrite/path", "invalid"),
        (json!({"match": {"pathRegex": "/(.*)"}, "rewrite": {"path": "/{1}"}}), "/rewrite/path", "invalid"),
        (
            json!({"match": {"query": [{"name": "q", "regex": "(?<q>.*)"}]}, "rewrite": {"path": "/{q}"}}),
            "/rewrite/path",
            "invalid",
        ),
        (redirect(json!({"host": "{id}.example"})), "/redirect/host", "invalid_host"),
        (json!({"mirror": {"service": "b", "percent": 0}}), "/mirror/percent", "out_of_range"),
        (json!({"mirror": {"service": "b", "maxBodyBytes": 1_048_577}}), "/mirror/maxBodyBytes", "out_of_range"),
        (
            json!({"service": null, "redirect": {"scheme": "https"}, "mirror": {"service": "b"}}),
            "/mirror",
            "not_allowed",
        ),
        (json!({"maxBodyBytes": -1}), "/maxBodyBytes", "out_of_range"),
        (json!({"timeoutMs": 0}), "/timeoutMs", "out_of_range"),
        (json!({"totalTimeoutMs": 86_400_001}), "/totalTimeoutMs", "out_of_range"),
    ] {
        assert_eq!(faults(&fields), [(pointer.to_owned(), code.to_owned())], "{fields}");
    }
}
