//! What must hold whatever clients and upstreams send: the fuzz targets `whole_path` and `responses` in `testkit/fuzz`, which
//! include this file, and the inputs that they have kept.
//!
//! Always: where the bytes are cut depends on the bytes alone, so an input tells all there is to tell.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use novagate_fixtures::SeededEntropy;
use novagate_framing::{Limits, RequestFraming, Step};
use novagate_routing::normalise;

use crate::harness::{Edge, Setup, Upstream, wait_until};
use crate::strict::{Strict, below, blames, converse, fault_of_answers, send, start, strict};

/// How a connection of HTTP/2 begins; what is answered there are frames.
const HTTP2: &[u8] = b"PRI * HTTP/2";
/// How many requests can be on their way.
const LATELY: usize = 500;

/// Clients that may send anything, a gateway, and upstreams that read strictly.
pub(crate) struct HostileClients {
    edge: Edge,
    up: Strict,
    mirror: Strict,
    /// What was sent lately: what a client has left behind may arrive while others are served.
    lately: Mutex<Lately>,
}

/// What clients have sent lately.
#[derive(Default)]
struct Lately {
    sent: VecDeque<Sent>,
    /// For so many inputs requests may arrive that were frames.
    frames: usize,
}

/// A request that a client has sent.
struct Sent {
    method: String,
    target: String,
}

/// An upstream that may answer anything, a gateway, and clients that read strictly.
pub(crate) struct HostileUpstream {
    edge: Edge,
    answer: Arc<Mutex<Vec<u8>>>,
}

impl HostileClients {
    pub(crate) fn start() -> Self {
        let (up, mirror) = (strict(), strict());
        let edge = start(&up.upstream, &mirror.upstream);
        Self { edge, up, mirror, lately: Mutex::default() }
    }

    /// The client gets whole answers that blame nobody, the upstreams get valid requests only and none that the client has
    /// not sent, the connection ends.
    pub(crate) fn check(&self, input: &[u8]) {
        // A new window, so that limits do not come to refuse everything.
        self.edge.clock.advance(Duration::from_mins(1));
        let mut lately = self.lately.lock().unwrap();
        lately.sent.extend(requests_in(input));
        lately.frames = if input.starts_with(HTTP2) { LATELY } else { lately.frames.saturating_sub(1) };
        let answers = converse(&self.edge, input, &entropy_of(input));
        if let Some(answers) = answers.filter(|_| !input.starts_with(HTTP2)) {
            let fault = fault_of_answers(&answers);
            assert!(fault.is_none(), "{fault:?}: {:?}", String::from_utf8_lossy(&answers));
        }
        settle(&self.edge);
        let mut records = Vec::new();
        self.edge.handle.record_source().drain(&mut records, 100_000);
        for record in &records {
            assert!(!blames(record), "{record:?}");
        }
        for strict in [&self.up, &self.mirror] {
            let faults = strict.faults.lock().unwrap();
            assert!(faults.is_empty(), "{faults:?}");
        }
        self.mirror.heads.lock().unwrap().clear();
        for head in self.up.heads.lock().unwrap().drain(..) {
            assert!(lately.has_sent(&head) || lately.frames > 0, "nobody has sent {head:?}");
        }
        let too_many = lately.sent.len().saturating_sub(LATELY);
        drop(lately.sent.drain(..too_many));
    }
}

impl Lately {
    /// Whether a client has sent this request, which counts once.
    fn has_sent(&mut self, head: &str) -> bool {
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let is_rewritten = target.starts_with("/old/") || target.starts_with("/of/");
        let at = self.sent.iter().rposition(|one| one.method == method && (is_rewritten || one.target == target));
        at.and_then(|at| self.sent.remove(at)).is_some()
    }
}

/// The requests that stand in the bytes of a connection, where the framing of all of them says that requests begin.
fn requests_in(input: &[u8]) -> Vec<Sent> {
    let mut framing = RequestFraming::new(Limits::default());
    let (mut requests, mut rest) = (Vec::new(), input);
    loop {
        let consumed = match framing.feed(rest) {
            Step::Head(head) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let target = told_target(&text(head.target.of(rest)));
                requests.push(Sent { method: text(head.method.of(rest)), target });
                head.len
            }
            Step::Body { consumed } | Step::EndOfMessage { consumed } => consumed,
            Step::NeedMore | Step::Closed | Step::Violation(_) => return requests,
        };
        rest = &rest[consumed..];
    }
}

/// What an upstream is told of a target.
fn told_target(target: &str) -> String {
    let behind_host = |url: &str| url.find(['/', '?']).map_or_else(String::new, |at| url[at..].to_owned());
    let target = target
        .split_once("://")
        .filter(|_| !target.starts_with('/'))
        .map_or(target.to_owned(), |(_, url)| behind_host(url));
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    normalise(path).map_or_else(|_| String::new(), |path| path.as_str().to_owned() + query)
}

