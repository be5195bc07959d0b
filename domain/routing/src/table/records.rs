//! The nodes and places of the trie as bytes, in the order in which a lookup reads them.
//!
//! A node is its flags, the text that leads to it, and the offsets of what it has, but for the first of that, which follows
//! it; a place is the routes that end there. What belongs to one route lies side by side and takes little, so that a
//! lookup in many thousand routes still touches few cache lines. Always: an offset that was handed out by [`Writer`] reads
//! back as what was written; any other reads as nothing or as something harmless. Not here: which node comes next (`trie`).

/// The place of paths that end here.
pub(super) const END: u8 = 1;
/// The place of paths that end in a slash here.
pub(super) const SLASH: u8 = 1 << 1;
/// The place of the prefix that ends here.
pub(super) const REST: u8 = 1 << 2;
/// The child for any segment; its field is the child's offset.
pub(super) const PARAMETER: u8 = 1 << 3;
/// A node's only literal child; its field is the child's offset.
pub(super) const LITERAL: u8 = 1 << 4;
/// There are several literal children, and `edges` leads to them. No field.
pub(super) const LITERALS: u8 = 1 << 5;

/// The flags that announce a field, in the order in which what they lead to is written.
const FIELDS: u8 = END | SLASH | REST | PARAMETER | LITERAL;
/// Bytes of a field.
const FIELD: u32 = 4;

/// Set beside the methods of a claim: the route has conditions.
pub(super) const CONDITIONAL: u16 = 1 << 15;

/// In the first byte of a place: there is a route for any method.
const ANY_METHOD: u8 = 1 << 7;
/// The same: claims are so many that their number is behind it.
const MANY: u8 = ANY_METHOD - 1;

/// All records.
#[derive(Debug, Clone, Default)]
pub(super) struct Records(Box<[u8]>);

/// A node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a> {
    flags: u8,
    /// The text that leads to it: a literal, or the host of a root.
    pub(super) text: &'a [u8],
    /// Where its fields begin.
    at: u32,
    /// The fields that its flags announce but for the first, lowest flag first, and whatever follows.
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
        let at = at.saturating_add(3).saturating_add(u32::from(u16::from_le_bytes([low, high])));
        Some(Node { flags, text, at, fields })
    }

    pub(super) fn place(&self, at: u32) -> Option<Place<'_>> {
        let (&first, mut rest) = self.0.get(at as usize..)?.split_first()?;
        let mut word = || {
            let (word, behind) = rest.split_first_chunk()?;
            rest = behind;
            Some(u32::from_le_bytes(*word))
        };
        let any_method = if first & ANY_METHOD == 0 { None } else { Some(word()?) };
        let count = first & MANY;
        let count = if count == MANY { word()? as usize } else { usize::from(count) };
        let (claims, _) = rest.as_chunks();
        Some(Place { any_method, claims: claims.get(..count)? })
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
        match count(self.flags & (flag - 1)) {
            0 => self.at.checked_add(stored(self.flags)),
            before => {
                self.fields.get(((before - 1) * FIELD) as usize..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
            }
        }
    }
}

/// The number of fields that these flags announce.
const fn count(flags: u8) -> u32 {
    (flags & FIELDS).count_ones()
}

/// Bytes of the fields that are written: what is first is where they end.
const fn stored(flags: u8) -> u32 {
    count(flags).saturating_sub(1) * FIELD
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
        self.0.resize(fields + stored(flags) as usize, 0);
        Draft { at, flags, fields }
    }

    /// What the lowest flag leads to is written right behind the node, and its offset nowhere.
    pub(super) fn fill(&mut self, node: Draft, flag: u8, offset: u32) {
        let Some(before) = count(node.flags & (flag - 1)).checked_sub(1) else { return };
        let field = node.fields + (before * FIELD) as usize;
        if let Some(word) = self.0.get_mut(field..).and_then(|rest| rest.first_chunk_mut()) {
            *word = offset.to_le_bytes();
        }
    }

    /// Writes a place; its offset.
    pub(super) fn place(&mut self, any_method: Option<u32>, claims: &[Claim]) -> u32 {
        let at = self.end();
        let few = u8::try_from(claims.len()).ok().filter(|&few| few < MANY);
        self.0.push(few.unwrap_or(MANY) | if any_method.is_some() { ANY_METHOD } else { 0 });
        self.0.extend(any_method.map(u32::to_le_bytes).iter().flatten());
        if few.is_none() {
            self.0.extend(u32::try_from(claims.len()).unwrap_or(u32::MAX).to_le_bytes());
        }
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
        let only = writer.node(PARAMETER, b"id");
        let behind = writer.node(0, b"");
        let records = writer.finish();

        let node = records.node(full.at).unwrap();
        assert_eq!(node.text, b"users");
        assert_eq!([LITERAL, PARAMETER, END].map(|flag| node.field(flag)), [Some(bare.at), Some(1234), Some(place)]);
        assert_eq!([SLASH, REST].map(|flag| node.field(flag)), [None, Some(other)]);
        assert!(!node.has(LITERALS) && records.node(bare.at).unwrap().has(LITERALS));
        assert_eq!(records.node(only.at).unwrap().field(PARAMETER), Some(behind.at));
        let read = records.place(place).unwrap();
        assert_eq!(read.any_method, None);
        assert_eq!(read.claims().map(|claim| (claim.route, claim.standard)).collect::<Vec<_>>(), [(7, 3), (8, 0x8000)]);
        let read = records.place(other).unwrap();
        assert_eq!((read.any_method, read.claims().count()), (Some(9), 0));
        assert!(records.node(1 << 20).is_none() && records.place(1 << 20).is_none());
    }

    #[test]
    fn places_of_many_claims_read_back_too() {
        for (count, any_method) in
            [126, 127, 128, 70_000].into_iter().flat_map(|count| [(count, None), (count, Some(3))])
        {
            let claims: Vec<_> = (0..count).map(|route| Claim { route, standard: 1 }).collect();
            let mut writer = Writer::default();
            let place = writer.place(any_method, &claims);
            let records = writer.finish();
            let read = records.place(place).unwrap();
            assert_eq!((read.any_method, read.claims().map(|claim| claim.route).eq(0..count)), (any_method, true));
        }
    }
}
