//! `ETag`, `If-Match`, `If-None-Match`, PATCH and the revision that writes answer with.

use serde_json::{Value, json};

use crate::world::{Tenant, World};

async fn users(world: &World) -> (Tenant, String) {
    let ada = world.tenant("ada@example.org").await;
    let service = world.service(&ada, "users").await;
    let path = ada.path(&format!("/services/{}", service["id"].as_str().unwrap()));
    (ada, path)
}

fn body(weight: u8) -> Value {
    json!({"name": "users", "targets": [{"url": "http://10.0.0.5:8080", "weight": weight}]})
}

#[tokio::test]
async fn an_unchanged_resource_is_304_with_its_etag() {
    let world = World::open();
    let (ada, service) = users(&world).await;
    let keys = world.get(&ada.path("/gateway-keys")).by(&ada).send().await.expect(200);
    let key = ada.path(&format!("/gateway-keys/{}", keys["items"][0]["id"].as_str().unwrap()));
    for path in [service, key, ada.path(""), ada.path("/config"), ada.path("/revisions/1")] {
        let first = world.get(&path).by(&ada).send().await;
        let etag = first.header("etag").unwrap().to_owned();
        assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
        for header in [etag.clone(), format!("\"x\", {etag}"), format!("W/{etag}")] {
            let again = world.get(&path).by(&ada).header("if-none-match", &header).send().await;
            assert_eq!((again.status.as_u16(), again.header("etag")), (304, Some(etag.as_str())), "{path}");
            assert!(again.bytes.is_empty() && again.header("content-type").is_none());
        }
        let other = world.get(&path).by(&ada).header("if-none-match", "\"x\"").send().await;
        assert_eq!((other.status.as_u16(), &other.bytes), (200, &first.bytes));
    }
}

/// One object of every kind that has an ETag and can be changed or removed: its path, and a body for PUT and PATCH where
/// it has these.
async fn every_kind(world: &World, ada: &Tenant) -> Vec<(String, Option<Value>)> {
    let make = async |list: &str, body: &Value| {
        let made = world.post(&ada.path(list)).by(ada).json(body).send().await.expect(201);
        ada.path(&format!("{list}/{}", made["id"].as_str().unwrap()))
    };
    let route = json!({"name": "r", "match": {"path": "/"}, "service": "users"});
    let service = make("/services", &body(1)).await;
    let consumer = make("/consumers", &json!({"name": "app"})).await;
    let keys = format!("{}/keys", consumer.strip_prefix(&ada.path("")).unwrap());
    let node = world.connect(ada).await;
    vec![
        (make("/routes", &route).await, Some(route)),
        (service, Some(body(2))),
        (make(&keys, &json!({})).await, None),
        (consumer, Some(json!({"name": "app"}))),
        (make("/gateway-keys", &json!({})).await, None),
        (ada.path(&format!("/gateways/{node}")), None),
    ]
}

