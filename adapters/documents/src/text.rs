//! JSON and YAML text to a JSON value, within bounds.
//!
//! Always: depth, size and the size after YAML aliases are expanded are bounded before anything is kept; an object with a
//! key twice is refused, because two readers could take it for two different things; no error repeats the input.

use std::fmt;

use novagate_ports_control::inbound::FieldFault;
use serde::Deserializer;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The longest document that is read, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 16 * 1024 * 1024;

/// How deep a document may be nested; the config language needs 6.
pub const MAX_DEPTH: usize = 32;

/// The most values a document may hold.
const MAX_NODES: usize = 2_000_000;

/// Reads JSON.
pub fn read_json(bytes: &[u8]) -> Result<Value, FieldFault> {
    let mut budget = Budget::for_text(bytes.len())?;
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = Node { budget: &mut budget, depth: 0 }.deserialize(&mut reader);
    read.and_then(|value| reader.end().map(|()| value)).map_err(|error| {
        let place = format!("at line {} column {}", error.line(), error.column());
        budget.explain("not valid JSON", &place)
    })
}

/// Reads one YAML document.
pub fn read_yaml(text: &str) -> Result<Value, FieldFault> {
    let mut budget = Budget::for_text(text.len())?;
    let read = Node { budget: &mut budget, depth: 0 }.deserialize(serde_norway::Deserializer::from_str(text));
    read.map_err(|error| {
        let place = error
            .location()
            .map_or_else(String::new, |location| format!("at line {} column {}", location.line(), location.column()));
        budget.explain("not one valid YAML document", &place)
    })
}

/// What may still be read, and why reading stopped.
struct Budget {
    nodes: usize,
    bytes: usize,
    stopped: Option<&'static str>,
}

impl Budget {
    fn for_text(length: usize) -> Result<Self, FieldFault> {
        if length > MAX_DOCUMENT_BYTES {
            let message = format!("must have at most {MAX_DOCUMENT_BYTES} bytes");
            return Err(FieldFault::new("", "too_large", message));
        }
        // Aliases may make a document larger than its text, within reason: a bomb makes it larger by orders of magnitude.
        let nodes = MAX_NODES.min(16_384 + 4 * length);
        Ok(Self { nodes, bytes: 65_536 + 4 * length, stopped: None })
    }

    fn spend<E: serde::de::Error>(&mut self, bytes: usize) -> Result<(), E> {
        match (self.nodes.checked_sub(1), self.bytes.checked_sub(bytes)) {
            (Some(nodes), Some(left)) => {
                (self.nodes, self.bytes) = (nodes, left);
                Ok(())
            }
            _ => self.stop("holds too many values"),
        }
    }

    fn stop<T, E: serde::de::Error>(&mut self, why: &'static str) -> Result<T, E> {
        self.stopped = Some(why);
        Err(E::custom(why))
    }

    fn explain(&self, otherwise: &str, place: &str) -> FieldFault {
        let message = format!("{} {place}", self.stopped.unwrap_or(otherwise));
        FieldFault::new("", "malformed", message.trim_end())
    }
}

/// Reads one value and what is below it.
struct Node<'b> {
    budget: &'b mut Budget,
    depth: usize,
}

impl Node<'_> {
    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.budget.spend(0)?;
        if self.depth == MAX_DEPTH { self.budget.stop("is nested too deeply") } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.budget.spend(0).map(|()| Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        self.budget.spend(0).map(|()| Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.budget.spend(0).map(|()| Value::from(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.budget.spend(0).map(|()| Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        self.budget.spend(0)?;
        match Number::from_f64(value) {
            Some(number) => Ok(Value::Number(number)),
            None => self.budget.stop("holds a number that JSON cannot write"),
        }
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.budget.spend(value.len()).map(|()| Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(Node { budget: &mut *self.budget, depth: self.depth + 1 })? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut fields = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            self.budget.spend(key.len())?;
            let value = object.next_value_seed(Node { budget: &mut *self.budget, depth: self.depth + 1 })?;
            if fields.insert(key, value).is_some() {
                return self.budget.stop("has a key twice");
            }
        }
        Ok(Value::Object(fields))
    }

    fn visit_enum<A: serde::de::EnumAccess<'de>>(self, _tagged: A) -> Result<Value, A::Error> {
        self.budget.stop("has a YAML tag")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_languages_give_the_same_value() {
        let value = json!({"a": [1, -2, 1.5, true, null, "x"], "b": {}});
        assert_eq!(read_json(value.to_string().as_bytes()), Ok(value.clone()));
        assert_eq!(read_yaml("a: [1, -2, 1.5, true, null, x]\nb: {}\n"), Ok(value));
    }

    #[test]
    fn a_key_twice_is_refused_in_both_languages() {
        assert!(read_json(br#"{"a":1,"a":2}"#).unwrap_err().message.contains("key twice"));
        assert!(read_yaml("a: 1\na: 2\n").unwrap_err().message.contains("key twice"));
    }

    #[test]
    fn deep_documents_are_refused() {
        assert!(read_json("[".repeat(100_000).as_bytes()).is_err());
        let deep = format!("{}{}", "[".repeat(MAX_DEPTH + 1), "]".repeat(MAX_DEPTH + 1));
        assert!(read_json(deep.as_bytes()).unwrap_err().message.contains("deeply"));
        assert!(read_yaml(&deep).unwrap_err().message.contains("deeply"));
        assert!(read_yaml(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn a_yaml_bomb_is_refused_before_it_grows() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..12 {
            let below = format!("*a{}", level - 1);
            bomb = format!("{bomb}a{level}: &a{level} [{}]\n", [below.as_str(); 10].join(","));
        }
        assert!(read_yaml(&bomb).is_err());
    }

    #[test]
    fn ordinary_aliases_are_understood() {
        let value = read_yaml("a: &x {max: 1}\nb: *x\n").unwrap();
        assert_eq!(value, json!({"a": {"max": 1}, "b": {"max": 1}}));
    }

    #[test]
    fn tags_merge_of_documents_and_rubbish_are_refused_without_being_repeated() {
        for text in ["a: !canary x", "a: 1\n---\nb: canary", "canary: [", "\u{0}canary", "a: .nan", "? [canary]\n: 1"] {
            let fault = read_yaml(text).unwrap_err();
            assert!(!fault.message.contains("canary"), "{text}: {}", fault.message);
        }
        for text in ["{\"canary\"", "canary", "{} canary", "\"canary"] {
            let fault = read_json(text.as_bytes()).unwrap_err();
            assert!(!fault.message.contains("canary"), "{text}: {}", fault.message);
        }
    }

    #[test]
    fn a_document_over_the_limit_is_refused_unread() {
        assert_eq!(read_json(&vec![b' '; MAX_DOCUMENT_BYTES + 1]).unwrap_err().code, "too_large");
    }
}
