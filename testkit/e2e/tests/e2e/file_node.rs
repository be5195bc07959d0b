//! A gateway without control plane: its configuration is a file.

use std::collections::BTreeMap;

use novagate_e2e::{EDGE_SECRET, FileWorld, Folder, Load, Process, Request, edge_token, now_seconds};
use novagate_e2e::{EdgeClaims, PATIENCE, forged, free_port, wait_until};
use serde_json::json;

#[test]
fn a_gateway_serves_what_its_file_says_and_stops_in_order() {
    let mut world = FileWorld::start(Vec::new());
    let gateway = &world.gateway;
    gateway.get("/open/a/b").expect(200);
    assert_eq!(world.upstream.last_to("/open").unwrap().target, "/open/a/b");
    gateway.get("/open").expect(200);
    assert_eq!(gateway.get("/openly").expect(404).code(), "ROUTE_NOT_FOUND");
    assert_eq!(gateway.get("/closed/x").expect(401).code(), "TOKEN_MISSING");
    gateway.send(&Request::get("/closed/x").bearer(&edge_token(EDGE_SECRET, "anybody"))).expect(200);
    let health = gateway.admin("/health");
    assert_eq!((health["configSource"].as_str(), health["status"].as_str()), (Some("file"), Some("ok")));
    let load = Load::start(gateway.address(), 4, |number| Request::get(&format!("/open/{number}")));
    load.wait_for_more(200);
    load.finish().assert_flawless();
    let exit = world.gateway.terminate();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
}

#[test]
fn tokens_at_the_edge_are_judged_as_the_rulings_say() {
    let world = FileWorld::start(vec![("JWT_ISSUER", "issuer".to_owned())]);
    let algorithm = jsonwebtoken::Algorithm::HS256;
    let exp = now_seconds() + 600;
    let good = json!({ "sub": "a", "exp": exp, "iss": "issuer" });
    let token =
        |claims: &serde_json::Value| forged(&json!({ "alg": "HS256" }), claims, EDGE_SECRET.as_bytes(), algorithm);
    let code = |token: &str| {
        let answer = world.gateway.send(&Request::get("/closed/x").bearer(token));
        if answer.status == 200 { "200".to_owned() } else { answer.expect(401).code() }
    };
    assert_eq!(code(&token(&good)), "200");
    assert_eq!(code(&token(&json!({ "sub": "a", "exp": now_seconds() - 1, "iss": "issuer" }))), "TOKEN_EXPIRED");
    for (claims, what) in [
        (json!({ "sub": "a", "iss": "issuer" }), "no exp"),
        (json!({ "sub": "a", "exp": exp }), "no issuer"),
        (json!({ "sub": "a", "exp": exp, "iss": "another" }), "another issuer"),
        (json!({ "sub": "a", "exp": exp, "iss": "issuer", "nbf": exp }), "not valid yet"),
    ] {
        assert_eq!(code(&token(&claims)), "TOKEN_INVALID", "{what}");
    }
    let none = forged(&json!({ "alg": "none" }), &good, EDGE_SECRET.as_bytes(), algorithm);
    for (bad, what) in [
        (none.clone(), "alg none, signed"),
        (format!("{}.", none.rsplit_once('.').unwrap().0), "alg none, unsigned"),
        (forged(&json!({ "alg": "RS256" }), &good, EDGE_SECRET.as_bytes(), algorithm), "RS256 over a shared secret"),
        (
            forged(&json!({ "alg": "HS256" }), &good, b"another-secret-of-thirty-two-bytes!!", algorithm),
            "another secret",
        ),
        ("garbage".to_owned(), "garbage"),
    ] {
        assert_eq!(code(&bad), "TOKEN_INVALID", "{what}");
    }
    assert_eq!(code("ck_00000000000000000000000000000000"), "KEY_INVALID");
    let both =
        Request::get("/closed/x").bearer(&token(&good)).header("x-api-key", "ck_00000000000000000000000000000000");
    assert_eq!(world.gateway.send(&both).expect(401).code(), "KEY_INVALID", "a presented key decides alone");
    let optional = Request::get("/open/x").bearer("garbage");
    assert_eq!(world.gateway.send(&optional).expect(401).code(), "TOKEN_INVALID");
    // The claims of a stranger who found our clock: the type is the same, the issuer is missing.
    let plain = EdgeClaims { sub: "a".into(), exp };
    assert_eq!(code(&token(&json!(plain))), "TOKEN_INVALID");
}

