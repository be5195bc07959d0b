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
use super::tls::UpstreamTlsFiles;

/// What all workers know about a service that has rules about targets that fail.
#[derive(Debug, Default)]
pub(crate) struct ServiceState {
    pub(crate) breaker: Breaker,
    /// Held by whoever changes which targets are ejected.
    ejecting: Mutex<()>,
}

/// What is known about all targets.
#[derive(Debug)]
pub(crate) struct HealthBoard {
    start: Instant,
    states: Mutex<HashMap<(ServiceId, TargetUrl), Arc<TargetState>>>,
    services: Mutex<HashMap<ServiceId, Arc<ServiceState>>>,
    live: Arc<ArcSwapOption<LiveConfig>>,
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
            first.readmit();
        }
    }
}

impl HealthBoard {
    pub(crate) fn new(live: Arc<ArcSwapOption<LiveConfig>>, files: Arc<UpstreamTlsFiles>) -> Self {
        Self { start: Instant::now(), states: Mutex::default(), services: Mutex::default(), live, files }
    }

    /// Milliseconds since its start.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The state of a service's target; takes a lock, so not for every request.
    pub(crate) fn state(&self, service: ServiceId, target: &Target) -> Arc<TargetState> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(states.entry((service, target.url.clone())).or_default())
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
        states.retain(|_, state| Arc::strong_count(state) > 1);
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.retain(|_, state| Arc::strong_count(state) > 1);
    }

    fn look(&self, service: &CompiledService) -> UpstreamState {
        let now_ms = self.now_ms();
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let alone = service.targets.len() == 1;
        let known = |target: &Target| states.get(&(service.id, target.url.clone()));
        let is_up = |target: &&Target| known(target).is_none_or(|state| state.is_up(now_ms, alone));
        let rest = |target: &Target| {
            let rest = known(target)?.rest();
            let lasts = !alone && rest.times > 0 && rest.lasts(now_ms);
            lasts.then(|| (target.url.clone(), Duration::from_millis(rest.until_ms - now_ms)))
        };
        let healthy = service.targets.iter().filter(is_up).count();
        let running = service.resilience.circuit_breaker.map(|_rule| {
            let services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
            services.get(&service.id).map_or(0, |state| state.breaker.running())
        });
        UpstreamState {
            healthy: u16::try_from(healthy).unwrap_or(u16::MAX),
            total: u16::try_from(service.targets.len()).unwrap_or(u16::MAX),
            ejected: service.targets.iter().filter_map(rest).collect(),
            panics: panics(service.resilience.panic_percent, healthy, service.targets.len()),
            running,
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
