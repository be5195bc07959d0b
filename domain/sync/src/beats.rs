//! When each connected node was heard last, for every tenant.

use std::collections::HashMap;
use std::time::Duration;

use novagate_kernel::{NodeId, TenantId, Timestamp};

/// How long a beat is remembered.
const MEMORY: Duration = Duration::from_hours(1);
/// How often beats of nodes that never came back are looked for.
const SWEEP: Duration = Duration::from_mins(1);

/// The last beat of each connected node. Nodes that fall silent take memory for an hour.
#[derive(Debug, Default)]
pub struct Beats {
    tenants: HashMap<TenantId, HashMap<NodeId, Timestamp>>,
    swept_at: Option<Timestamp>,
}

impl Beats {
    /// A node is connected, as of `at`.
    pub fn beat(&mut self, tenant: TenantId, node: NodeId, at: Timestamp, now: Timestamp) {
        self.sweep(now);
        self.tenants.entry(tenant).or_default().insert(node, at);
    }

    /// Somebody else heard a node at `at`; what is known may be newer.
    pub fn told(&mut self, tenant: TenantId, node: NodeId, at: Timestamp, now: Timestamp) {
        if self.last(tenant, node).is_none_or(|known| known < at || !is_recent(known, now)) {
            self.beat(tenant, node, at, now);
        }
    }

    /// A node has left.
    pub fn leave(&mut self, tenant: TenantId, node: NodeId) {
        if let Some(nodes) = self.tenants.get_mut(&tenant) {
            nodes.remove(&node);
            if nodes.is_empty() {
                self.tenants.remove(&tenant);
            }
        }
    }

    /// A node whose last beat was at `at` has left, unless it was heard since.
    pub fn leave_as_of(&mut self, tenant: TenantId, node: NodeId, at: Timestamp) {
        if self.last(tenant, node).is_some_and(|known| known <= at) {
            self.leave(tenant, node);
        }
    }

    /// The last beat of one node.
    pub fn last(&self, tenant: TenantId, node: NodeId) -> Option<Timestamp> {
        self.tenants.get(&tenant)?.get(&node).copied()
    }

    /// The tenant's nodes that were heard within the last hour.
    pub fn online(&self, tenant: TenantId, now: Timestamp) -> Vec<(NodeId, Timestamp)> {
        let nodes = self.tenants.get(&tenant).into_iter().flatten();
        nodes.map(|(node, at)| (*node, *at)).filter(|&(_, at)| is_recent(at, now)).collect()
    }

    /// All nodes that were heard within the last hour.
    pub fn all(&self, now: Timestamp) -> Vec<(TenantId, NodeId, Timestamp)> {
        let nodes =
            self.tenants.iter().flat_map(|(tenant, nodes)| nodes.iter().map(|(node, at)| (*tenant, *node, *at)));
        nodes.filter(|&(_, _, at)| is_recent(at, now)).collect()
    }

    /// Tenants that take memory.
    pub fn tenants(&self) -> usize {
        self.tenants.len()
    }

    /// Drops what is too old, now and then: each beat costs the same however many nodes there are.
    fn sweep(&mut self, now: Timestamp) {
        if self.swept_at.is_some_and(|last| distance(now, last) < SWEEP) {
            return;
        }
        self.swept_at = Some(now);
        self.tenants.retain(|_, nodes| {
            nodes.retain(|_, at| is_recent(*at, now));
            !nodes.is_empty()
        });
    }
}

/// A beat that lies far ahead was taken before the clock was set back: as old as one that lies far behind.
fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    distance(at, now) <= MEMORY
}

fn distance(left: Timestamp, right: Timestamp) -> Duration {
    left.since(right).max(right.since(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_micros(1_767_268_800_000_000);

    fn node(number: u128) -> (TenantId, NodeId) {
        (TenantId::from_u128(number), NodeId::from_u128(number))
    }

    #[test]
    fn nodes_that_never_come_back_take_no_memory() {
        let mut beats = Beats::default();
        for minute in 0..500 {
            let ((tenant, node), now) = (node(minute.into()), NOON.plus(Duration::from_mins(minute)));
            beats.beat(tenant, node, now, now);
        }
        assert!(beats.tenants() <= 62);
    }

    #[test]
    fn a_clock_set_back_by_a_day_keeps_nobody_online() {
        let mut beats = Beats::default();
        let (tenant, first) = node(1);
        beats.beat(tenant, first, NOON, NOON);
        let earlier = NOON.minus(Duration::from_hours(24));
        assert_eq!(beats.online(tenant, earlier), []);
        let back = NodeId::from_u128(2);
        beats.beat(tenant, back, earlier, earlier);
        assert_eq!(beats.online(tenant, earlier), [(back, earlier)]);
    }

    #[test]
    fn an_old_word_about_a_node_does_not_undo_a_newer_one() {
        let mut beats = Beats::default();
        let ((tenant, node), later) = (node(1), NOON.plus(Duration::from_secs(1)));
        beats.told(tenant, node, later, later);
        beats.told(tenant, node, NOON, later);
        beats.leave_as_of(tenant, node, NOON);
        assert_eq!(beats.all(later), [(tenant, node, later)]);
        beats.leave_as_of(tenant, node, later);
        assert_eq!((beats.all(later), beats.tenants()), (vec![], 0));
    }
}