impl HostileUpstream {
    pub(crate) fn start() -> Self {
        let answer = Arc::<Mutex<Vec<u8>>>::default();
        let told = Arc::clone(&answer);
        let upstream = Upstream::scripted(move |_, conn| {
            while conn.next_head().is_some() {
                let bytes = told.lock().unwrap().clone();
                let entropy = entropy_of(&bytes);
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let count = if entropy.below(2) == 0 { rest.len() } else { 1 + below(&entropy, rest.len()) };
                    if conn.stream.write_all(&rest[..count]).is_err() {
                        return;
                    }
                    rest = &rest[count..];
                }
                drop(conn.stream.shutdown(Shutdown::Write));
            }
        });
        Self { edge: Setup::open(&[&upstream.url]).start(), answer }
    }

    /// The client gets one valid response, whole or cut off, or a refusal.
    pub(crate) fn check(&self, input: &[u8]) {
        self.edge.clock.advance(Duration::from_mins(1));
        *self.answer.lock().unwrap() = input.to_vec();
        let entropy = entropy_of(input);
        let line = *entropy.pick(&["GET / HTTP/1.1", "GET / HTTP/1.1", "HEAD / HTTP/1.1", "GET / HTTP/1.0"]);
        let request = format!("{line}\r\nHost: a\r\nConnection: close\r\n\r\n");
        let mut stream = send(&self.edge, request.as_bytes(), &entropy);
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(fault) if fault.kind() == ErrorKind::ConnectionReset => {}
            Err(fault) => panic!("the connection does not end: {fault}"),
        }
        let fault = fault_of_response(&answer, line.starts_with("HEAD"));
        assert!(fault.is_none(), "{fault:?}: {line} got {:?}", String::from_utf8_lossy(&answer));
        drop(stream);
        settle(&self.edge);
        self.edge.handle.record_source().drain(&mut Vec::new(), 100_000);
    }
}

/// Waits for the end of what was begun.
fn settle(edge: &Edge) {
    wait_until("every connection has ended", || edge.handle.active_connections() == 0);
    assert_eq!(edge.handle.panics(), 0);
}

fn entropy_of(input: &[u8]) -> SeededEntropy {
    // FNV-1a.
    let hash = |hash: u64, octet: &u8| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
    SeededEntropy::new(input.iter().fold(0xcbf2_9ce4_8422_2325, hash))
}

/// What is wrong with the response to one request, which may be cut off behind its head.
fn fault_of_response(bytes: &[u8], is_bare: bool) -> Option<&'static str> {
    let mut rest = bytes;
    loop {
        if rest.is_empty() {
            return None;
        }
        let Some((head, behind)) = cut(rest, b"\r\n\r\n") else { return Some("half a head") };
        rest = behind;
        // One char for each byte.
        let head: String = head.iter().map(|byte| char::from(*byte)).collect();
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse::<u16>().ok());
        let Some(status) = status else { return Some("its status line") };
        let fields: Option<Vec<(String, &str)>> = lines.map(field).collect();
        let Some(fields) = fields else { return Some("a field") };
        if (100..200).contains(&status) {
            continue;
        }
        let named = |name: &str| -> Vec<&str> {
            fields.iter().filter(|(known, _)| known == name).map(|(_, value)| *value).collect()
        };
        return match (&named("x-request-id")[..], &named("content-length")[..], &named("transfer-encoding")[..]) {
            ([_], _, _) if is_bare || matches!(status, 204 | 304) => (!rest.is_empty()).then_some("a body"),
            ([_], [length], []) => match length.parse() {
                Ok(length) if rest.len() <= length => None,
                _ => Some("its length"),
            },
            ([_], [], ["chunked"]) => fault_of_chunks(rest),
            ([_], [], []) => None,
            _ => Some("request id, length or coding"),
        };
    }
}

/// What stands before and behind the first `end`.
fn cut<'b>(bytes: &'b [u8], end: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let at = bytes.windows(end.len()).position(|window| window == end)?;
    Some((&bytes[..at], &bytes[at + end.len()..]))
}

/// The name in lower case, and the value.
fn field(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.split_once(':')?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_text = |char: char| char == '\t' || (char >= ' ' && char != '\x7f');
    let fits = !name.is_empty() && name.bytes().all(is_token) && value.chars().all(is_text);
    fits.then(|| (name.to_ascii_lowercase(), value.trim_matches([' ', '\t'])))
}

/// Chunks without extensions, as the gateway writes them, up to where they are cut off.
fn fault_of_chunks(mut rest: &[u8]) -> Option<&'static str> {
    loop {
        let (size, behind) = cut(rest, b"\r\n")?;
        let size = std::str::from_utf8(size).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let Some(size) = size else { return Some("the size of a chunk") };
        if size == 0 {
            return fault_of_end(behind);
        }
        let end = behind.get(size..)?;
        if !end.starts_with(b"\r\n") && !b"\r\n".starts_with(end) {
            return Some("the end of a chunk");
        }
        rest = end.get(2..)?;
    }
}

/// Trailers, an empty line, and nothing behind it.
fn fault_of_end(mut rest: &[u8]) -> Option<&'static str> {
    loop {
        let (line, behind) = cut(rest, b"\r\n")?;
        if line.is_empty() {
            return (!behind.is_empty()).then_some("what is behind the last chunk");
        }
        let line: String = line.iter().map(|byte| char::from(*byte)).collect();
        if field(&line).is_none() {
            return Some("a trailer");
        }
        rest = behind;
    }
}

#[test]
fn kept_bytes_of_clients_become_valid_messages_only() {
    let world = HostileClients::start();
    crate::replay::each_kept("whole_path", |input| world.check(input));
}

#[test]
fn kept_answers_of_upstreams_become_valid_messages_only() {
    let world = HostileUpstream::start();
    crate::replay::each_kept("responses", |input| world.check(input));
}
