//! The config language from outside.

use novagate_routing::Protocol;
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// The example of the interface document.
const EXAMPLE: &str = r#"
services:
  - {name: users, targets: [{url: "http://10.0.0.5:8080", weight: 1}], timeoutMs: 10000, healthCheck: {path: /health, intervalMs: 10000}, loadBalancing: round-robin}
routes:
  - {name: get-user, match: {hosts: [], methods: [GET], path: "/users/{id}"}, service: users, stripPrefix: false, auth: {required: true, accept: [jwt, key]}, rateLimit: {max: 100, windowMs: 60000, by: consumer}, policies: []}
consumers:
  - {name: mobile-app, groups: [partners], rateLimit: {max: 1000, windowMs: 60000}}
"#;

fn id() -> Uuid {
    Uuid::from_u128(7)
}

fn service(change: impl FnOnce(&mut Value)) -> Value {
    let mut value = json!({"name": "users", "targets": [{"url": "http://10.0.0.5:8080"}]});
    change(&mut value);
    value
}

fn route(change: impl FnOnce(&mut Value)) -> Value {
    let mut value = json!({"name": "get-user", "match": {"path": "/users/{id}"}, "service": "users"});
    change(&mut value);
    value
}

fn faults(kind: ObjectKind, value: &Value) -> Vec<(String, String)> {
    let found = parse_object(kind, id(), value).err().unwrap_or_default();
    found.into_iter().map(|fault| (fault.pointer, fault.code)).collect()
}

fn at(pointer: &str, code: &str) -> (String, String) {
    (pointer.to_owned(), code.to_owned())
}

#[test]
fn the_documented_example_is_understood_and_survives_a_round_trip_in_both_formats() {
    let objects = parse_config_yaml(EXAMPLE).unwrap();
    assert_eq!(objects.len(), 3);
    let json = render_config(&objects, Format::Json);
    assert_eq!(parse_config_json(json.as_bytes()).unwrap(), objects);
    let yaml = render_config(&objects, Format::Yaml);
    assert_eq!(parse_config_yaml(&yaml).unwrap(), objects, "{yaml}");
    assert!(yaml.starts_with("services:\n- name: users\n  targets:\n"), "{yaml}");
}

#[test]
fn the_rendered_object_is_the_documented_one() {
    let objects = parse_config_yaml(EXAMPLE).unwrap();
    assert_eq!(
        render_object(&objects[1]),
        json!({
            "name": "get-user", "match": {"hosts": [], "methods": ["GET"], "path": "/users/{id}"}, "service": "users",
            "stripPrefix": false, "encodedSlashes": "reject", "auth": {"required": true, "accept": ["jwt", "key"]},
            "rateLimit": {"max": 100, "windowMs": 60000, "by": "consumer"}, "policies": []
        })
    );
}

#[test]
fn defaults_are_those_of_the_domain() {
    let ConfigObject::Route(config) = parse_object(ObjectKind::Route, id(), &route(|_| ())).unwrap() else { panic!() };
    assert_eq!(config.auth, novagate_policies::AuthRule::default());
    assert!(config.rate_limit.is_none() && config.route.matcher.methods.is_empty());
    let forward = novagate_routing::Forward::to(novagate_kernel::Name::parse("users").unwrap());
    assert_eq!(config.route.action, novagate_routing::RouteAction::from(forward));
    let ConfigObject::Service(made) = parse_object(ObjectKind::Service, id(), &service(|_| ())).unwrap() else {
        panic!()
    };
    assert_eq!(made.targets[0].weight, 1);
    assert!(made.timeout.is_none() && made.health_check.is_none());
    assert_eq!(made.id.as_uuid(), id());
}

#[test]
fn auth_that_says_nothing_about_required_requires_a_credential() {
    let value = route(|route| route["auth"] = json!({"accept": ["key"]}));
    let ConfigObject::Route(config) = parse_object(ObjectKind::Route, id(), &value).unwrap() else { panic!() };
    assert!(config.auth.required && config.auth.accept_key && !config.auth.accept_jwt);
}

