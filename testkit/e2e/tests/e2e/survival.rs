//! Programs die, and traffic goes on.

use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};

use novagate_e2e::{Answer, ControlOptions, FileWorld, Load, PATIENCE, Request, Upstream, World, request, wait_until};
use serde_json::{Value, json};

#[test]
fn killing_the_control_plane_under_load_costs_no_request_and_no_committed_edit() {
    let mut world = World::start();
    let load = Load::start(world.gateway.address(), 6, |number| Request::get(&format!("/open/{number}")));
    load.wait_for_more(200);
    world.api.open_route("last", "/last", "users");
    let committed = world.api.head_seq();
    world.control.kill9();
    world.gateway.wait_connected(false);
    load.wait_for_more(200);
    world.control.restart();
    assert_eq!(world.api.head_seq(), committed, "what was answered 201 is there");
    world.gateway.wait_connected(true);
    world.api.wait_acked();
    world.gateway.wait_status("/last", 200);
    world.api.open_route("after", "/after", "users");
    world.gateway.wait_status("/after", 200);
    load.wait_for_more(50);
    load.finish().assert_flawless();
}

#[test]
fn a_gateway_restarted_without_its_control_plane_serves_from_disk() {
    let mut world = World::start();
    world.api.wait_acked();
    world.control.kill9();
    let exit = world.gateway.terminate();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    world.gateway.restart();
    world.gateway.get("/open/x").expect(200);
    assert_eq!(world.gateway.get("/closed/x").expect(401).code(), "TOKEN_MISSING");
    let health = world.gateway.admin("/health");
    assert_eq!(
        (health["configSource"].as_str(), health["controlPlaneConnected"].as_bool()),
        (Some("disk"), Some(false))
    );
    world.control.restart();
    world.gateway.wait_connected(true);
}

#[test]
fn a_gateway_killed_right_after_it_acked_an_edit_serves_that_edit_from_disk() {
    let mut world = World::start();
    for round in 0..6 {
        let path = format!("/round/{round}");
        world.api.open_route(&format!("round-{round}"), &path, "users");
        world.api.wait_acked();
        world.gateway.kill9();
        // Alone with its disk: what it serves is what it had settled.
        world.control.kill9();
        world.gateway.restart();
        world.gateway.get(&path).expect(200);
        world.control.restart();
        world.gateway.wait_connected(true);
    }
}

#[test]
fn killed_together_in_a_storm_of_edits_both_come_back_with_what_was_published() {
    let mut world = World::start();
    let mut promised = Vec::new();
    for round in 0_usize..5 {
        let api = world.api.clone();
        let answered = Arc::new(Mutex::new(Vec::new()));
        let names = Arc::clone(&answered);
        let editor = std::thread::spawn(move || {
            for number in 0..10_000 {
                let name = format!("app-{round}-{number}");
                let request = api.request("POST", "/consumers").json(&json!({ "name": name }));
                match api.try_send(request) {
                    Ok(response) => drop(response.expect(201)),
                    Err(_) => return,
                }
                names.lock().unwrap().push(name);
            }
        });
        let enough = 5 + 7 * round;
        wait_until("edits are under way", PATIENCE, || answered.lock().unwrap().len() >= enough);
        world.gateway.kill9();
        world.control.kill9();
        editor.join().unwrap();
        world.gateway.restart();
        world.gateway.get("/open/x").expect(200);
        let digest = world.gateway.admin("/health")["config"]["digest"].clone();
        world.control.restart();
        let published = published_digests(&world);
        assert!(published.contains(&digest), "{digest} was never published");
        world.gateway.wait_connected(true);
        world.api.wait_acked();
        promised.append(&mut answered.lock().unwrap());
        let kept = world.api.get("/config").expect(200).text();
        let lost: Vec<&String> = promised.iter().filter(|name| !kept.contains(&format!("\"{name}\""))).collect();
        assert!(lost.is_empty(), "answered 201 and lost: {lost:?}");
    }
}

