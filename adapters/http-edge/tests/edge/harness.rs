//! Servers, clients and upstreams of these tests.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use novagate_access::ConsumerKey;
use novagate_fixtures::{ManualClock, SeededEntropy};
use novagate_http_edge::{Counters, EdgeHandle, EdgeOptions, EdgeServer, EdgeSettings, UpstreamTlsFiles};
use novagate_kernel::{ConsumerId, ConsumerKeyId, Digest, Epoch, Head, Name, Revision, RouteId, ServiceId};
use novagate_net::{
    CertificateFile, CertificateFiles, ClientAuth, ClientTrust, Resolver, ResolverFiles, bind_shared, client_config,
};
use novagate_policies::{
    AuthRule, CompiledConfig, ConfigObject, Consumer, ConsumerKeyGrant, NodeLimits, RateLimit, RouteConfig,
};
use novagate_ports_edge::{LiveConfig, TokenVerifier};
use novagate_records::RequestRecord;
use novagate_routing::{
    EncodedSlashes, Forward, HostPattern, LoadBalancing, PathPattern, Preference, Protocol, Resilience, Route,
    RouteAction, RouteMatch, Service, Target, TargetUrl,
};
use socket2::SockRef;
use tokio_rustls::rustls::ServerConfig;

/// A certificate for 127.0.0.1 and its key, as files that go with the value.
pub(crate) struct Certificate {
    dir: PathBuf,
}