#[test]
fn every_fault_is_found_at_once() {
    let value = json!({
        "name": "-Users", "targets": [{"url": "ftp://x", "weight": 0}, 7, {"weight": 1.5, "extra": 1}],
        "timeoutMs": "10", "totalTimeoutMs": -1, "healthCheck": {"path": "health", "intervalMs": 999},
        "loadBalancing": "random", "a/b": 1, "tenantId": "x"
    });
    let mut found = faults(ObjectKind::Service, &value);
    found.sort();
    let mut wanted = vec![
        at("/name", "invalid_name"),
        at("/targets/0/url", "invalid_url"),
        at("/targets/0/weight", "out_of_range"),
        at("/targets/1", "wrong_type"),
        at("/targets/2/url", "required"),
        at("/targets/2/weight", "wrong_type"),
        at("/targets/2/extra", "unknown_field"),
        at("/timeoutMs", "wrong_type"),
        at("/totalTimeoutMs", "out_of_range"),
        at("/healthCheck/path", "invalid_path"),
        at("/healthCheck/intervalMs", "out_of_range"),
        at("/loadBalancing", "unknown_value"),
        at("/a~1b", "unknown_field"),
        at("/tenantId", "unknown_field"),
    ];
    wanted.sort();
    assert_eq!(found, wanted);
}

#[test]
fn what_requests_have_in_common_is_said_for_consistent_hash_and_for_nothing_else() {
    let faulty = |balancing: &str, hash_on: Value| {
        let value = service(|service| {
            service["loadBalancing"] = json!(balancing);
            service["hashOn"] = hash_on.clone();
        });
        faults(ObjectKind::Service, &value)
    };
    for balancing in ["round-robin", "least-connections", "latency"] {
        assert_eq!(faulty(balancing, Value::Null), []);
        assert_eq!(faulty(balancing, json!("consumer")), [at("/hashOn", "not_allowed")]);
    }
    assert_eq!(faulty("consistent-hash", json!("cookie:sid")), []);
    assert_eq!(faulty("consistent-hash", Value::Null), [at("/hashOn", "required")]);
    assert_eq!(faulty("consistent-hash", json!("query:a")), [at("/hashOn", "invalid_hash_on")]);
    let value = service(|service| {
        service["loadBalancing"] = json!("consistent-hash");
        service["hashOn"] = json!("header:X-User");
    });
    let read = parse_object(ObjectKind::Service, id(), &value).unwrap();
    let written = render_object(&read);
    assert_eq!((&written["loadBalancing"], &written["hashOn"]), (&json!("consistent-hash"), &json!("header:x-user")));
}

#[test]
fn a_service_says_what_is_spoken_with_its_targets() {
    for (value, protocol) in
        [(Value::Null, Protocol::Http1), (json!("http1"), Protocol::Http1), (json!("http2"), Protocol::Http2)]
    {
        let ConfigObject::Service(read) =
            parse_object(ObjectKind::Service, id(), &service(|body| body["protocol"] = value.clone())).unwrap()
        else {
            panic!("a service");
        };
        assert_eq!(read.protocol, protocol, "{value}");
    }
    for value in [json!("h2"), json!("HTTP2")] {
        let body = service(|body| body["protocol"] = value.clone());
        assert_eq!(faults(ObjectKind::Service, &body), [at("/protocol", "unknown_value")]);
    }
    let body = service(|body| body["protocol"] = json!(2));
    assert_eq!(faults(ObjectKind::Service, &body), [at("/protocol", "wrong_type")]);
}

#[test]
fn every_number_is_whole_and_in_its_range() {
    for (value, code) in [
        (json!(0), "out_of_range"),
        (json!(1_000_001), "out_of_range"),
        (json!(u64::MAX), "out_of_range"),
        (json!(-5), "out_of_range"),
        (json!(1.0), "wrong_type"),
        (json!(1e300), "wrong_type"),
        (json!("100"), "wrong_type"),
        (json!(true), "wrong_type"),
        (json!([]), "wrong_type"),
        (Value::Null, "wrong_type"),
    ] {
        let body = route(|route| route["rateLimit"] = json!({"max": value, "windowMs": 60000}));
        assert_eq!(faults(ObjectKind::Route, &body), [at("/rateLimit/max", code)], "{body}");
    }
}

