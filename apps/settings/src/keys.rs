//! The registry of settings: name, default, bounds and meaning of each, said once.
//!
//! Always: a default is text that passes the same check as what an operator writes; bounds of numbers are enforced from
//! here. `docs/config.toml` and the key listings of `--help` are made from it.

use crate::redis::REDIS_FORM;

/// Which program reads a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `novagate-gateway`.
    Gateway,
    /// `novagate-control`.
    Control,
}

/// How a value is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// It may be shown.
    Public,
    /// It is never shown.
    Secret,
    /// It is never shown, and `NAME_FILE` may name a file that holds it.
    SecretOrFile,
}

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A whole number between two bounds, both included.
    Number {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// Text of a form.
    Form(&'static str),
    /// Anything is refused: the name is reserved for a later version.
    NotBuilt,
}

/// One setting of one program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyDoc {
    /// The name, in the environment bare or with `NOVAGATE_` before it, and in the file.
    pub name: &'static str,
    /// Who reads it.
    pub program: Program,
    /// The value when it is not set.
    pub default: Option<&'static str>,
    /// The unit of a number, or what kind of text it is.
    pub unit: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// What is accepted.
    pub rule: Rule,
    /// Whether it may be shown.
    pub secret: Secrecy,
}

impl KeyDoc {
    /// Whether `NAME_FILE` is a setting too.
    pub const fn has_file_form(&self) -> bool {
        matches!(self.secret, Secrecy::SecretOrFile)
    }

    /// Whether this version honours it.
    pub const fn is_built(&self) -> bool {
        !matches!(self.rule, Rule::NotBuilt)
    }
}

/// The documentation of a setting of a program.
pub(crate) fn find(program: Program, name: &str) -> Option<&'static KeyDoc> {
    KEYS.iter().find(|key| key.program == program && key.name == name)
}

/// Every name that any program knows, `_FILE` forms included, in the order of [`KEYS`]; a name that both programs read
/// comes twice.
pub(crate) fn names() -> impl Iterator<Item = (&'static KeyDoc, bool)> {
    KEYS.iter().flat_map(|key| [(key, false), (key, true)]).filter(|(key, file)| !file || key.has_file_form())
}

const fn text(
    program: Program,
    name: &'static str,
    default: Option<&'static str>,
    form: &'static str,
    meaning: &'static str,
) -> KeyDoc {
    KeyDoc { name, program, default, unit: "text", meaning, rule: Rule::Form(form), secret: Secrecy::Public }
}

const fn secret(program: Program, name: &'static str, form: &'static str, meaning: &'static str) -> KeyDoc {
    let key = text(program, name, None, form, meaning);
    KeyDoc { secret: Secrecy::SecretOrFile, ..key }
}

