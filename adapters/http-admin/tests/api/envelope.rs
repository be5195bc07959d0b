//! What surrounds every request, and the few pages beside the API.

use novagate_fixtures::START;
use novagate_http_admin::operations;
use serde_json::{Value, json};

use crate::world::World;

const ID: &str = "11111111-2222-4333-8444-555555555555";

#[tokio::test]
async fn a_request_id_is_kept_when_it_is_a_uuid_and_replaced_otherwise() {
    let world = World::open();
    for path in ["/healthz", "/nowhere", "/api/v1/tenants/x"] {
        let kept = world.get(path).header("x-request-id", ID).send().await;
        assert_eq!(kept.header("x-request-id"), Some(ID));
        let none = world.get(path).send().await;
        for junk in ["", "x", "CANARY7F", "11111111-2222-4333-8444-55555555555g"] {
            let replaced = world.get(path).header("x-request-id", junk).send().await;
            let id = replaced.header("x-request-id").unwrap();
            assert!(id.len() == 36 && id != ID && Some(id) != none.header("x-request-id"));
            assert!(!replaced.text().contains("CANARY7F"));
        }
    }
}

#[tokio::test]
async fn every_answer_forbids_sniffing_and_storing() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    for path in ["/", "/docs", "/healthz", "/nowhere", &ada.path(""), "/api/v1/openapi.json"] {
        let answer = world.get(path).by(&ada).send().await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_404_and_a_known_one_with_another_method_405_with_allow() {
    let world = World::open();
    for path in
        ["/nowhere", "/api/v1", "/api/v1/", "/api/v1/nowhere", "/api/v1/tenants", "/api/v2/tenants/x", "/healthz/"]
    {
        world.get(path).send().await.problem(404, "NOT_FOUND");
    }
    let answer = world.get("/api/v1/auth/login").send().await;
    answer.problem(405, "METHOD_NOT_ALLOWED");
    assert_eq!(answer.header("allow"), Some("POST"));
    let answer = world.call("DELETE", "/api/v1/tenants/x/services").send().await;
    answer.problem(405, "METHOD_NOT_ALLOWED");
    let allow = answer.header("allow").unwrap();
    assert!(["GET", "HEAD", "POST"].iter().all(|method| allow.contains(method)), "{allow}");
    let answer = world.post("/healthz").send().await;
    answer.problem(405, "METHOD_NOT_ALLOWED");
    assert_eq!(answer.header("allow"), Some("GET,HEAD"));
}

#[tokio::test]
async fn head_is_get_without_its_body_refusals_included() {
    let world = World::open();
    let ada = world.tenant("ada@example.org").await;
    for (path, status) in
        [(ada.path(""), 200), ("/docs".into(), 200), ("/nowhere".into(), 404), (ada.path("/services/x"), 404)]
    {
        let (head, get) = (world.call("HEAD", &path).by(&ada).send().await, world.get(&path).by(&ada).send().await);
        assert_eq!((head.status.as_u16(), get.status.as_u16()), (status, status));
        assert!(head.bytes.is_empty() && !get.bytes.is_empty(), "{path}");
        assert_eq!(
            (head.header("content-type"), head.header("etag")),
            (get.header("content-type"), get.header("etag"))
        );
    }
}

#[tokio::test]
async fn the_start_page_says_what_runs_where_and_loads_nothing_from_elsewhere() {
    let world = World::open();
    for path in ["/", "/docs"] {
        let answer = world.get(path).send().await;
        assert_eq!(answer.status.as_u16(), 200);
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        let page = answer.text();
        assert!(!page.contains("src=\"http") && !page.contains("<script") && !page.contains("@import"));
    }
    let start = world.get("/").send().await;
    assert!(["/api/v1", "/sync/v1", "/docs", "/healthz"].iter().all(|text| start.text().contains(text)));
}

#[tokio::test]
async fn the_docs_page_and_the_document_name_every_operation() {
    let world = World::open();
    let page = world.get("/docs").send().await;
    let document = world.get("/api/v1/openapi.json").send().await;
    assert_eq!(document.header("content-type"), Some("application/json"));
    let document: Value = serde_json::from_slice(&document.bytes).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for operation in operations() {
        assert!(page.text().contains(&format!("<code>{}</code>", operation.path)), "{}", operation.path);
        assert!(document["paths"][&operation.path][operation.method.to_lowercase()].is_object());
    }
}

#[tokio::test]
async fn promise_d1_the_security_contact_is_served_and_not_expired() {
    let world = World::open();
    let answer = world.get("/.well-known/security.txt").send().await;
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    let text = answer.text();
    assert!(text.contains("Contact: mailto:security@novagate.dev"), "{text}");
    assert!(text.contains("48 hours") && text.contains("7 days"));
    let expires = text.lines().find_map(|line| line.strip_prefix("Expires: ")).unwrap();
    let expires = novagate_documents::time::parse_timestamp(expires).unwrap();
    let days = expires.since(START).as_secs() / 86_400;
    assert!((30..365).contains(&days), "{days}");
}

#[tokio::test]
async fn liveness_and_readiness_say_so() {
    let world = World::open();
    assert_eq!(world.get("/healthz").send().await.expect(200), json!({"status": "ok"}));
    assert_eq!(world.get("/readyz").send().await.expect(200), json!({"status": "ready"}));
}
