//! Ownership of everything that runs beside `main`: names, spans, panics, and an end in two steps.
//!
//! Always: no task of ours is anonymous, a panic is logged and counted, and [`Tasks::shutdown`] tells whether anything
//! is left. Not here: signals (`adapters/system`) and the decision when to stop (`main`).

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    sync::Semaphore,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

/// Blocking jobs that run at the same time unless the owner says otherwise.
const BLOCKING_JOBS: usize = 64;

/// How long aborted tasks may take to be gone. Only a blocking job or a task that never yields can exceed it.
const ABORT_GRACE: Duration = Duration::from_secs(2);

/// Why a task or a blocking job gave no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TaskEnd {
    /// It panicked; the panic is logged and counted.
    #[error("the task panicked")]
    Panicked,
    /// It was stopped before its end: by the second step of a shutdown, by its handle, or with its runtime.
    #[error("the task was aborted")]
    Aborted,
}

/// What a shutdown left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Tasks that had not ended when the grace was over (or [`Tasks::hard`] was cancelled) and were aborted, and
    /// `stuck`.
    pub aborted: usize,
    /// Tasks that did not even end then: blocking jobs, or tasks that never yield.
    pub stuck: usize,
}

impl Drained {
    /// Whether every task ended by itself.
    pub const fn is_clean(self) -> bool {
        self.aborted == 0
    }
}

/// The owner of a program's tasks. Clones own the same tasks.
#[derive(Debug, Clone)]
pub struct Tasks {
    shared: Arc<Shared>,
}

/// A running task. Dropping it changes nothing: the task stays owned by [`Tasks`].
#[derive(Debug)]
pub struct TaskHandle<T>(JoinHandle<Result<T, TaskEnd>>);

#[derive(Debug)]
struct Shared {
    tracker: TaskTracker,
    soft: CancellationToken,
    hard: CancellationToken,
    panics: AtomicU64,
    aborted: AtomicUsize,
    blocking: Arc<Semaphore>,
}

impl Tasks {
    /// An owner without tasks; up to 64 blocking jobs run at the same time.
    pub fn new() -> Self {
        Self::with_blocking_jobs(BLOCKING_JOBS)
    }

