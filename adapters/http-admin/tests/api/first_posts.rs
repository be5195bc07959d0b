//! Repeated POSTs of somebody who has no tenant yet, and of accounts.

use std::time::Duration;

use novagate_control_core::RegistrationMode;
use novagate_http_admin::AdminOptions;
use serde_json::{Value, json};

use crate::world::{Answer, PASSWORD, Tenant, World};

const OTHER_PASSWORD: &str = "another horse entirely";

async fn send(world: &World, path: &str, key: Option<&str>, body: &Value) -> Answer {
    let call = world.post(&format!("/api/v1/auth/{path}")).json(body);
    let call = if let Some(key) = key { call.header("idempotency-key", key) } else { call };
    call.send().await
}

fn registration(email: &str) -> Value {
    json!({"name": "Acme", "email": email, "password": PASSWORD})
}

/// The answer says which tenant it was, and no secret.
fn assert_replay(again: Answer, tenant: &Value) {
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let place = format!("/api/v1/tenants/{}", tenant.as_str().unwrap());
    assert_eq!(again.header("location"), Some(place.as_str()));
    let want = json!({"tenantId": tenant, "token": null, "gatewayApiKey": null, "secretShown": true});
    assert_eq!(again.expect(201), want);
}

/// Sends the mails that wait.
async fn deliver(world: &mut World) {
    let worker = world.worker.take().unwrap();
    worker.run_until(std::future::ready(())).await;
}

#[tokio::test]
async fn a_repeated_registration_answers_the_same_tenant_without_secrets() {
    let world = World::open();
    let body = registration("ada@example.org");
    let first = send(&world, "register", Some("k"), &body).await;
    assert!(first.header("idempotency-replayed").is_none());
    let first = first.expect(201);
    assert!(first["token"].is_string() && first["gatewayApiKey"].is_string() && first.get("secretShown").is_none());
    for _ in 0..2 {
        assert_replay(send(&world, "register", Some("k"), &body).await, &first["tenantId"]);
    }
    send(&world, "register", Some("another"), &body).await.problem(409, "EMAIL_TAKEN");
    send(&world, "register", None, &body).await.problem(409, "EMAIL_TAKEN");
}

#[tokio::test]
async fn a_registration_with_the_same_key_and_another_body_is_422_and_makes_nothing() {
    let world = World::open();
    send(&world, "register", Some("k"), &registration("ada@example.org")).await.expect(201);
    let other_password = json!({"name": "Acme", "email": "ada@example.org", "password": OTHER_PASSWORD});
    for other in [registration("bob@example.org"), other_password] {
        send(&world, "register", Some("k"), &other).await.problem(422, "IDEMPOTENCY_KEY_REUSED");
    }
    let login = json!({"email": "bob@example.org", "password": PASSWORD});
    send(&world, "login", None, &login).await.problem(401, "INVALID_CREDENTIALS");
}

#[tokio::test]
async fn a_registration_is_remembered_for_a_day_and_as_long_as_its_tenant() {
    let world = World::open();
    let first = send(&world, "register", Some("k"), &registration("ada@example.org")).await.expect(201);
    world.clock.advance(Duration::from_secs(24 * 3_600 - 1));
    assert_replay(send(&world, "register", Some("k"), &registration("ada@example.org")).await, &first["tenantId"]);
    world.clock.advance(Duration::from_secs(1));
    let second = send(&world, "register", Some("k"), &registration("bob@example.org")).await.expect(201);
    let bob = Tenant {
        id: second["tenantId"].as_str().unwrap().to_owned(),
        token: second["token"].as_str().unwrap().to_owned(),
        gateway_key: String::new(),
    };
    world.call("DELETE", &bob.path("")).by(&bob).send().await.expect(200);
    let third = send(&world, "register", Some("k"), &registration("bob@example.org")).await.expect(201);
    assert_ne!(third["tenantId"], second["tenantId"]);
}

#[tokio::test]
async fn a_failed_registration_may_be_tried_again_with_the_same_key() {
    let world = World::open();
    send(&world, "register", None, &registration("ada@example.org")).await.expect(201);
    send(&world, "register", Some("k"), &registration("ada@example.org")).await.problem(409, "EMAIL_TAKEN");
    send(&world, "register", Some("k"), &json!({"name": "Acme"})).await.problem(422, "VALIDATION_FAILED");
    send(&world, "register", Some("k"), &registration("bob@example.org")).await.expect(201);
}

#[tokio::test]
async fn of_simultaneous_registrations_with_one_key_one_is_made_and_nobody_is_told_another_story() {
    let world = World::open();
    let body = registration("ada@example.org");
    let all = futures_util::future::join_all((0..8).map(|_| send(&world, "register", Some("k"), &body))).await;
    let made = all.iter().filter(|answer| answer.status == 201 && answer.header("idempotency-replayed").is_none());
    assert_eq!(made.count(), 1);
    for answer in all {
        match answer.status.as_u16() {
            201 => {}
            _ => drop(answer.problem(409, "IDEMPOTENCY_IN_PROGRESS")),
        }
    }
}

