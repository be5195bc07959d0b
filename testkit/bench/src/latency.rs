//! P4: latency at half of the rate that nginx can serve, beside that of nginx.
//!
//! Always: requests are due one after the other at a fixed rate, whatever the answers do; one that has to wait for the answer
//! before it on its connection counts from when it was due, so that a slow proxy is not asked less. The kernel's timer tells
//! when: one of milliseconds would send dozens at once, and measure how long a proxy takes for all of them. A timer that comes
//! late counts for nobody. Not here: what a proxy can serve at most (`edge`).

mod pace;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, timeout};

use crate::config::{PIPELINE_PATH, open_route, token, whole_pipeline};
use crate::gateway::{Gateway, Origin};
use crate::http::Request;
use crate::latency::pace::Pace;
use crate::peers::{ANSWER, Peer};
use crate::report::{Goal, Report, table};
use crate::stats::{Summary, percentile};
use crate::workspace::{Scope, WorkDir};
use crate::wrk::{self, Load};
use crate::{machine, peers};

const GOAL: f64 = 1.0;
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const MISSING: &str = "nginx is not installed: apt-get install nginx-light";

/// A proxy and what it is asked.
struct Side {
    title: &'static str,
    address: SocketAddr,
    request: Arc<[u8]>,
    bearer: Option<String>,
    /// Keeps it running.
    _running: Running,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

/// What is dropped at the end.
enum Running {
    Peer { _peer: Peer },
    Gateway { _gateway: Gateway },
}

/// Percentiles of the gateway and of nginx, for the open route and for the whole pipeline.
///
/// # Errors
/// A program is missing or does not start, or an answer is wrong.
pub fn latency(scope: &Scope) -> Result<Report> {
    let generator = wrk::find()?;
    let work = WorkDir::new("latency")?;
    let upstream = peers::upstream(&work)?.context(MISSING)?;
    let token = token()?;
    let mut pairs =
        [open_pair(scope, &work, upstream.address)?, pipeline_pair(scope, &work, upstream.address, &token)?];
    let (mut rows, mut goals) = (Vec::new(), Vec::new());
    for (bar, own) in &mut pairs {
        let load = Load {
            address: bar.address,
            path: PIPELINE_PATH,
            bearer: bar.bearer.as_deref(),
            script: None,
            tls: false,
            connections: scope.connections,
            run_for: scope.run_for,
        };
        let rate = wrk::run(&generator, &load)?.rate / 2.0;
        for _ in 0..scope.rounds {
            bar.measure(scope, rate)?;
            own.measure(scope, rate)?;
        }
        let ratios: Vec<f64> = own.p99.iter().zip(&bar.p99).map(|(own, bar)| own / bar).collect();
        rows.extend([bar.row(rate), own.row(rate)]);
        goals.push(Goal {
            id: "P4",
            what: format!("p99 at half of nginx's peak rate, {} / {}", own.title, bar.title),
            measured: Summary::of(&ratios).map(|ratio| ratio.median),
            at_most: GOAL,
            unit: "",
        });
    }
    let text = format!(
        "{}; {}. {} connections, {} s for each run, {} interleaved rounds, medians; requests are due one after the other at a fixed rate: half \
         of what `wrk` got from nginx just before.\n\n{}",
        machine::describe(),
        peers::versions(),
        scope.connections,
        scope.run_for.as_secs(),
        scope.rounds,
        table(&["proxy", "requests/s", "p50 ms", "p99 ms", "spread of p99"], &rows)
    );
    Ok(Report { key: "latency", title: "Latency at half of nginx's peak", text, goals })
}

fn open_pair(scope: &Scope, work: &WorkDir, upstream: SocketAddr) -> Result<(Side, Side)> {
    let nginx = peers::nginx_plain(work, upstream)?.context(MISSING)?;
    let config = work.file("open.yaml", &open_route(upstream).to_string())?;
    let gateway = Gateway::start(scope, work, "gateway-open", &Origin::File(&config))?;
    Ok((Side::of_peer("nginx, plain", nginx, None), Side::of_gateway("open route", gateway, None)?))
}

fn pipeline_pair(scope: &Scope, work: &WorkDir, upstream: SocketAddr, token: &str) -> Result<(Side, Side)> {
    let nginx = peers::nginx_logged(work, upstream)?.context(MISSING)?;
    let config = work.file("pipeline.yaml", &whole_pipeline(upstream).to_string())?;
    let gateway = Gateway::start(scope, work, "gateway-pipeline", &Origin::File(&config))?;
    let bar = Side::of_peer("nginx, access log and limit", nginx, Some(token));
    Ok((bar, Side::of_gateway("whole pipeline", gateway, Some(token))?))
}

impl Side {
    fn new(title: &'static str, address: SocketAddr, bearer: Option<&str>, running: Running) -> Self {
        let credential = bearer.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request = format!("GET {PIPELINE_PATH} HTTP/1.1\r\nHost: {address}\r\n{credential}\r\n");
        Self {
            title,
            address,
            request: request.into_bytes().into(),
            bearer: bearer.map(str::to_owned),
            _running: running,
            p50: Vec::new(),
            p99: Vec::new(),
        }
    }

