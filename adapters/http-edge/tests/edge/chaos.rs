//! Upstreams that misbehave in every way that we could think of: each gets the promised answer, a record and a count, and
//! leaves nothing behind.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use novagate_fixtures::SeededEntropy;
use novagate_kernel::{ErrorCode, ServiceId};
use novagate_records::StatusClass;
use novagate_routing::CircuitBreaker;

use crate::harness::{Client, Edge, HELLO, PATIENCE, Setup, Upstream, get, nobody, wait_until};
use crate::observe::{answered, timeouts};

/// What a service may take, in these tests.
const LIMIT: Duration = Duration::from_millis(200);

/// A service whose running requests are counted, with short limits.
pub(crate) fn counted(url: &str) -> Setup {
    let breaker = CircuitBreaker { max_requests: 4, max_pending: None, max_connections: None };
    let setup = Setup::open(&[url]).with(|settings| {
        settings.timeouts.proxy = LIMIT;
        settings.timeouts.body_idle = LIMIT * 2;
    });
    setup.with_service(move |service| service.resilience.circuit_breaker = Some(breaker))
}

/// Nothing runs, nothing is open, nothing has panicked.
pub(crate) fn assert_nothing_left(edge: &Edge) {
    let running = || edge.handle.upstream_health().state(ServiceId::from_u128(1)).unwrap().running;
    wait_until("no request runs", || running() == Some(0));
    wait_until("no connection is open", || edge.handle.active_connections() == 0);
    assert_eq!(edge.handle.panics(), 0);
}

