//! The threads of the data plane: starting, accepting, ending.
//!
//! Always: one thread per listener, nothing shared between them that a request could wait for; an accept error never ends a
//! worker; the end is in two steps, first politely, then at once. Not here: what a connection does (`connection`).

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use novagate_policies::{ClientKeyHasher, HashKey};
use novagate_ports_edge::{MetricSource, RecordSource, UpstreamHealth};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::accept::run_worker;
use crate::addresses::AddressCounts;
use crate::http2::ALPN;
use crate::observe::ring::{Recorder, Records};
use crate::observe::totals::{Metrics, WorkerCells};
use crate::options::EdgeOptions;
use crate::upstream::connect::Connector;
use crate::upstream::health::HealthBoard;
use crate::upstream::probe::Prober;
use crate::worker::{Shared, Worker};

/// Why a data plane does not start.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// No listener was given.
    #[error("a data plane needs at least one listener")]
    NoListener,
    /// A thread or its runtime could not be made.
    #[error("a worker thread could not be started")]
    Worker(#[source] io::Error),
}

/// Starts data planes.
#[derive(Debug, Clone, Copy)]
pub struct EdgeServer;

/// A running data plane. Dropping it ends the data plane at once.
#[derive(Debug)]
pub struct EdgeHandle {
    control: Arc<Control>,
    workers: TaskTracker,
    records: Arc<Records>,
    metrics: Arc<Metrics>,
    board: Arc<HealthBoard>,
    addr: SocketAddr,
}

/// What is common to the life of all workers.
#[derive(Debug)]
pub(crate) struct Control {
    /// Accept nothing more, finish what runs.
    pub(crate) soft: CancellationToken,
    /// End at once.
    pub(crate) hard: CancellationToken,
    /// Open connections of all workers.
    pub(crate) open: AtomicUsize,
    /// The same by address, where that is bounded.
    pub(crate) addresses: Option<Arc<AddressCounts>>,
}

impl EdgeServer {
    /// Starts one worker thread per listener, and one thread for health probes.
    ///
    /// # Errors
    /// Says when a thread cannot be started; those that were are ended again.
    pub fn start(options: EdgeOptions) -> Result<EdgeHandle, EdgeError> {
        let own: Vec<SocketAddr> = options.listeners.iter().filter_map(|each| each.local_addr().ok()).collect();
        let addr = *own.first().ok_or(EdgeError::NoListener)?;
        let hard = CancellationToken::new();
        let addresses = options.settings.max_connections_per_address.map(|most| Arc::new(AddressCounts::new(most)));
        let control = Arc::new(Control { soft: hard.child_token(), hard, open: AtomicUsize::new(0), addresses });
        let files = options.upstream_tls_files;
        let zone = options.settings.zone.clone();
        let board = Arc::new(HealthBoard::new(Arc::clone(&options.live), zone, Arc::clone(&files)));
        let own = own.into_iter().chain(options.settings.own_listeners.iter().copied()).collect();
        let denied = options.settings.denied_upstreams.as_slice().into();
        let count = options.listeners.len();
        let tls = options.client_tls.map(|config| acceptor(config, options.settings.http2));
        let shared = Shared {
            settings: Arc::new(options.settings),
            live: options.live,
            verifier: options.verifier,
            counters: options.counters,
            client_keys: ClientKeyHasher::new(HashKey::from_entropy(options.entropy.bytes())),
            clock: options.clock,
            entropy: Arc::clone(&options.entropy),
            board: Arc::clone(&board),
            tls,
            connector: Connector::new(options.upstream_tls, files, options.resolver, options.entropy, (denied, own)),
            workers: count,
        };
        let workers = TaskTracker::new();
        let (mut queues, mut cells) = (Vec::new(), Vec::new());
        let (started, starts) = mpsc::channel();
        for (number, listener) in options.listeners.into_iter().enumerate() {
            let (recorder, own_cells) = (Recorder::new(), Arc::new(WorkerCells::new()));
            queues.push(recorder.queue());
            cells.push(Arc::clone(&own_cells));
            let start = Start { number, listener, shared: shared.clone(), recorder, cells: own_cells };
            start.spawn(Arc::clone(&control), started.clone(), workers.token())?;
        }
        drop(started);
        spawn_prober(&shared, &control, workers.token())?;
        let handle = EdgeHandle {
            control,
            workers,
            records: Arc::new(Records::new(queues)),
            metrics: Arc::new(Metrics(cells.into())),
            board,
            addr,
        };
        for _ in 0..count {
            starts.recv().unwrap_or_else(|_gone| Err(io::ErrorKind::Other.into())).map_err(EdgeError::Worker)?;
        }
        Ok(handle)
    }
}

/// A worker before its thread runs.
struct Start {
    number: usize,
    listener: TcpListener,
    shared: Shared,
    recorder: Recorder,
    cells: Arc<WorkerCells>,
}

impl Start {
    fn spawn(
        self,
        control: Arc<Control>,
        started: mpsc::Sender<io::Result<()>>,
        token: TaskTrackerToken,
    ) -> Result<(), EdgeError> {
        let thread = std::thread::Builder::new().name(format!("edge-{}", self.number));
        let main = move || {
            let _token = token;
            self.run(&control, &started);
        };
        thread.spawn(main).map(drop).map_err(EdgeError::Worker)
    }

