//! Routes that no request can reach.
//!
//! Decides, under each host, whether routes that go first together take everything a route does. More specific patterns can
//! cover prefixes only: a place of one literal or parameter has no finite number of them that fill it. `/a/*` is covered by
//! `/a`, `/a/` and `/a/{x}/*`. A route at the same place covers another one if it goes first and has no condition that the
//! other one does not imply. A host is never covered by others, as every other pattern that matches it is less specific or
//! matches less; any method is not covered by listed ones, nor a condition by others that only together leave nothing out.
//! Not here: routes of equal specificity (`conflict`).

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use novagate_kernel::Name;

use super::Entry;
use super::draft::{Draft, DraftNode, Id};
use super::rank::in_order;
use crate::{Condition, EncodedSlashes, Segment};

/// Something that is allowed in a table and surely not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableWarning {
    /// Other routes together take every request that matches the route.
    Shadowed {
        /// The route that nothing reaches.
        route: Name,
        /// The more specific routes, by name.
        by: Vec<Name>,
    },
    /// The route's pattern has `%2F` in a literal, and the route does not keep encoded slashes: no request reaches it.
    EncodedSlashNotKept {
        /// The route that nothing reaches.
        route: Name,
    },
    /// A request can make a lookup take long: patterns mix literals and parameters in very many combinations.
    ManySteps {
        /// Most nodes that one lookup can visit.
        steps: u64,
    },
}

/// The warnings about single routes, in the order of their names.
pub(super) fn warnings(draft: &Draft, entries: &[Entry]) -> Vec<TableWarning> {
    let mut warnings: Vec<(&Name, TableWarning)> = Vec::new();
    for entry in entries.iter().filter(|entry| is_slash_lost(entry)) {
        warnings.push((&entry.name, TableWarning::EncodedSlashNotKept { route: entry.name.clone() }));
    }
    for (route, by) in shadowed(draft, entries) {
        let Some(entry) = entries.get(route as usize) else { continue };
        let names: BTreeSet<&Name> = by.iter().filter_map(|&other| Some(&entries.get(other as usize)?.name)).collect();
        let by = names.into_iter().cloned().collect();
        warnings.push((&entry.name, TableWarning::Shadowed { route: entry.name.clone(), by }));
    }
    warnings.sort_by_key(|&(name, _)| name);
    warnings.into_iter().map(|(_, warning)| warning).collect()
}

fn is_slash_lost(entry: &Entry) -> bool {
    let has_slash = |segment| matches!(segment, Segment::Literal(text) if text.contains("%2F"));
    entry.encoded_slashes != EncodedSlashes::Keep && entry.pattern.segments().any(has_slash)
}

/// The routes that are covered under all their hosts, and by which.
fn shadowed(draft: &Draft, entries: &[Entry]) -> BTreeMap<u32, BTreeSet<u32>> {
    let mut open: BTreeSet<u32> = BTreeSet::new();
    let mut covered: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for node in &draft.nodes {
        for (place, is_rest) in [(node.end, false), (node.slash, false), (node.rest, true)] {
            let routes = draft.place(place).map_or(&[][..], |place| &place.routes);
            let order = in_order(routes, entries);
            for (position, &(route, entry)) in order.iter().enumerate() {
                if open.contains(&route) {
                    continue;
                }
                let before = order.get(..position).unwrap_or_default();
                let below = is_rest.then_some(node);
                let mut cover = Cover { draft, entries, conditions: &entry.conditions, before, by: BTreeSet::new() };
                if cover.covers(below, &entry.methods) {
                    covered.entry(route).or_default().append(&mut cover.by);
                } else {
                    open.insert(route);
                }
            }
        }
    }
    covered.retain(|route, _| !open.contains(route));
    covered
}

/// What is found on the way to the answer.
struct Cover<'a> {
    draft: &'a Draft,
    entries: &'a [Entry],
    /// Of the route in question.
    conditions: &'a [Condition],
    /// The routes at the same place that are asked before it.
    before: &'a [(u32, &'a Entry)],
    by: BTreeSet<u32>,
}

impl Cover<'_> {
    /// Whether all that the route takes goes elsewhere; `below` is the node of a prefix.
    fn covers(&mut self, below: Option<&DraftNode>, methods: &[Method]) -> bool {
        let mut covers = |method| self.is_behind(method) || below.is_some_and(|node| self.covers_prefix(node, method));
        if methods.is_empty() { covers(None) } else { methods.iter().all(|method| covers(Some(method))) }
    }

    /// Whether a route at the same place takes all of it first.
    fn is_behind(&mut self, method: Option<&Method>) -> bool {
        let found = self.before.iter().find(|(_, entry)| self.takes_all(entry, method)).map(|&(route, _)| route);
        self.by.extend(found);
        found.is_some()
    }

    /// Whether all that the prefix at `node` matches goes elsewhere.
    fn covers_prefix(&mut self, node: &DraftNode, method: Option<&Method>) -> bool {
        // No path ends at a root: the shortest one is `/`.
        let covers_end = node.parent.is_none() || self.serves(node.end, method);
        covers_end && self.covers_below(node, method)
    }

    fn covers_below(&mut self, node: &DraftNode, method: Option<&Method>) -> bool {
        let draft = self.draft;
        self.serves(node.slash, method)
            && node.parameter.and_then(|child| draft.node(child)).is_some_and(|child| {
                self.serves(child.rest, method) || (self.serves(child.end, method) && self.covers_below(child, method))
            })
    }

    /// Whether a route at the place takes all of the method's; without one, of any method's.
    fn serves(&mut self, place: Option<Id>, method: Option<&Method>) -> bool {
        let routes = self.draft.place(place).map_or(&[][..], |place| &place.routes);
        let takes =
            |route: &&u32| self.entries.get(**route as usize).is_some_and(|entry| self.takes_all(entry, method));
        let found = routes.iter().find(takes).copied();
        self.by.extend(found);
        found.is_some()
    }

    /// Whether a route takes, as far as methods and conditions go, whatever the one in question does.
    fn takes_all(&self, entry: &Entry, method: Option<&Method>) -> bool {
        let by_method = match method {
            Some(method) => entry.takes(method),
            None => entry.methods.is_empty(),
        };
        let is_implied = |wanted: &Condition| self.conditions.iter().any(|condition| condition.implies(wanted));
        by_method && entry.conditions.iter().all(is_implied)
    }
}
