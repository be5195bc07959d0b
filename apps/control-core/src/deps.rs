//! What the use cases are made of.

use std::sync::Arc;
use std::time::Duration;

use novagate_access::{Fingerprinter, PlatformClaims};
use novagate_kernel::{AuditId, Name, ObjectRef, Revision, TenantId};
use novagate_ports_base::{Clock, Entropy, ObjectCodec, Pause};
use novagate_ports_control::{
    inbound::Refusal,
    outbound::{
        AuditStore, Bus, ConfigStore, GatewayKeyStore, Mailer, NodeStore, PasswordHasher, PlatformTokens, Presence,
        TelemetryStore, TenantStore, Throttle, Wake,
    },
};
use novagate_records::{Actor, AuditAction, AuditRecord};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{accounts::MailJob, config::ConfigCache, log_budget::LogBudget, receipts::Receipts, sync::DeltaCache};

/// Who may become a tenant over the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationMode {
    /// Anybody, at once: for a control plane that listens on loopback.
    Open,
    /// Whoever proves an address first.
    Verified,
    /// Nobody: `novagate-control tenants create`.
    Closed,
}

/// Everything the control plane needs from the outside.
#[derive(Clone)]
pub struct ControlDeps {
    /// Tenants and accounts.
    pub tenants: Arc<dyn TenantStore>,
    /// Gateway keys.
    pub keys: Arc<dyn GatewayKeyStore>,
    /// Configurations.
    pub configs: Arc<dyn ConfigStore>,
    /// Known nodes.
    pub nodes: Arc<dyn NodeStore>,
    /// Telemetry.
    pub telemetry: Arc<dyn TelemetryStore>,
    /// Audit logs.
    pub audits: Arc<dyn AuditStore>,
    /// Wake-ups.
    pub bus: Arc<dyn Bus>,
    /// Who is connected.
    pub presence: Arc<dyn Presence>,
    /// Password hashing.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Mail.
    pub mailer: Arc<dyn Mailer>,
    /// Platform tokens.
    pub tokens: Arc<dyn PlatformTokens>,
    /// Attempt counters.
    pub throttle: Arc<dyn Throttle>,
    /// Encoding of objects.
    pub codec: Arc<dyn ObjectCodec>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Waiting.
    pub pause: Arc<dyn Pause>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Keyed hashes for attempt counters and repeated POSTs.
    pub fingerprints: Fingerprinter,
    /// Who may register.
    pub registration: RegistrationMode,
    /// Where links in mails lead, without a trailing slash.
    pub public_url: Arc<str>,
}

/// The control plane. One value answers every inbound port; clones share everything.
#[derive(Clone)]
pub struct Control {
    pub(crate) deps: Arc<ControlDeps>,
    pub(crate) mail: mpsc::Sender<MailJob>,
    pub(crate) cache: Arc<ConfigCache>,
    pub(crate) deltas: Arc<DeltaCache>,
    pub(crate) log_budget: Arc<LogBudget>,
    pub(crate) receipts: Arc<Receipts>,
}

/// How many mails may wait; more are refused with a code, never lost in silence.
const MAIL_QUEUE: usize = 256;

/// How long a platform token works.
pub(crate) const TOKEN_LIFETIME: Duration = Duration::from_hours(7 * 24);

impl Control {
    /// The use cases over these dependencies, and the worker that the caller must run: it sends the mails.
    pub fn new(deps: ControlDeps) -> (Self, crate::MailWorker) {
        let deps = Arc::new(deps);
        let (mail, jobs) = mpsc::channel(MAIL_QUEUE);
        let worker = crate::MailWorker::new(Arc::clone(&deps), jobs);
        let (cache, deltas, log_budget, receipts) = (Arc::default(), Arc::default(), Arc::default(), Arc::default());
        (Self { deps, mail, cache, deltas, log_budget, receipts }, worker)
    }

    /// An entry for the audit log, at the present time.
    pub(crate) fn audit_entry(&self, actor: Actor, action: AuditAction) -> AuditRecord {
        AuditRecord {
            id: AuditId::from_entropy(self.deps.entropy.bytes()),
            at: self.deps.clock.now(),
            actor,
            action,
            object: None,
            name: None,
            subject: None,
            revision: None,
        }
    }

    /// The same for something done to a config object.
    pub(crate) fn object_audit(
        &self,
        action: AuditAction,
        object: ObjectRef,
        name: Option<Name>,
        revision: Revision,
    ) -> AuditRecord {
        AuditRecord { object: Some(object), name, revision: Some(revision), ..self.audit_entry(Actor::Account, action) }
    }

    /// The same for a gateway key or node.
    pub(crate) fn subject_audit(&self, action: AuditAction, subject: Uuid) -> AuditRecord {
        AuditRecord { subject: Some(subject), ..self.audit_entry(Actor::Account, action) }
    }

    /// Publishes a wake-up. A failure is only logged: the edit is durable and the digest check heals the rest.
    pub(crate) async fn wake(&self, wake: &Wake) {
        if let Err(error) = self.deps.bus.publish(wake).await {
            tracing::warn!(error = %error, "a wake-up was not published; the digest check will heal it");
        }
    }

    /// A fresh platform token of an account's present generation.
    pub(crate) fn issue_token(&self, tenant: TenantId, generation: u64) -> Result<(String, PlatformClaims), Refusal> {
        let issued_at = self.deps.clock.now();
        let claims = PlatformClaims { tenant, generation, issued_at, expires_at: issued_at.plus(TOKEN_LIFETIME) };
        Ok((self.deps.tokens.issue(&claims)?, claims))
    }
}