    fn run(self, control: &Arc<Control>, started: &mpsc::Sender<io::Result<()>>) {
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(fault) => return drop(started.send(Err(fault))),
        };
        runtime.block_on(async {
            let listener = match tokio::net::TcpListener::from_std(self.listener) {
                Ok(listener) => listener,
                Err(fault) => return drop(started.send(Err(fault))),
            };
            let worker = Rc::new(Worker::new(self.number, self.shared, self.cells, self.recorder));
            drop(started.send(Ok(())));
            run_worker(worker, listener, control).await;
        });
        // A name that is being looked up is not waited for.
        runtime.shutdown_background();
    }
}

/// Offers HTTP/2 before HTTP/1.1, where it is spoken.
fn acceptor(config: Arc<ServerConfig>, http2: bool) -> TlsAcceptor {
    if !http2 {
        return TlsAcceptor::from(config);
    }
    let mut config = Arc::unwrap_or_clone(config);
    config.alpn_protocols.insert(0, ALPN.to_vec());
    TlsAcceptor::from(Arc::new(config))
}

fn runtime() -> io::Result<LocalRuntime> {
    Builder::new_current_thread().enable_io().enable_time().build_local(LocalOptions::default())
}

fn spawn_prober(shared: &Shared, control: &Arc<Control>, token: TaskTrackerToken) -> Result<(), EdgeError> {
    let (live, board, connector) = (Arc::clone(&shared.live), Arc::clone(&shared.board), shared.connector.clone());
    let prober = Prober { live, board, connector, entropy: Arc::clone(&shared.entropy) };
    let stop = control.soft.clone();
    let main = move || {
        let _token = token;
        if let Ok(runtime) = runtime() {
            runtime.block_on(stop.run_until_cancelled(prober.run()));
            runtime.shutdown_background();
        }
    };
    std::thread::Builder::new().name("edge-probes".to_owned()).spawn(main).map(drop).map_err(EdgeError::Worker)
}

impl EdgeHandle {
    /// Records of requests, for the control thread.
    pub fn record_source(&self) -> Arc<dyn RecordSource> {
        Arc::clone(&self.records) as Arc<dyn RecordSource>
    }

    /// Numbers, for whoever scrapes.
    pub fn metric_source(&self) -> Arc<dyn MetricSource> {
        Arc::clone(&self.metrics) as Arc<dyn MetricSource>
    }

    /// Which upstream targets take traffic.
    pub fn upstream_health(&self) -> Arc<dyn UpstreamHealth> {
        Arc::clone(&self.board) as Arc<dyn UpstreamHealth>
    }

    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Open client connections.
    pub fn active_connections(&self) -> usize {
        self.control.open.load(Ordering::Relaxed)
    }

    /// Panics since the start: defects of ours, each of which has cost one request or connection.
    pub fn panics(&self) -> u64 {
        self.metrics.sum(|worker| Some(&worker.panics))
    }

    /// Connections since the start on which TLS was not agreed.
    pub fn tls_failures(&self) -> u64 {
        self.metrics.sum(|worker| Some(&worker.tls_failures))
    }

    /// Connections of peers that speak the PROXY protocol which did not begin with its header, or not in time.
    pub fn proxy_header_failures(&self) -> u64 {
        self.metrics.sum(|worker| Some(&worker.proxy_header_failures))
    }

    /// Connections that were turned away: one too many, of all or of their address.
    pub fn turned_away(&self) -> u64 {
        self.metrics.sum(|worker| Some(&worker.turned_away))
    }

    /// Requests that were refused because their worker came too late to what was due.
    pub fn requests_shed(&self) -> u64 {
        self.metrics.sum(|worker| Some(&worker.shed))
    }

    /// How often each worker has looked after what is due, some 25 times a second: a number that stays is a worker that is
    /// stuck or has ended.
    pub fn turns(&self) -> Vec<u64> {
        self.metrics.0.iter().map(|worker| worker.turns.load(Ordering::Relaxed)).collect()
    }

    /// Whether it was told to end.
    pub fn is_draining(&self) -> bool {
        self.control.soft.is_cancelled()
    }

    /// Copies of requests for a mirror that were not made: one too many, or of a body that was too long or never came as a
    /// whole.
    pub fn mirrors_left_out(&self) -> u64 {
        self.metrics.sum(|worker| Some(&worker.mirrors_left_out))
    }

    /// Copies of requests for a mirror that had no answer in time.
    pub fn mirrors_failed(&self) -> u64 {
        self.metrics.sum(|worker| Some(&worker.mirrors_failed))
    }

    /// Ends the data plane: accepts nothing more, closes idle connections, lets running requests finish within `grace`.
    /// Returns how many connections had to be cut after it.
    pub async fn drain(&self, grace: Duration) -> usize {
        self.control.soft.cancel();
        self.workers.close();
        if timeout(grace, self.workers.wait()).await.is_ok() {
            return 0;
        }
        let cut = self.active_connections();
        self.control.hard.cancel();
        self.workers.wait().await;
        cut
    }
}

impl Drop for EdgeHandle {
    fn drop(&mut self) {
        self.control.hard.cancel();
    }
}
