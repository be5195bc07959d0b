//! Texts made from the registry: the listing for `--help` and `docs/config.toml`.

use std::fmt::Write;

use crate::keys::{KEYS, KeyDoc, Program, Rule, Secrecy};

/// The settings of a program, one for each line, for the end of its `--help`.
pub fn key_listing(program: Program) -> String {
    let keys: Vec<&KeyDoc> = built(program).collect();
    let width = keys.iter().map(|key| shown_name(key).len()).max().unwrap_or_default();
    let mut text =
        "Settings (environment, bare or with NOVAGATE_ before the name; or the file of --config):\n".to_owned();
    for key in keys {
        let default = key.default.map_or_else(String::new, |default| format!(" [default: {default}]"));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:width$}  {}; {}{default}", shown_name(key), key.meaning, rule(key));
    }
    text
}

/// A config file that sets nothing and documents everything: what `docs/config.toml` holds.
pub fn config_toml() -> String {
    let mut text =
        "# Every setting, with its default. A file for `--config`; in the environment the same names count, bare\n\
                    # or with NOVAGATE_ before them, and win over the file.\n"
            .to_owned();
    for (program, title) in [(Program::Gateway, "novagate-gateway"), (Program::Control, "novagate-control")] {
        let _ = write!(text, "\n# ---- {title} ----\n");
        for key in built(program) {
            let _ = write!(text, "\n# {}\n# {}\n", capital(key.meaning), rule(key));
            if key.has_file_form() {
                let _ = writeln!(text, "# A secret: {}_FILE may name a file that holds it instead.", key.name);
            }
            let _ = writeln!(text, "#{} = {}", key.name, toml_value(key));
        }
    }
    let reserved: Vec<&str> = KEYS.iter().filter(|key| !key.is_built()).map(|key| key.name).collect();
    let _ = write!(text, "\n# Reserved, refused in this version: {}\n", reserved.join(", "));
    text
}

fn built(program: Program) -> impl Iterator<Item = &'static KeyDoc> {
    KEYS.iter().filter(move |key| key.program == program && key.is_built())
}

fn shown_name(key: &KeyDoc) -> String {
    if key.has_file_form() { format!("{0}, {0}_FILE", key.name) } else { key.name.to_owned() }
}

fn rule(key: &KeyDoc) -> String {
    match key.rule {
        Rule::Number { min, max } => format!("{}, {min} to {max}", key.unit),
        Rule::Form(form) => form.to_owned(),
        Rule::NotBuilt => "not supported in this version".to_owned(),
    }
}

fn toml_value(key: &KeyDoc) -> String {
    match (key.rule, key.default) {
        (Rule::Number { .. }, Some(default)) => default.to_owned(),
        (Rule::Number { min, .. }, None) => min.to_string(),
        (_, Some(default)) => format!("\"{default}\""),
        (_, None) if key.secret == Secrecy::Public => "\"...\"".to_owned(),
        (_, None) => "\"(secret)\"".to_owned(),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_listed_with_its_default() {
        let (gateway, control) = (key_listing(Program::Gateway), key_listing(Program::Control));
        for key in KEYS.iter().filter(|key| key.is_built()) {
            let listing = if key.program == Program::Gateway { &gateway } else { &control };
            let line = listing.lines().find(|line| line.trim_start().starts_with(&shown_name(key))).unwrap();
            assert!(line.contains(key.meaning) && line.contains(key.default.unwrap_or_default()), "{line}");
        }
    }

    #[test]
    fn the_file_names_every_setting_and_sets_none() {
        let text = config_toml();
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')));
        for key in KEYS {
            assert!(text.contains(key.name), "{}", key.name);
        }
    }
}
