//! Field lines, of a head or of a trailer section, up to and including the empty line that ends them.
//!
//! Always: a scanner remembers its place, so presenting the same bytes again with more behind them costs only the new ones;
//! the first violation in byte order is the one reported, however the bytes were cut. Not here: what a field means (`facts`).

use crate::{tables, violation::Violation};

/// Longer names do not exist; the header map behind us would refuse 64 KiB.
const MAX_NAME_BYTES: usize = 256;

/// One step through a block of fields.
pub(crate) enum Scan<'a> {
    /// A complete field line. The value is not trimmed; `value_at` is its place.
    Field { name: &'a [u8], value: &'a [u8], value_at: usize },
    /// The empty line was read; the block ends before this place.
    End(usize),
    /// The bytes end inside the block.
    Partial,
}

/// Where a scanner stands in a block of fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FieldScanner {
    phase: Phase,
    /// Next byte to look at.
    at: usize,
    /// First byte of the name of the current line.
    name_at: usize,
    /// The colon of the current line.
    colon_at: usize,
    /// Complete fields so far.
    count: usize,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    LineStart,
    Name,
    Value,
    LineEnd,
    BlockEnd,
}

impl FieldScanner {
    /// A scanner for the block that begins at `at`.
    pub(crate) const fn new(at: usize) -> Self {
        Self { phase: Phase::LineStart, at, name_at: at, colon_at: at, count: 0 }
    }

    /// Complete fields so far.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Goes on to the next complete field, the end of the block, or the end of the bytes.
    pub(crate) fn next<'a>(&mut self, bytes: &'a [u8], max_fields: usize) -> Result<Scan<'a>, Violation> {
        loop {
            match self.phase {
                Phase::LineStart => match bytes.get(self.at) {
                    None => return Ok(Scan::Partial),
                    Some(b'\r') => self.enter(Phase::BlockEnd, self.at + 1),
                    Some(b' ' | b'\t') => return Err(Violation::ObsFold),
                    Some(_) if self.count >= max_fields => return Err(Violation::TooManyFields),
                    Some(_) => {
                        self.name_at = self.at;
                        self.phase = Phase::Name;
                    }
                },
                Phase::Name => {
                    if !self.name(bytes)? {
                        return Ok(Scan::Partial);
                    }
                }
                Phase::Value => {
                    self.at = tables::end_of_value(bytes, self.at);
                    match bytes.get(self.at) {
                        None => return Ok(Scan::Partial),
                        Some(b'\r') => self.enter(Phase::LineEnd, self.at + 1),
                        Some(&byte) => return Err(Violation::of_byte(byte, Violation::BadFieldValue)),
                    }
                }
                Phase::LineEnd => {
                    if !line_feed(bytes, self.at)? {
                        return Ok(Scan::Partial);
                    }
                    return Ok(self.field(bytes));
                }
                Phase::BlockEnd => {
                    return line_feed(bytes, self.at)
                        .map(|there| if there { Scan::End(self.at + 1) } else { Scan::Partial });
                }
            }
        }
    }

    /// Reads a name and its colon; false when the bytes end before the colon.
    fn name(&mut self, bytes: &[u8]) -> Result<bool, Violation> {
        self.at = tables::end_of_token(bytes, self.at);
        if self.at - self.name_at > MAX_NAME_BYTES {
            return Err(Violation::FieldNameTooLong);
        }
        match bytes.get(self.at) {
            None => Ok(false),
            Some(b':') if self.at == self.name_at => Err(Violation::EmptyFieldName),
            Some(b':') => {
                self.colon_at = self.at;
                self.enter(Phase::Value, self.at + 1);
                Ok(true)
            }
            Some(b' ' | b'\t') => Err(Violation::SpaceBeforeColon),
            Some(&byte) => Err(Violation::of_byte(byte, Violation::BadFieldName)),
        }
    }

    /// The field whose line feed is at `at`.
    fn field<'a>(&mut self, bytes: &'a [u8]) -> Scan<'a> {
        let value_at = self.colon_at + 1;
        let name = bytes.get(self.name_at..self.colon_at).unwrap_or_default();
        let value = bytes.get(value_at..self.at - 1).unwrap_or_default();
        self.count += 1;
        self.enter(Phase::LineStart, self.at + 1);
        Scan::Field { name, value, value_at }
    }

    fn enter(&mut self, phase: Phase, at: usize) {
        self.phase = phase;
        self.at = at;
    }
}

/// Whether the line feed that must follow a carriage return is there; false when the bytes end before it.
pub(crate) fn line_feed(bytes: &[u8], at: usize) -> Result<bool, Violation> {
    match bytes.get(at) {
        None => Ok(false),
        Some(b'\n') => Ok(true),
        Some(_) => Err(Violation::BareCr),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and values of a complete block, one `name|value` a field.
    fn fields_of(block: &[u8], max: usize) -> Result<Vec<String>, Violation> {
        let mut scanner = FieldScanner::new(0);
        let mut fields = Vec::new();
        loop {
            match scanner.next(block, max)? {
                Scan::Field { name, value, value_at } => {
                    assert_eq!(block.get(value_at..value_at + value.len()), Some(value));
                    fields.push(String::from_utf8([name, value].join(&b'|')).unwrap());
                }
                Scan::End(at) => {
                    assert_eq!(at, block.len());
                    return Ok(fields);
                }
                Scan::Partial => panic!("block is complete"),
            }
        }
    }

    #[test]
    fn fields_come_with_their_raw_values() {
        let fields = fields_of(b"a:1\r\nb: \tx y \r\nc:\r\n\r\n", 3).unwrap();
        assert_eq!(fields, ["a|1", "b| \tx y ", "c|"]);
    }

    #[test]
    fn the_field_beyond_the_limit_is_refused_at_its_first_byte() {
        let mut scanner = FieldScanner::new(0);
        assert!(matches!(scanner.next(b"a:1\r\nb", 1), Ok(Scan::Field { .. })));
        assert!(matches!(scanner.next(b"a:1\r\nb", 1), Err(Violation::TooManyFields)));
    }

    #[test]
    fn an_empty_block_is_one_empty_line() {
        assert_eq!(fields_of(b"\r\n", 0), Ok(Vec::new()));
    }
}
