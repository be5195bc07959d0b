//! Which route takes a request.
//!
//! Decides the order of matches: host (exact, wildcard with the longer suffix, any), then the path segment by segment from
//! the left (literal, parameter, end of a prefix), then a listed method before any method, then more conditions, then
//! priority (`rank`). A route takes part only if all its criteria match, so a less specific one serves what a more specific
//! one does not; to a request that does not meet its conditions a route does not exist. Always: what is found does not
//! depend on the order in which routes were added; a lookup that finds a route does not allocate unless the path has `%2F`.
//! Methods are compared as they are: a route that lists GET does not serve HEAD. Not here: policies; `T` is whatever the
//! caller keeps for a route.
//!
//! **`%2F`.** A path that has it can be read in two ways: kept as it is, or decoded. Each reading is looked up among all
//! routes. If the route of the kept reading keeps encoded slashes, it takes the request; otherwise, if the route of the
//! decoded reading decodes them, that one does, with the decoded path. Otherwise the request is refused, as 400 when either
//! reading belongs to a route that rejects encoded slashes. So the path that is forwarded always goes where it would have
//! gone had it been sent like that: no encoding leads around a more specific route.

mod builder;
mod conflict;
mod draft;
mod edges;
mod freeze;
mod methods;
mod rank;
mod records;
mod shadow;
mod trie;
mod work;

use std::borrow::Cow;
use std::ops::ControlFlow;

use http::Method;
use novagate_kernel::Name;

use self::rank::Rank;
use self::records::{CONDITIONAL, Claim, Place};
use self::trie::Trie;
use crate::{
    Condition, EncodedSlashes, HostTemplate, NormalPath, PathPattern, PathTemplate, RequestView, Segment, Unwritable,
};

pub use self::{
    builder::RouteTableBuilder,
    conflict::{Conflict, MAX_CONFLICTS},
    draft::{MAX_RANKED, MAX_TABLE_BYTES, TableFull},
    methods::AllowedMethods,
    shadow::TableWarning,
};

/// Routes, found by host, method and path.
#[derive(Debug, Clone)]
pub struct RouteTable<T> {
    trie: Trie,
    /// What routes carry, side by side: the only thing of a route that a plain look-up reads beyond the trie.
    values: Box<[T]>,
    entries: Box<[Entry]>,
    /// Whether any route decodes encoded slashes.
    decodes: bool,
    warnings: Vec<TableWarning>,
    steps: u64,
}

/// The number of a route in its table: dense, from 0, in the order of insertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteIndex(u32);

/// What a lookup comes to.
#[derive(Debug)]
pub enum Lookup<'t, 'p, T> {
    /// A route takes the request.
    Found(Found<'t, 'p, T>),
    /// Host and path match routes, and none of them takes the method: 405 with `Allow`.
    MethodNotAllowed(AllowedMethods),
    /// No route: 404.
    NotFound,
    /// The path has `%2F`, and the route it belongs to rejects that: 400.
    EncodedSlash,
}

/// A route with the path it takes.
#[derive(Debug)]
pub struct Found<'t, 'p, T> {
    value: &'t T,
    entry: &'t Entry,
    index: RouteIndex,
    path: Cow<'p, str>,
}

/// A route, but for what it carries.
#[derive(Debug, Clone)]
struct Entry {
    name: Name,
    pattern: PathPattern,
    /// Empty: any method.
    methods: Box<[Method]>,
    conditions: Box<[Condition]>,
    rank: Rank,
    encoded_slashes: EncodedSlashes,
    /// How much of a path `strip_prefix` removes.
    prefix_len: usize,
}

/// What is looked up, but for the path.
struct Wanted<'r, V> {
    host: Option<&'r str>,
    method: &'r Method,
    view: &'r V,
}

/// The route that takes a request.
struct Taker<'t, T> {
    index: RouteIndex,
    entry: &'t Entry,
    value: &'t T,
}

/// What one reading of a path comes to.
enum Reading<'t, T> {
    Route(Taker<'t, T>),
    OtherMethods,
    Nothing,
}

