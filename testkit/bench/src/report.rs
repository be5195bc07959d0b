//! What a benchmark comes to: text for people, and goals that were met or not.
//!
//! Not here: where it is written (`page`).

use std::fmt::Write as _;

/// A measured number beside the one it should not exceed.
#[derive(Debug, Clone)]
pub struct Goal {
    /// Its name in the list of goals.
    pub id: &'static str,
    /// What was measured.
    pub what: String,
    /// The result; `None`: it could not be measured here.
    pub measured: Option<f64>,
    /// The most it may be.
    pub at_most: f64,
    /// The unit of both; empty for a ratio.
    pub unit: &'static str,
}

impl Goal {
    /// Whether it is met.
    pub fn passed(&self) -> bool {
        self.measured.is_some_and(|measured| measured <= self.at_most)
    }

    fn line(&self) -> String {
        let verdict = if self.passed() { "PASS" } else { "FAIL" };
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        let measured = self.measured.map_or_else(|| "not measured".to_owned(), |value| format!("{value:.2}{unit}"));
        format!("- **{verdict}** {}: {}: {measured}, goal at most {:.2}{unit}", self.id, self.what, self.at_most)
    }
}

/// What a benchmark comes to.
#[derive(Debug, Clone)]
pub struct Report {
    /// A word for it.
    pub key: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// Tables and notes, in Markdown.
    pub text: String,
    /// What was to be reached.
    pub goals: Vec<Goal>,
}

impl Report {
    /// Whether all goals are met.
    pub fn passed(&self) -> bool {
        self.goals.iter().all(Goal::passed)
    }

    /// All of it.
    pub fn to_markdown(&self) -> String {
        let mut page = format!("## {}\n\n{}\n", self.title, self.text.trim_end());
        if !self.goals.is_empty() {
            page.push('\n');
        }
        for goal in &self.goals {
            // Writing to a String cannot fail.
            let _ = writeln!(page, "{}", goal.line());
        }
        page
    }
}

/// A Markdown table.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_that_was_not_measured_is_not_met() {
        let goal = |measured| Goal { id: "P1", what: "ratio".into(), measured, at_most: 0.8, unit: "" };
        assert!(goal(Some(0.8)).passed() && !goal(Some(0.81)).passed() && !goal(None).passed());
        let report = Report { key: "k", title: "T", text: table(&["a"], &[vec!["1".into()]]), goals: vec![goal(None)] };
        assert!(!report.passed());
        let expected = "## T\n\n| a |\n|---|\n| 1 |\n\n- **FAIL** P1: ratio: not measured, goal at most 0.80\n";
        assert_eq!(report.to_markdown(), expected);
    }
}
