//! Answers of the control plane, asked once for all sessions that want the same.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use novagate_ports_control::inbound::SyncRefusal;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// Answers that are kept.
const SLOTS: usize = 1_024;

type Cell<V> = Arc<OnceCell<V>>;

/// What was asked lately, and the answers.
#[derive(Debug)]
pub(crate) struct Answers<K, V> {
    /// How long an answer is given again without asking. A wake-up ends it at once; this bounds a lost one.
    fresh: Duration,
    /// With the time of asking.
    slots: Mutex<HashMap<K, (Cell<V>, Instant)>>,
}

impl<K: Eq + Hash, V: Clone> Answers<K, V> {
    pub(crate) fn fresh_for(fresh: Duration) -> Self {
        Self { fresh, slots: Mutex::default() }
    }

    /// The answer to `question`; of callers at the same time one asks and all get its answer.
    pub(crate) async fn get<F>(&self, question: K, ask: impl FnOnce() -> F) -> Result<V, SyncRefusal>
    where
        F: Future<Output = Result<V, SyncRefusal>>,
    {
        let cell = self.cell(question);
        cell.get_or_try_init(ask).await.cloned()
    }

    /// The answers to some questions are not right any more.
    pub(crate) fn forget(&self, is_over: impl Fn(&K) -> bool) {
        self.lock().retain(|question, _| !is_over(question));
    }

    /// Any answer may be.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn cell(&self, question: K) -> Cell<V> {
        let now = Instant::now();
        let is_fresh = |at: Instant| now.saturating_duration_since(at) < self.fresh;
        let mut slots = self.lock();
        if let Some((cell, at)) = slots.get(&question)
            && is_fresh(*at)
        {
            return Arc::clone(cell);
        }
        if slots.len() >= SLOTS {
            slots.retain(|_, (_, at)| is_fresh(*at));
        }
        let cell = Cell::default();
        if slots.len() < SLOTS {
            slots.insert(question, (Arc::clone(&cell), now));
        }
        cell
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, (Cell<V>, Instant)>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
