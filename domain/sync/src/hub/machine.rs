//! The hub's machine for one session.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use novagate_kernel::{BootId, Digest, Head, NodeId, Timestamp};

use super::config::Delivery;
use super::effect::{ConfigOffer, HubEffect, SessionIdentity};
use super::intake::{Intake, Taken};
use crate::steady::SteadyClock;
use crate::{Bye, ByeCode, Frame, Hello, ProtocolFault, Revoke, SyncMode, Welcome};

const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// From hello to welcome; a node waits 30 s.
const WELCOME_WITHIN: Duration = Duration::from_secs(25);
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// How long to wait before a question that was not answered is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// Room for a heartbeat that is on its way.
const HEARTBEAT_SLACK: Duration = Duration::from_secs(5);
/// Snapshots that a node may ask for in one session.
const MOST_RESYNCS: u8 = 4;
/// Revocations kept for a node that is being greeted.
const MOST_HELD_REVOCATIONS: usize = 4096;

#[derive(Debug, Clone)]
enum Phase {
    AwaitingHello {
        by: Timestamp,
    },
    /// Hello is being recorded, then the first answer is awaited.
    Greeting {
        by: Timestamp,
        node: NodeId,
        boot: BootId,
    },
    Live {
        node: NodeId,
        boot: BootId,
    },
    Closed,
}

/// The protocol's hub end, for one connection. Times are wall-clock readings.
#[derive(Debug)]
pub struct HubMachine {
    identity: SessionIdentity,
    clock: SteadyClock,
    phase: Phase,
    delivery: Delivery,
    intake: Intake,
    heard_at: Timestamp,
    probed: bool,
    check_at: Timestamp,
    ask_at: Option<Timestamp>,
    resyncs: u8,
    held_revocations: Vec<Digest>,
    effects: VecDeque<HubEffect>,
}

impl HubMachine {
    /// A session whose upgrade has just succeeded.
    pub fn new(identity: SessionIdentity, now: Timestamp) -> Self {
        Self {
            identity,
            clock: SteadyClock::new(now),
            phase: Phase::AwaitingHello { by: now.plus(HELLO_WITHIN) },
            delivery: Delivery::default(),
            intake: Intake::default(),
            heard_at: now,
            probed: false,
            check_at: now.plus(CHECK_INTERVAL),
            ask_at: None,
            resyncs: 0,
            held_revocations: Vec::new(),
            effects: VecDeque::new(),
        }
    }

    /// A frame came. After a fault the connection is being closed already.
    pub fn on_frame(&mut self, frame: Frame, now: Timestamp) -> Result<(), ProtocolFault> {
        let now = self.observe(now);
        self.heard_at = now;
        self.probed = false;
        let outcome = match self.phase {
            Phase::AwaitingHello { .. } => self.on_first_frame(frame, now),
            Phase::Greeting { .. } => self.on_early_frame(&frame),
            Phase::Live { node, boot } => self.on_live_frame(frame, node, boot),
            Phase::Closed => Ok(()),
        };
        if outcome.is_err() {
            self.close(ByeCode::ProtocolError, None);
        }
        outcome
    }

    /// The node is remembered; everything up to `received` of this boot is committed.
    pub fn on_admitted(&mut self, received: u64, now: Timestamp) {
        self.observe(now);
        if matches!(self.phase, Phase::Greeting { .. }) {
            self.intake.resume(received);
            self.ask();
        }
    }

    /// The answer to [`HubEffect::LoadConfig`].
    pub fn on_config(&mut self, offer: ConfigOffer, now: Timestamp) {
        let now = self.observe(now);
        let frame = self.frame_of(offer);
        match self.phase {
            Phase::Greeting { node, boot, .. } => self.welcome(node, boot, frame.as_ref(), now),
            Phase::Live { .. } => {}
            Phase::AwaitingHello { .. } | Phase::Closed => return,
        }
        if let Some(frame) = frame {
            self.send(frame);
        }
        self.ask();
    }

    /// There was no answer to [`HubEffect::LoadConfig`].
    pub fn on_config_failed(&mut self, now: Timestamp) {
        let now = self.observe(now);
        self.delivery.unanswered();
        self.ask_at = Some(now.plus(ASK_AGAIN));
    }

    /// The tenant has a new revision; none: it may have one.
    pub fn on_wake(&mut self, head: Option<Head>, now: Timestamp) {
        self.observe(now);
        self.delivery.wake(head);
        if matches!(self.phase, Phase::Live { .. }) && self.ask_at.is_none() {
            self.ask();
        }
    }

