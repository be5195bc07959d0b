//! Bodies: what is missing, unknown, mistyped, hostile, too large, or no JSON at all.

use axum::body::Body;
use novagate_control_core::RegistrationMode;
use novagate_http_admin::AdminOptions;
use serde_json::{Value, json};

use crate::world::{PASSWORD, Tenant, World};

/// Every operation with a JSON body of fields, and a body that it takes: all but whole configurations, which have tests of
/// their own.
async fn bodies(world: &World, tenant: &Tenant) -> Vec<(&'static str, String, Value)> {
    let mut bodies = posts(tenant);
    for (list, body) in objects() {
        let made = world.post(&tenant.path(list)).by(tenant).json(&body).send().await.expect(201);
        let path = tenant.path(&format!("{list}/{}", made["id"].as_str().unwrap()));
        bodies.extend([("PUT", path.clone(), body.clone()), ("PATCH", path, body)]);
    }
    bodies.push(("PATCH", tenant.path(""), json!({"name": "A"})));
    bodies
}

/// One of each kind, in the order in which they can be made.
fn objects() -> [(&'static str, Value); 3] {
    let target = json!([{"url": "http://10.0.0.5:8080"}]);
    [
        ("/services", json!({"name": "s", "targets": target})),
        ("/routes", json!({"name": "r", "match": {"path": "/"}, "service": "s"})),
        ("/consumers", json!({"name": "c"})),
    ]
}

fn posts(tenant: &Tenant) -> Vec<(&'static str, String, Value)> {
    let link = "ab".repeat(32);
    let auth = [
        ("POST", "/api/v1/auth/register".into(), json!({"name": "A", "email": "x@example.org", "password": PASSWORD})),
        ("POST", "/api/v1/auth/verify".into(), json!({"token": link, "password": PASSWORD})),
        ("POST", "/api/v1/auth/login".into(), json!({"email": "x@example.org", "password": PASSWORD})),
        ("POST", "/api/v1/auth/forgot-password".into(), json!({"email": "x@example.org"})),
        ("POST", "/api/v1/auth/reset-password".into(), json!({"token": link, "password": PASSWORD})),
        ("POST", "/api/v1/auth/change-password".into(), json!({"current": PASSWORD, "new": PASSWORD})),
    ];
    let made = objects().map(|(list, body)| ("POST", tenant.path(list), body));
    auth.into_iter().chain(made).collect()
}

#[tokio::test]
async fn a_missing_field_is_named_in_every_body() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let mut checked = 0;
    // What a PATCH leaves out stays as it is.
    for (method, path, body) in bodies(&world, &ada).await.into_iter().filter(|(method, ..)| *method != "PATCH") {
        for field in body.as_object().unwrap().keys() {
            let mut less = body.clone();
            less.as_object_mut().unwrap().remove(field);
            let answer = world.call(method, &path).by(&ada).json(&less).send().await;
            assert!(answer.faults().contains(&format!("/{field} required")), "{path} {field}: {}", answer.text());
            checked += 1;
        }
        let all = world.call(method, &path).by(&ada).json(&json!({})).send().await.faults();
        let required = all.iter().filter(|fault| fault.ends_with(" required")).count();
        // Only with the mode `verified` the password of a registration may be missing, so the use case asks for it.
        let expected = body.as_object().unwrap().len() - usize::from(path.ends_with("/register"));
        assert_eq!(required, expected, "{path}: all at once: {all:?}");
    }
    assert!(checked > 15);
}

#[tokio::test]
async fn a_mistyped_field_is_named_in_every_body() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    for (method, path, body) in bodies(&world, &ada).await {
        for field in body.as_object().unwrap().keys() {
            for wrong in [json!(7), json!(true), json!([[]]), json!({"a": {}})] {
                let mut bent = body.clone();
                bent[field] = wrong;
                let answer = world.call(method, &path).by(&ada).json(&bent).send().await;
                let faults = answer.faults();
                assert!(
                    faults.iter().any(|fault| fault.starts_with(&format!("/{field}"))),
                    "{path} {bent}: {faults:?}"
                );
            }
        }
        for whole in [json!([]), json!("text"), json!(null), json!(5)] {
            let answer = world.call(method, &path).by(&ada).json(&whole).send().await;
            assert_eq!(answer.faults(), [" wrong_type"], "{path} {whole}");
        }
    }
}

#[tokio::test]
async fn an_unknown_field_is_refused_and_named_in_every_body() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    for (method, path, body) in bodies(&world, &ada).await {
        for (field, pointer) in [
            ("generation", "/generation"),
            ("tenantId", "/tenantId"),
            ("__proto__", "/__proto__"),
            ("a/b~c", "/a~1b~0c"),
            ("", "/"),
        ] {
            let mut more = body.clone();
            more[field] = json!(1);
            let answer = world.call(method, &path).by(&ada).json(&more).send().await;
            assert_eq!(answer.faults(), [format!("{pointer} unknown_field")], "{path}");
        }
    }
}

