//! The audit log.

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_ports_base::PortError;
use novagate_ports_control::outbound::AuditStore;
use novagate_ports_control::{Page, PageRequest};
use novagate_records::AuditRecord;

use crate::placement::Mode;
use crate::store::SqlStore;
use crate::tenant;

#[async_trait]
impl AuditStore for SqlStore {
    async fn append_audit(&self, scope: &TenantScope, record: &AuditRecord) -> Result<(), PortError> {
        self.call("store.append_audit", scope, || async {
            let tx = self.write_in(scope).await?;
            tenant::audit::append(&tx, record).await?;
            tx.commit().await
        })
        .await
    }

    async fn audit(&self, scope: &TenantScope, page: &PageRequest) -> Result<Page<AuditRecord>, PortError> {
        self.call("store.audit", scope, || async {
            let Some(tx) = self.begin_in(scope, Mode::Read).await? else {
                return Ok(Page { items: Vec::new(), next: None });
            };
            let found = tenant::audit::list(&tx, page).await?;
            tx.end().await?;
            Ok(found)
        })
        .await
    }
}
