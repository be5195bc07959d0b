//! Who may call what: every operation of the router's own table, for every kind of caller.

use std::time::Duration;

use novagate_control_core::RegistrationMode;
use novagate_http_admin::{AdminOptions, Operation, operations};
use serde_json::json;

use crate::world::{PASSWORD, Tenant, World};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

fn path_of(operation: &Operation, tenant: &str) -> String {
    let path = operation.path.replace("{t}", tenant).replace("{id}", NOBODY).replace("{keyId}", NOBODY);
    format!("/api/v1{}", path.replace("{seq}", "1"))
}

fn guarded() -> Vec<Operation> {
    let found: Vec<_> = operations().into_iter().filter(|operation| !operation.public).collect();
    assert!(found.len() > 30, "the table is read");
    found
}

/// Asks every guarded operation with this token and wants this refusal.
async fn all_refuse(world: &World, tenant: &str, token: Option<&str>, status: u16, code: &str) {
    for operation in guarded() {
        let path = path_of(&operation, tenant);
        let call = world.call(&operation.method, &path);
        let call = if let Some(token) = token { call.bearer(token) } else { call };
        let answer = call.json(&json!({})).send().await;
        assert_eq!(answer.status.as_u16(), status, "{} {path}: {}", operation.method, answer.text());
        answer.problem(status, code);
    }
}

#[tokio::test]
async fn promise_i4_no_operation_works_without_a_token() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    all_refuse(&world, &ada.id, None, 401, "TOKEN_MISSING").await;
}

#[tokio::test]
async fn promise_i4_no_operation_works_with_something_that_is_no_token() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let (head, rest) = ada.token.split_once('.').unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", rest.split_once('.').unwrap().0);
    let bent = format!("{head}.{rest}x");
    for token in ["garbage", "a.b.c", &unsigned, &bent, &ada.gateway_key, "x y"] {
        all_refuse(&world, &ada.id, Some(token), 401, "TOKEN_INVALID").await;
    }
    all_refuse(&world, &ada.id, Some(""), 401, "TOKEN_MISSING").await;
}

#[tokio::test]
async fn promise_i4_no_operation_works_with_an_expired_token() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    world.clock.advance(Duration::from_hours(7 * 24));
    all_refuse(&world, &ada.id, Some(&ada.token), 401, "TOKEN_EXPIRED").await;
}

#[tokio::test]
async fn promise_i4_no_operation_works_with_a_token_that_was_logged_out() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    world.post("/api/v1/auth/logout").by(&ada).send().await.expect(204);
    all_refuse(&world, &ada.id, Some(&ada.token), 401, "TOKEN_INVALID").await;
}

#[tokio::test]
async fn promise_i4_another_tenants_paths_do_not_exist() {
    let world = World::open();
    let (ada, bob) = (world.tenant("ada@example.org").await, world.tenant("bob@example.org").await);
    world.service(&bob, "users").await;
    let mut compared = 0;
    for operation in guarded().into_iter().filter(|operation| operation.path.starts_with("/tenants/{t}")) {
        let ask = async |tenant: &str| {
            let call = world.call(&operation.method, &path_of(&operation, tenant)).by(&ada);
            let call = call.header("x-request-id", NOBODY).json(&json!({}));
            let answer = call.send().await;
            answer.problem(404, "NOT_FOUND");
            (answer.headers.clone(), answer.bytes)
        };
        assert_eq!(ask(&bob.id).await, ask(NOBODY).await, "{} {}", operation.method, operation.path);
        assert_eq!(ask(&bob.id).await, ask("not-a-uuid").await);
        compared += 1;
    }
    assert!(compared > 30);
    world.get(&bob.path("")).by(&bob).send().await.expect(200);
}