#[tokio::test]
async fn every_operation_that_takes_fields_is_among_these_bodies() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let known = bodies(&world, &ada).await;
    let without = ["/auth/logout", "/gateway-keys", "/keys", "/rollback", "/config"];
    let takes = novagate_http_admin::operations().into_iter().filter(|one| {
        ["POST", "PUT", "PATCH"].contains(&one.method.as_str()) && !without.iter().any(|end| one.path.ends_with(end))
    });
    assert_eq!(known.len(), takes.count(), "a new one needs a row");
}

#[tokio::test]
async fn every_fault_of_a_whole_configuration_is_named_by_its_place() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let put = async |body: &Value| world.call("PUT", &ada.path("/config")).by(&ada).json(body).send().await;
    for (list, object) in objects() {
        let (name, whole) = (&list[1..], json!({"services": [objects()[0].1.clone()]}));
        let with = |object: &Value| {
            let mut body = whole.clone();
            body[name] = json!([object]);
            body
        };
        for wrong in [json!(7), json!(true), json!("text"), json!({"a": {}})] {
            let mut body = whole.clone();
            body[name] = wrong;
            assert_eq!(put(&body).await.faults(), [format!("/{name} wrong_type")]);
        }
        for field in object.as_object().unwrap().keys() {
            let mut less = object.clone();
            less.as_object_mut().unwrap().remove(field);
            let faults = put(&with(&less)).await.faults();
            assert!(faults.contains(&format!("/{name}/0/{field} required")), "{name} {field}: {faults:?}");
            let mut bent = object.clone();
            bent[field] = json!(7);
            let faults = put(&with(&bent)).await.faults();
            assert!(faults.iter().any(|fault| fault.starts_with(&format!("/{name}/0/{field}"))), "{field}: {faults:?}");
        }
        let mut more = object.clone();
        more["a/b~c"] = json!(1);
        assert_eq!(put(&with(&more)).await.faults(), [format!("/{name}/0/a~1b~0c unknown_field")]);
    }
    assert_eq!(put(&json!({"more": []})).await.faults(), ["/more unknown_field"]);
    for whole in [json!([]), json!("text"), json!(null), json!(5)] {
        assert_eq!(put(&whole).await.faults(), [" wrong_type"], "{whole}");
    }
    assert_eq!(world.get(&ada.path("/services")).by(&ada).send().await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn posts_without_a_body_of_their_own_take_none_or_an_empty_object() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let keys = ada.path("/gateway-keys");
    world.post(&keys).by(&ada).send().await.expect(201);
    world.post(&keys).by(&ada).json(&json!({})).send().await.expect(201);
    let answer = world.post(&keys).by(&ada).json(&json!({"id": 5})).send().await;
    assert_eq!(answer.faults(), ["/id unknown_field"]);
}

#[tokio::test]
async fn text_that_is_no_json_is_400_without_an_echo() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let deep = "[".repeat(100_000);
    let wide = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
    let bad: [&[u8]; 9] = [
        b"",
        b"{",
        b"CANARY7F",
        b"{\"email\": \"CANARY7F\"",
        b"{} {}",
        b"{\"a\":\xff}",
        b"\xef\xbb\xbf{}",
        deep.as_bytes(),
        wide.as_bytes(),
    ];
    for (method, path, _) in bodies(&world, &ada).await {
        for text in bad {
            let answer = world.call(method, &path).by(&ada).body("application/json", text.to_vec()).send().await;
            let problem = answer.problem(400, "BAD_REQUEST").to_string();
            assert!(!problem.contains("CANARY7F"), "{problem}");
        }
    }
}

#[tokio::test]
async fn a_field_given_twice_is_refused() {
    let world = World::open();
    let text = r#"{"email":"ada@example.org","email":"eve@example.org","password":"whatever it is"}"#;
    world.post("/api/v1/auth/login").body("application/json", text).send().await.problem(400, "BAD_REQUEST");
}

#[tokio::test]
async fn another_media_type_is_415() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    for (method, path, body) in bodies(&world, &ada).await {
        for media_type in
            ["text/plain", "application/x-www-form-urlencoded", "application/yaml", "application/jsonx", ""]
        {
            let answer = world.call(method, &path).by(&ada).body(media_type, body.to_string()).send().await;
            answer.problem(415, "UNSUPPORTED_MEDIA_TYPE");
        }
    }
    let login = json!({"email": "ada@example.org", "password": PASSWORD}).to_string();
    for media_type in ["application/json; charset=utf-8", "Application/JSON", "application/json;x=y"] {
        world.post("/api/v1/auth/login").body(media_type, login.clone()).send().await.expect(200);
    }
    world
        .call("PUT", &ada.path("/config"))
        .by(&ada)
        .body("text/csv", "a,b")
        .send()
        .await
        .problem(415, "UNSUPPORTED_MEDIA_TYPE");
}

