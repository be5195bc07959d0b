//! The nodes and places of the trie as bytes, in the order in which a lookup reads them.
//!
//! A node is its flags, the text that leads to it, and the offsets of what it has; a place is the routes that end there. What
//! belongs to one route lies side by side, so that a lookup in many thousand routes still touches few cache lines. Always: an
//! offset that was handed out by [`Writer`] reads back as what was written; any other reads as nothing or as something
//! harmless. Not here: which node comes next (`trie`).

/// A node's only literal child; its field is the child's offset.
pub(super) const LITERAL: u8 = 1;
/// The child for any segment; its field is the child's offset.
pub(super) const PARAMETER: u8 = 1 << 1;
/// The place of paths that end here.
pub(super) const END: u8 = 1 << 2;
/// The place of paths that end in a slash here.
pub(super) const SLASH: u8 = 1 << 3;
/// The place of the prefix that ends here.
pub(super) const REST: u8 = 1 << 4;
/// There are several literal children, and `edges` leads to them. No field.
pub(super) const LITERALS: u8 = 1 << 5;

/// Set beside the methods of a claim: the route has conditions.
pub(super) const CONDITIONAL: u16 = 1 << 15;

const NO_ROUTE: u32 = u32::MAX;

/// All records.
#[derive(Debug, Clone, Default)]
pub(super) struct Records(Box<[u8]>);

/// A node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a> {
    flags: u8,
    /// The text that leads to it: a literal, or the host of a root.
    pub(super) text: &'a [u8],
    /// The fields that its flags announce, lowest flag first, and whatever follows.
    fields: &'a [u8],
}

/// Who serves a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The route for any method, without conditions.
    pub(super) any_method: Option<u32>,
    claims: &'a [[u8; 6]],
}

/// A route that lists its methods or has conditions, in the order in which they are asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub(super) route: u32,
    /// The standard ones among its methods, as bits, and [`CONDITIONAL`].
    pub(super) standard: u16,
}

/// Appends records.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

/// A node that was written and whose fields are not filled yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draft {
    /// Its offset.
    pub(super) at: u32,
    flags: u8,
    fields: usize,
}

impl Records {
    pub(super) fn node(&self, at: u32) -> Option<Node<'_>> {
        let (&[flags, low, high], rest) = self.0.get(at as usize..)?.split_first_chunk()?;
        let (text, fields) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
        Some(Node { flags, text, fields })
    }

    pub(super) fn place(&self, at: u32) -> Option<Place<'_>> {
        let (any, rest) = self.0.get(at as usize..)?.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let (claims, _) = rest.as_chunks();
        let claims = claims.get(..u32::from_le_bytes(*len) as usize)?;
        let any_method = Some(u32::from_le_bytes(*any)).filter(|&route| route != NO_ROUTE);
        Some(Place { any_method, claims })
    }
}

impl Node<'_> {
    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The field of a flag, if the node has it.
    pub(super) fn field(&self, flag: u8) -> Option<u32> {
        if !self.has(flag) {
            return None;
        }
        let before = (self.flags & (flag - 1)).count_ones() as usize;
        self.fields.get(before * 4..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
    }
}

impl Place<'_> {
    pub(super) fn claims(&self) -> impl Iterator<Item = Claim> {
        self.claims.iter().map(|&[a, b, c, d, low, high]| Claim {
            route: u32::from_le_bytes([a, b, c, d]),
            standard: u16::from_le_bytes([low, high]),
        })
    }
}

impl Writer {
    /// Begins a node; `flags` says which fields will be filled. A text has at most [`crate::MAX_PATTERN_BYTES`].
    pub(super) fn node(&mut self, flags: u8, text: &[u8]) -> Draft {
        let at = self.end();
        let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
        self.0.push(flags);
        self.0.extend(len.to_le_bytes());
        self.0.extend(text);
        let fields = self.0.len();
        let count = (flags & !LITERALS).count_ones() as usize;
        self.0.resize(fields + count * 4, 0);
        Draft { at, flags, fields }
    }

    pub(super) fn fill(&mut self, node: Draft, flag: u8, offset: u32) {
        let field = node.fields + (node.flags & (flag - 1)).count_ones() as usize * 4;
        if let Some(word) = self.0.get_mut(field..).and_then(|rest| rest.first_chunk_mut()) {
            *word = offset.to_le_bytes();
        }
    }

    /// Writes a place; its offset.
    pub(super) fn place(&mut self, any_method: Option<u32>, claims: &[Claim]) -> u32 {
        let at = self.end();
        self.0.extend(any_method.unwrap_or(NO_ROUTE).to_le_bytes());
        self.0.extend(u32::try_from(claims.len()).unwrap_or(u32::MAX).to_le_bytes());
        for claim in claims {
            self.0.extend(claim.route.to_le_bytes());
            self.0.extend(claim.standard.to_le_bytes());
        }
        at
    }

    pub(super) fn finish(self) -> Records {
        Records(self.0.into())
    }

    /// The bound on the size of a draft keeps all records together below 4 GiB.
    fn end(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_reads_back() {
        let mut writer = Writer::default();
        let bare = writer.node(LITERALS, b"");
        let full = writer.node(LITERAL | PARAMETER | END | REST, b"users");
        let claims = [Claim { route: 7, standard: 3 }, Claim { route: 8, standard: 0x8000 }];
        let place = writer.place(None, &claims);
        let other = writer.place(Some(9), &[]);
        writer.fill(full, END, place);
        writer.fill(full, LITERAL, bare.at);
        writer.fill(full, REST, other);
        writer.fill(full, PARAMETER, 1234);
        let records = writer.finish();

        let node = records.node(full.at).unwrap();
        assert_eq!(node.text, b"users");
        assert_eq!([LITERAL, PARAMETER, END].map(|flag| node.field(flag)), [Some(bare.at), Some(1234), Some(place)]);
        assert_eq!([SLASH, REST].map(|flag| node.field(flag)), [None, Some(other)]);
        assert!(!node.has(LITERALS) && records.node(bare.at).unwrap().has(LITERALS));
        let read = records.place(place).unwrap();
        assert_eq!(read.any_method, None);
        assert_eq!(read.claims().map(|claim| (claim.route, claim.standard)).collect::<Vec<_>>(), [(7, 3), (8, 0x8000)]);
        assert_eq!(records.place(other).unwrap().any_method, Some(9));
        assert!(records.node(1 << 20).is_none() && records.place(1 << 20).is_none());
    }
}
