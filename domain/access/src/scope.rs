//! Authority over one tenant's data, and the four ways to get it.

use std::fmt;

use novagate_kernel::{TenantId, Timestamp};

use crate::GatewayKeyRecord;

/// A fact that a check has established. Only this crate's checks and the token adapter make one.
#[derive(Debug)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub(crate) const fn proven(fact: T) -> Self {
        Self(fact)
    }

    /// States that `fact` has been verified by means outside this crate: a signature. `testkit/tidy` holds the list of
    /// files that may say so (the token adapter).
    pub const fn assert(fact: T) -> Self {
        Self(fact)
    }

    /// The fact.
    pub const fn get(&self) -> &T {
        &self.0
    }
}

/// What a platform token says about its bearer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformClaims {
    /// The tenant whose account it is.
    pub tenant: TenantId,
    /// The account's token generation when it was issued; tokens of older generations have ended.
    pub generation: u64,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// The right to touch one tenant's data: the first argument of every port method that does.
///
/// There is no way from a [`TenantId`] to a scope but the ones below, none from stored or received bytes, and a scope
/// says nothing about any other tenant. Scopes may be cloned: authority once proven is not used up by one query.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TenantScope {
    tenant: TenantId,
}

impl TenantScope {
    /// For the use case that creates a tenant, which nobody can be authenticated for yet.
    pub const fn for_provisioning(tenant: TenantId) -> Self {
        Self { tenant }
    }

    /// For background work over all tenants: migrations, retention, healing.
    pub const fn for_maintenance(tenant: TenantId) -> Self {
        Self { tenant }
    }

    /// Whose data.
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }
}

impl fmt::Debug for TenantScope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TenantScope({})", self.tenant)
    }
}

impl Verified<PlatformClaims> {
    /// The scope of the tenant named in a request path, when it is the token's own.
    pub fn scope_for(&self, path_tenant: TenantId) -> Option<TenantScope> {
        (self.0.tenant == path_tenant).then_some(TenantScope { tenant: path_tenant })
    }
}

impl Verified<GatewayKeyRecord> {
    /// The scope of the tenant whose gateway connected.
    pub const fn scope(&self) -> TenantScope {
        TenantScope { tenant: self.0.tenant }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promise_i4_a_token_opens_its_own_tenant_and_no_other() {
        let tenant = TenantId::from_entropy([1; 16]);
        let claims = PlatformClaims {
            tenant,
            generation: 0,
            issued_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::from_seconds(1),
        };
        let verified = Verified::assert(claims);
        assert_eq!(verified.scope_for(tenant).unwrap().tenant(), tenant);
        assert!(verified.scope_for(TenantId::from_entropy([2; 16])).is_none());
    }
}