#[test]
fn what_is_matched_is_what_is_forwarded() {
    let world = FileWorld::start(Vec::new());
    for (asked, forwarded) in [
        ("/open//a///b", "/open/a/b"),
        ("/open/./a/../b", "/open/b"),
        ("/open/%41%7e", "/open/A~"),
        ("/open/a%20b?q=%2F..%2f&q=//", "/open/a%20b?q=%2F..%2f&q=//"),
        ("/closed/../open/c", "/open/c"),
    ] {
        world.gateway.get(asked).expect(200);
        assert_eq!(world.upstream.received().last().unwrap().target, forwarded, "{asked}");
    }
    let before = world.upstream.received().len();
    for (asked, status) in [
        ("/open/../closed/x", 401),
        ("/open/%2e%2e/closed/x", 401),
        ("/open/.%2E/closed/x", 401),
        ("/open/..%2fclosed/x", 400),
        ("/open/%5C..%5Cclosed", 400),
        ("/open/\\..\\closed", 400),
        ("/open/%00", 400),
        ("/open/%c", 400),
        ("/../open/x", 400),
        ("/OPEN/x", 404),
        ("/closed", 401),
        ("/closed/", 401),
    ] {
        assert_eq!(world.gateway.get(asked).status, status, "{asked}");
    }
    assert_eq!(world.upstream.received().len(), before, "none of them reaches the upstream");
}

#[test]
fn a_client_over_its_limit_gets_429_and_is_told_when_to_come_back() {
    let world = FileWorld::start(vec![
        ("RATE_LIMIT_UNAUTH_MAX", "20".to_owned()),
        ("RATE_LIMIT_WINDOW_MS", "60000".to_owned()),
    ]);
    let answers: Vec<_> = (0..30).map(|_| world.gateway.get("/open/x")).collect();
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 20);
    let refused = answers.last().unwrap().clone().expect(429);
    assert_eq!(refused.code(), "RATE_LIMIT_EXCEEDED");
    // The window, and the sub-bucket of a sixtieth in which the oldest request was counted.
    assert!((1..=61).contains(&refused.header("retry-after").unwrap().parse::<u32>().unwrap()));
    assert!(refused.header("ratelimit").is_some() && refused.header("ratelimit-policy").is_some(), "{refused:?}");
    // Who has a credential has an account of its own.
    world.gateway.send(&Request::get("/open/x").bearer(&edge_token(EDGE_SECRET, "a"))).expect(200);
}

#[test]
fn a_broken_config_file_ends_the_start_and_says_where() {
    let folder = Folder::new("broken");
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, "services:\n  - {name: users, targets: [{url: nonsense}]}\nroutes: []\n").unwrap();
    let settings = [
        ("CONFIG_FILE", file.display().to_string()),
        ("JWT_SECRET", EDGE_SECRET.to_owned()),
        ("DATA_DIR", folder.path().join("data").display().to_string()),
        ("PORT", free_port().to_string()),
        ("ADMIN_ADDR", format!("127.0.0.1:{}", free_port())),
    ];
    let environment: BTreeMap<String, String> =
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let exit = Process::run("novagate-gateway", &[], &environment);
    assert_eq!(exit.code, Some(64), "{exit:?}");
    assert!(exit.stderr.contains("/services/0/targets/0/url"), "{}", exit.stderr);
}

#[test]
fn an_idle_gateway_takes_little_memory_scrapes_included() {
    let world = FileWorld::start(Vec::new());
    world.gateway.get("/open/a").expect(200);
    wait_until("the request is counted", PATIENCE, || world.gateway.metric("http_requests_total{").is_some());
    let own = world.gateway.own_memory_kib();
    assert!(own < 8 * 1024, "{own} KiB");
}
