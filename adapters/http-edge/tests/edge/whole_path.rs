//! The whole path of a request under bytes that were made to break it: from a client's socket through the gateway to an
//! upstream that reads strictly, and back.
//!
//! Always the same bytes for the same seed; `NOVAGATE_FUZZ_SEED` and `NOVAGATE_FUZZ_ROUNDS` choose others. What holds whatever a
//! client sends: the upstream gets valid requests only, the client gets whole and valid responses only, none of them says
//! that the gateway or the upstream is to blame, the connection ends, and nothing panics.

use std::io::{ErrorKind, Read};
use std::net::Shutdown;
use std::time::Duration;

use novagate_fixtures::SeededEntropy;

use crate::harness::{Edge, PATIENCE, wait_until};
use crate::harness_http2::{HEADERS, PREFACE, RST_STREAM, WHOLE, frame, literal};
use crate::mutants::damaged;
use crate::strict::{below, blames, converse, fault_of_answers, send, start, strict};

/// Connections of HTTP/1.1, and of HTTP/2, in every run.
const ROUNDS: u64 = 1_500;
const SEED: u64 = 9_112;
/// Without an answer for so long, a client of HTTP/2 has nothing more to say.
const LULL: Duration = Duration::from_millis(200);
/// Clients at the same time.
const CLIENTS: u64 = 4;

/// The last request of a connection of HTTP/2, which is a good one.
const GOOD: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];
const LAST_STREAM: u32 = 0x7fff;