fn published_digests(world: &World) -> Vec<Value> {
    let mut digests = Vec::new();
    let mut query = "/revisions?limit=100".to_owned();
    loop {
        let page = world.api.get(&query).expect(200).json();
        digests.extend(page["items"].as_array().unwrap().iter().map(|item| item["digest"].clone()));
        let Some(cursor) = page["nextCursor"].as_str() else { return digests };
        query = format!("/revisions?limit=100&cursor={cursor}");
    }
}

#[test]
fn edits_made_while_a_gateway_is_away_reach_it_when_it_comes_back() {
    let mut world = World::start();
    world.gateway.kill9();
    world.api.open_route("meanwhile", "/meanwhile", "users");
    world.gateway.restart();
    world.gateway.wait_status("/meanwhile", 200);
    world.api.wait_acked();
}

#[test]
fn a_terminated_gateway_finishes_what_it_has_begun() {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let inner = Arc::clone(&gate);
    let upstream = Upstream::start(move |request| {
        if request.target == "/open/slow" {
            let shut = inner.0.lock().unwrap();
            drop(inner.1.wait_while(shut, |open| !*open).unwrap());
        }
        Answer::new(200, "done")
    });
    let mut world = World::with(&ControlOptions::default(), upstream, Vec::new());
    let address = world.gateway.address();
    let slow = std::thread::spawn(move || request(address, &Request::get("/open/slow")));
    wait_until("the slow request is with the upstream", PATIENCE, || world.upstream.last_to("/open/slow").is_some());
    world.gateway.ask_to_stop();
    wait_until("new connections are refused", PATIENCE, || TcpStream::connect(address).is_err());
    assert!(world.gateway.is_running(), "it waits for what it has begun");
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    assert_eq!(slow.join().unwrap().unwrap().expect(200).text(), "done");
    let exit = world.gateway.wait();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
}

#[test]
fn a_gateway_terminated_under_load_cuts_no_answer_short() {
    let mut world = World::start();
    let load = Load::start(world.gateway.address(), 4, |number| Request::get(&format!("/open/{number}")));
    load.wait_for_more(100);
    let exit = world.gateway.terminate();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    let report = load.finish();
    assert!(report.statuses.keys().eq([&200]), "{:?}", report.statuses);
    // A request may cross the end of its idle connection (RFC 9112, section 9.5), and nobody listens afterwards.
    let crossed = ["refused", "unexpected end of file", "reset", "Broken pipe"];
    let broken = |failure: &&String| !crossed.iter().any(|word| failure.contains(word));
    let broken: Vec<_> = report.failures.iter().filter(broken).collect();
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn a_terminated_control_plane_ends_in_order_and_its_records_are_there_again() {
    let mut world = World::start();
    let answer = world.gateway.get("/open/before");
    world.api.wait_log(answer.header("x-request-id").unwrap());
    let exit = world.control.terminate();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    let during = world.gateway.get("/open/during").expect(200);
    world.control.restart();
    world.api.wait_log(answer.header("x-request-id").unwrap());
    world.gateway.wait_connected(true);
    // Spooled while there was nobody to take it.
    world.api.wait_log(during.header("x-request-id").unwrap());
    wait_until("each request is stored once", PATIENCE, || world.api.items("/logs").len() >= 3);
    let ids: Vec<String> =
        world.api.items("/logs?limit=100").iter().map(|item| item["requestId"].to_string()).collect();
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len());
}

#[test]
fn a_gateway_out_of_file_descriptors_waits_and_goes_on() {
    let mut world = FileWorld::start(Vec::new());
    world.gateway.get("/open/before").expect(200);
    world.gateway.limit_descriptors(8);
    // More than it can take: the kernel keeps the rest for it.
    let clients: Vec<TcpStream> =
        (0..64).map(|_| TcpStream::connect(world.gateway.address()).expect("the kernel takes it")).collect();
    wait_until("the gateway says that it cannot accept", PATIENCE, || {
        world.gateway.output().contains("accepting connections pauses")
    });
    assert!(world.gateway.is_running());
    drop(clients);
    world.gateway.wait_status("/open/after", 200);
}
