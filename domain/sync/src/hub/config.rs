//! Which config frame a node gets next.

use std::collections::VecDeque;

use novagate_kernel::{Digest, Head};

use crate::{Ack, Hello, Nack};

/// Refused digests that are remembered for a boot.
const REMEMBERED_REFUSALS: usize = 32;

/// A question to the control plane: what brings a node that serves this to the head?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) serves: Option<Head>,
}

/// What a node serves, what is on its way, and what it should get.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    applied: Option<Head>,
    refused: VecDeque<Digest>,
    /// The config frame that is not answered yet.
    in_flight: Option<Head>,
    /// It cannot apply a difference, whatever its pings say: nothing but a snapshot will do.
    needs_snapshot: bool,
    /// The question that is running.
    asking: Option<Question>,
    /// Something newer than what is served may exist.
    wanted: bool,
    /// What the newest wake-up named.
    hint: Option<Head>,
}

impl Delivery {
    /// First words of a node, or its request for a snapshot: `applied` is none then.
    pub(super) fn hello(&mut self, hello: &Hello) {
        self.applied = hello.applied;
        self.needs_snapshot = hello.applied.is_none();
        self.in_flight = None;
        self.wanted = true;
        if let Some(refused) = hello.refused {
            self.refuse(refused.head.digest);
        }
    }

    /// A new revision exists; none: one may exist.
    pub(super) fn wake(&mut self, head: Option<Head>) {
        let Some(head) = head else {
            self.wanted = true;
            return;
        };
        self.hint = Some(head);
        let known = self.applied == Some(head) || self.in_flight == Some(head);
        self.wanted = self.wanted || !(known || self.is_refused(head.digest));
    }

    /// The question to ask now.
    pub(super) fn ask(&mut self) -> Option<Question> {
        if !self.wanted || self.asking.is_some() || self.in_flight.is_some() {
            return None;
        }
        self.wanted = false;
        self.asking = Some(self.question());
        self.asking
    }

    /// An answer with a frame that leads to `head`; says whether to send it. A delta only fits the node that was asked for.
    pub(super) fn answered(&mut self, head: Head, is_delta: bool) -> bool {
        let asked = self.asking.take();
        if is_delta && asked != Some(self.question()) {
            self.wanted = true;
            return false;
        }
        if self.hint == Some(head) {
            self.wanted = false;
        }
        let send = (self.applied != Some(head) || self.needs_snapshot) && !self.is_refused(head.digest);
        if send {
            self.needs_snapshot = false;
            self.in_flight = Some(head);
        }
        send
    }

    /// The answer is that the node serves the head.
    pub(super) fn current(&mut self, head: Head) {
        self.asking = None;
        if self.hint == Some(head) {
            self.wanted = false;
        }
    }

    /// There was no answer.
    pub(super) const fn unanswered(&mut self) {
        self.asking = None;
        self.wanted = true;
    }

    /// Whether this answers the frame in flight.
    pub(super) fn acked(&mut self, ack: &Ack) -> bool {
        let expected = self.in_flight.take().is_some();
        if expected {
            self.now_serves(Some(ack.head));
        }
        expected
    }

    /// Whether this answers the frame in flight.
    pub(super) fn nacked(&mut self, nack: &Nack) -> bool {
        let named = |head: &Head| head.revision.epoch == nack.epoch && head.revision.seq == nack.seq;
        let Some(head) = self.in_flight.take_if(|head| named(head)) else { return false };
        self.refuse(head.digest);
        self.now_serves(nack.serving);
        true
    }

    /// The node said in passing what it serves.
    pub(super) fn pinged(&mut self, applied: Option<Head>) {
        if applied.is_some() && self.in_flight == applied {
            self.in_flight = None;
        }
        if self.in_flight.is_none() {
            self.now_serves(applied);
        }
    }

    const fn question(&self) -> Question {
        Question { serves: if self.needs_snapshot { None } else { self.applied } }
    }

    fn now_serves(&mut self, applied: Option<Head>) {
        self.applied = applied;
        let Some(hint) = self.hint else { return };
        if applied == Some(hint) {
            self.wanted = false;
        } else if !self.is_refused(hint.digest) {
            self.wanted = true;
        }
    }

    fn is_refused(&self, digest: Digest) -> bool {
        self.refused.contains(&digest)
    }

    fn refuse(&mut self, digest: Digest) {
        if self.is_refused(digest) {
            return;
        }
        if self.refused.len() >= REMEMBERED_REFUSALS {
            self.refused.pop_front();
        }
        self.refused.push_back(digest);
    }
}
