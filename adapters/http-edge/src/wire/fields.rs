//! The fields of a head that is known to be valid, as places in its bytes.

use novagate_framing::{end_of_token, end_of_value};

use super::names::{FieldName, options};

/// One field: its line in the head, and what its name means.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: FieldName,
    start: usize,
    colon: usize,
    end: usize,
}

/// The fields of one head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    head: &'a [u8],
    fields: &'a [Field],
}

/// What `Connection` says about a message and its connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ConnectionOptions {
    pub(crate) closes: bool,
    pub(crate) keeps_alive: bool,
    /// There is an option that could name another field.
    pub(crate) names_fields: bool,
}

impl ConnectionOptions {
    /// Takes note of a `Connection` field.
    pub(crate) fn observe(&mut self, value: &[u8]) {
        match value {
            // What nearly all of them say.
            b"keep-alive" => self.keeps_alive = true,
            b"close" => self.closes = true,
            list => options(list).for_each(|option| match option.len() {
                5 if option.eq_ignore_ascii_case(b"close") => self.closes = true,
                10 if option.eq_ignore_ascii_case(b"keep-alive") => self.keeps_alive = true,
                7 if option.eq_ignore_ascii_case(b"upgrade") => {}
                _ => self.names_fields = true,
            }),
        }
    }
}

impl Field {
    /// A line from `start` to behind its CRLF with its colon at `colon`.
    pub(crate) fn new(head: &[u8], start: usize, colon: usize, end: usize) -> Self {
        Self { name: FieldName::of(head.get(start..colon).unwrap_or_default()), start, colon, end }
    }
}

/// Finds the fields of a valid request head; they begin at `at`.
pub(crate) fn scan(head: &[u8], at: usize, into: &mut Vec<Field>) {
    into.clear();
    let mut start = at;
    while head.get(start).is_some_and(|&byte| byte != b'\r') {
        let colon = end_of_token(head, start);
        let end = end_of_value(head, colon) + 2;
        into.push(Field::new(head, start, colon, end));
        start = end;
    }
}

impl<'a> Fields<'a> {
    pub(crate) const fn new(head: &'a [u8], fields: &'a [Field]) -> Self {
        Self { head, fields }
    }

    /// The values of the fields with this meaning.
    pub(crate) fn values(self, name: FieldName) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |field| field.name == name).map(move |field| self.value(field))
    }

    /// The value of the only field with this meaning.
    pub(crate) fn single(self, name: FieldName) -> Option<&'a [u8]> {
        let mut values = self.values(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// The values of the fields of this name, whatever it means.
    pub(crate) fn named(self, name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.fields.iter().filter(move |field| self.name(field).eq_ignore_ascii_case(name));
        fields.map(move |field| self.value(field))
    }

    /// The value of a cookie (RFC 6265, section 4.2.1); the first of several.
    pub(crate) fn cookie(self, name: &[u8]) -> Option<&'a [u8]> {
        let mut pairs = self.named(b"cookie").flat_map(|value| value.split(|&byte| byte == b';'));
        pairs.find_map(|pair| pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"="))
    }

    /// Copies the lines of the fields that `keep` says, as they are; neighbours in one piece.
    pub(crate) fn copy_lines(self, out: &mut Vec<u8>, mut keep: impl FnMut(&Field, &'a [u8]) -> bool) {
        let Some(first) = self.fields.first() else { return };
        let mut run = first.start..first.start;
        for field in self.fields {
            if keep(field, self.name(field)) {
                run.end = field.end;
            } else {
                out.extend_from_slice(self.head.get(run).unwrap_or_default());
                run = field.end..field.end;
            }
        }
        out.extend_from_slice(self.head.get(run).unwrap_or_default());
    }

    /// What all `Connection` fields say.
    pub(crate) fn connection(self) -> ConnectionOptions {
        let mut said = ConnectionOptions::default();
        self.values(FieldName::Connection).for_each(|value| said.observe(value));
        said
    }

    /// Whether a `Connection` field has this option.
    pub(crate) fn has_option(self, wanted: &[u8]) -> bool {
        self.values(FieldName::Connection).flat_map(options).any(|option| option.eq_ignore_ascii_case(wanted))
    }

    /// The value of the only field that is spelt so, whatever it means.
    pub(crate) fn single_named(self, wanted: &[u8]) -> Option<&'a [u8]> {
        let mut named = self.fields.iter().filter(|field| self.name(field).eq_ignore_ascii_case(wanted));
        let value = named.next().map(|field| self.value(field));
        value.filter(|_| named.next().is_none())
    }

    /// What each field means, its name and its value.
    pub(crate) fn lines(self) -> impl Iterator<Item = (FieldName, &'a [u8], &'a [u8])> {
        self.fields.iter().map(move |field| (field.name, self.name(field), self.value(field)))
    }

    fn name(self, field: &Field) -> &'a [u8] {
        self.head.get(field.start..field.colon).unwrap_or_default()
    }

    pub(crate) fn value(self, field: &Field) -> &'a [u8] {
        self.head.get(field.colon + 1..field.end - 2).unwrap_or_default().trim_ascii()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x-b, close\r\nX-A:1 \r\nX-B: 2\r\nX-C:\r\n\r\n";

    fn scanned() -> Vec<Field> {
        let mut fields = Vec::new();
        scan(HEAD, 16, &mut fields);
        fields
    }

    #[test]
    fn fields_are_found_with_their_values() {
        let list = scanned();
        let fields = Fields::new(HEAD, &list);
        let values: Vec<_> = list.iter().map(|field| fields.value(field)).collect();
        assert_eq!(values, [&b"a"[..], b"x-b, close", b"1", b"2", b""]);
        assert_eq!(fields.single(FieldName::Host), Some(&b"a"[..]));
        assert!(fields.connection().names_fields && fields.has_option(b"X-B") && !fields.has_option(b"x-a"));
    }

    #[test]
    fn fields_and_cookies_are_found_by_name() {
        let head = b"Cookie: sid=1; Sid=2\r\nX-User: a\r\nx-user: b\r\nCookie: other=; last=a=b\r\n\r\n";
        let mut list = Vec::new();
        scan(head, 0, &mut list);
        let fields = Fields::new(head, &list);
        assert_eq!(fields.named(b"x-user").collect::<Vec<_>>(), [b"a", b"b"]);
        for (name, value) in [("sid", &b"1"[..]), ("Sid", b"2"), ("other", b""), ("last", b"a=b")] {
            assert_eq!(fields.cookie(name.as_bytes()), Some(value), "{name}");
        }
        assert_eq!((fields.cookie(b"si"), fields.cookie(b"ast")), (None, None));
    }

    #[test]
    fn kept_lines_are_copied_and_the_others_are_not() {
        let list = scanned();
        let mut out = Vec::new();
        Fields::new(HEAD, &list).copy_lines(&mut out, |_, name| name.starts_with(b"X-") && name != b"X-B");
        assert_eq!(out, b"X-A:1 \r\nX-C:\r\n");
    }
}
