//! An upstream that reads strictly, a gateway with everything that a request can meet, and a client that reads strictly: the
//! ground of `whole_path`, and of the fuzz targets in `testkit/fuzz`, which include this file.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use novagate_fixtures::SeededEntropy;
use novagate_kernel::ErrorCode;
use novagate_policies::{ConfigObject, LimitBy, RateLimit, RouteLimit};
use novagate_records::RequestRecord;
use novagate_routing::{
    Condition, ConditionOn, Expression, ForwardHost, ForwardPath, HostTemplate, Mirror, PathTemplate, Redirect,
    RedirectStatus, RouteAction, ValueTest,
};

use crate::harness::{
    Client, Edge, HELLO, PATIENCE, SWITCHING, Setup, Upstream, consumer, grant, name, route, service,
};

/// What a client may be told: nothing of it is the gateway's or the upstream's fault.
const STATUSES: [u16; 18] = [101, 200, 204, 302, 400, 401, 404, 405, 408, 411, 413, 414, 417, 429, 431, 501, 505, 100];

/// What several threads tell.
pub(crate) type Told = Arc<Mutex<Vec<String>>>;

/// An upstream that reads strictly.
pub(crate) struct Strict {
    pub(crate) upstream: Upstream,
    /// What it has found wrong.
    pub(crate) faults: Told,
    /// The heads of the requests that it got.
    pub(crate) heads: Told,
}

/// A number below `bound`.
pub(crate) fn below(entropy: &SeededEntropy, bound: usize) -> usize {
    usize::try_from(entropy.below(bound as u64)).unwrap()
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

/// Starts an upstream that reads strictly.
pub(crate) fn strict() -> Strict {
    let (faults, heads) = (Told::default(), Told::default());
    let (told, seen) = (Arc::clone(&faults), Arc::clone(&heads));
    let upstream = Upstream::scripted(move |_, conn| {
        while let Some(head) = conn.next_head() {
            seen.lock().unwrap().push(head.clone());
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
    Strict { upstream, faults, heads }
}

/// Routes with everything that a request can meet.
pub(crate) fn start(upstream: &Upstream, mirrored: &Upstream) -> Edge {
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
    let mut shops = route(8, "/shops/*", "up");
    let parts = ValueTest::Matches(Expression::parse("/shops/(?<shop>[^/]*)(?<rest>.*?)(?:[.]html)?").unwrap());
    shops.route.matcher.conditions = vec![Condition { on: ConditionOn::Path, test: parts }];
    let path = PathTemplate::parse("/of/{rest}", &shops.route.matcher).unwrap();
    let host = HostTemplate::parse("{shop}.shops.example", &shops.route.matcher).unwrap();
    if let RouteAction::Forward(forward) = &mut shops.route.action {
        (forward.path, forward.host) = (ForwardPath::Rewritten(path), ForwardHost::Written(host.into()));
    }
    let mut objects = vec![
        ConfigObject::Service(service(1, "up", &[&upstream.url])),
        ConfigObject::Service(service(2, "mirror", &[&mirrored.url])),
        consumer(1, "app", &[], None),
        grant(1, 1),
    ];
    objects.extend([all, moved, closed, few, renewed, copied, numbers, shops].map(ConfigObject::Route));
    Setup { workers: 2, ..Setup::new(objects) }.start()
}

/// The client's end: sends in pieces, half-closes, and reads to the end. Nothing when the connection was reset.
pub(crate) fn converse(edge: &Edge, bytes: &[u8], entropy: &SeededEntropy) -> Option<Vec<u8>> {
    let mut stream = send(edge, bytes, entropy);
    drop(stream.shutdown(Shutdown::Write));
    let mut answers = Vec::new();
    match stream.read_to_end(&mut answers) {
        Ok(_) => Some(answers),
        Err(fault) if fault.kind() == ErrorKind::ConnectionReset => None,
        Err(fault) => panic!("the connection does not end: {fault}"),
    }
}

pub(crate) fn send(edge: &Edge, bytes: &[u8], entropy: &SeededEntropy) -> TcpStream {
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
pub(crate) fn fault_of_answers(answers: &[u8]) -> Option<String> {
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

/// Whether a record says that the gateway or the upstream is to blame.
pub(crate) fn blames(record: &RequestRecord) -> bool {
    matches!(
        record.code,
        Some(
            ErrorCode::DownstreamError
                | ErrorCode::DownstreamTimeout
                | ErrorCode::Internal
                | ErrorCode::NoHealthyTargets
                | ErrorCode::Overloaded
        )
    )
}
