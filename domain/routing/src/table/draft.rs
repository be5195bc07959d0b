//! The trie while routes are added to it.
//!
//! Decides where a pattern ends in the trie. Always: patterns of one shape under one host end at the same place; a node is
//! reached by one way only and has a higher number than its parent; the size is bounded. Not here: which of
//! several routes at one place is served (`conflict`, `freeze`).

use std::collections::HashMap;
use std::num::NonZeroU32;

use crate::{Condition, HostPattern, PathPattern, RouteMatch, Segment};

/// Most memory that a table may take, in bytes, estimated: some 200,000 patterns of ten segments. A route takes it per host
/// and segment, so without a bound a small configuration could ask for a large table.
pub const MAX_TABLE_BYTES: usize = 1 << 26;

/// What a node costs beside its text.
const NODE_BYTES: usize = 32;
/// What a route costs under each host.
const CLAIM_BYTES: usize = 16;

/// Most routes with conditions or a priority at one path under one host: those that one look-up compares.
pub const MAX_RANKED: usize = 64;

/// Why a route does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TableFull {
    /// The hosts, segments and texts of all routes are too many for one table ([`MAX_TABLE_BYTES`]).
    #[error("the routes are too many for one table; each counts once per host, path segment and condition")]
    Memory,
    /// There are [`MAX_RANKED`] others with conditions or a priority at its path.
    #[error("at most {MAX_RANKED} routes with conditions or a priority can have one path under one host")]
    Ranked,
}

/// The number of a node or place; one word, also as an `Option`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(NonZeroU32);

/// The trie of all hosts; node 0 is the root of any host.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) nodes: Vec<DraftNode>,
    pub(super) places: Vec<Place>,
    /// The hosts of the roots, any host first.
    pub(super) hosts: Vec<Host>,
    /// Steps by a literal: from (node, text) to a node.
    pub(super) literals: HashMap<(Id, Text), Id>,
    /// The texts of literals, each once.
    pub(super) texts: HashMap<Box<str>, Text>,
    roots: HashMap<HostPattern, usize>,
    bytes: usize,
}

/// A root.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) pattern: Option<HostPattern>,
    pub(super) root: Id,
}

/// The number of a literal's text.
pub(super) type Text = u32;

#[derive(Debug, Default)]
pub(super) struct DraftNode {
    /// Where it hangs, and whether by a parameter. None: a root.
    pub(super) parent: Option<(Id, bool)>,
    /// The child for any segment.
    pub(super) parameter: Option<Id>,
    /// The place of paths that end here.
    pub(super) end: Option<Id>,
    /// The place of paths that end in a slash here.
    pub(super) slash: Option<Id>,
    /// The place of the prefix that ends here.
    pub(super) rest: Option<Id>,
}

/// Where patterns of one host and one shape end.
#[derive(Debug)]
pub(super) struct Place {
    /// Index of its host.
    pub(super) host: usize,
    /// The routes that end here, in the order of their numbers.
    pub(super) routes: Vec<u32>,
    /// How many of them have conditions or a priority.
    ranked: usize,
}

impl Id {
    pub(super) fn new(index: usize) -> Option<Self> {
        u32::try_from(index + 1).ok().and_then(NonZeroU32::new).map(Self)
    }

    pub(super) const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

impl Draft {
    pub(super) fn new() -> Self {
        let mut draft = Self {
            nodes: Vec::new(),
            places: Vec::new(),
            hosts: Vec::new(),
            literals: HashMap::new(),
            texts: HashMap::new(),
            roots: HashMap::new(),
            bytes: 0,
        };
        // The first node always fits.
        if let Ok(root) = draft.add_node(None, 0) {
            draft.hosts.push(Host { pattern: None, root });
        }
        draft
    }

    /// Lets the route end where the pattern does, under each of the hosts; under any host when there is none. Nothing is
    /// added when it does not fit.
    pub(super) fn add(&mut self, route: u32, matcher: &RouteMatch) -> Result<(), TableFull> {
        let RouteMatch { hosts, path, conditions, .. } = matcher;
        let chain = (path.segments().count() + 1) * NODE_BYTES + path.as_str().len() + CLAIM_BYTES;
        let names: usize = hosts.iter().map(|host| host.as_str().len()).sum();
        let tests: usize = conditions.iter().map(Condition::bytes).sum();
        let needed = chain.saturating_mul(hosts.len().max(1)).saturating_add(names).saturating_add(tests);
        if self.bytes.saturating_add(needed) > MAX_TABLE_BYTES {
            return Err(TableFull::Memory);
        }
        let is_ranked = !conditions.is_empty() || matcher.priority > 0;
        let known = hosts.iter().filter_map(|host| self.roots.get(host).copied()).chain(hosts.is_empty().then_some(0));
        let is_full = |host| self.place_of(host, path).is_some_and(|place| place.ranked >= MAX_RANKED);
        if is_ranked && known.into_iter().any(is_full) {
            return Err(TableFull::Ranked);
        }
        self.bytes += tests;
        if hosts.is_empty() {
            return self.claim(route, is_ranked, 0, path);
        }
        hosts.iter().try_for_each(|host| {
            let host = self.root_of(host)?;
            self.claim(route, is_ranked, host, path)
        })
    }