    /// Consumer keys stop working: told at once, ahead of any config frame.
    pub fn on_revoked(&mut self, keys: Vec<Digest>, now: Timestamp) {
        self.observe(now);
        match self.phase {
            Phase::Live { .. } => self.send(Frame::Revoke(Revoke { consumer_keys: keys })),
            Phase::AwaitingHello { .. } | Phase::Greeting { .. } => {
                self.held_revocations.extend(keys);
                if self.held_revocations.len() > MOST_HELD_REVOCATIONS {
                    self.close(ByeCode::TryLater, None);
                }
            }
            Phase::Closed => {}
        }
    }

    /// The batch is committed, now or earlier.
    pub fn on_ingested(&mut self, now: Timestamp) {
        self.observe(now);
        if let Phase::Live { boot, .. } = self.phase
            && let Some(batch_seq) = self.intake.stored()
        {
            self.send(Frame::Received { boot, batch_seq });
            self.ingest();
        }
    }

    /// The batch could not be stored; it will be tried again.
    pub fn on_ingest_failed(&mut self, now: Timestamp) {
        let now = self.observe(now);
        self.intake.failed(now);
    }

    /// A deadline may be over.
    pub fn on_deadline(&mut self, now: Timestamp) {
        let now = self.observe(now);
        match self.phase {
            Phase::AwaitingHello { by } if by <= now => self.close(ByeCode::HelloLate, None),
            Phase::Greeting { by, .. } if by <= now => self.close(ByeCode::TryLater, None),
            Phase::AwaitingHello { .. } | Phase::Closed => {}
            Phase::Greeting { .. } => self.ask_again(now),
            Phase::Live { .. } => self.on_live_deadline(now),
        }
    }

    /// Ends the session: the key was revoked, the tenant closed, the node is elsewhere, the hub stops or is too busy.
    pub fn close(&mut self, code: ByeCode, retry_after: Option<Duration>) {
        if !self.is_closed() {
            self.phase = Phase::Closed;
            self.effects.push_back(HubEffect::Close(Bye { code, retry_after }));
        }
    }

    /// The connection is gone.
    pub fn on_closed(&mut self) {
        self.phase = Phase::Closed;
    }

