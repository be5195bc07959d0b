//! Several control nodes on one PostgreSQL database, with Redis between them and without.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use novagate_chaos::CutLink;
use novagate_e2e::{
    Api, Control, ControlOptions, Gateway, GatewayOptions, Load, PATIENCE, Request, Servers, Upstream, wait_for,
    wait_until,
};
use serde_json::{Value, json};

/// Sessions compare with storage every 30 s; what happens faster was told by a wake-up.
const CHECK: Duration = Duration::from_secs(30);

type Between = fn() -> Option<Arc<Servers>>;

/// Runs a scenario with either kind of bus.
macro_rules! on_both_buses {
    ($($scenario:ident),+ $(,)?) => { $(
        mod $scenario {
            use super::*;

            #[test]
            fn on_postgres_alone() {
                super::$scenario(Servers::without_redis);
            }

            #[test]
            fn with_redis() {
                super::$scenario(Servers::start);
            }
        }
    )+ };
}

on_both_buses!(
    an_edit_on_one_node_reaches_gateways_of_the_other,
    both_nodes_show_the_same_gateways_and_receipts,
    what_is_revoked_on_one_node_ends_on_the_other,
);

/// Two control nodes, a tenant with a route, and a gateway on each.
struct Pair {
    gateways: [Gateway; 2],
    apis: [Api; 2],
    controls: [Control; 2],
    upstream: Upstream,
}

impl Pair {
    fn on(servers: &Arc<Servers>) -> Self {
        Self::of([Control::on(servers), Control::on(servers)])
    }

    fn of(controls: [Control; 2]) -> Self {
        let upstream = Upstream::named("users");
        let api = Api::register(&controls[0]);
        let apis = [api.clone(), api.at(&controls[1])];
        api.service("users", &upstream.url());
        api.open_route("open", "/open/*", "users");
        let gateways = controls.each_ref().map(|control| gateway(&control.sync_url(), &api));
        for gateway in &gateways {
            gateway.wait_status("/open/first", 200);
        }
        Self { gateways, apis, controls, upstream }
    }
}

fn gateway(url: &str, api: &Api) -> Gateway {
    let key = api.account.gateway_key.clone();
    Gateway::start(&GatewayOptions { control_url: url.to_owned(), key, ..GatewayOptions::default() })
}

fn an_edit_on_one_node_reaches_gateways_of_the_other(between: Between) {
    let Some(servers) = between() else { return };
    let pair = Pair::on(&servers);
    for round in 0..4 {
        let path = format!("/round/{round}");
        pair.apis[round % 2].open_route(&format!("round-{round}"), &path, "users");
        let begin = Instant::now();
        for gateway in &pair.gateways {
            gateway.wait_status(&path, 200);
        }
        assert!(begin.elapsed() < CHECK / 3, "it was told, not found");
    }
    let heads: BTreeSet<u64> = pair.apis.iter().map(Api::head_seq).collect();
    assert_eq!(heads.len(), 1);
    assert!(pair.upstream.last_to("/round/3").is_some());
}

/// What a node shows of the gateways: id, whether it is online, the revision it serves.
fn fleet(api: &Api) -> Vec<(Value, Value, Value)> {
    let items = api.items("/gateways").into_iter();
    let mut seen: Vec<_> = items
        .map(|item| (item["id"].clone(), item["online"].clone(), item["appliedRevision"]["seq"].clone()))
        .collect();
    seen.sort_by_key(|(id, ..)| id.to_string());
    seen
}

fn both_nodes_show_the_same_gateways_and_receipts(between: Between) {
    let Some(servers) = between() else { return };
    let mut pair = Pair::on(&servers);
    let seq = pair.apis[1].head_seq();
    for api in &pair.apis {
        wait_until("both gateways are shown, with receipts", PATIENCE, || {
            let online = fleet(api).iter().filter(|(_, online, applied)| *online == true && *applied == seq).count();
            let receipts = api.get(&format!("/revisions/{seq}")).expect(200);
            online == 2 && receipts.at("/acked").as_array().is_some_and(|nodes| nodes.len() == 2)
        });
    }
    assert_eq!(fleet(&pair.apis[0]), fleet(&pair.apis[1]));
    pair.gateways[0].terminate();
    for api in &pair.apis {
        wait_until("one gateway is shown as gone", PATIENCE, || {
            fleet(api).iter().filter(|(_, online, _)| *online == true).count() == 1
        });
    }
}

fn what_is_revoked_on_one_node_ends_on_the_other(between: Between) {
    let Some(servers) = between() else { return };
    let pair = Pair::on(&servers);
    let [first, second] = &pair.apis;
    let consumer = first.consumer("app");
    let (id, key) = first.consumer_key(&consumer);
    first.closed_route("closed", "/closed/*", "users");
    let [_, far] = &pair.gateways;
    let call = || far.send(&Request::get("/closed/x").header("x-api-key", &key)).status;
    wait_until("the key works", PATIENCE, || call() == 200);
    first.delete(&format!("/consumers/{consumer}/keys/{id}")).expect(204);
    let begin = Instant::now();
    wait_until("the key works no more", PATIENCE, || call() == 401);
    assert!(begin.elapsed() < CHECK / 3, "it was told, not found");
    let keys = second.items("/gateway-keys");
    let begin = Instant::now();
    first.delete(&format!("/gateway-keys/{}", keys[0]["id"].as_str().unwrap())).expect(204);
    far.wait_connected(false);
    assert!(begin.elapsed() < CHECK / 3, "it was told, not found");
    far.get("/open/x").expect(200);
}

