//! Whole configurations over HTTP, revisions, consumer keys, erasure.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::world::{Tenant, World};

const YAML: &str = "
services:
  - {name: users, targets: [{url: \"http://10.0.0.5:8080\", weight: 2}], timeoutMs: 10000, healthCheck: {path: /health, intervalMs: 10000}}
routes:
  - {name: get-user, match: {methods: [GET], path: \"/users/{id}\"}, service: users, auth: {required: true, accept: [jwt, key]}, rateLimit: {max: 100, windowMs: 60000, by: consumer}}
consumers:
  - {name: mobile-app, groups: [partners], rateLimit: {max: 1000, windowMs: 60000}}
";

async fn export(world: &World, tenant: &Tenant, accept: &str) -> String {
    let answer = world.get(&tenant.path("/config")).by(tenant).header("accept", accept).send().await;
    assert_eq!(answer.status.as_u16(), 200);
    assert!(accept.starts_with(answer.header("content-type").unwrap()), "{accept}");
    answer.text().to_owned()
}

async fn put(world: &World, tenant: &Tenant, media_type: &str, text: &str) -> Value {
    let answer = world.call("PUT", &tenant.path("/config")).by(tenant).body(media_type, text.to_owned()).send().await;
    assert!([200, 202].contains(&answer.status.as_u16()), "{}", answer.text());
    let status = answer.status.as_u16();
    let mut body = answer.expect(status);
    body["status"] = json!(status);
    body
}

#[tokio::test]
async fn yaml_and_json_are_two_spellings_of_one_configuration() {
    let world = World::open();
    let (ada, bob) = (world.tenant("ada@example.org").await, world.tenant("bob@example.org").await);
    let applied = put(&world, &ada, "application/yaml", YAML).await;
    assert_eq!((&applied["status"], applied["changes"].as_array().unwrap().len()), (&json!(202), 3));
    let (yaml, json) = (export(&world, &ada, "application/yaml").await, export(&world, &ada, "application/json").await);
    for (media_type, text) in [("application/yaml", &yaml), ("text/yaml", &yaml), ("application/json", &json)] {
        let again = put(&world, &ada, media_type, text).await;
        assert_eq!((&again["status"], &again["seq"], &again["changes"]), (&json!(200), &applied["seq"], &json!([])));
    }
    put(&world, &bob, "application/json", &json).await;
    assert_eq!(export(&world, &bob, "application/yaml").await, yaml);
    let document: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["routes"][0]["service"], "users");
    assert!(document["consumers"][0].get("id").is_none());
}

#[tokio::test]
async fn the_export_is_sent_in_a_form_that_the_client_accepts() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let ask = async |accept: &str| {
        let answer = world.get(&ada.path("/config")).by(&ada).header("accept", accept).send().await;
        (answer.status.as_u16(), answer.header("content-type").unwrap().to_owned())
    };
    for accept in ["*/*", "application/json", "text/html, */*;q=0.1", "application/json, application/yaml"] {
        assert_eq!(ask(accept).await, (200, "application/json".to_owned()));
    }
    for accept in ["application/yaml", "Text/YAML", "application/x-yaml, application/json"] {
        assert_eq!(ask(accept).await, (200, "application/yaml".to_owned()));
    }
    assert_eq!(ask("text/html").await, (406, "application/problem+json".to_owned()));
}

#[tokio::test]
async fn a_dry_run_answers_the_difference_and_writes_nothing() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let path = ada.path("/config?dryRun=true");
    let answer = world.call("PUT", &path).by(&ada).body("application/yaml", YAML).send().await.expect(200);
    assert_eq!((&answer["seq"], &answer["changes"][0]["op"]), (&json!(1), &json!("created")));
    assert_eq!(answer["changes"][0]["before"], Value::Null);
    assert_eq!(answer["changes"][0]["after"]["name"], "users");
    let list = world.get(&ada.path("/services")).by(&ada).send().await.expect(200);
    assert_eq!(list["items"], json!([]));
    let odd = world.call("PUT", &ada.path("/config?dryRun=yes")).by(&ada).json(&json!({})).send().await;
    assert_eq!(odd.faults(), ["/dryRun invalid"]);
}

#[tokio::test]
async fn faults_of_a_configuration_are_all_told_with_their_places() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let bad = json!({
        "services": [{"name": "a", "targets": [{"url": "http://10.0.0.5:80", "wait": 1}]}, {"name": "b"}, {"name": "a", "targets": []}],
        "routes": [{"name": "r", "match": {"path": 5}, "service": "a"}],
        "plans": [],
    });
    let faults = world.call("PUT", &ada.path("/config")).by(&ada).json(&bad).send().await.faults();
    for wanted in [
        "/plans unknown_field",
        "/services/0/targets/0/wait unknown_field",
        "/services/1/targets required",
        "/routes/0/match/path wrong_type",
    ] {
        assert!(faults.contains(&wanted.to_owned()), "{wanted}: {faults:?}");
    }
    assert!(faults.iter().any(|fault| fault.starts_with("/services/2/name")), "{faults:?}");
    let text = "services: [{name: a, targets: [{url: \"http://10.0.0.5:80\"}]}]\nroutes: [{name: r, match: {path: /}, service: b}]";
    let answer = world.call("PUT", &ada.path("/config")).by(&ada).body("application/yaml", text).send().await;
    assert_eq!(answer.faults(), ["/routes/0/service unknown_service"]);
}

#[tokio::test]
async fn hostile_yaml_is_refused_quickly() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..30 {
        let before = level - 1;
        let _ = writeln!(bomb, "a{level}: &a{level} [{}]", vec![format!("*a{before}"); 10].join(","));
    }
    let deep = format!("services: {}", "[".repeat(5_000));
    for text in [bomb.as_str(), &deep, "services: [", "- 1\n- 2", "a: 1\na: 2", "%YAML 9.9\n---\nx", ""] {
        let call = world.call("PUT", &ada.path("/config")).by(&ada).body("application/yaml", text.to_owned());
        let answer = call.send().await;
        assert!([400, 422].contains(&answer.status.as_u16()), "{}: {}", answer.status, &text[..text.len().min(30)]);
    }
    let bytes =
        world.call("PUT", &ada.path("/config")).by(&ada).body("application/yaml", vec![0xff, 0xfe]).send().await;
    bytes.problem(400, "BAD_REQUEST");
}

