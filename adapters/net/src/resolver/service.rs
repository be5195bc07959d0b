//! The instances behind the name of a service (RFC 2782).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hickory_resolver::proto::rr::RData;
use tokio::time::timeout;

use super::{DEADLINE, KEPT, ResolveError, Resolver, explain};

/// More instances of one service are not looked at.
const MOST_INSTANCES: usize = 64;

/// One of the instances behind a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Instances with a lower one are tried first.
    pub priority: u16,
    /// Its share among those with the same priority.
    pub weight: u16,
    /// Its addresses, at least one; IPv4 first.
    pub addresses: Vec<SocketAddr>,
}

/// The instances behind a name, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// Those that have addresses; by priority, otherwise in no order.
    pub instances: Vec<Instance>,
    /// How long they may be used without asking again.
    pub valid_for: Duration,
}

impl Resolver {
    /// The instances that the SRV records of `name` tell of, with their addresses. One whose name cannot be resolved is left
    /// out.
    pub async fn discover(&self, name: &str) -> Result<Discovered, ResolveError> {
        // Cancel-safe, as each of the look-ups is.
        timeout(DEADLINE, self.instances(name)).await.map_err(|_late| ResolveError::TimedOut)?
    }

    async fn instances(&self, name: &str) -> Result<Discovered, ResolveError> {
        let answer = self.state().dns.srv_lookup(name).await.map_err(|fault| explain(&fault))?;
        let valid_for = answer.valid_until().saturating_duration_since(Instant::now()).clamp(KEPT.0, KEPT.1);
        let service = |data: &RData| {
            let RData::SRV(record) = data else { return None };
            // The root says that there is no such service (RFC 2782, "Target").
            (!record.target.is_root() && record.port > 0).then(|| record.clone())
        };
        let mut records: Vec<_> = answer.answers().iter().filter_map(|record| service(&record.data)).collect();
        records.sort_by_key(|record| record.priority);
        records.truncate(MOST_INSTANCES);
        let hosts: Vec<_> = records.iter().map(|record| record.target.to_ascii()).collect();
        let found = join_all(hosts.iter().zip(&records).map(|(host, record)| self.resolve(host, record.port))).await;
        let fault = found.iter().find_map(|found| found.as_ref().err().copied());
        let mut discovered = Discovered { instances: Vec::new(), valid_for };
        for (record, found) in records.iter().zip(found) {
            let Ok(found) = found else { continue };
            let (priority, weight, addresses) = (record.priority, record.weight, found.addresses);
            discovered.instances.push(Instance { priority, weight, addresses });
            discovered.valid_for = discovered.valid_for.min(found.valid_for);
        }
        if discovered.instances.is_empty() { Err(fault.unwrap_or(ResolveError::Unknown)) } else { Ok(discovered) }
    }
}
