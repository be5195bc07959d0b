//! One proxy under load: how it is asked, checked and measured.

use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::config::PIPELINE_PATH;
use crate::gateway::Gateway;
use crate::http::{self, Request};
use crate::peers::{ANSWER, Peer};
use crate::process::Program;
use crate::workspace::Scope;
use crate::wrk::{self, Load, Outcome};

/// Which proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Nginx,
    NginxLogged,
    Haproxy,
    Caddy,
    Pingora,
    Open,
    Pipeline,
}

impl Kind {
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Nginx => "nginx, plain",
            Self::NginxLogged => "nginx, access log and limit",
            Self::Haproxy => "HAProxy",
            Self::Caddy => "Caddy",
            Self::Pingora => "Pingora, minimal",
            Self::Open => "**NovaGate, open route**",
            Self::Pipeline => "**NovaGate, whole pipeline**",
        }
    }

    /// What stands in its row when it cannot be measured.
    pub(super) const fn absence(self) -> &'static str {
        match self {
            Self::Nginx | Self::NginxLogged | Self::Haproxy | Self::Caddy => "not installed here",
            Self::Pingora | Self::Open | Self::Pipeline => "not built here",
        }
    }

    /// What it is compared with.
    pub(super) const fn bar(self) -> Self {
        match self {
            Self::Nginx | Self::Haproxy | Self::Caddy | Self::Pingora | Self::Open => Self::Nginx,
            Self::NginxLogged | Self::Pipeline => Self::NginxLogged,
        }
    }
}

/// One measured run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) round: u32,
    pub(super) outcome: Outcome,
    /// CPU time for one request, microseconds.
    pub(super) cpu_us: f64,
    /// What the kernel took of it.
    pub(super) kernel_us: f64,
}

/// A proxy with its samples.
#[derive(Debug)]
pub(super) struct Contender {
    pub(super) kind: Kind,
    running: Option<Running>,
    pub(super) samples: Vec<Sample>,
}

#[derive(Debug)]
struct Running {
    program: Program,
    address: SocketAddr,
    log: Option<PathBuf>,
    bearer: Option<String>,
}

impl Contender {
    pub(super) fn of_peer(kind: Kind, peer: Option<Peer>, bearer: Option<&str>) -> Self {
        let bearer = bearer.map(str::to_owned);
        let running = peer.map(|Peer { program, address, log }| Running { program, address, log, bearer });
        Self { kind, running, samples: Vec::new() }
    }

    pub(super) fn of_gateway(kind: Kind, gateway: Option<Gateway>, bearer: Option<&str>) -> Self {
        let peer =
            |Gateway { program, traffic, request_log, .. }| Peer { program, address: traffic, log: Some(request_log) };
        Self::of_peer(kind, gateway.map(peer), bearer)
    }

    /// Whether it can be measured here.
    pub(super) const fn is_installed(&self) -> bool {
        self.running.is_some()
    }

    /// Puts it under load; a run without a round warms it up.
    pub(super) fn run(&mut self, wrk: &PathBuf, scope: &Scope, round: Option<u32>) -> Result<()> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let sample = running.measure(wrk, scope, round).with_context(|| self.kind.title())?;
        self.samples.extend(sample);
        Ok(())
    }

    fn cpu_us_in(&self, round: u32) -> Option<f64> {
        self.samples.iter().find(|sample| sample.round == round).map(|sample| sample.cpu_us)
    }
}

/// The ratios of CPU times to those of the bar, one for each round.
pub(super) fn ratios(contenders: &[Contender], kind: Kind) -> Vec<f64> {
    ratios_to(contenders, kind, kind.bar())
}

/// The same to those of another one.
pub(super) fn ratios_to(contenders: &[Contender], kind: Kind, bar: Kind) -> Vec<f64> {
    let find = |kind| contenders.iter().find(|contender| contender.kind == kind);
    let (Some(own), Some(bar)) = (find(kind), find(bar)) else { return Vec::new() };
    let ratio = |sample: &Sample| Some(sample.cpu_us / bar.cpu_us_in(sample.round)?);
    own.samples.iter().filter_map(ratio).collect()
}

impl Running {
    fn measure(&mut self, wrk: &PathBuf, scope: &Scope, round: Option<u32>) -> Result<Option<Sample>> {
        let warm_up = Duration::from_secs(1);
        let run_for = round.map_or(warm_up, |_| scope.run_for);
        self.check()?;
        let before = self.program.cpu_time()?;
        let bearer = self.bearer.as_deref();
        let load = Load {
            address: self.address,
            path: PIPELINE_PATH,
            bearer,
            script: None,
            tls: false,
            connections: scope.connections,
            run_for,
        };
        let outcome = wrk::run(wrk, &load)?;
        let spent = self.program.cpu_time()?.since(before);
        self.check()?;
        self.check_log(outcome)?;
        let for_one = |spent: Duration| spent.as_secs_f64() * 1e6 / f64::from(outcome.requests.max(1));
        let (cpu_us, kernel_us) = (for_one(spent.total()), for_one(spent.system));
        Ok(round.map(|round| Sample { round, outcome, cpu_us, kernel_us }))
    }

    fn check(&mut self) -> Result<()> {
        self.program.still_runs()?;
        let answer = http::ask(self.address, Request::get(PIPELINE_PATH, self.bearer.as_deref()))?;
        ensure!(answer.status == 200, "answered {}: {}", answer.status, answer.text());
        ensure!(answer.body == ANSWER.as_bytes(), "answered another body: {}", answer.text());
        Ok(())
    }

    /// Whoever keeps a log has written most of the run by now (all but what is buffered); the next run begins with an
    /// empty one.
    fn check_log(&self, outcome: Outcome) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        let lines = count_lines(log)?;
        ensure!(lines * 2 > outcome.requests as usize, "logged {lines} of {} requests", outcome.requests);
        OpenOptions::new().write(true).open(log)?.set_len(0)?;
        Ok(())
    }
}

fn count_lines(file: &Path) -> Result<usize> {
    Ok(fs::read(file)?.split(|byte| *byte == b'\n').count().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contender(kind: Kind, cpu: &[f64]) -> Contender {
        let outcome = Outcome { requests: 1, rate: 1.0, p50: Duration::ZERO, p99: Duration::ZERO };
        let samples =
            (0..).zip(cpu).map(|(round, &cpu_us)| Sample { round, outcome, cpu_us, kernel_us: 0.0 }).collect();
        Contender { kind, running: None, samples }
    }

    #[test]
    fn ratios_are_made_within_a_round_and_only_with_the_own_bar() {
        let all = [
            contender(Kind::Nginx, &[10.0, 20.0]),
            contender(Kind::Open, &[11.0, 18.0]),
            contender(Kind::Pipeline, &[9.0]),
        ];
        assert_eq!(ratios(&all, Kind::Open), [1.1, 0.9]);
        assert_eq!(ratios_to(&all, Kind::Nginx, Kind::Pipeline), [10.0 / 9.0]);
        assert!(ratios_to(&all, Kind::Pipeline, Kind::Pingora).is_empty());
        assert!(ratios(&all, Kind::Pipeline).is_empty());
    }
}
