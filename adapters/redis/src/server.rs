//! Where Redis is, and connections to it.
//!
//! Always: a server is one address, or a name that sentinels know the address of; then each new connection asks them. TLS
//! trusts the public authorities or those of one file, and checks names. Not here: deadlines and retries (`link`, `pool`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{Client, ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo, RedisResult, TlsCertificates};
use tokio::sync::Mutex;

/// Bytes that were sent and are not confirmed for so long mean that the connection is dead.
const UNCONFIRMED_LIMIT: Duration = Duration::from_secs(10);

const PEM: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Where Redis is and how it is talked to. What is secret in it is not printed.
#[derive(Clone, Default)]
pub struct RedisTarget {
    /// TLS, also to the sentinels.
    pub secure: bool,
    /// Host and port: of the server, or of each sentinel.
    pub hosts: Vec<(String, u16)>,
    /// The name that the sentinels know the server by; none: `hosts` is the server itself.
    pub service: Option<String>,
    /// The user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The password of the sentinels.
    pub sentinel_password: Option<String>,
    /// The number of the database.
    pub database: u16,
    /// PEM of the only authorities that may vouch for the server, in place of the public ones.
    pub authorities: Option<Vec<u8>>,
}

impl fmt::Debug for RedisTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisTarget")
            .field("secure", &self.secure)
            .field("hosts", &self.hosts)
            .field("service", &self.service)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// Why a target cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RedisTargetError(&'static str);

impl RedisTargetError {
    pub(crate) const NO_CIPHER: Self = Self("cannot be used: the cipher of the cache is missing");
}

/// A server.
#[derive(Clone)]
pub(crate) struct Server(Arc<Kind>);

enum Kind {
    One(Client),
    Named(Mutex<SentinelClient>),
}

impl Server {
    pub(crate) fn new(target: &RedisTarget) -> Result<Self, RedisTargetError> {
        match &target.service {
            None => one(target).map(|client| Self(Arc::new(Kind::One(client)))),
            Some(name) => named(target, name).map(|client| Self(Arc::new(Kind::Named(Mutex::new(client))))),
        }
    }

    /// The server as it is to be connected to now.
    pub(crate) async fn client(&self) -> RedisResult<Client> {
        match &*self.0 {
            Kind::One(client) => Ok(client.clone()),
            Kind::Named(sentinels) => sentinels.lock().await.async_get_client().await,
        }
    }

    /// The server, when nobody has to be asked for it.
    pub(crate) fn client_at_hand(&self) -> Option<Client> {
        match &*self.0 {
            Kind::One(client) => Some(client.clone()),
            Kind::Named(_) => None,
        }
    }
}

fn one(target: &RedisTarget) -> Result<Client, RedisTargetError> {
    let (host, port) = target.hosts.first().ok_or(RedisTargetError("names no host"))?;
    let mut settings = RedisConnectionInfo::default().set_db(i64::from(target.database));
    if let Some(username) = &target.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &target.password {
        settings = settings.set_password(password);
    }
    let info = address(target, host, *port)
        .into_connection_info()
        .map_err(|_detail| RedisTargetError("is no address"))?
        .set_redis_settings(settings)
        .set_tcp_settings(tcp());
    let client = match certificates(target)? {
        Some(certificates) => Client::build_with_tls(info, certificates),
        None => Client::open(info),
    };
    client.map_err(|_detail| RedisTargetError("has authorities that cannot be read"))
}

fn named(target: &RedisTarget, name: &str) -> Result<SentinelClient, RedisTargetError> {
    const REFUSED: RedisTargetError = RedisTargetError("is no address of sentinels");
    let addresses = target.hosts.iter().map(|(host, port)| address(target, host, *port));
    let mut builder = SentinelClientBuilder::new(addresses, name, SentinelServerType::Master).map_err(|_| REFUSED)?;
    builder = builder
        .set_client_to_redis_db(i64::from(target.database))
        .set_client_to_redis_tcp_settings(tcp())
        .set_client_to_sentinel_tcp_settings(tcp());
    if target.secure {
        builder = builder
            .set_client_to_redis_tls_mode(redis::TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(redis::TlsMode::Secure);
    }
    if let Some(username) = &target.username {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = &target.password {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some(password) = &target.sentinel_password {
        builder = builder.set_client_to_sentinel_password(password);
    }
    if let Some(certificates) = certificates(target)? {
        builder = builder
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_certificates(certificates);
    }
    builder.build().map_err(|_detail| REFUSED)
}

fn address(target: &RedisTarget, host: &str, port: u16) -> ConnectionAddr {
    if target.secure {
        ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host.to_owned(), port)
    }
}

fn certificates(target: &RedisTarget) -> Result<Option<TlsCertificates>, RedisTargetError> {
    let Some(authorities) = target.authorities.clone().filter(|_| target.secure) else { return Ok(None) };
    // A file without any certificate would be read as trust in nobody.
    if !authorities.windows(PEM.len()).any(|part| part == PEM) {
        return Err(RedisTargetError("has no authority in its file"));
    }
    Ok(Some(TlsCertificates { client_tls: None, root_cert: Some(authorities) }))
}

fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true).set_user_timeout(UNCONFIRMED_LIMIT)
}
