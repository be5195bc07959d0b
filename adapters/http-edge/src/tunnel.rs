//! A WebSocket between a client's connection and an upstream's: bytes both ways, read by nobody in between.
//!
//! Always: what a side has sent behind its head goes first; a side that does not take bytes stops the other one from
//! sending; the end of one direction is passed on and the other one may finish; without a byte in either direction there is
//! a limit, and while there is nothing to pass on a tunnel holds no buffer. Not here: handshakes (`exchange`).

pub(crate) mod register;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use self::register::Place;
use crate::client::Client;
use crate::deadlines::Deadline;
use crate::upstream::stream::UpstreamConn;
use crate::worker::Worker;

/// A running tunnel.
pub(crate) struct Tunnel<'a> {
    worker: &'a Worker,
    client: &'a mut Client,
    conn: &'a mut UpstreamConn,
    deadline: &'a Deadline,
    place: &'a Place,
    /// From the client to the upstream.
    up: Way,
    /// From the upstream to the client.
    down: Way,
    is_limited: bool,
}

/// One direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Its source has ended; what came is passed on, then the end.
    Ending,
    /// Its end was passed on, or nobody takes its bytes.
    Over,
}

/// The client's connection is broken.
struct ClientGone;

impl<'a> Tunnel<'a> {
    pub(crate) fn new(
        worker: &'a Worker,
        client: &'a mut Client,
        conn: &'a mut UpstreamConn,
        deadline: &'a Deadline,
        place: &'a Place,
    ) -> Self {
        let up = if client.ended { Way::Ending } else { Way::Open };
        Self { worker, client, conn, deadline, place, up, down: Way::Open, is_limited: false }
    }

    /// Moves what can be moved; true when the tunnel is over.
    fn poll_both(&mut self, cx: &mut Context<'_>) -> Result<bool, ClientGone> {
        let mut moved = !std::mem::replace(&mut self.is_limited, true);
        loop {
            if self.place.has_lapsed() || (self.up == Way::Over && self.down == Way::Over) {
                return Ok(true);
            }
            if moved {
                self.deadline.set(self.limit());
            }
            moved = self.poll_up(cx)? | self.poll_down(cx)?;
            if !moved {
                return Ok(self.deadline.is_over());
            }
        }
    }

    /// How long nothing may come. With one direction ended the other one is a body that is being finished.
    fn limit(&self) -> Duration {
        let timeouts = &self.worker.shared.settings.timeouts;
        match (self.up, self.down) {
            (Way::Open, Way::Open) => timeouts.websocket_idle,
            _ => timeouts.websocket_idle.min(timeouts.body_idle),
        }
    }

    /// Whether something has moved towards the upstream.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Result<bool, ClientGone> {
        let mut moved = false;
        while self.up != Way::Over {
            if !self.client.input.is_empty() {
                match self.conn.transport.poll_send(cx, &[self.client.input.unread(), b""]) {
                    Poll::Ready(Ok(count)) => self.client.input.consume(count),
                    // It takes no more; what it has sent is still passed on.
                    Poll::Ready(Err(_broken)) => self.up = Way::Over,
                    Poll::Pending => return Ok(moved),
                }
            } else if self.up == Way::Ending {
                if self.conn.transport.poll_shutdown(cx).is_pending() {
                    return Ok(moved);
                }
                self.client.input.give_back(&self.worker.buffers);
                self.up = Way::Over;
            } else {
                // Its error is that of the next write.
                let _ = self.conn.transport.poll_flush(cx);
                match self.client.poll_fill(cx, &self.worker.buffers) {
                    Poll::Ready(Ok(0)) => {
                        self.client.ended = true;
                        self.up = Way::Ending;
                    }
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(_reset)) => return Err(ClientGone),
                    Poll::Pending => return Ok(moved),
                }
            }
            moved = true;
        }
        Ok(moved)
    }

    /// Whether something has moved towards the client.
    fn poll_down(&mut self, cx: &mut Context<'_>) -> Result<bool, ClientGone> {
        let mut moved = false;
        while self.down != Way::Over {
            if !self.conn.input.is_empty() || self.client.has_output() {
                match self.client.poll_send(cx, self.conn.input.unread()) {
                    Poll::Ready(Ok(count)) => self.conn.input.consume(count),
                    Poll::Ready(Err(_reset)) => return Err(ClientGone),
                    Poll::Pending => return Ok(moved),
                }
            } else if self.down == Way::Ending {
                match self.client.transport.poll_shutdown(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_reset)) => return Err(ClientGone),
                    Poll::Pending => return Ok(moved),
                }
                self.conn.input.give_back(&self.worker.buffers);
                self.down = Way::Over;
            } else {
                match self.conn.poll_fill(cx, &self.worker.buffers) {
                    Poll::Ready(Ok(0)) => self.down = Way::Ending,
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(fault)) => self.on_upstream_fault(&fault),
                    Poll::Pending => return Ok(moved),
                }
            }
            moved = true;
        }
        Ok(moved)
    }

    /// A WebSocket tells its end itself, in a frame: however the connection ends, the client gets what came.
    fn on_upstream_fault(&mut self, fault: &io::Error) {
        self.down = Way::Ending;
        // TLS without its farewell says nothing about the other direction.
        if fault.kind() != io::ErrorKind::UnexpectedEof {
            self.up = Way::Over;
        }
    }
}

/// Ends with the tunnel; true when the client may still be sending.
impl Future for Tunnel<'_> {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let tunnel = self.get_mut();
        match tunnel.poll_both(cx) {
            Ok(true) => Poll::Ready(!tunnel.client.ended),
            Ok(false) => Poll::Pending,
            Err(ClientGone) => Poll::Ready(false),
        }
    }
}
