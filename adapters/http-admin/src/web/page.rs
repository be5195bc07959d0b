//! Query parameters and keyset pages.

use std::collections::BTreeMap;
use std::fmt::Display;

use axum::{
    extract::{FromRequestParts, Query as AxumQuery},
    http::request::Parts,
};
use novagate_kernel::encode_hex;
use novagate_ports_control::{Cursor, Page, PageRequest, inbound::FieldFault};
use serde::Serialize;
use serde_json::{Value, json};

use super::Problem;
use crate::AdminState;

const DEFAULT_LIMIT: u16 = 50;

/// The query parameters, taken out one by one; what is left is unknown.
pub(crate) struct Query {
    values: BTreeMap<String, String>,
    faults: Vec<FieldFault>,
}

impl FromRequestParts<AdminState> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AdminState) -> Result<Self, Problem> {
        let pairs = AxumQuery::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let AxumQuery(pairs) = pairs.map_err(|_| Problem::field("", "invalid_query", "is not a query string"))?;
        let mut query = Self { values: BTreeMap::new(), faults: Vec::new() };
        for (name, value) in pairs {
            if query.values.insert(name.clone(), value).is_some() {
                query.fault(&name, "duplicate", "is given twice");
            }
        }
        Ok(query)
    }
}

impl Query {
    /// A parameter in its converted form; a failure is noted with its rule.
    pub(crate) fn take<T, E: Display>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        match parse(&self.values.remove(name)?) {
            Ok(value) => Some(value),
            Err(rule) => {
                self.fault(name, "invalid", rule.to_string());
                None
            }
        }
    }

    /// `limit` and `cursor`.
    pub(crate) fn page(&mut self) -> PageRequest {
        let max = PageRequest::MAX_LIMIT;
        let limit = self.take("limit", |text| match text.parse::<u16>() {
            Ok(limit) if (1..=max).contains(&limit) => Ok(limit),
            Ok(_) | Err(_) => Err(format!("must be a whole number from 1 to {max}")),
        });
        let after = self.take("cursor", |text| decode_cursor(text).ok_or("is not a cursor of this list"));
        PageRequest { limit: limit.unwrap_or(DEFAULT_LIMIT), after }
    }

    /// Everything that is wrong, unknown parameters included.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        let unknown: Vec<String> = self.values.keys().cloned().collect();
        for name in unknown {
            self.fault(&name, "unknown_parameter", "is not a parameter of this path");
        }
        if self.faults.is_empty() { Ok(()) } else { Err(Problem::invalid(self.faults)) }
    }

    fn fault(&mut self, name: &str, code: &str, message: impl Into<String>) {
        let short: String = name.chars().filter(|letter| !letter.is_control()).take(64).collect();
        self.faults.push(FieldFault::new(format!("/{short}"), code, message));
    }
}

/// `{items, nextCursor}`.
pub(crate) fn page_of<T: Serialize>(page: &Page<T>) -> Value {
    let next = page.next.as_ref().map(|cursor| encode_hex(cursor.as_str().as_bytes()));
    json!({ "items": page.items, "nextCursor": next })
}

/// A page of a list that is short enough to be held whole; `key` is unique and stable.
pub(crate) fn paged_vec<T>(items: Vec<T>, request: &PageRequest, key: impl Fn(&T) -> String) -> Page<T> {
    let begin = match &request.after {
        None => 0,
        Some(cursor) => {
            items.iter().position(|item| key(item) == cursor.as_str()).map_or(items.len(), |position| position + 1)
        }
    };
    let more = items.len() > begin + usize::from(request.limit);
    let items: Vec<T> = items.into_iter().skip(begin).take(usize::from(request.limit)).collect();
    let next = if more { items.last().map(|item| Cursor::new(key(item))) } else { None };
    Page { items, next }
}

/// The opposite of the hexadecimal form in which cursors travel.
fn decode_cursor(text: &str) -> Option<Cursor> {
    if text.is_empty() || text.len() > 512 || !text.len().is_multiple_of(2) {
        return None;
    }
    let nibble = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            &[high, low] => Some((nibble(high)? << 4) | nibble(low)?),
            _ => None,
        })
        .collect();
    String::from_utf8(bytes?).ok().map(Cursor::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_way_through_a_url() {
        let page = Page { items: vec![1], next: Some(Cursor::new("ä|7")) };
        let text = page_of(&page)["nextCursor"].as_str().unwrap().to_owned();
        assert_eq!(decode_cursor(&text), page.next);
        for bad in ["", "0", "zz", "ff", &"00".repeat(300)] {
            assert_eq!(decode_cursor(bad), None, "{bad}");
        }
    }

    #[test]
    fn pages_of_a_short_list_meet_without_gap_or_overlap() {
        let first = paged_vec(vec![1, 2, 3], &PageRequest::first(2), ToString::to_string);
        assert_eq!(first.items, [1, 2]);
        let second = paged_vec(vec![1, 2, 3], &PageRequest { limit: 2, after: first.next }, ToString::to_string);
        assert_eq!((second.items, second.next), (vec![3], None));
    }
}
