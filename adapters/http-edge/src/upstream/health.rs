//! Which targets take traffic, and how many requests of a service run.
//!
//! Always: shared by all workers and kept over edits of the configuration; never more targets of a service are ejected than
//! its rule allows, also after an edit. A service with one target never loses it to failed requests: there is nobody else to
//! ask. Not here: the probes (`probe`), what is known about one target (`outlier`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use novagate_kernel::ServiceId;
use novagate_policies::{CompiledService, most_ejected, panics};
use novagate_ports_edge::{LiveConfig, UpstreamHealth, UpstreamState};
use novagate_routing::{OutlierDetection, Resilience, Target, TargetUrl};

use super::breaker::Breaker;
use super::outlier::TargetState;
use super::preference::Preferences;
use super::slots::Slots;
use super::tls::UpstreamTlsFiles;

/// What all workers know about a service that has rules about targets that fail.
#[derive(Debug, Default)]
pub(crate) struct ServiceState {
    pub(crate) breaker: Breaker,
    pub(crate) slots: Arc<Slots>,
    /// Held by whoever changes which targets are ejected.
    ejecting: Mutex<()>,
}

/// What is known about the targets of one service.
type States = HashMap<TargetUrl, Arc<TargetState>>;

/// What is known about all targets.
#[derive(Debug)]
pub(crate) struct HealthBoard {
    start: Instant,
    states: Mutex<HashMap<ServiceId, States>>,
    services: Mutex<HashMap<ServiceId, Arc<ServiceState>>>,
    live: Arc<ArcSwapOption<LiveConfig>>,
    zone: Option<Arc<str>>,
    files: Arc<UpstreamTlsFiles>,
}

impl ServiceState {
    /// Ejects one of a service's targets if its rule allows one more. Nobody waits for it: while another worker is at it
    /// nothing happens, and the next failure asks again.
    pub(crate) fn eject<'a>(
        &self,
        rule: &OutlierDetection,
        target: &TargetState,
        targets: &(impl Iterator<Item = &'a TargetState> + Clone),
        now_ms: u64,
    ) -> bool {
        let _held = match self.ejecting.try_lock() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(held)) => held.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        if target.rest().lasts(now_ms) {
            return false;
        }
        // An address that is written twice stands for two targets.
        let more = targets.clone().filter(|each| std::ptr::eq(*each, target)).count();
        let ejected = targets.clone().filter(|each| each.rest().lasts(now_ms)).count();
        if ejected + more > most_ejected(rule, targets.clone().count()) {
            return false;
        }
        target.eject(rule, now_ms);
        true
    }

    /// Takes back what the rule of a new configuration does not allow; first those that would return first.
    pub(crate) fn review<'a>(
        &self,
        rule: Option<&OutlierDetection>,
        targets: &(impl Iterator<Item = &'a TargetState> + Clone),
        now_ms: u64,
    ) {
        let _held = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let most = rule.map_or(0, |rule| most_ejected(rule, targets.clone().count()));
        loop {
            // Rests after failed connections are short, and none of a rule.
            let ejected = targets.clone().filter(|each| each.rest().times > 0 && each.rest().lasts(now_ms));
            if ejected.clone().count() <= most {
                return;
            }
            let Some(first) = ejected.min_by_key(|each| each.rest().until_ms) else { return };
            first.readmit(now_ms);
        }
    }
}

impl HealthBoard {
    /// `zone` is where this gateway is.
    pub(crate) fn new(
        live: Arc<ArcSwapOption<LiveConfig>>,
        zone: Option<Arc<str>>,
        files: Arc<UpstreamTlsFiles>,
    ) -> Self {
        Self { start: Instant::now(), states: Mutex::default(), services: Mutex::default(), live, zone, files }
    }

    /// What a service prefers in this gateway.
    pub(crate) fn preferences(&self, service: &CompiledService) -> Option<Box<Preferences>> {
        Preferences::of(service, self.zone.as_deref())
    }

