//! Names into addresses, without blocking a thread and without anything but two text files of the machine.
//!
//! Always: `/etc/hosts` first, then the DNS servers of `/etc/resolv.conf`, A and AAAA together; an answer comes within five
//! seconds or not at all; answers are kept for their time to live, within bounds, in a cache of bounded size; a changed file
//! counts within seconds. Not here: which addresses may be connected to (`adapters/http-edge`), other sources that a system
//! may name in `/etc/nsswitch.conf`.

mod hosts;
mod service;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::{NetError, runtime::TokioRuntimeProvider};
use hickory_resolver::system_conf::parse_resolv_conf;
use tokio::time::timeout;

use self::hosts::Hosts;

pub use self::service::{Discovered, Instance};

/// Longest wait for the addresses of a name.
const DEADLINE: Duration = Duration::from_secs(5);
/// Longest wait for one server's answer; three times it fits into [`DEADLINE`].
const ANSWER_LIMIT: Duration = Duration::from_millis(1500);
const RETRIES: usize = 2;
/// Bounds of the time an answer is kept: a service that moves is found again soon, whatever its servers say.
const KEPT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// An unknown name may be known soon.
const UNKNOWN_KEPT: Duration = Duration::from_secs(2);
/// Answers that are kept.
const CACHE_SIZE: u64 = 1024;
/// How often the two files are looked at.
const FILES_TURN: Duration = Duration::from_secs(5);
const DNS_PORT: u16 = 53;

/// Why a name has no addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Nobody knows the name.
    #[error("the name is not known")]
    Unknown,
    /// No server gave an answer that can be used.
    #[error("no DNS server answers")]
    Unavailable,
    /// Not within the time.
    #[error("the name was not resolved in time")]
    TimedOut,
}

/// The addresses of a name, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// In the order in which they are to be tried: IPv4 first.
    pub addresses: Vec<SocketAddr>,
    /// How long they may be used without asking again.
    pub valid_for: Duration,
}

/// Where a resolver reads, and where its servers listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolverFiles {
    /// Names of this machine.
    pub hosts: PathBuf,
    /// DNS servers, search domains, options.
    pub resolv_conf: PathBuf,
    /// The port of the DNS servers.
    pub dns_port: u16,
}

/// Resolves names; clones share everything. It may be used on several runtimes at once.
#[derive(Clone)]
pub struct Resolver {
    shared: Arc<Shared>,
}

struct Shared {
    files: ResolverFiles,
    state: Mutex<State>,
}

/// What was made from the files as they were.
#[derive(Clone)]
struct State {
    looked: Instant,
    stamps: [Option<Stamp>; 2],
    hosts: Arc<Hosts>,
    dns: Arc<TokioResolver>,
}

/// Tells two states of a file apart.
type Stamp = (SystemTime, u64);

impl Default for ResolverFiles {
    fn default() -> Self {
        Self { hosts: "/etc/hosts".into(), resolv_conf: "/etc/resolv.conf".into(), dns_port: DNS_PORT }
    }
}

impl Resolver {
    /// A resolver that reads these files; a file that is absent or unreadable counts as empty. Without a server in
    /// `resolv_conf`, one on this machine is asked.
    pub fn new(files: ResolverFiles) -> Result<Self, ResolverStartError> {
        let state = Mutex::new(State::read(&files)?);
        Ok(Self { shared: Arc::new(Shared { files, state }) })
    }

    /// The addresses of `host`, which may be an address itself.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Resolved, ResolveError> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(resolved([address], port, KEPT.1));
        }
        let state = self.state();
        if let Some(addresses) = state.hosts.find(host) {
            return Ok(resolved(addresses, port, FILES_TURN));
        }
        if is_localhost(host) {
            return Ok(resolved([Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()], port, KEPT.1));
        }
        // Cancel-safe: an answer that nobody waits for any more is kept or lost as a whole.
        let answer = timeout(DEADLINE, state.dns.lookup_ip(host)).await.map_err(|_late| ResolveError::TimedOut)?;
        let answer = answer.map_err(|fault| explain(&fault))?;
        let valid_for = answer.valid_until().saturating_duration_since(Instant::now()).clamp(KEPT.0, KEPT.1);
        let found = resolved(answer.iter(), port, valid_for);
        if found.addresses.is_empty() { Err(ResolveError::Unknown) } else { Ok(found) }
    }

    /// The present state; looks at the files when it has not for some seconds.
    fn state(&self) -> State {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= FILES_TURN {
            state.looked = Instant::now();
            if stamps(&self.shared.files) != state.stamps {
                match State::read(&self.shared.files) {
                    Ok(fresh) => *state = fresh,
                    Err(error) => tracing::warn!(%error, "the changed files of the resolver are not used"),
                }
            }
        }
        state.clone()
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Resolver").field("files", &self.shared.files).finish_non_exhaustive()
    }
}

