//! One WebSocket connection as a transport of frames.
//!
//! Sending only queues: what waits is written while the connection is read, so that two ends that both have much to say
//! never wait for each other.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{Sink, SinkExt, StreamExt};
use novagate_documents::frames::{self, Decoded, FrameError};
use novagate_ports_edge::{LinkError, LinkEvent, SyncConnection};
use novagate_sync::{ByeCode, Frame};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use tokio_tungstenite::tungstenite::{Error, Message};

/// Frames that may wait to be written before [`SyncConnection::send`] waits.
const QUEUE: usize = 32;
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// A byte stream, with or without TLS.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// An established connection.
pub(crate) struct WebSocketConnection {
    socket: WebSocketStream<Box<dyn Wire>>,
    queue: VecDeque<Message>,
    over: bool,
}

impl WebSocketConnection {
    pub(crate) const fn new(socket: WebSocketStream<Box<dyn Wire>>) -> Self {
        Self { socket, queue: VecDeque::new(), over: false }
    }

    /// Writes what waits; ready when nothing does.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.queue.is_empty() {
            ready!(Pin::new(&mut self.socket).poll_ready(cx))?;
            if let Some(message) = self.queue.pop_front() {
                Pin::new(&mut self.socket).start_send(message)?;
            }
        }
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<LinkEvent, LinkError>> {
        if let Poll::Ready(Err(fault)) = self.poll_write(cx)
            && !matches!(fault, Error::ConnectionClosed | Error::AlreadyClosed)
        {
            return Poll::Ready(Err(broken(fault)));
        }
        loop {
            match ready!(self.socket.poll_next_unpin(cx)) {
                None => return Poll::Ready(Ok(LinkEvent::Closed(None))),
                Some(Err(fault)) => return Poll::Ready(ended(fault)),
                Some(Ok(message)) => {
                    let Some(event) = event_of(message).transpose() else { continue };
                    if matches!(event, Ok(LinkEvent::Closed(_))) {
                        // Nobody reads on after this: the answering close frame goes out now, or the peer waits for it.
                        let _answered = Pin::new(&mut self.socket).poll_flush(cx);
                    }
                    return Poll::Ready(event);
                }
            }
        }
    }
}

#[async_trait]
impl SyncConnection for WebSocketConnection {
    async fn send(&mut self, frame: &Frame) -> Result<(), LinkError> {
        if self.over {
            return Err(LinkError::Broken("closed".into()));
        }
        self.queue.push_back(Message::text(frames::encode(frame)));
        let sent = poll_fn(|cx| {
            let progress = self.poll_write(cx);
            if progress.is_pending() && self.queue.len() < QUEUE { Poll::Ready(Ok(())) } else { progress }
        })
        .await;
        sent.map_err(|fault| {
            self.over = true;
            broken(fault)
        })
    }

    // Cancel-safe: an event is returned by the poll that takes it.
    async fn receive(&mut self) -> Result<LinkEvent, LinkError> {
        if self.over {
            return Err(LinkError::Broken("closed".into()));
        }
        let event = poll_fn(|cx| self.poll_receive(cx)).await;
        self.over = !matches!(event, Ok(LinkEvent::Frame(_)));
        event
    }

    async fn close(&mut self, code: ByeCode) {
        self.over = true;
        let farewell = async {
            poll_fn(|cx| self.poll_write(cx)).await?;
            let frame = CloseFrame { code: CloseCode::from(code.as_u16()), reason: "".into() };
            self.socket.send(Message::Close(Some(frame))).await?;
            // A socket closed with unread data resets the connection, and the peer might never see the code.
            while let Some(Ok(_unwanted)) = self.socket.next().await {}
            Ok::<(), Error>(())
        };
        let outcome = timeout(FAREWELL, farewell).await;
        tracing::trace!(clean = matches!(outcome, Ok(Ok(()))), "connection closed");
    }
}

fn event_of(message: Message) -> Result<Option<LinkEvent>, LinkError> {
    match message {
        Message::Text(text) => match frames::decode(text.as_bytes()) {
            Ok(Decoded::Frame(frame)) => Ok(Some(LinkEvent::Frame(Box::new(frame)))),
            Ok(Decoded::Skipped) => Ok(None),
            Err(FrameError::TooLarge { .. }) => Err(LinkError::TooLarge),
            Err(fault) => Err(LinkError::Malformed(fault.into())),
        },
        Message::Binary(_) => Err(LinkError::Malformed("a binary message".into())),
        Message::Close(frame) => {
            Ok(Some(LinkEvent::Closed(frame.and_then(|frame| ByeCode::from_u16(frame.code.into())))))
        }
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(None),
    }
}

fn ended(fault: Error) -> Result<LinkEvent, LinkError> {
    if matches!(fault, Error::ConnectionClosed | Error::AlreadyClosed) {
        return Ok(LinkEvent::Closed(None));
    }
    if matches!(fault, Error::Capacity(_)) {
        return Err(LinkError::TooLarge);
    }
    if matches!(fault, Error::Utf8(_)) {
        return Err(LinkError::Malformed(fault.into()));
    }
    Err(broken(fault))
}

fn broken(fault: Error) -> LinkError {
    LinkError::Broken(fault.into())
}
