//! `docs/errors.md`, made from the registry of codes in `domain/kernel`.

use std::fmt::Write as _;

const HEAD: &str = "\
# Error codes

Every code that the gateway or the control plane answers with. Made from `domain/kernel/src/codes.rs`; a test compares.
The gateway answers `{\"error\": CODE, \"message\": text, \"requestId\": id}`; the control plane answers
`application/problem+json` with `code` and `requestId`. Codes are stable; messages are not.
";

/// The page for the text of `codes.rs`.
pub fn errors_page(codes: &str) -> String {
    let mut page = HEAD.to_owned();
    let mut meaning = String::new();
    let registry = codes.lines().skip_while(|line| !line.starts_with("error_codes! {")).take_while(|line| *line != "}");
    for line in registry.map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            meaning.push_str(if meaning.is_empty() { "" } else { " " });
            meaning.push_str(text);
        } else if let Some(section) = line.strip_prefix("// ") {
            // Writing to a String cannot fail.
            let _ =
                write!(page, "\n## {}\n\n| code | status | meaning |\n|---|---|---|\n", section.trim_end_matches('.'));
        } else if let Some((word, status)) = entry(line) {
            let _ = writeln!(page, "| `{word}` | {status} | {meaning} |");
            meaning.clear();
        }
    }
    page
}

/// `Variant = number, status, "WORD";`
fn entry(line: &str) -> Option<(&str, &str)> {
    let (_, values) = line.strip_suffix(';')?.split_once(" = ")?;
    let mut values = values.split(", ").skip(1);
    let status = values.next()?;
    Some((values.next()?.trim_matches('"'), status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_keep_their_order_section_and_meaning() {
        let codes = "x = 1;\nerror_codes! {\n    // One.\n    /// First\n    /// line.\n    A = 1, 400, \"A_WORD\";\n}\nB = 2, 3, \"C\";\n";
        assert!(
            errors_page(codes).ends_with(
                "\n## One\n\n| code | status | meaning |\n|---|---|---|\n| `A_WORD` | 400 | First line. |\n"
            )
        );
    }
}
