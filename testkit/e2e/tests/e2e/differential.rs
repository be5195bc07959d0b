//! The gateway beside nginx: the same well-formed requests through both to the same upstream. What the upstream gets and what
//! the client gets is equal, but for the list below.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;

use novagate_e2e::{Answer, AnswerFraming, Connection, Gateway, Nginx, Received, Response, Upstream};
use novagate_fixtures::SeededEntropy;
use serde_json::json;

/// Connections, each with one to four requests.
const CONNECTIONS: usize = 400;
const SEED: u64 = 20_221;

/// Fields that the gateway adds to requests, as `docs/edge.md` says.
const ADDED: [&str; 4] = ["x-request-id", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
/// Fields about a connection that nginx passes on; here they end at the gateway (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [&str; 4] = ["te", "keep-alive", "proxy-connection", "x-hop"];
/// How long a body is; nginx tells a length where it has got all of a chunked one.
const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];
/// Fields of responses that each of them words in its own way.
const OWN_WORDS: [&str; 8] = [
    "server",
    "date",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "x-request-id",
    "ratelimit",
    "ratelimit-policy",
];

/// A request with what a client has to know to read the answer.
#[derive(Debug, Clone)]
struct Sent {
    is_head: bool,
    bytes: Vec<u8>,
}

impl Sent {
    fn head(&self) -> Cow<'_, str> {
        let end = self.bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        String::from_utf8_lossy(&self.bytes[..end])
    }
}

/// A message without what may differ.
#[derive(Debug, PartialEq, Eq)]
struct Essence {
    start: String,
    fields: BTreeMap<String, Vec<String>>,
    /// Its length and a hash.
    body: (usize, u64),
}

fn body(bytes: &[u8]) -> (usize, u64) {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    (bytes.len(), hasher.finish())
}

fn fields<'a>(
    headers: impl IntoIterator<Item = &'a (String, String)>,
    but: impl Fn(&str) -> bool,
) -> BTreeMap<String, Vec<String>> {
    let mut fields = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in headers.into_iter().filter(|(name, _)| !but(name)) {
        fields.entry(name.to_ascii_lowercase()).or_default().push(value.clone());
    }
    fields
}

impl Essence {
    fn of_request(request: &Received) -> Self {
        let but = |name: &str| [&ADDED[..], &HOP_BY_HOP, &FRAMING, &["host"]].concat().contains(&name);
        let start = format!("{} {}", request.method, request.target);
        Self { start, fields: fields(&request.headers, but), body: body(&request.body) }
    }

    fn of_answer(answer: &Response) -> Self {
        let fields = fields(&answer.headers, |name| OWN_WORDS.contains(&name));
        Self { start: answer.status.to_string(), fields, body: body(&answer.body) }
    }
}

/// What the upstream answers to a path: `/<kind>/...`.
fn answer(asked: &Received) -> Answer {
    let kind = asked.target.split(['/', '?']).nth(1).unwrap_or_default();
    let body = "A line of the answer.\n".repeat(80);
    match kind {
        "empty" => Answer::new(200, ""),
        "chunked" => Answer::new(200, body).framed(AnswerFraming::Chunked),
        "close" => Answer::new(200, body).header("Connection", "close").framed(AnswerFraming::Close),
        "none" => Answer::new(204, ""),
        "same" => Answer::new(304, "").header("ETag", "\"a\""),
        "gone" => Answer::new(404, "gone").header("Content-Type", "text/plain"),
        "broken" => Answer::new(500, "broken"),
        "moved" => Answer::new(302, "").header("Location", "/elsewhere?a=b"),
        "fields" => Answer::new(200, "x")
            .header("Set-Cookie", "a=b; Path=/")
            .header("Set-Cookie", "c=d")
            .header("X-Empty", "")
            .header("Cache-Control", "no-store")
            .header("Vary", "Accept"),
        _ => Answer::new(200, body),
    }
}

const KINDS: [&str; 10] = ["empty", "chunked", "close", "none", "same", "gone", "broken", "moved", "fields", "plain"];
const METHODS: [&str; 9] = ["GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"];
/// Paths in the form that the gateway brings them into; others differ by decision.
const PATHS: [&str; 8] = ["", "/", "/a", "/a/b/", "/-._~", "/!$&'()*+,;=:@", "/a%20b%2C", "/%E4%BD%A0"];
const QUERIES: [&str; 7] = ["", "?", "?a=b&c", "?a=%2F..//./", "?q=a+b%20c", "?%zz", "?/?a=b?c"];
const FIELDS: [&str; 18] = [
    "User-Agent: a client/1.0 (of tests)",
    "Accept: */*",
    "accept: text/html;q=0.5, */*",
    "Accept-Encoding: gzip, br",
    "Cookie: a=b; c=d",
    "Authorization: Basic YTpi",
    "X-Empty:",
    "X-Blanks: \t  inside\tof it \t ",
    "X-Twice: one",
    "X-Twice: two",
    "x_underscore: a",
    "X-Latin: caf\u{e9}",
    "If-None-Match: \"a\", W/\"b\"",
    "Range: bytes=0-10",
    "Content-Type: application/json",
    "TE: trailers",
    "Keep-Alive: timeout=5",
    "Via: 1.1 somebody",
];

