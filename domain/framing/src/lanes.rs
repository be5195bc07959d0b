//! Sixteen bytes at a time: the first of them that stops a scan.
//!
//! Not here: what follows from it, and the bytes that are fewer (`tables`).

use wide::u8x16;

/// How many bytes are looked at together: what processors of today have registers for.
pub(crate) const WIDTH: usize = 16;

/// The first byte that no field value may hold (RFC 9110, section 5.5), or a tab.
pub(crate) fn first_ending_value(bytes: &[u8; WIDTH]) -> Option<usize> {
    let bytes = u8x16::new(*bytes);
    first(within(bytes, 0, 0x1F) | bytes.simd_eq(u8x16::splat(0x7F)))
}

/// The first byte that is neither letter nor digit nor within `marks`.
pub(crate) fn first_other(bytes: &[u8; WIDTH], marks: (u8, u8)) -> Option<usize> {
    let bytes = u8x16::new(*bytes);
    // Nothing but a letter becomes a small letter by this bit.
    let letters = within(bytes | u8x16::splat(0x20), b'a', b'z');
    first(!(letters | within(bytes, b'0', b'9') | within(bytes, marks.0, marks.1)))
}

/// All bits of the bytes that are at least `least` and at most `most`.
fn within(bytes: u8x16, least: u8, most: u8) -> u8x16 {
    let above = bytes - u8x16::splat(least);
    above.min(u8x16::splat(most - least)).simd_eq(above)
}

fn first(found: u8x16) -> Option<usize> {
    let bits = found.to_bitmask();
    (bits != 0).then(|| bits.trailing_zeros() as usize)
}