    /// Milliseconds since its start.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The states of a service's targets, in their order; takes a lock, so not for every request. A target that was not
    /// there while others were has come at this moment.
    pub(crate) fn states(&self, service: &CompiledService) -> Vec<Arc<TargetState>> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let known = states.entry(service.id).or_default();
        let joins = !known.is_empty();
        let new = || if joins { TargetState::joining(self.now_ms()) } else { TargetState::default() };
        let state = |target: &Target| Arc::clone(known.entry(target.url.clone()).or_insert_with(|| Arc::new(new())));
        service.targets.iter().map(state).collect()
    }

    /// What the workers know of a service together, if it has rules or had some; takes a lock, so not for every request.
    pub(crate) fn service(&self, service: ServiceId, rules: &Resilience) -> Option<Arc<ServiceState>> {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        if rules.outlier_detection.is_none() && rules.circuit_breaker.is_none() {
            return services.get(&service).cloned();
        }
        Some(Arc::clone(services.entry(service).or_default()))
    }

    /// Forgets targets and services that no worker knows any more.
    pub(crate) fn prune(&self) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.retain(|_, known| {
            known.retain(|_, state| Arc::strong_count(state) > 1);
            !known.is_empty()
        });
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.retain(|_, state| Arc::strong_count(state) > 1);
    }

    fn look(&self, service: &CompiledService) -> UpstreamState {
        let now_ms = self.now_ms();
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let alone = service.targets.len() == 1;
        let preferences = self.preferences(service);
        let known = |target: &Target| states.get(&service.id).and_then(|known| known.get(&target.url));
        let is_up = |target: &&Target| known(target).is_none_or(|state| state.is_up(now_ms, alone));
        let rest = |target: &Target| {
            let rest = known(target)?.rest();
            let lasts = !alone && rest.times > 0 && rest.lasts(now_ms);
            lasts.then(|| (target.url.clone(), Duration::from_millis(rest.until_ms - now_ms)))
        };
        let is_warming = |target: &&Target| {
            let preferences = preferences.as_ref().filter(|_| !alone && is_up(target));
            preferences.is_some_and(|each| known(target).and_then(|state| each.warmth(state, now_ms)).is_some())
        };
        let healthy = service.targets.iter().filter(is_up).count();
        let panics = panics(service.resilience.panic_percent, healthy, service.targets.len());
        let is_up_at = |at: usize| service.targets.get(at).is_some_and(|target| is_up(&target));
        let services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let (shared, rule) = (services.get(&service.id), service.resilience.circuit_breaker);
        let bound = rule.and_then(|rule| rule.max_connections);
        UpstreamState {
            healthy: count(healthy),
            total: count(service.targets.len()),
            ejected: service.targets.iter().filter_map(rest).collect(),
            warming: count(service.targets.iter().filter(is_warming).count()),
            own_zone_only: !panics && preferences.as_ref().is_some_and(|each| each.stays_in_zone(is_up_at)),
            panics,
            running: rule.map(|_rule| shared.map_or(0, |state| state.breaker.running())),
            connections: bound.map(|_most| shared.map_or(0, |state| state.slots.open())),
            tls_problem: service.tls.as_deref().and_then(|tls| self.files.problem(tls)),
        }
    }
}

impl UpstreamHealth for HealthBoard {
    fn state(&self, service: ServiceId) -> Option<UpstreamState> {
        let live = self.live.load();
        live.as_ref()?.compiled.service_by_id(service).map(|service| self.look(service))
    }
}

fn count(targets: usize) -> u16 {
    u16::try_from(targets).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(max_ejected_percent: u8) -> OutlierDetection {
        OutlierDetection {
            consecutive_failures: 1,
            error_rate: None,
            eject: Duration::from_secs(10),
            max_eject: Duration::from_mins(1),
            max_ejected_percent,
        }
    }

    fn ejected(targets: &[TargetState], now_ms: u64) -> Vec<usize> {
        (0..targets.len()).filter(|&at| targets[at].rest().lasts(now_ms)).collect()
    }

    #[test]
    fn no_more_targets_are_ejected_than_the_rule_allows() {
        let (service, rule) = (ServiceState::default(), rule(50));
        let targets: Vec<_> = (0..5).map(|_| TargetState::default()).collect();
        let eject = |at: usize, now_ms| service.eject(&rule, &targets[at], &targets.iter(), now_ms);
        assert_eq!([0, 0, 1, 2, 3].map(|at| eject(at, 0)), [true, false, true, false, false]);
        assert_eq!(ejected(&targets, 0), [0, 1]);
        assert!(eject(2, 10_000), "the first ones are back");
    }

    #[test]
    fn an_address_that_stands_twice_counts_twice_and_a_single_target_stays() {
        let (service, target, other) = (ServiceState::default(), TargetState::default(), TargetState::default());
        assert!(!service.eject(&rule(50), &target, &[&target, &target].into_iter(), 0));
        assert!(!service.eject(&rule(100), &target, &[&target].into_iter(), 0));
        assert!(!service.eject(&rule(0), &target, &[&target, &other].into_iter(), 0));
        assert!(service.eject(&rule(1), &target, &[&target, &other].into_iter(), 0));
    }

    #[test]
    fn an_edit_takes_back_what_it_does_not_allow_any_more() {
        let (service, all) = (ServiceState::default(), rule(100));
        let targets: Vec<_> = (0..4).map(|_| TargetState::default()).collect();
        for at in 0..4 {
            assert!(service.eject(&all, &targets[at], &targets.iter(), at as u64));
        }
        service.review(Some(&rule(50)), &targets.iter(), 5);
        assert_eq!(ejected(&targets, 5), [2, 3], "those that would return last");
        service.review(Some(&rule(50)), &targets[2..].iter(), 5);
        assert_eq!(ejected(&targets, 5), [3]);
        service.review(None, &targets.iter(), 5);
        assert_eq!(ejected(&targets, 5), []);
        (0..3).for_each(|_| targets[0].note_failure(5));
        service.review(None, &targets.iter(), 5);
        assert_eq!(ejected(&targets, 5), [0], "a rest after failed connections is none of a rule");
    }
}
