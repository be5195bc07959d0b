//! The node's machine: what comes in, and what is to be done about it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use novagate_kernel::{BatchKind, Head, Timestamp};

use super::config::{Configs, Offer};
use super::effect::{DialFailure, NodeEffect, NodeIdentity, StageOutcome};
use super::link::{Beat, Heartbeat, Phase, Redial, WELCOME_WITHIN};
use crate::spool::Spool;
use crate::steady::SteadyClock;
use crate::{Ack, Bye, ByeCode, ConfigSet, Delta, DroppedRecords, Frame, Hello, ProtocolFault, SpoolLimits, Welcome};

/// Deltas that may cross a request for a snapshot on their way.
const MOST_GAPS: u8 = 3;

/// The protocol's node end. Times are wall-clock readings; `entropy` is 64 uniformly random bits.
#[derive(Debug)]
pub struct NodeMachine {
    identity: NodeIdentity,
    clock: SteadyClock,
    phase: Phase,
    redial: Redial,
    configs: Configs,
    /// What was staged while the answer to hello was under way.
    unsent_ack: Option<Ack>,
    /// A delta did not hold: nothing but a snapshot will do. The next hello says so too.
    needs_snapshot: bool,
    /// Deltas that did not hold since the last snapshot on this connection; the first one asks for a snapshot.
    gaps: u8,
    spool: Spool,
    told: (bool, Option<ByeCode>),
    effects: VecDeque<NodeEffect>,
}

impl NodeMachine {
    /// A node that serves `serving` (from its slots) and has not dialled yet; it will at once.
    pub fn new(identity: NodeIdentity, spool: SpoolLimits, serving: Option<ConfigSet>, now: Timestamp) -> Self {
        let boot = identity.boot;
        Self {
            identity,
            clock: SteadyClock::new(now),
            phase: Phase::Idle { dial_at: now },
            redial: Redial::new(),
            configs: Configs::new(serving),
            unsent_ack: None,
            needs_snapshot: false,
            gaps: 0,
            spool: Spool::new(boot, spool),
            told: (false, None),
            effects: VecDeque::new(),
        }
    }

    /// A connection is there.
    pub fn on_dialled(&mut self, now: Timestamp) {
        let now = self.observe(now);
        if !matches!(self.phase, Phase::Dialling) {
            return;
        }
        self.gaps = 0;
        self.phase = Phase::Greeting { welcome_by: now.plus(WELCOME_WITHIN) };
        self.send_hello();
    }

    /// The attempt failed.
    pub fn on_dial_failed(&mut self, failure: DialFailure, now: Timestamp, entropy: u64) {
        let now = self.observe(now);
        if !matches!(self.phase, Phase::Dialling) {
            return;
        }
        match failure {
            DialFailure::Refused(code) => self.disconnected(Some(code), None, now, entropy),
            DialFailure::NotReady { retry_after } => self.disconnected(None, retry_after, now, entropy),
            DialFailure::Unreachable => self.disconnected(None, None, now, entropy),
        }
    }

    /// A frame came. After a fault the connection is being closed already.
    pub fn on_frame(&mut self, frame: Frame, now: Timestamp, entropy: u64) -> Result<(), ProtocolFault> {
        let now = self.observe(now);
        let outcome = match self.phase {
            Phase::Greeting { .. } => self.on_greeting_frame(&frame, now, entropy),
            Phase::Live(ref mut heartbeat) => {
                heartbeat.heard();
                self.on_live_frame(frame, now, entropy)
            }
            // Late frames of a connection that is over.
            Phase::Idle { .. } | Phase::Dialling | Phase::Stopped => Ok(()),
        };
        if outcome.is_err() {
            self.close(ByeCode::ProtocolError, now, entropy);
        }
        outcome
    }

    /// The connection ended, with the code that the peer gave; `None` when it broke.
    pub fn on_closed(&mut self, code: Option<ByeCode>, now: Timestamp, entropy: u64) {
        let now = self.observe(now);
        if self.has_connection() {
            self.disconnected(code, None, now, entropy);
        }
    }

    /// The answer to [`NodeEffect::Stage`].
    pub fn on_staged(&mut self, outcome: StageOutcome, now: Timestamp) {
        self.observe(now);
        match outcome {
            StageOutcome::Live { compile } => {
                let compile_us = u64::try_from(compile.as_micros()).unwrap_or(u64::MAX);
                let ack = self.configs.went_live(compile_us);
                self.unsent_ack = ack.or(self.unsent_ack);
                self.send_unsent_ack();
            }
            StageOutcome::Refused(objects) => {
                if let Some(nack) = self.configs.was_refused(objects) {
                    self.send_live(Frame::Nack(nack));
                }
            }
        }
        if let Some(queued) = self.configs.take_queued() {
            let offer = self.configs.offer(queued);
            self.settle(offer);
        }
    }

