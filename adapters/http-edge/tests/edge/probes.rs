//! Health checks: which answers are good, how many of them count, and the ways to ask.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use novagate_kernel::ServiceId;
use novagate_routing::{HealthCheck, HttpProbe, ProbeKind, StatusRange};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::harness::{Certificate, Edge, HELLO, Setup, Upstream, get, wait_until};

const SICK: &str = "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n";
const GONE: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// A probe every second; one bad or good one is enough.
fn check(kind: ProbeKind) -> HealthCheck {
    let usual = HealthCheck::every(Duration::from_secs(1), kind);
    HealthCheck { unhealthy_threshold: 1, healthy_threshold: 1, timeout: Duration::from_millis(500), ..usual }
}

fn checking(targets: &[&str], check: HealthCheck) -> Setup {
    Setup::open(targets).with_service(move |service| service.health_check = Some(Box::new(check.clone())))
}

fn healthy(edge: &Edge) -> u16 {
    edge.handle.upstream_health().state(ServiceId::from_u128(1)).unwrap().healthy
}

/// An address that nobody listens at.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", { listener }.local_addr().unwrap())
}

#[test]
fn a_tcp_probe_is_a_connection_and_nothing_more() {
    let upstream = Upstream::fixed(HELLO);
    let edge = checking(&[&upstream.url, &nobody()], check(ProbeKind::Tcp)).start();
    wait_until("the other one is out", || healthy(&edge) == 1 && upstream.connections() >= 2);
    assert_eq!((healthy(&edge), upstream.requests().len()), (1, 0));
    assert_eq!((0..4).map(|_| edge.ask(&get("/", "")).status).collect::<Vec<_>>(), [200; 4]);
}

#[test]
fn a_tcp_probe_of_a_target_with_tls_includes_the_handshake() {
    // Accepts connections and never says a word of TLS.
    let mute = Upstream::scripted(|_, conn| drop(conn.rest()));
    let edge = checking(&[&mute.url.replace("http:", "https:")], check(ProbeKind::Tcp)).start();
    wait_until("it is out", || healthy(&edge) == 0);
    assert_eq!(edge.ask(&get("/", "")).code(), "NO_HEALTHY_TARGETS");
}

#[test]
fn a_get_expects_the_statuses_and_says_the_host_that_it_is_told() {
    let (odd, usual) = (Upstream::fixed(GONE), Upstream::fixed(HELLO));
    let expect = vec![StatusRange { first: 300, last: 399 }, StatusRange { first: 404, last: 404 }];
    let probe = HttpProbe { path: "/deep?x=1".into(), host: Some("probe.example:8080".into()), expect };
    let edge = checking(&[&odd.url, &usual.url], check(ProbeKind::Http(probe))).start();
    wait_until("the other one is out", || healthy(&edge) == 1 && odd.requests().len() >= 2);
    assert_eq!(healthy(&edge), 1);
    let asked = odd.requests()[0].to_ascii_lowercase();
    assert!(asked.starts_with("get /deep?x=1 http/1.1\r\nhost: probe.example:8080\r\n"), "{asked}");
    assert_eq!(edge.ask(&get("/", "")).status, 404, "requests go to the one that is well");
}

#[test]
fn a_probe_that_takes_longer_than_its_time_is_bad() {
    let mute = Upstream::scripted(|_, conn| drop(conn.rest()));
    let slow = HealthCheck { timeout: Duration::from_millis(50), ..check(ProbeKind::get("/health")) };
    let edge = checking(&[&mute.url], slow).start();
    wait_until("it is out", || healthy(&edge) == 0);
}

#[test]
fn as_many_probes_count_as_the_service_says() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    // Bad, bad, and good from then on.
    let upstream = Upstream::scripted(move |_, conn| {
        while conn.next_head().is_some() {
            conn.send(if count.fetch_add(1, Ordering::SeqCst) < 2 { SICK } else { HELLO });
        }
    });
    let thresholds = HealthCheck { unhealthy_threshold: 2, healthy_threshold: 3, ..check(ProbeKind::get("/health")) };
    let edge = checking(&[&upstream.url], thresholds).start();
    // A second passes until the next probe.
    wait_until("it is out", || healthy(&edge) == 0);
    let out = asked.load(Ordering::SeqCst);
    wait_until("it is back", || healthy(&edge) == 1);
    assert_eq!((out, asked.load(Ordering::SeqCst)), (2, 5));
}

/// What a server says about its health.
#[derive(Debug, Clone, Copy)]
enum Says {
    Status(u8),
    /// In the trailers, behind the message.
    Fails,
    /// Nothing but a head.
    Unknown,
    /// No gRPC.
    Web,
    /// More than an answer can be.
    Endless,
}

