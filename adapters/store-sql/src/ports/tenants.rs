//! Tenants and accounts.

use async_trait::async_trait;
use novagate_access::{EmailKey, KeyDigest, PasswordHash, TenantScope};
use novagate_kernel::{Digest, TenantId, Timestamp};
use novagate_ports_base::PortError;
use novagate_ports_control::outbound::{
    Account, ClaimedTenant, Inserted, NewTenant, RevisionKind, RevisionRecord, TenantErasure, TenantState, TenantStore,
};
use novagate_ports_control::{Page, PageRequest};
use novagate_records::AuditRecord;

use crate::error::StoreError;
use crate::placement::{BothTx, Mode};
use crate::platform::tenants::PendingTenant;
use crate::store::SqlStore;
use crate::{platform, tenant};

#[async_trait]
impl TenantStore for SqlStore {
    async fn provision(&self, scope: &TenantScope, new: &NewTenant) -> Result<Inserted, PortError> {
        self.call("store.provision", scope, || async {
            if new.key.tenant != scope.tenant() {
                return Err(StoreError::Misuse("a key of another tenant"));
            }
            let tx = self.placement().create(scope).await?;
            if is_taken(&tx, scope.tenant(), new).await? {
                tx.end().await?;
                return Ok(Inserted::AlreadyThere);
            }
            write_tenant(&tx, scope.tenant(), new).await?;
            tx.commit().await?;
            Ok(Inserted::New)
        })
        .await
    }

    async fn claimed(&self, key: Digest, now: Timestamp) -> Result<Option<ClaimedTenant>, PortError> {
        self.call_platform("store.claimed", || async {
            let tx = self.begin_platform(Mode::Read).await?;
            let found = platform::claims::of_key(&tx, key, now).await?;
            tx.end().await?;
            Ok(found)
        })
        .await
    }

