//! Three layers into one: defaults, then the file, then the environment.
//!
//! Always: afterwards every value is text under the bare name of a setting that some program knows. What is unknown,
//! written twice, or not TOML has been reported.

use std::{collections::BTreeMap, fmt, path::Path};

use config::{Config, ConfigError, File, FileFormat, Map, Value, ValueKind};

use crate::{
    Problems, Program, Source,
    keys::{KEYS, names},
    nearest::nearest,
};

const PREFIX: &str = "NOVAGATE_";
/// What config objects may refer to by name; the gateway's own settings are not among them.
const REFERABLE: &str = "NOVAGATE_SECRET_";
const CONFIG_FLAG: &str = "--config";

/// Values by bare name.
pub(crate) type Values = BTreeMap<String, String>;

/// All values of a program, and whatever is set of the other one's.
pub(crate) fn merge(
    program: Program,
    source: &dyn Source,
    config_file: Option<&Path>,
    problems: &mut Problems,
) -> Values {
    let file = config_file.map(|path| file_layer(source, path, problems)).unwrap_or_default();
    let environment = environment_layer(source, problems);
    match layered(program, file, environment) {
        Ok(values) => values,
        // Names and texts are plain by now, so only a defect of ours leads here; its text could quote a value.
        Err(_quoting) => {
            problems.add(CONFIG_FLAG, "the settings cannot be merged");
            Values::new()
        }
    }
}

/// One layer; not printable, because it holds secrets.
#[derive(Clone, Default)]
struct Layer(Values);

impl fmt::Debug for Layer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Layer({} values)", self.0.len())
    }
}

impl config::Source for Layer {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.iter().map(|(name, text)| (name.clone(), Value::from(text.clone()))).collect())
    }
}

fn layered(program: Program, file: Layer, environment: Layer) -> Result<Values, ConfigError> {
    let mut builder = Config::builder();
    for key in KEYS.iter().filter(|key| key.program == program) {
        if let Some(default) = key.default {
            builder = builder.set_default(key.name, default)?;
        }
    }
    let merged = builder.add_source(file).add_source(environment).build()?;
    let values = config::Source::collect(&merged)?;
    values.into_iter().map(|(name, value)| Ok((name, value.into_string()?))).collect()
}

fn environment_layer(source: &dyn Source, problems: &mut Problems) -> Layer {
    let mut given = Vec::new();
    for key in source.keys() {
        let Some(value) = source.get(&key) else { continue };
        if is_known(bare(&key)) {
            given.push((key, value));
        } else if key.starts_with(PREFIX) && !key.starts_with(REFERABLE) {
            unknown(&key, PREFIX, problems);
        }
    }
    settle(given, problems)
}

fn file_layer(source: &dyn Source, path: &Path, problems: &mut Problems) -> Layer {
    let text = match source.read_file(path) {
        Ok(text) => text,
        Err(fault) => {
            problems.add(CONFIG_FLAG, fault.to_string());
            return Layer::default();
        }
    };
    let parsed = Config::builder().add_source(File::from_str(&text, FileFormat::Toml)).build();
    let table = match parsed.and_then(|config| config::Source::collect(&config)) {
        Ok(table) => table,
        Err(fault) => {
            problems.add(CONFIG_FLAG, not_toml(&fault));
            return Layer::default();
        }
    };
    let mut given = Vec::new();
    // The map has no order; messages shall have one.
    for (key, value) in table.into_iter().collect::<BTreeMap<_, _>>() {
        if !is_known(bare(&key)) {
            unknown(&key, "", problems);
        } else if let Some(text) = as_text(value) {
            given.push((key, text));
        } else {
            problems.add(&key, "must be text, a number, true or false, or a list of these");
        }
    }
    settle(given, problems)
}

/// Takes the prefix off; a name given both with and without it must mean the same.
fn settle(given: Vec<(String, String)>, problems: &mut Problems) -> Layer {
    let mut values = Values::new();
    for (key, value) in given {
        let name = bare(&key).to_owned();
        if values.get(&name).is_some_and(|other| *other != value) {
            problems.add(&name, format!("is given both bare and as {PREFIX}{name}, with different values"));
        }
        values.insert(name, value);
    }
    Layer(values)
}

fn bare(key: &str) -> &str {
    key.strip_prefix(PREFIX).unwrap_or(key)
}

fn is_known(name: &str) -> bool {
    names().any(|(key, file)| if file { name.strip_suffix("_FILE") == Some(key.name) } else { name == key.name })
}

fn unknown(key: &str, prefix: &str, problems: &mut Problems) {
    let rule = nearest(bare(key), KEYS.iter().map(|known| known.name))
        .map_or_else(String::new, |name| format!("; the nearest name is {prefix}{name}"));
    problems.add(key, format!("is no setting{rule}"));
}

/// A scalar as it would be written in the environment; a list joined by commas.
fn as_text(value: Value) -> Option<String> {
    match value.kind {
        ValueKind::Array(items) => {
            let texts: Option<Vec<String>> = items.into_iter().map(as_text).collect();
            Some(texts?.join(","))
        }
        ValueKind::Nil | ValueKind::Table(_) => None,
        ValueKind::Boolean(_)
        | ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_)
        | ValueKind::String(_) => value.into_string().ok(),
    }
}

/// The parser's message quotes the line; only its position is safe to repeat.
fn not_toml(fault: &ConfigError) -> String {
    let message = fault.to_string();
    let number_after = |word: &str| {
        let rest = message.split_once(word)?.1;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().ok()
    };
    match (number_after("at line "), number_after(", column ")) {
        (Some(line), Some(column)) => format!("is not valid TOML (line {line}, column {column})"),
        _ => "is not valid TOML".to_owned(),
    }
}