#[tokio::test]
async fn a_body_beyond_its_limit_is_413_and_only_a_configuration_may_be_larger() {
    let options = AdminOptions { max_body_bytes: 1_000, max_config_bytes: 10_000, ..AdminOptions::default() };
    let world = World::with(RegistrationMode::Open, options);
    let ada = world.tenant("ada@example.org").await;
    let padded = |size: usize| format!("{{{}}}", " ".repeat(size - 2));
    for (method, path, _) in bodies(&world, &ada).await {
        let answer = world.call(method, &path).by(&ada).body("application/json", padded(1_001)).send().await;
        answer.problem(413, "REQUEST_TOO_LARGE");
        let fits = world.call(method, &path).by(&ada).body("application/json", padded(1_000)).send().await;
        assert_eq!(fits.status.as_u16(), if method == "PATCH" { 200 } else { 422 }, "{method} {path}");
    }
    let put = |size| world.call("PUT", &ada.path("/config")).by(&ada).body("application/json", padded(size));
    // It takes everything away that the bodies above have needed.
    put(10_000).send().await.expect(202);
    put(10_001).send().await.problem(413, "REQUEST_TOO_LARGE");
    // A body whose length is not told beforehand.
    let name = format!("/services/{}", "config");
    let chunks = Body::new(http_body_util::Full::from(padded(5_000)));
    let call = world.call("PUT", &ada.path(&name)).by(&ada).body("application/json", chunks);
    call.send().await.problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn hostile_unicode_is_refused_or_comes_back_as_it_was() {
    let world = World::open();
    let hostile =
        ["\u{0}", "a\u{202e}b", "\u{2066}", "a\r\nSet-Cookie: x=y", "\u{7f}", "\u{85}", "\t", " ", "\u{200f}x"];
    for name in hostile {
        let body = json!({"name": name, "email": "x@example.org", "password": PASSWORD});
        let answer = world.post("/api/v1/auth/register").json(&body).send().await;
        assert_eq!(answer.faults(), ["/name invalid_name"], "{name:?}");
    }
    for email in [
        "a\u{0}@example.org",
        "ä@example.org",
        "a@exämple.org",
        "a@b",
        "a@example.org\r\nBcc: e@x.org",
        "\"a b\"@example.org",
        "a@@example.org",
        &"a".repeat(300),
    ] {
        let body = json!({"name": "A", "email": email, "password": PASSWORD});
        assert_eq!(
            world.post("/api/v1/auth/register").json(&body).send().await.faults(),
            ["/email invalid"],
            "{email:?}"
        );
    }
    for password in ["short", &"x".repeat(73), &"ä".repeat(37), "has a\u{0}nul in it"] {
        let body = json!({"name": "A", "email": "x@example.org", "password": password});
        let answer = world.post("/api/v1/auth/register").json(&body).send().await;
        assert_eq!(answer.faults(), ["/password invalid"]);
        assert!(!answer.text().contains(password));
    }
    let odd = "Zoë 🦀 <script>alert(1)</script> \"' 茶";
    let body = json!({"name": odd, "email": "zoe@example.org", "password": PASSWORD});
    let made = world.post("/api/v1/auth/register").json(&body).send().await.expect(201);
    let path = format!("/api/v1/tenants/{}", made["tenantId"].as_str().unwrap());
    let read = world.get(&path).bearer(made["token"].as_str().unwrap()).send().await.expect(200);
    assert_eq!(read["name"], odd);
    let lone = r#"{"email":"\ud800@example.org","password":"x"}"#;
    world.post("/api/v1/auth/login").body("application/json", lone).send().await.problem(400, "BAD_REQUEST");
}

#[tokio::test]
async fn names_of_objects_are_plain_words() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    for name in ["", "A", "-a", "a_b", "a b", "ä", "a\u{0}", "../x", &"a".repeat(64)] {
        let body = json!({"name": name});
        let answer = world.post(&ada.path("/consumers")).by(&ada).json(&body).send().await;
        assert!(answer.faults()[0].starts_with("/name "), "{name:?}");
    }
    let body = json!({"name": "a".repeat(63)});
    world.post(&ada.path("/consumers")).by(&ada).json(&body).send().await.expect(201);
}

#[tokio::test]
async fn a_tenant_is_renamed_and_its_name_cannot_be_taken_away() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let patch = |body: Value| world.call("PATCH", &ada.path("")).by(&ada).json(&body);
    assert_eq!(patch(json!({"name": "New"})).send().await.expect(200)["name"], "New");
    assert_eq!(patch(json!({})).send().await.expect(200)["name"], "New");
    assert_eq!(patch(json!({"name": null})).send().await.faults(), ["/name required"]);
    assert_eq!(patch(json!({"name": ""})).send().await.faults(), ["/name invalid_name"]);
    for field in ["id", "email", "state", "limits", "generation"] {
        let answer = patch(json!({field: "x"})).send().await;
        assert_eq!(answer.faults(), [format!("/{field} unknown_field")]);
    }
}
