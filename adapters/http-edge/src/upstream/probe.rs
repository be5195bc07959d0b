//! Active health checks: one thread of their own, so that a probe never delays a request.
//!
//! Always: every target of a service with a health check is asked in the check's interval; only a 2xx within five seconds
//! is well; redirects are not followed. Not here: what results mean (`health`).

use std::cell::Cell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use novagate_kernel::ServiceId;
use novagate_policies::CompiledService;
use novagate_ports_edge::LiveConfig;
use novagate_routing::{HealthCheck, Protocol, Target, TargetUrl};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::connect::Connector;
use super::health::HealthBoard;
use super::http2::connect_alone;
use super::outlier::TargetState;
use super::stream::UpstreamConn;
use super::target::UpstreamTarget;
use crate::wire::buffer::BufferStore;
use crate::wire::request::write_probe;
use crate::wire::response::ResponseParser;

/// How often it is looked for probes that are due.
const ROUND: Duration = Duration::from_millis(250);
/// Longest wait for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Probes the targets of the live configuration.
pub(crate) struct Prober {
    pub(crate) live: Arc<ArcSwapOption<LiveConfig>>,
    pub(crate) board: Arc<HealthBoard>,
    pub(crate) connector: Connector,
}

/// A target that is probed.
struct Patient {
    target: Rc<UpstreamTarget>,
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
        let is_checked = |id: ServiceId, url: &TargetUrl| {
            checked().any(|service| service.id == id && service.targets.iter().any(|target| target.url == *url))
        };
        patients.retain(|(id, url), patient| {
            let stays = is_checked(*id, url);
            if !stays {
                patient.state.forget_probes();
            }
            stays
        });
        for service in checked() {
            for target in &*service.targets {
                patients.entry((service.id, target.url.clone())).or_insert_with(|| self.patient(service.id, target));
            }
        }
    }

    fn patient(&self, service: ServiceId, target: &Target) -> Patient {
        Patient {
            target: Rc::new(UpstreamTarget::new(target.url.clone())),
            state: self.board.state(service, target),
            due: Instant::now(),
            running: Rc::default(),
        }
    }

    fn probe_due(&self, patients: &mut Patients, service: &CompiledService, check: &HealthCheck) {
        let now = Instant::now();
        for target in &*service.targets {
            let Some(patient) = patients.get_mut(&(service.id, target.url.clone())) else { continue };
            if patient.due > now || patient.running.replace(true) {
                continue;
            }
            patient.due = now + check.interval;
            let (connector, path) = (self.connector.clone(), Arc::clone(&check.path));
            let (target, state) = (Rc::clone(&patient.target), Arc::clone(&patient.state));
            let protocol = service.protocol;
            let running = Rc::clone(&patient.running);
            tokio::task::spawn_local(async move {
                let well = timeout(ANSWER_LIMIT, probe(&connector, &target, protocol, &path)).await.unwrap_or(false);
                state.note_probe(well);
                running.set(false);
            });
        }
    }
}

/// Whether the target answers 2xx.
async fn probe(connector: &Connector, target: &Rc<UpstreamTarget>, protocol: Protocol, path: &str) -> bool {
    let connected = match protocol {
        Protocol::Http1 => connector.connect(target, ANSWER_LIMIT).await,
        Protocol::Http2 => connect_alone(connector, target).await,
    };
    let Ok(mut conn) = connected else { return false };
    let mut request = Vec::new();
    write_probe(&mut request, path, &target.authority);
    let (store, mut sent) = (BufferStore::default(), 0);
    poll_fn(|cx| poll_probe(&mut conn, cx, &request, &mut sent, &store)).await
}

fn poll_probe(
    conn: &mut UpstreamConn,
    cx: &mut Context<'_>,
    request: &[u8],
    sent: &mut usize,
    store: &BufferStore,
) -> Poll<bool> {
    while let Some(rest) = request.get(*sent..).filter(|rest| !rest.is_empty()) {
        match conn.transport.poll_send(cx, &[rest, b""]) {
            Poll::Ready(Ok(count)) => *sent += count,
            Poll::Ready(Err(_broken)) => return Poll::Ready(false),
            Poll::Pending => return Poll::Pending,
        }
    }
    if conn.transport.poll_flush(cx).is_pending() {
        return Poll::Pending;
    }
    loop {
        match ResponseParser::default().parse(conn.input.unread(), false, &mut Vec::new()) {
            Ok(Some(head)) if head.status < 200 => conn.input.consume(head.len),
            Ok(Some(head)) => return Poll::Ready((200..300).contains(&head.status)),
            Ok(None) => match conn.poll_fill(cx, store) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(_) => return Poll::Ready(false),
                Poll::Pending => return Poll::Pending,
            },
            Err(_bad) => return Poll::Ready(false),
        }
    }
}
