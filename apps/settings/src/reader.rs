//! Takes values out of the layers, one setting at a time, and collects what is wrong.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use zeroize::Zeroizing;

use crate::{
    Problems, Program, Secret, Source,
    keys::{self, KEYS, Rule},
    layers::{Values, merge},
    parse::{self, Broken},
};

/// Shortest secret that tokens are signed with.
const SECRET_MIN: usize = 32;
const EMPTY: &str = "is empty; remove it or give it a value";
const REQUIRED: &str = "is required";

/// A secret, and the file that it came from.
pub(crate) struct FoundSecret {
    pub(crate) text: Zeroizing<String>,
    pub(crate) file: Option<PathBuf>,
}

pub(crate) struct Reader<'a> {
    program: Program,
    source: &'a dyn Source,
    values: Values,
    problems: Problems,
    asked: BTreeSet<&'static str>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(program: Program, source: &'a dyn Source, config_file: Option<&Path>) -> Self {
        let mut problems = Problems::default();
        let values = merge(program, source, config_file, &mut problems);
        let mut reader = Self { program, source, values, problems, asked: BTreeSet::new() };
        reader.refuse_what_is_not_built();
        reader
    }

    fn refuse_what_is_not_built(&mut self) {
        for key in KEYS.iter().filter(|key| key.program == self.program && !key.is_built()) {
            self.asked.insert(key.name);
            for name in [key.name.to_owned(), format!("{}_FILE", key.name)] {
                if self.values.contains_key(&name) {
                    self.problems.add(&name, "is not supported in this version");
                }
            }
        }
    }

    pub(crate) fn problem(&mut self, key: &str, rule: impl Into<String>) {
        self.problems.add(key, rule);
    }

    /// Whether a setting was given or has a default.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name) || self.values.contains_key(&format!("{name}_FILE"))
    }

    /// A setting that need not be there; `None` also when it is wrong, which is then a problem.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Broken>,
    ) -> Option<T> {
        self.asked.insert(name);
        let text = self.values.get(name)?;
        let parsed = if text.is_empty() { Err(EMPTY.to_owned()) } else { parse(text) };
        parsed.map_err(|rule| self.problems.add(name, rule)).ok()
    }

    /// A setting that must be there; `None` is a problem.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Broken>,
    ) -> Option<T> {
        if !self.values.contains_key(name) {
            self.problems.add(name, REQUIRED);
        }
        self.optional(name, parse)
    }

    /// A number within the bounds of its documentation.
    pub(crate) fn number<T: TryFrom<u64>>(&mut self, name: &'static str) -> Option<T> {
        let Some(Rule::Number { min, max }) = keys::find(self.program, name).map(|key| key.rule) else {
            self.problems.add(name, "has no bounds");
            return None;
        };
        self.optional(name, |text| {
            let value = parse::number(text, min, max)?;
            T::try_from(value).map_err(|_| "is too large for this machine".to_owned())
        })
    }

    pub(crate) fn millis(&mut self, name: &'static str) -> Option<Duration> {
        self.number(name).map(Duration::from_millis)
    }

    /// Anything that reads itself; `rule` is what is said when it cannot.
    pub(crate) fn parsed<T: FromStr>(&mut self, name: &'static str, rule: &str) -> Option<T> {
        self.required(name, |text| text.parse().map_err(|_quoting| rule.to_owned()))
    }

    /// A secret, given inline or by its file.
    pub(crate) fn secret(&mut self, name: &'static str) -> Option<FoundSecret> {
        self.asked.insert(name);
        match self.look_up(name) {
            Ok(found) => found,
            Err((key, rule)) => {
                self.problems.add(&key, rule);
                None
            }
        }
    }

    /// A secret that tokens are signed with.
    pub(crate) fn signing_secret(&mut self, name: &'static str) -> Option<Secret> {
        let found = self.secret(name)?;
        if found.text.chars().count() < SECRET_MIN {
            self.problems.add(name, format!("must have at least {SECRET_MIN} characters"));
            return None;
        }
        Some(Secret::new(found.text))
    }

    /// Reports that a setting is missing, unless it is there (then whatever is wrong with it is reported elsewhere).
    pub(crate) fn demand(&mut self, name: &'static str, when: &str) {
        if !self.is_set(name) {
            let rule = if when.is_empty() { REQUIRED.to_owned() } else { format!("{REQUIRED} {when}") };
            self.problems.add(name, rule);
        }
    }

    /// Two programs' signing secrets must differ wherever both can be seen.
    pub(crate) fn distinct_secrets(&mut self) {
        let text = |name: &str| self.look_up(name).ok().flatten().map(|found| found.text);
        if let (Some(platform), Some(edge)) = (text("PLATFORM_JWT_SECRET"), text("JWT_SECRET"))
            && *platform == *edge
        {
            self.problems.add("PLATFORM_JWT_SECRET", "must differ from JWT_SECRET");
        }
    }

    fn look_up(&self, name: &str) -> Result<Option<FoundSecret>, (String, String)> {
        let file_key = format!("{name}_FILE");
        let found = match (self.values.get(name), self.values.get(&file_key)) {
            (Some(_), Some(_)) => return Err((name.to_owned(), format!("is given both as {name} and as {file_key}"))),
            (None, None) => return Ok(None),
            (Some(text), None) => FoundSecret { text: Zeroizing::new(text.clone()), file: None },
            (None, Some(path)) if path.is_empty() => return Err((file_key, EMPTY.to_owned())),
            (None, Some(path)) => {
                let path = PathBuf::from(path);
                let text = self.source.read_file(&path).map_err(|fault| (file_key, fault.to_string()))?;
                FoundSecret { text: Zeroizing::new(without_newline(&text).to_owned()), file: Some(path) }
            }
        };
        if found.text.is_empty() { Err((name.to_owned(), EMPTY.to_owned())) } else { Ok(Some(found)) }
    }

    /// The settings, when nothing is wrong.
    pub(crate) fn finish<T>(self, settings: Option<T>) -> Result<T, Problems> {
        let Self { mut problems, .. } = self;
        match settings {
            Some(settings) if problems.is_empty() => Ok(settings),
            Some(_) => Err(problems),
            None => {
                if problems.is_empty() {
                    problems.add("settings", "are incomplete");
                }
                Err(problems)
            }
        }
    }

    #[cfg(test)]
    pub(crate) const fn asked(&self) -> &BTreeSet<&'static str> {
        &self.asked
    }
}

/// One trailing newline belongs to the editor, not to the secret.
fn without_newline(text: &str) -> &str {
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ControlSettings, Environment, GatewaySettings};

    fn nothing() -> Environment {
        Environment::new([], |_path: &Path| Err::<Zeroizing<String>, _>("no files"))
    }

    #[test]
    fn every_documented_setting_is_read_by_its_program() {
        let environment = nothing();
        for program in [Program::Gateway, Program::Control] {
            let mut reader = Reader::new(program, &environment, None);
            if program == Program::Gateway {
                assert!(GatewaySettings::take(&mut reader).is_none());
            } else {
                assert!(ControlSettings::take(&mut reader).is_none());
            }
            let documented: BTreeSet<&str> =
                KEYS.iter().filter(|key| key.program == program).map(|key| key.name).collect();
            assert_eq!(*reader.asked(), documented, "{program:?}");
        }
    }

    #[test]
    fn exactly_one_trailing_newline_is_dropped() {
        for (text, expected) in [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a "), ("\n", "")]
        {
            assert_eq!(without_newline(text), expected);
        }
    }
}
