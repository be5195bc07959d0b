//! Request paths in normal form.
//!
//! Decides what a raw path means: escapes of unreserved octets are decoded, the digits of the others are in upper case,
//! empty segments vanish, then dot segments are removed (RFC 3986 5.2.4). Always: a [`NormalPath`] begins with `/`, has no
//! empty segment but a last one, no dot segment, no octet that could not stand in a request; a path that is normal already
//! is scanned once and borrowed; normalising twice changes nothing. Not here: what `%2F` means, which only the route
//! knows (`table`), and the query, which is never touched.

use std::borrow::Cow;

use crate::octets::{self, Class, Escape};

/// A path that is matched and forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalPath<'a> {
    text: Cow<'a, str>,
    encoded_slash: bool,
}

/// Why a raw path is refused; each is a 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The first byte is not a slash.
    #[error("a path begins with /")]
    NotAbsolute,
    /// A raw octet that may not stand in a path: a control, a space, `\`, `?`, `#`, a delimiter, or no ASCII.
    #[error("byte {at} of the path must be percent-encoded")]
    BadByte {
        /// Its offset.
        at: usize,
    },
    /// A `%` without two hexadecimal digits.
    #[error("the % at byte {at} of the path is not followed by two hexadecimal digits")]
    BadEscape {
        /// Its offset.
        at: usize,
    },
    /// `%00` or `%5C`.
    #[error("the escape at byte {at} of the path is not allowed")]
    ForbiddenEscape {
        /// Its offset.
        at: usize,
    },
    /// More `..` than segments before them.
    #[error("the path leads above the root")]
    AboveRoot,
}

/// What one look at a path tells.
#[derive(Debug, Clone, Copy)]
struct Scan {
    normal: bool,
    encoded_slash: bool,
}

/// Brings a path, without query, into normal form. No path at all is `/` (RFC 3986 6.2.3).
pub fn normalise(raw: &str) -> Result<NormalPath<'_>, PathError> {
    let scan = Scan::of(raw.as_bytes())?;
    let text = match raw {
        "" => Cow::Borrowed("/"),
        _ if scan.normal => Cow::Borrowed(raw),
        _ => Cow::Owned(rebuild(raw)?),
    };
    Ok(NormalPath { text, encoded_slash: scan.encoded_slash })
}

/// [`normalise`] for bytes that are not known to be text.
pub fn normalise_bytes(raw: &[u8]) -> Result<NormalPath<'_>, PathError> {
    match std::str::from_utf8(raw) {
        Ok(text) => normalise(text),
        // What is not UTF-8 is not ASCII; the scan finds that place or an earlier fault.
        Err(error) => Err(Scan::of(raw).err().unwrap_or(PathError::BadByte { at: error.valid_up_to() })),
    }
}

impl<'a> NormalPath<'a> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `%2F` stands in it, so that the route decides what is matched.
    pub const fn has_encoded_slash(&self) -> bool {
        self.encoded_slash
    }

    /// Whether the request had it in normal form already.
    pub const fn is_borrowed(&self) -> bool {
        matches!(self.text, Cow::Borrowed(_))
    }

    /// The same path with every `%2F` read as `/`, in normal form again; that can lead above the root.
    pub fn with_slashes_decoded(&self) -> Result<NormalPath<'static>, PathError> {
        let text = rebuild(&self.text.replace("%2F", "/"))?;
        Ok(NormalPath { text: Cow::Owned(text), encoded_slash: false })
    }

    /// The text, with the lifetime of the request when it was borrowed from it.
    pub fn into_text(self) -> Cow<'a, str> {
        self.text
    }
}

impl Scan {
    fn of(raw: &[u8]) -> Result<Self, PathError> {
        let mut scan = Self { normal: true, encoded_slash: false };
        if !raw.is_empty() && raw.first() != Some(&b'/') {
            return Err(PathError::NotAbsolute);
        }
        let mut at = 0;
        let mut rest = raw;
        while let Some(plain) = rest.iter().position(|&octet| octets::class_of(octet) != Class::Plain) {
            at += plain;
            let behind = rest.get(plain + 1..).unwrap_or_default();
            match rest.get(plain) {
                Some(b'/') => scan.normal &= !is_removable(behind),
                Some(b'%') => scan.see(Escape::parse(behind), at)?,
                _ => return Err(PathError::BadByte { at }),
            }
            at += 1;
            rest = behind;
        }
        Ok(scan)
    }

    fn see(&mut self, escape: Option<Escape>, at: usize) -> Result<(), PathError> {
        let escape = escape.ok_or(PathError::BadEscape { at })?;
        if escape.is_forbidden() {
            return Err(PathError::ForbiddenEscape { at });
        }
        self.normal &= escape.is_normal();
        self.encoded_slash |= escape.octet == b'/';
        Ok(())
    }
}

/// Whether the segment that `rest` begins with is empty, though not the last one, or a dot segment.
fn is_removable(rest: &[u8]) -> bool {
    matches!(rest, [b'/', ..] | [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..])
}

/// The normal form of a path whose octets were found valid.
fn rebuild(raw: &str) -> Result<String, PathError> {
    let mut out = String::with_capacity(raw.len() + 1);
    let mut segments = raw.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        let start = out.len();
        out.push('/');
        decode_into(&mut out, segment);
        match out.get(start + 1..).unwrap_or_default() {
            "" if is_last => continue,
            "" | "." => out.truncate(start),
            ".." => {
                out.truncate(start);
                let parent = out.rfind('/').ok_or(PathError::AboveRoot)?;
                out.truncate(parent);
            }
            _ => continue,
        }
        // `/a/.` and `/a/b/..` name the directory `/a/`.
        if is_last {
            out.push('/');
        }
    }
    Ok(out)
}

fn decode_into(out: &mut String, segment: &str) {
    let mut rest = segment;
    while let Some((plain, escaped)) = rest.split_once('%') {
        out.push_str(plain);
        match Escape::parse(escaped.as_bytes()) {
            Some(escape) if octets::is_unreserved(escape.octet) => out.push(char::from(escape.octet)),
            _ => {
                out.push('%');
                out.extend(escaped.chars().take(2).map(|digit| digit.to_ascii_uppercase()));
            }
        }
        rest = escaped.get(2..).unwrap_or_default();
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests;
