//! Clients that speak HTTP/2, by a library and by hand.

use std::future::poll_fn;
use std::io::Write;
use std::net::TcpStream;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::harness::{Edge, PATIENCE};
use crate::harness_http2_upstream::next;

/// A connection; it is driven by a task of its own.
pub(crate) struct Http2 {
    pub(crate) send: SendRequest<Bytes>,
    pub(crate) driver: JoinHandle<Result<(), h2::Error>>,
}

/// A response with all that belongs to it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Response<()>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status().as_u16()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The code of a refusal, after checking its form.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.head.headers()["content-type"], "application/json");
        let text = self.text();
        let id = self.head.headers()["x-request-id"].to_str().unwrap();
        assert!(text.ends_with(&format!("\"requestId\":\"{id}\"}}")), "{text}");
        text.strip_prefix("{\"error\":\"").unwrap().split('"').next().unwrap().to_owned()
    }
}

impl Http2 {
    /// In clear, by prior knowledge.
    pub(crate) async fn connect(edge: &Edge) -> Self {
        Self::over(tokio::net::TcpStream::connect(edge.handle.local_addr()).await.unwrap()).await
    }

    pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        // A window beyond that of one stream: what is not read of it holds up no other.
        let mut builder = h2::client::Builder::new();
        let (send, connection) = builder.initial_connection_window_size(1 << 20).handshake(stream).await.unwrap();
        Self { send, driver: spawn(connection) }
    }

    /// Begins a request that goes on with what is sent on the stream.
    pub(crate) async fn begin(&self, request: Request<()>) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
        let mut send = timeout(PATIENCE, self.send.clone().ready()).await.unwrap().unwrap();
        send.send_request(request, false).unwrap()
    }

    /// Sends a request and reads its response.
    pub(crate) async fn ask(&self, request: Request<()>, body: &[u8]) -> Result<Answer, h2::Error> {
        timeout(PATIENCE, async {
            let mut send = self.send.clone().ready().await?;
            let (response, stream) = send.send_request(request, body.is_empty())?;
            let body = body.to_vec();
            let sending = spawn(async move {
                if !body.is_empty() {
                    send_all(stream, &body, None).await;
                }
            });
            let answer = answer(response).await;
            sending.abort();
            answer
        })
        .await
        .unwrap()
    }

    /// How the connection ended.
    pub(crate) async fn end(self) -> Result<(), h2::Error> {
        drop(self.send);
        timeout(PATIENCE, self.driver).await.unwrap().unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "a task of a test ends with its runtime")]
pub(crate) fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(task)
}

/// Sends a body, as fast as the window lets it.
pub(crate) async fn send_all(mut stream: SendStream<Bytes>, mut body: &[u8], trailers: Option<HeaderMap>) {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let Some(Ok(room)) = poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
        let (now, rest) = body.split_at(room.min(body.len()));
        stream.send_data(Bytes::copy_from_slice(now), rest.is_empty() && trailers.is_none()).unwrap();
        body = rest;
    }
    if let Some(trailers) = trailers {
        stream.send_trailers(trailers).unwrap();
    }
}

/// Reads a response to its end.
pub(crate) async fn answer(response: h2::client::ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, mut stream) = timeout(PATIENCE, response).await.unwrap()?.into_parts();
    let body = read_all(&mut stream).await?;
    let trailers = timeout(PATIENCE, stream.trailers()).await.unwrap()?;
    Ok(Answer { head: Response::from_parts(head, ()), body, trailers })
}

async fn read_all(stream: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut body = Vec::new();
    while let Some(piece) = timeout(PATIENCE, stream.data()).await.unwrap() {
        let piece = piece?;
        stream.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

pub(crate) fn request(method: &str, path: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(format!("http://shop.example{path}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

pub(crate) fn get(path: &str) -> Request<()> {
    request("GET", path, &[])
}

/// The preface of a client, with empty settings.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const GOAWAY: u8 = 7;
/// Headers and stream end.
pub(crate) const WHOLE: u8 = 5;

/// A frame by hand.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Fields without compression.
pub(crate) fn literal(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// A connection by hand, after its preface.
pub(crate) fn raw(edge: &Edge) -> TcpStream {
    let mut stream = TcpStream::connect(edge.handle.local_addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(PREFACE).unwrap();
    stream
}

/// Reads frames until one of these kinds comes: its kind and payload; nothing at the end.
pub(crate) fn next_frame(stream: &mut TcpStream, kinds: &[u8]) -> Option<(u8, Vec<u8>)> {
    next(stream, kinds).map(|frame| (frame.kind, frame.payload))
}

/// The reason in a frame that ends a stream or a connection.
pub(crate) fn reason((kind, payload): &(u8, Vec<u8>)) -> Reason {
    let at = if *kind == GOAWAY { 4 } else { 0 };
    u32::from_be_bytes(payload[at..at + 4].try_into().unwrap()).into()
}
