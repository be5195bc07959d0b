//! Keyset pages.

/// Where a page begins: the opaque position after the last item of the page before.
///
/// Stores write what they need to go on (a sort key); callers only carry it. At most 256 bytes; a cursor that a store cannot
/// read is answered with the first page's error kind `Misuse`, which callers turn into a validation error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// Wraps a position.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The position.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Most items; 1 to 500.
    pub limit: u16,
    /// Where to begin; `None`: at the start.
    pub after: Option<Cursor>,
}

impl PageRequest {
    /// The largest page.
    pub const MAX_LIMIT: u16 = 500;

    /// The first `limit` items.
    pub const fn first(limit: u16) -> Self {
        Self { limit, after: None }
    }
}

/// One part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// The same page of other items.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(convert).collect(), next: self.next }
    }
}