    /// An owner that runs at most `jobs` (at least one) blocking jobs at the same time; further ones wait.
    pub fn with_blocking_jobs(jobs: usize) -> Self {
        let hard = CancellationToken::new();
        let shared = Shared {
            tracker: TaskTracker::new(),
            soft: hard.child_token(),
            hard,
            panics: AtomicU64::new(0),
            aborted: AtomicUsize::new(0),
            blocking: Arc::new(Semaphore::new(jobs.clamp(1, Semaphore::MAX_PERMITS))),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Runs `work` on the current runtime until it ends, or until [`Tasks::hard`] is cancelled: then it is dropped at
    /// its next await.
    pub fn spawn<F>(&self, name: &'static str, work: F) -> TaskHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let guarded = async move {
            let hard = shared.hard.clone();
            match AssertUnwindSafe(hard.run_until_cancelled_owned(work)).catch_unwind().await {
                Ok(Some(output)) => Ok(output),
                Ok(None) => {
                    shared.aborted.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(task = name, "task aborted");
                    Err(TaskEnd::Aborted)
                }
                Err(_payload) => Err(shared.note_panic(name)),
            }
        };
        TaskHandle(self.shared.tracker.spawn(guarded.instrument(span(name))))
    }

    /// Runs CPU-bound or blocking work on a thread of its own and waits for it.
    ///
    /// Cancellation: dropped while it waits for a place, the job never runs; dropped later, the job runs to its end and
    /// keeps its place until then.
    pub async fn blocking<T, F>(&self, name: &'static str, job: F) -> Result<T, TaskEnd>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let place = Arc::clone(&self.shared.blocking).acquire_owned().await.map_err(|_closed| TaskEnd::Aborted)?;
        let shared = Arc::clone(&self.shared);
        let span = span(name);
        let job = move || {
            let _place = place;
            span.in_scope(|| catch_unwind(AssertUnwindSafe(job)).map_err(|_payload| shared.note_panic(name)))
        };
        self.shared.tracker.spawn_blocking(job).await.unwrap_or(Err(TaskEnd::Aborted))
    }

    /// Cancelled when the program begins to stop: accept nothing more, finish what runs.
    pub fn soft(&self) -> CancellationToken {
        self.shared.soft.clone()
    }

    /// Cancelled when the grace is over; cancel it to end everything at once (it cancels [`Tasks::soft`] too).
    pub fn hard(&self) -> CancellationToken {
        self.shared.hard.clone()
    }

    /// Panics since the start.
    pub fn panics(&self) -> u64 {
        self.shared.panics.load(Ordering::Relaxed)
    }

    /// Tasks and blocking jobs that have not ended.
    pub fn running(&self) -> usize {
        self.shared.tracker.len()
    }

    /// Ends in two steps: cancels [`Tasks::soft`] and waits up to `grace`; then, or as soon as somebody cancels
    /// [`Tasks::hard`], aborts what is left.
    pub async fn shutdown(&self, grace: Duration) -> Drained {
        self.shared.soft.cancel();
        self.shared.tracker.close();
        tokio::select! {
            biased;
            () = self.shared.tracker.wait() => {}
            () = self.shared.hard.cancelled() => {}
            () = sleep(grace) => {}
        }
        self.shared.hard.cancel();
        let gone = timeout(ABORT_GRACE, self.shared.tracker.wait()).await;
        let stuck = if gone.is_ok() { 0 } else { self.running() };
        // Blocking jobs cannot be aborted: they are stuck, or they have ended by themselves.
        Drained { aborted: self.shared.aborted.load(Ordering::Relaxed).saturating_add(stuck), stuck }
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> TaskHandle<T> {
    /// Stops the task at its next await.
    pub fn abort(&self) {
        self.0.abort();
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl<T> Future for TaskHandle<T> {
    type Output = Result<T, TaskEnd>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // A panic inside the task was caught, so a join error means that it was aborted.
        Pin::new(&mut self.0).poll(cx).map(|joined| joined.unwrap_or(Err(TaskEnd::Aborted)))
    }
}

impl Shared {
    // The payload stays out of the log: it may carry data. The panic hook has already said where and what on stderr.
    fn note_panic(&self, name: &'static str) -> TaskEnd {
        let panics = self.panics.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::error!(task = name, panics, "task panicked");
        TaskEnd::Panicked
    }
}

// A root span: a task outlives whoever started it.
fn span(name: &'static str) -> tracing::Span {
    tracing::info_span!(parent: None, "task", name)
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    const GRACE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_task_gives_its_value() {
        let tasks = Tasks::new();
        assert_eq!(tasks.spawn("answer", async { 42 }).await, Ok(42));
        assert_eq!(tasks.blocking("answer", || 43).await, Ok(43));
        assert_eq!(tasks.panics(), 0);
    }

    #[tokio::test]
    async fn a_panic_is_caught_and_counted_in_tasks_and_blocking_jobs() {
        let tasks = Tasks::new();
        assert_eq!(
            tasks.spawn("fails", async { panic!("expected by the test") }).await,
            Err::<(), _>(TaskEnd::Panicked)
        );
        let job = || -> u8 { panic!("expected by the test") };
        assert_eq!(tasks.blocking("fails", job).await, Err(TaskEnd::Panicked));
        assert_eq!(tasks.panics(), 2);
        assert_eq!(tasks.blocking("goes on", || 1).await, Ok(1));
    }

    #[tokio::test]
    async fn shutdown_lets_tasks_finish_that_listen_to_the_first_step() {
        let tasks = Tasks::new();
        let soft = tasks.soft();
        let polite = tasks.spawn("polite", async move {
            soft.cancelled().await;
            "done"
        });
        assert_eq!(tasks.shutdown(GRACE).await, Drained { aborted: 0, stuck: 0 });
        assert_eq!(polite.await, Ok("done"));
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_aborts_what_is_left_after_the_grace() {
        let tasks = Tasks::new();
        let stubborn = tasks.spawn("stubborn", std::future::pending::<()>());
        let drained = tasks.shutdown(GRACE).await;
        assert_eq!(drained, Drained { aborted: 1, stuck: 0 });
        assert!(!drained.is_clean());
        assert_eq!(stubborn.await, Err(TaskEnd::Aborted));
        assert_eq!(tasks.running(), 0);
    }

    #[tokio::test]
    async fn a_second_signal_ends_the_grace() {
        let tasks = Tasks::new();
        tasks.spawn("stubborn", std::future::pending::<()>());
        let hard = tasks.hard();
        let (drained, ()) = tokio::join!(tasks.shutdown(Duration::from_hours(1)), async { hard.cancel() });
        assert_eq!(drained.aborted, 1);
    }

    #[tokio::test]
    async fn the_second_step_implies_the_first() {
        let tasks = Tasks::new();
        tasks.hard().cancel();
        assert!(tasks.soft().is_cancelled());
    }

    #[tokio::test]
    async fn blocking_jobs_beyond_the_bound_wait() {
        let tasks = Tasks::with_blocking_jobs(1);
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let (started, running) = oneshot::channel();
        let owner = tasks.clone();
        let first = tasks.spawn("first", async move {
            owner
                .blocking("first", move || {
                    started.send(()).unwrap();
                    gate.recv().unwrap();
                })
                .await
        });
        running.await.unwrap();
        let second = tasks.blocking("second", || ());
        assert!(second.now_or_never().is_none(), "no place is free");
        release.send(()).unwrap();
        assert_eq!(first.await, Ok(Ok(())));
        assert_eq!(tasks.blocking("third", || ()).await, Ok(()));
    }
}
