//! The page of results: `docs/benchmarks.md`, one section for each benchmark.
//!
//! Always: writing one section leaves the others as they are.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::Report;

const HEAD: &str = "\
# Benchmarks

Made by `cargo xtask bench <name> --write` from the `dist` profile. Absolute times differ by machine and hour; only ratios \
from one interleaved run count.
";

/// Writes or replaces the report's section of the page.
///
/// # Errors
/// The page cannot be read or written.
pub fn write_section(page: &Path, report: &Report) -> Result<()> {
    let text = match fs::read_to_string(page) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => HEAD.to_owned(),
        Err(error) => return Err(error).context("cannot read the page"),
    };
    if let Some(folder) = page.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(page, with_section(&text, report)).context("cannot write the page")
}

fn with_section(text: &str, report: &Report) -> String {
    let (begin, end) = (format!("<!-- {} -->\n", report.key), format!("<!-- end of {} -->\n", report.key));
    let section = format!("{begin}{}{end}", report.to_markdown());
    let place = text.find(&begin).and_then(|from| text.find(&end).map(|to| (from, to + end.len())));
    match place.and_then(|(from, to)| Some((text.get(..from)?, text.get(to..)?))) {
        Some((before, after)) => format!("{before}{section}{after}"),
        None => format!("{}\n\n{section}", text.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_replaces_itself_and_leaves_the_others() {
        let report = |key, text: &str| Report { key, title: "T", text: text.to_owned(), goals: Vec::new() };
        let page = with_section(HEAD, &report("a", "first text"));
        let page = with_section(&page, &report("b", "two"));
        let again = with_section(&page, &report("a", "three"));
        assert_eq!(again, page.replace("first text", "three"));
        assert!(again.starts_with(HEAD.trim_end()) && again.contains("two"));
    }
}
