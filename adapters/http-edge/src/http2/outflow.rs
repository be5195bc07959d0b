//! A body on its way into a stream of HTTP/2.
//!
//! Always: what the other side does not take waits in one piece, whose bound its owner keeps; a stream is ended only by an
//! end. Not here: heads, and what a stream is for (`stream`, `upstream::http2::stream`).

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::SendStream;
use http::HeaderMap;

/// Bytes of a message that are turned into frames at once.
pub(crate) const PIECE: usize = 16 * 1024;

/// What waits to be sent.
#[derive(Debug, Default)]
pub(crate) struct Outflow {
    /// Bytes of the body that the window has no room for.
    pending: Vec<u8>,
    sent: usize,
    behind: Behind,
}

/// What is behind the pending bytes.
#[derive(Debug, Default)]
enum Behind {
    /// More that has not come yet, or nothing after the end.
    #[default]
    Unknown,
    End,
    Trailers(HeaderMap),
}

impl Outflow {
    /// Whether something waits for the window.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty() || !matches!(self.behind, Behind::Unknown)
    }

    /// Whether no more than a piece waits.
    pub(crate) fn has_room(&self) -> bool {
        self.pending.len() < PIECE
    }

    pub(crate) fn push(&mut self, data: &[u8]) {
        self.pending.extend_from_slice(data);
    }

    pub(crate) fn end(&mut self, trailers: Option<HeaderMap>) {
        self.behind = trailers.map_or(Behind::End, Behind::Trailers);
    }

    /// Sends what waits; false when the stream is gone.
    pub(crate) fn poll_flush(&mut self, stream: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<bool> {
        while self.sent < self.pending.len() {
            let left = self.pending.len() - self.sent;
            stream.reserve_capacity(left);
            while stream.capacity() == 0 {
                if !matches!(ready!(stream.poll_capacity(cx)), Some(Ok(_))) {
                    return Poll::Ready(false);
                }
            }
            let count = left.min(stream.capacity());
            let is_last = count == left && matches!(self.behind, Behind::End);
            let data = if count == self.pending.len() {
                std::mem::take(&mut self.pending).into()
            } else {
                Bytes::copy_from_slice(self.pending.get(self.sent..self.sent + count).unwrap_or_default())
            };
            self.sent += count;
            if is_last {
                self.behind = Behind::Unknown;
            }
            if stream.send_data(data, is_last).is_err() {
                return Poll::Ready(false);
            }
        }
        self.pending.clear();
        self.sent = 0;
        let is_sent = match std::mem::take(&mut self.behind) {
            Behind::Unknown => true,
            Behind::End => stream.send_data(Bytes::new(), true).is_ok(),
            Behind::Trailers(trailers) => stream.send_trailers(trailers).is_ok(),
        };
        Poll::Ready(is_sent)
    }
}
