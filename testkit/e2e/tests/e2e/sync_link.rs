//! The link between gateway and control plane.

use std::collections::BTreeMap;

use novagate_e2e::{
    Api, Authority, Connection, Control, ControlOptions, EDGE_SECRET, Gateway, GatewayOptions, PATIENCE, Process,
    RecordingProxy, Response, Upstream, World, find_bytes, wait_until,
};
use novagate_fixtures::{assert_no_canary, canary};
use serde_json::json;

/// Asks for the upgrade as a gateway does.
pub(crate) fn upgrade(control: &Control, authorization: Option<&str>) -> Response {
    let authorization = authorization.map(|value| format!("authorization: {value}\r\n")).unwrap_or_default();
    let head = format!(
        "GET /sync/v1 HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: novagate.sync.v1\r\n{authorization}\r\n",
        control.address()
    );
    Connection::open(control.address()).unwrap().send_raw(head.as_bytes(), false).unwrap()
}

#[test]
fn promise_x2_a_bad_gateway_key_is_refused_before_the_upgrade() {
    let control = Control::start();
    let (api, other) = (Api::register(&control), Api::register(&control));
    let key = &api.account.gateway_key;
    let accepted = upgrade(&control, Some(&format!("Bearer {key}")));
    assert_eq!(accepted.status, 101, "{}", accepted.text());
    assert_eq!(accepted.header("sec-websocket-protocol"), Some("novagate.sync.v1"));

    let (_, random) = key.rsplit_once('_').unwrap();
    let wrong = [
        None,
        Some("Bearer".to_owned()),
        Some("Basic Zm9vOmJhcg==".to_owned()),
        Some("Bearer garbage".to_owned()),
        Some(format!("Bearer gw_{}_{}", api.account.tenant, "0".repeat(32))),
        Some(format!("Bearer gw_{}_{random}", other.account.tenant)),
        Some(format!("Bearer {}", key.to_uppercase())),
        Some(format!("Bearer {}", api.account.token)),
    ];
    for value in wrong {
        let refused = upgrade(&control, value.as_deref());
        assert_eq!(refused.status, 401, "{value:?}: {}", refused.text());
        assert_eq!(refused.code(), "KEY_INVALID", "{value:?}");
    }
    let id = api.items("/gateway-keys")[0]["id"].as_str().unwrap().to_owned();
    api.delete(&format!("/gateway-keys/{id}")).expect(204);
    let revoked = upgrade(&control, Some(&format!("Bearer {key}")));
    assert_eq!((revoked.status, revoked.code().as_str()), (401, "KEY_REVOKED"));
    assert_eq!(upgrade(&control, Some(&format!("Bearer {}", other.account.gateway_key))).status, 101);
}

#[test]
fn promise_x2_an_unencrypted_link_beyond_loopback_is_refused_at_the_start() {
    let key = format!("gw_00000000-0000-4000-8000-000000000001_{}", "a".repeat(32));
    for url in ["ws://192.0.2.1:8080", "ws://control.example.com", "http://127.0.0.1:8080"] {
        let environment = [("CONTROL_PLANE_URL", url), ("GATEWAY_API_KEY", &key), ("JWT_SECRET", EDGE_SECRET)];
        let environment: BTreeMap<String, String> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let exit = Process::run("novagate-gateway", &[], &environment);
        assert_eq!(exit.code, Some(64), "{url}: {exit:?}");
        assert!(exit.stderr.contains("CONTROL_PLANE_URL"), "{}", exit.stderr);
    }
}

#[test]
fn promise_x2_an_unencrypted_link_that_an_operator_allows_is_warned_of() {
    let key = format!("gw_00000000-0000-4000-8000-000000000001_{}", "a".repeat(32));
    let allowed = |url: &str| {
        let environment = vec![("ALLOW_INSECURE_CONTROL_PLANE", "true".to_owned())];
        let (control_url, key) = (url.to_owned(), key.clone());
        Gateway::launch(&GatewayOptions { control_url, key, environment, socket: None })
    };
    // An address of documentation: nobody answers.
    let exposed = allowed("ws://192.0.2.1:8080");
    wait_until("the gateway warns", PATIENCE, || exposed.output().contains("ALLOW_INSECURE_CONTROL_PLANE"));
    let private = allowed("ws://127.0.0.1:9");
    private.ready().expect(503);
    assert!(!private.output().contains("ALLOW_INSECURE_CONTROL_PLANE"), "loopback needs no warning");
}