    /// Whether the session is over.
    pub const fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Whether the node has been welcomed and the session goes on.
    pub const fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live { .. })
    }

    /// The wall-clock reading at which [`Self::on_deadline`] wants to be called, reckoned from the last reading that came in:
    /// a driver sleeps for the difference to that reading.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadline().map(|deadline| self.clock.wall_of(deadline))
    }

    /// What to do next.
    pub fn next_effect(&mut self) -> Option<HubEffect> {
        self.effects.pop_front()
    }

    fn frame_of(&mut self, offer: ConfigOffer) -> Option<Frame> {
        match offer {
            ConfigOffer::Current(head) => {
                self.delivery.current(head);
                None
            }
            ConfigOffer::Delta(delta) => self.delivery.answered(delta.to, true).then_some(Frame::Delta(delta)),
            ConfigOffer::Snapshot(set) => {
                let send = self.delivery.answered(set.head(), false);
                send.then(|| Frame::Snapshot(Arc::unwrap_or_clone(set)))
            }
        }
    }

    fn on_first_frame(&mut self, frame: Frame, now: Timestamp) -> Result<(), ProtocolFault> {
        let Frame::Hello(hello) = frame else { return self.on_early_frame(&frame) };
        self.phase = Phase::Greeting { by: now.plus(WELCOME_WITHIN), node: hello.node, boot: hello.boot };
        self.delivery.hello(&hello);
        self.effects.push_back(HubEffect::RecordHello(hello));
        Ok(())
    }

    fn on_early_frame(&mut self, frame: &Frame) -> Result<(), ProtocolFault> {
        if matches!(frame, Frame::Bye(_)) {
            self.close(ByeCode::Normal, None);
            return Ok(());
        }
        Err(ProtocolFault::Unexpected { frame: frame.name() })
    }

    fn on_live_frame(&mut self, frame: Frame, node: NodeId, boot: BootId) -> Result<(), ProtocolFault> {
        match frame {
            Frame::Hello(hello) if (hello.node, hello.boot) == (node, boot) => self.resync(&hello)?,
            Frame::Hello(_) => return Err(ProtocolFault::AnotherIdentity),
            Frame::Ack(ack) => {
                if self.delivery.acked(&ack) {
                    self.effects.push_back(HubEffect::RecordAck(ack));
                }
                self.ask();
            }
            Frame::Nack(nack) => {
                if self.delivery.nacked(&nack) {
                    self.effects.push_back(HubEffect::RecordNack(nack));
                }
                self.ask();
            }
            Frame::Batch(batch) if batch.boot == boot => {
                if let Taken::Committed(batch_seq) = self.intake.take(batch)? {
                    self.send(Frame::Received { boot, batch_seq });
                }
                self.ingest();
            }
            Frame::Batch(_) => return Err(ProtocolFault::BatchOrder),
            Frame::Ping { applied } => {
                self.send(Frame::Pong);
                self.effects.push_back(HubEffect::Beat);
                self.delivery.pinged(applied);
                self.ask();
            }
            Frame::Pong => {}
            Frame::Bye(_) => self.close(ByeCode::Normal, None),
            other @ (Frame::Welcome(_)
            | Frame::Snapshot(_)
            | Frame::Delta(_)
            | Frame::Received { .. }
            | Frame::Revoke(_)) => return Err(ProtocolFault::Unexpected { frame: other.name() }),
        }
        Ok(())
    }

    /// A node that cannot apply a delta says hello again, with nothing applied.
    fn resync(&mut self, hello: &Hello) -> Result<(), ProtocolFault> {
        self.resyncs = self.resyncs.saturating_add(1);
        if self.resyncs > MOST_RESYNCS {
            return Err(ProtocolFault::Resyncs);
        }
        self.delivery.hello(hello);
        self.ask();
        Ok(())
    }

    fn welcome(&mut self, node: NodeId, boot: BootId, frame: Option<&Frame>, now: Timestamp) {
        let mode = match frame {
            Some(Frame::Delta(_)) => SyncMode::Delta,
            Some(Frame::Snapshot(_)) => SyncMode::Snapshot,
            _ => SyncMode::Current,
        };
        let SessionIdentity { session, tenant, heartbeat } = self.identity;
        self.send(Frame::Welcome(Welcome { session, tenant, heartbeat, mode }));
        self.phase = Phase::Live { node, boot };
        self.heard_at = now;
        self.check_at = now.plus(CHECK_INTERVAL);
        let keys = std::mem::take(&mut self.held_revocations);
        if !keys.is_empty() {
            self.send(Frame::Revoke(Revoke { consumer_keys: keys }));
        }
        if let Some(batch_seq) = self.intake.committed() {
            self.send(Frame::Received { boot, batch_seq });
        }
    }

    fn on_live_deadline(&mut self, now: Timestamp) {
        let silent = now.since(self.heard_at);
        let heartbeat = self.identity.heartbeat;
        if silent >= heartbeat.saturating_mul(2).saturating_add(HEARTBEAT_SLACK) {
            self.close(ByeCode::GoingAway, None);
            return;
        }
        if !self.probed && silent >= heartbeat.saturating_add(HEARTBEAT_SLACK) {
            self.probed = true;
            self.send(Frame::Ping { applied: None });
        }
        if self.check_at <= now {
            self.check_at = now.plus(CHECK_INTERVAL);
            self.delivery.wake(None);
        }
        self.intake.on_deadline(now);
        self.ingest();
        self.ask_again(now);
    }

    fn ask_again(&mut self, now: Timestamp) {
        let waiting = self.ask_at.is_some_and(|at| at > now);
        if !waiting && (self.ask_at.take().is_some() || self.is_live()) {
            self.ask();
        }
    }

    fn ask(&mut self) {
        if self.ask_at.is_none()
            && let Some(question) = self.delivery.ask()
        {
            self.effects.push_back(HubEffect::LoadConfig { applied: question.serves });
        }
    }

    fn ingest(&mut self) {
        if let Some(batch) = self.intake.next() {
            self.effects.push_back(HubEffect::Ingest(batch));
        }
    }

    fn send(&mut self, frame: Frame) {
        self.effects.push_back(HubEffect::Send(frame));
    }

    fn observe(&mut self, now: Timestamp) -> Timestamp {
        let horizon = self.deadline();
        self.clock.observe(now, horizon)
    }

    fn deadline(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::AwaitingHello { by } => Some(by),
            Phase::Greeting { by, .. } => Some(self.ask_at.map_or(by, |at| at.min(by))),
            Phase::Live { .. } => {
                let heartbeat = self.identity.heartbeat;
                let patience = if self.probed { heartbeat.saturating_mul(2) } else { heartbeat };
                let silence = self.heard_at.plus(patience).plus(HEARTBEAT_SLACK);
                [Some(silence), Some(self.check_at), self.ask_at, self.intake.deadline()].into_iter().flatten().min()
            }
            Phase::Closed => None,
        }
    }
}