/// One request; `is_last` on its connection.
fn request(entropy: &SeededEntropy, is_last: bool) -> Sent {
    let (method, is_old) = (*entropy.pick(&METHODS), is_last && entropy.below(5) == 0);
    let target = format!("/{}{}{}", entropy.pick(&KINDS), entropy.pick(&PATHS), entropy.pick(&QUERIES));
    let mut head = format!("{method} {target} HTTP/1.{}\r\nHost: shop.example\r\n", u8::from(!is_old));
    let first = usize::try_from(entropy.below(FIELDS.len() as u64)).unwrap();
    for field in FIELDS.iter().cycle().skip(first).take(usize::try_from(entropy.below(6)).unwrap()) {
        _ = write!(head, "{field}\r\n");
    }
    match entropy.below(3) {
        _ if is_old => {}
        0 if is_last => head.push_str("Connection: X-Hop, close\r\nX-Hop: a\r\n"),
        _ if is_last => head.push_str("Connection: close\r\n"),
        0 => head.push_str("Connection: keep-alive\r\n"),
        _ => {}
    }
    let mut bytes = Vec::new();
    let body = "Bytes of a body. ".repeat(usize::try_from(entropy.below(300)).unwrap());
    let takes = if matches!(method, "POST" | "PUT" | "PATCH") { entropy.below(3) } else { entropy.below(12) };
    match takes {
        0 => bytes = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes(),
        1 if !is_old => {
            bytes.extend(format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes());
            for piece in body.as_bytes().chunks(1 + usize::try_from(entropy.below(900)).unwrap()) {
                let extension = if entropy.below(4) == 0 { ";name=value" } else { "" };
                bytes.extend(format!("{:X}{extension}\r\n", piece.len()).into_bytes());
                bytes.extend(piece);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        }
        _ if matches!(method, "POST" | "PUT" | "PATCH") => {
            bytes = format!("{head}Content-Length: 0\r\n\r\n").into_bytes();
        }
        _ => bytes = format!("{head}\r\n").into_bytes(),
    }
    Sent { is_head: method == "HEAD", bytes }
}

/// Sends requests at once, or each after the answer to the one before, and reads every answer up to the end.
fn exchange(to: SocketAddr, requests: &[Sent], pipelined: bool) -> Vec<Essence> {
    let mut connection = Connection::open(to).unwrap();
    if pipelined {
        connection.write(&requests.iter().flat_map(|sent| sent.bytes.clone()).collect::<Vec<_>>()).unwrap();
    }
    let answers: Vec<_> = requests
        .iter()
        .map_while(|sent| {
            let asked = if pipelined { Ok(()) } else { connection.write(&sent.bytes) };
            asked.and_then(|()| connection.read(sent.is_head)).ok()
        })
        .map(|answer| Essence::of_answer(&answer))
        .collect();
    assert_eq!(connection.rest().unwrap(), b"", "more than {} answers", answers.len());
    answers
}

#[test]
fn well_formed_requests_and_answers_pass_as_through_nginx() {
    let upstream = Upstream::start(answer);
    let Some(nginx) = Nginx::in_front_of(upstream.address()) else { return };
    let config = json!({
        "services": [{ "name": "all", "targets": [{ "url": upstream.url() }] }],
        "routes": [{ "name": "all", "match": { "path": "/*" }, "service": "all" }],
    });
    let (gateway, _folder) = Gateway::of_file(&config, Vec::new());
    let entropy = SeededEntropy::new(SEED);
    let mut answered = 0;
    for round in 0..CONNECTIONS {
        let count = 1 + entropy.below(4);
        let requests: Vec<Sent> = (1..=count).map(|number| request(&entropy, number == count)).collect();
        let pipelined = entropy.below(2) == 0;
        let [theirs, ours] = [nginx.address(), gateway.address()].map(|to| {
            let before = upstream.received().len();
            let answers = exchange(to, &requests, pipelined);
            let seen: Vec<Essence> = upstream.received().iter().skip(before).map(Essence::of_request).collect();
            (answers, seen)
        });
        let shown = || requests.iter().map(|sent| sent.head().into_owned()).collect::<Vec<_>>();
        assert_eq!(ours.1, theirs.1, "what the upstream gets, round {round}: {:?}", shown());
        assert_eq!(ours.0, theirs.0, "what the client gets, round {round}: {:?}", shown());
        answered += ours.0.len();
    }
    assert!(answered > CONNECTIONS, "{answered}");
}
