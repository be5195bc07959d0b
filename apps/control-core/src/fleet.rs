//! The tenant's gateways, and where each revision is.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{Head, NodeId, Revision, Timestamp};
use novagate_ports_control::{
    inbound::{Fleet, NodeReceipt, NodeView, ReceiptState, Refusal},
    outbound::NodeRecord,
};
use novagate_records::AuditAction;

use crate::Control;

/// A node without a sign of life for this long counts as offline: three heartbeats.
const OFFLINE_AFTER: Duration = Duration::from_secs(45);

#[async_trait]
impl Fleet for Control {
    async fn gateways(&self, scope: &TenantScope) -> Result<Vec<NodeView>, Refusal> {
        let head = self.deps.configs.head(scope).await?.ok_or_else(Refusal::not_found)?;
        let beats = self.beats(scope).await?;
        let now = self.deps.clock.now();
        let records = self.deps.nodes.nodes(scope).await?;
        Ok(records.into_iter().map(|record| view_of(record, head, &beats, now)).collect())
    }

    async fn gateway(&self, scope: &TenantScope, node: NodeId) -> Result<NodeView, Refusal> {
        let head = self.deps.configs.head(scope).await?.ok_or_else(Refusal::not_found)?;
        let record = self.deps.nodes.node(scope, node).await?.ok_or_else(Refusal::not_found)?;
        Ok(view_of(record, head, &self.beats(scope).await?, self.deps.clock.now()))
    }

    async fn forget_gateway(&self, scope: &TenantScope, node: NodeId) -> Result<(), Refusal> {
        let audit = self.subject_audit(AuditAction::NodeForgotten, node.as_uuid());
        if !self.deps.nodes.forget(scope, node, &audit).await? {
            return Err(Refusal::not_found());
        }
        self.settle_if_confirmed(scope).await?;
        Ok(())
    }
}

impl Control {
    async fn beats(&self, scope: &TenantScope) -> Result<BTreeMap<NodeId, Timestamp>, Refusal> {
        Ok(self.deps.presence.online(scope).await?.into_iter().collect())
    }

    /// Who has confirmed a revision, who has refused it, who has done neither.
    pub(crate) async fn receipts(&self, scope: &TenantScope, revision: Revision) -> Result<Vec<NodeReceipt>, Refusal> {
        let beats = self.beats(scope).await?;
        let now = self.deps.clock.now();
        let receipt = |record: NodeRecord| NodeReceipt {
            node: record.node,
            online: is_online(beats.get(&record.node), now),
            state: receipt_state(&record, revision),
        };
        Ok(self.deps.nodes.nodes(scope).await?.into_iter().map(receipt).collect())
    }
}

fn view_of(record: NodeRecord, head: Head, beats: &BTreeMap<NodeId, Timestamp>, now: Timestamp) -> NodeView {
    let beat = beats.get(&record.node);
    NodeView {
        online: is_online(beat, now),
        last_beat: beat.copied().unwrap_or(record.last_seen).max(record.last_seen),
        lag: lag_of(&record, head),
        record,
    }
}

fn is_online(beat: Option<&Timestamp>, now: Timestamp) -> bool {
    beat.is_some_and(|&at| now.since(at) < OFFLINE_AFTER)
}

fn lag_of(record: &NodeRecord, head: Head) -> Option<u64> {
    let applied = record.applied?.revision;
    (applied.epoch == head.revision.epoch).then(|| head.revision.seq.saturating_sub(applied.seq))
}

/// A later revision counts: what it replaced was confirmed with it.
fn receipt_state(record: &NodeRecord, revision: Revision) -> ReceiptState {
    let reached = record
        .applied
        .is_some_and(|applied| applied.revision.epoch == revision.epoch && applied.revision.seq >= revision.seq);
    match &record.nack {
        _ if reached => ReceiptState::Acked { at: record.applied_at },
        Some(nack) if nack.revision == revision => ReceiptState::Nacked(nack.clone()),
        Some(_) | None => ReceiptState::Lagging,
    }
}

/// Whether every known node serves `revision` or a later one.
pub(crate) fn all_confirmed(records: &[NodeRecord], revision: Revision) -> bool {
    records.iter().all(|record| matches!(receipt_state(record, revision), ReceiptState::Acked { .. }))
}
