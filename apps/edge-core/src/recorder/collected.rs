//! Request logs that are being put together for the control plane.
//!
//! Always: of one configuration, with every route named once, and no more than a batch may hold. Not here: sending.

use std::collections::BTreeMap;
use std::sync::Arc;

use novagate_records::{LogBatch, LogEntry, RequestRecord, RouteLabel};

use super::upstream_us;
use crate::names::{RouteName, ServiceName};

/// Most records of one batch.
pub(super) const BATCH_RECORDS: usize = 1_000;

/// What will be the next batch.
#[derive(Default)]
pub(super) struct Collected {
    table: u32,
    routes: Vec<RouteLabel>,
    /// Where a route and its service stand among `routes`.
    positions: BTreeMap<(u32, u32), u32>,
    entries: Vec<LogEntry>,
}

impl Collected {
    /// Whether this record may go with those before it.
    pub(super) fn has_room_for(&self, record: &RequestRecord) -> bool {
        self.entries.is_empty() || (self.table == record.table && self.entries.len() < BATCH_RECORDS)
    }

    pub(super) fn add(&mut self, record: &RequestRecord, route: Option<&RouteName>, service: Option<&ServiceName>) {
        self.table = record.table;
        let position = route.map(|route| {
            *self.positions.entry((record.route, record.service)).or_insert_with(|| {
                let (id, template) = (route.id, Arc::clone(&route.template));
                self.routes.push(RouteLabel { id, template, service: service.map(|service| service.name.clone()) });
                u32::try_from(self.routes.len() - 1).unwrap_or(u32::MAX)
            })
        });
        self.entries.push(LogEntry {
            at: record.at,
            request_id: record.request_id,
            route: position,
            consumer: record.consumer,
            latency_us: record.latency_us,
            upstream_us: upstream_us(record),
            status: record.status,
            method: record.method,
            code: record.code,
        });
    }

    /// All of them, if there are any.
    pub(super) fn take(&mut self) -> Option<LogBatch> {
        self.positions.clear();
        let (routes, entries) = (std::mem::take(&mut self.routes), std::mem::take(&mut self.entries));
        (!entries.is_empty()).then_some(LogBatch { routes, entries })
    }
}
