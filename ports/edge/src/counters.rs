//! Limits that the gateways of a fleet count together.

use std::sync::Arc;

use async_trait::async_trait;
use novagate_kernel::NodeId;
use novagate_policies::{Admission, LeaseAnswer, LeaseAsk, SharedAsk};
use novagate_ports_base::PortError;

/// Counts each request where all gateways of a fleet see it.
///
/// Contract, checked by `testkit/contracts`: never more than `max` admitted in any window, over all nodes; `max` at once
/// is allowed; both buckets are charged or neither; a refused request is not counted; after the time that was told one is
/// admitted. A call ends within a deadline of its own; whoever is behind it, a silent one costs one deadline for each
/// probe and not one for each call.
#[async_trait]
pub trait SharedCounter: Send + Sync + 'static {
    /// Decides about one request in one exchange. An error: nobody has decided.
    async fn admit(&self, client: Option<SharedAsk>, route: Option<SharedAsk>) -> Result<Admission, PortError>;
}

/// Gives each worker its own way to the counter: nothing on the request path is shared between threads.
pub trait SharedCounters: Send + Sync + 'static {
    /// For one worker, on whose runtime it is called.
    fn for_worker(&self) -> Arc<dyn SharedCounter>;
}

/// The ledger from which nodes take leases of their limits, beside the request path.
#[async_trait]
pub trait LeaseLedger: Send + Sync + 'static {
    /// Settles and grants, all asks in one exchange; one answer for each ask, in their order. An error: whether anything
    /// was charged is unknown.
    async fn exchange(&self, asks: &[LeaseAsk]) -> Result<Vec<LeaseAnswer>, PortError>;

    /// Tells that this node counts too, and how many have told so lately.
    async fn nodes(&self, node: NodeId) -> Result<u32, PortError>;
}
