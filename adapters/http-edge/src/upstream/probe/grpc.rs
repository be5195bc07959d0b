//! A probe by gRPC: `grpc.health.v1.Health/Check` on a connection of its own ("GRPC Health Checking Protocol").
//!
//! Always: only `SERVING` with `grpc-status: 0` is well; of an answer no more is read than one needs. The two messages have
//! one field each and are written and read here. Not here: making the connection (`connect`).

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE, USER_AGENT};
use http::{Method, Request, Response, StatusCode, Uri};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::transport::Transport;
use crate::upstream::target::UpstreamTarget;

const PATH: &str = "/grpc.health.v1.Health/Check";
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
/// `ServingStatus.SERVING`.
const SERVING: u64 = 1;
/// Bytes of an answer: one message with one small number, and room for what later versions may add.
const MOST_BYTES: usize = 1024;
/// Whether it is compressed, and its length.
const PREFIX: usize = 5;

/// A connection as the library wants it.
struct Io(Transport);

/// Whether the target says that it serves.
pub(super) async fn is_serving(transport: Transport, target: &UpstreamTarget, service: Option<&str>) -> bool {
    match request(target) {
        Some(request) => ask(transport, request, message(service)).await.unwrap_or(false),
        None => false,
    }
}

async fn ask(transport: Transport, request: Request<()>, message: Vec<u8>) -> Option<bool> {
    let mut builder = Builder::new();
    builder.enable_push(false).max_header_list_size(16 * 1024);
    let (sender, connection) = builder.handshake::<_, Bytes>(Io(transport)).await.ok()?;
    let mut exchange = pin!(exchange(sender, request, message));
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        // What has come before its end still counts.
        _ended = connection => exchange.await,
    }
}

/// What the target says; nothing when that is no answer.
async fn exchange(sender: SendRequest<Bytes>, request: Request<()>, message: Vec<u8>) -> Option<bool> {
    let mut sender = sender.ready().await.ok()?;
    let (response, mut body) = sender.send_request(request, false).ok()?;
    body.send_data(message.into(), true).ok()?;
    let response = response.await.ok()?;
    let is_grpc = |kind: &HeaderValue| kind.as_bytes().starts_with(GRPC.as_bytes());
    if response.status() != StatusCode::OK || !response.headers().get(CONTENT_TYPE).is_some_and(is_grpc) {
        return None;
    }
    read(response).await
}

async fn read(response: Response<h2::RecvStream>) -> Option<bool> {
    let (mut stream, mut answer) = (response.into_body(), Vec::new());
    while let Some(piece) = stream.data().await {
        let piece = piece.ok()?;
        if answer.len() + piece.len() > MOST_BYTES {
            return None;
        }
        stream.flow_control().release_capacity(piece.len()).ok()?;
        answer.extend_from_slice(&piece);
    }
    let trailers = stream.trailers().await.ok()??;
    let is_ok = |trailers: &HeaderMap| trailers.get("grpc-status").is_some_and(|status| status == "0");
    Some(is_ok(&trailers) && status(&answer)? == SERVING)
}

fn request(target: &UpstreamTarget) -> Option<Request<()>> {
    let scheme = if target.url.tls { "https" } else { "http" };
    let uri = Uri::builder().scheme(scheme).authority(&*target.authority).path_and_query(PATH).build().ok()?;
    Request::builder()
        .method(Method::POST)
        .uri(uri)
        .header(CONTENT_TYPE, GRPC)
        .header(TE, "trailers")
        .header(USER_AGENT, "novagate-probe")
        .body(())
        .ok()
}

/// `HealthCheckRequest { service = 1 }` in the frame of gRPC.
fn message(service: Option<&str>) -> Vec<u8> {
    let mut body = Vec::new();
    if let Some(service) = service.filter(|service| !service.is_empty()) {
        body.push(0x0a);
        push_varint(&mut body, service.len() as u64);
        body.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&[0][..], &length.to_be_bytes(), &body].concat()
}

/// `status` of the `HealthCheckResponse { status = 1 }` in the frame of gRPC; 0 when it is left out. Other fields are passed
/// over.
fn status(frame: &[u8]) -> Option<u64> {
    let (prefix, mut rest) = frame.split_at_checked(PREFIX)?;
    let (compressed, length) = prefix.split_first()?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    if *compressed != 0 || usize::try_from(length).ok()? != rest.len() {
        return None;
    }
    let mut status = 0;
    while !rest.is_empty() {
        let tag = take_varint(&mut rest)?;
        match (tag >> 3, tag & 7) {
            (1, 0) => status = take_varint(&mut rest)?,
            (0, _) => return None,
            (_, 0) => {
                take_varint(&mut rest)?;
            }
            (_, 1) => rest = rest.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(take_varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            (_, 5) => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push((number & 0x7f) as u8);
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read(cx, room)
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_send(cx, &[bytes, b""])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(body: &[u8]) -> Vec<u8> {
        [&[0][..], &u32::try_from(body.len()).unwrap().to_be_bytes(), body].concat()
    }

    #[test]
    fn the_question_is_the_message_of_the_protocol() {
        assert_eq!(message(None), [0, 0, 0, 0, 0]);
        assert_eq!(message(Some("a.B")), [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B']);
        let long = message(Some(&"x".repeat(255)));
        assert_eq!((&long[..8], long.len()), (&[0, 0, 0, 1, 2, 0x0a, 0xff, 0x01][..], 263));
    }

    #[test]
    fn the_answer_is_a_number_whatever_stands_beside_it() {
        for (body, expected) in [
            (&[0x08, 1][..], Some(SERVING)),
            (&[0x08, 2], Some(2)),
            (&[], Some(0)),
            (&[0x08, 0x80, 0x01], Some(128)),
            (&[0x08, 2, 0x08, 1], Some(SERVING)),
            (&[0x12, 2, 8, 1, 0x08, 1], Some(SERVING)),
            (&[0x10, 9, 0x19, 0, 0, 0, 0, 0, 0, 0, 0, 0x25, 0, 0, 0, 0, 0x08, 1], Some(SERVING)),
            (&[0x08], None),
            (&[0x08, 0x80], None),
            (&[0x12, 5, 1], None),
            (&[0x19, 0], None),
            (&[0x25, 0], None),
            (&[0x0b], None),
            (&[0x00, 1], None),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], None),
        ] {
            assert_eq!(status(&framed(body)), expected, "{body:?}");
        }
        assert_eq!(status(&[1, 0, 0, 0, 2, 0x08, 1]), None, "it is compressed");
        for frame in [&[][..], &[0, 0, 0], &[0, 0, 0, 0, 3, 0x08, 1], &[0, 0, 0, 0, 1, 0x08, 1]] {
            assert_eq!(status(frame), None, "{frame:?}");
        }
    }

    proptest! {
        #[test]
        fn numbers_read_back(number: u64) {
            let mut bytes = Vec::new();
            push_varint(&mut bytes, number);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(take_varint(&mut rest), Some(number));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn no_answer_makes_the_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (status(&body), status(&framed(&body)));
        }
    }
}
