//! The HTTP server from outside: drain, deadlines, upgrades, TLS.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail by panicking")]

use std::{convert::Infallible, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use novagate_net::{
    CertificateFile, CertificateFiles, ClientAuth, Drained, Encrypted, HttpLimits, HttpListener, PeerAddr, Tasks, bind,
    client_config, serve_http,
};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n";
const LONG: Duration = Duration::from_hours(1);

/// Says when a request has arrived, and answers it when told to.
#[derive(Clone, Default)]
struct Gate {
    arrived: Arc<Notify>,
    answer: Arc<Notify>,
}

fn listener(tls: Option<Arc<rustls::ServerConfig>>) -> HttpListener {
    HttpListener { name: "test", socket: bind("127.0.0.1:0".parse().unwrap(), "TEST").unwrap(), tls }
}

fn gated(tasks: &Tasks, gate: &Gate) -> SocketAddr {
    let gate = gate.clone();
    let service = tower::service_fn(move |_request: Request<Incoming>| {
        let gate = gate.clone();
        async move {
            gate.arrived.notify_one();
            gate.answer.notified().await;
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"finished"))))
        }
    });
    serve_http(listener(None), service, HttpLimits::default(), tasks).unwrap()
}

fn describing(tasks: &Tasks, tls: Option<Arc<rustls::ServerConfig>>, limits: HttpLimits) -> SocketAddr {
    let service = tower::service_fn(|request: Request<Incoming>| async move {
        let peer = request.extensions().get::<PeerAddr>().unwrap().0;
        let Encrypted(encrypted) = *request.extensions().get().unwrap();
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(format!("peer={peer} encrypted={encrypted}")))))
    });
    serve_http(listener(tls), service, limits, tasks).unwrap()
}

async fn read_until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut text = String::new();
    while !text.contains(end) {
        let mut chunk = [0; 256];
        let length = stream.read(&mut chunk).await.unwrap();
        assert!(length > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&chunk[..length]).unwrap());
    }
    text
}

#[tokio::test]
async fn a_drain_finishes_the_running_request_and_closes_idle_connections() {
    let (tasks, gate) = (Tasks::new(), Gate::default());
    let addr = gated(&tasks, &gate);
    let mut idle = TcpStream::connect(addr).await.unwrap();
    let mut busy = TcpStream::connect(addr).await.unwrap();
    busy.write_all(GET).await.unwrap();
    gate.arrived.notified().await;

    let owner = tasks.clone();
    let drain = async move { owner.shutdown(LONG).await };
    let client = async {
        assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0, "the idle connection ends at once");
        assert!(TcpStream::connect(addr).await.is_err(), "nothing more is accepted");
        gate.answer.notify_one();
        let answer = read_until(&mut busy, "finished").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    };
    let (drained, ()) = tokio::join!(drain, client);
    assert_eq!(drained, Drained { aborted: 0, stuck: 0 });
}

