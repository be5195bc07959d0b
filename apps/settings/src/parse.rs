//! Text into values. Errors are rules, in words, and never repeat the text.

use std::{collections::BTreeMap, fmt, net::IpAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;

/// A rule that a text breaks.
pub(crate) type Broken = String;

/// The least severe level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what somebody must act on.
    Error,
    /// And what may become an error.
    Warn,
    /// And what operators want to know.
    Info,
    /// And what developers want to know.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The word of the setting.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

pub(crate) fn log_level(text: &str) -> Result<LogLevel, Broken> {
    [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace]
        .into_iter()
        .find(|level| level.as_str() == text)
        .ok_or_else(|| "must be error, warn, info, debug or trace".to_owned())
}

pub(crate) fn boolean(text: &str) -> Result<bool, Broken> {
    text.parse().map_err(|_quoting| "must be true or false".to_owned())
}

pub(crate) fn number(text: &str, min: u64, max: u64) -> Result<u64, Broken> {
    // `parse` alone would take a plus sign.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = if digits { text.parse::<u64>().ok() } else { None };
    value
        .filter(|value| (min..=max).contains(value))
        .ok_or_else(|| format!("must be a whole number from {min} to {max}"))
}

pub(crate) fn path(text: &str) -> Result<PathBuf, Broken> {
    if text.contains('\0') { Err("must be a path".to_owned()) } else { Ok(text.into()) }
}

pub(crate) fn paths(text: &str) -> Result<Vec<PathBuf>, Broken> {
    let each = |part: &str| {
        let part = part.trim();
        if part.is_empty() { Err("must be paths separated by commas".to_owned()) } else { path(part) }
    };
    text.split(',').map(each).collect()
}

pub(crate) fn claim(text: &str) -> Result<String, Broken> {
    if text.chars().count() <= 255 { Ok(text.to_owned()) } else { Err("must have at most 255 characters".to_owned()) }
}

pub(crate) fn networks(text: &str) -> Result<Vec<IpNet>, Broken> {
    const RULE: &str = "must be none, or networks such as 10.0.0.0/8 separated by commas";
    if text == "none" {
        return Ok(Vec::new());
    }
    let network = |part: &str| {
        let part = part.trim();
        part.parse::<IpNet>().map(|network| network.trunc()).or_else(|_| part.parse::<IpAddr>().map(IpNet::from)).ok()
    };
    text.split(',').map(network).collect::<Option<Vec<_>>>().ok_or_else(|| RULE.to_owned())
}

pub(crate) fn labels(text: &str) -> Result<BTreeMap<String, String>, Broken> {
    const RULE: &str = "must be key=value,key=value; keys of a-z 0-9 . _ - / with at most 63 characters, values printable \
                        with at most 255";
    let mut labels = BTreeMap::new();
    for part in text.split(',') {
        let (key, value) = part.trim().split_once('=').ok_or(RULE)?;
        let key_byte = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/');
        let good_key = (1..=63).contains(&key.len()) && key.bytes().all(key_byte);
        if !good_key || value.len() > 255 || value.chars().any(char::is_control) {
            return Err(RULE.to_owned());
        }
        if labels.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err("must not name a key twice".to_owned());
        }
    }
    if labels.len() > 16 { Err("must have at most 16 labels".to_owned()) } else { Ok(labels) }
}

pub(crate) fn zone(text: &str) -> Result<String, Broken> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if (1..=63).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err("must have 1 to 63 letters, digits, hyphens, dots and underscores".to_owned())
}

pub(crate) fn age(text: &str) -> Result<Option<Duration>, Broken> {
    const RULE: &str = "must be off, or a number with s, m, h or d, from 1m to 365d";
    const DAY: u64 = 86_400;
    if text == "off" {
        return Ok(None);
    }
    let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', DAY)];
    let seconds = units.into_iter().find_map(|(unit, factor)| {
        let count = number(text.strip_suffix(unit)?, 1, 365 * DAY).ok()?;
        count.checked_mul(factor)
    });
    let bounded = seconds.filter(|seconds| (60..=365 * DAY).contains(seconds));
    bounded.map(|seconds| Some(Duration::from_secs(seconds))).ok_or_else(|| RULE.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_digits_within_their_bounds() {
        assert_eq!(number("0", 0, 10), Ok(0));
        assert_eq!(number("10", 0, 10), Ok(10));
        for bad in ["", "11", "-1", "+1", "1.0", "0x1", "1_0", " 1", "99999999999999999999"] {
            assert_eq!(number(bad, 0, 10).unwrap_err(), "must be a whole number from 0 to 10", "{bad}");
        }
    }

    #[test]
    fn networks_may_be_single_addresses_and_lose_their_host_bits() {
        let parsed = networks("10.1.2.3/8, 192.0.2.7,fe80::1").unwrap();
        let shown: Vec<String> = parsed.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.0.0.0/8", "192.0.2.7/32", "fe80::1/128"]);
        assert_eq!(networks("none"), Ok(Vec::new()));
        for bad in ["", "10.0.0.0/33", "10.0.0.0/8,", "example.com", "none,10.0.0.0/8"] {
            assert!(networks(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn labels_are_pairs_with_unique_keys() {
        let parsed = labels("zone=eu-1, app.kubernetes.io/name=edge,empty=").unwrap();
        assert_eq!(parsed.len(), 3);
        assert_eq!(parsed["zone"], "eu-1");
        assert_eq!(parsed["empty"], "");
        for bad in ["zone", "=x", "Zone=x", "a=1,a=2", "a=\u{7}", "a=1,,b=2"] {
            assert!(labels(bad).is_err(), "{bad}");
        }
        let seventeen: Vec<String> = (0..17).map(|index| format!("k{index}=v")).collect();
        assert!(labels(&seventeen.join(",")).is_err());
        assert!(labels(&seventeen[..16].join(",")).is_ok());
    }

    #[test]
    fn ages_carry_their_unit() {
        assert_eq!(age("off"), Ok(None));
        assert_eq!(age("90s"), Ok(Some(Duration::from_secs(90))));
        assert_eq!(age("24h"), Ok(Some(Duration::from_hours(24))));
        assert_eq!(age("365d"), Ok(Some(Duration::from_hours(365 * 24))));
        for bad in ["", "0", "60", "59s", "366d", "1w", "-1h", "h", "31536000d", "18446744073709551615d"] {
            assert!(age(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in any::<String>()) {
            let _ = (number(&text, 0, u64::MAX), networks(&text), labels(&text), age(&text));
            let _ = (boolean(&text), log_level(&text), path(&text), claim(&text));
        }
    }
}
