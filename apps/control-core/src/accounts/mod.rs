//! Accounts: registration, login, recovery, gateway keys.

mod keys;
mod mail;
mod posts;
mod recovery;
mod registration;
mod session;
mod throttling;

use async_trait::async_trait;
use novagate_access::{EmailAddress, GatewayKeyRecord, LinkToken, Password, PlatformClaims, TenantScope, Verified};
use novagate_kernel::GatewayKeyId;
use novagate_ports_control::{
    PageRequest,
    inbound::{
        Accounts, Client, CreatedTenant, LoginSession, NewGatewayKey, PostBegin, PostEnd, Refusal, Registration,
        RepeatablePost,
    },
    outbound::{Account, PostClaim, TenantErasure, Wake},
};
use novagate_records::{Actor, AuditAction};

pub use self::mail::{MailJob, MailWorker};
pub(crate) use self::{
    registration::{Asked, check_name},
    session::busy,
};
use crate::Control;

#[async_trait]
impl Accounts for Control {
    async fn ready(&self) -> Result<(), Refusal> {
        self.deps.tenants.tenants(&PageRequest::first(1)).await?;
        Ok(())
    }

    fn claim_of(&self, post: &RepeatablePost) -> PostClaim {
        self.claim(post)
    }

    async fn begin_post(&self, post: &RepeatablePost) -> Result<PostBegin, Refusal> {
        self.start_post(self.claim(post)).await
    }

    async fn end_post(&self, claim: PostClaim, end: PostEnd) {
        self.finish_post(claim, end).await;
    }

    async fn register(
        &self,
        name: String,
        email: EmailAddress,
        password: Option<Password>,
        client: Client,
        claim: Option<PostClaim>,
    ) -> Result<Registration, Refusal> {
        self.register_tenant(name, email, password, client, claim).await
    }

    async fn verify(
        &self,
        token: LinkToken,
        password: Password,
        client: Client,
        claim: Option<PostClaim>,
    ) -> Result<CreatedTenant, Refusal> {
        self.verify_registration(token, password, client, claim).await
    }

    async fn login(&self, email: EmailAddress, password: Password, client: Client) -> Result<LoginSession, Refusal> {
        self.log_in(email, password, client).await
    }

    async fn forgot_password(&self, email: EmailAddress, client: Client) -> Result<(), Refusal> {
        self.request_reset(email, client).await
    }

    async fn reset_password(&self, token: LinkToken, password: Password, client: Client) -> Result<(), Refusal> {
        self.use_reset(token, password, client).await
    }

    async fn logout(&self, scope: &TenantScope) -> Result<(), Refusal> {
        let audit = self.audit_entry(Actor::Account, AuditAction::LoggedOut);
        self.deps.tenants.end_tokens(scope, &audit).await?.map(drop).ok_or_else(Refusal::not_found)
    }

    async fn change_password(
        &self,
        scope: &TenantScope,
        current: Password,
        new: Password,
        client: Client,
    ) -> Result<(), Refusal> {
        self.replace_password(scope, current, new, client).await
    }

    async fn authenticate(&self, token: &str) -> Result<Verified<PlatformClaims>, Refusal> {
        self.check_token(token).await
    }

    async fn tenant(&self, scope: &TenantScope) -> Result<Account, Refusal> {
        self.deps.tenants.account(scope).await?.ok_or_else(Refusal::not_found)
    }

    async fn rename(&self, scope: &TenantScope, name: String) -> Result<Account, Refusal> {
        registration::check_name(&name)?;
        let audit = self.audit_entry(Actor::Account, AuditAction::TenantRenamed);
        if !self.deps.tenants.rename(scope, &name, &audit).await? {
            return Err(Refusal::not_found());
        }
        self.tenant(scope).await
    }

    async fn erase(&self, scope: &TenantScope) -> Result<TenantErasure, Refusal> {
        let erasure = self.deps.tenants.erase(scope).await?;
        self.cache.forget(scope.tenant());
        self.deltas.forget(scope.tenant());
        self.wake(&Wake::TenantClosed { tenant: scope.tenant() }).await;
        Ok(erasure)
    }

    async fn gateway_keys(&self, scope: &TenantScope) -> Result<Vec<GatewayKeyRecord>, Refusal> {
        Ok(self.deps.keys.keys(scope).await?)
    }

    async fn create_gateway_key(&self, scope: &TenantScope) -> Result<NewGatewayKey, Refusal> {
        self.new_gateway_key(scope).await
    }

    async fn revoke_gateway_key(&self, scope: &TenantScope, id: GatewayKeyId) -> Result<(), Refusal> {
        self.end_gateway_key(scope, id).await
    }
}