#[tokio::test]
async fn a_rollback_answers_like_an_apply_and_shows_in_history() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let first = put(&world, &ada, "application/yaml", YAML).await;
    put(&world, &ada, "application/json", "{}").await;
    let path = ada.path(&format!("/revisions/{}/rollback", first["seq"]));
    let back = world.post(&path).by(&ada).send().await.expect(202);
    assert_eq!((&back["digest"], &back["seq"]), (&first["digest"], &json!(4)));
    world.post(&path).by(&ada).send().await.expect(200);
    let newest = world.get(&ada.path("/revisions/4")).by(&ada).send().await.expect(200);
    assert_eq!((&newest["kind"], &newest["rollbackTo"]), (&json!("rollback"), &first["seq"]));
    assert_eq!((&newest["acked"], &newest["nacked"], &newest["lagging"]), (&json!([]), &json!([]), &json!([])));
    for seq in ["99", "x", "-1", "99999999999999999999999"] {
        world.post(&ada.path(&format!("/revisions/{seq}/rollback"))).by(&ada).send().await.problem(404, "NOT_FOUND");
        world.get(&ada.path(&format!("/revisions/{seq}"))).by(&ada).send().await.problem(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn a_consumer_key_is_shown_once_and_belongs_to_its_consumer() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let consumer = async |name: &str| {
        let made = world.post(&ada.path("/consumers")).by(&ada).json(&json!({"name": name})).send().await.expect(201);
        ada.path(&format!("/consumers/{}", made["id"].as_str().unwrap()))
    };
    let (left, right) = (consumer("left").await, consumer("right").await);
    let made = world.post(&format!("{left}/keys")).by(&ada).send().await.expect(201);
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(key.starts_with("ck_") && key.len() == 35);
    let secret = &key[3..];
    for path in [
        left.clone(),
        format!("{left}/keys"),
        format!("{left}/keys/{id}"),
        ada.path("/config"),
        ada.path("/audit"),
        ada.path("/revisions"),
    ] {
        let answer = world.get(&path).by(&ada).send().await;
        assert_eq!(answer.status.as_u16(), 200);
        assert!(!answer.text().contains(secret), "{path}");
    }
    for method in ["GET", "DELETE"] {
        world.call(method, &format!("{right}/keys/{id}")).by(&ada).send().await.problem(404, "NOT_FOUND");
    }
    world.call("DELETE", &format!("{left}/keys/{id}")).by(&ada).send().await.expect(204);
    world.get(&format!("{left}/keys/{id}")).by(&ada).send().await.problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn promise_c2_a_gateway_key_is_shown_once() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let made = world.post(&ada.path("/gateway-keys")).by(&ada).send().await;
    let place = made.header("location").unwrap().to_owned();
    let made = made.expect(201);
    let key = made["key"].as_str().unwrap();
    let secret = key.strip_prefix(&format!("gw_{}_", ada.id)).unwrap();
    assert!(secret.len() == 32 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()));
    for path in [place, ada.path("/gateway-keys"), ada.path(""), ada.path("/audit"), ada.path("/health")] {
        let answer = world.get(&path).by(&ada).send().await;
        assert_eq!(answer.status.as_u16(), 200);
        assert!(!answer.text().contains(secret), "{path}");
    }
}

#[tokio::test]
async fn an_erasure_says_what_went_and_what_stays_elsewhere() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    put(&world, &ada, "application/yaml", YAML).await;
    let erased = world.call("DELETE", &ada.path("")).by(&ada).send().await.expect(200);
    assert_eq!(erased["tenantId"], ada.id.as_str());
    let counts = &erased["erased"];
    assert_eq!((&counts["gatewayKeys"], &counts["objects"]), (&json!(1), &json!(3)));
    assert_eq!(counts["schema"], format!("tenant_{}", ada.id.replace('-', "_")));
    assert!(erased["remains"][0]["command"].as_str().unwrap().contains("DATA_DIR"));
    world.get(&ada.path("")).by(&ada).send().await.problem(401, "TOKEN_INVALID");
}