#[test]
fn of_two_conditional_edits_on_two_nodes_one_wins() {
    let Some(servers) = Servers::without_redis() else { return };
    let pair = Pair::on(&servers);
    let id = pair.apis[0].service("raced", &pair.upstream.url());
    let below = format!("/services/{id}");
    for _ in 0..10 {
        let etag = pair.apis[0].get(&below).expect(200).header("etag").unwrap().to_owned();
        let edits: Vec<_> = pair
            .apis
            .iter()
            .enumerate()
            .map(|(number, api)| {
                let timeout = json!({ "timeoutMs": 1000 + number });
                let request = api.request("PATCH", &below).json(&timeout).header("if-match", &etag);
                let api = api.clone();
                std::thread::spawn(move || api.send(request).status)
            })
            .collect();
        let mut statuses: Vec<_> = edits.into_iter().map(|edit| edit.join().unwrap()).collect();
        statuses.sort_unstable();
        // The loser may find that the winner has written the very value that it wanted.
        assert!(statuses == [200, 412] || statuses == [200, 200], "{statuses:?}");
        let seen: BTreeSet<String> = pair.apis.iter().map(|api| api.get(&below).expect(200).text()).collect();
        assert_eq!(seen.len(), 1, "both nodes show the same");
    }
}

#[test]
fn nodes_restarted_one_after_the_other_lose_no_edit_and_no_request() {
    let Some(servers) = Servers::without_redis() else { return };
    let mut controls = [Control::on(&servers), Control::on(&servers)];
    let balancer = CutLink::balancing(&controls.each_ref().map(Control::address));
    let upstream = Upstream::named("users");
    let api = Api::register(&controls[0]).through(balancer.address());
    api.service("users", &upstream.url());
    api.open_route("open", "/open/*", "users");
    let url = format!("ws://{}", balancer.address());
    let gateways = [gateway(&url, &api), gateway(&url, &api)];
    let loads =
        gateways.each_ref().map(|gateway| Load::start(gateway.address(), 2, |n| Request::get(&format!("/open/{n}"))));
    let (editor, answered, stop) = edit_until_told(&api);
    for control in &mut controls {
        wait_until("edits are under way", PATIENCE, || answered.lock().unwrap().len() >= 5);
        assert_eq!(control.terminate().code, Some(0));
        let before = answered.lock().unwrap().len();
        wait_until("the other node takes edits", PATIENCE, || answered.lock().unwrap().len() >= before + 5);
        control.restart();
    }
    stop.store(true, Ordering::Relaxed);
    editor.join().unwrap();
    let kept = api.get("/config").expect(200).text();
    let promised = answered.lock().unwrap();
    let lost: Vec<&String> = promised.iter().filter(|name| !kept.contains(&format!("\"{name}\""))).collect();
    assert!(lost.is_empty(), "answered 201 and lost: {lost:?}");
    api.open_route("last", "/last", "users");
    for gateway in &gateways {
        gateway.wait_status("/last", 200);
    }
    for load in loads {
        load.finish().assert_flawless();
    }
}

type Edits = (std::thread::JoinHandle<()>, Arc<Mutex<Vec<String>>>, Arc<AtomicBool>);

/// Makes consumers until told to stop. What is not answered with 201 was not promised.
fn edit_until_told(api: &Api) -> Edits {
    let (answered, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let (names, ended, api) = (Arc::clone(&answered), Arc::clone(&stop), api.clone());
    let editor = std::thread::spawn(move || {
        for number in 0..10_000 {
            if ended.load(Ordering::Relaxed) {
                return;
            }
            let name = format!("app-{number}");
            let request = api.request("POST", "/consumers").json(&json!({ "name": name }));
            if api.try_send(request).is_ok_and(|response| response.status == 201) {
                names.lock().unwrap().push(name);
            }
        }
    });
    (editor, answered, stop)
}

#[test]
fn an_edit_of_a_node_that_is_killed_before_its_wake_up_is_found_by_the_check() {
    let Some(servers) = Servers::without_redis() else { return };
    let speech = CutLink::before(servers.database().port());
    let session_url = servers.database_through(speech.port());
    let options = ControlOptions {
        environment: vec![("DATABASE_SESSION_URL", session_url)],
        servers: Some(Arc::clone(&servers)),
        ..ControlOptions::default()
    };
    let mut pair = Pair::of([Control::with(&options), Control::on(&servers)]);
    let load = Load::start(pair.gateways[1].address(), 2, |number| Request::get(&format!("/open/{number}")));
    // It can commit, and cannot say so.
    speech.freeze();
    let (api, before) = (pair.apis[0].clone(), pair.apis[1].head_seq());
    let edit = std::thread::spawn(move || {
        let route = json!({ "name": "late", "match": { "path": "/late" }, "service": "users" });
        api.try_send(api.request("POST", "/routes").json(&route)).is_ok()
    });
    wait_for("the edit is committed", PATIENCE, || (pair.apis[1].head_seq() > before).then_some(()));
    pair.controls[0].kill9();
    edit.join().unwrap();
    let served = || pair.gateways[1].get("/late").status == 200;
    wait_until("the check has found the edit", CHECK + PATIENCE, served);
    pair.gateways[0].get("/open/x").expect(200);
    load.finish().assert_flawless();
}
