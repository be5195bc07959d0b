//! Tenants and their accounts.

use async_trait::async_trait;
use novagate_access::{EmailKey, KeyDigest, PasswordHash, TenantScope};
use novagate_kernel::{Digest, TenantId, Timestamp};
use novagate_ports_base::PortError;
use novagate_ports_control::{
    Page, PageRequest,
    outbound::{
        Account, CLAIM_LIFETIME, ClaimedTenant, Inserted, NewTenant, PlanLimits, TenantErasure, TenantState,
        TenantStore,
    },
};
use novagate_records::AuditRecord;

use super::{Config, Link, MemoryStore, State, Telemetry, Tenant, Waiting};
use crate::page::{Direction, Position, page_of};

impl State {
    fn has_tenant_of(&self, email: &EmailKey) -> bool {
        self.tenants.values().any(|tenant| tenant.account.email == *email)
    }

    /// The tenant that a POST with this key has made less than a day ago.
    fn claimed(&self, key: Digest, now: Timestamp) -> Option<ClaimedTenant> {
        self.tenants.values().find_map(|tenant| {
            let claim = tenant.claim.filter(|claim| claim.key == key)?;
            let counts = now.since(tenant.account.created_at) < CLAIM_LIFETIME;
            counts.then_some(ClaimedTenant { tenant: tenant.account.tenant, request: claim.request })
        })
    }
}

fn account_of(scope: &TenantScope, name: &str, email: &EmailKey, at: Timestamp) -> Account {
    Account {
        tenant: scope.tenant(),
        name: name.to_owned(),
        email: email.clone(),
        password: None,
        state: TenantState::Unverified,
        generation: 0,
        limits: PlanLimits::FREE,
        created_at: at,
        updated_at: at,
    }
}

