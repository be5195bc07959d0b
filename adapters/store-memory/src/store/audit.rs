//! The audit log.

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_ports_base::PortError;
use novagate_ports_control::{Page, PageRequest, outbound::AuditStore};
use novagate_records::AuditRecord;

use super::MemoryStore;
use crate::page::{Direction, Position, check, page_of};

#[async_trait]
impl AuditStore for MemoryStore {
    async fn append_audit(&self, scope: &TenantScope, record: &AuditRecord) -> Result<(), PortError> {
        self.with_living("store.append_audit", scope, |tenant| tenant.audit.push(record.clone()))
    }

    async fn audit(&self, scope: &TenantScope, page: &PageRequest) -> Result<Page<AuditRecord>, PortError> {
        const OP: &str = "store.audit";
        check(OP, page)?;
        let position = |record: &AuditRecord| Position::of(record.at, record.id.as_u128());
        let found = self.with(scope, |tenant| page_of(OP, tenant.audit.iter(), Direction::Descending, position, page));
        found.unwrap_or(Ok(Page { items: Vec::new(), next: None }))
    }
}
