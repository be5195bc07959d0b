//! A connection that has become a WebSocket.
//!
//! Always: nothing of it is ever fed to framing again; it holds neither the configuration it was admitted under nor a
//! buffer that a request has used; the upstream's connection ends with it. Not here: moving bytes (`tunnel`).

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use novagate_policies::Grounds;

use super::{Connection, Then};
use crate::admission::Drafts;
use crate::observe::cells::add;
use crate::tunnel::Tunnel;
use crate::upstream::stream::UpstreamConn;

/// What a tunnel is made of beside the client's connection.
pub(super) struct Switched {
    conn: Box<UpstreamConn>,
    grounds: Grounds,
}

/// Counts an open tunnel until it is dropped.
struct Counted<'a>(&'a AtomicU64);

impl Connection {
    /// Keeps what the tunnel needs, for when the request has let go of everything else.
    pub(super) fn switch(&mut self, conn: Box<UpstreamConn>, grounds: Option<Box<Grounds>>) -> Then {
        // Only what was offered is accepted, and offers come with their grounds.
        let Some(grounds) = grounds else { return Then::Close };
        self.switched = Some(Box::new(Switched { conn, grounds: *grounds }));
        Then::Tunnel
    }

    /// Passes bytes both ways until the tunnel is over.
    pub(super) async fn tunnel(&mut self) -> Then {
        let Some(mut switched) = self.switched.take() else { return Then::Close };
        self.drafts = Drafts::default();
        self.client.output = Vec::new();
        let worker = &*self.worker;
        let live = worker.shared.live.load_full();
        let enter = |cx: &mut std::task::Context<'_>| worker.tunnels.enter(switched.grounds, live.as_ref(), cx.waker());
        let place = poll_fn(|cx| Poll::Ready(enter(cx))).await;
        drop(live);
        let _counted = Counted::new(&worker.cells.websockets);
        let tunnel = Tunnel::new(worker, &mut self.client, &mut switched.conn, &self.deadline, &place);
        if tunnel.await { Then::Linger } else { Then::Close }
    }
}

impl<'a> Counted<'a> {
    fn new(cell: &'a AtomicU64) -> Self {
        add(cell, 1);
        Self(cell)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        // Only this thread writes it.
        self.0.store(self.0.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
    }
}
