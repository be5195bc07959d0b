//! The table of the edge benchmark.

use super::contender::{Contender, Sample, ratios};
use crate::report;
use crate::stats::Summary;

const HEAD: [&str; 8] =
    ["proxy", "CPU µs/request", "spread", "of it kernel", "ratio to the bar", "p50 ms", "p99 ms", "requests/s"];

/// One row for each contender; what is not installed says so.
pub(super) fn render(contenders: &[Contender]) -> String {
    let rows: Vec<_> = contenders.iter().map(|contender| row(contender, contenders)).collect();
    report::table(&HEAD, &rows)
}

fn row(contender: &Contender, all: &[Contender]) -> Vec<String> {
    let title = contender.kind.title().to_owned();
    if !contender.is_installed() {
        let rest = HEAD.iter().skip(2).map(|_| String::new());
        return [title, contender.kind.absence().to_owned()].into_iter().chain(rest).collect();
    }
    let summary = |value: fn(&Sample) -> f64| Summary::of(&contender.samples.iter().map(value).collect::<Vec<_>>());
    let median = |value: fn(&Sample) -> f64, digits: usize| {
        summary(value).map_or_else(String::new, |summary| format!("{:.digits$}", summary.median))
    };
    let cpu = summary(|sample| sample.cpu_us);
    let spread = cpu.map_or_else(String::new, |cpu| format!("{:.1} to {:.1}", cpu.least, cpu.most));
    let ratio = Summary::of(&ratios(all, contender.kind));
    let ratio = match ratio {
        _ if contender.kind == contender.kind.bar() => "bar".to_owned(),
        Some(ratio) => format!("{:.2} ({:.2} to {:.2})", ratio.median, ratio.least, ratio.most),
        None => "no bar here".to_owned(),
    };
    vec![
        title,
        median(|sample| sample.cpu_us, 1),
        spread,
        median(|sample| sample.kernel_us, 1),
        ratio,
        median(|sample| sample.outcome.p50.as_secs_f64() * 1e3, 2),
        median(|sample| sample.outcome.p99.as_secs_f64() * 1e3, 2),
        median(|sample| sample.outcome.rate, 0),
    ]
}
