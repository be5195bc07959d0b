//! Ports that fail when a test says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{NodeId, Timestamp};
use novagate_ports_base::{FaultKind, PortError};
use novagate_ports_control::outbound::{Bus, BusSubscription, Presence, Wake};

/// Which calls fail, counted from 1 over all methods of a port. Clones are the same plan.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    calls: u64,
    faults: BTreeMap<u64, FaultKind>,
    every: Option<FaultKind>,
}

impl FaultPlan {
    /// The n-th call fails.
    #[must_use]
    pub fn fail_nth(self, call: u64, kind: FaultKind) -> Self {
        self.plan(|plan| plan.faults.insert(call, kind));
        self
    }

    /// Every call fails from here on, or none does.
    pub fn fail_all(&self, kind: Option<FaultKind>) {
        self.plan(|plan| plan.every = kind);
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.plan(|plan| plan.calls)
    }

    fn call(&self, op: &'static str) -> Result<(), PortError> {
        let fault = self.plan(|plan| {
            plan.calls += 1;
            plan.every.or_else(|| plan.faults.get(&plan.calls).copied())
        });
        fault.map_or(Ok(()), |kind| Err(PortError::new(op, kind, "a fault on purpose")))
    }

    fn plan<T>(&self, look: impl FnOnce(&mut Plan) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A port that fails by a plan, and else does what the one inside does.
#[derive(Debug, Clone)]
pub struct Flaky<P> {
    inner: P,
    plan: FaultPlan,
}

impl<P> Flaky<P> {
    /// `inner`, failing by `plan`.
    pub const fn new(inner: P, plan: FaultPlan) -> Self {
        Self { inner, plan }
    }
}

#[async_trait]
impl<P: Bus> Bus for Flaky<P> {
    async fn publish(&self, wake: &Wake) -> Result<(), PortError> {
        self.plan.call("flaky.publish")?;
        self.inner.publish(wake).await
    }

    async fn subscribe(&self) -> Result<Box<dyn BusSubscription>, PortError> {
        self.plan.call("flaky.subscribe")?;
        self.inner.subscribe().await
    }
}

#[async_trait]
impl<P: Presence> Presence for Flaky<P> {
    async fn beat(&self, scope: &TenantScope, node: NodeId, at: Timestamp) -> Result<(), PortError> {
        self.plan.call("flaky.beat")?;
        self.inner.beat(scope, node, at).await
    }

    async fn leave(&self, scope: &TenantScope, node: NodeId) -> Result<(), PortError> {
        self.plan.call("flaky.leave")?;
        self.inner.leave(scope, node).await
    }

    async fn online(&self, scope: &TenantScope) -> Result<Vec<(NodeId, Timestamp)>, PortError> {
        self.plan.call("flaky.online")?;
        self.inner.online(scope).await
    }
}
