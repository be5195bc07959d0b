//! The settings of `novagate-control`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use novagate_access::EmailAddress;

use crate::{Database, LogLevel, Problems, Program, PublicUrl, RedisSettings, Secret, Source, parse, reader::Reader};

/// Everything a control plane is told from outside.
#[derive(Debug)]
pub struct ControlSettings {
    /// Where tenants are kept.
    pub database: Database,
    /// How platform tokens are signed.
    pub tokens: PlatformTokens,
    /// API and sync.
    pub listen: SocketAddr,
    /// Where operators look.
    pub ops_addr: SocketAddr,
    /// How browsers reach it; always there when mails are sent or registration is verified.
    pub public_url: Option<PublicUrl>,
    /// How TLS is terminated; none: not here.
    pub tls: Option<ServerTls>,
    /// Who may register.
    pub registration: Registration,
    /// How mails are sent; none: they are written to `DATA_DIR/outbox`.
    pub mail: Option<MailSettings>,
    /// Where state is kept.
    pub data_dir: PathBuf,
    /// Proxies whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What control nodes share beside the database.
    pub redis: Option<RedisSettings>,
    /// What is logged.
    pub log_level: LogLevel,
    /// For running requests to finish when the program stops.
    pub drain: Duration,
}

/// How platform tokens are signed.
#[derive(Debug)]
pub struct PlatformTokens {
    /// Signs and verifies.
    pub secret: Secret,
    /// Still verifies, while the secret is rotated.
    pub previous: Option<Secret>,
}

/// How the control plane terminates TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerTls {
    /// With a certificate that somebody gave it.
    Files(TlsFiles),
    /// With an authority of its own, kept in the data directory.
    SelfSigned,
}

/// Two PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Who may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Anybody, at once.
    Open,
    /// Anybody who proves an address first.
    Verified,
    /// Nobody: `novagate-control tenants create`.
    Closed,
}

/// How mails are sent.
#[derive(Debug)]
pub struct MailSettings {
    /// The server, with credentials.
    pub url: Secret,
    /// The sender.
    pub from: EmailAddress,
}

impl ControlSettings {
    /// Reads all settings from the defaults, the file that `--config` names, and the environment.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn read(source: &dyn Source, config_file: Option<&Path>) -> Result<Self, Problems> {
        let mut reader = Reader::new(Program::Control, source, config_file);
        let settings = Self::take(&mut reader);
        reader.finish(settings)
    }

    pub(crate) fn take(reader: &mut Reader<'_>) -> Option<Self> {
        let data_dir = reader.required("DATA_DIR", parse::path);
        let database = Database::take(reader, data_dir.as_deref());
        let tokens = tokens(reader);
        let listen = reader.parsed::<SocketAddr>("LISTEN_ADDR", "must be address:port");
        let ops_addr = reader.parsed("OPS_ADDR", "must be address:port");
        let public_url = reader.optional("PUBLIC_URL", PublicUrl::parse);
        let tls = tls(reader);
        let mail = mail(reader);
        let registration = registration(reader, listen);
        let trusted_proxies = reader.required("TRUSTED_PROXY_CIDRS", parse::networks);
        let redis = RedisSettings::take(reader);
        let log_level = reader.required("LOG_LEVEL", parse::log_level);
        let drain = reader.millis("DRAIN_MS");
        Some(Self {
            database: database?,
            tokens: tokens?,
            listen: listen?,
            ops_addr: ops_addr?,
            public_url,
            tls,
            registration: registration?,
            mail,
            data_dir: data_dir?,
            trusted_proxies: trusted_proxies?,
            redis,
            log_level: log_level?,
            drain: drain?,
        })
    }
}

fn tokens(reader: &mut Reader<'_>) -> Option<PlatformTokens> {
    reader.demand("PLATFORM_JWT_SECRET", "");
    let secret = reader.signing_secret("PLATFORM_JWT_SECRET");
    let previous = reader.signing_secret("PLATFORM_JWT_SECRET_PREVIOUS");
    reader.distinct_secrets();
    Some(PlatformTokens { secret: secret?, previous })
}

fn tls(reader: &mut Reader<'_>) -> Option<ServerTls> {
    let self_signed = reader.required("TLS_SELF_SIGNED", parse::boolean);
    let cert = reader.optional("TLS_CERT_FILE", parse::path);
    let key = reader.optional("TLS_KEY_FILE", parse::path);
    if reader.is_set("TLS_CERT_FILE") {
        reader.demand("TLS_KEY_FILE", "with TLS_CERT_FILE");
    }
    if reader.is_set("TLS_KEY_FILE") {
        reader.demand("TLS_CERT_FILE", "with TLS_KEY_FILE");
    }
    if self_signed == Some(true) {
        if reader.is_set("TLS_CERT_FILE") || reader.is_set("TLS_KEY_FILE") {
            reader.problem("TLS_SELF_SIGNED", "must not be true beside TLS_CERT_FILE or TLS_KEY_FILE");
        }
        return Some(ServerTls::SelfSigned);
    }
    Some(ServerTls::Files(TlsFiles { cert: cert?, key: key? }))
}

fn mail(reader: &mut Reader<'_>) -> Option<MailSettings> {
    let url = reader.secret("SMTP_URL").map(|found| found.text);
    let from = reader.optional("SMTP_FROM", |text| EmailAddress::parse(text).map_err(|fault| fault.to_string()));
    if !reader.is_set("SMTP_URL") {
        return None;
    }
    reader.demand("SMTP_FROM", "with SMTP_URL");
    reader.demand("PUBLIC_URL", "with SMTP_URL");
    let url = url?;
    let server = url.strip_prefix("smtps://").or_else(|| url.strip_prefix("smtp://"));
    if server.is_none_or(|server| server.is_empty() || server.starts_with(['/', ':', '?'])) {
        reader.problem("SMTP_URL", "must be smtp:// or smtps:// with a host");
        return None;
    }
    Some(MailSettings { url: Secret::new(url), from: from? })
}

fn registration(reader: &mut Reader<'_>, listen: Option<SocketAddr>) -> Option<Registration> {
    let chosen = reader.optional("REGISTRATION", |text| match text {
        "open" => Ok(Registration::Open),
        "verified" => Ok(Registration::Verified),
        "closed" => Ok(Registration::Closed),
        _ => Err("must be open, verified or closed".to_owned()),
    });
    if chosen == Some(Registration::Verified) {
        reader.demand("PUBLIC_URL", "when REGISTRATION is verified");
    }
    if chosen.is_some() || reader.is_set("REGISTRATION") {
        return chosen;
    }
    if reader.is_set("SMTP_URL") {
        return Some(Registration::Verified);
    }
    Some(if listen?.ip().is_loopback() { Registration::Open } else { Registration::Closed })
}
