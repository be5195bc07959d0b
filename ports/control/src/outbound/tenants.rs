//! Tenants and their accounts: the platform's own data.

use std::time::Duration;

use async_trait::async_trait;
use novagate_access::{EmailKey, GatewayKeyRecord, KeyDigest, PasswordHash, TenantScope};
use novagate_kernel::{Digest, Head, TenantId, Timestamp};
use novagate_ports_base::PortError;
use novagate_records::AuditRecord;

use crate::{Page, PageRequest};

/// A tenant with its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub tenant: TenantId,
    /// Its display name.
    pub name: String,
    /// The account's address.
    pub email: EmailKey,
    /// The password's hash; `None` until the address is verified.
    pub password: Option<PasswordHash>,
    /// Whether it may be used.
    pub state: TenantState,
    /// Tokens of older generations have ended.
    pub generation: u64,
    /// What its plan allows.
    pub limits: PlanLimits,
    /// When it was created.
    pub created_at: Timestamp,
    /// When name or state last changed.
    pub updated_at: Timestamp,
}

/// Whether a tenant may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TenantState {
    /// Registered; the address is not proven and nothing is provisioned.
    Unverified,
    /// In use.
    Active,
    /// Management and sync are refused; gateways go on serving.
    Suspended,
}

impl TenantState {
    /// The word in storage and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    /// The opposite of [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Unverified, Self::Active, Self::Suspended].into_iter().find(|state| state.as_str() == word)
    }
}

/// What a plan allows. The limits bound management and telemetry, never live traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanLimits {
    /// Services.
    pub services: u32,
    /// Routes.
    pub routes: u32,
    /// Consumers.
    pub consumers: u32,
    /// Sum of object bodies, bytes.
    pub config_bytes: u64,
    /// Known gateway nodes.
    pub nodes: u32,
    /// Stored log rows per second.
    pub log_rows_per_second: u32,
}

impl PlanLimits {
    /// The plan `free`, which every tenant starts with.
    pub const FREE: Self = Self {
        services: 1_000,
        routes: 10_000,
        consumers: 100_000,
        config_bytes: 64 * 1024 * 1024,
        nodes: 100,
        log_rows_per_second: 10_000,
    };
}

/// What a POST with an `Idempotency-Key` is known by, where there is no tenant yet whose tables could remember it. Keyed
/// hashes: the body holds a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostClaim {
    /// Of the path and the header.
    pub key: Digest,
    /// Of these and the body.
    pub request: Digest,
}

/// How long a [`PostClaim`] counts.
pub const CLAIM_LIFETIME: Duration = Duration::from_hours(24);

/// A tenant that a POST with an `Idempotency-Key` has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimedTenant {
    /// Its id.
    pub tenant: TenantId,
    /// Which request it was: [`PostClaim::request`].
    pub request: Digest,
}

/// A tenant to be provisioned.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// Its display name; 1 to 100 characters without control characters.
    pub name: String,
    /// The account's address.
    pub email: EmailKey,
    /// The password's hash.
    pub password: PasswordHash,
    /// Its first revision: the empty configuration.
    pub head: Head,
    /// Its first gateway key.
    pub key: GatewayKeyRecord,
    /// When.
    pub at: Timestamp,
    /// The first entry of its audit log.
    pub audit: AuditRecord,
    /// The POST that made it, when that may be repeated.
    pub claim: Option<PostClaim>,
}

/// Whether something was inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It is new.
    New,
    /// There was one already; nothing changed.
    AlreadyThere,
}

/// What an erasure removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TenantErasure {
    /// Gateway keys.
    pub gateway_keys: u64,
    /// Config objects.
    pub objects: u64,
    /// Stored telemetry rows.
    pub telemetry_rows: u64,
}

/// Tenants and accounts. Contract, checked by `testkit/contracts`: an address has at most one verified tenant; `provision`
/// makes all of a tenant (its own storage, first revision, key, audit entry) or nothing, and a retry after a crash works;
/// a claim counts for
/// [`CLAIM_LIFETIME`] and no two tenants have the same one; what `erase` removed is found nowhere afterwards and a second `erase` reports zeros.
#[async_trait]
pub trait TenantStore: Send + Sync + 'static {
    /// Creates a tenant, or replaces the pending registration of the same address. `AlreadyThere` when its id, address or
    /// claim is another's.
    async fn provision(&self, scope: &TenantScope, tenant: &NewTenant) -> Result<Inserted, PortError>;

    /// The tenant that was provisioned with this [`PostClaim::key`], for as long as that counts.
    async fn claimed(&self, key: Digest, now: Timestamp) -> Result<Option<ClaimedTenant>, PortError>;

    /// Remembers a registration whose address is not proven yet; replaces an earlier pending one of the same address.
    /// `AlreadyThere` when the address has a provisioned tenant.
    async fn register_pending(
        &self,
        scope: &TenantScope,
        name: &str,
        email: &EmailKey,
        verify: &KeyDigest,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Inserted, PortError>;

    /// The pending registration with this unexpired token. An expired one is removed on the way.
    async fn find_pending(&self, verify: &KeyDigest, now: Timestamp) -> Result<Option<Account>, PortError>;

    /// The account of an address.
    async fn find_by_email(&self, email: &EmailKey) -> Result<Option<Account>, PortError>;

    /// The tenant's account.
    async fn account(&self, scope: &TenantScope) -> Result<Option<Account>, PortError>;

    /// Changes the display name; `false` when the tenant is gone.
    async fn rename(&self, scope: &TenantScope, name: &str, audit: &AuditRecord) -> Result<bool, PortError>;

    /// Activates or suspends a tenant.
    async fn set_state(&self, scope: &TenantScope, state: TenantState, at: Timestamp) -> Result<bool, PortError>;

    /// Replaces the password, ends all tokens (generation + 1) and any reset link. `None` when the tenant is gone.
    async fn set_password(
        &self,
        scope: &TenantScope,
        password: &PasswordHash,
        audit: &AuditRecord,
    ) -> Result<Option<u64>, PortError>;

    /// Ends all tokens; answers the new generation.
    async fn end_tokens(&self, scope: &TenantScope, audit: &AuditRecord) -> Result<Option<u64>, PortError>;

    /// Remembers a reset link, in place of any earlier one.
    async fn set_reset(&self, scope: &TenantScope, reset: &KeyDigest, expires_at: Timestamp)
    -> Result<bool, PortError>;

    /// Uses a reset link up: the tenant whose unexpired link it is, at most once. An expired one is removed on the way.
    async fn take_reset(&self, reset: &KeyDigest, now: Timestamp) -> Result<Option<TenantId>, PortError>;

    /// All provisioned tenants, in a stable order.
    async fn tenants(&self, page: &PageRequest) -> Result<Page<TenantId>, PortError>;

    /// Removes everything of a tenant.
    async fn erase(&self, scope: &TenantScope) -> Result<TenantErasure, PortError>;
}
