//! A client's connection: its transport, what was received and not used, what is to be sent.

use std::io;
use std::task::{Context, Poll};

use novagate_framing::RequestFraming;

use crate::transport::Transport;
use crate::wire::buffer::{Buffer, BufferStore};

/// Room that an output buffer keeps between responses.
const OUTPUT_KEPT: usize = 4 * 1024;

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) transport: Transport,
    pub(crate) framing: RequestFraming,
    /// Received and not used yet.
    pub(crate) input: Buffer,
    /// To be sent.
    pub(crate) output: Vec<u8>,
    sent: usize,
    /// The client has closed its sending side.
    pub(crate) ended: bool,
    /// The connection ends in the middle of something.
    is_cut: bool,
}

impl Client {
    pub(crate) fn new(transport: Transport, framing: RequestFraming) -> Self {
        let (input, output) = (Buffer::new(), Vec::new());
        Self { transport, framing, input, output, sent: 0, ended: false, is_cut: false }
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

    /// Whether something is to be sent.
    pub(crate) fn has_output(&self) -> bool {
        self.sent < self.output.len() || self.transport.is_unflushed()
    }

    /// Sends what is to be sent and then from `direct`; how much of that.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, direct: &[u8]) -> Poll<io::Result<usize>> {
        let output = self.output.get(self.sent..).unwrap_or_default();
        let of_output = output.len();
        match self.transport.poll_send(cx, &[output, direct]) {
            Poll::Ready(Ok(count)) => {
                self.sent += count.min(of_output);
                if self.sent == self.output.len() {
                    self.clear_output();
                }
                Poll::Ready(Ok(count.saturating_sub(of_output)))
            }
            Poll::Ready(Err(fault)) => Poll::Ready(Err(fault)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn clear_output(&mut self) {
        self.sent = 0;
        self.output.clear();
        if self.output.capacity() > OUTPUT_KEPT {
            self.output = Vec::new();
        }
    }

    /// Gives memory back while nothing is going on.
    pub(crate) fn rest(&mut self, store: &BufferStore) {
        self.input.give_back(store);
    }

    /// Ends the connection in a way that the other side cannot take for the end of a response.
    pub(crate) fn reset(&mut self) {
        self.is_cut = true;
        self.transport.reset();
    }

    /// Says goodbye where the protocol has a word for it, as far as that is possible at once.
    pub(crate) fn close(&mut self, cx: &mut Context<'_>) {
        if self.transport.is_secure() && !self.is_cut {
            // Whoever does not take it learns of the end from the connection.
            let _ = self.transport.poll_shutdown(cx);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use novagate_framing::Limits;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_client_that_has_sent_nothing_takes_no_memory_and_one_that_has_keeps_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut there = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (here, _) = listener.accept().await.unwrap();
        let store = BufferStore::default();
        let mut client = Client::new(Transport::plain(here), RequestFraming::new(Limits::default()));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(client.poll_fill(&mut cx, &store).is_pending());
        assert!(client.input.room().is_empty(), "it waits without a buffer");
        there.write_all(b"GET").await.unwrap();
        assert_eq!(poll_fn(|cx| client.poll_fill(cx, &store)).await.unwrap(), 3);
        assert!(client.poll_fill(&mut cx, &store).is_pending());
        assert_eq!(client.input.unread(), b"GET");
        client.input.consume(3);
        assert!(client.poll_fill(&mut cx, &store).is_pending());
        assert!(client.input.room().is_empty(), "all of it was used");
    }
}
