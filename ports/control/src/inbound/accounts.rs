//! Accounts, tenants and gateway keys.

use std::net::IpAddr;

use async_trait::async_trait;
use novagate_access::{
    EmailAddress, GatewayKey, GatewayKeyRecord, LinkToken, Password, PlatformClaims, TenantScope, Verified,
};
use novagate_kernel::{GatewayKeyId, TenantId, Timestamp};

use super::{PostBegin, PostEnd, Refusal, RepeatablePost};
use crate::outbound::{Account, PostClaim, TenantErasure};

/// Where a request came from, for throttling only; never stored or logged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The client's address, after trusted proxies.
    pub address: IpAddr,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Client(redacted)")
    }
}

/// A provisioned tenant; the only time the gateway key is seen.
#[derive(Debug)]
pub struct CreatedTenant {
    /// Its id.
    pub tenant: TenantId,
    /// A platform token.
    pub token: String,
    /// Its first gateway key.
    pub gateway_key: GatewayKey,
}

/// The outcome of a registration.
#[derive(Debug)]
pub enum Registration {
    /// Mode `open`: the tenant exists.
    Created(CreatedTenant),
    /// Mode `verified`: if the address is free, a mail is on its way. The same for known and unknown addresses.
    Pending,
}

/// A login.
#[derive(Debug)]
pub struct LoginSession {
    /// Whose.
    pub tenant: TenantId,
    /// A platform token.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A gateway key at the only moment its plaintext exists.
#[derive(Debug)]
pub struct NewGatewayKey {
    /// What is stored.
    pub record: GatewayKeyRecord,
    /// The plaintext.
    pub key: GatewayKey,
}

/// Accounts, tenants and gateway keys.
#[async_trait]
pub trait Accounts: Send + Sync + 'static {
    /// Whether the control plane can do its work: its storage answers.
    async fn ready(&self) -> Result<(), Refusal>;

    /// What a repeated POST is known by.
    fn claim_of(&self, post: &RepeatablePost) -> PostClaim;

    /// Begins a POST that may be repeated: registration, verification, mailed links. Of any number of simultaneous calls
    /// with one key exactly one is started.
    async fn begin_post(&self, post: &RepeatablePost) -> Result<PostBegin, Refusal>;

    /// Ends a POST that was started.
    async fn end_post(&self, claim: PostClaim, end: PostEnd);

    /// Registers a tenant. In mode `verified` the password is ignored: it is set with the link. A tenant that is made
    /// remembers the claim.
    async fn register(
        &self,
        name: String,
        email: EmailAddress,
        password: Option<Password>,
        client: Client,
        claim: Option<PostClaim>,
    ) -> Result<Registration, Refusal>;

    /// Uses a verification link up and sets the password. The tenant remembers the claim.
    async fn verify(
        &self,
        token: LinkToken,
        password: Password,
        client: Client,
        claim: Option<PostClaim>,
    ) -> Result<CreatedTenant, Refusal>;

    /// Logs in. Unknown and known addresses answer alike, in text and time.
    async fn login(&self, email: EmailAddress, password: Password, client: Client) -> Result<LoginSession, Refusal>;

    /// Sends a reset link, if the address has an account. Looks and takes the same if not.
    async fn forgot_password(&self, email: EmailAddress, client: Client) -> Result<(), Refusal>;

    /// Uses a reset link up; all tokens end.
    async fn reset_password(&self, token: LinkToken, password: Password, client: Client) -> Result<(), Refusal>;

    /// Ends all tokens of the account.
    async fn logout(&self, scope: &TenantScope) -> Result<(), Refusal>;

    /// Changes the password; all tokens end.
    async fn change_password(
        &self,
        scope: &TenantScope,
        current: Password,
        new: Password,
        client: Client,
    ) -> Result<(), Refusal>;

    /// Checks a platform token, its generation and the tenant's existence.
    async fn authenticate(&self, token: &str) -> Result<Verified<PlatformClaims>, Refusal>;

    /// The tenant.
    async fn tenant(&self, scope: &TenantScope) -> Result<Account, Refusal>;

    /// Changes the display name.
    async fn rename(&self, scope: &TenantScope, name: String) -> Result<Account, Refusal>;

    /// Erases the tenant: storage, keys, sessions.
    async fn erase(&self, scope: &TenantScope) -> Result<TenantErasure, Refusal>;

    /// The gateway keys, oldest first.
    async fn gateway_keys(&self, scope: &TenantScope) -> Result<Vec<GatewayKeyRecord>, Refusal>;

    /// Makes a gateway key; earlier ones go on working.
    async fn create_gateway_key(&self, scope: &TenantScope) -> Result<NewGatewayKey, Refusal>;

    /// Revokes a gateway key; its sessions end within a second.
    async fn revoke_gateway_key(&self, scope: &TenantScope, id: GatewayKeyId) -> Result<(), Refusal>;
}