    pub(super) fn node(&self, id: Id) -> Option<&DraftNode> {
        self.nodes.get(id.index())
    }

    pub(super) fn place(&self, id: Option<Id>) -> Option<&Place> {
        id.and_then(|id| self.places.get(id.index()))
    }

    /// Where the pattern ends, if another one has ended there.
    fn place_of(&self, host: usize, path: &PathPattern) -> Option<&Place> {
        let mut node = self.hosts.get(host)?.root;
        for segment in path.segments() {
            let here = self.node(node)?;
            node = match segment {
                Segment::Literal("") => return self.place(here.slash),
                Segment::Rest => return self.place(here.rest),
                Segment::Literal(text) => *self.literals.get(&(node, *self.texts.get(text)?))?,
                Segment::Parameter(_) => here.parameter?,
            };
        }
        self.place(self.node(node)?.end)
    }

    fn root_of(&mut self, pattern: &HostPattern) -> Result<usize, TableFull> {
        if let Some(&known) = self.roots.get(pattern) {
            return Ok(known);
        }
        let root = self.add_node(None, pattern.as_str().len())?;
        let index = self.hosts.len();
        self.hosts.push(Host { pattern: Some(pattern.clone()), root });
        self.roots.insert(pattern.clone(), index);
        Ok(index)
    }

    fn claim(&mut self, route: u32, is_ranked: bool, host: usize, path: &PathPattern) -> Result<(), TableFull> {
        let claim = (route, is_ranked, host);
        let mut node = self.hosts.get(host).ok_or(TableFull::Memory)?.root;
        for segment in path.segments() {
            node = match segment {
                Segment::Literal("") => return self.settle(claim, node, |node| &mut node.slash),
                Segment::Rest => return self.settle(claim, node, |node| &mut node.rest),
                Segment::Literal(text) => self.literal_child(node, text)?,
                Segment::Parameter(_) => self.parameter_child(node)?,
            };
        }
        self.settle(claim, node, |node| &mut node.end)
    }

    fn settle(
        &mut self,
        (route, is_ranked, host): (u32, bool, usize),
        node: Id,
        slot: impl Fn(&mut DraftNode) -> &mut Option<Id>,
    ) -> Result<(), TableFull> {
        let free = Id::new(self.places.len()).ok_or(TableFull::Memory)?;
        let node = self.nodes.get_mut(node.index()).ok_or(TableFull::Memory)?;
        let id = *slot(node).get_or_insert(free);
        if id == free {
            self.places.push(Place { host, routes: Vec::new(), ranked: 0 });
        }
        let place = self.places.get_mut(id.index()).ok_or(TableFull::Memory)?;
        // A host that a route lists twice ends at the same place twice.
        if place.routes.last() != Some(&route) {
            place.routes.push(route);
            place.ranked += usize::from(is_ranked);
            self.bytes += CLAIM_BYTES;
        }
        Ok(())
    }

    fn literal_child(&mut self, parent: Id, text: &str) -> Result<Id, TableFull> {
        let number = if let Some(&known) = self.texts.get(text) {
            known
        } else {
            let number = u32::try_from(self.texts.len()).map_err(|_| TableFull::Memory)?;
            self.texts.insert(text.into(), number);
            number
        };
        if let Some(&child) = self.literals.get(&(parent, number)) {
            return Ok(child);
        }
        let child = self.add_node(Some((parent, false)), text.len())?;
        self.literals.insert((parent, number), child);
        Ok(child)
    }

    fn parameter_child(&mut self, parent: Id) -> Result<Id, TableFull> {
        if let Some(child) = self.node(parent).and_then(|node| node.parameter) {
            return Ok(child);
        }
        let child = self.add_node(Some((parent, true)), 0)?;
        if let Some(node) = self.nodes.get_mut(parent.index()) {
            node.parameter = Some(child);
        }
        Ok(child)
    }

    fn add_node(&mut self, parent: Option<(Id, bool)>, text: usize) -> Result<Id, TableFull> {
        let id = Id::new(self.nodes.len()).ok_or(TableFull::Memory)?;
        self.bytes += NODE_BYTES + text;
        self.nodes.push(DraftNode { parent, ..DraftNode::default() });
        Ok(id)
    }
}
