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
    fn upper_case_wrong_length_and_other_characters_are_refused() {
        for text in ["007F80FF", "007f80f", "007f80fff", "007f80fg", "", "é07f80f"] {
            assert_eq!(decode_hex::<4>(text), Err(HexError { wanted: 8 }), "{text}");
        }
    }
}
