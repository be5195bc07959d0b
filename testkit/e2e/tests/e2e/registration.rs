//! How tenants come into being, and what operators do with them.

use std::os::unix::fs::PermissionsExt as _;

use novagate_e2e::{
    Api, Control, ControlOptions, Folder, Gateway, GatewayOptions, PATIENCE, Request, Response, Upstream, World,
    wait_for, wait_until,
};
use novagate_fixtures::canary;
use serde_json::{Value, json};

use crate::sync_link::upgrade;

fn control(mode: &str) -> Control {
    let environment = vec![("REGISTRATION", mode.to_owned()), ("PUBLIC_URL", "https://nova.example.com".to_owned())];
    Control::with(&ControlOptions { environment, ..ControlOptions::default() })
}

fn auth(control: &Control, path: &str, body: &Value) -> Response {
    control.send(&Request::new("POST", &format!("/api/v1/auth/{path}")).json(body))
}

/// What follows `word` on the line that begins with it.
fn after(text: &str, word: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(word));
    line.unwrap_or_else(|| panic!("no {word}: {text}")).trim().to_owned()
}

#[test]
fn an_address_is_proven_before_a_tenant_exists() {
    let control = control("verified");
    let register = |email: &str| auth(&control, "register", &json!({ "name": "New", "email": email })).expect(202);
    let fresh = register("new@example.org");
    let mail = wait_for("the mail is written", PATIENCE, || {
        let files = control.folder().files();
        let file = files.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "eml"))?;
        std::fs::read_to_string(file).ok()
    });
    let (before, after) = mail.split_once("#token=").unwrap();
    assert!(before.ends_with("https://nova.example.com/verify"), "links come from PUBLIC_URL: {mail}");
    let token: String = after.chars().take_while(char::is_ascii_hexdigit).collect();
    auth(&control, "login", &json!({ "email": "new@example.org", "password": "a good password" })).expect(401);
    let verify = |password: &str| auth(&control, "verify", &json!({ "token": token, "password": password }));
    verify("short").expect(422);
    let registered = verify("a good password").expect(201);
    assert!(registered.str_at("/gatewayApiKey").starts_with("gw_"));
    assert_eq!(verify("a good password").expect(422).at("/errors/0/pointer"), "/token");
    auth(&control, "login", &json!({ "email": "new@example.org", "password": "a good password" })).expect(200);
    let known = register("new@example.org");
    assert_eq!(known.json(), fresh.json(), "the answer does not tell who has an account");
}

#[test]
fn a_repeated_registration_is_the_same_tenant_also_after_a_restart_and_keeps_nothing_of_the_password() {
    let mut control = Control::start();
    let password = canary("password");
    let body = json!({ "name": "Acme", "email": "ada@example.org", "password": password });
    let register = |control: &Control, key: &str, body: &Value| {
        let post = Request::new("POST", "/api/v1/auth/register").header("idempotency-key", key);
        control.send(&post.json(body))
    };
    let first = register(&control, "k", &body).expect(201);
    let wanted =
        json!({ "tenantId": first.at("/tenantId"), "token": null, "gatewayApiKey": null, "secretShown": true });
    for round in 0..2 {
        let again = register(&control, "k", &body).expect(201);
        assert_eq!((again.header("idempotency-replayed"), again.json()), (Some("true"), wanted.clone()), "{round}");
        let other = json!({ "name": "Other", "email": "bob@example.org", "password": password });
        assert_eq!(register(&control, "k", &other).expect(422).code(), "IDEMPOTENCY_KEY_REUSED");
        assert_eq!(register(&control, "another", &body).expect(409).code(), "EMAIL_TAKEN");
        control.restart();
    }
    let login = Request::new("POST", "/api/v1/auth/login").header("idempotency-key", "k");
    let login = login.json(&json!({ "email": "ada@example.org", "password": password }));
    assert!(control.send(&login).expect(200).at("/token").is_string());
    assert!(control.send(&login).expect(200).at("/token").is_null());
    control.terminate();
    assert_eq!(control.places_with("CANARY7F"), Vec::<String>::new());
}

