//! The REST API: conditions, repeats, patches, pages, whole configurations, error bodies.

use novagate_e2e::{Api, Control, World};
use serde_json::{Value, json};

#[test]
fn objects_are_guarded_by_etags_and_patched_as_rfc_7396_says() {
    let control = Control::start();
    let api = Api::register(&control);
    let id = api.service("users", "http://10.0.0.5:8080");
    let path = format!("/services/{id}");
    let read = api.get(&path).expect(200);
    let etag = read.header("etag").unwrap().to_owned();
    api.send(api.request("GET", &path).header("if-none-match", &etag)).expect(304);
    let change = json!({ "timeoutMs": 1500, "healthCheck": { "path": "/health" } });
    let patched = api.send(api.request("PATCH", &path).header("if-match", &etag).json(&change)).expect(200);
    assert_eq!(patched.at("/timeoutMs"), 1500);
    assert_eq!(patched.at("/healthCheck/intervalMs"), 10_000);
    assert!(patched.header("config-revision").unwrap().contains(";digest="));
    let stale = api.send(api.request("PATCH", &path).header("if-match", &etag).json(&change)).expect(412);
    assert_eq!(stale.code(), "PRECONDITION_FAILED");
    api.send(api.request("DELETE", &path).header("if-match", &etag)).expect(412);
    let cleared = api.patch(&path, &json!({ "healthCheck": null })).expect(200).json();
    assert!(cleared.get("healthCheck").is_none_or(Value::is_null), "{cleared}");

    let before = api.head_seq();
    api.put(&path, &cleared).expect(200);
    assert_eq!(api.head_seq(), before, "a write that changes nothing makes no revision");

    let fresh = "00000000-0000-4000-8000-00000000abcd";
    let body = json!({ "name": "chosen", "targets": [{ "url": "http://10.0.0.6:80" }] });
    let create = api.request("PUT", &format!("/services/{fresh}")).header("if-none-match", "*").json(&body);
    assert_eq!(api.send(create.clone()).expect(201).str_at("/id"), fresh);
    api.send(create).expect(412);
    api.open_route("the-route", "/r", "users");
    let used = api.delete(&path).expect(409);
    assert_eq!(used.code(), "IN_USE");
    assert!(used.text().contains("the-route"), "the route that uses it is named: {}", used.text());
}

