//! What the node serves, stages and has refused.

use std::collections::VecDeque;

use novagate_kernel::Head;

use super::link::leads_forward;
use crate::{Ack, ConfigSet, Delta, Nack, NackedObject, Refused};

/// Refused configurations that are remembered, the newest last.
const REMEMBERED_REFUSALS: usize = 32;
/// Objects at fault that a nack names.
const NACKED_OBJECTS: usize = 64;

/// What to do with a configuration that came.
#[derive(Debug)]
pub(super) enum Offer {
    /// Compile it.
    Stage(ConfigSet),
    /// It is serving, or something later is.
    Ack(Ack),
    /// This boot has refused it before.
    Nack(Nack),
    /// It waits for the one that is being staged, or is that one.
    Waits,
}

/// A delta that does not lead anywhere from here.
#[derive(Debug)]
pub(super) struct Gap;

/// The configurations of one boot.
#[derive(Debug)]
pub(super) struct Configs {
    serving: Option<ConfigSet>,
    /// Handed out to be compiled.
    staging: Option<ConfigSet>,
    /// The latest that came meanwhile.
    queued: Option<ConfigSet>,
    refusals: VecDeque<(Head, Vec<NackedObject>)>,
}

impl Configs {
    pub(super) const fn new(serving: Option<ConfigSet>) -> Self {
        Self { serving, staging: None, queued: None, refusals: VecDeque::new() }
    }

    pub(super) const fn serving(&self) -> Option<&ConfigSet> {
        self.serving.as_ref()
    }

    pub(super) fn head(&self) -> Option<Head> {
        self.serving.as_ref().map(ConfigSet::head)
    }

    pub(super) fn newest_refusal(&self) -> Option<Refused> {
        self.refusals.back().map(|(head, _)| Refused { head: *head })
    }

    /// A whole configuration whose digest holds.
    pub(super) fn offer(&mut self, set: ConfigSet) -> Offer {
        if let Some(known) = self.already_decided(set.head()) {
            return known;
        }
        if self.staging.is_some() {
            self.queued = Some(set);
            return Offer::Waits;
        }
        self.staging = Some(set.clone());
        Offer::Stage(set)
    }

    /// A difference to what is serving.
    pub(super) fn offer_delta(&mut self, delta: &Delta) -> Result<Offer, Gap> {
        if let Some(known) = self.already_decided(delta.to) {
            return Ok(known);
        }
        let set = self.serving.as_ref().ok_or(Gap)?.apply(delta).map_err(|_| Gap)?;
        Ok(self.offer(set))
    }

    /// The staged configuration is live.
    pub(super) fn went_live(&mut self, compile_us: u64) -> Option<Ack> {
        let set = self.staging.take()?;
        let head = set.head();
        self.serving = Some(set);
        Some(Ack { head, compile_us })
    }

    /// The staged configuration was refused.
    pub(super) fn was_refused(&mut self, mut objects: Vec<NackedObject>) -> Option<Nack> {
        let head = self.staging.take()?.head();
        objects.truncate(NACKED_OBJECTS);
        if self.refusals.len() >= REMEMBERED_REFUSALS {
            self.refusals.pop_front();
        }
        self.refusals.push_back((head, objects.clone()));
        Some(self.nack(head, objects))
    }

    /// The configuration that came while another one was staged.
    pub(super) fn take_queued(&mut self) -> Option<ConfigSet> {
        self.queued.take()
    }

    fn already_decided(&mut self, head: Head) -> Option<Offer> {
        if let Some(at) = self.refusals.iter().position(|(refused, _)| refused.digest == head.digest) {
            let (_, objects) = self.refusals.remove(at)?;
            // The one refused last is what the next hello names.
            self.refusals.push_back((head, objects.clone()));
            return Some(Offer::Nack(self.nack(head, objects)));
        }
        if self.staging.as_ref().is_some_and(|staging| staging.head() == head) {
            self.queued = None;
            return Some(Offer::Waits);
        }
        let serving = self.head()?;
        (!leads_forward(Some(serving), head)).then_some(Offer::Ack(Ack { head: serving, compile_us: 0 }))
    }

    fn nack(&self, head: Head, objects: Vec<NackedObject>) -> Nack {
        Nack { epoch: head.revision.epoch, seq: head.revision.seq, objects, serving: self.head() }
    }
}
