//! Which octets may stand in a path, and what `%XX` means.
//!
//! Always: request paths and path patterns share one alphabet, so a pattern that is accepted can be matched. Not here:
//! segments (`normal`, `pattern`).

/// What stands behind a `%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Escape {
    /// The octet that is meant.
    pub(crate) octet: u8,
    /// Whether both digits are in upper case.
    pub(crate) upper: bool,
}

impl Escape {
    /// Reads the two digits that follow a `%`.
    pub(crate) fn parse(digits: &[u8]) -> Option<Self> {
        let &[high, low, ..] = digits else { return None };
        let octet = nibble(high)? << 4 | nibble(low)?;
        Some(Self { octet, upper: !high.is_ascii_lowercase() && !low.is_ascii_lowercase() })
    }

    /// NUL ends a path and `\` is a slash for some upstreams: neither can be forwarded safely.
    pub(crate) const fn is_forbidden(self) -> bool {
        matches!(self.octet, 0 | b'\\')
    }

    /// Whether a normal path has it in this form.
    pub(crate) const fn is_normal(self) -> bool {
        self.upper && !is_unreserved(self.octet)
    }
}

/// What an octet is in a path. What may stand there as it is: `pchar` of RFC 3986 and `[`, `]`, `^`, `|`, which browsers do
/// not escape. The framing of requests draws the same line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Must be escaped.
    Foreign,
    /// Stands for itself.
    Plain,
    /// `/` or `%`.
    Special,
}

pub(crate) fn class_of(octet: u8) -> Class {
    // The index cannot be out of range; `get` keeps the function free of a panic path.
    CLASSES.get(usize::from(octet)).copied().unwrap_or(Class::Foreign)
}

/// `unreserved` of RFC 3986: octets that mean the same with and without escape.
pub(crate) const fn is_unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~')
}

static CLASSES: [Class; 256] = build();

#[expect(clippy::indexing_slicing, reason = "a u8 cannot leave a table of 256, and slices have no const get")]
const fn build() -> [Class; 256] {
    let mut table = [Class::Foreign; 256];
    let mut octet = 0_u8;
    loop {
        table[octet as usize] = match octet {
            b'/' | b'%' => Class::Special,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@' | b'[' | b']'
            | b'^' | b'|' => Class::Plain,
            _ if is_unreserved(octet) => Class::Plain,
            _ => Class::Foreign,
        };
        if octet == u8::MAX {
            return table;
        }
        octet += 1;
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