#[test]
fn with_closed_registration_operators_create_tenants() {
    let control = control("closed");
    let body = json!({ "name": "n", "email": "a@example.org", "password": "a good password" });
    assert_eq!(auth(&control, "register", &body).expect(403).code(), "REGISTRATION_CLOSED");
    let created = control.operate(&["tenants", "create", "--name", "Acme", "--email", "a@example.org"]);
    assert_eq!(created.code, Some(0), "{}", created.stderr);
    let (tenant, password) = (after(&created.stdout, "tenantId"), after(&created.stdout, "password"));
    let login = auth(&control, "login", &json!({ "email": "a@example.org", "password": password })).expect(200);
    assert_eq!(login.str_at("/tenantId"), tenant);
    assert_eq!(control.operate(&["tenants", "list"]).stdout.trim(), tenant);
    let again = control.operate(&["tenants", "create", "--name", "Acme", "--email", "a@example.org"]);
    assert_eq!(again.code, Some(64), "{again:?}");
    assert_eq!(control.operate(&["tenants", "suspend", "nonsense"]).code, Some(64));
}

#[test]
fn operators_hand_a_key_over_in_a_file_and_publish_a_first_configuration() {
    let control = control("closed");
    let folder = Folder::new("operator");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let upstream = Upstream::named("first");
    let config = json!({
        "services": [{ "name": "s", "targets": [{ "url": upstream.url() }] }],
        "routes": [{ "name": "r", "match": { "path": "/first" }, "service": "s" }],
    });
    std::fs::write(file("config.yaml"), config.to_string()).unwrap();
    std::fs::write(file("password"), "chosen by its owner\n").unwrap();
    let (key, password, apply) = (file("key"), file("password"), file("config.yaml"));
    let plain = ["tenants", "create", "--name=Acme", "--email=a@example.org", "--gateway-key-file", &key];
    let files = ["--password-file", &password, "--apply", &apply];
    let create = [plain.as_slice(), files.as_slice()].concat();
    let created = control.operate(&create);
    assert_eq!(created.code, Some(0), "{}", created.stderr);
    assert!(!created.stdout.contains("gw_") && !created.stdout.contains("password"), "{}", created.stdout);
    auth(&control, "login", &json!({ "email": "a@example.org", "password": "chosen by its owner" })).expect(200);
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);

    let environment = vec![("GATEWAY_API_KEY_FILE", key.clone())];
    let options = GatewayOptions { control_url: control.sync_url(), environment, ..GatewayOptions::default() };
    Gateway::start(&options).wait_status("/first", 200);

    let again = control.operate(&create);
    assert!(again.code == Some(64) && again.stderr.contains("--gateway-key-file exists already"), "{again:?}");
    let tolerant = [create.as_slice(), &["--if-absent"]].concat();
    assert_eq!(control.operate(&tolerant).code, Some(0));
    std::fs::remove_file(&key).unwrap();
    let lost = control.operate(&tolerant);
    assert!(lost.code == Some(64) && lost.stderr.contains("make a new gateway key"), "{lost:?}");
    let broken = control.operate(&["tenants", "create", "--name=B", "--email=b@example.org", "--apply", &password]);
    assert!(broken.code == Some(64) && broken.stderr.contains("--apply"), "{broken:?}");
    assert_eq!(control.operate(&["tenants", "list"]).stdout.lines().count(), 1, "nothing was made in vain");
}

#[test]
fn two_registrations_of_one_address_make_one_tenant() {
    let control = Control::start();
    let api = Api::register_as(&control, "twice@example.org", "a good password");
    let body = json!({ "name": "n", "email": "Twice@Example.org", "password": "another password" });
    assert_eq!(auth(&control, "register", &body).expect(409).code(), "EMAIL_TAKEN");
    assert_eq!(control.operate(&["tenants", "list"]).stdout.trim(), api.account.tenant);
}

#[test]
fn a_suspended_tenant_is_refused_and_served_and_comes_back() {
    let world = World::start();
    let tenant = world.api.account.tenant.clone();
    world.api.wait_acked();
    assert_eq!(world.control.operate(&["tenants", "suspend", &tenant]).code, Some(0));
    wait_until("management is refused", PATIENCE, || world.api.get("/services").status == 403);
    assert_eq!(world.api.get("/services").code(), "TENANT_SUSPENDED");
    let key = format!("Bearer {}", world.api.account.gateway_key);
    let refused = upgrade(&world.control, Some(&key));
    assert_eq!((refused.status, refused.code().as_str()), (403, "TENANT_SUSPENDED"));
    world.gateway.get("/open/x").expect(200);
    assert_eq!(world.control.operate(&["tenants", "resume", &tenant]).code, Some(0));
    wait_until("management works again", PATIENCE, || world.api.get("/services").status == 200);
}
