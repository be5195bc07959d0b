//! Live traffic stays on the gateway, and nothing of it gets into logs, labels or records.

use std::collections::BTreeSet;

use novagate_e2e::{
    Answer, Api, Connection, Control, ControlOptions, EDGE_SECRET, FileWorld, PATIENCE, Received, RecordingProxy,
    Request, Upstream, World, edge_token, wait_for,
};
use novagate_fixtures::{assert_no_canary, canary};
use serde_json::Value;

/// From the range of documentation: no program has it by itself.
const CLIENT_IP: &str = "203.0.113.77";

/// The usual scene at level trace, with every byte of the sync link recorded.
struct Watched {
    proxy: RecordingProxy,
    world: World,
}

/// Marks in status line, headers and body; `/refuse` breaks the connection off.
fn marked_answer(request: &Received) -> Answer {
    let size = request.header("x-answer-size").and_then(|size| size.parse().ok()).unwrap_or(10);
    let status = if request.target.contains("status-500") { 500 } else { 200 };
    Answer::new(status, canary("answer-body").repeat(size))
        .header("x-answer", &canary("answer-header"))
        .header("set-cookie", &format!("session={}", canary("answer-cookie")))
}

impl Watched {
    fn start() -> Self {
        let trace = || ("LOG_LEVEL", "trace".to_owned());
        let control = Control::with(&ControlOptions { environment: vec![trace()], ..ControlOptions::default() });
        let api = Api::register_as(&control, &format!("{}@example.org", canary("mail")), "correct horse battery");
        let proxy = RecordingProxy::start(control.address());
        let url = format!("ws://{}", proxy.address());
        let upstream = Upstream::start(marked_answer);
        let world = World::dialling(
            &url,
            control,
            api,
            upstream,
            vec![trace(), ("TRUSTED_PROXY_CIDRS", "127.0.0.0/8".to_owned())],
        );
        Self { proxy, world }
    }

    /// Nine requests a round with marks in every part; returns when all of them are in the control plane's log.
    fn send_marked(&self, rounds: usize) {
        let token = edge_token(EDGE_SECRET, &canary("subject"));
        let mut connection = Connection::open(self.world.gateway.address()).unwrap();
        let marked = |request: Request| {
            request
                .header("user-agent", &canary("agent"))
                .header("cookie", &format!("session={}", canary("cookie")))
                .header("referer", &format!("http://{}.example/", canary("referer")))
                .header("x-forwarded-for", CLIENT_IP)
                .header("x-secret", &canary("header"))
        };
        let path = |prefix: &str| format!("{prefix}/{}?q={}", canary("path"), canary("query"));
        for _ in 0..rounds {
            let body = canary("body").repeat(20);
            let requests = [
                marked(Request::get(&path("/open"))),
                marked(Request::new("POST", &path("/open"))).body("application/json", format!("{{\"a\":\"{body}\"}}")),
                marked(Request::get(&path("/closed"))).bearer(&token),
                marked(Request::get(&path("/closed"))).bearer(&canary("bearer")),
                marked(Request::get(&path("/closed"))).header("x-api-key", &canary("key")),
                marked(Request::get(&path("/nowhere"))),
                marked(Request::get(&path("/open/status-500"))),
                marked(Request::new("CANARY7F", &path("/open"))),
                marked(Request::get(&path("/open"))).header("host", "canary7f-host.example"),
            ];
            for request in requests {
                connection.send(&request).unwrap();
            }
        }
        self.settle();
    }

    /// Records travel in order: when the last request is in the log, all are.
    fn settle(&self) {
        let last = self.world.gateway.get("/open/last");
        self.world.api.wait_log(last.header("x-request-id").unwrap());
    }

    fn sync_bytes(&self) -> Vec<u8> {
        self.proxy.recordings().iter().flat_map(|one| [one.node_text(), one.from_hub.clone()].concat()).collect()
    }
}

fn assert_clean(what: &str, text: &str) {
    assert_no_canary(what, text);
    assert!(!text.contains(CLIENT_IP), "{what} carries a client's address");
}

#[test]
fn promise_x1_live_traffic_never_reaches_the_control_plane() {
    let mut watched = Watched::start();
    // 10,008 requests over one connection.
    watched.send_marked(1_112);
    let sync = String::from_utf8_lossy(&watched.sync_bytes()).into_owned();
    assert!(sync.contains("\"logs\""), "records did travel");
    assert_clean("the sync link", &sync);
    assert_clean("the control plane's output", &watched.world.control.output());
    watched.world.control.terminate();
    // The account's own address is the tenant's data, and is kept as such.
    let mail = canary("mail").to_lowercase();
    for (place, bytes) in watched.world.control.kept() {
        let text = String::from_utf8_lossy(&bytes).to_lowercase().replace(&mail, "");
        assert_clean(&place, &text);
    }
}

#[test]
fn promise_x1_what_the_control_plane_gets_does_not_grow_with_payloads() {
    let watched = Watched::start();
    let mut connection = Connection::open(watched.world.gateway.address()).unwrap();
    let mut phase = |size: usize| {
        let before = watched.proxy.bytes_from_nodes();
        for _ in 0..1_000 {
            let request = Request::new("POST", "/open/sized").header("x-answer-size", &(size / 10).to_string());
            connection.send(&request.body("text/plain", "x".repeat(size))).unwrap().expect(200);
        }
        watched.settle();
        watched.proxy.bytes_from_nodes() - before
    };
    let (small, large) = (phase(100), phase(20_000));
    // Heartbeats and windows of metrics differ with the time it takes.
    assert!(large < small * 3 / 2 + 16_384, "{small} bytes for 100 kB of payload, {large} for 20 MB");
}

