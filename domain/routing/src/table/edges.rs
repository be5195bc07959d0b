//! The steps of the trie where a node has several literals, and from hosts to roots, as one hash table.
//!
//! Always: built once, never changed; at most three quarters full, so a probe ends. The hash is fast and has no secret: the
//! stored texts come from the tenant's own configuration, and what clients send is only compared, never stored. Not here:
//! the texts themselves, which are beside what they lead to (`records`).

use super::records::Records;

/// A hash table of steps; open addressing, linear probing.
#[derive(Debug, Clone, Default)]
pub(super) struct Edges {
    slots: Box<[Slot]>,
    mask: usize,
}

/// A step: from `parent` by the text of `child` to `child`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    pub(super) parent: u32,
    pub(super) child: u32,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    parent: u32,
    tag: u32,
    /// [`FREE`] when there is none.
    child: u32,
}

/// No record is there.
const FREE: u32 = u32::MAX;

impl Edges {
    /// The table of these steps, which are different from each other.
    pub(super) fn new(records: &Records, edges: &[Edge]) -> Self {
        let size = (edges.len() * 4 / 3 + 1).next_power_of_two();
        let free = Slot { parent: 0, tag: 0, child: FREE };
        let mut table = Self { slots: vec![free; size].into(), mask: size - 1 };
        for &Edge { parent, child } in edges {
            let text = records.node(child).map_or(&[][..], |node| node.text);
            let (mut at, tag) = table.home(parent, text);
            while table.slots.get(at).is_some_and(|slot| slot.child != FREE) {
                at = (at + 1) & table.mask;
            }
            if let Some(slot) = table.slots.get_mut(at) {
                *slot = Slot { parent, tag, child };
            }
        }
        table
    }

    /// Where the text leads from the parent.
    pub(super) fn get(&self, records: &Records, parent: u32, text: &[u8]) -> Option<u32> {
        let (mut at, tag) = self.home(parent, text);
        loop {
            let slot = self.slots.get(at).filter(|slot| slot.child != FREE)?;
            let is_same = || records.node(slot.child).is_some_and(|node| node.text == text);
            if slot.tag == tag && slot.parent == parent && is_same() {
                return Some(slot.child);
            }
            at = (at + 1) & self.mask;
        }
    }

    /// The first slot to look at, and the tag to look for.
    fn home(&self, parent: u32, text: &[u8]) -> (usize, u32) {
        let hash = hash(parent, text);
        let tag = u32::try_from(hash >> 32).unwrap_or_default();
        (usize::try_from(hash & 0xFFFF_FFFF).unwrap_or_default() & self.mask, tag)
    }
}

/// Multiplies and folds, eight bytes at a time (the core of wyhash).
fn hash(parent: u32, text: &[u8]) -> u64 {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
    const LAST: u64 = 0xD6E8_FEB8_6659_FD93;
    let (words, tail) = text.as_chunks::<8>();
    let seed = u64::from(parent) << 32 ^ LAST;
    let state = words.iter().fold(seed, |state, word| fold(state ^ u64::from_le_bytes(*word), STEP));
    // The one in front tells a tail of zeros from a shorter one.
    let rest = tail.iter().fold(1, |rest, &octet| rest << 8 | u64::from(octet));
    fold(fold(state ^ rest, STEP), LAST)
}

fn fold(left: u64, right: u64) -> u64 {
    let (low, high) = left.carrying_mul(right, 0);
    low ^ high
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::records::Writer;

    #[test]
    fn every_stored_step_is_found_and_no_other() {
        let names: Vec<String> = (0..5000).map(|number| format!("segment-{number}")).collect();
        let mut writer = Writer::default();
        let children: Vec<u32> = names.iter().map(|name| writer.node(0, name.as_bytes()).at).collect();
        let records = writer.finish();
        let edges: Vec<Edge> = (0..).zip(&children).map(|(at, &child)| Edge { parent: at % 7, child }).collect();
        let table = Edges::new(&records, &edges);
        for ((at, &child), name) in (0..).zip(&children).zip(&names) {
            assert_eq!(table.get(&records, at % 7, name.as_bytes()), Some(child));
            assert_eq!(table.get(&records, at % 7 + 1, name.as_bytes()), None);
        }
        assert_eq!(table.get(&records, 0, b"segment-5000"), None);
        assert_eq!(table.get(&records, 0, b""), None);
        assert_eq!(Edges::default().get(&records, 0, b"a"), None);
        assert_eq!(Edges::new(&records, &[]).get(&records, 0, b"a"), None);
    }

    #[test]
    fn neighbours_do_not_share_a_hash() {
        let mut hashes: Vec<u64> = Vec::new();
        for parent in 0..64 {
            hashes.extend((0..64_u8).map(|octet| hash(parent, &[octet])));
            hashes.extend((1..64).map(|len| hash(parent, &vec![0; len + 1])));
        }
        let all = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), all);
    }
}
