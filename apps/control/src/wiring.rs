//! Ports and the adapters behind them.

use std::sync::Arc;

use novagate_control_core::{Control, ControlDeps, MailWorker, RegistrationMode};
use novagate_documents::stored::JsonObjectCodec;
use novagate_mail::{OutboxMailer, Sender, SmtpMailer};
use novagate_net::Tasks;
use novagate_passwords::{BcryptHasher, HasherLimits};
use novagate_ports_base::{Clock, Entropy, ObjectCodec};
use novagate_ports_control::outbound::Mailer;
use novagate_settings::{ControlSettings, Registration};
use novagate_store_sql::SqlStore;
use novagate_system::{OsEntropy, SystemClock, SystemPause};
use novagate_tokens::PlatformTokenSigner;

use crate::between::{Between, between};
use crate::{StartError, storage};

/// Who mails come from when nothing is set: an outbox folder has no other use for it.
const DEFAULT_SENDER: &str = "novagate@localhost.localdomain";

/// Time and randomness.
#[derive(Clone)]
pub struct World {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl Default for World {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), entropy: Arc::new(OsEntropy) }
    }
}

/// The use cases over their adapters.
pub struct Built {
    /// The use cases.
    pub control: Control,
    /// Sends the mails; to be run for as long as the control plane is.
    pub mail: MailWorker,
    /// The storage, for repeated POSTs and to be closed at the end.
    pub store: Arc<SqlStore>,
}

/// Puts adapters behind ports. `tasks` own what adapters do in the background.
pub async fn build(settings: &ControlSettings, world: &World, tasks: &Tasks) -> Result<Built, StartError> {
    let codec: Arc<dyn ObjectCodec> = Arc::new(JsonObjectCodec);
    let store = Arc::new(storage::open(settings, Arc::clone(&codec)).await?);
    let secret = settings.tokens.secret.expose();
    let previous = settings.tokens.previous.as_ref().map(novagate_settings::Secret::expose);
    let tokens = PlatformTokenSigner::new(secret, previous)
        .map_err(|error| StartError::Setting(format!("PLATFORM_JWT_SECRET: {error}")))?;
    let Between { bus, presence, throttle, fingerprints } = between(settings, world, tasks)?;
    let hasher = BcryptHasher::new(Arc::clone(&world.entropy), HasherLimits::default());
    let (control, mail) = Control::new(ControlDeps {
        tenants: Arc::clone(&store) as _,
        keys: Arc::clone(&store) as _,
        configs: Arc::clone(&store) as _,
        nodes: Arc::clone(&store) as _,
        telemetry: Arc::clone(&store) as _,
        audits: Arc::clone(&store) as _,
        bus,
        presence,
        hasher: Arc::new(hasher),
        mailer: mailer(settings, world)?,
        tokens: Arc::new(tokens),
        throttle,
        codec,
        clock: Arc::clone(&world.clock),
        pause: Arc::new(SystemPause),
        entropy: Arc::clone(&world.entropy),
        fingerprints,
        registration: registration(settings.registration),
        public_url: public_url(settings).into(),
    });
    Ok(Built { control, mail, store })
}

fn mailer(settings: &ControlSettings, world: &World) -> Result<Arc<dyn Mailer>, StartError> {
    let from = settings.mail.as_ref().map_or(DEFAULT_SENDER, |mail| mail.from.as_str());
    let sender = Sender::new(from, Arc::clone(&world.clock), Arc::clone(&world.entropy))
        .map_err(|error| StartError::Setting(format!("SMTP_FROM: {error}")))?;
    Ok(match &settings.mail {
        None => Arc::new(OutboxMailer::new(settings.data_dir.join("outbox"), sender)),
        Some(mail) => {
            let smtp = SmtpMailer::new(mail.url.expose(), sender);
            Arc::new(smtp.map_err(|error| StartError::Setting(format!("SMTP_URL: {error}")))?)
        }
    })
}

const fn registration(mode: Registration) -> RegistrationMode {
    match mode {
        Registration::Open => RegistrationMode::Open,
        Registration::Verified => RegistrationMode::Verified,
        Registration::Closed => RegistrationMode::Closed,
    }
}

/// Where links in mails lead.
fn public_url(settings: &ControlSettings) -> String {
    let fallback = || {
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", settings.listen)
    };
    settings.public_url.as_ref().map_or_else(fallback, |url| url.to_string().trim_end_matches('/').to_owned())
}
