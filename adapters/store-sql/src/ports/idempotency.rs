//! Remembered POSTs.

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{Digest, Timestamp};
use novagate_ports_base::PortError;
use novagate_ports_control::outbound::{IdempotencyStore, IdempotentBegin, IdempotentReply};

use crate::placement::Mode;
use crate::store::SqlStore;
use crate::tenant;

#[async_trait]
impl IdempotencyStore for SqlStore {
    async fn begin(
        &self,
        scope: &TenantScope,
        key: Digest,
        request: Digest,
        now: Timestamp,
    ) -> Result<IdempotentBegin, PortError> {
        self.call("store.idempotency_begin", scope, || async {
            let tx = self.write_in(scope).await?;
            let begun = tenant::idempotency::begin(&tx, key, request, now).await?;
            tx.commit().await?;
            Ok(begun)
        })
        .await
    }

    async fn finish(&self, scope: &TenantScope, key: Digest, reply: &IdempotentReply) -> Result<(), PortError> {
        self.call("store.idempotency_finish", scope, || async {
            // The POST may have been the erasure of the tenant.
            let Some(tx) = self.begin_in(scope, Mode::Write).await? else { return Ok(()) };
            tenant::idempotency::finish(&tx, key, reply).await?;
            tx.commit().await
        })
        .await
    }

    async fn abandon(&self, scope: &TenantScope, key: Digest) -> Result<(), PortError> {
        self.call("store.idempotency_abandon", scope, || async {
            let Some(tx) = self.begin_in(scope, Mode::Write).await? else { return Ok(()) };
            tenant::idempotency::abandon(&tx, key).await?;
            tx.commit().await
        })
        .await
    }
}
