//! How long a lookup can take.
//!
//! Always: the answer is an upper bound for every request, whatever its host and path. It is small for every table that
//! means something; only patterns that mix literals and parameters at many places in all combinations make it large, and
//! they are as many as the steps they cause.

use std::collections::HashMap;

use super::TableWarning;
use super::draft::{Draft, Id};
use crate::HostPattern;

/// Steps that a lookup may need before the table warns: some tens of microseconds.
const MANY_STEPS: u64 = 1_000;

/// Most nodes that one lookup can visit.
pub(super) fn most_steps(draft: &Draft) -> u64 {
    let below = below(draft);
    let steps = |root: Id| below.get(root.index()).copied().unwrap_or_default();
    let mut any = 0;
    let mut exact = 0;
    let mut suffixes = HashMap::new();
    for host in &draft.hosts {
        match host.pattern.as_ref().map(HostPattern::suffix) {
            None => any = steps(host.root),
            Some(None) => exact = exact.max(steps(host.root)),
            Some(Some(suffix)) => {
                suffixes.insert(suffix, steps(host.root));
            }
        }
    }
    // A host has all the suffixes of its longest one.
    let chain = |suffix: &&str| tails(suffix).filter_map(|tail| suffixes.get(tail)).sum::<u64>();
    any + exact + suffixes.keys().map(chain).max().unwrap_or_default()
}

/// The warning that so many steps deserve.
pub(super) fn warning(steps: u64) -> Option<TableWarning> {
    (steps > MANY_STEPS).then_some(TableWarning::ManySteps { steps })
}

/// The same for the part of the trie under each node: itself, the heaviest literal child, the parameter child.
fn below(draft: &Draft) -> Vec<u64> {
    let mut literal = vec![0_u64; draft.nodes.len()];
    let mut parameter = vec![0_u64; draft.nodes.len()];
    let mut steps = vec![0_u64; draft.nodes.len()];
    // Children have higher numbers, so they are finished before their parent is reached.
    for (index, node) in draft.nodes.iter().enumerate().rev() {
        let sum = 1 + literal.get(index).unwrap_or(&0) + parameter.get(index).unwrap_or(&0);
        if let Some(slot) = steps.get_mut(index) {
            *slot = sum;
        }
        let Some((parent, by_parameter)) = node.parent else { continue };
        let side = if by_parameter { &mut parameter } else { &mut literal };
        if let Some(slot) = side.get_mut(parent.index()) {
            *slot = sum.max(*slot);
        }
    }
    steps
}

/// The text and what follows each of its dots.
fn tails(text: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(text), |rest| rest.split_once('.').map(|(_, tail)| tail))
}
