//! Active health checks: one thread of their own, so that a probe never delays a request.
//!
//! Always: every target of a service with a health check is asked in the check's interval, give or take its jitter, and by
//! one probe at a time; what is not there in the check's time is not well; redirects are not followed. Not here: what
//! results mean (`health`).

mod grpc;
mod http;

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use novagate_kernel::ServiceId;
use novagate_policies::{CompiledService, jittered};
use novagate_ports_base::Entropy;
use novagate_ports_edge::LiveConfig;
use novagate_routing::{HealthCheck, ProbeKind, Protocol, TargetUrl, UpstreamTls};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::connect::Connector;
use super::health::HealthBoard;
use super::http2::connect_alone;
use super::outlier::TargetState;
use super::target::{TargetKey, UpstreamTarget};

/// How often it is looked for probes that are due.
const ROUND: Duration = Duration::from_millis(250);

/// Probes the targets of the live configuration.
pub(crate) struct Prober {
    pub(crate) live: Arc<ArcSwapOption<LiveConfig>>,
    pub(crate) board: Arc<HealthBoard>,
    pub(crate) connector: Connector,
    /// For jitter.
    pub(crate) entropy: Arc<dyn Entropy>,
}

/// A target that is probed.
struct Patient {
    target: Rc<UpstreamTarget>,
    tls: Option<Arc<UpstreamTls>>,
    state: Arc<TargetState>,
    due: Instant,
    running: Rc<Cell<bool>>,
}

type Patients = HashMap<(ServiceId, TargetUrl), Patient>;

impl Prober {
    /// Probes for ever.
    pub(crate) async fn run(self) {
        let mut patients = Patients::new();
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            let live = self.live.load_full();
            let services = live.as_ref().map(|live| live.compiled.services()).unwrap_or_default();
            self.admit(&mut patients, services);
            for service in services {
                if let Some(check) = &service.health_check {
                    self.probe_due(&mut patients, service, check);
                }
            }
        }
    }

    /// Takes in what is to be probed, lets go of what is not.
    fn admit(&self, patients: &mut Patients, services: &[Arc<CompiledService>]) {
        let checked = || services.iter().filter(|service| service.health_check.is_some());
        let is_checked = |id: ServiceId, url: &TargetUrl, tls: &Option<Arc<UpstreamTls>>| {
            let has = |service: &Arc<CompiledService>| {
                service.id == id && service.tls == *tls && service.targets.iter().any(|target| target.url == *url)
            };
            checked().any(has)
        };
        patients.retain(|(id, url), patient| {
            let stays = is_checked(*id, url, &patient.tls);
            if !stays {
                patient.state.forget_probes(self.board.now_ms());
            }
            stays
        });
        for service in checked() {
            for (at, target) in service.targets.iter().enumerate() {
                if let Entry::Vacant(place) = patients.entry((service.id, target.url.clone()))
                    && let Some(state) = self.board.states(service).into_iter().nth(at)
                {
                    let key = TargetKey { url: target.url.clone(), tls: service.tls.clone() };
                    let target = Rc::new(UpstreamTarget::of(key, self.connector.profile(service)));
                    place.insert(Patient {
                        target,
                        tls: service.tls.clone(),
                        state,
                        due: Instant::now(),
                        running: Rc::default(),
                    });
                }
            }
        }
    }

    fn probe_due(&self, patients: &mut Patients, service: &CompiledService, check: &HealthCheck) {
        let now = Instant::now();
        for target in &*service.targets {
            let Some(patient) = patients.get_mut(&(service.id, target.url.clone())) else { continue };
            if patient.due > now || patient.running.replace(true) {
                continue;
            }
            let random = u64::from_ne_bytes(self.entropy.bytes());
            patient.due = now + jittered(check.interval, check.jitter_percent, random);
            let (connector, board, check) = (self.connector.clone(), Arc::clone(&self.board), check.clone());
            let (target, state) = (Rc::clone(&patient.target), Arc::clone(&patient.state));
            let protocol = service.protocol;
            let running = Rc::clone(&patient.running);
            tokio::task::spawn_local(async move {
                let well = timeout(check.timeout, probe(&connector, &target, protocol, &check)).await.unwrap_or(false);
                state.note_probe(well, &check, board.now_ms());
                running.set(false);
            });
        }
    }
}

/// Whether the target is well.
async fn probe(connector: &Connector, target: &Rc<UpstreamTarget>, protocol: Protocol, check: &HealthCheck) -> bool {
    match &check.kind {
        ProbeKind::Tcp => connector.connect(target, check.timeout).await.is_ok(),
        ProbeKind::Http(probe) => {
            let connected = match protocol {
                Protocol::Http1 => connector.connect(target, check.timeout).await,
                Protocol::Http2 => connect_alone(connector, target).await,
            };
            match connected {
                Ok(conn) => http::is_well(conn, &target.authority, probe).await,
                Err(_fault) => false,
            }
        }
        ProbeKind::Grpc { service } => match connector.connect_http2(target, check.timeout).await {
            Ok(conn) => grpc::is_serving(conn.transport, target, service.as_deref()).await,
            Err(_fault) => false,
        },
    }
}