#[test]
fn promise_n1_request_logs_hold_templates_and_never_query_or_body() {
    let watched = Watched::start();
    watched.send_marked(5);
    let items = watched.world.api.items("/logs?limit=100");
    assert!(items.len() >= 40, "{}", items.len());
    let fields = [
        "at",
        "code",
        "consumerId",
        "id",
        "latencyUs",
        "method",
        "nodeId",
        "path",
        "requestId",
        "routeId",
        "service",
        "status",
        "upstreamUs",
    ];
    let paths: BTreeSet<&str> = items.iter().map(|item| item["path"].as_str().unwrap()).collect();
    assert!(paths.iter().all(|path| ["/open/*", "/closed/*", "unmatched"].contains(path)), "{paths:?}");
    for item in &items {
        let names: Vec<&str> = item.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(names.iter().all(|name| fields.contains(name)), "{names:?}");
        assert_clean("a log item", &item.to_string());
    }
    assert!(items.iter().any(|item| item["method"] == "OTHER"));
    // The gateway writes the same lines for its operators.
    let lines = watched.world.gateway.output();
    assert!(lines.contains("/open/*"), "requests are logged on the gateway");
    assert_clean("the gateway's log", &lines);
}

#[test]
fn promise_n2_series_of_metrics_are_bounded_whatever_clients_send() {
    let world = FileWorld::start(Vec::new());
    let mut connection = Connection::open(world.gateway.address()).unwrap();
    let mut send = |method: &str, target: &str, host: &str| {
        connection.send(&Request::new(method, target).header("host", host)).unwrap();
    };
    for method in ["GET", "WARMUP"] {
        for target in ["/open/warm", "/nowhere"] {
            send(method, target, "warm.example");
        }
    }
    let series = || {
        let text = world.gateway.metrics();
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(name, _)| name.to_owned())
            .collect::<BTreeSet<String>>()
    };
    let counted =
        |series: &BTreeSet<String>| series.iter().filter(|name| name.starts_with("http_requests_total")).count();
    let before =
        wait_for("all four kinds are counted", PATIENCE, || Some(series()).filter(|series| counted(series) >= 4));
    for number in 0..10_000 {
        let method = format!("M{number}");
        let prefix = if number % 3 == 0 { "/nowhere" } else { "/open" };
        send(&method, &format!("{prefix}/{number}?q={number}"), &format!("h{number}.example"));
    }
    let total = || {
        let text = world.gateway.metrics();
        let lines = text.lines().filter(|line| line.starts_with("http_requests_total"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    wait_for("all requests are counted", PATIENCE, || (total() >= 10_004.0).then_some(()));
    assert_eq!(series(), before);
    assert!(before.iter().any(|name| name.contains("route=\"unmatched\"")), "{before:?}");
    assert!(before.iter().any(|name| name.contains("method=\"OTHER\"")), "{before:?}");
}

#[test]
fn promise_n3_no_token_password_address_or_mail_gets_into_logs_or_labels() {
    let mut watched = Watched::start();
    watched.send_marked(5);
    let control = &watched.world.control;
    let login =
        serde_json::json!({ "email": format!("{}@example.org", canary("mail")), "password": canary("password") });
    control.send(&Request::new("POST", "/api/v1/auth/login").json(&login)).expect(401);
    control.send(&Request::get(&watched.world.api.path("")).bearer(&canary("token"))).expect(401);
    control.send(&Request::get(&format!("/{}?q={}", canary("path"), canary("query")))).expect(404);
    let ops = novagate_e2e::request(control.ops(), &Request::get("/metrics")).unwrap().expect(200).text();
    assert_clean("the control plane's metrics", &ops);
    assert_clean("the gateway's metrics", &watched.world.gateway.metrics());
    for path in ["/health", "/status"] {
        assert_clean(path, &watched.world.gateway.admin(path).to_string());
    }
    watched.world.gateway.terminate();
    watched.world.control.terminate();
    assert_clean("the gateway's output", &watched.world.gateway.output());
    assert_clean("the control plane's output", &watched.world.control.output());
    for path in watched.world.gateway.folder().files() {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        assert_clean(&path.display().to_string(), &text);
    }
}

#[test]
fn promise_n4_error_events_hold_codes_and_ids_only() {
    let watched = Watched::start();
    let gone = Upstream::named("gone");
    watched.world.api.service("gone", &gone.url());
    drop(gone);
    watched.world.api.open_route("gone", "/gone/*", "gone");
    watched.world.api.wait_acked();
    for _ in 0..20 {
        let target = format!("/gone/{}?q={}", canary("path"), canary("query"));
        let answer = watched.world.gateway.send(&Request::get(&target).header("x-secret", &canary("header")));
        assert!(matches!(answer.status, 502 | 503), "{}", answer.text());
        assert_no_canary("the refusal", &answer.text());
    }
    let events = wait_for("the error events have arrived", PATIENCE, || {
        Some(watched.world.api.items("/errors?limit=100")).filter(|events| events.len() >= 20)
    });
    let fields = ["at", "code", "id", "nodeId", "requestId", "routeId", "serviceId"];
    for event in &events {
        let names: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(names.iter().all(|name| fields.contains(name)), "{names:?}");
        assert!(matches!(event["code"].as_str(), Some("DOWNSTREAM_ERROR" | "NO_HEALTHY_TARGETS")), "{event}");
        assert!(matches!(event["serviceId"], Value::String(_)));
        assert_clean("an error event", &event.to_string());
    }
    assert_clean("the sync link", &String::from_utf8_lossy(&watched.sync_bytes()));
}
