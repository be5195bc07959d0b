//! What somebody probably meant.

/// The candidate with the fewest edits from `word`, without regard to case; the first of several.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Names of ours are short; an absurdly long word is as good as its beginning.
    let word: Vec<char> = word.chars().take(64).map(|letter| letter.to_ascii_uppercase()).collect();
    candidates.min_by_key(|candidate| edits(&word, candidate))
}

/// The Levenshtein distance, one row at a time.
fn edits(word: &[char], candidate: &str) -> usize {
    let mut row: Vec<usize> = (0..=word.len()).collect();
    for (line, letter) in candidate.chars().enumerate() {
        let mut left = line + 1;
        let mut diagonal = line;
        let mut next = vec![left];
        for (above, other) in row.iter().skip(1).zip(word) {
            left = (diagonal + usize::from(*other != letter)).min(above + 1).min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted_like_levenshtein() {
        for (word, candidate, expected) in [
            ("", "", 0),
            ("KITTEN", "SITTING", 3),
            ("PORT", "PORT", 0),
            ("", "ABC", 3),
            ("ABC", "", 3),
            ("PROT", "PORT", 2),
        ] {
            let letters: Vec<char> = word.chars().collect();
            assert_eq!(edits(&letters, candidate), expected, "{word} {candidate}");
        }
    }

    #[test]
    fn the_nearest_name_ignores_case() {
        let names = ["HOST", "PORT", "WORKERS"];
        assert_eq!(nearest("prot", names.into_iter()), Some("PORT"));
        assert_eq!(nearest("WORKER", names.into_iter()), Some("WORKERS"));
        assert_eq!(nearest("X", std::iter::empty()), None);
    }
}
