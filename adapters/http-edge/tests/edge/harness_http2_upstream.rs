//! Upstreams that speak HTTP/2, by a library and by hand.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, SendStream};
use http::request::Parts;
use http::{HeaderMap, Response};
use novagate_routing::{Protocol, Service};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::harness::{Client, PATIENCE, Setup, Upstream};
use crate::harness_http2::{frame, spawn};

pub(crate) const DATA: u8 = 0;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;

/// An upstream; it serves as long as the test runs.
pub(crate) struct Http2Upstream {
    pub(crate) url: String,
    connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<Parts>>>,
}

/// One request at an upstream.
pub(crate) struct Asked {
    pub(crate) head: Parts,
    pub(crate) body: RecvStream,
    pub(crate) respond: SendResponse<Bytes>,
}

impl Http2Upstream {
    /// In clear.
    pub(crate) async fn new<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(Asked) -> F + Send + Sync + 'static,
    ) -> Self {
        Self::with(|_| {}, None, serve).await
    }

    /// With other settings of the protocol, and over TLS.
    pub(crate) async fn with<F: Future<Output = ()> + Send + 'static>(
        settings: impl FnOnce(&mut Builder),
        tls: Option<Arc<ServerConfig>>,
        serve: impl Fn(Asked) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let (connections, heads) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<Parts>>>::default());
        let (counter, log, serve) = (Arc::clone(&connections), Arc::clone(&heads), Arc::new(serve));
        let mut builder = Builder::new();
        builder.initial_connection_window_size(1 << 20);
        settings(&mut builder);
        spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                let (builder, log, serve, tls) = (builder.clone(), Arc::clone(&log), Arc::clone(&serve), tls.clone());
                spawn(async move {
                    match tls {
                        None => serve_connection(stream, &builder, &log, &*serve).await,
                        Some(tls) => {
                            let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await else { return };
                            serve_connection(stream, &builder, &log, &*serve).await;
                        }
                    }
                });
            }
        });
        Self { url, connections, heads }
    }

    /// Sends back what comes, with its trailers.
    pub(crate) async fn echo() -> Self {
        Self::new(Asked::echo).await
    }

    /// Answers `hello`.
    pub(crate) async fn hello() -> Self {
        Self::new(|asked| asked.answer(200, &[("content-length", "5")], b"hello", None)).await
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The heads of requests, in the order they came.
    pub(crate) fn heads(&self) -> Vec<Parts> {
        self.heads.lock().unwrap().clone()
    }
}

async fn serve_connection<F: Future<Output = ()> + Send + 'static>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    builder: &Builder,
    log: &Mutex<Vec<Parts>>,
    serve: &(impl Fn(Asked) -> F + Sync),
) {
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (head, body) = request.into_parts();
        log.lock().unwrap().push(head.clone());
        spawn(serve(Asked { head, body, respond }));
    }
}

impl Asked {
    /// Reads the body and its trailers.
    pub(crate) async fn read(&mut self) -> (Vec<u8>, Option<HeaderMap>) {
        let mut body = Vec::new();
        while let Some(Ok(piece)) = self.body.data().await {
            let _ = self.body.flow_control().release_capacity(piece.len());
            body.extend_from_slice(&piece);
        }
        (body, self.body.trailers().await.unwrap_or_default())
    }

    /// Begins a response that goes on with what is sent on the stream.
    pub(crate) fn begin(&mut self, status: u16, fields: &[(&str, &str)]) -> SendStream<Bytes> {
        self.respond.send_response(head(status, fields), false).unwrap()
    }

    /// Gives a whole response.
    pub(crate) fn answer(
        mut self,
        status: u16,
        fields: &[(&str, &str)],
        body: &'static [u8],
        trailers: Option<HeaderMap>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let is_all = body.is_empty() && trailers.is_none();
        // It may be gone.
        let stream = self.respond.send_response(head(status, fields), is_all);
        async move {
            if let (Ok(stream), false) = (stream, is_all) {
                send(stream, body, trailers).await;
            }
        }
    }

    async fn echo(mut self) {
        let Ok(mut stream) = self.respond.send_response(head(200, &[]), false) else { return };
        while let Some(Ok(piece)) = self.body.data().await {
            if !push(&mut stream, &piece).await {
                return;
            }
            let _ = self.body.flow_control().release_capacity(piece.len());
        }
        match self.body.trailers().await {
            Ok(Some(trailers)) => drop(stream.send_trailers(trailers)),
            Ok(None) => drop(stream.send_data(Bytes::new(), true)),
            Err(_gone) => {}
        }
    }
}

fn head(status: u16, fields: &[(&str, &str)]) -> Response<()> {
    let mut response = Response::builder().status(status);
    for (name, value) in fields {
        response = response.header(*name, *value);
    }
    response.body(()).unwrap()
}

/// Sends a piece as fast as the window lets it; false when the stream is gone.
pub(crate) async fn push(stream: &mut SendStream<Bytes>, mut piece: &[u8]) -> bool {
    while !piece.is_empty() {
        stream.reserve_capacity(piece.len());
        let Some(Ok(room)) = poll_fn(|cx| stream.poll_capacity(cx)).await else { return false };
        let (now, rest) = piece.split_at(room.min(piece.len()));
        if stream.send_data(Bytes::copy_from_slice(now), false).is_err() {
            return false;
        }
        piece = rest;
    }
    true
}

/// Sends the rest of a message; it may be gone.
pub(crate) async fn send(mut stream: SendStream<Bytes>, body: &[u8], trailers: Option<HeaderMap>) {
    if push(&mut stream, body).await {
        let _ = match trailers {
            Some(trailers) => stream.send_trailers(trailers),
            None => stream.send_data(Bytes::new(), true),
        };
    }
}

/// The next piece of a body that is more than nothing.
pub(crate) async fn piece(body: &mut RecvStream) -> Option<Bytes> {
    loop {
        let piece = timeout(PATIENCE, body.data()).await.unwrap()?.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        if !piece.is_empty() {
            return Some(piece);
        }
    }
}

pub(crate) fn trailers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

/// A service that is spoken to in HTTP/2.
pub(crate) fn over_http2(targets: &[&str]) -> Setup {
    Setup::open(targets).with_service(http2)
}

pub(crate) fn http2(service: &mut Service) {
    service.protocol = Protocol::Http2;
}

/// A frame that came.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// An upstream by hand, on each connection after both prefaces; with the number of the connection from 0.
pub(crate) fn by_hand(script: impl Fn(usize, &mut TcpStream) + Send + Sync + 'static) -> Upstream {
    Upstream::scripted(move |number, conn| {
        if greet(conn, &[]) {
            script(number, &mut conn.stream);
        }
    })
}

/// Exchanges the prefaces with a client; false when it is gone.
pub(crate) fn greet(conn: &mut Client, settings: &[u8]) -> bool {
    let mut preface = [0; 24];
    conn.stream.read_exact(&mut preface).is_ok() && conn.stream.write_all(&frame(SETTINGS, 0, 0, settings)).is_ok()
}

/// Reads frames until one of these kinds comes; nothing at the end.
pub(crate) fn next(stream: &mut TcpStream, kinds: &[u8]) -> Option<Frame> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).ok()?;
        let mut payload = vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).ok()?;
        if kinds.contains(&head[3]) {
            let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
            return Some(Frame { kind: head[3], flags: head[4], stream, payload });
        }
    }
}
