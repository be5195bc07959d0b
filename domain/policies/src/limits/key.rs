//! The keys of buckets: in the table of this process, and in what the gateways of a fleet share.

use std::fmt;
use std::hash::{Hash, Hasher};

use novagate_access::{FleetKey, KeyedHash};

use crate::Bucket;
use crate::buckets::BucketName;
use crate::sip::{HashKey, Sip};

/// A bucket's key: a keyed hash, so a table full of keys tells nothing about clients and nobody can aim at a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientKey {
    high: u64,
    low: u64,
}

impl ClientKey {
    /// Wraps 128 bits that a keyed hash made.
    pub const fn from_halves(high: u64, low: u64) -> Self {
        Self { high, low }
    }

    /// Both halves.
    pub const fn halves(self) -> (u64, u64) {
        (self.high, self.low)
    }

    /// One of 256, evenly.
    pub(crate) const fn shard(self) -> u8 {
        self.low.to_le_bytes()[0]
    }
}

impl Hash for ClientKey {
    /// The value is a hash already; half of it tells entries apart.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.high);
    }
}

/// Makes keys of buckets.
#[derive(Debug, Clone, Copy)]
pub struct ClientKeyHasher {
    key: HashKey,
}

impl ClientKeyHasher {
    /// A hasher under a key that was drawn for this process.
    pub const fn new(key: HashKey) -> Self {
        Self { key }
    }

    /// The key of a bucket: SipHash-2-4-128 over its scope, kind and subject.
    pub fn key(&self, bucket: &Bucket<'_>) -> ClientKey {
        let mut sip = Sip::<2, 4>::new(&self.key);
        bucket.feed(|part| sip.write(part));
        let (high, low) = sip.finish();
        ClientKey { high, low }
    }
}

/// The key that was made last: most requests of a connection are counted in the same bucket.
#[derive(Clone, Default)]
pub struct LastKey(Option<(BucketName, ClientKey)>);

impl LastKey {
    /// What [`ClientKeyHasher::key`] makes of a bucket, which is not hashed again when it was the last one too. Always to be
    /// asked with the same hasher.
    pub fn key(&mut self, hasher: &ClientKeyHasher, bucket: &Bucket<'_>) -> ClientKey {
        let name = bucket.name();
        match self.0 {
            Some((last, key)) if name == Some(last) => key,
            _ => {
                let key = hasher.key(bucket);
                self.0 = name.map(|name| (name, key));
                key
            }
        }
    }
}

impl fmt::Debug for LastKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LastKey(redacted)")
    }
}

/// A bucket's key outside the process: the same on every gateway of a fleet, and without the fleet's key it tells nothing
/// about whose bucket it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharedKey([u8; 16]);

impl SharedKey {
    /// Wraps 128 bits that a keyed hash made.
    pub const fn from_hash(hash: [u8; 16]) -> Self {
        Self(hash)
    }

    /// The bits.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SharedKey({:032x})", u128::from_be_bytes(self.0))
    }
}

/// Makes the keys that a fleet shares: HMAC-SHA256 over scope, NUL, kind, NUL, subject, of which the first half is kept.
#[derive(Debug, Clone)]
pub struct SharedKeyHasher {
    hash: KeyedHash,
}

impl SharedKeyHasher {
    /// A hasher under the fleet's key.
    pub fn new(fleet: &FleetKey) -> Self {
        Self { hash: fleet.hash("rl") }
    }

    /// The key of a bucket.
    pub fn key(&self, bucket: &Bucket<'_>) -> SharedKey {
        let mut hash = self.hash.clone();
        bucket.feed(|part| hash.feed(part));
        SharedKey(hash.first_half())
    }

    /// The key of what is no bucket: `scope` is none of a bucket's and contains no NUL.
    pub fn of(&self, scope: &str, kind: &str, subject: &[u8]) -> SharedKey {
        let mut hash = self.hash.clone();
        for part in [scope.as_bytes(), b"\0", kind.as_bytes(), b"\0", subject] {
            hash.feed(part);
        }
        SharedKey(hash.first_half())
    }
}