#[tokio::test]
async fn the_second_step_aborts_a_request_that_does_not_end() {
    let (tasks, gate) = (Tasks::new(), Gate::default());
    let addr = gated(&tasks, &gate);
    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(GET).await.unwrap();
    gate.arrived.notified().await;
    let drained = tasks.shutdown(Duration::ZERO).await;
    assert!(drained.aborted >= 1 && drained.stuck == 0, "{drained:?}");
    let mut rest = Vec::new();
    // A reset is as good an end as a close.
    let _ = client.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_connection_that_sends_nothing_or_half_a_head_is_cut() {
    let tasks = Tasks::new();
    let limits = HttpLimits { header_timeout: Duration::from_millis(50), idle_timeout: LONG, ..HttpLimits::default() };
    let addr = describing(&tasks, None, limits);
    let mut silent = TcpStream::connect(addr).await.unwrap();
    let mut half = TcpStream::connect(addr).await.unwrap();
    half.write_all(b"GET / HTTP/1.1\r\nhost: te").await.unwrap();
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(half.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_its_own_time_and_then_cut() {
    let tasks = Tasks::new();
    let limits = HttpLimits { header_timeout: LONG, idle_timeout: Duration::from_millis(50), ..HttpLimits::default() };
    let addr = describing(&tasks, None, limits);
    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(GET).await.unwrap();
    read_until(&mut client, "encrypted=false").await;
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn one_connection_serves_many_requests_and_names_the_peer() {
    let tasks = Tasks::new();
    let addr = describing(&tasks, None, HttpLimits::default());
    let mut client = TcpStream::connect(addr).await.unwrap();
    let expected = format!("peer={} encrypted=false", client.local_addr().unwrap());
    for _ in 0..3 {
        client.write_all(GET).await.unwrap();
        read_until(&mut client, &expected).await;
    }
}

#[tokio::test]
async fn heads_beyond_the_limits_are_refused() {
    let tasks = Tasks::new();
    let limits = HttpLimits { max_header_bytes: 1024, max_headers: 10, ..HttpLimits::default() };
    let addr = describing(&tasks, None, limits);
    let long = format!("GET / HTTP/1.1\r\nhost: test\r\nx: {}\r\n\r\n", "a".repeat(2000));
    let many = format!("GET / HTTP/1.1\r\nhost: test\r\n{}\r\n", "x: y\r\n".repeat(20));
    for head in [long, many] {
        let mut client = TcpStream::connect(addr).await.unwrap();
        client.write_all(head.as_bytes()).await.unwrap();
        read_until(&mut client, "HTTP/1.1 431").await;
    }
}

#[tokio::test]
async fn an_upgraded_connection_outlives_the_deadlines_of_http_and_keeps_its_place() {
    let tasks = Tasks::new();
    let owner = tasks.clone();
    let service = tower::service_fn(move |mut request: Request<Incoming>| {
        let owner = owner.clone();
        async move {
            owner.spawn("echo", async move {
                let mut io = TokioIo::new(hyper::upgrade::on(&mut request).await.unwrap());
                let mut bytes = [0; 4];
                while io.read_exact(&mut bytes).await.is_ok() {
                    io.write_all(&bytes).await.unwrap();
                }
            });
            let switching = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS).header("upgrade", "echo");
            Ok::<_, Infallible>(switching.header("connection", "upgrade").body(Full::<Bytes>::default()).unwrap())
        }
    });
    let limits = HttpLimits {
        max_connections: 1,
        header_timeout: Duration::from_millis(30),
        idle_timeout: Duration::from_millis(30),
        ..HttpLimits::default()
    };
    let addr = serve_http(listener(None), service, limits, &tasks).unwrap();
    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n").await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;

    // The only place is taken: a second client is not even read from, however long both deadlines are over.
    let mut second = TcpStream::connect(addr).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(120), second.read(&mut [0; 1])).await.is_err());
    client.write_all(b"ping").await.unwrap();
    read_until(&mut client, "ping").await;
    drop(client);
    assert_eq!(second.read(&mut [0; 1]).await.unwrap(), 0, "its turn came, it sent nothing and was cut");
}

#[tokio::test]
async fn a_panicking_handler_costs_its_connection_and_is_counted() {
    let tasks = Tasks::new();
    let service = tower::service_fn(|_request: Request<Incoming>| async move {
        assert!(std::hint::black_box(false), "expected by the test");
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let addr = serve_http(listener(None), service, HttpLimits::default(), &tasks).unwrap();
    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(GET).await.unwrap();
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    assert!(TcpStream::connect(addr).await.is_ok(), "the listener goes on");
    assert_eq!(tasks.shutdown(LONG).await, Drained { aborted: 0, stuck: 0 });
    assert_eq!(tasks.panics(), 1);
}

/// A certificate for `localhost` that is its own authority, in files.
struct OwnAuthority(PathBuf);

impl OwnAuthority {
    fn new(test: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("novagate-http-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self(dir)
    }

    fn server(&self) -> Arc<rustls::ServerConfig> {
        let file = CertificateFile { cert: self.0.join("cert.pem"), key: self.0.join("key.pem") };
        CertificateFiles::load(vec![file]).unwrap().server_config(&ClientAuth::None).unwrap()
    }

    fn client(&self) -> tokio_rustls::TlsConnector {
        client_config(Some(&self.0.join("cert.pem"))).unwrap().into()
    }
}

impl Drop for OwnAuthority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn tls_is_terminated_and_the_handler_knows() {
    let (tasks, authority) = (Tasks::new(), OwnAuthority::new("terminated"));
    let addr = describing(&tasks, Some(authority.server()), HttpLimits::default());
    let tcp = TcpStream::connect(addr).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = authority.client().connect(name, tcp).await.unwrap();
    assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    client.write_all(GET).await.unwrap();
    read_until(&mut client, "encrypted=true").await;
}

#[tokio::test]
async fn an_authority_of_ones_own_replaces_the_public_roots_and_the_other_way_round() {
    let (tasks, authority) = (Tasks::new(), OwnAuthority::new("roots"));
    let addr = describing(&tasks, Some(authority.server()), HttpLimits::default());
    let stranger = OwnAuthority::new("stranger");
    for connector in [stranger.client(), client_config(None).unwrap().into()] {
        let tcp = TcpStream::connect(addr).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        assert!(connector.connect(name, tcp).await.is_err());
    }
}

#[tokio::test]
async fn a_client_that_never_shakes_hands_is_cut() {
    let (tasks, authority) = (Tasks::new(), OwnAuthority::new("handshake"));
    let limits = HttpLimits { handshake_timeout: Duration::from_millis(50), ..HttpLimits::default() };
    let addr = describing(&tasks, Some(authority.server()), limits);
    let mut client = TcpStream::connect(addr).await.unwrap();
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
}