#[test]
fn a_repeated_post_does_its_work_once_and_never_shows_a_secret_again() {
    let control = Control::start();
    let api = Api::register(&control);
    let consumer = api.consumer("app");
    let post =
        |key: &str, body: &Value| api.send(api.request("POST", "/consumers").header("idempotency-key", key).json(body));
    let first = post("once", &json!({ "name": "other" })).expect(201);
    let again = post("once", &json!({ "name": "other" })).expect(201);
    assert_eq!(first.str_at("/id"), again.str_at("/id"));
    assert_eq!(post("once", &json!({ "name": "third" })).expect(422).code(), "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(api.items("/consumers").len(), 2);
    for below in [format!("/consumers/{consumer}/keys"), "/gateway-keys".to_owned()] {
        let make = || api.send(api.request("POST", &below).header("idempotency-key", "key")).expect(201).json();
        let (shown, replayed) = (make(), make());
        assert!(shown["key"].is_string());
        assert_eq!(replayed["key"], Value::Null);
        assert_eq!((&replayed["id"], &replayed["secretShown"]), (&shown["id"], &json!(true)));
    }
}

#[test]
fn lists_come_in_pages_that_meet() {
    let control = Control::start();
    let api = Api::register(&control);
    for number in 0..7 {
        api.consumer(&format!("app-{number}"));
    }
    let mut names = Vec::new();
    let mut query = "/consumers?limit=3".to_owned();
    for size in [3, 3, 1] {
        let page = api.get(&query).expect(200).json();
        let items = page["items"].as_array().unwrap();
        assert_eq!(items.len(), size);
        names.extend(items.iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(cursor) => query = format!("/consumers?limit=3&cursor={cursor}"),
            None => assert_eq!(size, 1),
        }
    }
    names.sort_unstable();
    assert_eq!(names, (0..7).map(|number| format!("app-{number}")).collect::<Vec<_>>());
    assert_eq!(api.get("/consumers?limit=0").expect(422).code(), "VALIDATION_FAILED");
    api.get("/consumers?cursor=zz").expect(422);
    api.get("/consumers?unknown=1").expect(422);
}

#[test]
fn a_refusal_is_a_problem_with_a_code_an_id_and_pointers() {
    let control = Control::start();
    let api = Api::register(&control);
    let body = json!({ "name": "Bad Name", "targets": [{ "url": "ftp://x", "weigth": 1 }], "extra": 1 });
    let refused = api.post("/services", &body).expect(422);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(refused.code(), "VALIDATION_FAILED");
    assert_eq!(refused.str_at("/requestId"), refused.header("x-request-id").unwrap());
    let errors = refused.at("/errors");
    let pointers: Vec<&str> = errors.as_array().unwrap().iter().filter_map(|fault| fault["pointer"].as_str()).collect();
    for wanted in ["/name", "/targets/0/url", "/targets/0/weigth", "/extra"] {
        assert!(pointers.contains(&wanted), "{wanted} is missing: {pointers:?}");
    }
    assert_eq!(
        api.send(api.request("POST", "/services").body("application/json", "{\"name\":")).expect(400).code(),
        "BAD_REQUEST"
    );
    assert_eq!(
        api.send(api.request("POST", "/services").body("text/plain", "x")).expect(415).code(),
        "UNSUPPORTED_MEDIA_TYPE"
    );
    api.service("users", "http://10.0.0.5:8080");
    let same = json!({ "name": "users", "targets": [{ "url": "http://10.0.0.5:8080" }] });
    assert_eq!(api.post("/services", &same).expect(409).code(), "NAME_TAKEN");
    let orphan = json!({ "name": "r", "match": { "path": "/r" }, "service": "nobody" });
    assert!(api.post("/routes", &orphan).expect(422).at("/errors").to_string().contains("/service"));
    assert_eq!(api.send(api.request("POST", "")).expect(405).code(), "METHOD_NOT_ALLOWED");
    api.open_route("one", "/same/{a}", "users");
    let twin = json!({ "name": "two", "match": { "path": "/same/{b}" }, "service": "users" });
    let clash = api.post("/routes", &twin);
    assert!(matches!(clash.status, 409 | 422), "{}", clash.text());
    assert!(clash.text().contains("one"), "both names are said: {}", clash.text());
}

#[test]
fn a_whole_configuration_is_tried_applied_exported_and_rolled_back() {
    let world = World::start();
    let api = &world.api;
    let (before, route) = (api.head_seq(), api.items("/routes")[0]["id"].clone());
    let yaml = format!(
        "services:\n  - {{name: users, targets: [{{url: \"{}\", weight: 1}}]}}\nroutes:\n  - name: open\n    match: {{path: \"/moved/*\"}}\n    service: users\n",
        world.upstream.url()
    );
    let put =
        |query: &str| api.send(api.request("PUT", &format!("/config{query}")).body("application/yaml", yaml.clone()));
    let tried = put("?dryRun=true").expect(200).json();
    let mut changes: Vec<_> = tried["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| (change["op"].clone(), change["name"].clone()))
        .collect();
    changes.sort_by_key(|(_, name)| name.to_string());
    assert_eq!(changes, [(json!("deleted"), json!("closed")), (json!("updated"), json!("open"))]);
    assert_eq!(api.head_seq(), before, "a dry run changes nothing");

    let applied = put("").expect(202).json();
    assert_eq!(applied["seq"].as_u64(), Some(before + 1));
    put("").expect(200);
    world.gateway.wait_status("/moved/x", 200);
    world.gateway.wait_status("/open/x", 404);
    assert_eq!(api.items("/routes")[0]["id"], route, "ids are kept by name");

    let exported = api.send(api.request("GET", "/config").header("accept", "application/yaml")).expect(200);
    assert_eq!(exported.header("content-type"), Some("application/yaml"));
    let again = api.send(api.request("PUT", "/config").body("application/yaml", exported.body.clone())).expect(200);
    assert_eq!(again.at("/changes"), json!([]), "an export applies without a change");
    let json = api.get("/config").expect(200);
    assert_eq!(json.at("/routes/0/match/path"), "/moved/*");
    let stale = api.request("PUT", "/config").header("if-match", "\"0\"").json(&json.json());
    api.send(stale).expect(412);

    api.send(api.request("POST", &format!("/revisions/{before}/rollback"))).expect(202);
    world.gateway.wait_status("/open/x", 200);
    world.gateway.wait_status("/moved/x", 404);
    let newest = api.get("/revisions?limit=1").expect(200);
    assert_eq!((newest.at("/items/0/kind"), newest.at("/items/0/rollbackTo")), (json!("rollback"), json!(before)));
    api.wait_acked();
}
