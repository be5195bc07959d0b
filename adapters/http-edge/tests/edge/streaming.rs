//! Bodies pass while they come, at the pace of whoever is slower, in bounded memory.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::harness::{HELLO, PATIENCE, Setup, Upstream, get, wait_until};

const MANY: usize = 8 * 1024 * 1024;

fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at * 31 % 251).to_le_bytes()[0]).collect()
}

#[test]
fn each_event_of_a_stream_arrives_before_the_next_one_is_made() {
    let (go, may_go) = channel::<()>();
    let may_go = std::sync::Mutex::new(may_go);
    let upstream = Upstream::scripted(move |_, conn| {
        conn.next_head();
        conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        for number in 0..5 {
            conn.send(format!("9\r\ndata: {number}\n\n\r\n"));
            may_go.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        }
        conn.send("0\r\n\r\n");
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send(get("/events", ""));
    client.head();
    for number in 0..5 {
        assert_eq!(client.read_exact(14), format!("9\r\ndata: {number}\n\n\r\n").as_bytes());
        go.send(()).unwrap();
    }
    assert_eq!(client.read_exact(5), b"0\r\n\r\n");
}

#[test]
fn each_piece_of_an_upload_arrives_before_the_next_one_is_sent() {
    let (seen, is_seen) = channel::<Vec<u8>>();
    let upstream = Upstream::scripted(move |_, conn| {
        conn.next_head();
        for _ in 0..5 {
            seen.send(conn.read_exact(4)).unwrap();
        }
        conn.send(HELLO);
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n");
    for _ in 0..5 {
        client.send("abcd");
        assert_eq!(is_seen.recv_timeout(PATIENCE).unwrap(), b"abcd");
    }
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn large_bodies_pass_unchanged_in_every_framing() {
    let upstream = Upstream::scripted(|_, conn| {
        while let Some(head) = conn.next_head() {
            let body = if head.contains("transfer-encoding: chunked") {
                let mut body = Vec::new();
                loop {
                    let line = String::from_utf8(conn.read_until("\r\n")).unwrap();
                    let size = usize::from_str_radix(line.trim(), 16).unwrap();
                    body.extend(conn.read_exact(size));
                    conn.read_exact(2);
                    if size == 0 {
                        break body;
                    }
                }
            } else {
                conn.read_exact(MANY)
            };
            if head.contains("/chunked") {
                conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                for piece in body.chunks(100_000) {
                    conn.send(format!("{:x}\r\n", piece.len()));
                    conn.send(piece);
                    conn.send("\r\n");
                }
                conn.send("0\r\n\r\n");
            } else {
                conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
                conn.send(body);
            }
        }
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let sent = Arc::new(pattern(MANY));
    for path in ["/known", "/chunked"] {
        for chunked in [false, true] {
            let mut client = edge.connect();
            let (mut stream, body) = (client.stream.try_clone().unwrap(), Arc::clone(&sent));
            let writer = std::thread::spawn(move || {
                if chunked {
                    write!(stream, "POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
                    for piece in body.chunks(70_001) {
                        write!(stream, "{:X}\r\n", piece.len()).unwrap();
                        stream.write_all(piece).unwrap();
                        stream.write_all(b"\r\n").unwrap();
                    }
                    stream.write_all(b"0\r\n\r\n").unwrap();
                } else {
                    write!(stream, "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {MANY}\r\n\r\n").unwrap();
                    stream.write_all(&body).unwrap();
                }
            });
            let response = client.response();
            writer.join().unwrap();
            assert!(response.body == *sent, "{path} {chunked}: {} bytes", response.body.len());
        }
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_client_that_does_not_read_stops_the_upstream() {
    let written = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&written);
    let upstream = Upstream::scripted(move |_, conn| {
        conn.next_head();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
        conn.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let piece = vec![0; 65_536];
        while conn.stream.write_all(&piece).is_ok() {
            counter.fetch_add(piece.len(), Ordering::SeqCst);
        }
        counter.fetch_add(1 << 60, Ordering::SeqCst);
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send(get("/", ""));
    client.head();
    wait_until("the upstream is stopped", || written.load(Ordering::SeqCst) >= 1 << 60);
    assert!(written.load(Ordering::SeqCst) - (1 << 60) < 64 * 1024 * 1024);
}

#[test]
fn an_answer_before_the_end_of_an_upload_reaches_the_client() {
    let upstream = Upstream::scripted(|_, conn| {
        conn.next_head();
        conn.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig");
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {MANY}\r\n\r\nsome of it"));
    let response = client.response();
    assert_eq!((response.status, response.text().as_str(), response.field("connection")), (413, "big", Some("close")));
    assert!(client.is_closed());
}

#[test]
fn a_violation_under_a_running_response_does_not_break_into_it() {
    let (go, may_go) = channel::<()>();
    let may_go = std::sync::Mutex::new(may_go);
    let upstream = Upstream::scripted(move |_, conn| {
        conn.next_head();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        may_go.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        conn.send("world");
        conn.rest();
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    assert!(client.head().contains("connection: close\r\n"));
    assert_eq!(client.read_exact(5), b"hello");
    client.send("zz\r\n");
    go.send(()).unwrap();
    assert_eq!(client.read_exact(5), b"world");
    assert!(client.is_closed());
    assert_eq!(edge.records(1).len(), 1);
}

#[test]
fn both_directions_run_at_the_same_time() {
    let upstream = Upstream::scripted(|_, conn| {
        conn.next_head();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n");
        for _ in 0..5 {
            let piece = conn.read_exact(4);
            conn.send(piece);
        }
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = edge.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n");
    client.head();
    for piece in ["abcd", "efgh", "ijkl", "mnop", "qrst"] {
        client.send(piece);
        assert_eq!(client.read_exact(4), piece.as_bytes());
    }
}
