//! Revisions of a tenant's configuration and the digests that prove their content.

use std::fmt;

use crate::{HexError, decode_hex, encode_hex};

/// A random 48-bit number per tenant; it changes when a control-plane database is restored from a backup, so that two
/// histories with equal sequence numbers are never taken for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

/// Why a revision is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevisionError {
    /// More than 48 bits.
    #[error("an epoch has at most 48 bits")]
    EpochTooLarge,
    /// Not `<epoch>.<seq>`.
    #[error("not <epoch>.<seq> in decimal")]
    Malformed,
}

impl Epoch {
    const MASK: u64 = (1 << 48) - 1;

    /// An epoch from 48 bits or fewer.
    pub const fn try_from_u64(value: u64) -> Result<Self, RevisionError> {
        if value > Self::MASK { Err(RevisionError::EpochTooLarge) } else { Ok(Self(value)) }
    }

    /// A new epoch from 8 random bytes, of which 48 bits are kept.
    pub const fn from_entropy(entropy: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(entropy) & Self::MASK)
    }

    /// The number; below 2^48, so exact in a JSON number (RFC 8259, section 6) and in an SQL bigint.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// One published state of a tenant's configuration. `seq` starts at 1 for the empty configuration of a new tenant and
/// grows by one with every edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// Which history.
    pub epoch: Epoch,
    /// Position in that history.
    pub seq: u64,
}

impl Revision {
    /// The revision after this one.
    pub const fn next(self) -> Self {
        Self { epoch: self.epoch, seq: self.seq.saturating_add(1) }
    }

    /// Reads `<epoch>.<seq>`, both decimal.
    pub fn parse(text: &str) -> Result<Self, RevisionError> {
        let (epoch, seq) = text.split_once('.').ok_or(RevisionError::Malformed)?;
        let number = |part: &str| part.parse::<u64>().map_err(|_| RevisionError::Malformed);
        Ok(Self { epoch: Epoch::try_from_u64(number(epoch)?)?, seq: number(seq)? })
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.epoch, self.seq)
    }
}

/// A SHA-256 value: of one object's exact body bytes, or of a whole configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Wraps a hash value.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 lower-case hexadecimal characters.
    pub fn parse(text: &str) -> Result<Self, HexError> {
        decode_hex(text).map(Self)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&encode_hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Digest({self})")
    }
}

/// A revision together with the digest of its content: what a node reports as applied and a store as newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// Which revision.
    pub revision: Revision,
    /// What it contains.
    pub digest: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_prints_what_it_was_parsed_from() {
        let revision = Revision::parse("281474976710655.42").unwrap();
        assert_eq!(revision.to_string(), "281474976710655.42");
        assert_eq!(revision.next().seq, 43);
    }

    #[test]
    fn malformed_revisions_are_refused() {
        assert_eq!(Revision::parse("281474976710656.1"), Err(RevisionError::EpochTooLarge));
        for text in ["", "1", "1.", ".1", "1.-1", "1.2.3", "a.b"] {
            assert_eq!(Revision::parse(text), Err(RevisionError::Malformed), "{text}");
        }
    }

    #[test]
    fn entropy_keeps_48_bits() {
        assert_eq!(Epoch::from_entropy([0xff; 8]).get(), (1 << 48) - 1);
    }
}
