//! Upstreams behind TLS.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::harness::{Certificate, SWITCHING, Setup, get, handshake};

const BODY: usize = 300_000;

/// Answers every request with `answer`; ends the connection after it, with or without saying so in TLS.
fn serve(certificate: &Certificate, answer: Vec<u8>, says_goodbye: bool) -> String {
    let config = certificate.server(None);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = TlsAcceptor::from(config.clone()).accept(stream).await else { continue };
                let mut seen = Vec::new();
                while !seen.windows(4).any(|window| window == b"\r\n\r\n") {
                    let mut piece = [0; 4096];
                    let count = stream.read(&mut piece).await.unwrap();
                    seen.extend_from_slice(&piece[..count]);
                }
                stream.write_all(&answer).await.unwrap();
                stream.flush().await.unwrap();
                if says_goodbye {
                    stream.shutdown().await.unwrap();
                }
            }
        });
    });
    format!("https://{addr}")
}

#[test]
fn an_upstream_is_reached_over_tls() {
    let certificate = Certificate::new("reached");
    let answer = [format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n").into_bytes(), vec![b'x'; BODY]].concat();
    let url = serve(&certificate, answer, true);
    let mut setup = Setup::open(&[&url]);
    setup.upstream_ca = Some(certificate.cert());
    let edge = setup.start();
    for _ in 0..3 {
        assert_eq!(edge.ask(&get("/", "")).body.len(), BODY);
    }
}

/// Accepts a WebSocket, sends back what comes, up to the end, and says goodbye.
fn serve_websocket(certificate: &Certificate) -> String {
    let config = certificate.server(None);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = TlsAcceptor::from(config).accept(stream).await.unwrap();
            let (mut seen, mut piece) = (Vec::new(), vec![0; 16_384]);
            while !seen.ends_with(b"\r\n\r\n") {
                let count = stream.read(&mut piece).await.unwrap();
                seen.extend_from_slice(&piece[..count]);
            }
            stream.write_all(format!("{SWITCHING}hi").as_bytes()).await.unwrap();
            loop {
                let count = stream.read(&mut piece).await.unwrap();
                if count == 0 {
                    break;
                }
                stream.write_all(&piece[..count]).await.unwrap();
                stream.flush().await.unwrap();
            }
            stream.write_all(b"bye").await.unwrap();
            stream.shutdown().await.unwrap();
        });
    });
    format!("https://{addr}")
}

#[test]
fn a_websocket_is_reached_over_tls_and_ends_side_by_side() {
    let certificate = Certificate::new("websocket");
    let mut setup = Setup::open(&[&serve_websocket(&certificate)]);
    setup.upstream_ca = Some(certificate.cert());
    let edge = setup.start();
    let mut client = edge.connect();
    client.send(handshake("/", ""));
    assert!(client.head().starts_with("http/1.1 101 "));
    assert_eq!(client.read_exact(2), b"hi");
    for _ in 0..3 {
        client.send("ping");
        assert_eq!(client.read_exact(4), b"ping");
    }
    let mut stream = client.stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stream, &vec![b'x'; BODY * 10]).unwrap());
    assert!(client.read_exact(BODY * 10).iter().all(|&byte| byte == b'x'));
    writer.join().unwrap();
    client.half_close();
    assert_eq!(client.rest(), b"bye");
}

#[test]
fn an_upstream_whose_certificate_is_not_trusted_is_502() {
    let certificate = Certificate::new("untrusted");
    let url = serve(&certificate, Vec::new(), true);
    assert_eq!(Setup::open(&[&url]).start().ask(&get("/", "")).code(), "DOWNSTREAM_ERROR");
}

#[test]
fn a_tls_stream_that_was_cut_is_no_end_of_a_body() {
    let certificate = Certificate::new("cut");
    for (says_goodbye, is_whole) in [(true, true), (false, false)] {
        let url = serve(&certificate, b"HTTP/1.1 200 OK\r\n\r\nall there is".to_vec(), says_goodbye);
        let mut setup = Setup::open(&[&url]);
        setup.upstream_ca = Some(certificate.cert());
        let edge = setup.start();
        let mut client = edge.connect();
        client.send(get("/", "Connection: close\r\n"));
        let seen = client.rest();
        assert_eq!(seen.ends_with(b"0\r\n\r\n"), is_whole);
    }
}
