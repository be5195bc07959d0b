//! Confirmations of many gateways, written together.
//!
//! Decides how many transactions confirmations cost: all nodes of a tenant confirm a revision at the same moment, so whoever
//! writes takes along what waits meanwhile. Always: a confirmation waits here until it is written, and its caller until
//! then; a caller that goes away, or whose write fails, leaves it to the next. Not here: what a confirmation changes
//! (`NodeStore`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use novagate_access::TenantScope;
use novagate_kernel::{Head, NodeId, TenantId};
use novagate_ports_base::PortError;

use crate::Control;

/// What waits to be written, by tenant.
#[derive(Default)]
pub(crate) struct Receipts(Mutex<HashMap<TenantId, Arc<Desk>>>);

/// Confirmations of one tenant's nodes. At most one a node: the newest.
#[derive(Default)]
struct Desk {
    waiting: Mutex<HashMap<NodeId, Head>>,
    /// Held by the caller that writes.
    turn: tokio::sync::Mutex<()>,
}

impl Receipts {
    /// Lays a confirmation on the tenant's desk.
    fn lay(&self, tenant: TenantId, node: NodeId, head: Head) -> Arc<Desk> {
        let mut desks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let desk = desks.entry(tenant).or_default();
        desk.waiting().insert(node, head);
        Arc::clone(desk)
    }

    /// Takes the desk away when nothing waits on it and nobody else is at it.
    fn leave(&self, tenant: TenantId, desk: Arc<Desk>) {
        let mut desks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(desk);
        // Nobody can come while the map is locked.
        if desks.get(&tenant).is_some_and(|left| Arc::strong_count(left) == 1 && left.waiting().is_empty()) {
            desks.remove(&tenant);
        }
    }
}

impl Desk {
    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<NodeId, Head>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this confirmation waits still: it has neither been written nor been overtaken by a newer one.
    fn waits(&self, node: NodeId, head: Head) -> bool {
        self.waiting().get(&node) == Some(&head)
    }

    /// The nodes that wait, by what they confirm: mostly one revision.
    fn by_head(&self) -> Vec<(Head, Vec<NodeId>)> {
        let mut groups: Vec<(Head, Vec<NodeId>)> = Vec::new();
        for (&node, &head) in &*self.waiting() {
            match groups.iter_mut().find(|(known, _)| *known == head) {
                Some((_, nodes)) => nodes.push(node),
                None => groups.push((head, vec![node])),
            }
        }
        groups
    }

    /// These were written; what came after them stays.
    fn written(&self, head: Head, nodes: &[NodeId]) {
        let mut waiting = self.waiting();
        for node in nodes {
            if waiting.get(node) == Some(&head) {
                waiting.remove(node);
            }
        }
    }
}

impl Control {
    /// A node confirms `head`: written when this returns.
    pub(crate) async fn write_receipt(&self, scope: &TenantScope, node: NodeId, head: Head) -> Result<(), PortError> {
        let desk = self.receipts.lay(scope.tenant(), node, head);
        let outcome = self.write_waiting(scope, &desk, node, head).await;
        self.receipts.leave(scope.tenant(), desk);
        outcome
    }

    async fn write_waiting(&self, scope: &TenantScope, desk: &Desk, node: NodeId, head: Head) -> Result<(), PortError> {
        let _turn = desk.turn.lock().await;
        // What came since is written by those who brought it, together: not by each of those whose own is written.
        if !desk.waits(node, head) {
            return Ok(());
        }
        let groups = desk.by_head();
        for (head, nodes) in &groups {
            self.deps.nodes.applied(scope, nodes, *head, self.deps.clock.now()).await?;
            desk.written(*head, nodes);
        }
        self.settle_if_confirmed(scope).await
    }
}

#[cfg(test)]
mod tests {
    use novagate_fixtures::Mint;
    use novagate_kernel::{Digest, Epoch, Revision};

    use super::*;

    fn head(seq: u64) -> Head {
        let revision = Revision { epoch: Epoch::from_entropy([7; 8]), seq };
        Head { revision, digest: Digest::from_bytes([0; 32]) }
    }

    #[test]
    fn what_came_while_older_confirmations_were_written_stays() {
        let (mint, receipts) = (Mint::new(1), Receipts::default());
        let (tenant, first, second) = (mint.tenant(), mint.node(), mint.node());
        let desk = receipts.lay(tenant, first, head(1));
        receipts.lay(tenant, second, head(1));
        let groups = desk.by_head();
        assert_eq!(groups.len(), 1, "one write for both nodes");
        receipts.lay(tenant, first, head(2));
        desk.written(head(1), &groups[0].1);
        assert_eq!(desk.by_head(), [(head(2), vec![first])]);
        assert!(!desk.waits(second, head(1)) && !desk.waits(first, head(1)) && desk.waits(first, head(2)));
    }

    #[test]
    fn a_desk_goes_with_the_last_caller_and_not_before() {
        let (mint, receipts) = (Mint::new(1), Receipts::default());
        let (tenant, node) = (mint.tenant(), mint.node());
        let first = receipts.lay(tenant, node, head(1));
        let second = receipts.lay(tenant, node, head(1));
        first.written(head(1), &[node]);
        receipts.leave(tenant, first);
        assert_eq!(receipts.0.lock().unwrap().len(), 1);
        receipts.leave(tenant, second);
        assert_eq!(receipts.0.lock().unwrap().len(), 0);
    }

    #[test]
    fn a_confirmation_that_was_not_written_waits_for_the_next_caller() {
        let (mint, receipts) = (Mint::new(1), Receipts::default());
        let (tenant, node) = (mint.tenant(), mint.node());
        let failed = receipts.lay(tenant, node, head(1));
        receipts.leave(tenant, failed);
        let next = receipts.lay(tenant, mint.node(), head(1));
        assert_eq!(next.by_head()[0].1.len(), 2);
    }
}
