//! Routes that claim the same requests with the same specificity.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use http::Method;
use novagate_kernel::Name;

use super::Entry;
use super::draft::{Draft, Place};
use crate::{HostPattern, PathPattern};

/// Most conflicts that one build reports; more would only repeat.
pub const MAX_CONFLICTS: usize = 64;

/// Two routes of equal specificity: the same host, the same path but for the names of parameters, a method in common, as many
/// conditions, none of which excludes the other route, and the same priority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The route whose name comes first in the alphabet.
    pub a: Name,
    /// The other one.
    pub b: Name,
    /// The host that both have; `None`: both have none.
    pub host: Option<HostPattern>,
    /// The path of `a`.
    pub path: PathPattern,
    /// A method that both list; `None`: both take any.
    pub method: Option<Method>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { a, b, host, path, method } = self;
        write!(
            formatter,
            "routes {a} and {b} match the same requests: {}",
            method.as_ref().map_or("any", Method::as_str)
        )?;
        write!(formatter, " {}{path}", host.as_ref().map_or("*", HostPattern::as_str))
    }
}

/// All conflicts by name, each pair once. Of many routes on one place each is reported against the first by name.
pub(super) fn find(draft: &Draft, entries: &[Entry]) -> Vec<Conflict> {
    let mut found: BTreeMap<(u32, u32), Conflict> = BTreeMap::new();
    let ranks = ranks(entries);
    let rank = |route: u32| ranks.get(route as usize).copied().unwrap_or(u32::MAX);
    for place in draft.places.iter().filter(|place| place.routes.len() > 1) {
        let mut routes = place.routes.clone();
        routes.sort_unstable_by_key(|&route| rank(route));
        for (first, second, method) in collisions(&routes, entries) {
            let key = (rank(first), rank(second));
            if let Some(conflict) = describe(draft, place, (first, second), method, entries) {
                keep_least(&mut found, key, conflict);
            }
        }
    }
    found.into_values().collect()
}

/// The pairs of `routes` that share a method and a rank and do not exclude each other, with that method.
fn collisions<'a>(routes: &[u32], entries: &'a [Entry]) -> Vec<(u32, u32, Option<&'a Method>)> {
    let mut holders: BTreeMap<_, Vec<(u32, &Entry)>> = BTreeMap::new();
    let mut pairs = BTreeSet::new();
    let mut collisions = Vec::new();
    for &route in routes {
        let Some(entry) = entries.get(route as usize) else { continue };
        let listed = entry.methods.iter().map(Some);
        let any = entry.methods.is_empty().then_some(None);
        for method in listed.chain(any) {
            let holders = holders.entry((method.map(Method::as_str), entry.rank)).or_default();
            match holders.iter().find(|(_, holder)| !exclude(holder, entry)) {
                None => holders.push((route, entry)),
                Some(&(holder, _)) if holder != route && pairs.insert((holder, route)) => {
                    collisions.push((holder, route, method));
                }
                Some(_) => {}
            }
        }
    }
    collisions
}

/// Whether no request meets the conditions of both.
fn exclude(one: &Entry, other: &Entry) -> bool {
    one.conditions.iter().any(|condition| other.conditions.iter().any(|other| condition.excludes(other)))
}

fn describe(
    draft: &Draft,
    place: &Place,
    (first, second): (u32, u32),
    method: Option<&Method>,
    entries: &[Entry],
) -> Option<Conflict> {
    let (first, second) = (entries.get(first as usize)?, entries.get(second as usize)?);
    Some(Conflict {
        a: first.name.clone(),
        b: second.name.clone(),
        host: draft.hosts.get(place.host)?.pattern.clone(),
        path: first.pattern.clone(),
        method: method.cloned(),
    })
}

/// One conflict per pair, under the first of their hosts, and the first [`MAX_CONFLICTS`] pairs: whatever came first.
fn keep_least(found: &mut BTreeMap<(u32, u32), Conflict>, key: (u32, u32), conflict: Conflict) {
    match found.get(&key) {
        Some(known) if known.host <= conflict.host => {}
        _ => {
            found.insert(key, conflict);
        }
    }
    if found.len() > MAX_CONFLICTS {
        found.pop_last();
    }
}

/// The place of each route in the order of names; its number decides between equal names.
fn ranks(entries: &[Entry]) -> Vec<u32> {
    let mut order: Vec<(u32, &Name)> = (0..).zip(entries.iter().map(|entry| &entry.name)).collect();
    order.sort_by_key(|&(_, name)| name);
    let mut ranks = vec![0; entries.len()];
    for (rank, (route, _)) in (0..).zip(order) {
        if let Some(slot) = ranks.get_mut(route as usize) {
            *slot = rank;
        }
    }
    ranks
}
