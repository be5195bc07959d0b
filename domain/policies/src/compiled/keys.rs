//! Consumer keys by digest: sorted, with an index over the leading bits.
//!
//! A digest is uniform, so an index with about as many cells as keys leaves about one key per cell; 36 bytes per key and 4
//! to 8 for the index. Not here: revocations between two configurations (`CompiledConfig::revoking`).

use std::fmt;

use novagate_access::KeyDigest;

/// Which consumer owns which key.
pub(super) struct KeyTable {
    /// Sorted by digest.
    entries: Box<[Entry]>,
    /// Where the digests start whose leading `bits` bits are at least the position.
    starts: Box<[u32]>,
    bits: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) digest: KeyDigest,
    /// Index of the consumer.
    pub(super) consumer: u32,
}

impl KeyTable {
    /// From entries without equal digests.
    pub(super) fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable();
        let bits = entries.len().next_power_of_two().trailing_zeros().min(24);
        let mut starts = vec![0_u32; (1_usize << bits) + 1];
        for entry in &entries {
            if let Some(next) = starts.get_mut(cell(&entry.digest, bits) + 1) {
                *next += 1;
            }
        }
        let mut sum = 0_u32;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        Self { entries: entries.into(), starts: starts.into(), bits }
    }

    /// The consumer whose key has this digest.
    pub(super) fn find(&self, digest: &KeyDigest) -> Option<u32> {
        let at = cell(digest, self.bits);
        let from = *self.starts.get(at)?;
        let to = *self.starts.get(at + 1)?;
        let candidates = self.entries.get(from as usize..to as usize)?;
        // Digests are looked up by value; the decision itself is made in constant time.
        let entry = candidates.get(candidates.partition_point(|entry| entry.digest < *digest))?;
        entry.digest.matches(digest).then_some(entry.consumer)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl fmt::Debug for KeyTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyTable({} keys)", self.entries.len())
    }
}

fn cell(digest: &KeyDigest, bits: u32) -> usize {
    let [a, b, c, d, ..] = *digest.as_bytes();
    (u32::from_be_bytes([a, b, c, d]).checked_shr(32 - bits).unwrap_or(0)) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(digests: &[[u8; 32]]) -> KeyTable {
        let numbered = digests.iter().zip(0..);
        KeyTable::new(
            numbered.map(|(bytes, consumer)| Entry { digest: KeyDigest::from_bytes(*bytes), consumer }).collect(),
        )
    }

    #[test]
    fn an_empty_table_knows_nobody() {
        assert_eq!(table(&[]).find(&KeyDigest::of(b"x")), None);
    }

    #[test]
    fn digests_that_share_their_leading_bits_are_told_apart() {
        let digests: Vec<[u8; 32]> = (0..200)
            .map(|last| {
                let mut bytes = [0; 32];
                bytes[31] = last;
                bytes
            })
            .collect();
        let table = table(&digests);
        for (bytes, consumer) in digests.iter().zip(0..) {
            assert_eq!(table.find(&KeyDigest::from_bytes(*bytes)), Some(consumer));
        }
        assert_eq!(table.find(&KeyDigest::from_bytes([0xff; 32])), None);
    }

    proptest! {
        #[test]
        fn exactly_the_inserted_digests_are_found(
            inserted in proptest::collection::hash_set(any::<[u8; 32]>(), 0..300), other: [u8; 32],
        ) {
            let inserted: Vec<_> = inserted.into_iter().collect();
            let table = table(&inserted);
            for (bytes, consumer) in inserted.iter().zip(0..) {
                prop_assert_eq!(table.find(&KeyDigest::from_bytes(*bytes)), Some(consumer));
            }
            prop_assert_eq!(table.find(&KeyDigest::from_bytes(other)).is_some(), inserted.contains(&other));
        }
    }
}
