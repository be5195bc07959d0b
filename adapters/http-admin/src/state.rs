//! What handlers work with.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use novagate_ports_base::{Clock, Entropy};
use novagate_ports_control::{
    inbound::{Accounts, ConfigAdmin, Fleet, Insight},
    outbound::IdempotencyStore,
};

/// How the API behaves.
#[derive(Debug, Clone)]
pub struct AdminOptions {
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Most bytes of a body, but for whole configurations.
    pub max_body_bytes: usize,
    /// Most bytes of a whole configuration.
    pub max_config_bytes: usize,
    /// How long a request may take.
    pub timeout: std::time::Duration,
}

impl Default for AdminOptions {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            max_body_bytes: 256 * 1024,
            max_config_bytes: 16 * 1024 * 1024,
            timeout: std::time::Duration::from_secs(30),
        }
    }
}

/// The ports behind the API. Clones share everything.
#[derive(Clone)]
pub struct AdminState {
    /// Accounts, tenants and gateway keys.
    pub accounts: Arc<dyn Accounts>,
    /// Configuration.
    pub config: Arc<dyn ConfigAdmin>,
    /// Gateways.
    pub fleet: Arc<dyn Fleet>,
    /// Telemetry.
    pub insight: Arc<dyn Insight>,
    /// Answers to repeated POSTs.
    pub idempotency: Arc<dyn IdempotencyStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for request ids.
    pub entropy: Arc<dyn Entropy>,
    /// How the API behaves.
    pub options: Arc<AdminOptions>,
}

impl AdminState {
    /// The client's address: the peer, or, when the peer is a trusted proxy, the nearest address of `X-Forwarded-For` that
    /// is not one.
    pub(crate) fn client_address(&self, peer: IpAddr, forwarded_for: &[&str]) -> IpAddr {
        let trusted = |address: IpAddr| self.options.trusted_proxies.iter().any(|net| net.contains(&address));
        // A socket for both families shows IPv4 peers as `::ffff:a.b.c.d`.
        let peer = peer.to_canonical();
        if !trusted(peer) {
            return peer;
        }
        let hops = forwarded_for.iter().rev().map_while(|hop| hop.parse::<IpAddr>().ok());
        let mut client = peer;
        for hop in hops {
            client = hop.to_canonical();
            if !trusted(client) {
                break;
            }
        }
        client
    }
}