/// Sends a byte now and then until the other side has had enough.
fn drip(conn: &mut Client, bytes: impl Iterator<Item = u8>) -> bool {
    for byte in bytes {
        if conn.stream.write_all(&[byte]).is_err() {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    true
}

/// Sends the same again and again until the other side has had enough.
fn storm(conn: &mut Client, piece: &[u8]) {
    let pieces = piece.repeat(100);
    while conn.stream.write_all(&pieces).is_ok() {}
}

type Script = fn(&mut Client);

/// What an upstream may do to a request: its name, and what it does.
const FAILURES: &[(&str, u16, Script)] = &[
    ("it hangs", 504, |conn| drop(conn.rest())),
    ("it hangs in its status line", 504, |conn| hang(conn, "HTTP/1.1 20")),
    ("it hangs in its head", 504, |conn| hang(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n")),
    ("it hangs behind a 100", 504, |conn| hang(conn, "HTTP/1.1 100 Continue\r\n\r\n")),
    ("its head drips without end", 504, |conn| {
        let head = b"HTTP/1.1 200 OK\r\n".iter().chain(b"X-A: b\r\n".iter().cycle());
        drip(conn, head.copied());
    }),
    ("it storms with 100 Continue", 504, |conn| storm(conn, b"HTTP/1.1 100 Continue\r\n\r\n")),
    ("it storms with 103 Early Hints", 504, |conn| {
        storm(conn, b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
    }),
    ("it closes at once", 502, |_| ()),
    ("it resets at once", 502, |conn| conn.will_reset()),
    ("its status line has no end", 502, |conn| storm(conn, b"HTTP/1.1 200 OK and more and more")),
    ("its head has no end", 502, |conn| {
        conn.send("HTTP/1.1 200 OK\r\n");
        storm(conn, b"X-Field: some value of it\r\n");
    }),
    ("it switches unasked", 502, |conn| {
        hang(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    }),
    ("it speaks TLS", 502, |conn| {
        conn.stream.write_all(b"\x15\x03\x03\x00\x02\x02\x46").unwrap();
        conn.rest();
    }),
    ("it speaks HTTP/2", 502, |conn| hang(conn, "\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64")),
    ("it speaks HTTP/0.9", 502, |conn| hang(conn, "<html>hello</html>")),
    ("it speaks HTTP/1.2", 502, |conn| hang(conn, "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n")),
    ("its status has two digits", 502, |conn| hang(conn, "HTTP/1.1 20 OK\r\n\r\n")),
    ("its status has four digits", 502, |conn| hang(conn, "HTTP/1.1 2000 OK\r\n\r\n")),
    ("its status is below 100", 502, |conn| hang(conn, "HTTP/1.1 099 OK\r\n\r\n")),
    ("its lines end bare", 502, |conn| hang(conn, "HTTP/1.1 200 OK\nContent-Length: 0\n\n")),
    ("a NUL is in its head", 502, |conn| hang(conn, "HTTP/1.1 200 OK\r\nX: \0\r\n\r\n")),
    ("a carriage return is in its head", 502, |conn| hang(conn, "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n")),
    ("a blank is before its colon", 502, |conn| hang(conn, "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n")),
    ("its field is folded", 502, |conn| hang(conn, "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n")),
    ("its field has no name", 502, |conn| hang(conn, "HTTP/1.1 200 OK\r\n: a\r\n\r\n")),
    ("it has two lengths", 502, |conn| {
        hang(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx");
    }),
    ("its length is a list", 502, |conn| hang(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx")),
    ("its length is signed", 502, |conn| hang(conn, "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx")),
    ("its length has no end", 502, |conn| {
        hang(conn, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n");
    }),
    ("it has a length and chunks", 502, |conn| {
        hang(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
    }),
    ("its coding is unknown", 502, |conn| hang(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n")),
    ("it has chunks in HTTP/1.0", 502, |conn| hang(conn, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")),
    ("its first chunk has no size", 502, |conn| broken(conn, "xyz\r\n")),
    ("its chunk has no end", 502, |conn| broken(conn, "4\r\nhalfway\r\n")),
    ("its second chunk is too large", 502, |conn| broken(conn, "4\r\nhalf\r\nfffffffffffffffff\r\n")),
];

/// In one piece with the head, of which nothing has left yet.
fn broken(conn: &mut Client, chunks: &str) {
    hang(conn, &format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
}

fn hang(conn: &mut Client, answer: &str) {
    conn.send(answer);
    conn.rest();
}

#[test]
fn every_failure_before_a_response_gets_its_answer_a_record_and_a_count() {
    let upstream = Upstream::scripted(|_, conn| {
        let Some(head) = conn.next_head() else { return };
        let number: usize = head["GET /".len()..].split(' ').next().unwrap().parse().unwrap();
        (FAILURES[number].2)(conn);
    });
    let edge = counted(&upstream.url).start();
    for (number, (what, status, _)) in FAILURES.iter().enumerate() {
        let code = if *status == 504 { "DOWNSTREAM_TIMEOUT" } else { "DOWNSTREAM_ERROR" };
        let response = edge.ask(&get(&format!("/{number}"), ""));
        assert_eq!((response.status, response.code().as_str()), (*status, code), "{what}");
    }
    let records = edge.records(FAILURES.len());
    for ((what, status, _), record) in FAILURES.iter().zip(&records) {
        let code = if *status == 504 { ErrorCode::DownstreamTimeout } else { ErrorCode::DownstreamError };
        assert_eq!((record.status, record.code), (*status, Some(code)), "{what}");
    }
    assert_nothing_left(&edge);
    let late = FAILURES.iter().filter(|(_, status, _)| *status == 504).count() as u64;
    assert_eq!((timeouts(&edge), answered(&edge, StatusClass::ServerError)), (late, FAILURES.len() as u64));
}

#[test]
fn an_upstream_that_refuses_is_told_apart_from_one_that_hangs_and_costs_no_permit() {
    let edge = counted(&nobody()).start();
    for _ in 0..20 {
        assert_eq!(edge.ask(&get("/", "")).code(), "DOWNSTREAM_ERROR");
    }
    assert_nothing_left(&edge);
    assert_eq!((timeouts(&edge), answered(&edge, StatusClass::ServerError)), (0, 20));
}

#[test]
fn garbage_is_502_at_once_whatever_it_is() {
    let entropy = Arc::new(SeededEntropy::new(0x006A_12BA));
    let noise = Arc::clone(&entropy);
    let upstream = Upstream::scripted(move |_, conn| {
        if conn.next_head().is_some() {
            let mut bytes = noise.take::<64>();
            // Sometimes after a good beginning.
            if noise.below(2) == 0 {
                conn.send("HTTP/1.1 200 OK\r\nX-Field: ");
                bytes[usize::try_from(noise.below(64)).unwrap()] = 0;
            } else {
                bytes[0] |= 0x80;
            }
            // It may be hung up on before it is done.
            let _ = conn.stream.write_all(&bytes);
            conn.rest();
        }
    });
    // Nothing here waits for a limit.
    let edge = counted(&upstream.url).with(|settings| settings.timeouts.proxy = PATIENCE * 2).start();
    for _ in 0..400 {
        assert_eq!(edge.ask(&get("/", "")).code(), "DOWNSTREAM_ERROR");
    }
    assert_nothing_left(&edge);
    assert_eq!(answered(&edge, StatusClass::ServerError), 400);
}

#[test]
fn many_interim_answers_and_a_slow_response_are_fine() {
    let upstream = Upstream::scripted(|_, conn| {
        while let Some(head) = conn.next_head() {
            if head.starts_with("GET /storm ") {
                let storm = "HTTP/1.1 102 Processing\r\nX: y\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n".repeat(1_000);
                conn.send(storm + HELLO);
                continue;
            }
            // Each piece well within its limit, all of it far beyond that of a head.
            let body = "x".repeat(100);
            if head.starts_with("GET /length ") {
                conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
                assert!(drip(conn, body.bytes()));
            } else {
                conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                assert!(drip(conn, format!("64\r\n{body}\r\n0\r\n\r\n").bytes()));
            }
        }
    });
    let edge = counted(&upstream.url).with(|settings| settings.timeouts.body_idle = PATIENCE).start();
    for (path, body) in [("/storm", "hello".to_owned()), ("/length", "x".repeat(100)), ("/chunked", "x".repeat(100))] {
        let response = edge.ask(&get(path, ""));
        assert_eq!((response.status, response.text()), (200, body), "{path}");
    }
    assert!(edge.records(3).iter().all(|record| record.code.is_none()));
    assert_nothing_left(&edge);
}

#[test]
fn a_storm_of_interim_answers_does_not_keep_a_client_that_has_stopped_sending() {
    let upstream = Upstream::scripted(|_, conn| {
        if conn.next_head().is_some() {
            while conn.stream.write_all(b"HTTP/1.1 102 Processing\r\n\r\n").is_ok() {
                std::thread::park_timeout(Duration::from_millis(20));
            }
        }
    });
    let edge = counted(&upstream.url).start();
    let mut client = edge.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhalf");
    let response = client.response();
    assert_eq!((response.status, response.code().as_str()), (408, "REQUEST_TIMEOUT"));
    assert!(client.is_closed());
    drop(client);
    assert_nothing_left(&edge);
}

#[test]
fn a_response_that_stalls_or_breaks_its_coding_ends_its_connection() {
    let chunked = "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    let cases = [
        ("length", "Content-Length: 9\r\n\r\nhalf", None),
        ("chunked", chunked, None),
        ("until the close", "\r\nhalf", None),
        ("no size", chunked, Some("xyz\r\n")),
        ("no end", chunked, Some("4\r\nhalfway\r\n")),
        ("too large", chunked, Some("fffffffffffffffff\r\n")),
    ];
    for (what, rest, broken) in cases {
        let (tell, told) = channel();
        let told = Mutex::new(told);
        let upstream = Upstream::scripted(move |_, conn| {
            if conn.next_head().is_some() {
                conn.send(format!("HTTP/1.1 200 OK\r\n{rest}"));
                // What stalls waits for nothing that comes.
                let seen = broken.map(|broken| told.lock().unwrap().recv().map(|()| broken).unwrap());
                hang(conn, seen.unwrap_or_default());
            }
        });
        let edge = counted(&upstream.url).start();
        let mut client = edge.connect();
        client.send(get("/", ""));
        client.read_until("half");
        tell.send(()).unwrap();
        let (seen, _) = client.read_to_its_end();
        assert!(!seen.ends_with(b"0\r\n\r\n"), "{what}: {}", String::from_utf8_lossy(&seen));
        let code = if broken.is_some() { ErrorCode::DownstreamError } else { ErrorCode::DownstreamTimeout };
        let record = edge.records(1)[0];
        assert_eq!((record.status, record.code), (200, Some(code)), "{what}");
        assert_eq!(timeouts(&edge), u64::from(broken.is_none()), "{what}");
        drop(client);
        assert_nothing_left(&edge);
    }
}

#[test]
fn bytes_behind_a_response_are_never_taken_for_the_next_one() {
    const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    for (what, method, answer) in [
        ("length", "GET", HELLO),
        ("chunked", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        ("no content", "GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("not modified", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n"),
        ("head", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"),
        ("nothing", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ] {
        for later in [false, true] {
            let (said, is_said) = channel();
            let hears = Arc::new(AtomicBool::new(false));
            let told = Arc::clone(&hears);
            let upstream = Upstream::scripted(move |number, conn| {
                if number > 0 {
                    while conn.next_head().is_some() {
                        conn.send(answer);
                    }
                    return;
                }
                conn.next_head();
                if later {
                    conn.send(answer);
                    wait_until("the response was read", || told.load(Ordering::SeqCst));
                    conn.send(POISON);
                } else {
                    conn.send([answer, POISON].concat());
                }
                said.send(()).unwrap();
                conn.rest();
            });
            let edge = counted(&upstream.url).start();
            let mut client = edge.connect();
            let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
            client.send(&request);
            let first = client.response_to(method);
            hears.store(true, Ordering::SeqCst);
            is_said.recv_timeout(PATIENCE).unwrap();
            client.send(&request);
            let second = client.response_to(method);
            assert_eq!((second.status, second.text()), (first.status, first.text()), "{what}, {later}");
            assert!(!second.text().contains("poison"), "{what}, {later}");
            assert_eq!(upstream.connections(), 2, "{what}, {later}: the first connection is not trusted");
            drop(client);
            assert_nothing_left(&edge);
        }
    }
}

#[test]
fn an_upstream_that_does_not_take_a_body_is_504() {
    let (over, is_over) = channel::<()>();
    let is_over = std::sync::Mutex::new(is_over);
    let upstream = Upstream::scripted(move |_, conn| {
        conn.next_head();
        let _ = is_over.lock().unwrap().recv_timeout(PATIENCE);
    });
    let edge = counted(&upstream.url).start();
    for framing in ["Content-Length: 1073741824\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n40000000\r\n"] {
        let mut client = edge.connect();
        let mut writer = client.stream.try_clone().unwrap();
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}");
        let writing = std::thread::spawn(move || {
            let piece = vec![b'x'; 65_536];
            let _ = writer.write_all(head.as_bytes());
            while writer.write_all(&piece).is_ok() {}
        });
        let response = client.response();
        assert_eq!((response.status, response.code().as_str()), (504, "DOWNSTREAM_TIMEOUT"), "{framing}");
        client.read_to_its_end();
        drop(client);
        writing.join().unwrap();
        over.send(()).unwrap();
    }
    assert_nothing_left(&edge);
}
