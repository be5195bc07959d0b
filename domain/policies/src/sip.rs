//! `SipHash` (Aumasson and Bernstein, 2012) with 128 bits of output: a keyed hash for tables whose keys strangers choose.
//!
//! Always: without the key nobody can aim at a cell or tell which input made a value. Not here: digests of secrets
//! (`access`) and keys that leave the process (those are HMAC-SHA256, [`crate::SharedKeyHasher`]).

use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

/// 128 secret bits from which keyed hashes are made; drawn once per process.
#[derive(Clone, Copy)]
pub struct HashKey {
    k0: u64,
    k1: u64,
}

impl HashKey {
    /// A key from 16 random bytes.
    pub const fn from_entropy(entropy: [u8; 16]) -> Self {
        let [a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7] = entropy;
        Self {
            k0: u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7]),
            k1: u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]),
        }
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HashKey(redacted)")
    }
}

/// An unfinished hash with `C` rounds per word and `D` at the end; input may come in parts.
pub(crate) struct Sip<const C: usize, const D: usize> {
    v: [u64; 4],
    tail: u64,
    pending: u32,
    length: usize,
}

impl<const C: usize, const D: usize> Sip<C, D> {
    pub(crate) const fn new(key: &HashKey) -> Self {
        Self {
            v: [
                key.k0 ^ 0x736f_6d65_7073_6575,
                key.k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
                key.k0 ^ 0x6c79_6765_6e65_7261,
                key.k1 ^ 0x7465_6462_7974_6573,
            ],
            tail: 0,
            pending: 0,
            length: 0,
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len());
        let mut rest = bytes;
        while self.pending != 0 {
            let Some((&byte, others)) = rest.split_first() else { return };
            self.push(byte);
            rest = others;
        }
        let (words, odd) = rest.as_chunks::<8>();
        for word in words {
            self.absorb(u64::from_le_bytes(*word));
        }
        for &byte in odd {
            self.push(byte);
        }
    }

    /// The 128-bit value: first and second half.
    pub(crate) fn finish(mut self) -> (u64, u64) {
        let length = self.length as u64;
        let last = (length << 56) | self.tail;
        self.absorb(last);
        self.v[2] ^= 0xee;
        for _ in 0..D {
            round(&mut self.v);
        }
        let first = self.fold();
        self.v[1] ^= 0xdd;
        for _ in 0..D {
            round(&mut self.v);
        }
        (first, self.fold())
    }

    const fn fold(&self) -> u64 {
        let [v0, v1, v2, v3] = self.v;
        v0 ^ v1 ^ v2 ^ v3
    }

    fn push(&mut self, byte: u8) {
        self.tail |= u64::from(byte) << (8 * self.pending);
        self.pending += 1;
        if self.pending == 8 {
            let word = self.tail;
            self.tail = 0;
            self.pending = 0;
            self.absorb(word);
        }
    }

    fn absorb(&mut self, word: u64) {
        self.v[3] ^= word;
        for _ in 0..C {
            round(&mut self.v);
        }
        self.v[0] ^= word;
    }
}

const fn round(v: &mut [u64; 4]) {
    let [mut v0, mut v1, mut v2, mut v3] = *v;
    v0 = v0.wrapping_add(v1);
    v1 = v1.rotate_left(13) ^ v0;
    v0 = v0.rotate_left(32);
    v2 = v2.wrapping_add(v3);
    v3 = v3.rotate_left(16) ^ v2;
    v0 = v0.wrapping_add(v3);
    v3 = v3.rotate_left(21) ^ v0;
    v2 = v2.wrapping_add(v1);
    v1 = v1.rotate_left(17) ^ v2;
    v2 = v2.rotate_left(32);
    *v = [v0, v1, v2, v3];
}

/// For maps whose keys are keyed hashes already.
pub(crate) type PassThrough = BuildHasherDefault<Handed>;

/// Hands a number on as its own hash.
#[derive(Debug, Default)]
pub(crate) struct Handed(u64);

impl Hasher for Handed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(parts: &[&[u8]]) -> [u8; 16] {
        let key = HashKey::from_entropy(std::array::from_fn(|at| at.to_le_bytes()[0]));
        let mut sip = Sip::<2, 4>::new(&key);
        for part in parts {
            sip.write(part);
        }
        let (first, second) = sip.finish();
        let mut out = [0; 16];
        out[..8].copy_from_slice(&first.to_le_bytes());
        out[8..].copy_from_slice(&second.to_le_bytes());
        out
    }

    #[test]
    fn the_reference_vectors_of_siphash_2_4_128_come_out() {
        // vectors_sip128 of the reference implementation: key 00..0f, input 00 01 02 ... of the given length.
        let vectors: [[u8; 16]; 4] = [
            [0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93],
            [0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45],
            [0x81, 0x77, 0x22, 0x8d, 0xa4, 0xa4, 0x5d, 0xc7, 0xfc, 0xa3, 0x8b, 0xde, 0xf6, 0x0a, 0xff, 0xe4],
            [0x9c, 0x70, 0xb6, 0x0c, 0x52, 0x67, 0xa9, 0x4e, 0x5f, 0x33, 0xb6, 0xb0, 0x29, 0x85, 0xed, 0x51],
        ];
        for (length, expected) in vectors.iter().enumerate() {
            assert_eq!(hash(&[&[0_u8, 1, 2][..length]]), *expected, "length {length}");
        }
    }

    #[test]
    fn how_the_input_is_cut_into_parts_makes_no_difference() {
        let input: Vec<u8> = (0..40).collect();
        let whole = hash(&[&input]);
        for cut in 0..=input.len() {
            let (left, right) = input.split_at(cut);
            assert_eq!(hash(&[left, right]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_key_never_prints() {
        assert_eq!(format!("{:?}", HashKey::from_entropy([0xab; 16])), "HashKey(redacted)");
    }
}
