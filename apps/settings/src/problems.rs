//! What is wrong with the settings.

use std::fmt;

/// Longest key that is repeated in a message; ours are shorter.
const KEY_SHOWN: usize = 64;

/// One setting and the rule that it breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, as `JWT_SECRET` or `--config`.
    pub key: String,
    /// The rule; never the value.
    pub rule: String,
}

/// All that is wrong, at least one problem. Displayed as one line for each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, key: &str, rule: impl Into<String>) {
        let problem = Problem { key: shown(key), rule: rule.into() };
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

/// Names of unknown keys come from outside: they can be long, and hold characters that a terminal obeys.
fn shown(key: &str) -> String {
    key.chars().take(KEY_SHOWN).flat_map(char::escape_debug).collect()
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.key, self.rule)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            problem.fmt(formatter)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_one_line_each_and_said_once() {
        let mut problems = Problems::default();
        problems.add("PORT", "must be a number");
        problems.add("HOST", "must be an address");
        problems.add("PORT", "must be a number");
        assert_eq!(problems.to_string(), "PORT: must be a number\nHOST: must be an address");
    }

    #[test]
    fn a_hostile_key_cannot_drive_the_terminal() {
        let mut problems = Problems::default();
        problems.add(&format!("NOVAGATE_\u{1b}[2J\n{}", "X".repeat(1000)), "unknown setting");
        let text = problems.to_string();
        assert!(!text.contains('\u{1b}') && !text.contains('\n') && text.len() < 200);
    }
}
