//! WebSockets: handshakes, and bytes in both directions.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use novagate_kernel::ErrorCode;

use crate::harness::{Client, Edge, HELLO, PATIENCE, SWITCHING, Setup, Upstream, get, handshake, wait_until};

const ID: &str = "0198c0de-0000-4000-8000-0000000000ff";
const MANY: usize = 8 * 1024 * 1024;

/// Bytes that show where they are from.
fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at / 251 + at).to_le_bytes()[0]).collect()
}

/// A client whose WebSocket is open.
fn open(edge: &Edge) -> Client {
    let mut client = edge.connect();
    client.send(handshake("/", ""));
    assert!(client.head().starts_with("http/1.1 101 "));
    client
}

#[test]
fn a_handshake_passes_both_ways_as_documented() {
    let (tell, told) = channel();
    let tell = std::sync::Mutex::new(tell);
    let upstream = Upstream::scripted(move |_, conn| {
        tell.lock().unwrap().send(conn.next_head().unwrap()).unwrap();
        conn.send(
            SWITCHING.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\nKeep-Alive: 5\r\nDate: then\r\n\r\n"),
        );
        conn.rest();
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send(handshake("/a?b", &format!("Sec-WebSocket-Protocol: chat\r\nOrigin: o\r\nX-Request-ID: {ID}\r\n")));
    assert_eq!(
        told.recv_timeout(PATIENCE).unwrap(),
        format!(
            "GET /a?b HTTP/1.1\r\nhost: {}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: chat\r\nOrigin: o\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             x-forwarded-for: 127.0.0.1\r\nx-forwarded-proto: http\r\nx-forwarded-host: shop.example\r\n\
             x-request-id: {ID}\r\n\r\n",
            upstream.addr
        )
    );
    let head = String::from_utf8(client.read_until("\r\n\r\n")).unwrap();
    let (before, limits) = head.split_once("ratelimit-policy: ").unwrap();
    assert_eq!(
        before,
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLBMiTxaQ9kYGzzhZRbK+xOo=\r\n\
             Sec-WebSocket-Protocol: chat\r\nDate: then\r\nx-request-id: {ID}\r\n"
        )
    );
    assert!(limits.ends_with("\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"), "{limits}");
}

#[test]
fn large_data_passes_in_both_directions_at_once() {
    let upstream = Upstream::websocket_echo();
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = open(&edge);
    let sent = Arc::new(pattern(MANY));
    let writer = {
        let (mut stream, sent) = (client.stream.try_clone().unwrap(), Arc::clone(&sent));
        std::thread::spawn(move || stream.write_all(&sent).unwrap())
    };
    let echoed = client.read_exact(MANY);
    writer.join().unwrap();
    assert!(echoed == *sent);
}

#[test]
fn a_side_that_does_not_read_stops_the_other_one() {
    const STOPPED: usize = 1 << 60;
    /// Writes until nobody takes it.
    fn fill(stream: &mut std::net::TcpStream, written: &AtomicUsize) {
        stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        while stream.write_all(&[0; 8192]).is_ok() {
            written.fetch_add(8192, Ordering::SeqCst);
        }
        written.fetch_add(STOPPED, Ordering::SeqCst);
    }
    let down = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&down);
    let (over, is_over) = channel::<()>();
    let is_over = std::sync::Mutex::new(is_over);
    let upstream = Upstream::scripted(move |_, conn| {
        conn.next_head();
        conn.send(SWITCHING);
        fill(&mut conn.stream, &counter);
        let _ = is_over.lock().unwrap().recv_timeout(PATIENCE);
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = open(&edge);
    let up = AtomicUsize::new(0);
    fill(&mut client.stream, &up);
    wait_until("the upstream is stopped", || down.load(Ordering::SeqCst) >= STOPPED);
    for written in [&up, &down] {
        assert!(written.load(Ordering::SeqCst) - STOPPED < 64 * 1024 * 1024);
    }
    over.send(()).unwrap();
}

#[test]
fn what_comes_behind_either_head_goes_first() {
    let (go, may_go) = channel::<()>();
    let may_go = std::sync::Mutex::new(may_go);
    let upstream = Upstream::scripted(move |_, conn| {
        conn.next_head();
        may_go.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        conn.stream.set_nonblocking(true).unwrap();
        let early = conn.stream.read(&mut [0; 1]);
        assert_eq!(early.unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nothing before the 101");
        conn.stream.set_nonblocking(false).unwrap();
        conn.send(format!("{SWITCHING}first"));
        let heard = conn.read_exact(MANY / 8 + 4);
        conn.send(&heard[..4]);
        conn.send(&heard[MANY / 8..]);
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    // More than any buffer takes: what does not fit waits in the client.
    client.send([handshake("/", "").as_bytes(), b"one "].concat());
    let mut stream = client.stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || stream.write_all(&[&pattern(MANY / 8 - 4)[..], b" two"].concat()).unwrap());
    wait_until("the request is there", || upstream.connections() == 1);
    go.send(()).unwrap();
    client.head();
    assert_eq!(client.read_exact(5), b"first");
    assert_eq!(client.read_exact(8), b"one  two");
    writer.join().unwrap();
}

#[test]
fn an_answer_that_does_not_switch_is_a_response_and_what_came_early_is_the_next_request() {
    let upstream = Upstream::scripted(|_, conn| {
        while let Some(head) = conn.next_head() {
            conn.send(if head.contains("upgrade: websocket") {
                "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                 Content-Length: 3\r\n\r\nno!"
            } else {
                HELLO
            });
        }
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send(format!("{}{}", handshake("/a", ""), get("/b", "")));
    let refused = client.response();
    assert_eq!((refused.status, refused.text().as_str(), refused.field("upgrade")), (426, "no!", None));
    assert_eq!(refused.field("sec-websocket-version"), Some("13"));
    assert_eq!(client.response().text(), "hello");
    client.send(format!("{}nonsense\r\n\r\n", handshake("/a", "")));
    assert_eq!(client.response().status, 426);
    assert_eq!(client.response().status, 400, "a frame is no request");
    assert!(client.is_closed());
    assert_eq!(upstream.connections(), 1, "a connection that has not switched is used again");
    let statuses: Vec<_> = edge.records(4).iter().map(|record| record.status).collect();
    assert_eq!(statuses, [426, 200, 426, 400]);
}

#[test]
fn interim_responses_may_come_before_the_switch() {
    let upstream = Upstream::scripted(|_, conn| {
        conn.next_head();
        conn.send(format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{SWITCHING}hi"));
        conn.rest();
    });
    let edge = Setup::open(&[&upstream.url]).start();
    assert_eq!(open(&edge).read_exact(2), b"hi");
}

#[test]
fn a_switch_that_was_not_offered_is_502() {
    for (request, answer) in [
        (get("/", ""), SWITCHING.to_owned()),
        (get("/", "Connection: upgrade\r\nUpgrade: websocket\r\n"), SWITCHING.to_owned()),
        (handshake("/", "").replace("GET", "POST"), SWITCHING.to_owned()),
        (handshake("/", ""), SWITCHING.replace("Upgrade: websocket", "Upgrade: h2c")),
        (handshake("/", ""), SWITCHING.replace("Upgrade: websocket", "Upgrade: websocket, h2c")),
        (handshake("/", ""), SWITCHING.replace("Upgrade: websocket\r\n", "")),
        (handshake("/", ""), SWITCHING.replace("Connection: Upgrade\r\n", "")),
        (handshake("/", ""), SWITCHING.replace("HTTP/1.1", "HTTP/1.0")),
    ] {
        let shown = answer.clone();
        let upstream = Upstream::scripted(move |_, conn| {
            conn.next_head();
            conn.send(&answer);
            conn.rest();
        });
        let edge = Setup::open(&[&upstream.url]).start();
        let mut client = edge.connect();
        client.send(&request);
        let response = client.response();
        assert_eq!((response.status, response.code().as_str()), (502, "DOWNSTREAM_ERROR"), "{request} {shown}");
        assert_eq!(edge.records(1)[0].code, Some(ErrorCode::DownstreamError));
    }
}

#[test]
fn an_offer_with_a_body_is_served_without_the_offer() {
    let upstream = Upstream::echo();
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    for (field, body) in [("Content-Length: 5", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")] {
        client.send(format!("{}{body}", handshake("/", &format!("{field}\r\n"))));
        let text = client.response().text();
        assert!(text.contains("hello") && !text.contains("pgrade: "), "{text}");
    }
}

#[test]
fn an_old_connection_that_is_dead_costs_no_handshake() {
    let upstream = Upstream::scripted(|number, conn| {
        conn.next_head();
        if number == 0 {
            conn.send(HELLO);
            conn.next_head();
            return;
        }
        conn.send(SWITCHING);
        let early = conn.read_exact(5);
        conn.send(early);
    });
    let edge = Setup::open(&[&upstream.url]).start();
    assert_eq!(edge.ask(&get("/", "")).text(), "hello");
    let mut client = edge.connect();
    client.send(format!("{}early", handshake("/", "")));
    assert!(client.head().starts_with("http/1.1 101 "));
    assert_eq!(client.read_exact(5), b"early");
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn a_connection_that_was_a_websocket_is_never_used_again() {
    let upstream = Upstream::websocket_echo();
    let edge = Setup::open(&[&upstream.url]).start();
    assert_eq!(edge.ask(&get("/", "")).text(), "hello");
    let mut client = open(&edge);
    assert_eq!(upstream.connections(), 1, "an idle connection may become a WebSocket");
    client.send(get("/", ""));
    assert_eq!(client.read_exact(get("/", "").len()), get("/", "").as_bytes(), "a request in it is bytes");
    client.half_close();
    assert!(client.some().is_empty());
    assert_eq!(edge.ask(&get("/", "")).text(), "hello");
    assert_eq!(upstream.connections(), 2);
    assert_eq!(edge.records(3).len(), 3);
}
