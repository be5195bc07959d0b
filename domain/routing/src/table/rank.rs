//! Which of several routes at one place goes first.
//!
//! Decides by listed methods, a condition on the path, the number of conditions on header fields, then on query parameters,
//! then priority. Always: routes of the same rank exclude each other or are a conflict. Not here: hosts and paths (`trie`).

use std::cmp::Reverse;

use super::Entry;
use crate::{ConditionOn, RouteMatch};

/// How specific a route is beyond host and path; the least goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    takes_any_method: bool,
    tests_path: Reverse<bool>,
    fields: Reverse<usize>,
    parameters: Reverse<usize>,
    priority: Reverse<u16>,
}

impl Rank {
    pub(super) fn of(matcher: &RouteMatch) -> Self {
        let count = |is: fn(&ConditionOn) -> bool| matcher.conditions.iter().filter(|each| is(&each.on)).count();
        Self {
            takes_any_method: matcher.methods.is_empty(),
            tests_path: Reverse(count(|on| matches!(on, ConditionOn::Path)) > 0),
            fields: Reverse(count(|on| matches!(on, ConditionOn::Header(_)))),
            parameters: Reverse(count(|on| matches!(on, ConditionOn::Query(_)))),
            priority: Reverse(matcher.priority),
        }
    }
}

/// The routes of a place in the order in which they are asked. Names decide where it makes no difference.
pub(super) fn in_order<'e>(routes: &[u32], entries: &'e [Entry]) -> Vec<(u32, &'e Entry)> {
    let mut order: Vec<(u32, &Entry)> =
        routes.iter().filter_map(|&route| Some((route, entries.get(route as usize)?))).collect();
    order.sort_by(|(_, one), (_, other)| (one.rank, &one.name).cmp(&(other.rank, &other.name)));
    order
}