impl Certificate {
    pub(crate) fn new(test: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("novagate-http-edge-{}-{test}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { dir }
    }

    pub(crate) fn cert(&self) -> PathBuf {
        self.dir.join("cert.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.dir.join("key.pem")
    }

    /// A server that shows it; with `client_ca` only to clients with a certificate of that authority.
    pub(crate) fn server(&self, client_ca: Option<&Path>) -> Arc<ServerConfig> {
        self.server_asking(&client_ca.map_or(ClientAuth::None, |ca| ClientAuth::Required(ca.to_owned())))
    }

    pub(crate) fn server_asking(&self, clients: &ClientAuth) -> Arc<ServerConfig> {
        let file = CertificateFile { cert: self.cert(), key: self.key() };
        CertificateFiles::load(vec![file]).unwrap().server_config(clients).unwrap()
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Generous: only a failing test waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a test starts a server with.
pub(crate) struct Setup {
    pub(crate) objects: Vec<ConfigObject>,
    pub(crate) settings: EdgeSettings,
    pub(crate) verifier: Option<Arc<dyn TokenVerifier>>,
    pub(crate) workers: usize,
    /// Whom upstreams' certificates must come from; without it the public authorities.
    pub(crate) upstream_ca: Option<PathBuf>,
    /// Where the files are that services name.
    pub(crate) upstream_tls_dir: Option<PathBuf>,
    /// Clients speak TLS.
    pub(crate) client_tls: Option<Arc<ServerConfig>>,
    pub(crate) counters: Option<Counters>,
    /// How names of upstreams are resolved; without it as the machine does.
    pub(crate) resolver: Option<Resolver>,
    pub(crate) clock: ManualClock,
}

/// A running server.
pub(crate) struct Edge {
    pub(crate) handle: EdgeHandle,
    pub(crate) live: Arc<ArcSwapOption<LiveConfig>>,
    pub(crate) clock: ManualClock,
    records: Mutex<Vec<RequestRecord>>,
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn service(id: u128, text: &str, targets: &[&str]) -> Service {
    Service {
        id: ServiceId::from_u128(id),
        name: name(text),
        targets: targets.iter().map(|url| Target::new(TargetUrl::parse(url).unwrap(), 1)).collect(),
        timeout: None,
        total_timeout: None,
        protocol: Protocol::default(),
        health_check: None,
        load_balancing: LoadBalancing::RoundRobin,
        preference: Preference::default(),
        resilience: Resilience::default(),
        tls: None,
    }
}

pub(crate) fn route(id: u128, path: &str, service: &str) -> RouteConfig {
    RouteConfig {
        route: Route {
            id: RouteId::from_u128(id),
            name: name(&format!("route-{id}")),
            matcher: RouteMatch::on(PathPattern::parse(path).unwrap()),
            action: RouteAction::from(Forward::to(name(service))),
            encoded_slashes: EncodedSlashes::Reject,
        },
        auth: AuthRule::default(),
        rate_limit: None,
    }
}

pub(crate) fn host(text: &str) -> HostPattern {
    HostPattern::parse(text).unwrap()
}

pub(crate) fn consumer(id: u128, text: &str, groups: &[&str], rate_limit: Option<RateLimit>) -> ConfigObject {
    let groups = groups.iter().map(|group| name(group)).collect();
    let id = ConsumerId::from_u128(id);
    ConfigObject::Consumer(Consumer { id, name: name(text), groups, rate_limit, certificates: Vec::new() })
}

pub(crate) fn key(number: u8) -> ConsumerKey {
    ConsumerKey::generate([number; 16])
}

pub(crate) fn grant(number: u8, consumer: u128) -> ConfigObject {
    ConfigObject::ConsumerKey(ConsumerKeyGrant {
        id: ConsumerKeyId::from_u128(u128::from(number)),
        consumer: ConsumerId::from_u128(consumer),
        digest: key(number).digest(),
    })
}

pub(crate) fn compile(table: u32, objects: &[ConfigObject]) -> LiveConfig {
    let revision = Revision { epoch: Epoch::try_from_u64(7).unwrap(), seq: u64::from(table) };
    let head = Head { revision, digest: Digest::from_bytes([1; 32]) };
    LiveConfig { table, compiled: Arc::new(CompiledConfig::compile(head, objects).unwrap()) }
}

impl Setup {
    /// One worker, no limit that a test could meet by accident.
    pub(crate) fn new(objects: Vec<ConfigObject>) -> Self {
        let node_limits = NodeLimits { window: Duration::from_mins(1), unauth_max: 1_000_000, auth_max: 1_000_000 };
        let settings = EdgeSettings { node_limits, ..EdgeSettings::default() };
        Self {
            objects,
            settings,
            verifier: None,
            workers: 1,
            upstream_ca: None,
            upstream_tls_dir: None,
            client_tls: None,
            counters: None,
            resolver: None,
            clock: ManualClock::default(),
        }
    }

    /// One open route `/*` to the upstreams.
    pub(crate) fn open(targets: &[&str]) -> Self {
        Self::new(vec![ConfigObject::Service(service(1, "up", targets)), ConfigObject::Route(route(1, "/*", "up"))])
    }

    /// With changed settings.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut EdgeSettings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// With changed services.
    pub(crate) fn with_service(mut self, change: impl Fn(&mut Service)) -> Self {
        for object in &mut self.objects {
            if let ConfigObject::Service(service) = object {
                change(service);
            }
        }
        self
    }

    /// With changed routes.
    pub(crate) fn with_route(mut self, change: impl Fn(&mut RouteConfig)) -> Self {
        for object in &mut self.objects {
            if let ConfigObject::Route(route) = object {
                change(route);
            }
        }
        self
    }

    /// With changes to how routes forward.
    pub(crate) fn with_forward(self, change: impl Fn(&mut Forward)) -> Self {
        self.with_route(|route| {
            if let RouteAction::Forward(forward) = &mut route.route.action {
                change(forward);
            }
        })
    }

    pub(crate) fn start(self) -> Edge {
        let live = compile(1, &self.objects);
        self.start_with(Some(live))
    }

    pub(crate) fn start_with(self, live: Option<LiveConfig>) -> Edge {
        let live = Arc::new(ArcSwapOption::new(live.map(Arc::new)));
        let workers = NonZeroUsize::new(self.workers).unwrap();
        let clock = self.clock;
        let options = EdgeOptions {
            listeners: bind_shared("127.0.0.1:0".parse().unwrap(), workers, "PORT").unwrap(),
            live: Arc::clone(&live),
            verifier: self.verifier,
            counters: self.counters.unwrap_or_else(|| Counters::Local(Arc::default())),
            settings: self.settings,
            client_tls: self.client_tls,
            upstream_tls: client_config(self.upstream_ca.as_deref()).unwrap(),
            upstream_tls_files: followed(self.upstream_ca.as_deref(), self.upstream_tls_dir),
            resolver: self.resolver.unwrap_or_else(|| Resolver::new(ResolverFiles::default()).unwrap()),
            clock: Arc::new(clock.clone()),
            entropy: Arc::new(SeededEntropy::new(7)),
        };
        let handle = EdgeServer::start(options).unwrap();
        Edge { handle, live, clock, records: Mutex::default() }
    }
}

/// Files of services' TLS, kept fresh for as long as the process lives.
fn followed(ca: Option<&Path>, dir: Option<PathBuf>) -> Arc<UpstreamTlsFiles> {
    let has_files = dir.is_some();
    let files = UpstreamTlsFiles::new(ClientTrust::load(ca).unwrap(), dir);
    if has_files {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let following = Arc::clone(&files).follow();
        std::thread::spawn(move || runtime.block_on(following));
    }
    files
}

impl Edge {
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.handle.local_addr())
    }

    /// Sends one request on a connection of its own and reads its response.
    pub(crate) fn ask(&self, request: &str) -> Response {
        let mut client = self.connect();
        client.send(request);
        client.response()
    }

    /// Waits for this many records since the start.
    pub(crate) fn records(&self, count: usize) -> Vec<RequestRecord> {
        let source = self.handle.record_source();
        wait_until("the records are there", || {
            let mut records = self.records.lock().unwrap();
            source.drain(&mut records, 100_000);
            records.len() >= count
        });
        self.records.lock().unwrap().clone()
    }
}

/// Looks until it holds.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

/// A client that writes and reads raw bytes.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

/// A response as it was on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.split("\r\n").find_map(|line| line.strip_prefix(&prefix))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of a refusal, after checking its form.
    pub(crate) fn code(&self) -> String {
        let text = self.text();
        let rest = text.strip_prefix("{\"error\":\"").unwrap_or_else(|| panic!("a refusal, not {self:?}"));
        assert_eq!(self.field("content-type"), Some("application/json"));
        let id = self.field("x-request-id").expect("a request id");
        assert!(text.ends_with(&format!("\"requestId\":\"{id}\"}}")), "{text}");
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, unread: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    fn fill(&mut self) -> usize {
        let mut piece = [0; 16_384];
        let count = self.stream.read(&mut piece).unwrap_or(0);
        self.unread.extend_from_slice(&piece[..count]);
        count
    }

    /// Reads up to and with `end`.
    pub(crate) fn read_until(&mut self, end: &str) -> Vec<u8> {
        let read = self.try_read_until(end);
        read.unwrap_or_else(|| panic!("the end of {:?} before {end:?}", String::from_utf8_lossy(&self.unread)))
    }

    pub(crate) fn read_exact(&mut self, count: usize) -> Vec<u8> {
        let read = self.try_read_exact(count);
        read.unwrap_or_else(|| panic!("the end after {} of {count} bytes", self.unread.len()))
    }

    /// The same; nothing when the connection ends before.
    pub(crate) fn try_read_until(&mut self, end: &str) -> Option<Vec<u8>> {
        loop {
            let found = self.unread.windows(end.len()).position(|window| window == end.as_bytes());
            if let Some(at) = found {
                return Some(self.unread.drain(..at + end.len()).collect());
            }
            if self.fill() == 0 {
                return None;
            }
        }
    }

    pub(crate) fn try_read_exact(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.unread.len() < count {
            if self.fill() == 0 {
                return None;
            }
        }
        Some(self.unread.drain(..count).collect())
    }

    /// Reads what there is, at least a byte; nothing at the clean end of the connection.
    pub(crate) fn some(&mut self) -> Vec<u8> {
        if self.unread.is_empty() {
            let mut piece = [0; 16_384];
            let count = self.stream.read(&mut piece).expect("bytes or an end, not a fault");
            return piece[..count].to_vec();
        }
        std::mem::take(&mut self.unread)
    }

    /// Reads a head; in lower case.
    pub(crate) fn head(&mut self) -> String {
        String::from_utf8(self.read_until("\r\n\r\n")).unwrap().to_ascii_lowercase()
    }

    /// Reads a response.
    pub(crate) fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// Reads a response to a request with this method.
    pub(crate) fn response_to(&mut self, method: &str) -> Response {
        let head = self.head();
        let status = head[9..12].parse().unwrap();
        let mut response = Response { status, head, body: Vec::new() };
        if method == "HEAD" || status == 204 || status == 304 {
            return response;
        }
        if response.field("transfer-encoding") == Some("chunked") {
            loop {
                let line = String::from_utf8(self.read_until("\r\n")).unwrap();
                let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
                if size == 0 {
                    break;
                }
                response.body.extend(self.read_exact(size));
                assert_eq!(self.read_exact(2), b"\r\n");
            }
            while self.read_until("\r\n") != b"\r\n" {}
        } else if let Some(length) = response.field("content-length") {
            response.body = self.read_exact(length.parse().unwrap());
        } else {
            response.body = self.rest();
        }
        response
    }

    /// Reads to the end of the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.fill() > 0 {}
        std::mem::take(&mut self.unread)
    }

    /// Reads to the end of the connection and says whether it was a clean one. Panics when none comes: nobody may be left
    /// waiting.
    pub(crate) fn read_to_its_end(&mut self) -> (Vec<u8>, bool) {
        let mut bytes = std::mem::take(&mut self.unread);
        match self.stream.read_to_end(&mut bytes) {
            Ok(_) => (bytes, true),
            Err(fault) if fault.kind() == ErrorKind::ConnectionReset => (bytes, false),
            Err(fault) => panic!("no end but {fault} after {:?}", String::from_utf8_lossy(&bytes)),
        }
    }

    /// Makes the end of the connection a reset.
    pub(crate) fn will_reset(&self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Whether the server ends the connection without another byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.rest().is_empty()
    }
}

/// An upstream that answers by script, one thread per connection.
pub(crate) struct Upstream {
    pub(crate) url: String,
    pub(crate) addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    /// Runs `script` on each connection, with its number from 0.
    pub(crate) fn scripted(script: impl Fn(usize, &mut Client) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (counter, script) = (Arc::clone(&connections), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let (stream, script) = (stream.unwrap(), Arc::clone(&script));
                stream.set_read_timeout(Some(PATIENCE * 3)).unwrap();
                std::thread::spawn(move || script(number, &mut Client { stream, unread: Vec::new() }));
            }
        });
        Self { url: format!("http://{addr}"), addr, connections, requests: Arc::default() }
    }