    async fn register_pending(
        &self,
        scope: &TenantScope,
        name: &str,
        email: &EmailKey,
        verify: &KeyDigest,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Inserted, PortError> {
        self.call_platform("store.register_pending", || {
            Box::pin(async {
                let tx = self.begin_platform(Mode::Write).await?;
                if platform::tenants::is_taken(&tx, scope.tenant(), email.as_str()).await? {
                    tx.end().await?;
                    return Ok(Inserted::AlreadyThere);
                }
                platform::tenants::delete_pending(&tx, scope.tenant(), email.as_str()).await?;
                let pending =
                    PendingTenant { tenant: scope.tenant(), name, email: email.as_str(), verify, expires_at, now };
                platform::tenants::insert_pending(&tx, &pending).await?;
                tx.commit().await?;
                Ok(Inserted::New)
            })
        })
        .await
    }

    async fn find_pending(&self, verify: &KeyDigest, now: Timestamp) -> Result<Option<Account>, PortError> {
        self.call_platform("store.find_pending", || async {
            let tx = self.begin_platform(Mode::Write).await?;
            let found = platform::accounts::of_verification(&tx, verify, now).await?;
            tx.commit().await?;
            Ok(found)
        })
        .await
    }

    async fn find_by_email(&self, email: &EmailKey) -> Result<Option<Account>, PortError> {
        self.call_platform("store.find_by_email", || async {
            let tx = self.begin_platform(Mode::Read).await?;
            let found = platform::accounts::of_email(&tx, email).await?;
            tx.end().await?;
            Ok(found)
        })
        .await
    }

    async fn account(&self, scope: &TenantScope) -> Result<Option<Account>, PortError> {
        self.call_platform("store.account", || async {
            let tx = self.begin_platform(Mode::Read).await?;
            let found = platform::accounts::of_tenant(&tx, scope.tenant()).await?;
            tx.end().await?;
            Ok(found)
        })
        .await
    }

    async fn rename(&self, scope: &TenantScope, name: &str, audit: &AuditRecord) -> Result<bool, PortError> {
        self.call("store.rename", scope, || async {
            let Some(tx) = self.placement().both(scope).await? else { return Ok(false) };
            let renamed = platform::accounts::rename(tx.platform(), scope.tenant(), name, audit.at).await?;
            Ok(finish(tx, renamed.then_some(()), audit).await?.is_some())
        })
        .await
    }

    async fn set_state(&self, scope: &TenantScope, state: TenantState, at: Timestamp) -> Result<bool, PortError> {
        self.call_platform("store.set_state", || async {
            if state == TenantState::Unverified {
                return Err(StoreError::Misuse("a provisioned tenant stays verified").into());
            }
            let tx = self.begin_platform(Mode::Write).await?;
            let changed = platform::accounts::set_state(&tx, scope.tenant(), state, at).await?;
            tx.commit().await?;
            Ok(changed)
        })
        .await
    }

    async fn set_password(
        &self,
        scope: &TenantScope,
        password: &PasswordHash,
        audit: &AuditRecord,
    ) -> Result<Option<u64>, PortError> {
        self.call("store.set_password", scope, || async {
            let Some(tx) = self.placement().both(scope).await? else { return Ok(None) };
            let generation = platform::accounts::set_password(tx.platform(), scope.tenant(), password).await?;
            finish(tx, generation, audit).await
        })
        .await
    }

    async fn end_tokens(&self, scope: &TenantScope, audit: &AuditRecord) -> Result<Option<u64>, PortError> {
        self.call("store.end_tokens", scope, || async {
            let Some(tx) = self.placement().both(scope).await? else { return Ok(None) };
            let generation = platform::accounts::end_tokens(tx.platform(), scope.tenant()).await?;
            finish(tx, generation, audit).await
        })
        .await
    }

    async fn set_reset(
        &self,
        scope: &TenantScope,
        reset: &KeyDigest,
        expires_at: Timestamp,
    ) -> Result<bool, PortError> {
        self.call_platform("store.set_reset", || async {
            let tx = self.begin_platform(Mode::Write).await?;
            let changed = platform::accounts::set_reset(&tx, scope.tenant(), reset, expires_at).await?;
            tx.commit().await?;
            Ok(changed)
        })
        .await
    }

    async fn take_reset(&self, reset: &KeyDigest, now: Timestamp) -> Result<Option<TenantId>, PortError> {
        self.call_platform("store.take_reset", || async {
            let tx = self.begin_platform(Mode::Write).await?;
            let taken = platform::accounts::take_reset(&tx, reset, now).await?;
            tx.commit().await?;
            Ok(taken)
        })
        .await
    }

    async fn tenants(&self, page: &PageRequest) -> Result<Page<TenantId>, PortError> {
        self.call_platform("store.tenants", || async {
            let tx = self.begin_platform(Mode::Read).await?;
            let found = platform::tenants::list(&tx, page).await?;
            tx.end().await?;
            Ok(found)
        })
        .await
    }

    async fn erase(&self, scope: &TenantScope) -> Result<TenantErasure, PortError> {
        self.call("store.erase", scope, || async {
            let mut erased = self.count(scope).await?;
            let tx = self.begin_platform(Mode::Write).await?;
            erased.gateway_keys = platform::keys::count(&tx, scope.tenant()).await?;
            platform::tenants::delete(&tx, scope.tenant()).await?;
            self.placement().announce_erasure(&tx, scope).await?;
            tx.commit().await?;
            self.placement().remove(scope).await?;
            Ok(erased)
        })
        .await
    }
}

impl SqlStore {
    /// What a tenant's own tables hold. Tables that cannot be read do not stand in the way of their removal.
    async fn count(&self, scope: &TenantScope) -> Result<TenantErasure, StoreError> {
        let counted = async {
            let Some(tx) = self.begin_in(scope, Mode::Read).await? else { return Ok(TenantErasure::default()) };
            let objects = tenant::census::objects(&tx).await?;
            let telemetry_rows = tenant::census::telemetry(&tx).await?;
            tx.end().await?;
            Ok::<_, StoreError>(TenantErasure { gateway_keys: 0, objects, telemetry_rows })
        };
        match counted.await {
            Err(error) if error.kind() == novagate_ports_base::FaultKind::Corrupt => {
                tracing::warn!(%error, tenant = %scope.tenant(), "a tenant that cannot be read is erased uncounted");
                Ok(TenantErasure::default())
            }
            outcome => outcome,
        }
    }
}

/// Whether somebody else has the id, the address or the claim of a tenant to be.
async fn is_taken(tx: &BothTx, id: TenantId, new: &NewTenant) -> Result<bool, StoreError> {
    let platform = tx.platform();
    if platform::tenants::is_taken(platform, id, new.email.as_str()).await? {
        return Ok(true);
    }
    let Some(claim) = new.claim else { return Ok(false) };
    Ok(platform::claims::of_key(platform, claim.key, new.at).await?.is_some())
}

async fn write_tenant(tx: &BothTx, id: TenantId, new: &NewTenant) -> Result<(), StoreError> {
    platform::tenants::delete_pending(tx.platform(), id, new.email.as_str()).await?;
    platform::claims::forget_ended(tx.platform(), new.at).await?;
    platform::tenants::insert(tx.platform(), id, new).await?;
    if platform::keys::insert(tx.platform(), id, &new.key).await? == Inserted::AlreadyThere {
        return Err(StoreError::Misuse("a new tenant's key is known already"));
    }
    let actor = new.audit.actor;
    let first = RevisionRecord { head: new.head, kind: RevisionKind::Initial, actor, at: new.at, changes: Vec::new() };
    tenant::head::insert(tx.tenant(), new.head).await?;
    tenant::revisions::insert(tx.tenant(), &first).await?;
    tenant::audit::append(tx.tenant(), &new.audit).await
}

/// Commits a change of an account with its audit entry; without a change nothing is written.
async fn finish<T>(tx: BothTx, change: Option<T>, audit: &AuditRecord) -> Result<Option<T>, StoreError> {
    if change.is_none() {
        tx.end().await?;
        return Ok(None);
    }
    tenant::audit::append(tx.tenant(), audit).await?;
    tx.commit().await?;
    Ok(change)
}
