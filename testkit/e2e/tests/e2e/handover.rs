//! A gateway under a service manager: sockets that are passed, what it is told, one gateway after another.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use novagate_e2e::{
    Connection, EDGE_SECRET, FileWorld, Folder, Gateway, GatewayOptions, PATIENCE, Process, Request, free_port,
    wait_until,
};

/// For so long after an answer a stopping gateway surely serves one more request on its connection; it waits for 500 ms.
const CROSSING: Duration = Duration::from_millis(300);

/// Asks without a pause until it is told to stop, over fresh connections and over a kept one in turn; counts what is
/// answered. Every request has to be, but for one on a kept connection that this client has left silent for long.
fn ask_on(address: SocketAddr, stop: &AtomicBool, answered: &AtomicU32) {
    let ask = Request::get("/open/a");
    let mut kept: Option<Connection> = None;
    let mut last = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        Connection::open(address).unwrap().send(&ask).expect("a fresh connection is served").expect(200);
        let silent = last.elapsed();
        let again = kept.as_mut().map(|connection| connection.send(&ask));
        if let Some(Err(fault)) = &again {
            assert!(silent > CROSSING, "a request on a kept connection was lost after {silent:?}: {fault}");
        }
        let response = again.and_then(Result::ok).unwrap_or_else(|| {
            let fresh = kept.insert(Connection::open(address).unwrap());
            fresh.send(&ask).expect("a connection opened anew is served")
        });
        if response.expect(200).header("connection") == Some("close") {
            kept = None;
        }
        last = Instant::now();
        answered.fetch_add(2, Ordering::Relaxed);
    }
}

#[test]
fn one_gateway_follows_another_on_a_passed_socket_and_no_request_is_lost() {
    let world = FileWorld::start(Vec::new());
    let file = world.folder.path().join("config.yaml").display().to_string();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let start = || {
        let environment = vec![("CONFIG_FILE", file.clone())];
        Gateway::start(&GatewayOptions { environment, socket: Some(&socket), ..GatewayOptions::default() })
    };
    let mut serving = start();
    let (stop, answered) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| ask_on(address, &stop, &answered));
        }
        let more = |from: u32| {
            wait_until("requests are answered", PATIENCE, || answered.load(Ordering::Relaxed) > from + 60);
        };
        more(0);
        for _ in 0..3 {
            let next = start();
            more(answered.load(Ordering::Relaxed));
            let exit = std::mem::replace(&mut serving, next).terminate();
            assert_eq!(exit.code, Some(0), "{}", exit.stderr);
            more(answered.load(Ordering::Relaxed));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(serving.terminate().code, Some(0));
}

#[test]
fn a_service_manager_is_told_when_a_gateway_serves_lives_and_stops() {
    let folder = Folder::new("manager");
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let hears = |wanted: &str| {
        let mut message = [0; 512];
        loop {
            let count = manager.recv(&mut message).unwrap_or_else(|error| panic!("{wanted} is not told: {error}"));
            let text = String::from_utf8_lossy(&message[..count]).into_owned();
            if text.lines().any(|line| line == wanted) {
                return;
            }
        }
    };
    let watchdog = Duration::from_millis(400).as_micros().to_string();
    let environment = vec![("NOTIFY_SOCKET", path.display().to_string()), ("WATCHDOG_USEC", watchdog)];
    let mut world = FileWorld::start(environment);
    hears("READY=1");
    hears("WATCHDOG=1");
    hears("WATCHDOG=1");
    world.gateway.ask_to_stop();
    hears("STOPPING=1");
    assert_eq!(world.gateway.wait().code, Some(0));
}

#[test]
fn what_cannot_be_used_in_place_of_a_socket_is_refused_at_the_start() {
    let folder = Folder::new("refused");
    let settings = [
        ("CONFIG_FILE", folder.path().join("config.yaml").display().to_string()),
        ("DATA_DIR", folder.path().display().to_string()),
        ("JWT_SECRET", EDGE_SECRET.to_owned()),
        ("ADMIN_ADDR", format!("127.0.0.1:{}", free_port())),
        ("LISTEN_FDS_FIRST_FD", "0".to_owned()),
    ];
    let settings: BTreeMap<String, String> = settings.map(|(name, value)| (name.to_owned(), value)).into();
    for (count, reason) in [("1", "LISTEN_FDS: fd 0 is not a socket"), ("3", "LISTEN_FDS: more sockets were passed")] {
        let mut settings = settings.clone();
        settings.insert("LISTEN_FDS".to_owned(), count.to_owned());
        let exit = Process::run("novagate-gateway", &[], &settings);
        assert!(exit.code != Some(0) && exit.stderr.contains(reason), "{count}: {exit:?}");
    }
}
