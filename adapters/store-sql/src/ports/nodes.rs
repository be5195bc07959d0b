//! Gateway nodes.

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{Head, NodeId, Timestamp};
use novagate_ports_base::PortError;
use novagate_ports_control::outbound::{NodeNack, NodeRecord, NodeSighting, NodeStore};
use novagate_records::AuditRecord;

use crate::placement::Mode;
use crate::store::SqlStore;
use crate::tenant;

#[async_trait]
impl NodeStore for SqlStore {
    async fn seen(&self, scope: &TenantScope, sighting: &NodeSighting, max_nodes: u32) -> Result<bool, PortError> {
        self.call("store.node_seen", scope, || {
            Box::pin(async {
                let tx = self.write_in(scope).await?;
                let known = tenant::nodes::seen(&tx, sighting, max_nodes).await?;
                tx.commit().await?;
                Ok(known)
            })
        })
        .await
    }

    async fn applied(&self, scope: &TenantScope, nodes: &[NodeId], head: Head, at: Timestamp) -> Result<(), PortError> {
        self.call("store.node_applied", scope, || {
            Box::pin(async {
                let tx = self.write_in(scope).await?;
                tenant::nodes::applied(&tx, nodes, head, at).await?;
                tx.commit().await
            })
        })
        .await
    }

    async fn nacked(&self, scope: &TenantScope, node: NodeId, nack: &NodeNack) -> Result<(), PortError> {
        self.call("store.node_nacked", scope, || {
            Box::pin(async {
                let tx = self.write_in(scope).await?;
                tenant::nodes::nacked(&tx, node, nack).await?;
                tx.commit().await
            })
        })
        .await
    }

    async fn nodes(&self, scope: &TenantScope) -> Result<Vec<NodeRecord>, PortError> {
        self.call("store.nodes", scope, || async {
            let Some(tx) = self.begin_in(scope, Mode::Read).await? else { return Ok(Vec::new()) };
            let found = tenant::nodes::list(&tx).await?;
            tx.end().await?;
            Ok(found)
        })
        .await
    }

    async fn node(&self, scope: &TenantScope, node: NodeId) -> Result<Option<NodeRecord>, PortError> {
        self.call("store.node", scope, || async {
            let Some(tx) = self.begin_in(scope, Mode::Read).await? else { return Ok(None) };
            let found = tenant::nodes::find(&tx, node).await?;
            tx.end().await?;
            Ok(found)
        })
        .await
    }

    async fn forget(&self, scope: &TenantScope, node: NodeId, audit: &AuditRecord) -> Result<bool, PortError> {
        self.call("store.forget_node", scope, || async {
            let Some(tx) = self.begin_in(scope, Mode::Write).await? else { return Ok(false) };
            if !tenant::nodes::delete(&tx, node).await? {
                tx.end().await?;
                return Ok(false);
            }
            tenant::cursors::forget(&tx, node).await?;
            tenant::audit::append(&tx, audit).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }
}
