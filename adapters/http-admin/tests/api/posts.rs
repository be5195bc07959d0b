//! Repeated POSTs.

use std::time::Duration;

use novagate_kernel::Digest;
use novagate_ports_control::outbound::IdempotencyStore as _;
use serde_json::{Value, json};

use crate::world::{Tenant, World};

fn key(world: &World, tenant: &Tenant, key: &str) -> impl Future<Output = crate::world::Answer> {
    world.post(&tenant.path("/gateway-keys")).by(tenant).header("idempotency-key", key).send()
}

async fn count(world: &World, tenant: &Tenant, list: &str) -> usize {
    let list = world.get(&tenant.path(list)).by(tenant).send().await.expect(200);
    list["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_replay_answers_the_same_without_the_secret() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let first = key(&world, &ada, "k1").await;
    assert!(first.header("idempotency-replayed").is_none());
    let first = first.expect(201);
    assert!(first["key"].is_string() && first.get("secretShown").is_none());
    for _ in 0..2 {
        let again = key(&world, &ada, "k1").await;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        let again = again.expect(201);
        assert_eq!((&again["id"], &again["createdAt"]), (&first["id"], &first["createdAt"]));
        assert_eq!((&again["key"], &again["secretShown"]), (&Value::Null, &json!(true)));
    }
    assert_eq!(count(&world, &ada, "/gateway-keys").await, 2);
    assert_ne!(key(&world, &ada, "k2").await.expect(201)["id"], first["id"]);
}

#[tokio::test]
async fn a_replay_of_an_object_is_the_same_body_and_another_body_is_422() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let post = async |name: &str| {
        let call = world.post(&ada.path("/consumers")).by(&ada).header("idempotency-key", "k");
        call.json(&json!({"name": name})).send().await
    };
    let first = post("app").await.expect(201);
    assert_eq!(post("app").await.expect(201), first);
    post("other").await.problem(422, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(count(&world, &ada, "/consumers").await, 1);
}

#[tokio::test]
async fn keys_are_each_tenants_and_each_paths_own() {
    let world = World::open();
    let (ada, bob) = (world.tenant("ada@example.org").await, world.tenant("bob@example.org").await);
    let first = key(&world, &ada, "k").await.expect(201);
    let others = key(&world, &bob, "k").await.expect(201);
    assert_ne!(first["id"], others["id"]);
    assert!(others["key"].is_string());
    let call = world.post(&ada.path("/consumers")).by(&ada).header("idempotency-key", "k");
    call.json(&json!({"name": "app"})).send().await.expect(201);
}

#[tokio::test]
async fn failed_work_may_be_tried_again_with_the_same_key() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let post = async |body: Value| {
        let call = world.post(&ada.path("/routes")).by(&ada).header("idempotency-key", "k");
        call.json(&body).send().await
    };
    let route = json!({"name": "r", "match": {"path": "/"}, "service": "users"});
    assert_eq!(post(route.clone()).await.faults(), ["/service unknown_service"]);
    world.service(&ada, "users").await;
    post(route).await.expect(201);
}

#[tokio::test]
async fn a_request_that_still_runs_is_409_and_one_whose_process_died_is_not() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let scope = novagate_access::TenantScope::for_maintenance(novagate_kernel::TenantId::parse(&ada.id).unwrap());
    // As another control node would claim it.
    let claim = claim_of(&ada.path("/gateway-keys"), "k");
    let now = novagate_fixtures::START;
    world.store.begin(&scope, claim, request_of(b""), now).await.unwrap();
    key(&world, &ada, "k").await.problem(409, "IDEMPOTENCY_IN_PROGRESS");
    world.clock.advance(Duration::from_mins(1));
    key(&world, &ada, "k").await.expect(201);
}

#[tokio::test]
async fn an_answer_is_remembered_for_a_day() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let first = key(&world, &ada, "k").await.expect(201)["id"].clone();
    world.clock.advance(Duration::from_secs(24 * 3_600 - 1));
    assert_eq!(key(&world, &ada, "k").await.expect(201)["id"], first);
    world.clock.advance(Duration::from_secs(1));
    assert_ne!(key(&world, &ada, "k").await.expect(201)["id"], first);
}

#[tokio::test]
async fn a_key_is_short_visible_text() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    for bad in ["", &"x".repeat(256)] {
        key(&world, &ada, bad).await.problem(400, "BAD_REQUEST");
    }
    let call = world.post(&ada.path("/gateway-keys")).by(&ada).header("idempotency-key", "ä");
    call.send().await.problem(400, "BAD_REQUEST");
    key(&world, &ada, &"x".repeat(255)).await.expect(201);
}

/// The hash under which the API remembers a key.
fn claim_of(path: &str, key: &str) -> Digest {
    hash(&[path.as_bytes(), key.as_bytes()])
}

fn request_of(body: &[u8]) -> Digest {
    hash(&[body])
}

fn hash(parts: &[&[u8]]) -> Digest {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Digest::from_bytes(hash.finalize().into())
}
