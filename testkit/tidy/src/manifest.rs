//! A crate's `Cargo.toml`, line by line: the house writes them in one way, so that no parser is needed.

use std::fmt;

/// What is checked of a manifest.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    /// Lines of `[package]` as they are.
    pub package: Vec<String>,
    /// Lines of `[lints]` as they are.
    pub lints: Vec<String>,
    /// `[dependencies]`, `[dev-dependencies]` and `[build-dependencies]`, in order.
    pub dependencies: Vec<DependencyLine>,
}

/// A line that names a dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DependencyLine {
    /// The section's name.
    pub section: String,
    /// The crate's name.
    pub name: String,
    /// What stands behind the name.
    pub rest: String,
    /// From 0.
    pub line: usize,
}

impl Manifest {
    /// Reads a manifest.
    pub fn parse(text: &str) -> Self {
        let mut manifest = Self::default();
        let mut section = String::new();
        for (line, content) in text.lines().enumerate() {
            let content = content.trim();
            if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.clone_into(&mut section);
            } else if !content.is_empty() && !content.starts_with('#') {
                manifest.take(&section, content, line);
            }
        }
        manifest
    }

    fn take(&mut self, section: &str, content: &str, line: usize) {
        match section {
            "package" => self.package.push(content.to_owned()),
            "lints" => self.lints.push(content.to_owned()),
            _ if section.ends_with("dependencies") => {
                let end = content.find(['.', ' ', '=']).unwrap_or(content.len());
                let (name, rest) = content.split_at_checked(end).unwrap_or((content, ""));
                let (section, name, rest) = (section.to_owned(), name.to_owned(), rest.trim().to_owned());
                self.dependencies.push(DependencyLine { section, name, rest, line });
            }
            _ => {}
        }
    }
}

/// As it stands in the manifest.
impl fmt::Display for DependencyLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.rest.starts_with('.') { "" } else { " " };
        write!(formatter, "{}{space}{}", self.name, self.rest)
    }
}

impl DependencyLine {
    /// Whether version and source come from the root.
    pub fn is_inherited(&self) -> bool {
        self.is_plain() || self.rest.starts_with("= { workspace = true")
    }

    /// Whether it says nothing else.
    pub fn is_plain(&self) -> bool {
        self.rest == ".workspace = true"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_told_apart() {
        let text = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n[dependencies]\nb.workspace = true\n\
                    c-d = { workspace = true, features = [\"x\"] }\n[dev-dependencies]\n# why\ne = \"1\"\n[features]\nf = []\n";
        let manifest = Manifest::parse(text);
        assert_eq!((manifest.package.len(), manifest.lints.len()), (1, 1));
        let names: Vec<_> = manifest.dependencies.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["b", "c-d", "e"]);
        let inherited: Vec<_> = manifest.dependencies.iter().map(DependencyLine::is_inherited).collect();
        assert_eq!(inherited, [true, true, false]);
        assert!(manifest.dependencies.iter().any(|line| line.section == "dev-dependencies" && line.line == 10));
    }
}