impl<T> RouteTable<T> {
    /// The route that takes the request. `host` is without port; its case and one dot at its end make no difference.
    /// `view` is what conditions are asked of.
    pub fn find<'t, 'p>(
        &'t self,
        host: Option<&str>,
        method: &Method,
        path: &'p NormalPath<'_>,
        view: &impl RequestView,
    ) -> Lookup<'t, 'p, T> {
        let wanted = Wanted { host, method, view };
        if path.has_encoded_slash() {
            return self.find_encoded(&wanted, path);
        }
        match self.read(&wanted, path.as_str()) {
            Reading::Route(taker) => Lookup::Found(taker.found(Cow::Borrowed(path.as_str()))),
            Reading::OtherMethods => Lookup::MethodNotAllowed(self.allowed(&wanted, path.as_str())),
            Reading::Nothing => Lookup::NotFound,
        }
    }

    /// Whether any route has a host: without one it makes no difference which host is looked for.
    pub const fn has_hosts(&self) -> bool {
        self.trie.hosts.are_any()
    }

    /// What the route carries.
    pub fn get(&self, index: RouteIndex) -> Option<&T> {
        self.values.get(index.get())
    }

    /// All routes in the order of their indexes.
    pub fn iter(&self) -> impl Iterator<Item = (RouteIndex, &Name, &T)> {
        let routes = self.entries.iter().zip(&self.values);
        (0..).map(RouteIndex).zip(routes).map(|(index, (entry, value))| (index, &entry.name, value))
    }

    /// The number of routes.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no routes.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is allowed and surely not meant, in the order of names.
    pub fn warnings(&self) -> &[TableWarning] {
        &self.warnings
    }

    /// An upper bound on the nodes that one lookup visits, whatever the request.
    pub fn most_steps(&self) -> u64 {
        self.steps
    }

    /// The rule is in the head of this module.
    #[cold]
    fn find_encoded<'t, 'p>(
        &'t self,
        wanted: &Wanted<'_, impl RequestView>,
        path: &'p NormalPath<'_>,
    ) -> Lookup<'t, 'p, T> {
        let kept = self.read(wanted, path.as_str());
        match &kept {
            Reading::Route(taker) if taker.slashes() == EncodedSlashes::Keep => {
                return Lookup::Found(taker.found(Cow::Borrowed(path.as_str())));
            }
            Reading::Route(taker) if taker.slashes() == EncodedSlashes::Reject && !self.decodes => {
                return Lookup::EncodedSlash;
            }
            Reading::Route(..) | Reading::OtherMethods | Reading::Nothing => {}
        }
        let Ok(decoded) = path.with_slashes_decoded() else { return Lookup::EncodedSlash };
        let plain = self.read(wanted, decoded.as_str());
        match (&kept, &plain) {
            (_, Reading::Route(taker)) if taker.slashes() == EncodedSlashes::Decode => {
                Lookup::Found(taker.found(decoded.into_text()))
            }
            (Reading::Route(taker), _) | (_, Reading::Route(taker)) if taker.slashes() == EncodedSlashes::Reject => {
                Lookup::EncodedSlash
            }
            (Reading::OtherMethods, _) => Lookup::MethodNotAllowed(self.allowed(wanted, path.as_str())),
            (_, Reading::OtherMethods) => Lookup::MethodNotAllowed(self.allowed(wanted, decoded.as_str())),
            (Reading::Route(..) | Reading::Nothing, Reading::Route(..) | Reading::Nothing) => Lookup::NotFound,
        }
    }

