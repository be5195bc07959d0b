//! Which bytes may stand where, as one table of 256 entries, and scans over slices that use it.
//!
//! Always: a scan never looks outside the slice. Not here: what a stop byte means.

use crate::lanes;

/// `tchar` of RFC 9110 5.6.2: methods, field names, extension names.
pub(crate) const TOKEN: u8 = 1;
/// Raw bytes of a target before its `?`: what RFC 3986 allows plus `[`, `]`, `^`, `|`, which browsers send unescaped.
pub(crate) const PATH: u8 = 1 << 1;
/// Raw bytes of a query: printable ASCII without `"`, `#`, `<`, `>`.
pub(crate) const QUERY: u8 = 1 << 2;
/// Bytes of a field value: VCHAR, SP, HTAB, obs-text.
pub(crate) const VALUE: u8 = 1 << 3;
/// Bytes of a registered name or IPv4 address: letters, digits, `-`, `.`, `_`.
pub(crate) const HOST: u8 = 1 << 4;
/// `qdtext` of RFC 9110 5.6.4: a quoted string without `"` and `\`.
pub(crate) const QDTEXT: u8 = 1 << 5;
/// Hexadecimal digits.
pub(crate) const HEX: u8 = 1 << 6;

static CLASSES: [u8; 256] = build();

/// Whether the byte belongs to the class.
pub(crate) fn is(byte: u8, class: u8) -> bool {
    // The index cannot be out of range; `get` costs nothing and keeps the function free of a panic path.
    CLASSES.get(usize::from(byte)).is_some_and(|classes| classes & class != 0)
}

/// The place of the first byte at or after `from` that does not belong to the class; the length when all do. Never less
/// than `from`, even if that lies outside.
pub(crate) fn end_of_run(bytes: &[u8], from: usize, class: u8) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.iter().position(|&byte| !is(byte, class)).map_or(bytes.len().max(from), |run| from + run)
}

/// The place of the first byte at or after `from` that no token may hold (RFC 9110, section 5.6.2); the length when there is
/// none. For heads that somebody else reads.
pub fn end_of_token(bytes: &[u8], from: usize) -> usize {
    end_of_words(bytes, from, TOKEN, (b'-', b'-'))
}

/// The same for what may stand in the path or the query of a target.
pub(crate) fn end_of_target(bytes: &[u8], from: usize, class: u8) -> usize {
    end_of_words(bytes, from, class, (b'-', b'/'))
}

/// [`end_of_run`] for a class with all letters and digits and with `marks`, the first and the last: several bytes at a time
/// for as long as there are no others.
fn end_of_words(bytes: &[u8], from: usize, class: u8, marks: (u8, u8)) -> usize {
    let mut at = from;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<{ lanes::WIDTH }>) {
        let Some(other) = lanes::first_other(chunk, marks) else {
            at += lanes::WIDTH;
            continue;
        };
        at += other;
        if !bytes.get(at).is_some_and(|byte| is(*byte, class)) {
            return at;
        }
        at += 1;
    }
    end_of_run(bytes, at, class)
}

/// The same for field values (RFC 9110, section 5.5), several bytes at a time: values are most of a head.
pub fn end_of_value(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<{ lanes::WIDTH }>) {
        if let Some(end) = lanes::first_ending_value(chunk) {
            let is_tab = bytes.get(at + end) == Some(&b'\t');
            return if is_tab { end_of_run(bytes, at + end, VALUE) } else { at + end };
        }
        at += lanes::WIDTH;
    }
    end_of_run(bytes, at, VALUE)
}

/// The slice without spaces and tabs at both ends, and how many were removed in front.
pub(crate) fn trim(value: &[u8]) -> (usize, &[u8]) {
    let blank = |byte: &u8| !matches!(*byte, b' ' | b'\t');
    let start = value.iter().position(blank).unwrap_or(value.len());
    let end = value.iter().rposition(blank).map_or(start, |last| last + 1);
    (start, value.get(start..end).unwrap_or_default())
}

#[expect(clippy::indexing_slicing, reason = "a u8 cannot leave a table of 256, and slices have no const get")]
const fn build() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = classes_of(byte);
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

const fn classes_of(byte: u8) -> u8 {
    let mut classes = 0;
    let alphanumeric = byte.is_ascii_alphanumeric();
    if alphanumeric
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
    {
        classes |= TOKEN;
    }
    if matches!(byte, b'!' | b'$'..=b';' | b'=' | b'@'..=b'[' | b']'..=b'_' | b'a'..=b'z' | b'|' | b'~') {
        classes |= PATH;
    }
    if matches!(byte, b'!' | b'$'..=b';' | b'=' | b'?'..=b'~') {
        classes |= QUERY;
    }
    if matches!(byte, b'\t' | b' '..=b'~' | 0x80..=0xFF) {
        classes |= VALUE;
        if !matches!(byte, b'"' | b'\\') {
            classes |= QDTEXT;
        }
    }
    if alphanumeric || matches!(byte, b'-' | b'.' | b'_') {
        classes |= HOST;
    }
    if byte.is_ascii_hexdigit() {
        classes |= HEX;
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(class: u8) -> usize {
        (0..=u8::MAX).filter(|byte| is(*byte, class)).count()
    }

    #[test]
    fn classes_have_the_sizes_of_their_grammars() {
        assert_eq!(members(TOKEN), 62 + 15);
        assert_eq!(members(VALUE), 1 + 95 + 128);
        assert_eq!(members(QDTEXT), 1 + 95 + 128 - 2);
        assert_eq!(members(HOST), 62 + 3);
        assert_eq!(members(HEX), 22);
        assert_eq!(members(QUERY), 94 - 4);
        // Printable ASCII without " # < > ? \ ` { }
        assert_eq!(members(PATH), 94 - 9);
    }

    #[test]
    fn scans_by_words_stop_where_the_byte_scan_stops_for_every_byte_at_every_place() {
        for byte in 0..=u8::MAX {
            for place in 0..48 {
                for filler in *b"azAZ09-/~" {
                    let mut text = [filler; 48];
                    text[place] = byte;
                    for from in [0, 3, 8, 17] {
                        assert_eq!(end_of_token(&text, from), end_of_run(&text, from, TOKEN), "{byte} at {place}");
                        for class in [PATH, QUERY] {
                            assert_eq!(
                                end_of_target(&text, from, class),
                                end_of_run(&text, from, class),
                                "{byte} at {place}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn word_scan_stops_where_the_byte_scan_stops_for_every_byte_at_every_place() {
        for byte in 0..=u8::MAX {
            for place in 0..48 {
                for filler in [b'a', 0xFF, b' ', 0x80, b'~'] {
                    let mut text = [filler; 48];
                    text[place] = byte;
                    for from in [0, 3, 8] {
                        assert_eq!(end_of_value(&text, from), end_of_run(&text, from, VALUE), "{byte} at {place}");
                    }
                }
            }
        }
    }

    #[test]
    fn scans_beyond_the_end_stay_inside() {
        assert_eq!(end_of_run(b"abc", 3, TOKEN), 3);
        assert_eq!(end_of_value(b"", 0), 0);
        assert_eq!((end_of_run(b"abc", 9, TOKEN), end_of_value(b"abc", 9), end_of_token(b"abc", 9)), (9, 9, 9));
    }

    #[test]
    fn trim_counts_what_it_removes_in_front() {
        assert_eq!(trim(b" \t a b\t "), (3, &b"a b"[..]));
        assert_eq!(trim(b"  "), (2, &b""[..]));
        assert_eq!(trim(b""), (0, &b""[..]));
    }
}