    fn of_peer(title: &'static str, peer: Peer, bearer: Option<&str>) -> Self {
        Self::new(title, peer.address, bearer, Running::Peer { _peer: peer })
    }

    fn of_gateway(title: &'static str, mut gateway: Gateway, bearer: Option<&str>) -> Result<Self> {
        gateway.ready(Request::get(PIPELINE_PATH, bearer))?;
        Ok(Self::new(title, gateway.traffic, bearer, Running::Gateway { _gateway: gateway }))
    }

    /// One run at this rate.
    fn measure(&mut self, scope: &Scope, rate: f64) -> Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let samples = runtime.block_on(run(self.address, &self.request, scope, rate))?;
        let at = |percent| percentile(&samples, percent).context("no request was due");
        self.p50.push(at(50)?);
        self.p99.push(at(99)?);
        Ok(())
    }

    fn row(&self, rate: f64) -> Vec<String> {
        let median = |samples: &[f64]| Summary::of(samples).map_or(0.0, |summary| summary.median);
        let spread = Summary::of(&self.p99).map(|summary| format!("{:.2} to {:.2}", summary.least, summary.most));
        vec![
            self.title.to_owned(),
            format!("{rate:.0}"),
            format!("{:.2}", median(&self.p50)),
            format!("{:.2}", median(&self.p99)),
            spread.unwrap_or_default(),
        ]
    }
}

/// Milliseconds of every request, over all connections.
async fn run(address: SocketAddr, request: &Arc<[u8]>, scope: &Scope, rate: f64) -> Result<Vec<f64>> {
    let period = Duration::from_secs_f64(rate.recip());
    let count = scope.run_for.as_nanos().checked_div(period.as_nanos()).context("the rate is too high")?;
    let count = usize::try_from(count)?;
    let (mut queues, mut connections) = (Vec::new(), JoinSet::new());
    for _ in 0..scope.connections {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (queue, due) = mpsc::channel(count);
        queues.push(queue);
        connections.spawn(ask_when_due(stream, Arc::clone(request), due));
    }
    let pace = Pace::new(period)?;
    let (mut turns, mut left) = (queues.iter().cycle(), count);
    while left > 0 {
        let due = pace.beats().await?.min(left);
        for queue in turns.by_ref().take(due) {
            // Of a connection that has failed, the failure is told below.
            let _ = queue.try_send(Instant::now());
        }
        left -= due;
        // Connections send what they were asked before the next beat is looked for.
        yield_now().await;
    }
    drop(queues);
    let mut samples = Vec::with_capacity(count);
    while let Some(of_connection) = connections.join_next().await {
        samples.extend(of_connection??);
    }
    Ok(samples)
}

/// Sends a request whenever one is due.
async fn ask_when_due(mut stream: TcpStream, request: Arc<[u8]>, mut due: mpsc::Receiver<Instant>) -> Result<Vec<f64>> {
    let (mut samples, mut received) = (Vec::new(), vec![0; 4096]);
    while let Some(begin) = due.recv().await {
        timeout(ANSWER_WITHIN, exchange(&mut stream, &request, &mut received))
            .await
            .context("an answer is missing")??;
        samples.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    Ok(samples)
}

async fn exchange(stream: &mut TcpStream, request: &[u8], received: &mut [u8]) -> Result<()> {
    stream.write_all(request).await?;
    let mut have = 0;
    loop {
        let room = received.get_mut(have..).filter(|room| !room.is_empty()).context("an answer is too long")?;
        let count = stream.read(room).await?;
        ensure!(count > 0, "the connection ended before the answer");
        have += count;
        let text = received.get(..have).unwrap_or_default();
        if text.ends_with(ANSWER.as_bytes()) {
            ensure!(text.starts_with(b"HTTP/1.1 200 "), "an answer is none of the upstream");
            return Ok(());
        }
    }
}
