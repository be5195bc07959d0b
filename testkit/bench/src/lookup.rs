//! P5: finding a route among 10,000 beside finding one among 10.
//!
//! Always: both tables get the same number of different request paths, so that the paths themselves cost the same; rounds
//! alternate between the tables; every lookup is checked to have found its route.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, ensure};
use http::Method;
use novagate_kernel::Name;
use novagate_routing::{
    EncodedSlashes, Lookup, NormalPath, PathPattern, RouteMatch, RouteTable, RouteTableBuilder, normalise,
};

use crate::machine;
use crate::report::{Goal, Report, table};
use crate::stats::Summary;
use crate::workspace::Scope;

const FEW: u32 = 10;
const MANY: u32 = 10_000;
const PATHS: u32 = 10_000;
/// Passes over all paths in one round.
const PASSES: u32 = 20;
const GOAL: f64 = 1.5;

/// Nanoseconds for a lookup in tables of both sizes, and their ratio.
///
/// # Errors
/// A lookup did not find what it should.
pub fn lookup(scope: &Scope) -> Result<Report> {
    let (few, many) = (Subject::new(FEW)?, Subject::new(MANY)?);
    for subject in [&few, &many] {
        subject.check()?;
        black_box(subject.nanoseconds());
    }
    let (mut few_ns, mut many_ns, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scope.rounds.max(5) {
        let (small, large) = (few.nanoseconds(), many.nanoseconds());
        few_ns.push(small);
        many_ns.push(large);
        ratios.push(large / small);
    }
    let row = |routes: u32, samples: &[f64]| {
        let summary = Summary::of(samples)?;
        let spread = format!("{:.0} to {:.0}", summary.least, summary.most);
        Some(vec![routes.to_string(), format!("{:.0}", summary.median), spread])
    };
    let rows = row(FEW, &few_ns).zip(row(MANY, &many_ns)).map(|(few, many)| [few, many]).context("no rounds")?;
    let head = ["routes", "ns for a lookup (median)", "spread"];
    let text = format!(
        "{}. In process: the path in its normal form to its route, {PATHS} different paths over all routes of the table.\n\n{}",
        machine::describe(),
        table(&head, &rows)
    );
    let measured = Summary::of(&ratios).map(|summary| summary.median);
    let what = format!("lookup in {MANY} routes / in {FEW}");
    let goals = vec![Goal { id: "P5", what, measured, at_most: GOAL, unit: "" }];
    Ok(Report { key: "lookup", title: "Route lookup", text, goals })
}

struct Subject {
    table: RouteTable<u32>,
    paths: Vec<NormalPath<'static>>,
    routes: u32,
}

impl Subject {
    fn new(routes: u32) -> Result<Self> {
        let mut builder = RouteTableBuilder::new();
        for number in 0..routes {
            let name = Name::parse(&format!("route-{number}"))?;
            let path = PathPattern::parse(&format!("/team-{number}/items/{{id}}"))?;
            let matcher = RouteMatch { methods: vec![Method::GET], ..RouteMatch::on(path) };
            builder.insert(name, &matcher, EncodedSlashes::Reject, number)?;
        }
        let table = builder.build().map_err(|conflicts| anyhow!("{} conflicts", conflicts.len()))?;
        // 7,919 is prime: neighbours in time are no neighbours in the table.
        let numbers = (0..PATHS).map(|step| (step * 7_919 % routes, step));
        let paths = side_by_side(numbers.map(|(number, id)| format!("/team-{number}/items/{id}")));
        Ok(Self { table, paths: paths.map(|path| Ok(normalise(path)?)).collect::<Result<_>>()?, routes })
    }

    fn find(&self, path: &NormalPath<'_>) -> Option<u32> {
        match self.table.find(Some("bench.example"), &Method::GET, path, &()) {
            Lookup::Found(found) => Some(*found.value()),
            Lookup::MethodNotAllowed(_) | Lookup::NotFound | Lookup::EncodedSlash => None,
        }
    }

    fn check(&self) -> Result<()> {
        for (step, path) in (0..PATHS).zip(&self.paths) {
            ensure!(self.find(path) == Some(step * 7_919 % self.routes), "{} finds another route", path.as_str());
        }
        Ok(())
    }

    fn nanoseconds(&self) -> f64 {
        let begin = Instant::now();
        for _ in 0..PASSES {
            for path in &self.paths {
                black_box(self.find(black_box(path)));
            }
        }
        begin.elapsed().as_secs_f64() * 1e9 / f64::from(PATHS * PASSES)
    }
}

/// Paths in one piece of memory, whatever this process has done before: where they lie is not what is measured. It lives as
/// long as the program: a benchmark makes a bounded number of them.
fn side_by_side(paths: impl Iterator<Item = String>) -> impl Iterator<Item = &'static str> {
    let lines: String = paths.map(|path| path + "\n").collect();
    Box::leak(lines.into_boxed_str()).lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_both_tables_finds_its_route() {
        for routes in [FEW, 200] {
            Subject::new(routes).unwrap().check().unwrap();
        }
    }
}
