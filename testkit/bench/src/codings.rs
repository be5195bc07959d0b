//! What compressing responses costs a gateway: memory for each response on its way, CPU, and what it saves.
//!
//! Always: the same texts, of this repository's documents, pass through the same route with each coding and with none, in
//! interleaved rounds; differences are made within a round. Not here: decoding, which holds what the sender's window needs.

mod origin;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use self::origin::{HELD, Origin as Texts, SHORT, WHOLE};
use crate::gateway::{Gateway, Origin};
use crate::http::{Connection, Request};
use crate::report::{Report, table};
use crate::stats::Summary;
use crate::workspace::{Scope, WorkDir, repository_root};
use crate::{machine, wait};

const CODINGS: [&str; 3] = ["zstd", "br", "gzip"];
/// Responses that are on their way at the same time.
const STREAMS: u32 = 128;
const WHOLE_REQUESTS: u32 = 200;
const SHORT_REQUESTS: u32 = 3_000;
const SETTLE_WITHIN: Duration = Duration::from_secs(20);

/// One coding in one round.
#[derive(Debug, Clone, Copy)]
struct Sample {
    whole_us: f64,
    short_us: f64,
}

/// Memory, CPU and length of responses in each coding.
///
/// # Errors
/// The gateway does not start, or an answer is wrong.
pub fn codings(scope: &Scope) -> Result<Report> {
    let work = WorkDir::new("codings")?;
    let text = text(&repository_root()?)?;
    let texts = Texts::start(text.clone())?;
    let all = f64::from(u32::try_from(text.len())?);
    let config = json!({
        "services": [{"name": "texts", "targets": [{"url": format!("http://{}", texts.address)}]}],
        "routes": [{"name": "texts", "match": {"path": "/*"}, "service": "texts", "compression": {}}],
    });
    let config = work.file("codings.yaml", &config.to_string())?;
    let mut gateway = Gateway::start(scope, &work, "gateway-codings", &Origin::File(&config))?;
    gateway.ready(Request::get(SHORT, None))?;
    let mut plain = Vec::new();
    let mut coded: [Vec<Sample>; CODINGS.len()] = Default::default();
    let mut lengths = [0_u32; CODINGS.len()];
    for _ in 0..scope.rounds {
        plain.push(sample(&gateway, None)?.0);
        for ((coding, samples), length) in CODINGS.iter().zip(&mut coded).zip(&mut lengths) {
            let (sample, sent) = sample(&gateway, Some(coding))?;
            samples.push(sample);
            *length = sent;
        }
    }
    drop(gateway);
    let (mut rows, plain_mib) = (Vec::new(), held(scope, &work, &config, None)?);
    for ((coding, samples), length) in CODINGS.iter().zip(&coded).zip(lengths) {
        let median = |of: fn(&Sample) -> f64| {
            let more: Vec<f64> = samples.iter().zip(&plain).map(|(coded, plain)| of(coded) - of(plain)).collect();
            Summary::of(&more).map(|summary| summary.median).context("no rounds")
        };
        let (whole, short) = (median(|sample| sample.whole_us)?, median(|sample| sample.short_us)?);
        let held = held(scope, &work, &config, Some(coding))? - plain_mib;
        rows.push(vec![
            (*coding).to_owned(),
            format!("{:.2}", held / f64::from(STREAMS)),
            format!("{:.0}", all / whole),
            format!("{:.1}", 100.0 * f64::from(length) / all),
            format!("{short:.0}"),
        ]);
    }
    let text = format!(
        "{}. {} KB of JSON and Markdown, then {} KB of it, through a route with `compression`; what is beyond the same \
         requests without `Accept-Encoding`, {} interleaved rounds, medians. CPU is user and system time of the gateway; \
         memory is that of {STREAMS} responses that wait for more at the same time.\n\n{}",
        machine::describe(),
        text.len() / 1000,
        origin::SHORT_LENGTH / 1024,
        scope.rounds,
        table(&["coding", "MiB for a response", "MB/s of CPU", "% of the length", "µs more for 4 KiB"], &rows)
    );
    Ok(Report { key: "codings", title: "Compressed responses", text, goals: Vec::new() })
}

/// CPU for a request, and how long the whole text was in the coding.
fn sample(gateway: &Gateway, accepts: Option<&str>) -> Result<(Sample, u32)> {
    let mut connection = Connection::open(gateway.traffic)?;
    let mut spend = |path: &str, requests: u32| -> Result<(f64, u32)> {
        let (before, mut length) = (gateway.program.cpu_time()?, 0);
        for _ in 0..requests {
            let answer = connection.send(Request { accepts, ..Request::get(path, None) })?;
            ensure!(answer.status == 200, "a request is answered {}", answer.status);
            ensure!(answer.header("content-encoding") == accepts, "another coding than {accepts:?}");
            length = u32::try_from(answer.body.len())?;
        }
        let spent = gateway.program.cpu_time()?.since(before).total();
        Ok((spent.as_secs_f64() * 1e6 / f64::from(requests), length))
    };
    let (whole_us, length) = spend(WHOLE, WHOLE_REQUESTS)?;
    let (short_us, _) = spend(SHORT, SHORT_REQUESTS)?;
    Ok((Sample { whole_us, short_us }, length))
}

/// MiB of a new gateway with so many responses on their way.
fn held(scope: &Scope, work: &WorkDir, config: &Path, accepts: Option<&str>) -> Result<f64> {
    let name = format!("gateway-{}", accepts.unwrap_or("plain"));
    let mut gateway = Gateway::start(scope, work, &name, &Origin::File(config))?;
    gateway.ready(Request::get(SHORT, None))?;
    let before = gateway.program.resident_kib()?;
    let mut connections = Vec::new();
    for _ in 0..STREAMS {
        let mut connection = Connection::open(gateway.traffic)?;
        connection.touch(Request { accepts, ..Request::get(HELD, None) })?;
        connections.push(connection);
    }
    // All of them have come as far as they come: the most of some looks.
    let (mut most, mut looks) = (0.0_f64, 0);
    wait::until("responses at rest", SETTLE_WITHIN, Duration::from_millis(50), || {
        most = most.max(gateway.program.resident_kib()?);
        looks += 1;
        Ok((looks == 20).then_some((most - before) / 1024.0))
    })
}

/// Text as services send it.
fn text(root: &Path) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for document in ["docs/openapi.json", "docs/edge.md", "docs/operations.md", "docs/config-language.md"] {
        text.extend(std::fs::read(root.join(document)).with_context(|| format!("{document} cannot be read"))?);
    }
    Ok(text)
}
