//! Known nodes.

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{Head, NodeId, Timestamp};
use novagate_ports_base::PortError;
use novagate_ports_control::outbound::{NodeNack, NodeRecord, NodeSighting, NodeStore};
use novagate_records::AuditRecord;

use super::{MemoryStore, Tenant};

/// A node's row after its hello.
fn record_of(hello: &NodeSighting, known: Option<&NodeRecord>) -> NodeRecord {
    let same = known.filter(|known| known.applied == hello.applied);
    let confirmed_now = hello.applied.map(|_| hello.at);
    NodeRecord {
        node: hello.node,
        boot: hello.boot,
        build: hello.build.clone(),
        labels: hello.labels.clone(),
        key: hello.key,
        first_seen: known.map_or(hello.at, |known| known.first_seen),
        last_seen: hello.at,
        applied: hello.applied,
        applied_at: same.map_or(confirmed_now, |known| known.applied_at),
        nack: known
            .and_then(|known| known.nack.clone())
            .filter(|nack| hello.applied.is_none_or(|head| stands(nack, head))),
    }
}

/// Whether a refusal still tells something about a node that serves `head`.
fn stands(nack: &NodeNack, head: Head) -> bool {
    nack.revision.epoch == head.revision.epoch && nack.revision.seq > head.revision.seq
}

impl Tenant {
    fn see(&mut self, hello: &NodeSighting, max_nodes: u32) -> bool {
        let known = self.nodes.get(&hello.node);
        let is_full = self.nodes.len() >= usize::try_from(max_nodes).unwrap_or(usize::MAX);
        if known.is_none() && is_full {
            return false;
        }
        let record = record_of(hello, known);
        self.nodes.insert(hello.node, record);
        true
    }
}

#[async_trait]
impl NodeStore for MemoryStore {
    async fn seen(&self, scope: &TenantScope, sighting: &NodeSighting, max_nodes: u32) -> Result<bool, PortError> {
        self.with_living("store.seen", scope, |tenant| tenant.see(sighting, max_nodes))
    }

    async fn applied(&self, scope: &TenantScope, nodes: &[NodeId], head: Head, at: Timestamp) -> Result<(), PortError> {
        self.with(scope, |tenant| {
            for node in nodes {
                let Some(record) = tenant.nodes.get_mut(node) else { continue };
                record.applied = Some(head);
                record.applied_at = Some(at);
                record.last_seen = at;
                record.nack.take_if(|nack| !stands(nack, head));
            }
        });
        Ok(())
    }

    async fn nacked(&self, scope: &TenantScope, node: NodeId, nack: &NodeNack) -> Result<(), PortError> {
        self.with(scope, |tenant| {
            if let Some(record) = tenant.nodes.get_mut(&node) {
                record.last_seen = nack.at;
                record.nack = Some(nack.clone());
            }
        });
        Ok(())
    }

    async fn nodes(&self, scope: &TenantScope) -> Result<Vec<NodeRecord>, PortError> {
        let nodes = self.with(scope, |tenant| tenant.nodes.values().cloned().collect::<Vec<_>>());
        let mut nodes = nodes.unwrap_or_default();
        nodes.sort_by_key(|record| (record.first_seen, record.node));
        Ok(nodes)
    }

    async fn node(&self, scope: &TenantScope, node: NodeId) -> Result<Option<NodeRecord>, PortError> {
        Ok(self.with(scope, |tenant| tenant.nodes.get(&node).cloned()).flatten())
    }

    async fn forget(&self, scope: &TenantScope, node: NodeId, audit: &AuditRecord) -> Result<bool, PortError> {
        let forgotten = self.with(scope, |tenant| {
            let known = tenant.nodes.remove(&node).is_some();
            if known {
                tenant.telemetry.forget_cursors(node);
                tenant.audit.push(audit.clone());
            }
            known
        });
        Ok(forgotten.unwrap_or(false))
    }
}