const fn number(
    program: Program,
    name: &'static str,
    default: Option<&'static str>,
    (unit, min, max): (&'static str, u64, u64),
    meaning: &'static str,
) -> KeyDoc {
    KeyDoc { name, program, default, unit, meaning, rule: Rule::Number { min, max }, secret: Secrecy::Public }
}

const fn not_built(program: Program, name: &'static str, secret: Secrecy, meaning: &'static str) -> KeyDoc {
    KeyDoc { name, program, default: None, unit: "text", meaning, rule: Rule::NotBuilt, secret }
}

use Program::{Control, Gateway};
use Secrecy::Public;

const HOUR_MS: u64 = 3_600_000;

/// Every setting, by program.
#[rustfmt::skip]
pub const KEYS: &[KeyDoc] = &[
    text(Gateway, "CONTROL_PLANE_URL", None, "wss://host[:port]; ws:// only to a loopback address", "the control plane; with GATEWAY_API_KEY, or else CONFIG_FILE"),
    secret(Gateway, "GATEWAY_API_KEY", "gw_<tenantId>_<32 hex>", "this tenant's gateway key"),
    text(Gateway, "CONFIG_FILE", None, "a path", "a config file (YAML or JSON) for a node without control plane"),
    text(Gateway, "ALLOW_INSECURE_CONTROL_PLANE", Some("false"), "true or false", "permits ws:// to an address that is not loopback"),
    text(Gateway, "CONTROL_PLANE_CA_FILE", None, "a path", "PEM file of the only authorities that may vouch for the control plane, in place of the public ones"),
    text(Gateway, "NODE_LABELS", None, "key=value,key=value; at most 16; keys of a-z 0-9 . _ - /, at most 63 characters; values printable, at most 255", "labels of this node, shown in lists of gateways"),
    text(Gateway, "ZONE", None, "1 to 63 letters, digits, hyphens, dots and underscores", "where this node is: targets with the same zone are preferred"),
    text(Gateway, "MAX_CONFIG_AGE", Some("off"), "off, or a number with s, m, h or d; 1m to 365d", "stops serving when the control plane has not been heard for so long"),
    secret(Gateway, "JWT_SECRET", "at least 32 characters, used as they are", "verifies HS256 tokens of clients; required unless JWT_PUBLIC_KEY_FILE is set"),
    text(Gateway, "JWT_PUBLIC_KEY_FILE", None, "a path", "PEM file of the public key that verifies tokens of clients"),
    text(Gateway, "JWT_ISSUER", None, "at most 255 characters", "when set, tokens must carry it as iss"),
    text(Gateway, "JWT_AUDIENCE", None, "at most 255 characters", "when set, tokens must carry it in aud"),
    number(Gateway, "JWT_LEEWAY_S", Some("0"), ("seconds", 0, 300), "tolerance for the clocks of token issuers"),
    text(Gateway, "HOST", Some("0.0.0.0"), "an IP address", "address that traffic is accepted on"),
    number(Gateway, "PORT", Some("8000"), ("port", 0, 65_535), "port that traffic is accepted on; 0: any free one"),
    text(Gateway, "TLS_CERT_FILE", None, "paths separated by commas", "PEM files of certificate chains; the port then speaks TLS, and each chain serves the names in its first certificate"),
    text(Gateway, "TLS_KEY_FILE", None, "paths separated by commas", "PEM files of the private keys, in the order of TLS_CERT_FILE"),
    text(Gateway, "TLS_CLIENT_CA_FILE", None, "a path", "PEM file of the authorities that sign the certificates of clients; with TLS_CERT_FILE"),
    text(Gateway, "TLS_CLIENT_AUTH", None, "required or optional; with TLS_CLIENT_CA_FILE", "whether clients must show a certificate or may; one that is shown must hold either way; not set: required"),
    text(Gateway, "ADMIN_ADDR", Some("127.0.0.1:9100"), "address:port", "/health /ready /metrics /status"),
    text(Gateway, "DATA_DIR", Some("./.novagate-gateway"), "a path", "snapshot slots, journal, node id"),
    text(Gateway, "RATE_LIMIT_MODE", None, "local, leased or exact; leased and exact need REDIS_URL", "whether limits hold for this node or for the fleet; not set: leased with REDIS_URL, else local"),
    number(Gateway, "RATE_LIMIT_WINDOW_MS", Some("60000"), ("milliseconds", 1_000, 24 * HOUR_MS), "window of the node's own limits"),
    number(Gateway, "RATE_LIMIT_UNAUTH_MAX", Some("100"), ("requests", 1, 1_000_000), "requests of a client without credentials in a window"),
    number(Gateway, "RATE_LIMIT_AUTH_MAX", Some("500"), ("requests", 1, 1_000_000), "requests of a client with credentials in a window"),
    secret(Gateway, "REDIS_URL", REDIS_FORM, "what the gateways of a fleet count and keep together"),
    text(Gateway, "REDIS_CA_FILE", None, "a path", "PEM file of the only authorities that may vouch for Redis, in place of the public ones"),
    text(Gateway, "REDIS_SENTINEL_PASSWORD", None, "a password", "password of the sentinels").secret(),
    secret(Gateway, "FLEET_KEY", "at least 32 characters, the same on all gateways of a fleet", "hides and seals what lies in Redis; not set: JWT_SECRET, else GATEWAY_API_KEY"),
    number(Gateway, "PROXY_TIMEOUT_MS", Some("10000"), ("milliseconds", 1, HOUR_MS), "until an upstream's response head, where a service says nothing else"),
    number(Gateway, "BODY_IDLE_TIMEOUT_MS", Some("30000"), ("milliseconds", 1, HOUR_MS), "without progress of a body, in both directions"),
    number(Gateway, "HEADER_TIMEOUT_MS", Some("10000"), ("milliseconds", 1, 600_000), "from a request's first byte to the end of its head"),
    number(Gateway, "IDLE_TIMEOUT_MS", Some("75000"), ("milliseconds", 1, HOUR_MS), "between two requests of a connection"),
    number(Gateway, "WEBSOCKET_IDLE_TIMEOUT_MS", Some("3600000"), ("milliseconds", 1, 24 * HOUR_MS), "without a byte of a WebSocket, in both directions"),
    number(Gateway, "DRAIN_MS", Some("20000"), ("milliseconds", 0, 600_000), "for running requests to finish when the program stops"),
    number(Gateway, "MAX_HEADER_BYTES", Some("32768"), ("bytes", 1_024, 1_048_576), "request line and headers of a request"),
    number(Gateway, "MAX_HEADERS", Some("100"), ("headers", 1, 1_000), "headers of a request"),
    number(Gateway, "MAX_BODY_BYTES", None, ("bytes", 1, 1 << 40), "body of a request; not set: no bound"),
    number(Gateway, "MAX_CONNECTIONS", Some("100000"), ("connections", 1, 1_000_000), "open client connections"),
    number(Gateway, "MAX_CONNECTIONS_PER_ADDRESS", None, ("connections", 1, 1_000_000), "open connections of one client's address (IPv6: of its /64), but of trusted proxies; not set: no bound"),
    number(Gateway, "OVERLOAD_DELAY_MS", Some("500"), ("milliseconds", 0, 60_000), "how late a worker may come to what is due before it refuses a part of new requests; 0: none is refused"),
    text(Gateway, "PROXY_PROTOCOL_CIDRS", Some("none"), "none, or networks separated by commas", "peers whose connections begin with a header of the PROXY protocol, version 1 or 2"),
    text(Gateway, "HTTP2", Some("true"), "true or false", "HTTP/2 with clients, beside HTTP/1.1 on the same port"),
    number(Gateway, "MAX_CONCURRENT_STREAMS", Some("128"), ("streams", 1, 1_000), "open requests of one HTTP/2 connection"),
    text(Gateway, "TRUSTED_PROXY_CIDRS", Some("none"), "none, or networks separated by commas", "proxies whose X-Forwarded-For is believed"),
    text(Gateway, "UPSTREAM_DENY_CIDRS", Some("169.254.0.0/16,fe80::/10,fd00:ec2::254/128"), "none, or networks separated by commas", "addresses that no upstream may resolve to"),
    text(Gateway, "UPSTREAM_CA_FILE", None, "a path", "PEM file of the only authorities that may vouch for upstreams, in place of the public ones"),
    text(Gateway, "UPSTREAM_TLS_DIR", None, "a path", "directory of the PEM files that services name in tls: authorities, certificates and private keys"),
    number(Gateway, "WORKERS", None, ("threads", 1, 256), "threads that carry traffic; not set: one for each CPU"),
    text(Gateway, "LOG_LEVEL", Some("info"), "error, warn, info, debug or trace", "least severe level that is logged"),
    not_built(Gateway, "JWKS_URL", Public, "verification keys from a JWKS endpoint"),
    not_built(Gateway, "SECRETS_DIR", Public, "directory of secrets that config objects refer to"),

    text(Control, "DATABASE_URL", None, "sqlite:DIR or postgres://USER:PASSWORD@HOST:PORT/DATABASE", "the database; not set: SQLite in DATA_DIR/db").secret_or_file(),
    text(Control, "MIGRATE_DATABASE_URL", None, "postgres://USER:PASSWORD@HOST:PORT/DATABASE", "the database through the login that owns it, for novagate-control migrate; not set: DATABASE_URL's login owns it").secret_or_file(),
    text(Control, "DATABASE_SESSION_URL", None, "postgres://USER:PASSWORD@HOST:PORT/DATABASE", "the database without a pooler of transactions in front, for notifications; not set: DATABASE_URL has none").secret_or_file(),
    number(Control, "DATABASE_CONNECTIONS", Some("10"), ("connections", 1, 500), "open connections to PostgreSQL at most"),
    secret(Control, "PLATFORM_JWT_SECRET", "at least 32 characters, different from JWT_SECRET", "signs platform tokens"),
    text(Control, "PLATFORM_JWT_SECRET_PREVIOUS", None, "at least 32 characters", "still verifies platform tokens, while the secret is rotated").secret_or_file(),
    text(Control, "LISTEN_ADDR", Some("127.0.0.1:8080"), "address:port", "API and sync"),
    text(Control, "OPS_ADDR", Some("127.0.0.1:9090"), "address:port", "/metrics and health details"),
    text(Control, "PUBLIC_URL", None, "http(s)://host[:port]", "how browsers reach the control plane; links in mails begin with it"),
    text(Control, "TLS_CERT_FILE", None, "a path", "PEM file of the certificate chain; with TLS_KEY_FILE"),
    text(Control, "TLS_KEY_FILE", None, "a path", "PEM file of the private key; with TLS_CERT_FILE"),
    text(Control, "TLS_SELF_SIGNED", Some("false"), "true or false", "TLS with an authority that is made at the first start; gateways trust its certificate, DATA_DIR/public/ca.pem"),
    text(Control, "REGISTRATION", None, "open, verified or closed", "who may register; not set: verified with SMTP_URL, else open on a loopback LISTEN_ADDR, else closed"),
    secret(Control, "SMTP_URL", "smtp:// or smtps://, with user and password", "mail server; not set: mails are written to DATA_DIR/outbox"),
    text(Control, "SMTP_FROM", None, "an e-mail address", "sender of mails; required with SMTP_URL"),
    text(Control, "DATA_DIR", Some("./.novagate-control"), "a path", "database and outbox"),
    text(Control, "TRUSTED_PROXY_CIDRS", Some("none"), "none, or networks separated by commas", "proxies whose X-Forwarded-For is believed"),
    text(Control, "LOG_LEVEL", Some("info"), "error, warn, info, debug or trace", "least severe level that is logged"),
    secret(Control, "REDIS_URL", REDIS_FORM, "wake-ups, presence and counted attempts between control nodes; not set: PostgreSQL or this process"),
    text(Control, "REDIS_CA_FILE", None, "a path", "PEM file of the only authorities that may vouch for Redis, in place of the public ones"),
    text(Control, "REDIS_SENTINEL_PASSWORD", None, "a password", "password of the sentinels").secret(),
    number(Control, "DRAIN_MS", Some("20000"), ("milliseconds", 0, 600_000), "for running requests to finish when the program stops"),
];

impl KeyDoc {
    const fn secret(self) -> Self {
        Self { secret: Secrecy::Secret, ..self }
    }

    const fn secret_or_file(self) -> Self {
        Self { secret: Secrecy::SecretOrFile, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_for_each_program_and_plain() {
        for (index, key) in KEYS.iter().enumerate() {
            let is_plain = |byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_');
            assert!(key.name.bytes().all(is_plain) && key.name.starts_with(char::is_alphabetic), "{}", key.name);
            assert!(!key.name.starts_with("NOVAGATE_") && !key.meaning.is_empty());
            assert!(!KEYS[..index].iter().any(|other| other.program == key.program && other.name == key.name));
        }
    }

    #[test]
    fn the_secrets_that_have_a_file_form_are_exactly_the_listed_ones() {
        let mut named: Vec<&str> = KEYS.iter().filter(|key| key.has_file_form()).map(|key| key.name).collect();
        named.sort_unstable();
        named.dedup();
        let listed = [
            "DATABASE_SESSION_URL",
            "DATABASE_URL",
            "FLEET_KEY",
            "GATEWAY_API_KEY",
            "JWT_SECRET",
            "MIGRATE_DATABASE_URL",
            "PLATFORM_JWT_SECRET",
            "PLATFORM_JWT_SECRET_PREVIOUS",
            "REDIS_URL",
            "SMTP_URL",
        ];
        assert_eq!(named, listed);
    }

    #[test]
    fn defaults_of_numbers_lie_within_their_bounds() {
        for key in KEYS {
            if let (Rule::Number { min, max }, Some(default)) = (key.rule, key.default) {
                let value: u64 = default.parse().unwrap();
                assert!((min..=max).contains(&value), "{}", key.name);
            }
        }
    }
}