#[test]
fn null_means_none_only_where_there_can_be_none() {
    let nulls = service(|body| {
        body["timeoutMs"] = Value::Null;
        body["healthCheck"] = Value::Null;
    });
    assert_eq!(faults(ObjectKind::Service, &nulls), []);
    let body = route(|route| {
        route["auth"] = Value::Null;
        route["policies"] = Value::Null;
        route["match"]["hosts"] = Value::Null;
        route["rateLimit"] = Value::Null;
    });
    let mut found = faults(ObjectKind::Route, &body);
    found.sort();
    assert_eq!(found, [at("/auth", "wrong_type"), at("/match/hosts", "wrong_type"), at("/policies", "wrong_type")]);
}

#[test]
fn promise_x3_a_policy_with_an_inline_secret_is_refused_at_its_pointer_without_the_secret() {
    let body = route(|route| route["policies"] = json!([{"type": "upstream-auth", "secret": "CANARY7F"}]));
    let found = parse_object(ObjectKind::Route, id(), &body).unwrap_err();
    assert_eq!((found[0].pointer.as_str(), found[0].code.as_str()), ("/policies/0", "unknown_policy"));
    assert!(!format!("{found:?}").contains("CANARY7F"));
    let document = json!({"routes": [route(|_| ()), body]});
    assert_eq!(parse_config(&document).unwrap_err()[0].pointer, "/routes/1/policies/0");
}

#[test]
fn credentials_in_a_target_are_refused_without_being_repeated() {
    let body = service(|body| body["targets"][0]["url"] = json!("http://user:CANARY7F@10.0.0.5:8080"));
    let found = parse_object(ObjectKind::Service, id(), &body).unwrap_err();
    assert_eq!(found[0].pointer, "/targets/0/url");
    assert!(!format!("{found:?}").contains("CANARY7F"));
}

#[test]
fn what_was_answered_may_be_sent_back_and_an_id_cannot_be_chosen() {
    let body = service(|body| {
        body["id"] = json!(id().to_string());
        body["createdAt"] = json!("2026-01-02T03:04:05.678901Z");
        body["updatedAt"] = json!("2026-01-02T03:04:05.678901Z");
    });
    assert_eq!(faults(ObjectKind::Service, &body), []);
    let other = service(|body| body["id"] = json!(Uuid::from_u128(8).to_string()));
    assert_eq!(faults(ObjectKind::Service, &other), [at("/id", "read_only")]);
    assert_eq!(parse_config(&json!({"services": [body]})).unwrap_err().len(), 3);
}

#[test]
fn lists_have_bounds_and_no_duplicates() {
    let body = route(|route| {
        route["match"]["methods"] = json!(["GET", "POST", "GET", "get", ""]);
        route["match"]["hosts"] = json!(vec!["a.example"; 65]);
    });
    let found = faults(ObjectKind::Route, &body);
    let wanted = [
        at("/match/hosts", "out_of_range"),
        at("/match/methods/2", "duplicate"),
        at("/match/methods/3", "invalid_method"),
        at("/match/methods/4", "invalid_method"),
    ];
    assert_eq!(found, wanted);
    assert_eq!(
        faults(ObjectKind::Service, &service(|body| body["targets"] = json!([]))),
        [at("/targets", "out_of_range")]
    );
}

#[test]
fn a_name_twice_in_a_document_is_refused_at_the_second() {
    let document = json!({"services": [service(|_| ()), service(|_| ())]});
    let found = parse_config(&document).unwrap_err();
    assert_eq!((found[0].pointer.as_str(), found[0].code.as_str()), ("/services/1/name", "duplicate"));
}

#[test]
fn groups_are_kept_sorted() {
    let value = json!({"name": "app", "groups": ["b", "a"]});
    assert_eq!(render_object(&parse_object(ObjectKind::Consumer, id(), &value).unwrap())["groups"], json!(["a", "b"]));
}

#[test]
fn consumer_keys_cannot_be_written_and_are_not_exported() {
    let body = json!({"consumer": id().to_string(), "sha256": "00".repeat(32)});
    assert_eq!(faults(ObjectKind::ConsumerKey, &body), [at("", "not_writable")]);
    let key = read_body(ObjectKind::ConsumerKey, id(), &body).unwrap();
    assert!(!render_config([&key], Format::Json).contains(&"00".repeat(32)));
}