#[tokio::test]
async fn ids_of_another_tenants_things_name_nothing() {
    let world = World::open();
    let (ada, bob) = (world.tenant("ada@example.org").await, world.tenant("bob@example.org").await);
    let service = world.service(&bob, "users").await;
    let key = world.get(&bob.path("/gateway-keys")).by(&bob).send().await.expect(200)["items"][0]["id"].clone();
    let service = format!("/services/{}", service["id"].as_str().unwrap());
    let key = format!("/gateway-keys/{}", key.as_str().unwrap());
    for (method, rest) in [
        ("GET", &service),
        ("PUT", &service),
        ("PATCH", &service),
        ("DELETE", &service),
        ("GET", &key),
        ("DELETE", &key),
    ] {
        let body = json!({"name": "users", "targets": [{"url": "http://10.0.0.5:8080"}]});
        world.call(method, &ada.path(rest)).by(&ada).json(&body).send().await.problem(404, "NOT_FOUND");
    }
    world.get(&bob.path(&service)).by(&bob).send().await.expect(200);
}

#[tokio::test]
async fn a_suspended_tenant_is_told_so() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let id = novagate_kernel::TenantId::parse(&ada.id).unwrap();
    let state = novagate_ports_control::outbound::TenantState::Suspended;
    world.control.set_tenant_state(id, state).await.unwrap();
    all_refuse(&world, &ada.id, Some(&ada.token), 403, "TENANT_SUSPENDED").await;
}

#[tokio::test]
async fn the_authorization_header_is_read_as_rfc_6750_says() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let ask = |value: String| world.get(&ada.path("")).header("authorization", &value);
    ask(format!("bearer {}", ada.token)).send().await.expect(200);
    ask(format!("BEARER   {}", ada.token)).send().await.expect(200);
    for missing in [ada.token.clone(), format!("Basic {}", ada.token), "Bearer".into(), "Bearer  ".into()] {
        ask(missing).send().await.problem(401, "TOKEN_MISSING");
    }
    ask(format!("Bearer {}", ada.token)).bearer(&ada.token).send().await.problem(401, "TOKEN_INVALID");
    world.get(&format!("{}?token={}", ada.path(""), ada.token)).send().await.problem(401, "TOKEN_MISSING");
}

async fn fails_to_log_in(world: &World, peer: &str, forwarded: &[&str]) -> u16 {
    let mut call = world.post("/api/v1/auth/login").from(peer);
    for value in forwarded {
        call = call.header("x-forwarded-for", value);
    }
    call.json(&json!({"email": "ada@example.org", "password": "wrong"})).send().await.status.as_u16()
}

#[tokio::test]
async fn a_forwarded_address_counts_only_from_a_trusted_proxy() {
    let options = || AdminOptions { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..AdminOptions::default() };
    let proxy = "10.0.0.1:9";
    // Whatever the client writes in front of what the proxy adds: it is one client.
    let world = World::with(RegistrationMode::Open, options());
    for number in 0..10 {
        let made_up = format!("198.51.100.{number}");
        assert_eq!(fails_to_log_in(&world, proxy, &[&made_up, "203.0.113.7"]).await, 401);
    }
    assert_eq!(fails_to_log_in(&world, proxy, &["198.51.100.99, 203.0.113.7, 10.0.0.2"]).await, 429);
    assert_eq!(fails_to_log_in(&world, "[::ffff:10.0.0.1]:9", &["203.0.113.7"]).await, 429);
    assert_eq!(fails_to_log_in(&world, proxy, &["203.0.113.8"]).await, 401);
    // From anybody else the header is nothing.
    for number in 0..10 {
        let made_up = format!("198.51.100.{number}");
        assert_eq!(fails_to_log_in(&world, "203.0.113.50:9", &[&made_up]).await, 401);
    }
    assert_eq!(fails_to_log_in(&world, "203.0.113.50:9", &["198.51.100.200"]).await, 429);
}