const METHODS: [&str; 9] = ["GET", "GET", "HEAD", "POST", "PUT", "OPTIONS", "TRACE", "CONNECT", "G\u{e9}T"];
const TARGETS: [&str; 25] = [
    "/",
    "/a/b",
    "/moved/x?y",
    "/closed/x",
    "/few/x",
    "/new/1/2",
    "/copied/x",
    "/shops/blue/a",
    "/shops/a%20b/..html",
    "/shops//x//y.html?q",
    "/a//b/../c/./d",
    "/%2e%2e/x",
    "/../x",
    "/a%2Fb",
    "/%00",
    "/a%5cb",
    "/a\\b",
    "/%zz",
    "/?a=%zz&b",
    "*",
    "http://a/b?c",
    "http://b/",
    "//",
    "/\u{e4}",
    "a:443",
];
const VERSIONS: [&str; 8] =
    ["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "HTTP/1.2"];
const FIELDS: [&str; 44] = [
    "Host: a",
    "Host: shop.example:80",
    "host: b",
    "Host:",
    "Content-Length: 5",
    "Content-Length: 0",
    "Content-Length: 40",
    "Content-Length: +5",
    "Content-Length: 5, 5",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding : chunked",
    "transfer-encoding:\tchunked ",
    "Connection: close",
    "Connection: keep-alive, X-Own",
    "Connection: content-length, host, transfer-encoding",
    "Connection: upgrade",
    "Upgrade: websocket",
    "Upgrade: h2c",
    "HTTP2-Settings: AAMAAABkAAQAAP__",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "Expect: 100-continue",
    "Expect: 200-maybe",
    "X-Own: a",
    "X-Number: 17",
    "X-Number: x",
    "X: \u{e9}\u{e8}",
    "X:  \t ",
    "X: a\r\n b",
    "X: a\nY: b",
    "X: a\rb",
    ": x",
    "X-API-Key: ck_00000000000000000000000000000000",
    "Authorization: Bearer a.b.c",
    "Authorization: Basic YTpi",
    "Cookie: a=b; c=\"d",
    "X-Request-ID: 0198c0de-0000-4000-8000-0000000000ff",
    "X-Request-ID: nonsense",
    "X-Forwarded-For: 1.2.3.4, unknown",
    "X-Consumer-Id: forged",
    "TE: trailers, deflate",
    "Trailer: X-T",
    "Range: bytes=0-",
];
const BODIES: [&str; 14] = [
    "",
    "",
    "hello",
    "5\r\nhello\r\n0\r\n\r\n",
    "5;a=\"b\"\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
    "0\r\n\r\n",
    "0\r\nHost: b\r\n\r\n",
    "fffffffffffffffff\r\n",
    "5\r\nhello0\r\n\r\n",
    "-1\r\n",
    "2\r\nhe\r\n3\nllo\r\n0\r\n\r\n",
    "GET /smuggled HTTP/1.1\r\nHost: b\r\n\r\n",
    "\r\n",
    "a body that is longer than it was said to be, for all I know",
];

/// The bytes of one connection: some requests, good and bad.
fn connection(entropy: &SeededEntropy) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=entropy.below(3) {
        if entropy.below(8) == 0 {
            bytes.extend(damaged(entropy));
            continue;
        }
        let (method, target, version) = (entropy.pick(&METHODS), entropy.pick(&TARGETS), entropy.pick(&VERSIONS));
        let mut request = format!("{method} {target} {version}\r\n");
        if entropy.below(4) > 0 {
            request.push_str("Host: a\r\n");
        }
        for _ in 0..entropy.below(6) {
            request.push_str(entropy.pick::<&str>(&FIELDS));
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        let is_framed = request.contains("chunked\r\n");
        // Mostly a body that fits, or the path of a body would be seldom seen.
        request.push_str(match entropy.below(3) {
            0 => entropy.pick::<&str>(&BODIES),
            _ if is_framed => "5\r\nhello\r\n0\r\n\r\n",
            _ if request.contains("Content-Length: 5\r\n") => "hello",
            _ => "",
        });
        bytes.extend(request.bytes());
    }
    while entropy.below(3) == 0 && !bytes.is_empty() {
        let at = below(entropy, bytes.len());
        match entropy.below(3) {
            0 => bytes[at] = entropy.next().to_le_bytes()[0],
            1 => drop(bytes.remove(at)),
            _ => bytes.truncate(at),
        }
    }
    bytes
}

/// The bytes of one connection of HTTP/2: frames, good and bad.
fn frames(entropy: &SeededEntropy) -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    let mut stream = 1;
    let is_wild = entropy.below(3) == 0;
    for _ in 0..=entropy.below(8) {
        let payload = entropy.take::<64>()[..below(entropy, 65)].to_vec();
        if is_wild && entropy.below(3) == 0 {
            // Known frames of any size, unknown ones, on any stream.
            let kind = u8::try_from(entropy.below(12)).unwrap();
            let of = u32::try_from(entropy.below(9)).unwrap();
            bytes.extend(frame(kind, entropy.next().to_le_bytes()[0], of, &payload));
        } else {
            let ends = 4 + u8::from(entropy.below(2) == 0);
            bytes.extend(frame(HEADERS, ends, stream, &literal(&fields(entropy))));
            match entropy.below(5) {
                0 => bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())),
                _ if ends == 4 => bytes.extend(frame(0, 1, stream, &payload)),
                _ => {}
            }
            stream += 2;
        }
    }
    bytes.extend(frame(HEADERS, WHOLE, LAST_STREAM, &literal(&GOOD)));
    while entropy.below(10) == 0 {
        let at = PREFACE.len() + below(entropy, bytes.len() - PREFACE.len());
        bytes[at] = entropy.next().to_le_bytes()[0];
    }
    bytes
}

fn fields(entropy: &SeededEntropy) -> Vec<(&'static str, &'static str)> {
    let targets = TARGETS.map(|target| if target.is_ascii() { target } else { "/" });
    let mut fields = vec![
        (":method", *entropy.pick(&["GET", "HEAD", "POST", "CONNECT", "P UT"])),
        (":scheme", *entropy.pick(&["http", "https", "ftp"])),
        (":path", *entropy.pick(&targets)),
        (":authority", *entropy.pick(&["a", "a:80", "user@a", "a b"])),
    ];
    for _ in 0..entropy.below(4) {
        fields.push(*entropy.pick(&[
            ("host", "a"),
            ("host", "b"),
            ("content-length", "5"),
            ("content-length", "x"),
            ("transfer-encoding", "chunked"),
            ("connection", "close"),
            ("te", "trailers"),
            ("te", "gzip"),
            ("x-own", "a\r\nx: b"),
            ("x-own", "a\0"),
            ("X-Upper", "a"),
            ("cookie", "a=b"),
            (":path", "/again"),
            (":protocol", "websocket"),
            ("x-number", "17"),
            ("expect", "100-continue"),
            ("authorization", "Bearer x"),
        ]));
    }
    if entropy.below(8) == 0 {
        fields.remove(below(entropy, fields.len()));
    }
    fields
}