/// Why there is no resolver: a defect of the build, not of the files.
#[derive(Debug, thiserror::Error)]
#[error("the resolver cannot be set up")]
pub struct ResolverStartError(#[source] NetError);

impl State {
    fn read(files: &ResolverFiles) -> Result<Self, ResolverStartError> {
        // Stamps first: a change in between is seen at the next look.
        let stamps = stamps(files);
        let hosts = Arc::new(Hosts::parse(&text(&files.hosts)));
        let dns = Arc::new(client(&text(&files.resolv_conf), files.dns_port)?);
        Ok(Self { looked: Instant::now(), stamps, hosts, dns })
    }
}

fn client(resolv_conf: &str, port: u16) -> Result<TokioResolver, ResolverStartError> {
    // Refused as a whole for a search domain that is none, and when it names no server: then the one here is asked.
    let servers_only =
        || resolv_conf.lines().filter(|line| line.starts_with("nameserver")).collect::<Vec<_>>().join("\n");
    let parsed = parse_resolv_conf(resolv_conf).or_else(|_unusable| parse_resolv_conf(servers_only()));
    let (config, mut options) = parsed.unwrap_or_else(|_unusable| {
        let here = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
        (ResolverConfig::from_parts(None, Vec::new(), vec![here]), ResolverOpts::default())
    });
    let (domain, search, mut servers) = config.into_parts();
    for connection in servers.iter_mut().flat_map(|server| &mut server.connections) {
        connection.port = port;
    }
    let config = ResolverConfig::from_parts(domain, search, servers);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.timeout = options.timeout.min(ANSWER_LIMIT);
    options.attempts = options.attempts.min(RETRIES);
    options.cache_size = CACHE_SIZE;
    options.use_hosts_file = ResolveHosts::Never;
    options.positive_min_ttl = Some(KEPT.0);
    options.positive_max_ttl = Some(KEPT.1);
    options.negative_max_ttl = Some(UNKNOWN_KEPT);
    *builder.options_mut() = options;
    builder.build().map_err(ResolverStartError)
}

fn explain(fault: &NetError) -> ResolveError {
    if fault.is_nx_domain() || fault.is_no_records_found() { ResolveError::Unknown } else { ResolveError::Unavailable }
}

fn resolved(addresses: impl IntoIterator<Item = IpAddr>, port: u16, valid_for: Duration) -> Resolved {
    let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect();
    Resolved { addresses, valid_for }
}

/// Names that always mean this machine (RFC 6761).
fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost")
}

fn stamps(files: &ResolverFiles) -> [Option<Stamp>; 2] {
    [&files.hosts, &files.resolv_conf].map(|path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn text(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_changed_file_counts_at_the_next_look() {
        let folder = std::env::temp_dir().join(format!("novagate-net-{}-hosts", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let hosts = folder.join("hosts");
        fs::write(&hosts, "10.0.0.1 moving\n").unwrap();
        let resolver = Resolver::new(ResolverFiles { hosts: hosts.clone(), ..ResolverFiles::default() }).unwrap();
        let first = resolver.resolve("moving", 1).await.unwrap();
        fs::write(&hosts, "10.0.0.22 moving\n").unwrap();
        assert_eq!(resolver.resolve("moving", 1).await.unwrap(), first, "it does not look each time");
        resolver.shared.state.lock().unwrap().looked -= FILES_TURN;
        let second = resolver.resolve("moving", 1).await.unwrap();
        assert_eq!(second.addresses, ["10.0.0.22:1".parse().unwrap()]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn localhost_is_a_last_label() {
        for host in ["localhost", "LOCALHOST.", "a.localhost"] {
            assert!(is_localhost(host), "{host}");
        }
        for host in ["localhost.example", "mylocalhost", "", "."] {
            assert!(!is_localhost(host), "{host}");
        }
    }
}
