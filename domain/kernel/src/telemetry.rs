//! Kinds of telemetry.

/// The four kinds of telemetry; each has its own frame type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BatchKind {
    /// Request logs.
    Logs,
    /// Error events.
    Errors,
    /// Health snapshots.
    Health,
    /// Metrics windows.
    Metrics,
}

impl BatchKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Logs, Self::Errors, Self::Health, Self::Metrics];

    /// The frame type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Errors => "errors",
            Self::Health => "health",
            Self::Metrics => "metrics",
        }
    }

    /// The opposite of [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}
