//! Steady, bounded traffic over connections that are kept alive.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Connection, PATIENCE, Request, wait_until};

/// Load ends by itself after this long, whatever the test does.
const LONGEST: Duration = Duration::from_secs(90);

/// Between two requests of a connection: the programs under test shall be busy, not starved.
const PACE: Duration = Duration::from_millis(2);

/// Traffic that is under way.
pub struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    threads: Vec<JoinHandle<LoadReport>>,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct LoadReport {
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without an answer, and why.
    pub failures: Vec<String>,
}

impl Load {
    /// Over `connections` connections; `make` gets the number of a connection's request, from 0.
    pub fn start(
        address: SocketAddr,
        connections: usize,
        make: impl Fn(u64) -> Request + Clone + Send + 'static,
    ) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = (0..connections).map(|_| {
            let (stop, sent, make) = (Arc::clone(&stop), Arc::clone(&sent), make.clone());
            std::thread::spawn(move || drive(address, &stop, &sent, make))
        });
        let threads = threads.collect();
        Self { stop, sent, threads }
    }

    /// Answers so far.
    pub fn answered(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Waits for `count` more answers: what happens meanwhile happens under load.
    pub fn wait_for_more(&self, count: u64) {
        let goal = self.answered() + count;
        wait_until("the load makes progress", PATIENCE, || {
            self.answered() >= goal || self.threads.iter().all(JoinHandle::is_finished)
        });
    }

    /// Ends it.
    pub fn finish(self) -> LoadReport {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = LoadReport::default();
        for thread in self.threads {
            let report = thread.join().expect("a load thread does not panic");
            all.failures.extend(report.failures);
            for (status, count) in report.statuses {
                *all.statuses.entry(status).or_default() += count;
            }
        }
        all
    }
}

impl LoadReport {
    /// Every request was answered, each with 200.
    pub fn assert_flawless(&self) {
        assert!(self.failures.is_empty(), "{} failures, first: {:?}", self.failures.len(), self.failures.first());
        assert!(self.statuses.keys().eq([&200]), "not only 200: {:?}", self.statuses);
    }
}

fn drive(address: SocketAddr, stop: &AtomicBool, sent: &AtomicU64, make: impl Fn(u64) -> Request) -> LoadReport {
    let mut report = LoadReport::default();
    let mut connection = None;
    let begin = Instant::now();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) && begin.elapsed() < LONGEST {
        let outcome = match connection.take() {
            Some(open) => Ok(open),
            None => Connection::open(address),
        };
        let outcome = outcome.and_then(|mut open| {
            let response = open.send(&make(number))?;
            if response.header("connection") != Some("close") {
                connection = Some(open);
            }
            Ok(response)
        });
        match outcome {
            Ok(response) => *report.statuses.entry(response.status).or_default() += 1,
            Err(error) => report.failures.push(error.to_string()),
        }
        sent.fetch_add(1, Ordering::Relaxed);
        number += 1;
        std::thread::sleep(PACE);
    }
    report
}
