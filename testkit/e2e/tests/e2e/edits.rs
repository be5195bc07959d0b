//! Thousands of edits of a real control plane reach a real gateway under load: no request fails, no answer goes back in time,
//! and the gateway's memory does not grow.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use novagate_e2e::{Connection, Load, PATIENCE, Request, Response, World, wait_for, wait_until};
use serde_json::{Value, json};

/// Edits after which the gateway has taken the memory that edits take, and further ones between two looks at it. What is
/// taken for every edit shows at every look; what the allocator takes for a moment of much work does not.
const LOOKS: [u64; 4] = [401, 932, 1_466, 2_000];
/// What the edits between two looks may take, when they take the least: 2 KiB for each are seen.
const MOST_KIB: u64 = 1024;

/// A route that tells clients which edit they see.
fn telling(edit: u64) -> Value {
    let host = format!("rev-{edit}.example");
    json!({ "name": "telling", "match": { "path": "/telling" }, "redirect": { "host": host } })
}

/// A route that comes and goes.
fn passing(edit: u64) -> Value {
    let path = format!("/passing/{edit}");
    json!({ "name": format!("passing-{edit}"), "match": { "path": path }, "service": "users" })
}

/// Asks until it is told to stop; how many different edits it has seen.
fn watch(world: &World, over: &AtomicBool) -> usize {
    let mut connection = Connection::open(world.gateway.address()).unwrap();
    let (mut newest, mut seen) = (0, 0);
    while !over.load(Ordering::SeqCst) {
        let answer = connection.send(&Request::get("/telling")).unwrap().expect(302);
        let location = answer.header("location").unwrap();
        let edit = location.strip_prefix("http://rev-").unwrap().split('.').next().unwrap().parse().unwrap();
        assert!(edit >= newest, "edit {edit} after edit {newest}");
        seen += usize::from(edit > newest);
        newest = edit;
        // Busy enough to see most edits, and no more.
        std::thread::park_timeout(Duration::from_millis(4));
    }
    seen
}

/// Ends the watching, also when an edit has failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// An edit's answer. A control plane whose disk is busy with other tests' may say that it changed nothing.
fn taken(edit: impl Fn() -> Response) -> Response {
    wait_for("the edit is taken", PATIENCE, || Some(edit()).filter(|answer| answer.status != 503))
}

/// Makes edits up to this one; the last one is served when it returns.
fn edit(world: &World, route: &str, from: u64, to: u64) {
    let (api, mut came) = (&world.api, String::new());
    for number in from..=to {
        match number % 3 {
            0 => drop(taken(|| api.put(&format!("/routes/{route}"), &telling(number))).expect(200)),
            1 => came = taken(|| api.post("/routes", &passing(number))).expect(201).str_at("/id"),
            _ => drop(taken(|| api.delete(&format!("/routes/{came}"))).expect(204)),
        }
    }
    taken(|| api.put(&format!("/routes/{route}"), &telling(to))).expect(200);
    let host = format!("http://rev-{to}.example/telling");
    wait_until(&format!("edit {to} is served"), PATIENCE, || {
        world.gateway.get("/telling").header("location") == Some(&host)
    });
}

/// Edits under load; how many of them were seen.
fn phase(world: &World, route: &str, from: u64, to: u64) -> usize {
    let load = Load::start(world.gateway.address(), 3, |number| Request::get(&format!("/open/{number}")));
    let over = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(world, &over));
        let ending = Over(&over);
        edit(world, route, from, to);
        drop(ending);
        watching.join().unwrap()
    });
    load.finish().assert_flawless();
    seen
}

/// The gateway's memory once no record of a request waits for the control plane.
fn memory_at_rest(world: &World) -> u64 {
    wait_until("no record waits", PATIENCE * 3, || {
        world.gateway.metric("telemetry_spool_records ").is_none_or(|count| count < 100.0)
    });
    world.gateway.own_memory_kib()
}

#[test]
fn thousands_of_edits_cost_no_request_and_no_memory() {
    let world = World::start();
    let route = world.api.post("/routes", &telling(0)).expect(201).str_at("/id");
    world.gateway.wait_status("/telling", 302);
    let (mut seen, mut from) = (0, 1);
    let used = LOOKS.map(|to| {
        seen += phase(&world, &route, from, to);
        from = to + 1;
        memory_at_rest(&world)
    });
    let least = used.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).min().unwrap();
    assert!(least <= MOST_KIB, "KiB after each of {LOOKS:?} edits: {used:?}");
    assert!(seen > 100, "{seen} edits were seen");
    let [.., end] = LOOKS;
    for number in [end - 1, end - 4] {
        assert_eq!(world.gateway.get(&format!("/passing/{number}")).status, 404, "it came with edit {number}");
    }
}