#[test]
fn what_is_no_object_is_refused() {
    for value in [json!(null), json!([]), json!("x"), json!(1), json!(true)] {
        assert_eq!(faults(ObjectKind::Route, &value), [at("", "wrong_type")]);
        assert_eq!(parse_config(&value).unwrap_err()[0].code, "wrong_type");
    }
    assert_eq!(parse_config(&json!({})).unwrap(), []);
    assert_eq!(parse_config_yaml("").unwrap_err()[0].code, "malformed");
    assert_eq!(parse_config_yaml("~").unwrap_err()[0].code, "wrong_type");
}

#[test]
fn a_document_of_nothing_but_faults_is_answered_with_a_bounded_list() {
    let document = json!({"services": vec![json!({"x": 1}); 10_000]});
    let found = parse_config(&document).unwrap_err();
    assert_eq!(found.len(), crate::fault::MAX_FAULTS + 1);
}

/// Names of all fields of a shape, and of those it needs.
fn names_of(fields: &[crate::shape::Field]) -> (Vec<String>, Vec<String>) {
    let name = |field: &crate::shape::Field| field.name.to_owned();
    let mut all: Vec<String> = fields.iter().map(name).collect();
    let mut needed: Vec<String> =
        fields.iter().filter(|field| field.need == crate::shape::Need::Required).map(name).collect();
    all.sort();
    needed.sort();
    (all, needed)
}

#[test]
fn the_published_schema_names_the_fields_that_the_strict_pass_knows() {
    use utoipa::PartialSchema as _;
    let schemas = [
        (ServiceBody::schema(), ObjectKind::Service),
        (RouteBody::schema(), ObjectKind::Route),
        (ConsumerBody::schema(), ObjectKind::Consumer),
    ];
    for (schema, kind) in schemas {
        let schema = serde_json::to_value(schema).unwrap();
        let mut all: Vec<String> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        let mut needed: Vec<String> = serde_json::from_value(schema["required"].clone()).unwrap();
        all.sort();
        needed.sort();
        let Shape::Object(fields) = shape_of(kind) else { panic!() };
        assert_eq!((all, needed), names_of(fields), "{kind}");
    }
}

/// Any JSON, biased towards the words of the language.
fn any_value() -> impl Strategy<Value = Value> {
    let words =
        ["name", "targets", "url", "match", "path", "auth", "accept", "policies", "services", "routes", "id", "x"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!("CANARY7F\u{0}\u{202e}")),
        Just(json!("users")),
        Just(json!("http://10.0.0.5:8080")),
        Just(json!("/a/*")),
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        let key = prop_oneof![prop::sample::select(words.to_vec()).prop_map(str::to_owned), "\\PC{0,8}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
            prop::collection::vec((key, inner), 0..8).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_value_panics_and_no_fault_repeats_a_value(value in any_value()) {
        for kind in ObjectKind::ALL {
            if let Err(found) = parse_object(kind, id(), &value) {
                prop_assert!(!found.is_empty());
                prop_assert!(found.iter().all(|fault| !fault.message.contains("CANARY7F")));
            }
        }
        drop(parse_config(&value));
    }

    #[test]
    fn no_yaml_panics(text in "[ -~\n\t]{0,200}") {
        drop(parse_config_yaml(&text));
    }

    #[test]
    fn what_is_rendered_parses_back_to_an_equal_object(
        name in "[a-z0-9][a-z0-9-]{0,20}",
        hosts in prop::collection::btree_set("[a-z]{1,8}\\.example", 0..4),
        methods in prop::sample::subsequence(vec!["GET", "POST", "PURGE"], 0..=3),
        required in any::<bool>(),
        accept in prop::sample::subsequence(vec!["jwt", "key"], 0..=2),
        slashes in prop::sample::select(vec!["reject", "decode", "keep"]),
        by in prop::sample::select(vec!["consumer", "subject", "ip", "route"]),
        max in 1_u64..=1_000_000, window in 1_000_u64..=86_400_000,
    ) {
        let value = json!({
            "name": name, "match": {"hosts": hosts, "methods": methods, "path": "/a/{b}/*"}, "service": name,
            "stripPrefix": required, "encodedSlashes": slashes, "auth": {"required": required, "accept": accept},
            "rateLimit": {"max": max, "windowMs": window, "by": by}, "policies": [],
        });
        let object = parse_object(ObjectKind::Route, id(), &value).unwrap();
        prop_assert_eq!(&render_object(&object), &value);
        prop_assert_eq!(parse_object(ObjectKind::Route, id(), &render_object(&object)).unwrap(), object);
    }
}
