//! Forgotten and changed passwords.

use novagate_access::{EmailAddress, LinkToken, Password, TenantScope};
use novagate_kernel::ErrorCode;
use novagate_ports_control::{
    inbound::{Client, FieldFault, Refusal},
    outbound::{Mail, MailKind},
};
use novagate_records::{Actor, AuditAction};

use super::{MailJob, registration::dead_link, session::busy};
use crate::Control;

impl Control {
    /// Answers alike for known and unknown addresses: all that differs happens behind the queue.
    pub(super) async fn request_reset(&self, email: EmailAddress, client: Client) -> Result<(), Refusal> {
        self.admit_address(client).await?;
        self.admit_account(&email.key(), client).await?;
        self.enqueue(MailJob::Reset { email: email.key() })
    }

    pub(super) async fn use_reset(&self, token: LinkToken, password: Password, client: Client) -> Result<(), Refusal> {
        self.admit_address(client).await?;
        // Hashed first: a busy hasher must not use the link up.
        let hash = self.deps.hasher.hash(password).await.map_err(busy)?;
        let now = self.deps.clock.now();
        let tenant = self.deps.tenants.take_reset(&token.digest(), now).await?.ok_or_else(dead_link)?;
        // Maintenance authority: the mailed secret has just proven this very account.
        let scope = TenantScope::for_maintenance(tenant);
        let audit = self.audit_entry(Actor::Account, AuditAction::PasswordChanged);
        self.deps.tenants.set_password(&scope, &hash, &audit).await?.ok_or_else(dead_link)?;
        self.tell_owner(&scope).await;
        Ok(())
    }

    pub(super) async fn replace_password(
        &self,
        scope: &TenantScope,
        current: Password,
        new: Password,
        client: Client,
    ) -> Result<(), Refusal> {
        let account = self.deps.tenants.account(scope).await?.ok_or_else(Refusal::not_found)?;
        self.admit_account(&account.email, client).await?;
        if !self.deps.hasher.verify(current, account.password).await.map_err(busy)? {
            return Err(Refusal {
                fields: vec![FieldFault::new("/current", "wrong_password", "is not the present password")],
                ..Refusal::new(ErrorCode::InvalidCredentials, "the present password is wrong")
            });
        }
        let hash = self.deps.hasher.hash(new).await.map_err(busy)?;
        let audit = self.audit_entry(Actor::Account, AuditAction::PasswordChanged);
        self.deps.tenants.set_password(scope, &hash, &audit).await?.ok_or_else(Refusal::not_found)?;
        self.forgive(&account.email, client).await?;
        self.tell_owner(scope).await;
        Ok(())
    }

    /// The change stands whether or not this mail can be queued.
    async fn tell_owner(&self, scope: &TenantScope) {
        let account = match self.deps.tenants.account(scope).await {
            Ok(account) => account,
            Err(error) => return tracing::warn!(error = %error, "no mail about a changed password"),
        };
        if let Some(account) = account {
            let mail = Mail { to: account.email, kind: MailKind::PasswordChanged };
            if self.enqueue(MailJob::Ready(mail)).is_err() {
                tracing::warn!("the mail queue is full: no mail about a changed password");
            }
        }
    }
}
