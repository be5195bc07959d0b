//! The trie that requests are looked up in.
//!
//! Decides in which order the places that match a request are visited: hosts first (exact, wildcards from the longest
//! suffix, any), then segment by segment literal before parameter before the end of a prefix. Always: no step allocates; a
//! node is visited at most once per lookup, because only one way leads to it and that way fixes which segment it sees, so a
//! lookup ends after at most as many steps as there are nodes; `work` says how many a request can really cause. The depth is
//! bounded by the segments of a pattern. Not here: methods (`table`), how nodes are stored (`records`, `freeze`).

use std::ops::ControlFlow;

use super::edges::Edges;
use super::records::{END, LITERAL, LITERALS, PARAMETER, Place, REST, Records, SLASH};
use crate::host;

/// Parents of the edges that lead from a host to its root; no record has these offsets.
pub(super) const EXACT: u32 = u32::MAX - 1;
pub(super) const SUFFIX: u32 = u32::MAX - 2;
pub(super) const IPV6: u32 = u32::MAX - 3;

/// The finished trie.
#[derive(Debug, Clone, Default)]
pub(super) struct Trie {
    pub(super) records: Records,
    pub(super) edges: Edges,
    /// The root of any host.
    pub(super) any_host: u32,
    pub(super) hosts: Hosts,
}

/// Which kinds of hosts there are, so that the others are not looked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hosts {
    pub(super) has_exact: bool,
    pub(super) has_ipv6: bool,
    /// Most and fewest dots in the suffix of a wildcard; none when there is no wildcard.
    pub(super) suffix_dots: Option<(usize, usize)>,
}

impl Trie {
    /// Visits the places that match, the most specific first, until `visit` breaks off. `host` is without port.
    pub(super) fn walk<B>(
        &self,
        host: Option<&str>,
        path: &str,
        visit: &mut impl FnMut(Place<'_>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        if let Some(host) = host
            && self.hosts.are_any()
        {
            self.walk_host(host, &mut |root| self.descend(root, path.as_bytes(), visit))?;
        }
        self.descend(self.any_host, path.as_bytes(), visit)
    }

    fn walk_host<B>(&self, host: &str, enter: &mut impl FnMut(u32) -> ControlFlow<B>) -> ControlFlow<B> {
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.contains(':') {
            let address = if self.hosts.has_ipv6 { host::ipv6_of(host) } else { None };
            let root = address.and_then(|address| self.root(IPV6, &address.octets()));
            return root.map_or(ControlFlow::Continue(()), enter);
        }
        if !host.bytes().any(|octet| octet.is_ascii_uppercase()) {
            return self.walk_lower(host.as_bytes(), enter);
        }
        let mut buffer = [0; host::MAX_HOST_BYTES];
        let Some(lower) = buffer.get_mut(..host.len()) else { return ControlFlow::Continue(()) };
        lower.copy_from_slice(host.as_bytes());
        lower.make_ascii_lowercase();
        self.walk_lower(lower, enter)
    }

    fn walk_lower<B>(&self, host: &[u8], enter: &mut impl FnMut(u32) -> ControlFlow<B>) -> ControlFlow<B> {
        if self.hosts.has_exact
            && let Some(root) = self.root(EXACT, host)
        {
            enter(root)?;
        }
        let Some((most, fewest)) = self.hosts.suffix_dots else { return ControlFlow::Continue(()) };
        let is_dot = |octet: &u8| *octet == b'.';
        let mut dots = host.iter().filter(|octet| is_dot(octet)).count();
        let mut rest = host;
        while let Some(dot) = rest.iter().position(is_dot) {
            let is_behind_a_label = dot > 0;
            rest = rest.get(dot + 1..).unwrap_or_default();
            dots -= 1;
            if dots < fewest {
                break;
            }
            if dots <= most
                && is_behind_a_label
                && let Some(root) = self.root(SUFFIX, rest)
            {
                enter(root)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn root(&self, kind: u32, host: &[u8]) -> Option<u32> {
        self.edges.get(&self.records, kind, host)
    }

    /// Visits the places below `node` that match `path`: empty, or a slash and what follows.
    fn descend<B>(
        &self,
        node: u32,
        path: &[u8],
        visit: &mut impl FnMut(Place<'_>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let Some(here) = self.records.node(node) else { return ControlFlow::Continue(()) };
        match path.split_first() {
            None => self.visit(here.field(END), visit)?,
            Some((_, [])) => self.visit(here.field(SLASH), visit)?,
            Some((_, tail)) => {
                let len = tail.iter().position(|&octet| octet == b'/').unwrap_or(tail.len());
                let (segment, below) = tail.split_at_checked(len).unwrap_or((tail, &[]));
                let literal = if here.has(LITERALS) {
                    self.edges.get(&self.records, node, segment)
                } else {
                    here.field(LITERAL)
                        .filter(|&child| self.records.node(child).is_some_and(|child| child.text == segment))
                };
                if let Some(child) = literal {
                    self.descend(child, below, visit)?;
                }
                if let Some(child) = here.field(PARAMETER)
                    && !segment.is_empty()
                {
                    self.descend(child, below, visit)?;
                }
            }
        }
        self.visit(here.field(REST), visit)
    }

    fn visit<B>(&self, place: Option<u32>, visit: &mut impl FnMut(Place<'_>) -> ControlFlow<B>) -> ControlFlow<B> {
        match place.and_then(|place| self.records.place(place)) {
            Some(place) => visit(place),
            None => ControlFlow::Continue(()),
        }
    }
}

impl Hosts {
    pub(super) const fn are_any(&self) -> bool {
        self.has_exact || self.has_ipv6 || self.suffix_dots.is_some()
    }
}
