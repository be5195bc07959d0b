//! What one worker owns: nothing of it is shared with another thread but counters, windows and the configuration.
//!
//! Always: a worker is one thread, so nothing here waits for a lock that a request could hold. Not here: the accept loop
//! (`server`), what a request goes through (`admission`, `connection`).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use novagate_policies::{ClientKeyHasher, CompiledService, HashKey, Shedding, TokenCache};
use novagate_ports_base::{Clock, Entropy};
use novagate_ports_edge::{LiveConfig, SharedCounter, TokenVerifier};
use novagate_routing::Target;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use crate::content;
use crate::counting::{Counters, PolicyLine};
use crate::deadlines::Deadlines;
use crate::generation::Generation;
use crate::mirror;
use crate::observe::cells::add;
use crate::observe::ring::Recorder;
use crate::observe::totals::WorkerCells;
use crate::options::EdgeSettings;
use crate::places::Places;
use crate::request_id::RequestTags;
use crate::tunnel::register::Tunnels;
use crate::upstream::connect::Connector;
use crate::upstream::health::HealthBoard;
use crate::upstream::target::{TargetKey, UpstreamTarget};
use crate::wire::buffer::BufferStore;
use crate::wire::fields::Field;
use crate::wire::grammar::http_date;

/// Verified tokens that a worker remembers.
const TOKENS: usize = 16_384;
/// Bytes that they may take.
const TOKEN_BYTES: usize = 8 * 1024 * 1024;
/// How often idle upstream connections are looked through.
const PRUNE_INTERVAL: Duration = Duration::from_secs(1);

/// What all workers get.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) settings: Arc<EdgeSettings>,
    pub(crate) live: Arc<ArcSwapOption<LiveConfig>>,
    pub(crate) verifier: Option<Arc<dyn TokenVerifier>>,
    pub(crate) counters: Counters,
    /// One key for all workers: they count in the same windows.
    pub(crate) client_keys: ClientKeyHasher,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) board: Arc<HealthBoard>,
    /// Clients speak TLS.
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) connector: Connector,
    pub(crate) workers: usize,
}

/// One worker.
pub(crate) struct Worker {
    pub(crate) shared: Shared,
    number: usize,
    pub(crate) cells: Arc<WorkerCells>,
    pub(crate) records: Recorder,
    pub(crate) deadlines: Rc<Deadlines>,
    pub(crate) tunnels: Rc<Tunnels>,
    pub(crate) buffers: BufferStore,
    pub(crate) tags: RefCell<RequestTags>,
    pub(crate) tokens: RefCell<TokenCache>,
    /// Its own way to a counter that the fleet shares, if it counts request by request.
    pub(crate) counter: Option<Arc<dyn SharedCounter>>,
    /// Room for the fields of the head in hand.
    pub(crate) fields: RefCell<Vec<Field>>,
    /// What was said last about a limit.
    pub(crate) policy: RefCell<PolicyLine>,
    /// The present time as `Date` has it; as exact as a tick.
    pub(crate) date: Cell<[u8; 29]>,
    pub(crate) draining: Cell<bool>,
    /// Which new requests are refused because it cannot keep up.
    pub(crate) shedding: RefCell<Shedding>,
    /// Told when the last connection has ended.
    pub(crate) emptied: Notify,
    /// Connections that are being told that there are too many.
    pub(crate) turned_away: Cell<usize>,
    /// Copies of requests that are under way.
    pub(crate) mirrors: Places,
    /// Responses that are being compressed.
    pub(crate) encoders: Places,
    /// Bodies of requests that are being decoded.
    pub(crate) decoders: Places,
    generation: RefCell<Option<Rc<Generation>>>,
    retiring: RefCell<Vec<Rc<Generation>>>,
    targets: RefCell<HashMap<TargetKey, Rc<UpstreamTarget>>>,
    pruned: Cell<Instant>,
}

