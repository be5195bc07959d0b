//! Gateway keys.

use async_trait::async_trait;
use novagate_access::{GatewayKeyRecord, KeyDigest, TenantScope};
use novagate_kernel::{GatewayKeyId, Timestamp};
use novagate_ports_base::PortError;
use novagate_ports_control::outbound::{GatewayKeyStore, Inserted, KeyRevocation};
use novagate_records::AuditRecord;

use crate::error::StoreError;
use crate::placement::Mode;
use crate::store::SqlStore;
use crate::{platform, tenant};

#[async_trait]
impl GatewayKeyStore for SqlStore {
    async fn find_key(&self, digest: &KeyDigest) -> Result<Option<GatewayKeyRecord>, PortError> {
        self.call_platform("store.find_key", || async {
            let tx = self.begin_platform(Mode::Read).await?;
            let found = platform::keys::find(&tx, digest).await?;
            tx.end().await?;
            Ok(found)
        })
        .await
    }

    async fn keys(&self, scope: &TenantScope) -> Result<Vec<GatewayKeyRecord>, PortError> {
        self.call_platform("store.keys", || async {
            let tx = self.begin_platform(Mode::Read).await?;
            let found = platform::keys::list(&tx, scope.tenant()).await?;
            tx.end().await?;
            Ok(found)
        })
        .await
    }

    async fn insert_key(
        &self,
        scope: &TenantScope,
        key: &GatewayKeyRecord,
        audit: &AuditRecord,
    ) -> Result<Inserted, PortError> {
        self.call("store.insert_key", scope, || async {
            if key.tenant != scope.tenant() {
                return Err(StoreError::Misuse("a key of another tenant"));
            }
            let tx = self.placement().both(scope).await?.ok_or(StoreError::Gone)?;
            let inserted = platform::keys::insert(tx.platform(), scope.tenant(), key).await?;
            match inserted {
                Inserted::New => {
                    tenant::audit::append(tx.tenant(), audit).await?;
                    tx.commit().await?;
                }
                Inserted::AlreadyThere => tx.end().await?,
            }
            Ok(inserted)
        })
        .await
    }

    async fn revoke_key(
        &self,
        scope: &TenantScope,
        id: GatewayKeyId,
        at: Timestamp,
        audit: &AuditRecord,
    ) -> Result<KeyRevocation, PortError> {
        self.call("store.revoke_key", scope, || async {
            let Some(tx) = self.placement().both(scope).await? else { return Ok(KeyRevocation::Unknown) };
            let outcome = platform::keys::revoke(tx.platform(), scope.tenant(), id, at).await?;
            match &outcome {
                KeyRevocation::Revoked(_) => {
                    tenant::audit::append(tx.tenant(), audit).await?;
                    tx.commit().await?;
                }
                KeyRevocation::AlreadyRevoked(_) | KeyRevocation::Unknown => tx.end().await?,
            }
            Ok(outcome)
        })
        .await
    }
}
