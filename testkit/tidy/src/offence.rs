//! What breaks a rule, and how a test says so.

use std::fmt;

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offence {
    /// Path from the root of the repository, `path:line` where a line is to blame, or a crate's name.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

impl Offence {
    /// An offence of a whole file or crate.
    pub fn at(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }

    /// An offence of a line; `index` counts from 0, as `enumerate` does.
    pub fn at_line(path: &str, index: usize, what: impl Into<String>) -> Self {
        Self::at(format!("{path}:{}", index + 1), what)
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.what)
    }
}

/// Fails with the rule and every offence.
///
/// # Panics
/// There is an offence.
pub fn assert_none(rule: &str, offences: impl IntoIterator<Item = Offence>) {
    let mut offences: Vec<_> = offences.into_iter().collect();
    offences.sort();
    let lines: Vec<_> = offences.iter().map(|offence| format!("  {offence}\n")).collect();
    assert!(offences.is_empty(), "{} offences; the rule: {rule}\n{}", offences.len(), lines.concat());
}
