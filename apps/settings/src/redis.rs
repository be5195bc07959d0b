//! `REDIS_URL`: a server, or a name that sentinels know the address of.

use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::{
    Secret,
    parse::{self, Broken},
    reader::Reader,
};

/// What is accepted.
pub(crate) const REDIS_FORM: &str =
    "redis[s]://[[user]:password@]host[:port][/db], or redis[s]+sentinel://[[user]:password@]host[:port],.../name[/db]";
const RULE: &str = "must be redis[s]://[[user]:password@]host[:port][/db], or redis[s]+sentinel://[[user]:password@]host[:port],.../name[/db]; other characters in names and passwords as %XX";
const SERVER_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26_379;
/// More sentinels than anybody runs.
const HOSTS_MAX: usize = 16;
/// Names are safe in every place that they are used in.
const NAME_MAX: usize = 128;

/// Where Redis is and how it is talked to.
#[derive(Debug)]
pub struct RedisSettings {
    /// TLS, also to the sentinels.
    pub secure: bool,
    /// Host and port: of the server, or of each sentinel.
    pub hosts: Vec<(String, u16)>,
    /// The name that the sentinels know the server by.
    pub service: Option<String>,
    /// The user.
    pub username: Option<Secret>,
    /// The password.
    pub password: Option<Secret>,
    /// The password of the sentinels.
    pub sentinel_password: Option<Secret>,
    /// The number of the database.
    pub database: u16,
    /// The authorities that may vouch for it, in place of the public ones.
    pub ca_file: Option<PathBuf>,
}

impl RedisSettings {
    /// `REDIS_URL` and what belongs to it.
    pub(crate) fn take(reader: &mut Reader<'_>) -> Option<Self> {
        let url = reader.secret("REDIS_URL");
        let ca_file = reader.optional("REDIS_CA_FILE", parse::path);
        let sentinel_password = reader.secret("REDIS_SENTINEL_PASSWORD").map(|found| Secret::new(found.text));
        for name in ["REDIS_CA_FILE", "REDIS_SENTINEL_PASSWORD"] {
            if reader.is_set(name) {
                reader.demand("REDIS_URL", &format!("with {name}"));
            }
        }
        let parsed = match parse(&url?.text) {
            Ok(parsed) => parsed,
            Err(rule) => {
                reader.problem("REDIS_URL", rule);
                return None;
            }
        };
        if ca_file.is_some() && !parsed.secure {
            reader.problem("REDIS_CA_FILE", "needs rediss:// in REDIS_URL");
        }
        if sentinel_password.is_some() && parsed.service.is_none() {
            reader.problem("REDIS_SENTINEL_PASSWORD", "needs sentinels in REDIS_URL");
        }
        Some(Self { sentinel_password, ca_file, ..parsed })
    }
}

fn parse(text: &str) -> Result<RedisSettings, Broken> {
    read(text).ok_or_else(|| RULE.to_owned())
}

fn read(text: &str) -> Option<RedisSettings> {
    let (scheme, rest) = text.split_once("://")?;
    let (secure, named) = match scheme {
        "redis" => (false, false),
        "rediss" => (true, false),
        "redis+sentinel" => (false, true),
        "rediss+sentinel" => (true, true),
        _ => return None,
    };
    let (credentials, place) = match rest.rsplit_once('@') {
        Some((credentials, place)) => (Some(credentials), place),
        None => (None, rest),
    };
    let (username, password) = match credentials {
        Some(credentials) => {
            let (user, password) = credentials.split_once(':')?;
            let username = if user.is_empty() { None } else { Some(Secret::new(decode(user)?)) };
            (username, Some(Secret::new(decode(password).filter(|password| !password.is_empty())?)))
        }
        None => (None, None),
    };
    let mut parts = place.split('/');
    let hosts = hosts(parts.next()?, named)?;
    let service = if named { Some(parts.next().filter(|name| is_name(name))?.to_owned()) } else { None };
    let database = match parts.next() {
        None | Some("") => 0,
        Some(number) => u16::try_from(parse::number(number, 0, u64::from(u16::MAX)).ok()?).ok()?,
    };
    if parts.next().is_some() {
        return None;
    }
    Some(RedisSettings { secure, hosts, service, username, password, sentinel_password: None, database, ca_file: None })
}

fn hosts(text: &str, named: bool) -> Option<Vec<(String, u16)>> {
    let port = if named { SENTINEL_PORT } else { SERVER_PORT };
    let hosts: Option<Vec<_>> = text.split(',').map(|host| crate::url::host_and_port(host, port)).collect();
    hosts.filter(|hosts| hosts.len() <= if named { HOSTS_MAX } else { 1 })
}

fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(is_plain)
}

/// Resolves `%XX`.
fn decode(text: &str) -> Option<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let value = digit(rest.next()?)? * 16 + digit(rest.next()?)?;
        bytes.push(u8::try_from(value).ok()?);
    }
    std::str::from_utf8(&bytes).ok().map(|text| Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(settings: &RedisSettings) -> String {
        let secret = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        let RedisSettings { secure, hosts, service, database, .. } = settings;
        format!(
            "{secure} {hosts:?} {service:?} {:?} {database}",
            (secret(&settings.username), secret(&settings.password))
        )
    }

    #[test]
    fn a_server_or_its_sentinels_with_or_without_credentials_are_read() {
        for (text, expected) in [
            ("redis://r", r#"false [("r", 6379)] None (None, None) 0"#),
            ("rediss://R.example.com:7000/3", r#"true [("r.example.com", 7000)] None (None, None) 3"#),
            ("redis://:p%40s%2f%25@[::1]:1/", r#"false [("::1", 1)] None (None, Some("p@s/%")) 0"#),
            ("redis://u:p:q@10.0.0.1", r#"false [("10.0.0.1", 6379)] None (Some("u"), Some("p:q")) 0"#),
            (
                "rediss+sentinel://:p@a,b:26380/main/2",
                r#"true [("a", 26379), ("b", 26380)] Some("main") (None, Some("p")) 2"#,
            ),
        ] {
            assert_eq!(shown(&parse(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_without_being_repeated() {
        for text in [
            "",
            "redis",
            "redis://",
            "http://r",
            "redis://r:0",
            "redis://r:70000",
            "redis://r/x",
            "redis://r/1/2",
            "redis://u@r",
            "redis://:@r",
            "redis://:%zz@r",
            "redis://:%4@r",
            "redis://a,b",
            "redis://r/70000",
            "redis+sentinel://a",
            "redis+sentinel://a/",
            "redis+sentinel://a/na me",
            "redis+sentinel://,/main",
            "redis://r?db=1",
            "redis://r#x",
            "redis:// r",
        ] {
            assert_eq!(parse(text).unwrap_err(), RULE, "{text}");
        }
    }
}