    fn read(&self, wanted: &Wanted<'_, impl RequestView>, path: &str) -> Reading<'_, T> {
        let bit = methods::bit_of(wanted.method);
        let mut reading = Reading::Nothing;
        let walk = self.trie.walk(wanted.host, path, &mut |place| {
            if let Some(route) = self.taker(place, wanted, bit, path) {
                return ControlFlow::Break(route);
            }
            if place.claims().any(|claim| self.holds(claim, wanted, path)) {
                reading = Reading::OtherMethods;
            }
            ControlFlow::Continue(())
        });
        match walk {
            ControlFlow::Break(route) => match self.entries.get(route.get()).zip(self.values.get(route.get())) {
                Some((entry, value)) => Reading::Route(Taker { index: route, entry, value }),
                None => reading,
            },
            ControlFlow::Continue(()) => reading,
        }
    }

    /// The first route at the place that takes the request.
    fn taker(
        &self,
        place: Place<'_>,
        wanted: &Wanted<'_, impl RequestView>,
        bit: u16,
        path: &str,
    ) -> Option<RouteIndex> {
        let lists = |claim: &Claim| match bit {
            0 => self.entries.get(claim.route as usize).is_some_and(|entry| entry.takes(wanted.method)),
            _ => claim.standard & bit != 0,
        };
        let found = place.claims().find(|claim| lists(claim) && self.holds(*claim, wanted, path));
        found.map(|claim| claim.route).or(place.any_method).map(RouteIndex)
    }

    /// Whether the request meets the conditions of the route.
    fn holds(&self, claim: Claim, wanted: &Wanted<'_, impl RequestView>, path: &str) -> bool {
        claim.standard & CONDITIONAL == 0
            || self.entries.get(claim.route as usize).is_some_and(|entry| entry.holds(path, wanted.view))
    }

    /// The methods of all routes that only the method keeps from taking the request.
    fn allowed(&self, wanted: &Wanted<'_, impl RequestView>, path: &str) -> AllowedMethods {
        let mut methods = Vec::new();
        let _: ControlFlow<()> = self.trie.walk(wanted.host, path, &mut |place| {
            let holding = place.claims().filter(|claim| self.holds(*claim, wanted, path));
            for entry in holding.filter_map(|claim| self.entries.get(claim.route as usize)) {
                methods.extend_from_slice(&entry.methods);
            }
            ControlFlow::Continue(())
        });
        AllowedMethods::new(methods)
    }
}

impl Entry {
    fn takes(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.contains(method)
    }

    #[cold]
    fn holds(&self, path: &str, view: &impl RequestView) -> bool {
        self.conditions.iter().all(|condition| condition.holds(path, view))
    }
}

/// The table without routes.
impl<T> Default for RouteTable<T> {
    fn default() -> Self {
        let (values, entries) = (Box::default(), Box::default());
        Self { trie: Trie::default(), values, entries, decodes: false, warnings: Vec::new(), steps: 0 }
    }
}

impl<'t, T> Taker<'t, T> {
    fn found<'p>(&self, path: Cow<'p, str>) -> Found<'t, 'p, T> {
        Found { value: self.value, entry: self.entry, index: self.index, path }
    }

    const fn slashes(&self) -> EncodedSlashes {
        self.entry.encoded_slashes
    }
}

impl RouteIndex {
    /// The number.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

impl<'t, T> Found<'t, '_, T> {
    /// What the route carries.
    pub const fn value(&self) -> &'t T {
        self.value
    }

    /// The route's number.
    pub const fn index(&self) -> RouteIndex {
        self.index
    }

    /// The route's name.
    pub const fn name(&self) -> &'t Name {
        &self.entry.name
    }

    /// The pattern that matched.
    pub const fn pattern(&self) -> &'t PathPattern {
        &self.entry.pattern
    }

    /// The path that matched: what is forwarded unless the route says otherwise.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path without the literal segments in front of a `/a/*` pattern: `/a/b` becomes `/b`, `/a` and `/a/` become `/`; of
    /// `/a/{id}/*` it is `/a` that goes. Other patterns have no prefix, and their paths stay.
    pub fn stripped_path(&self) -> &str {
        match self.path.get(self.entry.prefix_len..) {
            Some("") | None => "/",
            Some(rest) => rest,
        }
    }

    /// The path that a template makes of it; `template` was read for the route that was found.
    pub fn rewritten_path(&self, template: &PathTemplate) -> Result<String, Unwritable> {
        let mut out = String::with_capacity(self.path.len() + template.as_str().len());
        template.write(&self.path, &mut |text| out.push_str(text))?;
        Ok(out)
    }

    /// The host that a template makes of it; `template` was read for the route that was found.
    pub fn rewritten_host(&self, template: &HostTemplate) -> Result<String, Unwritable> {
        template.write(&self.path)
    }

    /// The parameters of the pattern with what the path has in their place, still percent-encoded.
    pub fn parameters(&self) -> impl Iterator<Item = (&'t str, &str)> {
        let segments = self.entry.pattern.segments().zip(self.path.split('/').skip(1));
        segments.filter_map(|(segment, text)| match segment {
            Segment::Parameter(name) => Some((name, text)),
            Segment::Literal(_) | Segment::Rest => None,
        })
    }
}

#[cfg(test)]
mod tests;
