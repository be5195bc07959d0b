//! Routes that no request can reach.
//!
//! Decides, under each host, whether more specific patterns together match everything a pattern does. Only prefixes can be
//! covered: a place of one literal or parameter has no finite number of more specific patterns that fill it. `/a/*` is, by
//! `/a`, `/a/` and `/a/{x}/*`. A host is never covered by others, as every other pattern that matches it is less specific or
//! matches less; any method is not covered by listed ones, as there are always others. Not here: routes of equal
//! specificity (`conflict`).

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use novagate_kernel::Name;

use super::Entry;
use super::draft::{Draft, DraftNode, Id};
use crate::{EncodedSlashes, Segment};

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
        let Some(place) = draft.place(node.rest) else { continue };
        for &route in place.routes.iter().filter(|route| !open.contains(route)).collect::<Vec<_>>() {
            let Some(entry) = entries.get(route as usize) else { continue };
            let mut cover = Cover { draft, entries, by: BTreeSet::new() };
            if cover.covers_rest_of(node, &entry.methods) {
                covered.entry(route).or_default().append(&mut cover.by);
            } else {
                open.insert(route);
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
    by: BTreeSet<u32>,
}

impl Cover<'_> {
    fn covers_rest_of(&mut self, node: &DraftNode, methods: &[Method]) -> bool {
        if methods.is_empty() {
            return self.covers_prefix(node, None);
        }
        methods.iter().all(|method| self.covers_prefix(node, Some(method)))
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

    /// Whether a route at the place takes the method; without one, any method.
    fn serves(&mut self, place: Option<Id>, method: Option<&Method>) -> bool {
        let routes = self.draft.place(place).map_or(&[][..], |place| &place.routes);
        let takes = |route: &&u32| {
            self.entries.get(**route as usize).is_some_and(|entry| match method {
                Some(method) => entry.methods.is_empty() || entry.methods.contains(method),
                None => entry.methods.is_empty(),
            })
        };
        let found = routes.iter().find(takes).copied();
        self.by.extend(found);
        found.is_some()
    }
}
