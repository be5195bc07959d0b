//! A connection to an upstream.

use std::io;
use std::task::{Context, Poll, ready};

use super::slots::Slot;
use crate::transport::Transport;
use crate::wire::buffer::{Buffer, BufferStore};

/// A connection to an upstream.
#[derive(Debug)]
pub(crate) struct UpstreamConn {
    pub(crate) transport: Transport,
    /// Received and not used yet.
    pub(crate) input: Buffer,
    /// It has carried an exchange before: the upstream may have closed it meanwhile.
    pub(crate) reused: bool,
    /// Where the connections of its service have a bound.
    pub(crate) slot: Option<Slot>,
    /// Which of its target's TLS files it was made with.
    pub(crate) generation: u32,
}

impl UpstreamConn {
    pub(crate) const fn new(transport: Transport) -> Self {
        Self { transport, input: Buffer::new(), reused: false, slot: None, generation: 0 }
    }

    /// Receives into the buffer; 0 is the end of the stream or a full buffer. While it waits for the first byte it holds no
    /// memory.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, store: &BufferStore) -> Poll<io::Result<usize>> {
        self.input.provide(store);
        let received = self.transport.poll_fill(cx, &mut self.input);
        if received.is_pending() {
            self.input.give_back(store);
        }
        received
    }

    /// Sends all of these bytes, of which so many were sent before.
    pub(crate) fn poll_send_all(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        sent: &mut usize,
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = bytes.get(*sent..).filter(|rest| !rest.is_empty()) {
            *sent += ready!(self.transport.poll_send(cx, &[rest, b""]))?;
        }
        self.transport.poll_flush(cx)
    }
}
