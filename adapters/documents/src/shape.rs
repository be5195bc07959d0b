//! A table-driven pass over a JSON value that finds every unknown, missing, mistyped and out-of-range field at once.
//!
//! Always: depth and time are bounded by the table, not by the document. Not here: the tables (`config::shapes`).

use serde_json::{Map, Value};

use crate::fault::{Broken, Faults};

/// What a value must look like.
pub(crate) enum Shape {
    /// A text that this rule accepts.
    Text(fn(&str) -> Result<(), Broken>),
    /// One of these words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A whole number in this range, both ends included.
    Integer { min: u64, max: u64 },
    /// A whole number in this range, or a text that this rule accepts.
    NumberOrText { min: u64, max: u64, rule: fn(&str) -> Result<(), Broken> },
    /// A list.
    List { of: &'static Shape, min: usize, max: usize, distinct: bool },
    /// An object with these fields and no others.
    Object(&'static [Field]),
    /// The list of policies, which is empty in this version of the language.
    NoPolicies,
}

/// A field of an object.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) need: Need,
    pub(crate) shape: Shape,
}

/// Whether a field may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// It must be there.
    Required,
    /// It may be missing; then its default holds.
    Optional,
    /// It may be missing or `null`; both mean "none".
    Nullable,
    /// The same if one of these is there.
    Unless(&'static [&'static str]),
}

/// How unknown fields are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// Each is a fault: what a person writes is either understood or refused.
    Refuse,
    /// They are passed over: a peer may be two versions ahead.
    Ignore,
}

/// Notes every fault of `value`.
pub(crate) fn check(value: &Value, shape: &Shape, unknown: Unknown, faults: &mut Faults) {
    if faults.is_full() {
        return;
    }
    match shape {
        Shape::Text(rule) => check_text(value, *rule, faults),
        Shape::Word(words) => check_word(value, words, faults),
        Shape::Flag => {
            if !value.is_boolean() {
                faults.note(wrong_type("must be true or false"));
            }
        }
        Shape::NumberOrText { rule, .. } if value.is_string() => check_text(value, *rule, faults),
        Shape::Integer { min, max } | Shape::NumberOrText { min, max, .. } => {
            check_integer(value, *min, *max, faults);
        }
        Shape::List { of, min, max, distinct } => {
            if let Some(items) = list_within(value, *min, *max, faults) {
                check_items(items, of, *distinct, unknown, faults);
            }
        }
        Shape::Object(fields) => match value.as_object() {
            Some(object) => check_object(object, fields, unknown, faults),
            None => faults.note(wrong_type("must be an object")),
        },
        Shape::NoPolicies => check_no_policies(value, faults),
    }
}

/// Notes every fault of an object's fields; `skipped` fields have been dealt with by the caller.
pub(crate) fn check_object_except(
    object: &Map<String, Value>,
    fields: &[Field],
    skipped: &[&str],
    unknown: Unknown,
    faults: &mut Faults,
) {
    for field in fields {
        match (object.get(field.name), field.need) {
            (None, Need::Required) => {
                faults.note_at(&[field.name], Broken::new("required", "is required"));
            }
            (None | Some(Value::Null), Need::Unless(others)) => {
                if others.iter().all(|other| object.get(*other).is_none_or(Value::is_null)) {
                    let rule = format!("is required, or {}", others.join(", or "));
                    faults.note_at(&[field.name], Broken::new("required", rule));
                }
            }
            (None, Need::Optional | Need::Nullable) | (Some(Value::Null), Need::Nullable) => {}
            (Some(value), _) => {
                faults.within(field.name, |inner| check(value, &field.shape, unknown, inner));
            }
        }
    }
    if unknown == Unknown::Ignore {
        return;
    }
    for key in object.keys() {
        let known = fields.iter().any(|field| field.name == key) || skipped.contains(&key.as_str());
        if !known && !faults.is_full() {
            faults.note_at(&[key], Broken::new("unknown_field", "there is no such field"));
        }
    }
}

fn check_object(object: &Map<String, Value>, fields: &[Field], unknown: Unknown, faults: &mut Faults) {
    check_object_except(object, fields, &[], unknown, faults);
}

fn check_text(value: &Value, rule: fn(&str) -> Result<(), Broken>, faults: &mut Faults) {
    match value.as_str() {
        None => faults.note(wrong_type("must be a text")),
        Some(text) => {
            if let Err(broken) = rule(text) {
                faults.note(broken);
            }
        }
    }
}

fn check_word(value: &Value, words: &[&str], faults: &mut Faults) {
    if !value.as_str().is_some_and(|text| words.contains(&text)) {
        let code = if value.is_string() { "unknown_value" } else { "wrong_type" };
        faults.note(Broken::new(code, format!("must be one of: {}", words.join(", "))));
    }
}

fn check_integer(value: &Value, min: u64, max: u64, faults: &mut Faults) {
    let rule = || format!("must be a whole number from {min} to {max}");
    match value.as_u64() {
        Some(number) if (min..=max).contains(&number) => {}
        Some(_) => faults.note(Broken::new("out_of_range", rule())),
        None if value.as_i64().is_some() => faults.note(Broken::new("out_of_range", rule())),
        None => faults.note(wrong_type(rule())),
    }
}

fn list_within<'v>(value: &'v Value, min: usize, max: usize, faults: &mut Faults) -> Option<&'v [Value]> {
    let Some(items) = value.as_array() else {
        faults.note(wrong_type("must be a list"));
        return None;
    };
    if (min..=max).contains(&items.len()) {
        return Some(items);
    }
    let rule =
        if min == 0 { format!("must have at most {max} entries") } else { format!("must have {min} to {max} entries") };
    faults.note(Broken::new("out_of_range", rule));
    None
}

fn check_items(items: &[Value], of: &Shape, distinct: bool, unknown: Unknown, faults: &mut Faults) {
    for (at, item) in items.iter().enumerate() {
        if faults.is_full() {
            return;
        }
        faults.within(&at.to_string(), |inner| {
            check(item, of, unknown, inner);
            // Lists with this rule are at most 64 long.
            if distinct && items.iter().take(at).any(|earlier| earlier == item) {
                inner.note(Broken::new("duplicate", "occurs twice in this list"));
            }
        });
    }
}

fn check_no_policies(value: &Value, faults: &mut Faults) {
    let Some(entries) = value.as_array() else {
        faults.note(wrong_type("must be a list"));
        return;
    };
    for at in 0..entries.len() {
        if faults.is_full() {
            return;
        }
        faults.within(&at.to_string(), |inner| {
            inner.note(Broken::new("unknown_policy", "this version knows no policies; the list must be empty"));
        });
    }
}

fn wrong_type(message: impl Into<String>) -> Broken {
    Broken::new("wrong_type", message)
}
