//! Hours of trouble in seconds: connections that come and go in every protocol, clients that break off, upstreams that fail.
//! Afterwards the gateway holds what it held before. `NOVAGATE_SOAK_SECONDS` makes it longer (`cargo xtask soak`).

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use novagate_chaos::CutLink;
use novagate_e2e::{Answer, Connection, Gateway, Holdings, PATIENCE, Request, Upstream, request, wait_until};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::websockets::{echo_server, echoes, open};

/// Says how long the trouble lasts, in seconds.
const SECONDS: &str = "NOVAGATE_SOAK_SECONDS";
/// In every run.
const SHORT: u64 = 12;
/// After this the gateway has taken up what trouble of this kind takes.
const FIRST: Duration = Duration::from_secs(3);
/// What it may hold beyond that afterwards.
const MOST_KIB: u64 = 3 * 1024;
/// More than one piece of anything.
const LARGE: usize = 300_000;

/// The gateway and what stands behind it, each behind a link that can end its idle connections.
struct Scene {
    gateway: Gateway,
    steady: CutLink,
    shaky: CutLink,
    sockets: CutLink,
    done: Counts,
}

/// What has been done, so that a run in which nothing happened is none.
#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    connections: AtomicU64,
    streams: AtomicU64,
    websockets: AtomicU64,
    aborted: AtomicU64,
    failed: AtomicU64,
}

fn count(of: &AtomicU64) {
    of.fetch_add(1, Ordering::Relaxed);
}

/// Answers with a body; `/large` with one that a client may not wait for.
fn steady() -> Upstream {
    Upstream::start(|asked| {
        let body = if asked.target.ends_with("/large") { vec![b'x'; LARGE] } else { b"hello".to_vec() };
        Answer::new(200, body)
    })
}

fn scene(upstreams: [SocketAddr; 3]) -> (Scene, novagate_e2e::Folder) {
    let [steady, shaky, sockets] = upstreams.map(|address| CutLink::before(address.port()));
    let service = |name: &str, link: &CutLink| {
        let url = format!("http://{}", link.address());
        json!({ "name": name, "targets": [{ "url": url }], "circuitBreaker": { "maxRequests": 500 } })
    };
    let mut rough = service("shaky", &shaky);
    rough["timeoutMs"] = json!(300);
    rough["retries"] = json!({ "attempts": 2, "on": ["connect", "reset", "timeout"] });
    let route = |name: &str| json!({ "name": name, "match": { "path": format!("/{name}/*") }, "service": name });
    let config = json!({
        "services": [service("steady", &steady), rough, service("sockets", &sockets)],
        "routes": [route("steady"), route("shaky"), route("sockets")],
    });
    let settings = [("BODY_IDLE_TIMEOUT_MS", "1000"), ("HEADER_TIMEOUT_MS", "1000"), ("IDLE_TIMEOUT_MS", "5000")];
    let settings = settings.map(|(name, value)| (name, value.to_owned()));
    let (gateway, folder) = Gateway::of_file(&config, settings.into());
    (Scene { gateway, steady, shaky, sockets, done: Counts::default() }, folder)
}

