//! The loop around the hub's machine of one session: it feeds and obeys, and decides nothing.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use novagate_access::{GatewayKeyRecord, TenantScope, Verified};
use novagate_kernel::{Digest, NodeId, SessionId, Timestamp};
use novagate_ports_control::outbound::NodeSighting;
use novagate_ports_edge::{LinkError, LinkEvent, SyncConnection};
use novagate_sync::{Bye, ByeCode, Frame, Hello, HubEffect, HubMachine, SessionIdentity};
use tokio::time::{Instant, sleep_until, timeout};

use crate::hub::HubState;
use crate::jobs::{self, Job, Note, Outcome};
use crate::registry::{Inbox, Signals};

/// How long one frame may wait for a node that does not read.
const SEND_DEADLINE: Duration = Duration::from_secs(10);
/// How long the farewell frame may wait.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long notes may take to be written after the end.
const LAST_NOTES: Duration = Duration::from_secs(5);
/// Notes that wait to be written; a node cannot make more without being answered.
const NOTES: usize = 64;
/// After a drain nodes come back spread over this.
const DRAIN_SPREAD: Duration = Duration::from_secs(10);
/// After lost wake-ups sessions authenticate again, spread over this.
const RECYCLE_SPREAD: Duration = Duration::from_secs(30);
/// A session younger than this has just authenticated.
const YOUNG: Duration = Duration::from_mins(1);

/// Runs one session over any transport until it ends. Whose gateway it is comes from the verified key.
pub async fn serve_session(connection: Box<dyn SyncConnection>, key: Verified<GatewayKeyRecord>, state: Arc<HubState>) {
    Session::new(state, connection, key).run().await;
}

/// One session.
struct Session {
    hub: Arc<HubState>,
    scope: TenantScope,
    key: Arc<Verified<GatewayKeyRecord>>,
    id: SessionId,
    connection: Box<dyn SyncConnection>,
    machine: HubMachine,
    inbox: Inbox,
    heard: Signals,
    jobs: FuturesUnordered<Job>,
    notes: VecDeque<Note>,
    noting: bool,
    node: Option<NodeId>,
    began: (Timestamp, Instant),
    /// The reading that the machine saw last, and when it was taken.
    read_at: (Timestamp, Instant),
    recycle_at: Option<Instant>,
    over: bool,
}

enum Input {
    Event(Result<LinkEvent, LinkError>),
    Signal,
    Revoked(Vec<Digest>),
    Done(Outcome),
    Drain,
    Recycle,
    Deadline,
}

impl Session {
    fn new(hub: Arc<HubState>, connection: Box<dyn SyncConnection>, key: Verified<GatewayKeyRecord>) -> Self {
        let scope = key.scope();
        let id = SessionId::from_entropy(hub.entropy.bytes());
        let inbox = hub.registry.join(scope.tenant(), id, key.get().id);
        let began = (hub.clock.now(), Instant::now());
        let identity = SessionIdentity { session: id, tenant: scope.tenant(), heartbeat: hub.limits.heartbeat };
        Self {
            hub,
            scope,
            key: Arc::new(key),
            id,
            connection,
            machine: HubMachine::new(identity, began.0),
            inbox,
            heard: Signals::default(),
            jobs: FuturesUnordered::new(),
            notes: VecDeque::new(),
            noting: false,
            node: None,
            began,
            read_at: began,
            recycle_at: None,
            over: false,
        }
    }

    async fn run(mut self) {
        while !self.over {
            let input = self.wait().await;
            self.feed(input);
            self.obey().await;
        }
        self.machine.on_closed();
        // Cancellation leaves notes unwritten; the node's next hello says the same.
        let _late = timeout(LAST_NOTES, self.finish_notes()).await;
        let left = self.hub.registry.leave(self.scope.tenant(), self.id, self.node.take());
        if let Some(node) = left
            && let Err(refusal) = self.hub.sync.left(&self.scope, node).await
        {
            tracing::debug!(%node, error = %refusal, "the end of a session could not be noted");
        }
    }

