//! One connection: a bounded channel in each direction.

use async_trait::async_trait;
use novagate_ports_edge::{LinkError, LinkEvent, SyncConnection};
use novagate_sync::{ByeCode, Frame};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Frames that one direction holds.
const CAPACITY: usize = 32;

/// One end.
struct MemoryConnection {
    outgoing: Option<mpsc::Sender<LinkEvent>>,
    incoming: mpsc::Receiver<LinkEvent>,
    cut: CancellationToken,
    over: bool,
}

/// Both ends of a connection; cancelling `cut` breaks it.
pub fn pair(cut: &CancellationToken) -> (Box<dyn SyncConnection>, Box<dyn SyncConnection>) {
    let (to_right, from_left) = mpsc::channel(CAPACITY);
    let (to_left, from_right) = mpsc::channel(CAPACITY);
    let end = |outgoing, incoming| {
        Box::new(MemoryConnection { outgoing: Some(outgoing), incoming, cut: cut.clone(), over: false })
    };
    (end(to_right, from_right), end(to_left, from_left))
}

#[async_trait]
impl SyncConnection for MemoryConnection {
    async fn send(&mut self, frame: &Frame) -> Result<(), LinkError> {
        let Some(outgoing) = &self.outgoing else { return Err(broken("closed")) };
        let event = LinkEvent::Frame(Box::new(frame.clone()));
        tokio::select! {
            biased;
            () = self.cut.cancelled() => Err(broken("cut")),
            sent = outgoing.send(event) => sent.map_err(|_gone| broken("the peer is gone")),
        }
    }

    // Cancel-safe: both the token and the channel are.
    async fn receive(&mut self) -> Result<LinkEvent, LinkError> {
        if self.over {
            return Err(broken("closed"));
        }
        let event = tokio::select! {
            biased;
            () = self.cut.cancelled() => Err(broken("cut")),
            event = self.incoming.recv() => Ok(event.unwrap_or(LinkEvent::Closed(None))),
        };
        self.over = !matches!(event, Ok(LinkEvent::Frame(_)));
        event
    }

    async fn close(&mut self, code: ByeCode) {
        self.over = true;
        self.incoming.close();
        let Some(outgoing) = self.outgoing.take() else { return };
        tokio::select! {
            biased;
            () = self.cut.cancelled() => {}
            // A peer that is gone needs no farewell.
            _sent = outgoing.send(LinkEvent::Closed(Some(code))) => {}
        }
    }
}

fn broken(why: &'static str) -> LinkError {
    LinkError::Broken(why.into())
}