    /// Telemetry to deliver. What does not fit is dropped, the oldest first, and counted.
    pub fn enqueue(&mut self, kind: BatchKind, body: Bytes, records: u32, now: Timestamp) {
        self.observe(now);
        self.spool.push(kind, body, records);
        self.send_telemetry();
    }

    /// The key file changed: a refusal of the old key means nothing any more.
    pub fn on_key_changed(&mut self, now: Timestamp) {
        let now = self.observe(now);
        let busy = matches!(self.phase, Phase::Dialling) || self.has_connection();
        let was_refused = self.redial.refused().is_some();
        self.redial.key_changed(busy);
        if was_refused && matches!(self.phase, Phase::Idle { .. }) {
            self.phase = Phase::Idle { dial_at: now };
        }
        self.tell();
    }

    /// A deadline may be over.
    pub fn on_deadline(&mut self, now: Timestamp, entropy: u64) {
        let now = self.observe(now);
        match &mut self.phase {
            Phase::Idle { dial_at } if *dial_at <= now => {
                self.phase = Phase::Dialling;
                self.redial.dialling();
                self.effects.push_back(NodeEffect::Dial);
            }
            Phase::Greeting { welcome_by } if *welcome_by <= now => self.close(ByeCode::GoingAway, now, entropy),
            Phase::Live(heartbeat) => match heartbeat.beat(now) {
                Beat::NotYet => {}
                Beat::Ping => self.send(Frame::Ping { applied: self.configs.head() }),
                Beat::Dead => self.close(ByeCode::GoingAway, now, entropy),
            },
            Phase::Idle { .. } | Phase::Dialling | Phase::Greeting { .. } | Phase::Stopped => {}
        }
    }

    /// Says goodbye and does nothing from then on.
    pub fn stop(&mut self, now: Timestamp) {
        self.observe(now);
        if self.has_connection() {
            self.send(Frame::Bye(Bye { code: ByeCode::GoingAway, retry_after: None }));
            self.effects.push_back(NodeEffect::Close(ByeCode::GoingAway));
        }
        self.phase = Phase::Stopped;
        self.tell();
    }