impl Scene {
    /// Trouble of every kind at the same time.
    fn trouble(&self, length: Duration) {
        let (begin, runtime) = (Instant::now(), Runtime::new().unwrap());
        let is_over = || begin.elapsed() >= length;
        let until = |work: &dyn Fn(u64)| {
            let mut number = 0;
            while !is_over() {
                work(number);
                number += 1;
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| until(&|number| self.keep(number)));
            }
            scope.spawn(|| until(&|number| self.come_and_go(number)));
            scope.spawn(|| until(&|number| self.break_off(number)));
            scope.spawn(|| until(&|_| self.fail()));
            scope.spawn(|| until(&|_| self.shake()));
            scope.spawn(|| until(&|number| runtime.block_on(self.multiplex(number))));
            scope.spawn(|| until(&|number| runtime.block_on(self.open_websockets(number))));
        });
    }

    /// Some requests over one connection.
    fn keep(&self, number: u64) {
        let mut connection = Connection::open(self.gateway.address()).unwrap();
        count(&self.done.connections);
        for at in 0..20 {
            let asked = match at % 4 {
                0 => Request::new("POST", "/steady/post").body("text/plain", vec![b'y'; 10_000]),
                1 => Request::new("HEAD", "/steady/head"),
                _ => Request::get(&format!("/steady/{number}")),
            };
            connection.send(&asked).unwrap().expect(200);
            count(&self.done.requests);
        }
    }

    fn come_and_go(&self, number: u64) {
        let path = if number.is_multiple_of(10) { "/steady/large" } else { "/steady/short" };
        request(self.gateway.address(), &Request::get(path)).unwrap().expect(200);
        count(&self.done.connections);
    }

    /// A client that leaves in the middle of something.
    fn break_off(&self, number: u64) {
        let mut stream = TcpStream::connect(self.gateway.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let begun: &[u8] = match number % 6 {
            0 => b"",
            1 => b"GET /steady/a HTTP/1.1\r\nHos",
            2 => b"POST /steady/a HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\nhalf",
            3 => b"POST /steady/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            4 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
            _ => b"GET /steady/large HTTP/1.1\r\nHost: a\r\n\r\n",
        };
        stream.write_all(begun).unwrap();
        if number % 6 == 5 {
            // What is left unread makes the end a reset.
            stream.read_exact(&mut [0; 100]).unwrap();
        }
        count(&self.done.aborted);
    }

    /// A request that may fail, but ends in time.
    fn fail(&self) {
        let begun = Instant::now();
        if let Ok(answer) = request(self.gateway.address(), &Request::get("/shaky/large")) {
            assert!([200, 502, 503, 504].contains(&answer.status), "{}: {}", answer.status, answer.text());
        }
        assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
        count(&self.done.failed);
    }

    /// The way to an upstream is cut, refused and frozen in turn.
    fn shake(&self) {
        let pause = || std::thread::park_timeout(Duration::from_millis(40));
        for fault in [CutLink::cut, CutLink::refuse, CutLink::cut, CutLink::freeze] {
            fault(&self.shaky);
            pause();
            self.shaky.heal();
            pause();
        }
    }

    /// Requests over HTTP/2, some of which are cancelled.
    async fn multiplex(&self, number: u64) {
        let stream = tokio::net::TcpStream::connect(self.gateway.address()).await.unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        count(&self.done.connections);
        let asking = async {
            let mut send = send.ready().await.unwrap();
            for at in 0..10_u64 {
                let path = if at == 3 { "large" } else { "two" };
                let asked = http::Request::builder().uri(format!("http://a.example/steady/{path}")).body(()).unwrap();
                let (response, mut stream) = send.send_request(asked, true).unwrap();
                count(&self.done.streams);
                if (number + at).is_multiple_of(5) {
                    stream.send_reset(h2::Reason::CANCEL);
                    continue;
                }
                let response = response.await.unwrap();
                assert_eq!(response.status(), 200);
                let mut body = response.into_body();
                while let Some(piece) = body.data().await {
                    let count = piece.unwrap().len();
                    body.flow_control().release_capacity(count).unwrap();
                }
                send = send.ready().await.unwrap();
            }
        };
        tokio::select! {
            asked = timeout(PATIENCE, asking) => asked.expect("HTTP/2 does not hang"),
            end = connection => panic!("the connection has ended: {end:?}"),
        }
    }

    /// A WebSocket that says goodbye, and one that does not.
    async fn open_websockets(&self, number: u64) {
        let (mut socket, _) = open(self.gateway.address(), "/sockets/a", None).await.unwrap();
        count(&self.done.websockets);
        echoes(&mut socket, Message::text("hello")).await;
        echoes(&mut socket, Message::binary(vec![7; 40_000])).await;
        if number.is_multiple_of(2) {
            socket.close(None).await.unwrap();
        }
    }

    /// What the gateway holds once nobody is left.
    fn holdings_at_rest(&self) -> Holdings {
        for link in [&self.steady, &self.shaky, &self.sockets] {
            link.heal();
        }
        let is_nothing = |name: &str| self.gateway.metric(name).is_none_or(|count| count < 0.5);
        wait_until("no client is left", PATIENCE, || {
            is_nothing("active_connections ") && is_nothing("active_websockets ")
        });
        wait_until("no request runs", PATIENCE, || {
            let status = self.gateway.admin("/status");
            let services = status["upstreams"].as_array().unwrap();
            assert_eq!(services.len(), 3, "{status}");
            services.iter().all(|service| service["runningRequests"] == 0)
        });
        // Connections to upstreams are kept for later; these are not needed any more.
        for link in [&self.steady, &self.shaky, &self.sockets] {
            link.cut();
        }
        // The last of them are gone when their number does not change any more.
        let mut seen = Vec::new();
        wait_until("the descriptors are let go", PATIENCE, || {
            seen.push(self.gateway.holdings().descriptors);
            seen.len() > 100 && seen.iter().rev().take(100).all(|count| Some(count) == seen.last())
        });
        self.gateway.holdings()
    }
}

fn length() -> Duration {
    let seconds = std::env::var(SECONDS).map(|text| text.parse().expect("a number of seconds"));
    Duration::from_secs(seconds.unwrap_or(SHORT))
}

#[test]
fn after_hours_of_trouble_the_gateway_holds_what_it_held_before() {
    let (first, second, runtime) = (steady(), steady(), Runtime::new().unwrap());
    let (scene, _folder) = scene([first.address(), second.address(), echo_server(&runtime)]);
    scene.trouble(FIRST);
    let before = scene.holdings_at_rest();
    scene.trouble(length());
    let after = scene.holdings_at_rest();
    let told = format!("{before:?} before, {after:?} after {:?}", scene.done);
    // Threads that wait for files come and go; a leak would have made one for each of thousands.
    assert!(after.descriptors <= before.descriptors && after.threads <= before.threads + 2, "{told}");
    assert!(after.own_memory_kib <= before.own_memory_kib + MOST_KIB, "{told}");
    let Counts { requests, connections, streams, websockets, aborted, failed } = &scene.done;
    let enough =
        [requests, connections, streams, websockets, aborted, failed].map(|count| count.load(Ordering::Relaxed));
    assert!(enough.iter().all(|count| *count > 20), "{told}");
    assert!(scene.gateway.metric("request_panics_total").is_none_or(|count| count < 0.5), "{}", scene.gateway.output());
    // What was refused, frozen and cut is served as if nothing had been.
    scene.gateway.wait_status("/shaky/a", 200);
}