#[tokio::test]
async fn if_match_guards_every_change() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let kinds = every_kind(&world, &ada).await;
    let removable = novagate_http_admin::operations().into_iter().filter(|one| one.method == "DELETE");
    assert_eq!(kinds.len() + 1, removable.count(), "every kind, but for the tenant itself");
    for (path, change) in kinds {
        let tag = async || world.get(&path).by(&ada).send().await.header("etag").expect(&path).to_owned();
        let current = tag().await;
        assert_eq!(current, tag().await, "{path}");
        for stale in ["\"x\"".to_owned(), format!("W/{current}"), format!("\"x\", W/{current}")] {
            for method in ["PUT", "PATCH", "DELETE"] {
                let Some(body) = change.clone().or_else(|| (method == "DELETE").then_some(Value::Null)) else {
                    continue;
                };
                let call = world.call(method, &path).by(&ada).header("if-match", &stale).json(&body);
                call.send().await.problem(412, "PRECONDITION_FAILED");
            }
        }
        let call = world.call("DELETE", &path).by(&ada).header("if-match", "x");
        call.send().await.problem(400, "BAD_REQUEST");
        assert_eq!(current, tag().await, "{path}: nothing has happened");
        world.call("DELETE", &path).by(&ada).header("if-match", &format!("\"x\", {current}")).send().await.expect(204);
    }
    let nothing = ada.path("/gateway-keys/00000000-0000-4000-8000-000000000000");
    world.call("DELETE", &nothing).by(&ada).header("if-match", "*").send().await.problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_tag_names_one_state_of_an_object() {
    let world = World::open();
    let (ada, path) = users(&world).await;
    let etag = world.get(&path).by(&ada).send().await.header("etag").unwrap().to_owned();
    let changed = world.call("PUT", &path).by(&ada).header("if-match", &etag).json(&body(2)).send().await;
    let newer = changed.header("etag").unwrap().to_owned();
    assert_ne!(newer, etag);
    assert_eq!(world.get(&path).by(&ada).send().await.header("etag"), Some(newer.as_str()), "the answer's tag holds");
    let stale = [etag.clone(), "\"x\"".into(), format!("W/{newer}")];
    for tag in &stale {
        for method in ["PUT", "PATCH", "DELETE"] {
            let call = world.call(method, &path).by(&ada).header("if-match", tag).json(&body(3));
            call.send().await.problem(412, "PRECONDITION_FAILED");
        }
    }
    let call = |method| world.call(method, &path).by(&ada);
    for malformed in ["x", "\"", "\"a\" \"b\""] {
        let answer = call("PUT").header("if-match", malformed).json(&body(3)).send().await;
        assert!([400, 412].contains(&answer.status.as_u16()), "{malformed}");
    }
    call("PATCH")
        .header("if-match", &format!("{etag}, {newer}"))
        .json(&json!({"timeoutMs": 5}))
        .send()
        .await
        .expect(200);
    call("PUT").header("if-match", "*").json(&body(4)).send().await.expect(200);
    call("PUT").json(&body(5)).send().await.expect(200);
    let last = world.get(&path).by(&ada).send().await.header("etag").unwrap().to_owned();
    call("DELETE").header("if-match", &last).send().await.expect(204);
}

#[tokio::test]
async fn if_match_guards_the_tenant_and_the_whole_configuration() {
    let world = World::open();
    let (ada, _) = users(&world).await;
    let old = world.get(&ada.path("")).by(&ada).send().await.header("etag").unwrap().to_owned();
    let patch = |tag: &str, name: &str| {
        world.call("PATCH", &ada.path("")).by(&ada).header("if-match", tag).json(&json!({"name": name}))
    };
    patch(&old, "New").send().await.expect(200);
    patch(&old, "Newer").send().await.problem(412, "PRECONDITION_FAILED");
    let erase = world.call("DELETE", &ada.path("")).by(&ada).header("if-match", &old);
    erase.send().await.problem(412, "PRECONDITION_FAILED");

    let config = ada.path("/config");
    let tag = world.get(&config).by(&ada).send().await.header("etag").unwrap().to_owned();
    let put = |tag: &str, body: Value| world.call("PUT", &config).by(&ada).header("if-match", tag).json(&body);
    put(&tag, json!({"consumers": [{"name": "app"}]})).send().await.expect(202);
    put(&tag, json!({})).send().await.problem(412, "PRECONDITION_FAILED");
}

#[tokio::test]
async fn if_none_match_star_creates_under_a_chosen_id_and_only_once() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let id = "99999999-2222-4333-8444-555555555555";
    let path = ada.path(&format!("/services/{id}"));
    world.call("PUT", &path).by(&ada).json(&body(1)).send().await.problem(404, "NOT_FOUND");
    let create = || world.call("PUT", &path).by(&ada).header("if-none-match", "*").json(&body(1));
    assert_eq!(create().send().await.expect(201)["id"], id);
    create().send().await.problem(412, "PRECONDITION_FAILED");
    let mut other = body(1);
    other["id"] = json!("88888888-2222-4333-8444-555555555555");
    let answer = world.call("PUT", &path).by(&ada).json(&other).send().await;
    assert!(answer.faults()[0].starts_with("/id "), "an id in the body is the path's: {:?}", answer.faults());
}

