//! Login and the check of platform tokens.

use novagate_access::{EmailAddress, Password, PlatformClaims, TenantScope, Verified};
use novagate_kernel::ErrorCode;
use novagate_ports_control::{
    inbound::{Client, LoginSession, Refusal},
    outbound::{HashError, TenantState, TokenFault},
};
use novagate_records::{Actor, AuditAction};

use crate::Control;

impl Control {
    pub(super) async fn log_in(
        &self,
        email: EmailAddress,
        password: Password,
        client: Client,
    ) -> Result<LoginSession, Refusal> {
        self.admit_address(client).await?;
        self.admit_account(&email.key(), client).await?;
        let account = self.deps.tenants.find_by_email(&email.key()).await?;
        let hash = account.as_ref().and_then(|known| known.password.clone());
        // The comparison runs for unknown accounts too, against a dummy: time tells nothing.
        let matches = self.deps.hasher.verify(password, hash).await.map_err(busy)?;
        let Some(account) = account.filter(|_| matches) else {
            return Err(Refusal::new(ErrorCode::InvalidCredentials, "e-mail or password is wrong"));
        };
        refuse_suspended(account.state)?;
        self.forgive(&email.key(), client).await?;
        let (token, claims) = self.issue_token(account.tenant, account.generation)?;
        // Maintenance authority: the password has just proven this very account.
        let scope = TenantScope::for_maintenance(account.tenant);
        self.deps.audits.append_audit(&scope, &self.audit_entry(Actor::Account, AuditAction::LoggedIn)).await?;
        Ok(LoginSession { tenant: account.tenant, token, expires_at: claims.expires_at })
    }

    pub(super) async fn check_token(&self, token: &str) -> Result<Verified<PlatformClaims>, Refusal> {
        let claims = self.deps.tokens.verify(token, self.deps.clock.now()).map_err(|fault| match fault {
            TokenFault::Expired => Refusal::new(ErrorCode::TokenExpired, "the token has expired; log in again"),
            TokenFault::Invalid => ended_token(),
        })?;
        let scope = claims.scope_for(claims.get().tenant).ok_or_else(ended_token)?;
        let account = self.deps.tenants.account(&scope).await?.ok_or_else(ended_token)?;
        if account.generation != claims.get().generation {
            return Err(ended_token());
        }
        refuse_suspended(account.state)?;
        Ok(claims)
    }
}

fn ended_token() -> Refusal {
    Refusal::new(ErrorCode::TokenInvalid, "the token is not valid")
}

fn refuse_suspended(state: TenantState) -> Result<(), Refusal> {
    match state {
        TenantState::Active => Ok(()),
        TenantState::Suspended => {
            Err(Refusal::new(ErrorCode::TenantSuspended, "the tenant is suspended; its gateways go on serving"))
        }
        TenantState::Unverified => Err(ended_token()),
    }
}

/// A full hashing queue is the client's cue to wait; a failed hasher is ours.
pub(crate) fn busy(error: HashError) -> Refusal {
    match error {
        HashError::Busy { retry_after } => Refusal::too_many(retry_after),
        HashError::Failed(source) => source.into(),
    }
}