    async fn wait(&mut self) -> Input {
        let (deadline, recycle_at) = (self.deadline(), self.recycle_at);
        let soft = self.hub.tasks.soft();
        tokio::select! {
            changed = self.inbox.signals.changed() => {
                // The registry keeps the sender as long as the session is in it.
                if changed.is_ok() { Input::Signal } else { Input::Drain }
            }
            Some(keys) = self.inbox.revoked.recv() => Input::Revoked(keys),
            Some(outcome) = self.jobs.next(), if !self.jobs.is_empty() => Input::Done(outcome),
            event = self.connection.receive() => Input::Event(event),
            () = soft.cancelled() => Input::Drain,
            () = until(recycle_at) => Input::Recycle,
            () = until(deadline) => Input::Deadline,
        }
    }

    fn feed(&mut self, input: Input) {
        let now = self.now();
        match input {
            Input::Event(event) => self.received(event, now),
            Input::Signal => self.signalled(now),
            Input::Revoked(keys) => self.machine.on_revoked(keys, now),
            Input::Done(outcome) => self.done(outcome, now),
            Input::Drain => self.machine.close(ByeCode::GoingAway, Some(self.hub.jitter(DRAIN_SPREAD))),
            Input::Recycle => {
                self.recycle_at = None;
                self.machine.close(ByeCode::GoingAway, Some(Duration::ZERO));
            }
            Input::Deadline => {}
        }
        self.machine.on_deadline(now);
    }

    fn received(&mut self, event: Result<LinkEvent, LinkError>, now: Timestamp) {
        match event {
            Ok(LinkEvent::Frame(frame)) => {
                if let Err(fault) = self.machine.on_frame(*frame, now) {
                    tracing::warn!(session = %self.id, error = %fault, "a gateway broke the protocol");
                }
            }
            Ok(LinkEvent::Closed(_)) => self.over = true,
            Err(fault) => {
                tracing::debug!(session = %self.id, error = %fault, "a session's connection ended");
                match fault {
                    LinkError::Malformed(_) => self.machine.close(ByeCode::ProtocolError, None),
                    LinkError::TooLarge => self.machine.close(ByeCode::TooLarge, None),
                    LinkError::Broken(_) => self.over = true,
                }
            }
        }
    }

    fn signalled(&mut self, now: Timestamp) {
        let heard = *self.inbox.signals.borrow_and_update();
        if let Some(code) = heard.close {
            let retry_after = (code == ByeCode::TryLater).then(|| self.hub.jitter(DRAIN_SPREAD));
            self.machine.close(code, retry_after);
        }
        if heard.head.is_some() && heard.head != self.heard.head {
            self.machine.on_wake(heard.head, now);
        }
        if heard.lost != self.heard.lost {
            self.machine.on_wake(None, now);
            // A revocation may be among what was lost, and only a new upgrade shows the key again.
            if self.read_at.1.duration_since(self.began.1) > YOUNG && self.recycle_at.is_none() {
                self.recycle_at = self.read_at.1.checked_add(self.hub.jitter(RECYCLE_SPREAD));
            }
        }
        self.heard = heard;
    }

    fn done(&mut self, outcome: Outcome, now: Timestamp) {
        match outcome {
            Outcome::Admitted(Ok(received)) => self.machine.on_admitted(received, now),
            Outcome::Config(Ok(offer)) => self.machine.on_config(offer, now),
            Outcome::Ingested(Ok(())) => self.machine.on_ingested(now),
            Outcome::Recorded => {
                self.noting = false;
                self.next_note();
            }
            Outcome::Config(Err(refusal)) if !jobs::is_final(&refusal) => {
                tracing::warn!(session = %self.id, error = %refusal, "a configuration could not be loaded");
                self.machine.on_config_failed(now);
            }
            Outcome::Ingested(Err(refusal)) if !jobs::is_final(&refusal) => {
                tracing::warn!(session = %self.id, error = %refusal, "telemetry could not be stored yet");
                self.machine.on_ingest_failed(now);
            }
            Outcome::Admitted(Err(refusal)) | Outcome::Config(Err(refusal)) | Outcome::Ingested(Err(refusal)) => {
                tracing::info!(session = %self.id, error = %refusal, "a session is refused");
                let (code, retry_after) = jobs::bye_of(&refusal, &self.hub);
                self.machine.close(code, retry_after);
            }
        }
    }