#[tokio::test]
async fn an_answer_can_be_edited_and_sent_back() {
    let world = World::open();
    let (ada, path) = users(&world).await;
    let mut read = world.get(&path).by(&ada).send().await.expect(200);
    world.call("PUT", &path).by(&ada).json(&read).send().await.expect(200);
    read["timeoutMs"] = json!(1234);
    let written = world.call("PUT", &path).by(&ada).json(&read).send().await.expect(200);
    assert_eq!((&written["timeoutMs"], &written["createdAt"]), (&json!(1234), &read["createdAt"]));
}

#[tokio::test]
async fn a_patch_follows_rfc_7396() {
    let world = World::open();
    let (ada, service) = users(&world).await;
    let patch =
        |body: Value| world.call("PATCH", &service).by(&ada).body("application/merge-patch+json", body.to_string());
    let probed = patch(json!({"timeoutMs": 500, "healthCheck": {"path": "/health"}})).send().await.expect(200);
    assert_eq!((&probed["timeoutMs"], &probed["healthCheck"]["intervalMs"]), (&json!(500), &json!(10_000)));
    let merged = patch(json!({"healthCheck": {"intervalMs": 2000}})).send().await.expect(200);
    assert_eq!(merged["healthCheck"], json!({"path": "/health", "intervalMs": 2000}));
    let removed = patch(json!({"timeoutMs": null, "healthCheck": null})).send().await.expect(200);
    assert!(removed.get("timeoutMs").is_none() && removed.get("healthCheck").is_none());
    let list = patch(json!({"targets": [{"url": "http://10.0.0.6:80"}]})).send().await.expect(200);
    assert_eq!(list["targets"], json!([{"url": "http://10.0.0.6:80", "weight": 1}]), "a list is replaced as a whole");
    assert_eq!(patch(json!({"name": null})).send().await.faults(), ["/name required"]);
    assert_eq!(patch(json!({"more": 1})).send().await.faults(), ["/more unknown_field"]);
    assert_eq!(patch(json!([1])).send().await.faults(), [" wrong_type"]);
    let nothing = patch(json!({})).send().await;
    let before = world.get(&service).by(&ada).send().await;
    assert_eq!(nothing.bytes, before.bytes);
    let text = world.call("PATCH", &service).by(&ada).body("text/plain", "{}").send().await;
    text.problem(415, "UNSUPPORTED_MEDIA_TYPE");
}

#[tokio::test]
async fn every_write_of_configuration_tells_the_revision_and_an_empty_one_tells_the_same() {
    let world = World::open();
    let (ada, path) = users(&world).await;
    let put = async |weight| {
        let answer = world.call("PUT", &path).by(&ada).json(&body(weight)).send().await;
        answer.header("config-revision").unwrap().to_owned()
    };
    let (first, second, same) = (put(2).await, put(3).await, put(3).await);
    assert_ne!(first, second);
    assert_eq!(second, same);
    let (revision, digest) = second.split_once(";digest=").unwrap();
    assert!(digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let (epoch, seq) = revision.split_once('.').unwrap();
    let newest = world.get(&ada.path("/revisions?limit=1")).by(&ada).send().await.expect(200);
    assert_eq!(newest["items"][0]["seq"].to_string(), seq);
    assert_eq!(newest["items"][0]["epoch"].to_string(), epoch);
    assert_eq!(newest["items"][0]["digest"], digest);
    let gone = world.call("DELETE", &path).by(&ada).send().await;
    assert!(gone.header("config-revision").is_some());
}

#[tokio::test]
async fn a_service_in_use_stays_and_the_refusal_names_its_routes() {
    let world = World::open();
    let (ada, path) = users(&world).await;
    let route = json!({"name": "get-user", "match": {"path": "/users/{id}"}, "service": "users"});
    let made = world.post(&ada.path("/routes")).by(&ada).json(&route).send().await;
    let place = made.header("location").unwrap().to_owned();
    assert_eq!(world.get(&place).by(&ada).send().await.expect(200)["service"], "users");
    let refused = world.call("DELETE", &path).by(&ada).send().await;
    let problem = refused.problem(409, "IN_USE");
    assert!(problem["errors"][0]["message"].as_str().unwrap().contains("get-user"));
    let taken = world.post(&ada.path("/services")).by(&ada).json(&body(1)).send().await;
    assert_eq!(taken.problem(409, "NAME_TAKEN")["errors"][0]["pointer"], "/name");
}
