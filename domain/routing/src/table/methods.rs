//! Methods as the table compares them.

use std::fmt;

use http::Method;

/// The methods that an `Allow` field lists: sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedMethods(Vec<Method>);

/// The bits of all standard methods.
pub(super) const ALL: u16 = 0x1ff;

/// A standard method as one bit; nothing for extension methods.
pub(super) fn bit_of(method: &Method) -> u16 {
    match *method {
        Method::GET => 1,
        Method::HEAD => 1 << 1,
        Method::POST => 1 << 2,
        Method::PUT => 1 << 3,
        Method::PATCH => 1 << 4,
        Method::DELETE => 1 << 5,
        Method::OPTIONS => 1 << 6,
        Method::CONNECT => 1 << 7,
        Method::TRACE => 1 << 8,
        _ => 0,
    }
}

impl AllowedMethods {
    pub(super) fn new(mut methods: Vec<Method>) -> Self {
        methods.sort_unstable_by(|left, right| left.as_str().cmp(right.as_str()));
        methods.dedup();
        Self(methods)
    }

    /// The methods in order.
    pub fn iter(&self) -> impl Iterator<Item = &Method> {
        self.0.iter()
    }
}

/// The value of the `Allow` field: `GET, POST`.
impl fmt::Display for AllowedMethods {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, method) in self.0.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(formatter, "{comma}{method}")?;
        }
        Ok(())
    }
}
