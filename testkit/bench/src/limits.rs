//! P6: what limits that a fleet counts together cost a gateway beside limits that it counts alone.
//!
//! Always: the same requests with the same limits go to one gateway for each mode, one at a time, in interleaved rounds;
//! differences are made within a round. CPU time is that of the gateway; commands are counted by Redis: calls of scripts,
//! not what scripts do inside.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use novagate_services::Redis;

use crate::config::{PIPELINE_PATH, token, whole_pipeline};
use crate::gateway::{Gateway, Origin};
use crate::http::{self, Request};
use crate::report::{self, Goal, Report};
use crate::stats::Summary;
use crate::workspace::{Scope, WorkDir};
use crate::wrk::{self, Load, Outcome};
use crate::{machine, peers};

const EXACT_COMMANDS: f64 = 1.0;
const EXACT_CPU_US: f64 = 12.0;
const LEASED_COMMANDS: f64 = 0.05;
const LEASED_CPU_US: f64 = 0.5;

/// How a gateway counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Local,
    Leased,
    Exact,
}

/// One run.
#[derive(Debug, Clone, Copy)]
struct Sample {
    cpu_us: f64,
    commands: f64,
    outcome: Outcome,
}

/// A gateway of one mode with a server of its own.
struct Contender {
    mode: Mode,
    gateway: Gateway,
    redis: Option<Redis>,
    samples: Vec<Sample>,
}

/// Measures all three.
///
/// # Errors
/// The load generator, the upstream or Redis is missing, a program of ours does not start, or an answer is wrong.
pub fn limits(scope: &Scope) -> Result<Report> {
    let generator = wrk::find()?;
    let work = WorkDir::new("limits")?;
    let upstream = peers::upstream(&work)?.context("nginx is not installed: apt-get install nginx-light")?;
    let config = work.file("pipeline.yaml", &whole_pipeline(upstream.address).to_string())?;
    let token = token()?;
    let mut contenders = Vec::new();
    for mode in [Mode::Local, Mode::Leased, Mode::Exact] {
        contenders.push(Contender::start(scope, &work, mode, &config, &token)?);
    }
    for round in 0..=scope.rounds {
        for contender in &mut contenders {
            let sample = contender.run(&generator, scope, &token)?;
            // The first round warms up.
            if round > 0 {
                contender.samples.push(sample);
            }
        }
    }
    let goals = vec![
        commands(&contenders, Mode::Exact, EXACT_COMMANDS),
        extra_cpu(&contenders, Mode::Exact, EXACT_CPU_US),
        commands(&contenders, Mode::Leased, LEASED_COMMANDS),
        extra_cpu(&contenders, Mode::Leased, LEASED_CPU_US),
    ];
    let text = format!("{}\n\n{}", notes(scope), table(&contenders));
    Ok(Report { key: "limits", title: "Limits that a fleet counts together", text, goals })
}

impl Mode {
    const fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Leased => "leased",
            Self::Exact => "exact",
        }
    }
}

impl Contender {
    fn start(scope: &Scope, work: &WorkDir, mode: Mode, config: &Path, token: &str) -> Result<Self> {
        let redis = (mode != Mode::Local).then(Redis::start);
        let url = redis.as_ref().map(|redis| format!("{}/0", redis.url()));
        let mut settings = vec![("RATE_LIMIT_MODE", mode.word())];
        settings.extend(url.as_deref().map(|url| ("REDIS_URL", url)));
        let name = format!("gateway-{}", mode.word());
        let mut gateway = Gateway::start_with(scope, work, &name, &Origin::File(config), &settings)?;
        gateway.ready(Request::get(PIPELINE_PATH, Some(token)))?;
        let refused = http::ask(gateway.traffic, Request::get(PIPELINE_PATH, None))?;
        ensure!(refused.status == 401, "answered {} to a request without token", refused.status);
        Ok(Self { mode, gateway, redis, samples: Vec::new() })
    }

    fn run(&mut self, generator: &std::path::PathBuf, scope: &Scope, token: &str) -> Result<Sample> {
        let (before, called, served) = (self.gateway.program.cpu_time()?, self.calls()?, self.served()?);
        let load = Load {
            address: self.gateway.traffic,
            path: PIPELINE_PATH,
            bearer: Some(token),
            script: None,
            tls: false,
            connections: scope.connections,
            run_for: scope.run_for,
        };
        let outcome = wrk::run(generator, &load)?;
        let spent = self.gateway.program.cpu_time()?.since(before).total();
        self.gateway.program.still_runs()?;
        let answer = http::ask(self.gateway.traffic, Request::get(PIPELINE_PATH, Some(token)))?;
        ensure!(answer.status == 200 && answer.header("ratelimit").is_some(), "answered {}", answer.status);
        let metrics = http::ask(self.gateway.admin, Request::get("/metrics", None))?.text();
        ensure!(metrics.contains("rate_limit_errors_total 0"), "{} lost Redis under load", self.mode.word());
        let requests = f64::from(outcome.requests.max(1));
        Ok(Sample {
            cpu_us: spent.as_secs_f64() * 1e6 / requests,
            commands: (self.calls()? - called) / (self.served()? - served).max(1.0),
            outcome,
        })
    }

