//! The whole path of a request under bytes that were made to break it: from a client's socket through the gateway to an
//! upstream that reads strictly, and back.
//!
//! Always the same bytes for the same seed; `NOVAGATE_FUZZ_SEED` and `NOVAGATE_FUZZ_ROUNDS` choose others. What holds whatever a
//! client sends: the upstream gets valid requests only, the client gets whole and valid responses only, none of them says
//! that the gateway or the upstream is to blame, the connection ends, and nothing panics.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use novagate_fixtures::SeededEntropy;
use novagate_kernel::ErrorCode;
use novagate_policies::{ConfigObject, LimitBy, RateLimit, RouteLimit};
use novagate_routing::{
    Condition, ConditionOn, Expression, ForwardPath, Mirror, PathTemplate, Redirect, RedirectStatus, RouteAction,
    ValueTest,
};

use crate::harness::{
    Client, Edge, HELLO, PATIENCE, SWITCHING, Setup, Upstream, consumer, grant, name, route, service, wait_until,
};
use crate::harness_http2::{HEADERS, PREFACE, RST_STREAM, WHOLE, frame, literal};
use crate::mutants::damaged;

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

/// What a client may be told: nothing of it is the gateway's or the upstream's fault.
const STATUSES: [u16; 18] = [101, 200, 204, 302, 400, 401, 404, 405, 408, 411, 413, 414, 417, 429, 431, 501, 505, 100];

const METHODS: [&str; 9] = ["GET", "GET", "HEAD", "POST", "PUT", "OPTIONS", "TRACE", "CONNECT", "G\u{e9}T"];
const TARGETS: [&str; 22] = [
    "/",
    "/a/b",
    "/moved/x?y",
    "/closed/x",
    "/few/x",
    "/new/1/2",
    "/copied/x",
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

/// A number below `bound`.
fn below(entropy: &SeededEntropy, bound: usize) -> usize {
    usize::try_from(entropy.below(bound as u64)).unwrap()
}

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

/// What a strict reader has to say about a request: nothing when it is valid. Written for this test, by RFC 9112 only.
fn fault_of(head: &str) -> Option<&'static str> {
    let is_token = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let mut lines = head.strip_suffix("\r\n\r\n")?.split("\r\n");
    let words: Vec<&str> = lines.next()?.split(' ').collect();
    let [method, target, "HTTP/1.1"] = words[..] else { return Some("its first line is not of three words") };
    if !is_token(method) || !target.starts_with('/') || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some("its method or target");
    }
    let (mut hosts, mut lengths, mut codings, mut ids) = (0, 0, 0, 0);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { return Some("a line is no field") };
        if !is_token(name) {
            return Some("the name of a field");
        }
        if value.chars().any(|char| char != '\t' && (char < ' ' || char == '\x7f')) {
            return Some("a control byte");
        }
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "host" => hosts += 1,
            "content-length" if value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() => lengths += 1,
            "content-length" => return Some("its length"),
            "transfer-encoding" if value == "chunked" => codings += 1,
            "transfer-encoding" => return Some("its coding"),
            "x-request-id" => ids += 1,
            "x-consumer-id" => return Some("a consumer that was not proven"),
            _ => {}
        }
    }
    match (hosts, ids, lengths, codings) {
        (1, 1, 0..=1, 0) | (1, 1, 0, 1) => None,
        _ => Some("host, request id, length or coding come more than once, or not at all"),
    }
}

/// Reads a body by the strictest reading; false when its connection has ended in the middle, which is no fault.
fn read_body(conn: &mut Client, head: &str) -> Result<bool, &'static str> {
    let head = head.to_ascii_lowercase();
    if let Some(length) = head.split("\r\ncontent-length:").nth(1) {
        let length = length.split("\r\n").next().unwrap_or_default().trim().parse().map_err(|_| "its length")?;
        return Ok(conn.try_read_exact(length).is_some());
    }
    if !head.contains("\r\ntransfer-encoding:") {
        return Ok(true);
    }
    loop {
        let Some(line) = conn.try_read_until("\r\n") else { return Ok(false) };
        let digits = line.strip_suffix(b"\r\n").unwrap_or_default();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err("the size of a chunk");
        }
        let size = usize::from_str_radix(&String::from_utf8_lossy(digits), 16).map_err(|_| "the size of a chunk")?;
        if size == 0 {
            loop {
                match conn.try_read_until("\r\n").as_deref() {
                    None => return Ok(false),
                    Some(b"\r\n") => return Ok(true),
                    Some(line) if line.contains(&b':') => {}
                    Some(_) => return Err("a trailer"),
                }
            }
        }
        match conn.try_read_exact(size + 2) {
            None => return Ok(false),
            Some(data) if data.ends_with(b"\r\n") => {}
            Some(_) => return Err("the end of a chunk"),
        }
    }
}