    /// The wall-clock reading at which [`Self::on_deadline`] wants to be called, reckoned from the last reading that came in:
    /// a driver sleeps for the difference to that reading; `None`: not before something comes in.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadline().map(|deadline| self.clock.wall_of(deadline))
    }

    /// What to do next.
    pub fn next_effect(&mut self) -> Option<NodeEffect> {
        self.effects.pop_front()
    }

    /// What is served, as far as this machine was told.
    pub const fn serving(&self) -> Option<&ConfigSet> {
        self.configs.serving()
    }

    /// Whether a session is live.
    pub const fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Live(_))
    }

    /// How the control plane refused this node, while that holds.
    pub fn refused(&self) -> Option<ByeCode> {
        self.redial.refused()
    }

    /// Records that wait to be sent or confirmed.
    pub const fn spooled_records(&self) -> u64 {
        self.spool.records()
    }

    /// Records that were lost because the spool was full.
    pub const fn dropped_records(&self) -> DroppedRecords {
        self.spool.dropped()
    }

    fn on_greeting_frame(&mut self, frame: &Frame, now: Timestamp, entropy: u64) -> Result<(), ProtocolFault> {
        if let Frame::Welcome(welcome) = frame {
            self.welcomed(*welcome, now);
        } else if let Frame::Bye(bye) = frame {
            self.on_bye(*bye, now, entropy);
        } else {
            return Err(ProtocolFault::Unexpected { frame: frame.name() });
        }
        Ok(())
    }

    fn on_live_frame(&mut self, frame: Frame, now: Timestamp, entropy: u64) -> Result<(), ProtocolFault> {
        match frame {
            Frame::Snapshot(set) => {
                self.needs_snapshot = false;
                self.gaps = 0;
                let offer = self.configs.offer(set);
                self.settle(offer);
            }
            Frame::Delta(delta) => self.on_delta(&delta)?,
            Frame::Received { boot, batch_seq } if boot == self.identity.boot => {
                self.spool.confirm(batch_seq);
                self.send_telemetry();
            }
            Frame::Received { .. } | Frame::Pong => {}
            Frame::Revoke(revoke) => self.effects.push_back(NodeEffect::Revoke(revoke.consumer_keys)),
            Frame::Ping { .. } => self.send(Frame::Pong),
            Frame::Bye(bye) => self.on_bye(bye, now, entropy),
            other @ (Frame::Hello(_) | Frame::Welcome(_) | Frame::Ack(_) | Frame::Nack(_) | Frame::Batch(_)) => {
                return Err(ProtocolFault::Unexpected { frame: other.name() });
            }
        }
        Ok(())
    }

    fn on_delta(&mut self, delta: &Delta) -> Result<(), ProtocolFault> {
        if let Ok(offer) = self.configs.offer_delta(delta) {
            self.settle(offer);
            return Ok(());
        }
        self.gaps = self.gaps.saturating_add(1);
        if self.gaps > MOST_GAPS {
            return Err(ProtocolFault::Config);
        }
        if self.gaps == 1 {
            self.needs_snapshot = true;
            self.send_hello();
        }
        Ok(())
    }

    fn on_bye(&mut self, bye: Bye, now: Timestamp, entropy: u64) {
        self.effects.push_back(NodeEffect::Close(ByeCode::Normal));
        self.disconnected(Some(bye.code), bye.retry_after, now, entropy);
    }

    fn welcomed(&mut self, welcome: Welcome, now: Timestamp) {
        self.phase = Phase::Live(Heartbeat::start(welcome.heartbeat, now));
        self.redial.welcomed();
        self.tell();
        self.send_unsent_ack();
        self.spool.rewind();
        self.send_telemetry();
    }

    fn settle(&mut self, offer: Offer) {
        match offer {
            Offer::Stage(set) => self.effects.push_back(NodeEffect::Stage(set)),
            Offer::Ack(ack) => self.send_live(Frame::Ack(ack)),
            Offer::Nack(nack) => self.send_live(Frame::Nack(nack)),
            Offer::Waits => {}
        }
    }

    fn send_hello(&mut self) {
        self.unsent_ack = None;
        let applied = if self.needs_snapshot { None } else { self.configs.head() };
        let NodeIdentity { node, boot, build, features, labels } = self.identity.clone();
        let refused = self.configs.newest_refusal();
        self.send(Frame::Hello(Hello { node, boot, build, features, labels, applied, refused }));
    }

    fn send_unsent_ack(&mut self) {
        if self.is_connected()
            && let Some(ack) = self.unsent_ack.take()
        {
            self.send(Frame::Ack(ack));
        }
    }

    fn send_telemetry(&mut self) {
        while self.is_connected()
            && let Some(batch) = self.spool.next_to_send()
        {
            self.send(Frame::Batch(batch));
        }
    }

    fn send_live(&mut self, frame: Frame) {
        if self.is_connected() {
            self.send(frame);
        }
    }

    fn send(&mut self, frame: Frame) {
        self.effects.push_back(NodeEffect::Send(frame));
    }

    fn close(&mut self, code: ByeCode, now: Timestamp, entropy: u64) {
        self.effects.push_back(NodeEffect::Close(code));
        self.disconnected(None, None, now, entropy);
    }

    fn disconnected(&mut self, code: Option<ByeCode>, retry: Option<Duration>, now: Timestamp, entropy: u64) {
        let dial_at = self.redial.after(code, retry, now, entropy);
        self.phase = Phase::Idle { dial_at };
        self.tell();
    }

    fn tell(&mut self) {
        let (connected, refused) = (self.is_connected(), self.redial.refused());
        if self.told != (connected, refused) {
            self.told = (connected, refused);
            self.effects.push_back(NodeEffect::LinkChanged { connected, refused });
        }
    }

    const fn has_connection(&self) -> bool {
        matches!(self.phase, Phase::Greeting { .. } | Phase::Live(_))
    }

    fn observe(&mut self, now: Timestamp) -> Timestamp {
        let horizon = self.deadline();
        self.clock.observe(now, horizon)
    }

    const fn deadline(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Idle { dial_at } => Some(*dial_at),
            Phase::Greeting { welcome_by } => Some(*welcome_by),
            Phase::Live(heartbeat) => Some(heartbeat.due()),
            Phase::Dialling | Phase::Stopped => None,
        }
    }

    /// What the next ping will say.
    pub fn head(&self) -> Option<Head> {
        self.configs.head()
    }
}
