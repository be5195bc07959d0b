//! PostgreSQL stops, stands still, is slow or is cut off: callers get a code quickly, nothing that was answered is lost, it
//! heals by itself, and traffic never notices.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use novagate_chaos::{CutLink, Moment};
use novagate_e2e::{
    Api, Control, ControlOptions, Gateway, GatewayOptions, Load, PATIENCE, Request, Response, Servers, Upstream,
    wait_until,
};
use novagate_services::Postgres;
use serde_json::json;

/// A person waits that long for an answer, and a proxy does.
const QUICKLY: Duration = Duration::from_secs(15);

/// A control node, a tenant and a gateway under load.
struct Scene {
    load: Load,
    gateway: Gateway,
    api: Api,
    _control: Control,
    _upstream: Upstream,
}

impl Scene {
    fn on(servers: &Arc<Servers>, environment: Vec<(&'static str, String)>) -> Self {
        let servers = Some(Arc::clone(servers));
        let control = Control::with(&ControlOptions { environment, servers, ..ControlOptions::default() });
        let upstream = Upstream::named("users");
        let api = Api::register(&control);
        api.service("users", &upstream.url());
        api.open_route("open", "/open/*", "users");
        let key = api.account.gateway_key.clone();
        let control_url = control.sync_url();
        let gateway = Gateway::start(&GatewayOptions { control_url, key, ..GatewayOptions::default() });
        gateway.wait_status("/open/first", 200);
        let load = Load::start(gateway.address(), 2, |number| Request::get(&format!("/open/{number}")));
        Self { load, gateway, api, _control: control, _upstream: upstream }
    }

    /// Tries to make a consumer.
    fn edit(&self, name: &str) -> Response {
        let begin = Instant::now();
        let answer = self.api.send(self.api.request("POST", "/consumers").json(&json!({ "name": name })));
        assert!(begin.elapsed() < QUICKLY, "an answer took {:?}", begin.elapsed());
        answer
    }

    /// An edit that must fail in the way that callers are told of.
    fn edit_in_vain(&self, name: &str) {
        let answer = self.edit(name).expect(503);
        assert_eq!(answer.code(), "UNAVAILABLE");
        assert!(answer.header("retry-after").is_some());
    }

    /// Edits again until one is taken, and waits until traffic goes by it.
    fn heals(&self, path: &str) {
        let route = json!({ "name": path.trim_start_matches('/'), "match": { "path": path }, "service": "users" });
        // An attempt that was answered with a fault may have been committed all the same.
        wait_until("edits are taken again", PATIENCE, || matches!(self.api.post("/routes", &route).status, 201 | 409));
        self.gateway.wait_status(path, 200);
    }

    fn keeps(&self, name: &str) -> bool {
        self.api.get("/config").expect(200).text().contains(&format!("\"{name}\""))
    }

    fn end(self) {
        self.load.wait_for_more(20);
        self.load.finish().assert_flawless();
    }
}

#[test]
fn postgres_stopped_and_started_again() {
    let Some(server) = Postgres::own() else { return };
    let scene = Scene::on(&Servers::on_own(&server), Vec::new());
    scene.edit("kept").expect(201);
    server.stop();
    scene.edit_in_vain("lost");
    scene.load.wait_for_more(100);
    server.restart();
    scene.heals("/after");
    assert!(scene.keeps("kept"), "what was answered 201 is there");
    server.crash();
    scene.edit_in_vain("lost");
    server.restart();
    scene.heals("/again");
    scene.end();
}

#[test]
fn postgres_that_stands_still_and_postgres_that_is_slow() {
    let Some(servers) = Servers::without_redis() else { return };
    let link = CutLink::before(servers.database().port());
    let scene = Scene::on(&servers, vec![("DATABASE_URL", servers.database_through(link.port()))]);
    link.freeze();
    scene.edit_in_vain("frozen");
    scene.load.wait_for_more(100);
    link.heal();
    scene.heals("/after");
    link.delay(Duration::from_millis(20));
    scene.edit("slow").expect(201);
    link.heal();
    assert!(scene.keeps("slow"));
    scene.end();
}

#[test]
fn a_connection_cut_in_the_middle_of_a_transaction_and_of_its_commit() {
    let Some(servers) = Servers::without_redis() else { return };
    let link = CutLink::before(servers.database().port());
    let scene = Scene::on(&servers, vec![("DATABASE_URL", servers.database_through(link.port()))]);
    for (number, (word, moment)) in [
        ("INSERT INTO", Moment::Before),
        ("INSERT INTO", Moment::After),
        ("COMMIT", Moment::Before),
        ("COMMIT", Moment::After),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("cut-{number}");
        // A node forgets what it has prepared when its connections end, and says whole statements again.
        link.cut();
        wait_until("it serves", PATIENCE, || scene.api.get("/consumers").status == 200);
        link.cut_at(word.as_bytes(), moment);
        let answer = scene.edit(&name);
        assert!(matches!(answer.status, 201 | 503), "{word} {moment:?}: {}", answer.text());
        // Telemetry and receipts write too: the word may have been theirs.
        wait_until("the link was cut", PATIENCE, || link.caught() > number);
        link.heal();
        wait_until("it serves again", PATIENCE, || scene.api.get("/consumers").status == 200);
        if answer.status == 201 {
            assert!(scene.keeps(&name), "what was answered 201 is there");
        }
        // All or nothing: the name is free, or taken by the whole object.
        let again = scene.edit(&name).status;
        assert!(matches!(again, 201 | 409), "{again}");
        assert!(scene.keeps(&name));
    }
    scene.heals("/after");
    scene.end();
}

#[test]
fn all_connections_of_the_pool_are_waiting() {
    let Some(servers) = Servers::without_redis() else { return };
    let scene = Scene::on(&servers, vec![("DATABASE_CONNECTIONS", "2".to_owned())]);
    let mut lock = Command::new(novagate_services::postgres_program("psql"))
        .args(["-X", "-q", "-d", servers.database().url(), "-c"])
        .arg("BEGIN; LOCK TABLE public.tenants IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND \
                relation = 'public.tenants'::regclass";
    wait_until("the table is locked", PATIENCE, || servers.database().sql(&[held]) == "1");
    let callers: Vec<_> = (0..6)
        .map(|number| {
            let api = scene.api.clone();
            std::thread::spawn(move || {
                let begin = Instant::now();
                let request = api.request("POST", "/consumers").json(&json!({ "name": format!("c-{number}") }));
                (api.send(request).status, begin.elapsed())
            })
        })
        .collect();
    for caller in callers {
        let (status, took) = caller.join().unwrap();
        assert!(status == 503 && took < QUICKLY, "{status} after {took:?}");
    }
    scene.load.wait_for_more(50);
    lock.kill().unwrap();
    lock.wait().unwrap();
    servers
        .database()
        .sql(&["SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)'"]);
    scene.heals("/after");
    scene.end();
}
