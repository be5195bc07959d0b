//! Requests that were damaged at random, each followed by a good one: gateway and upstream must agree on where every
//! request begins and ends, and damage is never the upstream's fault.

use std::io::Write;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use novagate_fixtures::SeededEntropy;
use novagate_kernel::ErrorCode;
use novagate_records::NO_INDEX;

use crate::harness::{Client, HELLO, Setup, Upstream, get, wait_until};

const ROUNDS: usize = 3000;

const SEEDS: [&str; 5] = [
    "GET /a HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 37\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: b\r\n\r\nxx",
    "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n25\r\nGET /smuggled HTTP/1.1\r\nHost: b\r\n\r\nxx\r\n\
     0\r\nX-T: 1\r\n\r\n",
    "PUT http://a/d?e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n0\r\n\r\n",
    "POST /f HTTP/1.0\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
];

const PIECES: [&str; 17] = [
    "\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    ":",
    ";",
    "0\r\n",
    "\0",
    "\u{e9}",
    "Content-Length: 3\r\n",
    "Content-Length: 3\r\n 4\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "GET /smuggled HTTP/1.1\r\nHost: b\r\n\r\n",
    "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n",
    "ffffffff",
];

pub(crate) fn damaged(entropy: &SeededEntropy) -> Vec<u8> {
    let mut bytes = entropy.pick(&SEEDS).as_bytes().to_vec();
    for _ in 0..=entropy.below(3) {
        let at = usize::try_from(entropy.below(bytes.len() as u64)).unwrap();
        match entropy.below(4) {
            0 => bytes[at] = entropy.next().to_le_bytes()[0],
            1 => drop(bytes.remove(at)),
            2 => drop(bytes.splice(at..at, entropy.pick(&PIECES).bytes())),
            _ => {
                let end = (at + 1 + usize::try_from(entropy.below(12)).unwrap()).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, copy));
            }
        }
    }
    bytes
}

/// Reads one body as a plain reader of RFC 9112 does.
fn read_body(conn: &mut Client, head: &str) -> Option<()> {
    let head = head.to_ascii_lowercase();
    if head.contains("\r\ntransfer-encoding:") {
        loop {
            let line = String::from_utf8(conn.try_read_until("\r\n")?).ok()?;
            let size = usize::from_str_radix(line.trim(), 16).ok()?;
            if size == 0 {
                while conn.try_read_until("\r\n")? != b"\r\n" {}
                return Some(());
            }
            conn.try_read_exact(size + 2)?;
        }
    }
    if let Some(value) = head.split("\r\ncontent-length:").nth(1) {
        conn.try_read_exact(value.split("\r\n").next()?.trim().parse().ok()?)?;
    }
    Some(())
}

#[test]
pub(crate) fn damaged_requests_never_desynchronise_gateway_and_upstream() {
    let heads = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&heads);
    let upstream = Upstream::scripted(move |_, conn| {
        while let Some(head) = conn.next_head() {
            counter.fetch_add(1, Ordering::SeqCst);
            assert!(head.contains("\r\nx-request-id: "), "a head that the gateway has written, not {head:?}");
            if read_body(conn, &head).is_none() || conn.stream.write_all(HELLO.as_bytes()).is_err() {
                return;
            }
        }
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let entropy = SeededEntropy::new(4711);
    for round in 0..ROUNDS {
        let bytes = damaged(&entropy);
        let mut client = edge.connect();
        // A refusal may close the connection before everything was sent.
        let _ = client.stream.write_all(&bytes).and_then(|()| client.stream.write_all(get("/canary", "").as_bytes()));
        let _ = client.stream.shutdown(Shutdown::Write);
        let answers = String::from_utf8_lossy(&client.rest()).into_owned();
        let first = answers.get(9..12).unwrap_or_default();
        assert!(
            ["", "200", "400", "405", "413", "414", "417", "431", "501", "505"].contains(&first),
            "round {round}: {first} to {:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
    wait_until("every connection has ended", || edge.handle.active_connections() == 0);
    let records = edge.records(1);
    assert!(records.iter().all(|record| record.code != Some(ErrorCode::DownstreamError)));
    let forwarded = records.iter().filter(|record| record.route != NO_INDEX).count();
    assert!(
        heads.load(Ordering::SeqCst) <= forwarded,
        "{} heads of {forwarded} requests",
        heads.load(Ordering::SeqCst)
    );
    assert_eq!(edge.handle.panics(), 0);
}
