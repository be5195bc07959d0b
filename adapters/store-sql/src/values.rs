//! Between the domain's values and what columns hold. Always: a stored value that does not fit is a [`CorruptRow`], a
//! caller's value that does not fit is `Misuse`.

use std::fmt::Display;

use novagate_access::KeyDigest;
use novagate_kernel::{Digest, Epoch, Head, Name, ObjectKind, ObjectRef, Revision};
use uuid::Uuid;

use crate::error::{CorruptRow, StoreError};

/// How many rows one insert statement carries: few sizes, so that few statement texts are prepared.
const BATCH_SIZES: [usize; 3] = [64, 8, 1];

/// Where a value was read.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The table.
    pub(crate) table: &'static str,
    /// The row's key.
    pub(crate) row: &'a dyn Display,
}

impl<'a> Place<'a> {
    /// A row of a table.
    pub(crate) const fn of(table: &'static str, row: &'a dyn Display) -> Self {
        Self { table, row }
    }

    /// The error for one of its columns.
    pub(crate) fn corrupt(self, column: &'static str) -> CorruptRow {
        CorruptRow::at(self.table, column, self.row)
    }

    /// A count or sequence number.
    pub(crate) fn count(self, column: &'static str, stored: i64) -> Result<u64, CorruptRow> {
        u64::try_from(stored).map_err(|_| self.corrupt(column))
    }

    /// A number of a smaller type.
    pub(crate) fn small<T: TryFrom<i64>>(self, column: &'static str, stored: i64) -> Result<T, CorruptRow> {
        T::try_from(stored).map_err(|_| self.corrupt(column))
    }

    /// The 32 bytes of a hash.
    pub(crate) fn hash(self, column: &'static str, stored: &[u8]) -> Result<[u8; 32], CorruptRow> {
        stored.try_into().map_err(|_| self.corrupt(column))
    }

    /// A content digest.
    pub(crate) fn digest(self, column: &'static str, stored: &[u8]) -> Result<Digest, CorruptRow> {
        self.hash(column, stored).map(Digest::from_bytes)
    }

    /// A key's digest.
    pub(crate) fn key_digest(self, column: &'static str, stored: &[u8]) -> Result<KeyDigest, CorruptRow> {
        self.hash(column, stored).map(KeyDigest::from_bytes)
    }

    /// A name.
    pub(crate) fn name(self, column: &'static str, stored: &str) -> Result<Name, CorruptRow> {
        Name::parse(stored).map_err(|_| self.corrupt(column))
    }

    /// A kind of objects.
    pub(crate) fn kind(self, column: &'static str, stored: &str) -> Result<ObjectKind, CorruptRow> {
        ObjectKind::parse(stored).ok_or_else(|| self.corrupt(column))
    }

    /// A word of a closed list.
    pub(crate) fn word<T>(self, column: &'static str, parsed: Option<T>) -> Result<T, CorruptRow> {
        parsed.ok_or_else(|| self.corrupt(column))
    }

    /// A reference in two columns, both or neither of which are filled.
    pub(crate) fn reference(
        self,
        column: &'static str,
        kind: Option<&str>,
        id: Option<Uuid>,
    ) -> Result<Option<ObjectRef>, CorruptRow> {
        match (kind, id) {
            (Some(kind), Some(id)) => Ok(Some(ObjectRef { kind: self.kind(column, kind)?, id })),
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => Err(self.corrupt(column)),
        }
    }

    /// A revision in two columns.
    pub(crate) fn revision(self, epoch: i64, seq: i64) -> Result<Revision, CorruptRow> {
        let epoch = self.count("epoch", epoch)?;
        let epoch = Epoch::try_from_u64(epoch).map_err(|_| self.corrupt("epoch"))?;
        Ok(Revision { epoch, seq: self.count("seq", seq)? })
    }

    /// A revision in two columns, both or neither of which are filled.
    pub(crate) fn revision_opt(self, epoch: Option<i64>, seq: Option<i64>) -> Result<Option<Revision>, CorruptRow> {
        match (epoch, seq) {
            (Some(epoch), Some(seq)) => self.revision(epoch, seq).map(Some),
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => Err(self.corrupt("epoch")),
        }
    }

    /// A head in three columns.
    pub(crate) fn head_opt(
        self,
        epoch: Option<i64>,
        seq: Option<i64>,
        digest: Option<&[u8]>,
    ) -> Result<Option<Head>, CorruptRow> {
        match (self.revision_opt(epoch, seq)?, digest) {
            (Some(revision), Some(digest)) => Ok(Some(Head { revision, digest: self.digest("digest", digest)? })),
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => Err(self.corrupt("digest")),
        }
    }
}

/// A count or sequence number as a column holds it.
pub(crate) fn stored(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Misuse("a number is above 2^63"))
}

/// An epoch as a column holds it: 48 bits always fit.
pub(crate) fn stored_epoch(epoch: Epoch) -> i64 {
    i64::try_from(epoch.get()).unwrap_or(i64::MAX)
}

/// Splits rows into batches of few different sizes.
pub(crate) fn batches<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let size = BATCH_SIZES.into_iter().find(|&size| size <= rest.len())?;
        let (batch, after) = rest.split_at_checked(size)?;
        rest = after;
        Some(batch)
    })
}

/// Splits keys for `IN` lists of few different lengths; the last list repeats its last key.
pub(crate) fn key_lists(keys: &[Uuid]) -> impl Iterator<Item = Vec<Uuid>> {
    let full = BATCH_SIZES.first().copied().unwrap_or(1);
    keys.chunks(full).map(move |chunk| {
        let mut list = chunk.to_vec();
        if let (true, Some(&last)) = (list.len() > 1, list.last()) {
            list.resize(full, last);
        }
        list
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_every_row_once_in_few_sizes() {
        let rows: Vec<u32> = (0..151).collect();
        let sizes: Vec<usize> = batches(&rows).map(<[u32]>::len).collect();
        assert_eq!(sizes, [64, 64, 8, 8, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(batches(&rows).flatten().copied().collect::<Vec<_>>(), rows);
        assert_eq!(batches::<u32>(&[]).count(), 0);
    }

    #[test]
    fn key_lists_have_two_lengths_only() {
        let keys: Vec<Uuid> = (0..70).map(Uuid::from_u128).collect();
        let lists: Vec<usize> = key_lists(&keys).map(|list| list.len()).collect();
        assert_eq!(lists, [64, 64]);
        assert_eq!(key_lists(&keys[..1]).map(|list| list.len()).collect::<Vec<_>>(), [1]);
    }
}