fn provisioned(scope: &TenantScope, fresh: &NewTenant) -> Tenant {
    let account = Account {
        password: Some(fresh.password.clone()),
        state: TenantState::Active,
        ..account_of(scope, &fresh.name, &fresh.email, fresh.at)
    };
    Tenant {
        account,
        reset: None,
        keys: vec![fresh.key.clone()],
        config: Config::initial(fresh.head, fresh.audit.actor, fresh.at),
        nodes: std::collections::HashMap::new(),
        telemetry: Telemetry::default(),
        audit: vec![fresh.audit.clone()],
        posts: std::collections::HashMap::new(),
        claim: fresh.claim,
    }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

#[async_trait]
impl TenantStore for MemoryStore {
    async fn provision(&self, scope: &TenantScope, tenant: &NewTenant) -> Result<Inserted, PortError> {
        let mut state = self.state();
        if state.tenants.contains_key(&scope.tenant()) || state.has_tenant_of(&tenant.email) {
            return Ok(Inserted::AlreadyThere);
        }
        if tenant.claim.is_some_and(|claim| state.claimed(claim.key, tenant.at).is_some()) {
            return Ok(Inserted::AlreadyThere);
        }
        state.waiting.remove(&tenant.email);
        state.tenants.insert(scope.tenant(), provisioned(scope, tenant));
        Ok(Inserted::New)
    }

    async fn claimed(&self, key: Digest, now: Timestamp) -> Result<Option<ClaimedTenant>, PortError> {
        Ok(self.state().claimed(key, now))
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
        let mut state = self.state();
        if state.has_tenant_of(email) {
            return Ok(Inserted::AlreadyThere);
        }
        let link = Link { digest: *verify, expires_at };
        state.waiting.insert(email.clone(), Waiting { account: account_of(scope, name, email, now), link });
        Ok(Inserted::New)
    }

    async fn find_pending(&self, verify: &KeyDigest, now: Timestamp) -> Result<Option<Account>, PortError> {
        let mut state = self.state();
        state.waiting.retain(|_, waiting| !waiting.link.is(verify) || waiting.link.is_alive(now));
        let found = state.waiting.values().find(|waiting| waiting.link.is(verify));
        Ok(found.map(|waiting| waiting.account.clone()))
    }

    async fn find_by_email(&self, email: &EmailKey) -> Result<Option<Account>, PortError> {
        let state = self.state();
        let provisioned = state.tenants.values().map(|tenant| &tenant.account).find(|account| account.email == *email);
        Ok(provisioned.or_else(|| state.waiting.get(email).map(|waiting| &waiting.account)).cloned())
    }

    async fn account(&self, scope: &TenantScope) -> Result<Option<Account>, PortError> {
        let state = self.state();
        let waiting = || state.waiting.values().map(|waiting| &waiting.account);
        let provisioned = state.tenants.get(&scope.tenant()).map(|tenant| &tenant.account);
        Ok(provisioned.or_else(|| waiting().find(|account| account.tenant == scope.tenant())).cloned())
    }

    async fn rename(&self, scope: &TenantScope, name: &str, audit: &AuditRecord) -> Result<bool, PortError> {
        let renamed = self.with(scope, |tenant| {
            name.clone_into(&mut tenant.account.name);
            tenant.account.updated_at = audit.at;
            tenant.audit.push(audit.clone());
        });
        Ok(renamed.is_some())
    }

    async fn set_state(&self, scope: &TenantScope, state: TenantState, at: Timestamp) -> Result<bool, PortError> {
        let set = self.with(scope, |tenant| {
            tenant.account.state = state;
            tenant.account.updated_at = at;
        });
        Ok(set.is_some())
    }

    async fn set_password(
        &self,
        scope: &TenantScope,
        password: &PasswordHash,
        audit: &AuditRecord,
    ) -> Result<Option<u64>, PortError> {
        Ok(self.with(scope, |tenant| {
            tenant.account.password = Some(password.clone());
            tenant.reset = None;
            tenant.end_tokens(audit)
        }))
    }

    async fn end_tokens(&self, scope: &TenantScope, audit: &AuditRecord) -> Result<Option<u64>, PortError> {
        Ok(self.with(scope, |tenant| tenant.end_tokens(audit)))
    }

    async fn set_reset(
        &self,
        scope: &TenantScope,
        reset: &KeyDigest,
        expires_at: Timestamp,
    ) -> Result<bool, PortError> {
        let link = Link { digest: *reset, expires_at };
        Ok(self.with(scope, |tenant| tenant.reset = Some(link)).is_some())
    }

    async fn take_reset(&self, reset: &KeyDigest, now: Timestamp) -> Result<Option<TenantId>, PortError> {
        let mut state = self.state();
        let used = state.tenants.values_mut().find_map(|tenant| {
            let link = tenant.reset.take_if(|link| link.is(reset))?;
            Some((tenant.account.tenant, link))
        });
        Ok(used.filter(|(_, link)| link.is_alive(now)).map(|(tenant, _)| tenant))
    }

    async fn tenants(&self, page: &PageRequest) -> Result<Page<TenantId>, PortError> {
        let state = self.state();
        let position = |tenant: &TenantId| Position::of_id(tenant.as_u128());
        page_of("store.tenants", state.tenants.keys(), Direction::Ascending, position, page)
    }

    async fn erase(&self, scope: &TenantScope) -> Result<TenantErasure, PortError> {
        let mut state = self.state();
        state.waiting.retain(|_, waiting| waiting.account.tenant != scope.tenant());
        let Some(tenant) = state.tenants.remove(&scope.tenant()) else { return Ok(TenantErasure::default()) };
        Ok(TenantErasure {
            gateway_keys: count(tenant.keys.len()),
            objects: count(tenant.config.objects().len()),
            telemetry_rows: count(tenant.telemetry.rows()),
        })
    }
}

impl Tenant {
    fn end_tokens(&mut self, audit: &AuditRecord) -> u64 {
        self.account.generation = self.account.generation.saturating_add(1);
        self.audit.push(audit.clone());
        self.account.generation
    }
}