/// The same over HTTP/2, where the end of a client's bytes is the end of its requests too: it comes after the answer to the
/// last one, or when there is none for a while.
fn converse_http2(edge: &Edge, bytes: &[u8], entropy: &SeededEntropy) -> Option<Vec<u8>> {
    let mut stream = send(edge, bytes, entropy);
    stream.set_read_timeout(Some(LULL)).unwrap();
    let (mut answers, mut piece) = (Vec::new(), [0; 4_096]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return Some(answers),
            Ok(count) => answers.extend_from_slice(&piece[..count]),
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => break,
            Err(_) => return None,
        }
        if ends_with_the_last(&answers) {
            break;
        }
    }
    drop(stream.shutdown(Shutdown::Write));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match stream.read_to_end(&mut answers) {
        Err(fault) if fault.kind() != ErrorKind::ConnectionReset => panic!("the connection does not end: {fault}"),
        _ => Some(answers),
    }
}

/// Whether the frames hold the end of the last stream.
fn ends_with_the_last(frames: &[u8]) -> bool {
    let mut rest = frames;
    while let Some(head) = rest.first_chunk::<9>() {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        if stream == LAST_STREAM && (head[3] == RST_STREAM || head[4] & 1 == 1) {
            return true;
        }
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    false
}

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

type Make = fn(&SeededEntropy) -> Vec<u8>;
type Converse = fn(&Edge, &[u8], &SeededEntropy) -> Option<Vec<u8>>;

/// Runs many connections and judges what came of them. `judge` gets what a client was answered.
fn run(make: Make, converse: Converse, judge: fn(&[u8]) -> Option<String>) {
    let (up, mirror) = (strict(), strict());
    let edge = start(&up.upstream, &mirror.upstream);
    let (seed, rounds) = (setting("NOVAGATE_FUZZ_SEED", SEED), setting("NOVAGATE_FUZZ_ROUNDS", ROUNDS));
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let edge = &edge;
            scope.spawn(move || {
                for round in (client..rounds).step_by(usize::try_from(CLIENTS).unwrap()) {
                    let entropy = SeededEntropy::new(seed.wrapping_mul(1 << 32).wrapping_add(round));
                    let bytes = make(&entropy);
                    let shown = String::from_utf8_lossy(&bytes).into_owned();
                    let answers = converse(edge, &bytes, &entropy);
                    if let Some(fault) = answers.as_deref().and_then(judge) {
                        let answers = String::from_utf8_lossy(answers.as_deref().unwrap_or_default()).into_owned();
                        panic!("seed {seed}, round {round}: {fault}\nsent {shown:?}\ngot {answers:?}");
                    }
                }
            });
        }
    });
    wait_until("every connection has ended", || edge.handle.active_connections() == 0);
    assert_eq!(edge.handle.panics(), 0);
    let records = edge.records(1);
    for record in &records {
        assert!(!blames(record), "seed {seed}: {record:?}");
    }
    for strict in [up, mirror] {
        let faults = strict.faults.lock().unwrap();
        assert!(faults.is_empty(), "seed {seed}: {faults:?}");
    }
    // A run in which nothing gets through, or everything, tests nothing.
    let served = records.iter().filter(|record| record.status == 200).count();
    assert!((records.len() / 20..records.len() * 19 / 20).contains(&served), "{served} of {}", records.len());
}

#[test]
fn whatever_a_client_sends_upstream_and_client_get_valid_messages_only() {
    run(connection, converse, fault_of_answers);
}

#[test]
fn the_same_holds_for_frames_of_http_2() {
    // What a client gets are frames, which the library has written.
    run(frames, converse_http2, |_| None);
}
