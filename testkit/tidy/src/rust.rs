//! Rust files: which lines are code, which are tests, which are comments.
//!
//! Line by line, for text in rustfmt's form; not a parser.

use crate::File;

/// A Rust file, split into what ships and its tests.
#[derive(Debug, Clone, Copy)]
pub struct RustFile<'a> {
    /// From the root.
    pub path: &'a str,
    code: &'a str,
    tests: &'a str,
    code_lines: usize,
}

impl<'a> RustFile<'a> {
    /// Splits a file; `None` if it is not Rust.
    pub fn of(file: &'a File) -> Option<Self> {
        if std::path::Path::new(&file.path).extension().is_none_or(|extension| extension != "rs") {
            return None;
        }
        let at = if is_rust_test(&file.path) { 0 } else { tests_begin(&file.text) };
        let (code, tests) = file.text.split_at_checked(at).unwrap_or((&file.text, ""));
        Some(Self { path: &file.path, code, tests, code_lines: code.lines().count() })
    }

    /// Lines before the tests, comments included.
    pub const fn code_lines(&self) -> usize {
        self.code_lines
    }

    /// Lines of what ships with their numbers from 0, comments left out.
    pub fn code(&self) -> impl Iterator<Item = (usize, &'a str)> + use<'a> {
        without_comments(self.code, 0)
    }

    /// The same of the tests.
    pub fn tests(&self) -> impl Iterator<Item = (usize, &'a str)> + use<'a> {
        without_comments(self.tests, self.code_lines)
    }

    /// The first line.
    pub fn opening(&self) -> &'a str {
        let whole = if self.code.is_empty() { self.tests } else { self.code };
        whole.lines().next().unwrap_or_default()
    }
}

/// Whether a Rust file holds nothing but tests and what they need.
pub fn is_rust_test(path: &str) -> bool {
    path.contains("/tests/") || path.contains("/benches/") || path.ends_with("tests.rs") || path.starts_with("testkit/")
}

/// Whether `word` is in the line, not as a part of a longer word.
pub fn has_word(line: &str, word: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line.get(..at).unwrap_or_default(), line.get(at + word.len()..).unwrap_or_default());
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

/// The offset of the module of tests; a declaration without body (`mod tests;`) moves nothing.
fn tests_begin(text: &str) -> usize {
    let mut at = 0;
    let mut attribute = None;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        if let Some(begin) = attribute
            && has_word(trimmed, "mod")
            && trimmed.ends_with('{')
        {
            return begin;
        }
        // More attributes may stand between.
        let continues = attribute.is_some() && trimmed.starts_with("#[");
        attribute = if line.starts_with("#[cfg(test)]") { Some(at) } else { attribute.filter(|_| continues) };
        at += line.len();
    }
    text.len()
}

fn without_comments(text: &str, first: usize) -> impl Iterator<Item = (usize, &str)> + use<'_> {
    text.lines()
        .enumerate()
        .map(move |(index, line)| (first + index, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_begin_at_the_module_with_a_body() {
        let text = "//! Head.\n#[cfg(test)]\nmod tests;\nfn a() {}\n// b\n#[cfg(test)]\n#[expect(x)]\nmod more {\n    fn c() {}\n}\n";
        let file = File { path: "domain/x/src/a.rs".into(), text: text.into() };
        let rust = RustFile::of(&file).unwrap();
        assert_eq!((rust.code_lines(), rust.opening()), (5, "//! Head."));
        assert_eq!(rust.code().map(|(line, _)| line).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(rust.tests().nth(3), Some((8, "    fn c() {}")));
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("use http::Method;", "http"));
        assert!(!has_word("use http_body::Body;", "http") && !has_word("xhttp", "http"));
    }
}
