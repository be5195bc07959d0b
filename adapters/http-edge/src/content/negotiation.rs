//! Which coding a client takes, and which one it has used.
//!
//! Always: what is malformed in a field counts as not said. Not here: whether anything is coded at all (`recoding`).

use novagate_routing::ContentCoding;

use crate::wire::names::options;

/// What a client is told that its requests may be coded in.
pub(crate) const OFFERED: &[u8] = b"gzip, br, zstd";

/// The content is in a coding that is not spoken here, or in several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnknownCoding;

/// The weights of an `Accept-Encoding`, in thousandths; nothing for what is not named.
#[derive(Debug, Default)]
struct Weights {
    codings: [Option<u16>; ContentCoding::ALL.len()],
    identity: Option<u16>,
    others: Option<u16>,
}

/// The coding that a client likes best, of equals the first in `preferred`; nothing when it likes none or prefers the content
/// as it is. `values` are those of its `Accept-Encoding` fields (RFC 9110, section 12.5.3).
pub(crate) fn choose<'a>(preferred: &[ContentCoding], values: impl Iterator<Item = &'a [u8]>) -> Option<ContentCoding> {
    let weights = Weights::of(values);
    let least = weights.identity.unwrap_or(0).max(1);
    let mut best = None;
    for coding in preferred {
        let weight = weights.codings.get(coding.index()).copied().flatten().or(weights.others).unwrap_or(0);
        if weight >= least && best.is_none_or(|(_, best)| weight > best) {
            best = Some((*coding, weight));
        }
    }
    best.map(|(coding, _)| coding)
}

/// The coding of a message, from the values of its `Content-Encoding` fields; nothing when it is in none.
pub(crate) fn coding_of<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Option<ContentCoding>, UnknownCoding> {
    let mut found = None;
    for name in values.flat_map(options).filter(|name| !name.eq_ignore_ascii_case(b"identity")) {
        let coding = ContentCoding::named(name).ok_or(UnknownCoding)?;
        if found.replace(coding).is_some() {
            return Err(UnknownCoding);
        }
    }
    Ok(found)
}

impl Weights {
    fn of<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut weights = Self::default();
        for (name, weight) in values.flat_map(options).filter_map(weighted) {
            let place = match name {
                b"*" => Some(&mut weights.others),
                _ if name.eq_ignore_ascii_case(b"identity") => Some(&mut weights.identity),
                _ => ContentCoding::named(name).and_then(|coding| weights.codings.get_mut(coding.index())),
            };
            if let Some(place) = place {
                *place = Some(place.map_or(weight, |before| before.max(weight)));
            }
        }
        weights
    }
}

/// A name and its weight.
fn weighted(item: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = item.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let name = parts.next()?;
    let weight = match parts.next() {
        None => 1000,
        Some([b'q' | b'Q', b'=', weight @ ..]) => thousandths(weight)?,
        Some(_) => return None,
    };
    parts.next().is_none().then_some((name, weight))
}

/// A `qvalue`: 0 to 1 with at most three digits behind the point.
fn thousandths(value: &[u8]) -> Option<u16> {
    let (whole, digits) = match value {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', digits @ ..] => (whole, digits),
        _ => return None,
    };
    if digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let padded = digits.iter().copied().chain(std::iter::repeat(b'0')).take(3);
    let weight = padded.fold(u16::from(whole - b'0'), |sum, digit| sum * 10 + u16::from(digit - b'0'));
    (weight <= 1000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ContentCoding; 3] = ContentCoding::ALL;

    fn chosen(preferred: &[ContentCoding], fields: &[&str]) -> Option<&'static str> {
        choose(preferred, fields.iter().map(|field| field.as_bytes())).map(ContentCoding::as_str)
    }

    #[test]
    fn the_client_decides_by_weight_and_the_route_among_equals() {
        for (field, coding) in [
            // The examples of RFC 9110, section 12.5.3.
            ("compress, gzip", Some("gzip")),
            ("", None),
            ("*", Some("zstd")),
            ("compress;q=0.5, gzip;q=1.0", Some("gzip")),
            ("gzip;q=1.0, identity; q=0.5, *;q=0", Some("gzip")),
            // What browsers send.
            ("gzip, deflate, br, zstd", Some("zstd")),
            ("gzip, deflate, br", Some("br")),
            ("gzip,deflate", Some("gzip")),
            ("br;q=0.9, zstd;q=0.8, gzip", Some("gzip")),
            ("GZIP;Q=1", Some("gzip")),
            ("x-gzip", Some("gzip")),
            ("gzip ; q=0.001", Some("gzip")),
            ("gzip;q=0", None),
            ("gzip;q=0.000, *;q=0", None),
            ("*;q=0", None),
            ("*;q=0, br", Some("br")),
            ("zstd;q=0, *", Some("br")),
            ("zstd;q=0, br;q=0, *;q=0.1", Some("gzip")),
            // The content as it is: preferred, not preferred, refused.
            ("identity", None),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip;q=0.5", Some("gzip")),
            ("identity;q=0", None),
            ("identity;q=0, *", Some("zstd")),
            ("identity;q=0, gzip;q=0.1", Some("gzip")),
            // Malformed.
            ("gzip;q=2", None),
            ("gzip;q=0.1234, br;q=0.5", Some("br")),
            ("gzip;q=-1, br;q=.5, zstd;q=", None),
            ("gzip;q=1.001", None),
            ("gzip;level=9", None),
            ("gzip;q=1;q=0", None),
            (";q=1, ,,", None),
            ("gzip br", None),
            ("gzipped", None),
        ] {
            assert_eq!(chosen(&ALL, &[field]), coding, "{field}");
        }
    }

    #[test]
    fn only_what_the_route_lists_is_chosen_and_in_its_order() {
        let (br, gzip) = (ContentCoding::Brotli, ContentCoding::Gzip);
        assert_eq!(chosen(&[gzip, br], &["br, gzip, zstd"]), Some("gzip"));
        assert_eq!(chosen(&[br], &["gzip, zstd"]), None);
        assert_eq!(chosen(&[br, gzip], &["zstd", "gzip;q=0.2"]), Some("gzip"));
        assert_eq!(chosen(&ALL, &[]), None);
    }

    #[test]
    fn a_message_in_one_known_coding_can_be_decoded() {
        let of = |fields: &[&str]| coding_of(fields.iter().map(|field| field.as_bytes()));
        for (fields, coding) in [
            (&[][..], Ok(None)),
            (&["identity"], Ok(None)),
            (&["", "identity, "], Ok(None)),
            (&["gzip"], Ok(Some(ContentCoding::Gzip))),
            (&["X-Gzip"], Ok(Some(ContentCoding::Gzip))),
            (&["identity, br"], Ok(Some(ContentCoding::Brotli))),
            (&["zstd"], Ok(Some(ContentCoding::Zstd))),
            (&["deflate"], Err(UnknownCoding)),
            (&["compress"], Err(UnknownCoding)),
            (&["gzip, gzip"], Err(UnknownCoding)),
            (&["gzip", "br"], Err(UnknownCoding)),
            (&["gzip;q=1"], Err(UnknownCoding)),
        ] {
            assert_eq!(of(fields), coding, "{fields:?}");
        }
    }
}
