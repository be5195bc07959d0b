//! One upgraded connection as a transport of frames.
//!
//! Sending only queues: what waits is written while the connection is read, so that two ends that both have much to say
//! never wait for each other.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::{Sink as _, StreamExt as _};
use novagate_documents::frames::{self, Decoded, FrameError};
use novagate_kernel::TenantId;
use novagate_ports_edge::{LinkError, LinkEvent, SyncConnection};
use novagate_sync::{ByeCode, Frame};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;

use crate::encoded::EncodedFrames;

/// Frames that may wait to be written before [`SyncConnection::send`] waits.
const QUEUE: usize = 32;
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// An upgraded connection of one tenant's gateway.
pub(crate) struct UpgradedConnection {
    socket: WebSocket,
    tenant: TenantId,
    encoded: Arc<EncodedFrames>,
    queue: VecDeque<Message>,
    over: bool,
}

impl UpgradedConnection {
    pub(crate) const fn new(socket: WebSocket, tenant: TenantId, encoded: Arc<EncodedFrames>) -> Self {
        Self { socket, tenant, encoded, queue: VecDeque::new(), over: false }
    }

    /// Writes what waits; ready when nothing does.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        while !self.queue.is_empty() {
            ready!(Pin::new(&mut self.socket).poll_ready(cx))?;
            if let Some(message) = self.queue.pop_front() {
                Pin::new(&mut self.socket).start_send(message)?;
            }
        }
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<LinkEvent, LinkError>> {
        if let Poll::Ready(Err(fault)) = self.poll_write(cx) {
            let end = ended(fault);
            // A close frame of the peer may be waiting to be read.
            if end.is_err() {
                return Poll::Ready(end);
            }
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
impl SyncConnection for UpgradedConnection {
    async fn send(&mut self, frame: &Frame) -> Result<(), LinkError> {
        if self.over {
            return Err(LinkError::Broken("closed".into()));
        }
        self.queue.push_back(Message::Text(self.encoded.text(self.tenant, frame)));
        let sent = poll_fn(|cx| {
            let progress = self.poll_write(cx);
            if progress.is_pending() && self.queue.len() < QUEUE { Poll::Ready(Ok(())) } else { progress }
        })
        .await;
        sent.map_err(|fault| {
            self.over = true;
            LinkError::Broken(fault.into())
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
            let frame = CloseFrame { code: code.as_u16(), reason: Utf8Bytes::default() };
            self.socket.send(Message::Close(Some(frame))).await?;
            // A socket closed with unread data resets the connection, and the peer might never see the code.
            while let Some(Ok(_unwanted)) = self.socket.next().await {}
            Ok::<(), axum::Error>(())
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
        Message::Close(frame) => Ok(Some(LinkEvent::Closed(frame.and_then(|frame| ByeCode::from_u16(frame.code))))),
        Message::Ping(_) | Message::Pong(_) => Ok(None),
    }
}

fn ended(fault: axum::Error) -> Result<LinkEvent, LinkError> {
    use tungstenite::Error;
    let fault = fault.into_inner();
    let cause = fault.downcast_ref::<Error>();
    if matches!(cause, Some(Error::ConnectionClosed | Error::AlreadyClosed)) {
        return Ok(LinkEvent::Closed(None));
    }
    if matches!(cause, Some(Error::Capacity(_))) {
        return Err(LinkError::TooLarge);
    }
    if matches!(cause, Some(Error::Utf8(_))) {
        return Err(LinkError::Malformed(fault));
    }
    Err(LinkError::Broken(fault))
}