    /// Answers every request without body with `answer`.
    pub(crate) fn fixed(answer: &'static str) -> Self {
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&requests);
        let served = Self::scripted(move |_, conn| {
            while let Some(head) = conn.next_head() {
                log.lock().unwrap().push(head);
                conn.send(answer);
            }
        });
        Self { requests, ..served }
    }

    /// The same, and keeps bodies with a Content-Length beside the heads.
    pub(crate) fn recording(answer: &'static str) -> Self {
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&requests);
        let served = Self::scripted(move |_, conn| {
            while let Some(mut seen) = conn.next_head() {
                let length = seen
                    .to_ascii_lowercase()
                    .split_once("\r\ncontent-length:")
                    .map_or(0, |(_, behind)| behind.split("\r\n").next().unwrap().trim().parse().unwrap());
                seen.push_str(&String::from_utf8_lossy(&conn.read_exact(length)));
                let is_head = seen.starts_with("HEAD ");
                log.lock().unwrap().push(seen);
                let answer = if is_head { answer.split_inclusive("\r\n\r\n").next().unwrap() } else { answer };
                conn.send(answer);
            }
        });
        Self { requests, ..served }
    }

    /// Answers every request with its own bytes, body included (by Content-Length, or raw up to the last chunk).
    pub(crate) fn echo() -> Self {
        Self::scripted(|_, conn| {
            while let Some(seen) = conn.next_request() {
                conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", seen.len()));
                conn.send(&seen);
            }
        })
    }

    /// Accepts every WebSocket and sends back what comes, up to the end; answers other requests with [`HELLO`].
    pub(crate) fn websocket_echo() -> Self {
        Self::scripted(|_, conn| {
            while let Some(head) = conn.next_head() {
                if !head.contains("upgrade: websocket") {
                    conn.send(HELLO);
                    continue;
                }
                conn.send(SWITCHING);
                loop {
                    let piece = conn.some();
                    if piece.is_empty() {
                        return;
                    }
                    conn.send(piece);
                }
            }
        })
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The heads that `fixed` has seen.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Client {
    /// For upstreams: the next head; nothing at the end of the connection.
    pub(crate) fn next_head(&mut self) -> Option<String> {
        self.try_read_until("\r\n\r\n").map(|head| String::from_utf8_lossy(&head).into_owned())
    }

    /// The next request, body included (by Content-Length, or raw up to the end of the last chunk); nothing when the
    /// connection ends before.
    pub(crate) fn next_request(&mut self) -> Option<Vec<u8>> {
        let mut seen = self.try_read_until("\r\n\r\n")?;
        let head = String::from_utf8(seen.clone()).unwrap().to_ascii_lowercase();
        if let Some(length) = head.split("content-length: ").nth(1) {
            let length = length.split("\r\n").next().unwrap().parse().unwrap();
            seen.extend(self.try_read_exact(length)?);
        } else if head.contains("transfer-encoding: chunked") {
            seen.extend(self.try_read_until("0\r\n")?);
            while !seen.ends_with(b"\r\n\r\n") {
                seen.extend(self.try_read_until("\r\n")?);
            }
        }
        Some(seen)
    }
}

/// Nobody listens there.
pub(crate) fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A request without body.
pub(crate) fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\n")
}

/// The request that begins a WebSocket.
pub(crate) fn handshake(path: &str, fields: &str) -> String {
    let offer = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 Sec-WebSocket-Version: 13\r\n";
    get(path, &format!("{offer}{fields}"))
}

/// The answer to it.
pub(crate) const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                                    Sec-WebSocket-Accept: s3pPLBMiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A response with a body.
pub(crate) const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