#[tokio::test]
async fn a_key_belongs_to_its_path_and_is_short_visible_text() {
    let world = World::open();
    let body = registration("ada@example.org");
    send(&world, "register", Some("k"), &body).await.expect(201);
    send(&world, "forgot-password", Some("k"), &json!({"email": "ada@example.org"})).await.expect(202);
    for bad in ["", &"x".repeat(256)] {
        for path in ["register", "verify", "login", "forgot-password", "reset-password"] {
            let token = "0".repeat(64);
            let body = match path {
                "register" => registration("bob@example.org"),
                "login" => json!({"email": "ada@example.org", "password": PASSWORD}),
                "forgot-password" => json!({"email": "ada@example.org"}),
                _ => json!({"token": token, "password": PASSWORD}),
            };
            send(&world, path, Some(bad), &body).await.problem(400, "BAD_REQUEST");
        }
    }
}

#[tokio::test]
async fn a_repeated_registration_by_mail_sends_one_mail_and_tells_nothing_about_the_address() {
    let mut world = World::with(RegistrationMode::Verified, AdminOptions::default());
    let mut answers = Vec::new();
    for email in ["ada@example.org", "bob@example.org"] {
        let body = json!({"name": "Acme", "email": email});
        let first = send(&world, "register", Some(email), &body).await.expect(202);
        let again = send(&world, "register", Some(email), &body).await;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.expect(202), first);
        let other = json!({"name": "Other", "email": email});
        send(&world, "register", Some(email), &other).await.problem(422, "IDEMPOTENCY_KEY_REUSED");
        answers.push(first);
    }
    assert_eq!(answers[0], answers[1]);
    deliver(&mut world).await;
    assert_eq!(world.mails.links().len(), 2, "one for each address");
}

#[tokio::test]
async fn a_repeated_verification_answers_the_same_tenant_though_its_link_is_used_up() {
    let mut world = World::with(RegistrationMode::Verified, AdminOptions::default());
    send(&world, "register", None, &json!({"name": "Acme", "email": "ada@example.org"})).await.expect(202);
    deliver(&mut world).await;
    let body = json!({"token": world.mails.links()[0], "password": PASSWORD});
    let first = send(&world, "verify", Some("k"), &body).await.expect(201);
    assert!(first["token"].is_string() && first["gatewayApiKey"].is_string());
    assert_replay(send(&world, "verify", Some("k"), &body).await, &first["tenantId"]);
    assert_eq!(send(&world, "verify", None, &body).await.faults(), ["/token invalid_token"]);
    let other = json!({"token": world.mails.links()[0], "password": OTHER_PASSWORD});
    send(&world, "verify", Some("k"), &other).await.problem(422, "IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test]
async fn a_repeated_request_for_a_link_sends_one_mail_and_a_repeated_use_of_it_is_done() {
    let mut world = World::open();
    world.tenant("ada@example.org").await;
    for email in ["ada@example.org", "nobody@example.org"] {
        let body = json!({"email": email});
        let first = send(&world, "forgot-password", Some(email), &body).await.expect(202);
        assert_eq!(send(&world, "forgot-password", Some(email), &body).await.expect(202), first);
        let other = json!({"email": "other@example.org"});
        send(&world, "forgot-password", Some(email), &other).await.problem(422, "IDEMPOTENCY_KEY_REUSED");
    }
    deliver(&mut world).await;
    let links = world.mails.links();
    assert_eq!(links.len(), 1);
    let body = json!({"token": links[0], "password": OTHER_PASSWORD});
    send(&world, "reset-password", Some("k"), &body).await.expect(204);
    let again = send(&world, "reset-password", Some("k"), &body).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    again.expect(204);
    assert_eq!(send(&world, "reset-password", None, &body).await.faults(), ["/token invalid_token"]);
}

#[tokio::test]
async fn a_repeated_login_proves_the_password_and_shows_no_token() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let body = json!({"email": "ada@example.org", "password": PASSWORD});
    let first = send(&world, "login", Some("k"), &body).await.expect(200);
    assert!(first["token"].is_string());
    let again = send(&world, "login", Some("k"), &body).await.expect(200);
    let want = json!({"tenantId": ada.id, "expiresAt": first["expiresAt"], "token": null, "secretShown": true});
    assert_eq!(again, want);
    let wrong = json!({"email": "ada@example.org", "password": OTHER_PASSWORD});
    send(&world, "login", Some("k"), &wrong).await.problem(401, "INVALID_CREDENTIALS");
    assert!(send(&world, "login", Some("k2"), &body).await.expect(200)["token"].is_string());
}

#[tokio::test]
async fn a_repeated_change_of_a_password_is_done_once() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    let body = json!({"current": PASSWORD, "new": OTHER_PASSWORD});
    let change = async |token: &str, body: &Value| {
        let call = world.post("/api/v1/auth/change-password").bearer(token).header("idempotency-key", "k");
        call.json(body).send().await
    };
    change(&ada.token, &body).await.expect(204);
    change(&ada.token, &body).await.problem(401, "TOKEN_INVALID");
    let login = json!({"email": "ada@example.org", "password": OTHER_PASSWORD});
    let fresh = send(&world, "login", None, &login).await.expect(200)["token"].as_str().unwrap().to_owned();
    let again = change(&fresh, &body).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    again.expect(204);
    let back = json!({"current": OTHER_PASSWORD, "new": PASSWORD});
    change(&fresh, &back).await.problem(422, "IDEMPOTENCY_KEY_REUSED");
}
