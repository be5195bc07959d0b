//! Clients that speak TLS.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use novagate_net::client_config;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName, pem::PemObject};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};

use crate::harness::{Certificate, Edge, PATIENCE, Setup, Upstream, get, handshake, wait_until};

const BODY: usize = 2_000_000;

pub(crate) type TlsClient = StreamOwned<ClientConnection, TcpStream>;

fn start(certificate: &Certificate, setup: Setup) -> Edge {
    Setup { client_tls: Some(certificate.server(None)), ..setup }.start()
}

fn connect(edge: &Edge, config: Arc<ClientConfig>) -> TlsClient {
    connect_over(TcpStream::connect(edge.handle.local_addr()).unwrap(), config)
}

pub(crate) fn connect_over(stream: TcpStream, config: Arc<ClientConfig>) -> TlsClient {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    StreamOwned::new(ClientConnection::new(config, name).unwrap(), stream)
}

fn client(edge: &Edge, certificate: &Certificate) -> TlsClient {
    connect(edge, client_config(Some(&certificate.cert())).unwrap())
}

/// Reads a response with a Content-Length.
pub(crate) fn response(client: &mut TlsClient) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    client.read_exact(&mut body).unwrap();
    (head, body)
}

#[test]
fn requests_over_tls_are_proxied_one_after_the_other_and_the_upstream_is_told() {
    let (certificate, upstream) = (Certificate::new("proxied"), Upstream::echo());
    let edge = start(&certificate, Setup::open(&[&upstream.url]));
    let mut client = client(&edge, &certificate);
    for _ in 0..3 {
        client.write_all(get("/a", "").as_bytes()).unwrap();
        let (head, body) = response(&mut client);
        assert!(head.starts_with("http/1.1 200"), "{head}");
        let seen = String::from_utf8(body).unwrap().to_ascii_lowercase();
        assert!(seen.contains("x-forwarded-proto: https\r\n"), "{seen}");
    }
    assert_eq!(edge.handle.active_connections(), 1);
}

#[test]
fn large_bodies_go_both_ways() {
    let (certificate, upstream) = (Certificate::new("large"), Upstream::echo());
    let edge = start(&certificate, Setup::open(&[&upstream.url]));
    let mut client = client(&edge, &certificate);
    let body: Vec<u8> = (0..BODY).map(|at| b'a' + u8::try_from(at % 23).unwrap()).collect();
    write!(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY}\r\n\r\n").unwrap();
    client.write_all(&body).unwrap();
    let (_, seen) = response(&mut client);
    assert!(seen.ends_with(&body));
}

#[test]
fn an_answer_that_ends_the_connection_ends_tls_first() {
    let (certificate, upstream) = (Certificate::new("goodbye"), Upstream::echo());
    let edge = start(&certificate, Setup::open(&[&upstream.url]));
    let mut client = client(&edge, &certificate);
    client.write_all(get("/", "Connection: close\r\n").as_bytes()).unwrap();
    let mut seen = Vec::new();
    client.read_to_end(&mut seen).unwrap();
    assert!(seen.starts_with(b"HTTP/1.1 200"));
}

#[test]
fn an_answer_that_was_cut_looks_cut() {
    let upstream = Upstream::scripted(|_, conn| {
        if conn.next_head().is_some() {
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        }
    });
    let certificate = Certificate::new("cut-client");
    let edge = start(&certificate, Setup::open(&[&upstream.url]));
    let mut client = client(&edge, &certificate);
    client.write_all(get("/", "").as_bytes()).unwrap();
    let fault = client.read_to_end(&mut Vec::new()).unwrap_err();
    assert!(matches!(fault.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{fault:?}");
}

#[test]
fn what_is_not_tls_is_ended_and_counted_and_so_is_silence() {
    let certificate = Certificate::new("not-tls");
    let setup =
        Setup::open(&["http://127.0.0.1:1"]).with(|settings| settings.timeouts.header = Duration::from_millis(200));
    let edge = start(&certificate, setup);
    let mut clear = edge.connect();
    clear.send(get("/", ""));
    assert!(!String::from_utf8_lossy(&clear.rest()).contains("HTTP/1.1"));
    let mut silent = edge.connect();
    assert!(silent.is_closed());
    wait_until("both are counted", || edge.handle.tls_failures() == 2);
    wait_until("both are gone", || edge.handle.active_connections() == 0);
}

#[test]
fn a_client_without_a_demanded_certificate_is_not_served() {
    let (certificate, authority) = (Certificate::new("server"), Certificate::new("clients"));
    let upstream = Upstream::echo();
    let client_tls = Some(certificate.server(Some(&authority.cert())));
    let edge = Setup { client_tls, ..Setup::open(&[&upstream.url]) }.start();
    let mut stranger = client(&edge, &certificate);
    // In TLS 1.3 the client learns of it when it reads.
    let _ = stranger.write_all(get("/", "").as_bytes());
    assert!(stranger.read_exact(&mut [0]).is_err());

    let mut config = Arc::unwrap_or_clone(client_config(Some(&certificate.cert())).unwrap());
    let chain = PemObject::pem_file_iter(authority.cert()).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(authority.key()).unwrap();
    let (provider, roots) = (Arc::clone(config.crypto_provider()), {
        let mut roots = tokio_rustls::rustls::RootCertStore::empty();
        roots.add(PemObject::from_pem_file(certificate.cert()).unwrap()).unwrap();
        roots
    });
    config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    let mut known = connect(&edge, Arc::new(config));
    known.write_all(get("/", "").as_bytes()).unwrap();
    assert!(response(&mut known).0.starts_with("http/1.1 200"));
}

#[test]
fn a_client_that_comes_back_resumes_its_session() {
    let (certificate, upstream) = (Certificate::new("resumed"), Upstream::echo());
    let edge = start(&certificate, Setup { workers: 2, ..Setup::open(&[&upstream.url]) });
    let config = client_config(Some(&certificate.cert())).unwrap();
    let mut kinds = Vec::new();
    for _ in 0..4 {
        let mut client = connect(&edge, Arc::clone(&config));
        client.write_all(get("/", "").as_bytes()).unwrap();
        response(&mut client);
        kinds.push(client.conn.handshake_kind().unwrap());
    }
    assert_eq!(kinds.first(), Some(&HandshakeKind::Full));
    assert!(kinds.iter().skip(1).all(|kind| *kind == HandshakeKind::Resumed), "{kinds:?}");
}

#[test]
fn a_websocket_goes_both_ways_over_tls_and_ends_with_a_goodbye() {
    let (certificate, upstream) = (Certificate::new("websocket"), Upstream::websocket_echo());
    let edge = start(&certificate, Setup::open(&[&upstream.url]));
    let mut client = client(&edge, &certificate);
    client.write_all(handshake("/", "").as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    let sent: Vec<u8> = (0..BODY / 8).map(|at| b'a' + u8::try_from(at % 23).unwrap()).collect();
    for piece in sent.chunks(50_000) {
        client.write_all(piece).unwrap();
        let mut seen = vec![0; piece.len()];
        client.read_exact(&mut seen).unwrap();
        assert!(seen == piece);
    }
    client.conn.send_close_notify();
    client.flush().unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_silent_tls_connection_is_said_goodbye_to_when_the_gateway_stops() {
    let (certificate, upstream) = (Certificate::new("drained"), Upstream::echo());
    let edge = start(&certificate, Setup::open(&[&upstream.url]));
    let mut client = client(&edge, &certificate);
    client.write_all(get("/", "").as_bytes()).unwrap();
    response(&mut client);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    assert_eq!(runtime.block_on(edge.handle.drain(PATIENCE)), 0);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}
