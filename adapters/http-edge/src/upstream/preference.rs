//! Which of a service's targets are chosen rather than others, and which less often.
//!
//! Always: a service that prefers nothing has nothing of this. Not here: how much less (`novagate_policies`), choosing
//! (`generation`).

use std::time::Duration;

use novagate_policies::{CompiledService, Warmth, prefers_zone};

use super::outlier::TargetState;

/// What a service prefers in this gateway.
#[derive(Debug)]
pub(crate) struct Preferences {
    slow_start: Option<Duration>,
    /// Whether each target is in the gateway's zone; empty where that tells them not apart.
    is_own: Box<[bool]>,
    zone_min_percent: u8,
}

impl Preferences {
    /// Of a service, for a gateway in this zone; nothing when all its targets are the same to it.
    pub(crate) fn of(service: &CompiledService, zone: Option<&str>) -> Option<Box<Self>> {
        let is_own = |zone| service.targets.iter().map(|target| target.zone.as_deref() == Some(zone)).collect();
        let is_own: Box<[bool]> = zone.map(is_own).unwrap_or_default();
        let tells_apart = is_own.contains(&true) && is_own.contains(&false);
        let preference = service.preference;
        (tells_apart || preference.slow_start.is_some()).then(|| {
            Box::new(Self {
                slow_start: preference.slow_start,
                is_own: if tells_apart { is_own } else { Box::default() },
                zone_min_percent: preference.zone_min_percent,
            })
        })
    }

    /// Whether enough of the own zone is up for all requests.
    pub(crate) fn stays_in_zone(&self, is_up: impl Fn(usize) -> bool) -> bool {
        let own = || (0..self.is_own.len()).filter(|&at| self.is_own(at));
        prefers_zone(self.zone_min_percent, own().filter(|&at| is_up(at)).count(), own().count())
    }

    /// Whether a target is in the own zone.
    pub(crate) fn is_own(&self, at: usize) -> bool {
        self.is_own.get(at).copied().unwrap_or_default()
    }

    /// How much of its weight a target gets, where that is not all of it.
    pub(crate) fn warmth(&self, state: &TargetState, now_ms: u64) -> Option<Warmth> {
        let time = self.slow_start?;
        Some(Warmth::of(state.since()?, now_ms, time)).filter(|warmth| !warmth.is_full())
    }
}
