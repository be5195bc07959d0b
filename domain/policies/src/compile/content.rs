//! Rules about the content codings of a route.

use novagate_routing::{Compression, ContentCoding, Decompression, Forward};

use super::check::MAX_BODY;
use crate::fault::Subject;

/// Above it a body is long whatever it is.
const MAX_MIN_BYTES: u64 = 1 << 20;

pub(super) fn check(subject: &mut Subject<'_>, forward: &Forward) {
    if let Some(rule) = forward.compression.as_deref() {
        compression(subject, rule);
    }
    if let Some(Decompression { max_bytes, max_ratio }) = forward.decompression {
        let holds = max_bytes.is_none_or(|most| (1..=MAX_BODY).contains(&most));
        subject.range(holds, "/decompression/maxBytes", "a decoded body has 1 to 1099511627776 bytes");
        let holds = (1..=10_000).contains(&max_ratio);
        subject.range(holds, "/decompression/maxRatio", "a ratio is 1 to 10000");
    }
}

fn compression(subject: &mut Subject<'_>, rule: &Compression) {
    let most = ContentCoding::ALL.len();
    let holds = (1..=most).contains(&rule.encodings.len());
    subject.range(holds, "/compression/encodings", "there are 1 to 3 encodings");
    distinct(subject, "/compression/encodings", rule.encodings.get(..most).unwrap_or(&rule.encodings));
    let holds = rule.min_bytes <= MAX_MIN_BYTES;
    subject.range(holds, "/compression/minBytes", "the shortest body has 0 to 1048576 bytes");
    let most = Compression::MAX_TYPES;
    let holds = (1..=most).contains(&rule.types.len());
    subject.range(holds, "/compression/types", "there are 1 to 64 types");
    distinct(subject, "/compression/types", rule.types.get(..most).unwrap_or(&rule.types));
}

fn distinct<T: PartialEq>(subject: &mut Subject<'_>, list: &str, items: &[T]) {
    for (at, item) in items.iter().enumerate() {
        if items.iter().take(at).any(|earlier| earlier == item) {
            subject.fault(format!("{list}/{at}"), "duplicate", "it is listed once");
        }
    }
}
