//! Ids of stored telemetry: they rise with time, so that indexes grow at their end, and are worked out from where a row
//! comes from, so that storage needs no randomness.

use novagate_kernel::{BootId, LogId, Timestamp};

/// The ids of the rows of one batch.
pub(crate) struct RowIds {
    source: u64,
    position: u64,
}

impl RowIds {
    /// For the batch `batch_seq` of a run.
    pub(crate) const fn of(boot: BootId, batch_seq: u64) -> Self {
        let [high, low] = halves(boot.as_u128());
        Self { source: mix(high ^ mix(low ^ mix(batch_seq))), position: 0 }
    }

    /// The id of the next row: in the layout of UUID version 8 (RFC 9562, section 5.8) 48 bits of milliseconds, 12 of
    /// position, 62 of source.
    pub(crate) fn next(&mut self, at: Timestamp) -> LogId {
        let millis = u128::from(at.as_micros().max(0).unsigned_abs() / 1_000) & 0xffff_ffff_ffff;
        let position = u128::from(self.position & 0xfff);
        let source = u128::from(mix(self.source.wrapping_add(self.position >> 12)) >> 2);
        self.position += 1;
        LogId::from_u128((millis << 80) | (0x8 << 76) | (position << 64) | (0b10 << 62) | source)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of a number")]
const fn halves(value: u128) -> [u64; 2] {
    [(value >> 64) as u64, value as u64]
}

/// The finaliser of `SplitMix64`: each bit of the input changes about half of the output.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn rows_of_many_batches_at_one_moment_have_different_ids_of_version_8() {
        let at = Timestamp::from_seconds(1_800_000_000);
        let mut seen = BTreeSet::new();
        for boot in 0..10 {
            for batch_seq in 1..20 {
                let mut ids = RowIds::of(BootId::from_u128(boot), batch_seq);
                seen.extend((0..100).map(|_| ids.next(at)));
            }
        }
        assert_eq!(seen.len(), 10 * 19 * 100);
        assert!(seen.iter().all(|id| id.as_uuid().get_version_num() == 8));
    }

    #[test]
    fn later_rows_have_higher_ids() {
        let mut ids = RowIds::of(BootId::from_u128(1), 1);
        let early = ids.next(Timestamp::from_seconds(1));
        assert!(early < ids.next(Timestamp::from_seconds(2)));
        assert_eq!(ids.next(Timestamp::from_micros(-1)).as_u128() >> 80, 0);
    }
}