/// An upstream that reads strictly; what it has found wrong.
fn strict() -> (Upstream, Arc<Mutex<Vec<String>>>) {
    let faults = Arc::<Mutex<Vec<String>>>::default();
    let told = Arc::clone(&faults);
    let upstream = Upstream::scripted(move |_, conn| {
        while let Some(head) = conn.next_head() {
            let whole = match fault_of(&head) {
                Some(fault) => Err(fault),
                None if head.to_ascii_lowercase().contains("\r\nupgrade: websocket") => {
                    drop(conn.stream.write_all(SWITCHING.as_bytes()));
                    conn.rest();
                    return;
                }
                None => read_body(conn, &head),
            };
            match whole {
                Ok(true) => {}
                Ok(false) => return,
                Err(fault) => return told.lock().unwrap().push(format!("{fault}: {head:?}")),
            }
            let answer = if head.starts_with("HEAD ") { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" } else { HELLO };
            if conn.stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    (upstream, faults)
}

/// Routes with everything that a request can meet.
fn start(upstream: &Upstream, mirrored: &Upstream) -> Edge {
    let all = route(1, "/*", "up");
    let mut moved = route(2, "/moved/*", "up");
    moved.route.action = RouteAction::from(Redirect {
        status: RedirectStatus::Found,
        scheme: None,
        host: Some("b.example".into()),
        port: None,
        path: None,
        drop_query: false,
    });
    let mut closed = route(3, "/closed/*", "up");
    closed.auth.required = true;
    let mut few = route(4, "/few/*", "up");
    let limit = RateLimit { max: 100, window: Duration::from_mins(1) };
    few.rate_limit = Some(RouteLimit { limit, by: LimitBy::Route });
    let mut renewed = route(5, "/new/{id}/*", "up");
    let path = PathTemplate::parse("/old/{id}/*", &renewed.route.matcher).unwrap();
    if let RouteAction::Forward(forward) = &mut renewed.route.action {
        forward.path = ForwardPath::Rewritten(path);
    }
    let mut copied = route(6, "/copied/*", "up");
    if let RouteAction::Forward(forward) = &mut copied.route.action {
        forward.mirror = Some(Mirror { service: name("mirror"), percent: 100, max_body: Mirror::USUAL_BODY });
    }
    let mut numbers = route(7, "/*", "up");
    let digits = ValueTest::Matches(Expression::parse("[0-9]+").unwrap());
    numbers.route.matcher.conditions = vec![Condition { on: ConditionOn::header("x-number").unwrap(), test: digits }];
    let mut objects = vec![
        ConfigObject::Service(service(1, "up", &[&upstream.url])),
        ConfigObject::Service(service(2, "mirror", &[&mirrored.url])),
        consumer(1, "app", &[], None),
        grant(1, 1),
    ];
    objects.extend([all, moved, closed, few, renewed, copied, numbers].map(ConfigObject::Route));
    Setup { workers: 2, ..Setup::new(objects) }.start()
}

/// The client's end: sends in pieces, half-closes, and reads to the end. Nothing when the connection was reset.
fn converse(edge: &Edge, bytes: &[u8], entropy: &SeededEntropy) -> Option<Vec<u8>> {
    let mut stream = send(edge, bytes, entropy);
    drop(stream.shutdown(Shutdown::Write));
    let mut answers = Vec::new();
    match stream.read_to_end(&mut answers) {
        Ok(_) => Some(answers),
        Err(fault) if fault.kind() == ErrorKind::ConnectionReset => None,
        Err(fault) => panic!("the connection does not end: {fault}"),
    }
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

fn send(edge: &Edge, bytes: &[u8], entropy: &SeededEntropy) -> TcpStream {
    let mut stream = TcpStream::connect(edge.handle.local_addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut rest = bytes;
    while !rest.is_empty() {
        let count = if entropy.below(2) == 0 { rest.len() } else { 1 + below(entropy, rest.len()) };
        // It may be refused before all of it is taken.
        if stream.write_all(&rest[..count]).is_err() {
            break;
        }
        rest = &rest[count..];
    }
    stream
}

/// What is wrong with the answers to one connection: nothing when each is whole and none says what it must not.
fn fault_of_answers(answers: &[u8]) -> Option<String> {
    let text: String = answers.iter().map(|byte| char::from(*byte)).collect();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let Some((head, behind)) = rest.split_once("\r\n\r\n") else { return Some("half a head".to_owned()) };
        let status = head.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        if !head.starts_with("HTTP/1.1 ") || !STATUSES.contains(&status) {
            return Some(format!("the answer {head:?}"));
        }
        let head = head.to_ascii_lowercase() + "\r\n";
        if status == 101 {
            return None;
        }
        if status >= 200 && !head.contains("\r\nx-request-id: ") {
            return Some("an answer without request id".to_owned());
        }
        let length = head.split("\r\ncontent-length: ").nth(1).and_then(|length| length.split("\r\n").next());
        let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        // An answer to HEAD has a length and no body.
        let is_bare = behind.is_empty() || behind.starts_with("HTTP/1.1 ");
        rest = if is_bare { behind } else { behind.get(length..).unwrap_or("half a body") };
    }
    None
}

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

type Make = fn(&SeededEntropy) -> Vec<u8>;
type Converse = fn(&Edge, &[u8], &SeededEntropy) -> Option<Vec<u8>>;

/// Runs many connections and judges what came of them. `judge` gets what a client was answered.
fn run(make: Make, converse: Converse, judge: fn(&[u8]) -> Option<String>) {
    let ((upstream, faults), (mirrored, copies)) = (strict(), strict());
    let edge = start(&upstream, &mirrored);
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
        let blames = matches!(
            record.code,
            Some(
                ErrorCode::DownstreamError
                    | ErrorCode::DownstreamTimeout
                    | ErrorCode::Internal
                    | ErrorCode::NoHealthyTargets
                    | ErrorCode::Overloaded
            )
        );
        assert!(!blames, "seed {seed}: {record:?}");
    }
    for faults in [faults, copies] {
        let faults = faults.lock().unwrap();
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
