//! Mails are made and sent behind a bounded queue, so that an answer's time never tells whether an address is known.

use std::sync::Arc;

use novagate_access::{EmailKey, LinkToken, RESET_LIFETIME, TenantScope, VERIFY_LIFETIME};
use novagate_kernel::{ErrorCode, TenantId};
use novagate_ports_base::PortError;
use novagate_ports_control::{
    inbound::Refusal,
    outbound::{Inserted, Mail, MailKind, TenantState},
};
use tokio::sync::mpsc;

use crate::{Control, ControlDeps};

/// Work that ends in a mail, perhaps.
#[derive(Debug)]
pub enum MailJob {
    /// Somebody wants to register an address.
    Registration {
        /// The display name of the tenant to be.
        name: String,
        /// The address.
        email: EmailKey,
    },
    /// Somebody forgot a password.
    Reset {
        /// The address.
        email: EmailKey,
    },
    /// A mail that is already decided.
    Ready(Mail),
}

/// Works the queue off. The program that builds a [`Control`] runs it for as long as it serves.
pub struct MailWorker {
    deps: Arc<ControlDeps>,
    jobs: mpsc::Receiver<MailJob>,
}

impl Control {
    pub(super) fn enqueue(&self, job: MailJob) -> Result<(), Refusal> {
        self.mail
            .try_send(job)
            .map_err(|_| Refusal::new(ErrorCode::Unavailable, "too many mails are waiting; try again"))
    }
}

impl MailWorker {
    pub(crate) const fn new(deps: Arc<ControlDeps>, jobs: mpsc::Receiver<MailJob>) -> Self {
        Self { deps, jobs }
    }

    /// Runs until every [`Control`] is gone.
    pub async fn run(self) {
        self.run_until(std::future::pending()).await;
    }

    /// Runs until `stop`, then sends what is queued and takes nothing more. A failed mail is logged without its address:
    /// who asked can ask again.
    pub async fn run_until(mut self, stop: impl Future<Output = ()> + Send) {
        let mut stop = std::pin::pin!(stop);
        let mut stopping = false;
        loop {
            let job = tokio::select! {
                job = self.jobs.recv() => job,
                () = &mut stop, if !stopping => {
                    stopping = true;
                    self.jobs.close();
                    continue;
                }
            };
            let Some(job) = job else { return };
            if let Err(error) = self.work(job).await {
                tracing::warn!(error = %error, cause = %error.source, "a mail was not sent");
            }
        }
    }

    async fn work(&self, job: MailJob) -> Result<(), PortError> {
        match job {
            MailJob::Registration { name, email } => self.register(&name, email).await,
            MailJob::Reset { email } => self.reset(email).await,
            MailJob::Ready(mail) => self.deps.mailer.send(&mail).await,
        }
    }

    async fn register(&self, name: &str, email: EmailKey) -> Result<(), PortError> {
        let token = LinkToken::generate(self.deps.entropy.bytes());
        let scope = TenantScope::for_provisioning(TenantId::from_entropy(self.deps.entropy.bytes()));
        let now = self.deps.clock.now();
        let expires_at = now.plus(VERIFY_LIFETIME);
        let inserted =
            self.deps.tenants.register_pending(&scope, name, &email, &token.digest(), expires_at, now).await?;
        let kind = match inserted {
            Inserted::New => MailKind::Verify { link: self.link("verify", &token) },
            Inserted::AlreadyThere => MailKind::AlreadyRegistered,
        };
        self.deps.mailer.send(&Mail { to: email, kind }).await
    }

    async fn reset(&self, email: EmailKey) -> Result<(), PortError> {
        let account = self.deps.tenants.find_by_email(&email).await?;
        let Some(account) = account.filter(|known| known.state == TenantState::Active) else { return Ok(()) };
        let token = LinkToken::generate(self.deps.entropy.bytes());
        // Maintenance authority: the link goes to the account's own address and to nobody else.
        let scope = TenantScope::for_maintenance(account.tenant);
        let expires_at = self.deps.clock.now().plus(RESET_LIFETIME);
        if self.deps.tenants.set_reset(&scope, &token.digest(), expires_at).await? {
            let kind = MailKind::Reset { link: self.link("reset-password", &token) };
            self.deps.mailer.send(&Mail { to: email, kind }).await?;
        }
        Ok(())
    }

    fn link(&self, page: &str, token: &LinkToken) -> String {
        // In the fragment: it is not sent to servers, so it reaches no access log on the way.
        format!("{}/{page}#token={}", self.deps.public_url, token.expose())
    }
}