/// A gRPC server and the questions it was asked.
struct Grpc {
    url: String,
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Grpc {
    fn start(says: Says, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    match &tls {
                        None => serve(stream, says, &log).await,
                        Some(config) => match TlsAcceptor::from(Arc::clone(config)).accept(stream).await {
                            Ok(stream) => serve(stream, says, &log).await,
                            Err(_refused) => {}
                        },
                    }
                }
            });
        });
        Self { url, asked }
    }
}

/// Answers what comes on a connection, to its end.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, says: Says, log: &Mutex<Vec<Vec<u8>>>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let answer = answer(request, respond, says, log);
        // The connection has to be driven while its stream is read.
        tokio::select! {
            biased;
            () = answer => {}
            _ended = connection.accept() => {}
        }
    }
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    says: Says,
    log: &Mutex<Vec<Vec<u8>>>,
) {
    let head = format!("{} {}", request.method(), request.uri().path());
    assert_eq!(head, "POST /grpc.health.v1.Health/Check");
    assert_eq!(request.headers()["te"], "trailers");
    assert_eq!(request.headers()["content-type"], "application/grpc");
    let mut body = request.into_body();
    let mut question = Vec::new();
    while let Some(Ok(piece)) = body.data().await {
        question.extend_from_slice(&piece);
    }
    log.lock().unwrap().push(question);
    let head = |kind: &str| Response::builder().header("content-type", kind);
    let trailers = |status: &'static str| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static(status));
        trailers
    };
    let message = |status: u8| Bytes::from(vec![0, 0, 0, 0, 2, 0x08, status]);
    match says {
        Says::Status(status) => {
            let mut stream = respond.send_response(head("application/grpc+proto").body(()).unwrap(), false).unwrap();
            stream.send_data(message(status), false).unwrap();
            stream.send_trailers(trailers("0")).unwrap();
        }
        Says::Fails => {
            let mut stream = respond.send_response(head("application/grpc").body(()).unwrap(), false).unwrap();
            stream.send_data(message(1), false).unwrap();
            stream.send_trailers(trailers("13")).unwrap();
        }
        Says::Unknown => {
            let head = head("application/grpc").header("grpc-status", "5").body(()).unwrap();
            respond.send_response(head, true).unwrap();
        }
        Says::Web => {
            let mut stream = respond.send_response(head("text/html").body(()).unwrap(), false).unwrap();
            stream.send_data(message(1), false).unwrap();
            stream.send_trailers(trailers("0")).unwrap();
        }
        Says::Endless => {
            let mut stream = respond.send_response(head("application/grpc").body(()).unwrap(), false).unwrap();
            stream.send_data(Bytes::from(vec![0; 60_000]), false).unwrap();
            stream.send_trailers(trailers("0")).unwrap();
        }
    }
}

fn grpc(service: Option<&str>) -> HealthCheck {
    check(ProbeKind::Grpc { service: service.map(Into::into) })
}

#[test]
fn a_grpc_probe_asks_for_the_service_and_believes_what_it_is_told() {
    for (service, question) in [(None, vec![0; 5]), (Some("a.B"), vec![0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B'])] {
        let server = Grpc::start(Says::Status(1), None);
        let edge = checking(&[&server.url], grpc(service)).start();
        wait_until("it was asked twice", || server.asked.lock().unwrap().len() >= 2);
        assert_eq!(healthy(&edge), 1);
        assert_eq!(server.asked.lock().unwrap()[0], question);
    }
}

#[test]
fn whatever_else_a_grpc_server_says_is_bad() {
    for says in
        [Says::Status(0), Says::Status(2), Says::Status(3), Says::Fails, Says::Unknown, Says::Web, Says::Endless]
    {
        let server = Grpc::start(says, None);
        let edge = checking(&[&server.url], grpc(None)).start();
        wait_until(&format!("it is out: {says:?}"), || healthy(&edge) == 0);
        assert!(!server.asked.lock().unwrap().is_empty());
    }
    let web = Upstream::fixed(HELLO);
    let edge = checking(&[&web.url], grpc(None)).start();
    wait_until("a server of HTTP/1.1 is out", || healthy(&edge) == 0);
}

#[test]
fn a_grpc_probe_agrees_on_http2_over_tls() {
    let certificate = Certificate::new("grpc");
    let mut config = ServerConfig::clone(&certificate.server(None));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let server = Grpc::start(Says::Status(1), Some(Arc::new(config)));
    let mut setup = checking(&[&server.url], grpc(None));
    setup.upstream_ca = Some(certificate.cert());
    let edge = setup.start();
    wait_until("it was asked twice", || server.asked.lock().unwrap().len() >= 2);
    assert_eq!(healthy(&edge), 1);
    // The same server without an authority that vouches for it.
    let edge = checking(&[&server.url], grpc(None)).start();
    wait_until("it is out", || healthy(&edge) == 0);
}
