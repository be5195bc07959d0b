//! How a tenant comes into being.

use novagate_access::{
    EmailAddress, EmailKey, GatewayKey, GatewayKeyRecord, LinkToken, Password, PasswordHash, TenantScope,
};
use novagate_kernel::{Epoch, ErrorCode, GatewayKeyId, Head, Revision, TenantId};
use novagate_ports_control::{
    inbound::{Client, CreatedTenant, FieldFault, Refusal, Registration},
    outbound::{Inserted, NewTenant, PostClaim},
};
use novagate_records::{Actor, AuditAction};
use novagate_sync::tenant_digest;

use super::{MailJob, session::busy};
use crate::{Control, RegistrationMode};

/// Most characters of a tenant's display name.
const NAME_CHARS: usize = 100;

/// What a new tenant is to be.
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) email: EmailKey,
    pub(crate) password: PasswordHash,
    /// Who makes it.
    pub(crate) actor: Actor,
    /// The POST that makes it, when that may be repeated.
    pub(crate) claim: Option<PostClaim>,
}

/// What a display name must be.
pub(crate) fn check_name(name: &str) -> Result<(), Refusal> {
    let rule = if name.trim().is_empty() {
        "must not be empty"
    } else if name.chars().count() > NAME_CHARS {
        "must have at most 100 characters"
    } else if name.chars().any(|letter| letter.is_control() || is_bidi_control(letter)) {
        "must not contain control characters"
    } else {
        return Ok(());
    };
    Err(Refusal::invalid(vec![FieldFault::new("/name", "invalid_name", rule)]))
}

/// Characters that make a text display as another one.
const fn is_bidi_control(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl Control {
    pub(super) async fn register_tenant(
        &self,
        name: String,
        email: EmailAddress,
        password: Option<Password>,
        client: Client,
        claim: Option<PostClaim>,
    ) -> Result<Registration, Refusal> {
        check_name(&name)?;
        self.admit_address(client).await?;
        match self.deps.registration {
            RegistrationMode::Closed => Err(Refusal::new(
                ErrorCode::RegistrationClosed,
                "this control plane does not register tenants over the API; ask its operator",
            )),
            RegistrationMode::Open => {
                let missing = || FieldFault::new("/password", "required", "is required");
                let password = password.ok_or_else(|| Refusal::invalid(vec![missing()]))?;
                let hash = self.deps.hasher.hash(password).await.map_err(busy)?;
                let asked = Asked { name, email: email.key(), password: hash, actor: Actor::Account, claim };
                self.create_tenant(self.new_tenant_id(), asked).await.map(Registration::Created)
            }
            RegistrationMode::Verified => {
                self.admit_account(&email.key(), client).await?;
                // Everything that could tell a known address from an unknown one happens behind the queue.
                self.enqueue(MailJob::Registration { name, email: email.key() })?;
                Ok(Registration::Pending)
            }
        }
    }

    pub(super) async fn verify_registration(
        &self,
        token: LinkToken,
        password: Password,
        client: Client,
        claim: Option<PostClaim>,
    ) -> Result<CreatedTenant, Refusal> {
        self.admit_address(client).await?;
        let now = self.deps.clock.now();
        let pending = self.deps.tenants.find_pending(&token.digest(), now).await?.ok_or_else(dead_link)?;
        let hash = self.deps.hasher.hash(password).await.map_err(busy)?;
        let (name, email) = (pending.name, pending.email);
        let asked = Asked { name, email, password: hash, actor: Actor::Account, claim };
        self.create_tenant(pending.tenant, asked).await
    }

    /// Provisions a tenant: for registration, and for an operator's command line.
    pub(crate) async fn create_tenant(&self, tenant: TenantId, asked: Asked) -> Result<CreatedTenant, Refusal> {
        let Asked { name, email, password, actor, claim } = asked;
        let at = self.deps.clock.now();
        let gateway_key = GatewayKey::generate(tenant, self.deps.entropy.bytes());
        let revision = Revision { epoch: Epoch::from_entropy(self.deps.entropy.bytes()), seq: 1 };
        let fresh = NewTenant {
            name,
            email,
            password,
            head: Head { revision, digest: tenant_digest([]) },
            key: GatewayKeyRecord {
                id: GatewayKeyId::from_entropy(self.deps.entropy.bytes()),
                tenant,
                digest: gateway_key.digest(),
                created_at: at,
                revoked_at: None,
            },
            at,
            audit: self.audit_entry(actor, AuditAction::TenantCreated),
            claim,
        };
        match self.deps.tenants.provision(&TenantScope::for_provisioning(tenant), &fresh).await? {
            Inserted::New => {
                let (token, _) = self.issue_token(tenant, 0)?;
                Ok(CreatedTenant { tenant, token, gateway_key })
            }
            Inserted::AlreadyThere => Err(Refusal {
                fields: vec![FieldFault::new("/email", "email_taken", "has an account already")],
                ..Refusal::new(ErrorCode::EmailTaken, "the address has an account already")
            }),
        }
    }

    pub(crate) fn new_tenant_id(&self) -> TenantId {
        TenantId::from_entropy(self.deps.entropy.bytes())
    }
}

/// An expired, used or made-up link.
pub(super) fn dead_link() -> Refusal {
    Refusal::invalid(vec![FieldFault::new("/token", "invalid_token", "is not a link that works (any more)")])
}
