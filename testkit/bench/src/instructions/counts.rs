//! What callgrind has counted, by address.

use std::collections::HashMap;

use anyhow::{Context as _, Result};

/// Bytes that a processor reads of code at a time.
const LINE_BYTES: u64 = 64;

/// How callgrind is told to write what is read here.
pub(super) const ARGUMENTS: [&str; 4] =
    ["--dump-instr=yes", "--dump-line=no", "--compress-pos=no", "--compress-strings=no"];

/// How often each instruction has run, by its file and its address there.
#[derive(Debug, Default)]
pub(super) struct Counts(HashMap<(usize, u64), f64>);

/// What a request takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Instructions.
    pub(super) instructions: f64,
    /// Lines of code that at least every other request reads.
    pub(super) lines: usize,
}

impl Counts {
    /// Reads what callgrind has written.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (mut files, mut file, mut counts) = (Vec::new(), 0, HashMap::new());
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(name) = line.strip_prefix("ob=") {
                file = files.iter().position(|known| *known == name).unwrap_or(files.len());
                if file == files.len() {
                    files.push(name);
                }
            } else if line.starts_with("calls=") {
                // What the call cost is counted where it was spent.
                lines.next();
            } else if line.starts_with("0x") {
                let (address, count) = position(line).with_context(|| format!("callgrind has written {line:?}"))?;
                *counts.entry((file, address)).or_default() += count;
            }
        }
        Ok(Self(counts))
    }

    /// What each of so many requests took, of which `before` had none.
    pub(super) fn since(&self, before: &Self, requests: u32) -> Cost {
        let of_one = |(place, count): (&(usize, u64), &f64)| {
            let count = count - before.0.get(place).copied().unwrap_or_default();
            (*place, count / f64::from(requests))
        };
        let each: Vec<((usize, u64), f64)> = self.0.iter().map(of_one).collect();
        let often = each.iter().filter(|(_, count)| *count >= 0.5);
        let mut lines: Vec<(usize, u64)> = often.map(|((file, address), _)| (*file, address / LINE_BYTES)).collect();
        lines.sort_unstable();
        lines.dedup();
        Cost { instructions: each.iter().map(|(_, count)| count).sum(), lines: lines.len() }
    }
}

/// An address and how often what is there has run.
fn position(line: &str) -> Option<(u64, f64)> {
    let mut words = line.split(' ');
    let address = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    Some((address, words.next_back()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "events: Ir\n\nob=/a\nfn=main\n0x1000 0 4\ncalls=1 0x2000 0\n0x1004 0 900\n0x1004 0 4\n";
    const AFTER: &str = "events: Ir\n\nob=/a\nfn=main\n0x1000 0 24\ncalls=9 0x2000 0\n0x1004 0 9000\n0x1004 0 24\n\
                         fn=rare\n0x1040 0 2\nob=/b\nfn=other\n0x1000 0 10\n";

    #[test]
    fn a_request_costs_what_has_run_since_and_reads_the_lines_that_run_often() {
        let (before, after) = (Counts::parse(BEFORE).unwrap(), Counts::parse(AFTER).unwrap());
        let cost = after.since(&before, 10);
        assert!((cost.instructions - 5.2).abs() < 1e-9, "{cost:?}");
        assert_eq!(cost.lines, 2);
    }

    #[test]
    fn what_is_no_count_is_told() {
        assert!(Counts::parse("ob=/a\n0x10 0 many\n").unwrap_err().to_string().contains("0x10 0 many"));
    }
}
