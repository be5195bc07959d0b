//! From the draft of a trie to the form that is looked up.
//!
//! Always: a node is followed by its places and then by its children, so that a lookup goes forward through memory.

use http::Method;

use super::draft::{Draft, Id};
use super::edges::{Edge, Edges};
use super::rank::in_order;
use super::records::{CONDITIONAL, Claim, END, LITERAL, LITERALS, PARAMETER, REST, SLASH, Writer};
use super::trie::{EXACT, Hosts, IPV6, SUFFIX, Trie};
use super::{Entry, methods};
use crate::HostPattern;

/// Finishes a draft in which no two routes collide.
pub(super) fn freeze(draft: &Draft, entries: &[Entry]) -> Trie {
    let mut texts = vec![""; draft.texts.len()];
    for (text, &number) in &draft.texts {
        if let Some(slot) = texts.get_mut(number as usize) {
            *slot = text;
        }
    }
    let mut children: Vec<Child<'_>> = Vec::with_capacity(draft.literals.len());
    for (&(parent, number), &id) in &draft.literals {
        children.push(Child { parent, id, text: texts.get(number as usize).copied().unwrap_or_default() });
    }
    children.sort_unstable_by_key(|child| (child.parent, child.id));
    let mut freezer = Freezer { draft, entries, children, writer: Writer::default(), edges: Vec::new() };
    let mut hosts = Hosts::default();
    let mut any_host = 0;
    for host in &draft.hosts {
        match &host.pattern {
            None => any_host = freezer.write(host.root, b""),
            Some(pattern) => freezer.write_host(pattern, host.root, &mut hosts),
        }
    }
    let records = freezer.writer.finish();
    let edges = Edges::new(&records, &freezer.edges);
    Trie { records, edges, any_host, hosts }
}

struct Freezer<'a> {
    draft: &'a Draft,
    entries: &'a [Entry],
    /// Sorted by parent.
    children: Vec<Child<'a>>,
    writer: Writer,
    edges: Vec<Edge>,
}

#[derive(Debug, Clone, Copy)]
struct Child<'a> {
    parent: Id,
    id: Id,
    text: &'a str,
}

impl Freezer<'_> {
    fn write_host(&mut self, pattern: &HostPattern, root: Id, hosts: &mut Hosts) {
        let (parent, child) = if let Some(suffix) = pattern.suffix() {
            let dots = suffix.bytes().filter(|&octet| octet == b'.').count();
            let (most, fewest) = hosts.suffix_dots.unwrap_or((dots, dots));
            hosts.suffix_dots = Some((most.max(dots), fewest.min(dots)));
            (SUFFIX, self.write(root, suffix.as_bytes()))
        } else if let Some(address) = pattern.ipv6() {
            hosts.has_ipv6 = true;
            (IPV6, self.write(root, &address.octets()))
        } else {
            hosts.has_exact = true;
            (EXACT, self.write(root, pattern.as_str().as_bytes()))
        };
        self.edges.push(Edge { parent, child });
    }

    /// Writes a node and all below it; its offset. As deep as a pattern has segments.
    fn write(&mut self, id: Id, text: &[u8]) -> u32 {
        let draft = self.draft;
        let first = self.children.partition_point(|child| child.parent < id);
        let count = self.children.get(first..).map_or(0, |rest| rest.partition_point(|child| child.parent == id));
        let Some(node) = draft.node(id) else { return 0 };
        let literal = [0, LITERAL, LITERALS].get(count).copied().unwrap_or(LITERALS);
        let flag = |present: Option<Id>, flag| if present.is_some() { flag } else { 0 };
        let places = [(node.end, END), (node.slash, SLASH), (node.rest, REST)];
        let flags =
            places.iter().fold(literal | flag(node.parameter, PARAMETER), |flags, &(id, bit)| flags | flag(id, bit));
        let written = self.writer.node(flags, text);
        for (place, bit) in places {
            if place.is_some() {
                let offset = self.write_place(place);
                self.writer.fill(written, bit, offset);
            }
        }
        if let Some(child) = node.parameter {
            let offset = self.write(child, b"");
            self.writer.fill(written, PARAMETER, offset);
        }
        for at in first..first + count {
            let Some(&child) = self.children.get(at) else { continue };
            let offset = self.write(child.id, child.text.as_bytes());
            if count == 1 {
                self.writer.fill(written, LITERAL, offset);
            } else {
                self.edges.push(Edge { parent: written.at, child: offset });
            }
        }
        written.at
    }

    fn write_place(&mut self, id: Option<Id>) -> u32 {
        let routes = self.draft.place(id).map_or(&[][..], |place| &place.routes);
        let mut any_method = None;
        let mut claims = Vec::new();
        for (route, entry) in in_order(routes, self.entries) {
            match (&*entry.methods, &*entry.conditions) {
                // What comes behind it takes nothing.
                ([], []) => {
                    any_method = Some(route);
                    break;
                }
                ([], _) => claims.push(Claim { route, standard: methods::ALL | CONDITIONAL }),
                (listed, []) => claims.push(Claim { route, standard: bits_of(listed) }),
                (listed, _) => claims.push(Claim { route, standard: bits_of(listed) | CONDITIONAL }),
            }
        }
        self.writer.place(any_method, &claims)
    }
}

fn bits_of(methods: &[Method]) -> u16 {
    methods.iter().fold(0, |bits, method| bits | methods::bit_of(method))
}