impl Worker {
    pub(crate) fn new(number: usize, shared: Shared, cells: Arc<WorkerCells>, records: Recorder) -> Self {
        let counter = match &shared.counters {
            Counters::Exact(exact) => Some(exact.shared.for_worker()),
            Counters::Local(_) | Counters::Leased(_) => None,
        };
        let worker = Self {
            number,
            cells,
            records,
            deadlines: Deadlines::new(),
            tunnels: Rc::default(),
            buffers: BufferStore::default(),
            tags: RefCell::new(RequestTags::new(Arc::clone(&shared.entropy))),
            tokens: RefCell::new(TokenCache::new(HashKey::from_entropy(shared.entropy.bytes()), TOKENS, TOKEN_BYTES)),
            counter,
            fields: RefCell::default(),
            policy: RefCell::default(),
            date: Cell::new([b' '; 29]),
            draining: Cell::new(false),
            shedding: RefCell::new(Shedding::new(shared.settings.overload_delay)),
            emptied: Notify::new(),
            turned_away: Cell::new(0),
            mirrors: Places::new(mirror::MAX_RUNNING),
            encoders: Places::new(content::MAX_RUNNING),
            decoders: Places::new(content::MAX_RUNNING),
            generation: RefCell::default(),
            retiring: RefCell::default(),
            targets: RefCell::default(),
            pruned: Cell::new(Instant::now()),
            shared,
        };
        worker.tick(Duration::ZERO);
        worker
    }

    /// The configuration that requests are served from at this moment.
    pub(crate) fn generation(&self) -> Option<Rc<Generation>> {
        let live = self.shared.live.load();
        let live = live.as_ref()?;
        if let Some(generation) = self.generation.borrow().as_ref()
            && Arc::ptr_eq(&generation.live, live)
        {
            return Some(Rc::clone(generation));
        }
        Some(self.adopt(live))
    }

    /// Prepares for a configuration that was not seen before.
    fn adopt(&self, live: &Arc<LiveConfig>) -> Rc<Generation> {
        let target = |service: &CompiledService, target: &Target| self.target(service, target);
        let (last, place) = (self.generation.borrow().clone(), (self.number, self.shared.workers));
        let next = Generation::new(Arc::clone(live), place, last.as_deref(), &self.shared.board, target);
        let next = Rc::new(next);
        self.cells.begin(&next.cells);
        if let Some(last) = self.generation.replace(Some(Rc::clone(&next))) {
            self.retiring.borrow_mut().push(last);
        }
        next
    }

    fn target(&self, service: &CompiledService, target: &Target) -> Rc<UpstreamTarget> {
        let key = TargetKey { url: target.url.clone(), tls: service.tls.clone() };
        if let Some(known) = self.targets.borrow().get(&key) {
            return Rc::clone(known);
        }
        let target = Rc::new(UpstreamTarget::of(key.clone(), self.shared.connector.profile(service)));
        self.targets.borrow_mut().insert(key, Rc::clone(&target));
        target
    }

    /// What is done from time to time, beside the requests; it comes `late` by so much.
    pub(crate) fn tick(&self, late: Duration) {
        let now = Instant::now();
        add(&self.cells.turns, 1);
        self.shedding.borrow_mut().note(late);
        self.deadlines.tick(now);
        self.date.set(http_date(self.shared.clock.now().as_seconds()));
        self.records.flush();
        self.tunnels.review(self.shared.live.load().as_ref());
        if now.duration_since(self.pruned.get()) >= PRUNE_INTERVAL {
            self.pruned.set(now);
            self.prune(now);
        }
    }

    fn prune(&self, now: Instant) {
        // Adopting what is live also without requests lets go of what was.
        drop(self.generation());
        let ended: Vec<_> = self.retiring.borrow_mut().extract_if(.., |old| Rc::strong_count(old) == 1).collect();
        for generation in &ended {
            self.cells.retire(&generation.cells);
        }
        let had_ended = !ended.is_empty();
        drop(ended);
        let mut targets = self.targets.borrow_mut();
        targets.values().for_each(|target| target.prune_idle(now));
        targets.retain(|_, target| Rc::strong_count(target) > 1 || !target.is_unused());
        if had_ended {
            self.shared.board.prune();
        }
    }
}
