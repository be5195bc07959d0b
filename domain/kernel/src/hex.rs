//! Lower-case hexadecimal, the only spelling NovaGate writes and reads for digests and keys.

/// Why a text is not the hexadecimal form of exactly `N` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {wanted} lower-case hexadecimal characters")]
pub struct HexError {
    /// The number of characters that the value has when it is written correctly.
    pub wanted: usize,
}

const ALPHABET: &[u8; 16] = b"0123456789abcdef";

/// Writes bytes as lower-case hexadecimal.
pub fn encode_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0x0f])
        .filter_map(|nibble| ALPHABET.get(usize::from(nibble)).copied().map(char::from))
        .collect()
}

/// A UUID in its hyphenated form (RFC 9562, section 4). Every request's id is spelt by this, and more than once.
pub(crate) fn spell_uuid(value: u128) -> [u8; 36] {
    let mut text = *b"........-....-....-....-............";
    let bytes = value.to_be_bytes();
    let mut words = bytes.as_chunks::<4>().0.iter().map(|word| spell_word(u32::from_be_bytes(*word)));
    let [first, middle, next, last] = std::array::from_fn(|_| words.next().unwrap_or_default());
    let ((second, third), (fourth, fifth)) = (middle.split_at(4), next.split_at(4));
    let mut put = |at: usize, digits: &[u8]| {
        if let Some(place) = text.get_mut(at..at + digits.len()) {
            place.copy_from_slice(digits);
        }
    };
    put(0, &first);
    put(9, second);
    put(14, third);
    put(19, fourth);
    put(24, fifth);
    put(28, &last);
    text
}

/// Eight digits at a time, as the bytes of a word.
const fn spell_word(word: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut digits = word as u64;
    digits = (digits | digits << 16) & 0x0000_FFFF_0000_FFFF;
    digits = (digits | digits << 8) & 0x00FF_00FF_00FF_00FF;
    digits = (digits | digits << 4) & (ONES * 0x0F);
    // Of ten and more the fifth bit is set by this.
    let letters = ((digits + ONES * 6) >> 4) & ONES;
    (digits + ONES * b'0' as u64 + letters * (b'a' - b'0' - 10) as u64).to_be_bytes()
}

/// Reads exactly `N` bytes from `2 * N` lower-case hexadecimal characters; upper case is refused, so a value has one
/// spelling.
pub fn decode_hex<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let refused = HexError { wanted: N * 2 };
    if text.len() != N * 2 {
        return Err(refused);
    }
    let mut out = [0_u8; N];
    for (slot, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let &[high, low] = pair else { return Err(refused) };
        *slot = (nibble(high).ok_or(refused)? << 4) | nibble(low).ok_or(refused)?;
    }
    Ok(out)
}

const fn nibble(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_a_round_trip() {
        let bytes = [0x00, 0x7f, 0x80, 0xff];
        assert_eq!(encode_hex(&bytes), "007f80ff");
        assert_eq!(decode_hex::<4>("007f80ff"), Ok(bytes));
    }

    #[test]
    fn a_uuid_is_spelt_as_its_library_spells_it() {
        let mut value = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210_u128;
        for _ in 0..200 {
            let text = String::from_utf8(spell_uuid(value).to_vec()).unwrap();
            assert_eq!(text, uuid::Uuid::from_u128(value).hyphenated().to_string());
            value = value.wrapping_mul(0x2545_f491_4f6c_dd1d_9e37_79b9_7f4a_7c15).rotate_left(7);
        }
    }

    #[test]
    fn upper_case_wrong_length_and_other_characters_are_refused() {
        for text in ["007F80FF", "007f80f", "007f80fff", "007f80fg", "", "é07f80f"] {
            assert_eq!(decode_hex::<4>(text), Err(HexError { wanted: 8 }), "{text}");
        }
    }
}