#[tokio::test]
async fn a_session_begins_with_registration_or_login_and_ends_with_a_new_password() {
    let world = World::open();
    let ada: Tenant = world.tenant("ada@example.org").await;
    let login = json!({"email": "ADA@example.org", "password": PASSWORD});
    let session = world.post("/api/v1/auth/login").json(&login).send().await.expect(200);
    assert_eq!(session["tenantId"], ada.id.as_str());
    assert_eq!(session["expiresAt"], "2026-01-08T00:00:00.000123Z");
    let change = json!({"current": PASSWORD, "new": "a wholly new one"});
    world.post("/api/v1/auth/change-password").by(&ada).json(&change).send().await.expect(204);
    world.get(&ada.path("")).by(&ada).send().await.problem(401, "TOKEN_INVALID");
    world.post("/api/v1/auth/login").json(&login).send().await.problem(401, "INVALID_CREDENTIALS");
}

#[tokio::test]
async fn refused_logins_look_the_same_for_known_and_unknown_accounts() {
    let world = World::open();
    world.tenant("ada@example.org").await;
    for attempt in 0..12 {
        let ask = async |email: &str, peer: &str| {
            let body = json!({"email": email, "password": "wrong"});
            let call = world.post("/api/v1/auth/login").from(peer).header("x-request-id", NOBODY).json(&body);
            let answer = call.send().await;
            (answer.status, answer.headers, answer.bytes)
        };
        let known = ask("ada@example.org", "192.0.2.8:1").await;
        assert_eq!(known, ask("nobody@example.org", "192.0.2.9:1").await, "attempt {attempt}");
        assert_eq!(known.0.as_u16(), if attempt < 10 { 401 } else { 429 });
        assert_eq!(known.1.contains_key("retry-after"), attempt >= 10);
    }
}

#[tokio::test]
async fn a_verified_control_plane_answers_202_alike_and_the_link_makes_the_tenant() {
    let mut world = World::with(RegistrationMode::Verified, AdminOptions::default());
    let worker = world.worker.take().unwrap();
    let scenario = async {
        let register = async || {
            let body = json!({"name": "Acme", "email": "ada@example.org"});
            let call = world.post("/api/v1/auth/register").header("x-request-id", NOBODY).json(&body);
            let answer = call.send().await;
            assert_eq!(answer.status.as_u16(), 202);
            answer.bytes
        };
        let unknown = register().await;
        let limit = Duration::from_secs(9);
        novagate_fixtures::wait_until("a mail", limit, || async { world.mails.links().len() == 1 }).await;
        let body = json!({"token": world.mails.links()[0], "password": PASSWORD});
        let made = world.post("/api/v1/auth/verify").json(&body).send().await.expect(201);
        assert!(made["gatewayApiKey"].as_str().unwrap().starts_with("gw_"));
        let again = world.post("/api/v1/auth/verify").json(&body).send().await;
        assert_eq!(again.faults(), ["/token invalid_token"]);
        assert_eq!(register().await, unknown);
        world.post("/api/v1/auth/forgot-password").json(&json!({"email": "ada@example.org"})).send().await.expect(202);
        novagate_fixtures::wait_until("a mail", limit, || async { world.mails.links().len() == 2 }).await;
        let body = json!({"token": world.mails.links()[1], "password": "a wholly new one"});
        world.post("/api/v1/auth/reset-password").json(&body).send().await.expect(204);
        assert_eq!(
            world.post("/api/v1/auth/reset-password").json(&body).send().await.faults(),
            ["/token invalid_token"]
        );
    };
    tokio::select! { () = scenario => {}, () = worker.run() => unreachable!("the control plane lives") }
}

#[tokio::test]
async fn a_closed_control_plane_says_that_it_is() {
    let world = World::with(RegistrationMode::Closed, AdminOptions::default());
    let body = json!({"name": "Acme", "email": "ada@example.org", "password": PASSWORD});
    world.post("/api/v1/auth/register").json(&body).send().await.problem(403, "REGISTRATION_CLOSED");
}
