//! A service as requests use it.

use std::sync::Arc;
use std::time::Duration;

use novagate_kernel::{Name, ServiceId};
use novagate_routing::{HealthCheck, LoadBalancing, Preference, Protocol, Resilience, Service, Target, UpstreamTls};

use super::balance;
use super::rotation::Rotation;

/// A service's place in a compiled configuration: dense, from 0, in the order of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceIndex(u32);

impl ServiceIndex {
    pub(crate) const fn new(index: u32) -> Self {
        Self(index)
    }

    /// The number, as it stands in records.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number, for vectors beside the configuration.
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

/// A service as requests use it.
#[derive(Debug)]
pub struct CompiledService {
    /// Its place.
    pub index: ServiceIndex,
    /// Its id.
    pub id: ServiceId,
    /// Its name.
    pub name: Name,
    /// Where requests go; never empty.
    pub targets: Arc<[Target]>,
    /// Until the response head; `None`: the node's.
    pub timeout: Option<Duration>,
    /// For the whole exchange; `None`: unbounded.
    pub total_timeout: Option<Duration>,
    /// What is spoken with its targets.
    pub protocol: Protocol,
    /// How its targets are probed.
    pub health_check: Option<Box<HealthCheck>>,
    /// How a target is chosen.
    pub load_balancing: LoadBalancing,
    /// Which targets are chosen rather than others, and which less often.
    pub preference: Preference,
    /// What is done about targets that fail.
    pub resilience: Resilience,
    /// How TLS is spoken to its targets, where it says so.
    pub tls: Option<Arc<UpstreamTls>>,
    rotation: Rotation,
    /// One for each target.
    pub(super) seeds: Box<[u64]>,
}

impl CompiledService {
    pub(crate) fn new(index: ServiceIndex, service: &Service) -> Self {
        Self {
            index,
            id: service.id,
            name: service.name.clone(),
            targets: service.targets.as_slice().into(),
            timeout: service.timeout,
            total_timeout: service.total_timeout,
            protocol: service.protocol,
            health_check: service.health_check.clone(),
            load_balancing: service.load_balancing.clone(),
            preference: service.preference,
            resilience: service.resilience.clone(),
            tls: service.tls.clone().map(Arc::from),
            rotation: Rotation::new(service.targets.iter().map(|target| target.weight)),
            seeds: balance::seeds(&service.targets),
        }
    }

    /// The index of the target for the request with this number: over a whole turn each target gets exactly its weight,
    /// spread out. A worker counts its requests per service, starting anywhere.
    pub fn pick(&self, counter: u64) -> usize {
        self.rotation.pick(counter)
    }

    /// The same among the targets that are `available`; `None` when there is none. The share of one that is not goes to
    /// the others by their weights.
    pub fn pick_available(&self, counter: u64, available: impl Fn(usize) -> bool) -> Option<usize> {
        self.rotation.pick_available(counter, available)
    }
}