#[test]
fn promise_x2_the_link_runs_under_tls_and_an_untrusted_certificate_is_refused() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let control = Control::with(&ControlOptions { authority: Some(&authority), ..ControlOptions::default() });
    let api = Api::register(&control);
    let ca = authority.ca_file().display().to_string();
    let world = World::around(control, api, Upstream::named("users"), vec![("CONTROL_PLANE_CA_FILE", ca)]);
    world.gateway.get("/open/x").expect(200);
    world.api.wait_acked();

    let other = stranger.ca_file().display().to_string();
    // Without a file of one's own: the public authorities, of which ours is none.
    for environment in [vec![("CONTROL_PLANE_CA_FILE", other)], Vec::new()] {
        let options = GatewayOptions {
            control_url: world.control.sync_url(),
            key: world.api.account.gateway_key.clone(),
            environment: [environment, vec![("LOG_LEVEL", "debug".to_owned())]].concat(),
            ..GatewayOptions::default()
        };
        let refusing = Gateway::launch(&options);
        wait_until("the gateway says what is wrong with the certificate", PATIENCE, || {
            let said = refusing.output().to_lowercase();
            said.contains("certificate") || said.contains("unknownissuer")
        });
        assert!(!refusing.is_connected());
        assert_eq!(refusing.get("/open/x").expect(503).code(), "NOT_READY");
    }
    assert_eq!(world.api.items("/gateways").len(), 1, "only one gateway has ever got in");
    // A control plane with TLS speaks nothing else on its port.
    let plain =
        Connection::open(world.control.address()).unwrap().send_raw(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", false);
    assert!(plain.is_err_or_refused(), "plain HTTP is answered");
}

trait Refused {
    fn is_err_or_refused(&self) -> bool;
}

impl Refused for std::io::Result<Response> {
    fn is_err_or_refused(&self) -> bool {
        self.as_ref().map_or(true, |response| response.status == 400)
    }
}

#[test]
fn promise_x2_every_reconnect_authenticates_again() {
    let control = Control::start();
    let api = Api::register(&control);
    let proxy = RecordingProxy::start(control.address());
    let url = format!("ws://{}", proxy.address());
    let world = World::dialling(&url, control, api, Upstream::named("users"), Vec::new());
    let sessions = |proxy: &RecordingProxy| {
        let heads = proxy.recordings().into_iter().map(|one| String::from_utf8_lossy(&one.node_text()).to_lowercase());
        heads.filter(|text| text.contains("\"hello\"")).collect::<Vec<String>>()
    };
    for round in 1..4 {
        wait_until("another session", PATIENCE, || sessions(&proxy).len() >= round);
        world.gateway.wait_connected(true);
        proxy.cut();
    }
    let key = format!("authorization: bearer {}", world.api.account.gateway_key);
    for session in sessions(&proxy) {
        assert!(session.starts_with("get /sync/v1 http/1.1\r\n") && session.contains(&key), "{session}");
    }
}

#[test]
fn promise_x3_the_jwt_secret_stays_in_the_gateways_environment() {
    let trace = || ("LOG_LEVEL", "trace".to_owned());
    let options = ControlOptions { environment: vec![trace()], ..ControlOptions::default() };
    let control = Control::with(&options);
    let api = Api::register(&control);
    let proxy = RecordingProxy::start(control.address());
    let url = format!("ws://{}", proxy.address());
    let mut world = World::dialling(&url, control, api, Upstream::named("users"), vec![trace()]);
    let token = novagate_e2e::edge_token(EDGE_SECRET, "app");
    let request = novagate_e2e::Request::get("/closed/x").bearer(&token);
    let answer = world.gateway.send(&request).expect(200);
    world.api.wait_log(answer.header("x-request-id").unwrap());

    let secret = canary("secret");
    let base = json!({ "name": "r", "match": { "path": "/r" }, "service": "users" });
    for (field, value, pointer) in [
        ("auth", json!({ "required": true, "jwtSecret": secret }), "/auth/jwtSecret"),
        ("jwtSecret", json!(secret), "/jwtSecret"),
        ("policies", json!([{ "type": "jwt", "secret": secret }]), "/policies"),
    ] {
        let mut body = base.clone();
        body[field] = value;
        let refused = world.api.post("/routes", &body).expect(422);
        let said = refused.at("/errors/0/pointer");
        assert!(said.as_str().unwrap().starts_with(pointer), "{pointer}: {}", refused.text());
        assert_no_canary("the refusal", &refused.text());
    }
    let yaml = format!("services: []\njwtSecret: {secret}\n");
    let refused = world.api.send(world.api.request("PUT", "/config").body("application/yaml", yaml)).expect(422);
    assert_eq!(refused.at("/errors/0/pointer"), "/jwtSecret");

    for recording in proxy.recordings() {
        assert_eq!(find_bytes(&recording.node_text(), EDGE_SECRET.as_bytes()), None);
        assert_eq!(find_bytes(&recording.from_hub, EDGE_SECRET.as_bytes()), None);
    }
    world.control.terminate();
    for place in [world.control.folder(), world.gateway.folder()] {
        assert!(place.files_with(EDGE_SECRET).is_empty());
        assert!(place.files_with("CANARY7F").is_empty());
    }
    for output in [world.control.output(), world.gateway.output()] {
        assert!(!output.contains(EDGE_SECRET));
        assert_no_canary("the output at level trace", &output);
    }
}