    /// Does everything that the machine asks for.
    async fn obey(&mut self) {
        while let Some(effect) = self.machine.next_effect() {
            match effect {
                HubEffect::Send(frame) => self.send(&frame).await,
                HubEffect::RecordHello(hello) => self.admit(hello),
                HubEffect::LoadConfig { applied } => {
                    let job = jobs::load(Arc::clone(&self.hub), Arc::clone(&self.key), self.scope.clone(), applied);
                    self.jobs.push(Box::pin(job));
                }
                HubEffect::Ingest(batch) => {
                    if let Some(node) = self.node {
                        let job = jobs::ingest(Arc::clone(&self.hub), self.scope.clone(), node, batch);
                        self.jobs.push(Box::pin(job));
                    }
                }
                HubEffect::RecordAck(ack) => self.note(Note::Ack(ack)),
                HubEffect::RecordNack(nack) => self.note(Note::Nack(nack)),
                HubEffect::Beat => self.note(Note::Beat),
                HubEffect::Close(bye) => self.farewell(bye).await,
            }
        }
    }

    async fn send(&mut self, frame: &Frame) {
        if self.over {
            return;
        }
        let sent = tokio::select! {
            biased;
            sent = timeout(SEND_DEADLINE, self.connection.send(frame)) => Some(sent),
            // A key that is revoked while its node does not read.
            () = closing(&mut self.inbox) => None,
        };
        match sent {
            Some(Ok(Ok(()))) => {}
            None => {
                let now = self.now();
                self.signalled(now);
            }
            Some(Ok(Err(fault))) => {
                tracing::debug!(session = %self.id, error = %fault, "a frame could not be sent");
                self.over = true;
            }
            Some(Err(_elapsed)) => {
                self.hub.counters.slow_peers.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(session = %self.id, "a gateway does not read and is closed");
                self.machine.close(ByeCode::TryLater, Some(self.hub.jitter(DRAIN_SPREAD)));
            }
        }
    }

    async fn farewell(&mut self, bye: Bye) {
        if !std::mem::replace(&mut self.over, true) {
            // A node that does not read gets the close code alone.
            let _unheard = timeout(FAREWELL, self.connection.send(&Frame::Bye(bye))).await;
            self.connection.close(bye.code).await;
        }
    }

    fn admit(&mut self, hello: Hello) {
        let Hello { node, boot, build, labels, applied, .. } = hello;
        self.node = Some(node);
        let at = self.hub.clock.now();
        self.hub.registry.claim(self.scope.tenant(), self.id, node, boot, at);
        let sighting = NodeSighting { node, boot, build, labels, key: self.key.get().id, applied, at };
        self.jobs.push(Box::pin(jobs::admit(Arc::clone(&self.hub), self.scope.clone(), self.id, sighting)));
    }

    fn note(&mut self, note: Note) {
        if note == Note::Beat && self.notes.contains(&Note::Beat) {
            return;
        }
        // A later revision confirms those before it.
        if let (Note::Ack(_), Some(last @ Note::Ack(_))) = (&note, self.notes.back_mut()) {
            *last = note;
            return;
        }
        if self.notes.len() >= NOTES {
            self.machine.close(ByeCode::TryLater, Some(self.hub.jitter(DRAIN_SPREAD)));
            return;
        }
        self.notes.push_back(note);
        self.next_note();
    }

    fn next_note(&mut self) {
        if !self.noting
            && let Some(node) = self.node
            && let Some(note) = self.notes.pop_front()
        {
            self.noting = true;
            self.jobs.push(Box::pin(jobs::record(Arc::clone(&self.hub), self.scope.clone(), node, note)));
        }
    }

    async fn finish_notes(&mut self) {
        while self.noting {
            let Some(outcome) = self.jobs.next().await else { return };
            if matches!(outcome, Outcome::Recorded) {
                self.noting = false;
                self.next_note();
            }
        }
    }

    /// Time that no step of the machine's clock can move.
    fn now(&mut self) -> Timestamp {
        let instant = Instant::now();
        let now = self.began.0.plus(instant.duration_since(self.began.1));
        self.read_at = (now, instant);
        now
    }

    fn deadline(&self) -> Option<Instant> {
        let wait = self.machine.next_deadline()?.since(self.read_at.0);
        self.read_at.1.checked_add(wait)
    }
}

impl Drop for Session {
    // A session that is dropped in mid-run (a shutdown whose grace is over) must not stay in the registry.
    fn drop(&mut self) {
        self.hub.registry.leave(self.scope.tenant(), self.id, self.node);
    }
}

/// Returns when the session must end.
async fn closing(inbox: &mut Inbox) {
    // The registry keeps the sender as long as the session is in it.
    if inbox.signals.wait_for(|signals| signals.close.is_some()).await.is_err() {
        pending::<()>().await;
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}