    /// Requests so far, those included that were under way when the load generator stopped.
    fn served(&self) -> Result<f64> {
        let metrics = http::ask(self.gateway.admin, Request::get("/metrics", None))?.text();
        let counts = metrics.lines().filter(|line| line.starts_with("http_requests_total{"));
        counts.map(|line| Ok(line.rsplit(' ').next().unwrap_or_default().parse::<f64>()?)).sum()
    }

    /// Calls of scripts so far.
    fn calls(&self) -> Result<f64> {
        let Some(redis) = &self.redis else { return Ok(0.0) };
        let said = redis.command(0, "INFO commandstats");
        let mut calls = 0.0;
        for line in said.lines() {
            let Some((command, numbers)) = line.trim().strip_prefix("cmdstat_").and_then(|rest| rest.split_once(':'))
            else {
                continue;
            };
            if matches!(command, "evalsha" | "eval" | "script|load") {
                let count = numbers.strip_prefix("calls=").and_then(|rest| rest.split(',').next());
                calls += count.context("Redis counts in another form")?.parse::<f64>()?;
            }
        }
        Ok(calls)
    }

    fn median(&self, value: impl Fn(&Sample) -> f64) -> Option<f64> {
        Summary::of(&self.samples.iter().map(value).collect::<Vec<_>>()).map(|summary| summary.median)
    }
}

fn find(contenders: &[Contender], mode: Mode) -> Option<&Contender> {
    contenders.iter().find(|contender| contender.mode == mode)
}

fn commands(contenders: &[Contender], mode: Mode, at_most: f64) -> Goal {
    let measured = find(contenders, mode).and_then(|contender| contender.median(|sample| sample.commands));
    // A call or two of the beats falls into a run.
    let measured = measured.map(|commands| if mode == Mode::Exact { (commands * 1e3).round() / 1e3 } else { commands });
    Goal { id: "P6", what: format!("Redis commands for a request, {}", mode.word()), measured, at_most, unit: "" }
}

/// The median over rounds of what a request costs more than in the local mode.
fn extra_cpu(contenders: &[Contender], mode: Mode, at_most: f64) -> Goal {
    let measured = find(contenders, mode).zip(find(contenders, Mode::Local)).and_then(|(own, bar)| {
        let extra = own.samples.iter().zip(&bar.samples).map(|(own, bar)| own.cpu_us - bar.cpu_us);
        Summary::of(&extra.collect::<Vec<_>>()).map(|summary| summary.median)
    });
    Goal {
        id: "P6",
        what: format!("more CPU for a request than local, {}", mode.word()),
        measured,
        at_most,
        unit: "µs",
    }
}

fn table(contenders: &[Contender]) -> String {
    let row = |contender: &Contender| {
        let cell = |value: fn(&Sample) -> f64, digits: usize| {
            contender.median(value).map_or_else(String::new, |median| format!("{median:.digits$}"))
        };
        let cpu = Summary::of(&contender.samples.iter().map(|sample| sample.cpu_us).collect::<Vec<_>>());
        vec![
            contender.mode.word().to_owned(),
            cell(|sample| sample.cpu_us, 1),
            cpu.map_or_else(String::new, |cpu| format!("{:.1} to {:.1}", cpu.least, cpu.most)),
            cell(|sample| sample.commands, 4),
            cell(|sample| sample.outcome.p50.as_secs_f64() * 1e3, 2),
            cell(|sample| sample.outcome.p99.as_secs_f64() * 1e3, 2),
            cell(|sample| sample.outcome.rate, 0),
        ]
    };
    let head = ["mode", "CPU µs/request", "spread", "commands/request", "p50 ms", "p99 ms", "requests/s"];
    report::table(&head, &contenders.iter().map(row).collect::<Vec<_>>())
}

fn notes(scope: &Scope) -> String {
    format!(
        "{}. `wrk -t1 -c{} -d{}s`, {} interleaved rounds, medians; the whole pipeline of the edge benchmark, so each request \
         is counted in a consumer's and in a route's bucket. One gateway with one worker for each mode, one Redis for each of \
         the two that share. CPU is user and system time of the gateway, all its threads.",
        machine::describe(),
        scope.connections,
        scope.run_for.as_secs(),
        scope.rounds,
    )
}
