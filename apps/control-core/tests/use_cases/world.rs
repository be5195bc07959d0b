//! A control plane with everything behind it in memory, and the few fakes that storage does not bring.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use novagate_access::{
    EmailAddress, EmailKey, Fingerprinter, GatewayKey, LinkToken, Password, PasswordHash, PasswordRules, TenantScope,
};
use novagate_control_core::{Control, ControlDeps, MailWorker, RegistrationMode};
use novagate_documents::{config::parse_object, stored::JsonObjectCodec};
use novagate_fixtures::{ManualClock, SeededEntropy};
use novagate_kernel::{ErrorCode, NodeId, ObjectKind, ObjectRef, SessionId, TenantId};
use novagate_policies::ConfigObject;
use novagate_ports_base::{Clock, Pause, PortError};
use novagate_ports_control::{Page, PageRequest, outbound::Bus};
use novagate_ports_control::{
    inbound::{Accounts, Client, ConfigAdmin, CreatedTenant, Refusal, Registration, Written},
    outbound::{
        Account, BusSubscription, ClaimedTenant, HashError, Inserted, Mail, MailKind, Mailer, NewTenant, NodeSighting,
        PasswordHasher, PlanLimits, TenantErasure, TenantState, TenantStore, Wake,
    },
};
use novagate_store_memory::{MemoryBus, MemoryPresence, MemoryStore, MemoryThrottle};
use novagate_tokens::PlatformTokenSigner;
use serde_json::{Value, json};
use uuid::Uuid;

/// The session of every gateway.
pub(crate) const SESSION: SessionId = SessionId::from_u128(1);
pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const OTHER_PASSWORD: &str = "another horse entirely";

/// Everything that a test looks at.
pub(crate) struct World {
    pub(crate) control: Control,
    pub(crate) deps: ControlDeps,
    pub(crate) worker: Option<MailWorker>,
    pub(crate) store: MemoryStore,
    pub(crate) bus: MemoryBus,
    pub(crate) clock: ManualClock,
    pub(crate) pauses: Arc<Pauses>,
    pub(crate) mails: Arc<Mails>,
    pub(crate) plan: Arc<Mutex<PlanLimits>>,
    work: Arc<Work>,
}

/// How often the use cases did what takes time.
#[derive(Default)]
struct Work {
    passwords: AtomicU32,
    looks: AtomicU32,
}

impl World {
    pub(crate) fn open() -> Self {
        Self::with(RegistrationMode::Open)
    }

    pub(crate) fn with(registration: RegistrationMode) -> Self {
        let (store, bus, clock) = (MemoryStore::default(), MemoryBus::default(), ManualClock::default());
        let (pauses, mails) = (Arc::new(Pauses::default()), Arc::new(Mails::default()));
        let plan = Arc::new(Mutex::new(PlanLimits::FREE));
        let work = Arc::<Work>::default();
        let tenants = Planned { store: store.clone(), plan: Arc::clone(&plan), work: Arc::clone(&work) };
        let deps = ControlDeps {
            tenants: Arc::new(tenants),
            keys: Arc::new(store.clone()),
            configs: Arc::new(store.clone()),
            nodes: Arc::new(store.clone()),
            telemetry: Arc::new(store.clone()),
            audits: Arc::new(store.clone()),
            bus: Arc::new(bus.clone()),
            presence: Arc::new(MemoryPresence::new(Arc::new(clock.clone()))),
            hasher: Arc::new(PlainHasher(Arc::clone(&work))),
            mailer: Arc::clone(&mails) as _,
            tokens: Arc::new(PlatformTokenSigner::new("0123456789abcdef0123456789abcdef", None).unwrap()),
            throttle: Arc::new(MemoryThrottle::default()),
            codec: Arc::new(JsonObjectCodec),
            clock: Arc::new(clock.clone()),
            pause: Arc::clone(&pauses) as _,
            entropy: Arc::new(SeededEntropy::new(7)),
            fingerprints: Fingerprinter::new([9; 32]),
            registration,
            public_url: "https://control.example.org".into(),
        };
        let (control, worker) = Control::new(deps.clone());
        Self { control, deps, worker: Some(worker), store, bus, clock, pauses, mails, plan, work }
    }

    /// How often a password was hashed or compared, and accounts were looked at or changed, while `work` ran.
    pub(crate) async fn work_of(&self, work: impl Future) -> (u32, u32) {
        let now = || (self.work.passwords.load(Ordering::Relaxed), self.work.looks.load(Ordering::Relaxed));
        let before = now();
        work.await;
        (now().0 - before.0, now().1 - before.1)
    }

    /// Another control node on the same storage and bus.
    pub(crate) fn other_node(&self) -> Control {
        Control::new(self.deps.clone()).0
    }

    /// A tenant of `email` with [`PASSWORD`], as registration in mode `open` makes it.
    pub(crate) async fn tenant(&self, email: &str) -> Tenant {
        match self.register(email).await.unwrap() {
            Registration::Created(created) => self.entered(created).await,
            Registration::Pending => panic!("the world is not open"),
        }
    }

    pub(crate) async fn register(&self, address: &str) -> Result<Registration, Refusal> {
        self.control.register("Acme".to_owned(), email(address), Some(password(PASSWORD)), client(1), None).await
    }

    pub(crate) async fn entered(&self, created: CreatedTenant) -> Tenant {
        let scope = self.scope(&created.token, created.tenant).await;
        Tenant { id: created.tenant, scope, token: created.token, gateway_key: created.gateway_key }
    }

    /// The authority that a token gives.
    pub(crate) async fn scope(&self, token: &str, tenant: TenantId) -> TenantScope {
        self.control.authenticate(token).await.unwrap().scope_for(tenant).unwrap()
    }

    /// Works the mail queue off. The control plane must be asked nothing that mails afterwards.
    pub(crate) async fn send_mails(mut self) -> Arc<Mails> {
        let worker = self.worker.take().unwrap();
        let mails = Arc::clone(&self.mails);
        drop(self);
        worker.run().await;
        mails
    }

    /// What has been published since `subscription` began.
    pub(crate) async fn wakes(&self, subscription: &mut Box<dyn BusSubscription>) -> Vec<Wake> {
        // An end mark: the bus keeps its order.
        let end = Wake::TenantClosed { tenant: TenantId::from_u128(0) };
        self.bus.publish(&end).await.unwrap();
        let mut wakes = Vec::new();
        loop {
            match subscription.next().await {
                Some(wake) if wake == end => return wakes,
                Some(wake) => wakes.push(wake),
                None => panic!("a wake-up was lost"),
            }
        }
    }

    pub(crate) async fn service(&self, tenant: &Tenant, name: &str) -> Written {
        self.control.create(&tenant.scope, service(name)).await.unwrap()
    }

    pub(crate) async fn route(&self, tenant: &Tenant, name: &str, path: &str, service: &str) -> Written {
        self.control.create(&tenant.scope, route(name, path, service)).await.unwrap()
    }

    pub(crate) async fn consumer(&self, tenant: &Tenant, name: &str) -> Written {
        self.control.create(&tenant.scope, consumer(name)).await.unwrap()
    }
}

/// A tenant that has logged in.
pub(crate) struct Tenant {
    pub(crate) id: TenantId,
    pub(crate) scope: TenantScope,
    pub(crate) token: String,
    pub(crate) gateway_key: GatewayKey,
}

pub(crate) fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

pub(crate) fn password(text: &str) -> Password {
    PasswordRules::check(text.to_owned()).unwrap()
}

pub(crate) fn client(last: u8) -> Client {
    Client { address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)) }
}

/// An object from the config language.
pub(crate) fn object(kind: ObjectKind, id: Uuid, body: &Value) -> ConfigObject {
    parse_object(kind, id, body).unwrap()
}

pub(crate) fn service(name: &str) -> ConfigObject {
    object(ObjectKind::Service, Uuid::nil(), &json!({"name": name, "targets": [{"url": "http://10.0.0.5:8080"}]}))
}

pub(crate) fn route(name: &str, path: &str, service: &str) -> ConfigObject {
    let body = json!({"name": name, "match": {"path": path}, "service": service});
    object(ObjectKind::Route, Uuid::nil(), &body)
}

pub(crate) fn consumer(name: &str) -> ConfigObject {
    object(ObjectKind::Consumer, Uuid::nil(), &json!({"name": name}))
}

pub(crate) fn reference(written: &Written) -> ObjectRef {
    written.view.object.reference()
}

pub(crate) fn name_of(object: &ConfigObject) -> String {
    object.name().unwrap().to_string()
}

/// The refusal's code.
pub(crate) fn code<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> ErrorCode {
    outcome.unwrap_err().code
}

/// A hello.
pub(crate) fn sighting(node: NodeId, world: &World, tenant: &Tenant, seed: u64) -> NodeSighting {
    let mint = novagate_fixtures::Mint::new(seed);
    NodeSighting {
        node,
        boot: mint.boot(),
        build: "novagate-gateway 0.1.0".to_owned(),
        labels: [("zone".to_owned(), "a".to_owned())].into(),
        key: novagate_kernel::GatewayKeyId::from_uuid(tenant.id.as_uuid()),
        applied: None,
        at: world.clock.now(),
    }
}

/// Remembers how long it was asked to wait, and waits not at all.
#[derive(Default)]
pub(crate) struct Pauses(Mutex<Vec<Duration>>);

impl Pauses {
    pub(crate) fn all(&self) -> Vec<Duration> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Pause for Pauses {
    async fn pause(&self, duration: Duration) {
        self.0.lock().unwrap().push(duration);
    }
}

/// What was mailed, to whom.
#[derive(Default)]
pub(crate) struct Mails(Mutex<Vec<(EmailKey, String)>>);

impl Mails {
    /// The mails to an address: `verify <link>`, `reset <link>`, `registered`, `changed`.
    pub(crate) fn to(&self, address: &str) -> Vec<String> {
        let key = email(address).key();
        self.0.lock().unwrap().iter().filter(|(to, _)| *to == key).map(|(_, text)| text.clone()).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// The token of the newest link to an address.
    pub(crate) fn token_to(&self, address: &str) -> LinkToken {
        let mails = self.to(address);
        let (_, token) = mails.last().expect("a mail").split_once("#token=").expect("a link");
        LinkToken::parse(token).unwrap()
    }
}

#[async_trait]
impl Mailer for Mails {
    async fn send(&self, mail: &Mail) -> Result<(), PortError> {
        let text = match &mail.kind {
            MailKind::Verify { link } => format!("verify {link}"),
            MailKind::AlreadyRegistered => "registered".to_owned(),
            MailKind::Reset { link } => format!("reset {link}"),
            MailKind::PasswordChanged => "changed".to_owned(),
        };
        self.0.lock().unwrap().push((mail.to.clone(), text));
        Ok(())
    }
}

/// Reversible and quick; the real one has tests of its own.
struct PlainHasher(Arc<Work>);

#[async_trait]
impl PasswordHasher for PlainHasher {
    async fn hash(&self, password: Password) -> Result<PasswordHash, HashError> {
        self.0.passwords.fetch_add(1, Ordering::Relaxed);
        Ok(PasswordHash::from_modular_crypt(&format!("$plain${}", password.expose())))
    }

    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<bool, HashError> {
        self.0.passwords.fetch_add(1, Ordering::Relaxed);
        Ok(hash.is_some_and(|hash| hash.as_str() == format!("$plain${}", password.expose())))
    }
}

/// The store with a plan that a test may change.
struct Planned {
    store: MemoryStore,
    plan: Arc<Mutex<PlanLimits>>,
    work: Arc<Work>,
}

impl Planned {
    fn look(&self) {
        self.work.looks.fetch_add(1, Ordering::Relaxed);
    }

    fn planned(&self, account: Option<Account>) -> Option<Account> {
        account.map(|account| Account { limits: *self.plan.lock().unwrap(), ..account })
    }
}

#[async_trait]
impl TenantStore for Planned {
    async fn provision(&self, scope: &TenantScope, tenant: &NewTenant) -> Result<Inserted, PortError> {
        self.store.provision(scope, tenant).await
    }

    async fn claimed(
        &self,
        key: novagate_kernel::Digest,
        now: novagate_kernel::Timestamp,
    ) -> Result<Option<ClaimedTenant>, PortError> {
        self.store.claimed(key, now).await
    }

    async fn register_pending(
        &self,
        scope: &TenantScope,
        name: &str,
        email: &EmailKey,
        verify: &novagate_access::KeyDigest,
        expires_at: novagate_kernel::Timestamp,
        now: novagate_kernel::Timestamp,
    ) -> Result<Inserted, PortError> {
        self.look();
        self.store.register_pending(scope, name, email, verify, expires_at, now).await
    }

    async fn find_pending(
        &self,
        verify: &novagate_access::KeyDigest,
        now: novagate_kernel::Timestamp,
    ) -> Result<Option<Account>, PortError> {
        self.store.find_pending(verify, now).await
    }

    async fn find_by_email(&self, email: &EmailKey) -> Result<Option<Account>, PortError> {
        self.look();
        Ok(self.planned(self.store.find_by_email(email).await?))
    }

    async fn account(&self, scope: &TenantScope) -> Result<Option<Account>, PortError> {
        self.look();
        Ok(self.planned(self.store.account(scope).await?))
    }

    async fn rename(
        &self,
        scope: &TenantScope,
        name: &str,
        audit: &novagate_records::AuditRecord,
    ) -> Result<bool, PortError> {
        self.store.rename(scope, name, audit).await
    }

    async fn set_state(
        &self,
        scope: &TenantScope,
        state: TenantState,
        at: novagate_kernel::Timestamp,
    ) -> Result<bool, PortError> {
        self.store.set_state(scope, state, at).await
    }

    async fn set_password(
        &self,
        scope: &TenantScope,
        password: &PasswordHash,
        audit: &novagate_records::AuditRecord,
    ) -> Result<Option<u64>, PortError> {
        self.store.set_password(scope, password, audit).await
    }

    async fn end_tokens(
        &self,
        scope: &TenantScope,
        audit: &novagate_records::AuditRecord,
    ) -> Result<Option<u64>, PortError> {
        self.store.end_tokens(scope, audit).await
    }

    async fn set_reset(
        &self,
        scope: &TenantScope,
        reset: &novagate_access::KeyDigest,
        expires_at: novagate_kernel::Timestamp,
    ) -> Result<bool, PortError> {
        self.look();
        self.store.set_reset(scope, reset, expires_at).await
    }

    async fn take_reset(
        &self,
        reset: &novagate_access::KeyDigest,
        now: novagate_kernel::Timestamp,
    ) -> Result<Option<TenantId>, PortError> {
        self.store.take_reset(reset, now).await
    }

    async fn tenants(&self, page: &PageRequest) -> Result<Page<TenantId>, PortError> {
        self.store.tenants(page).await
    }

    async fn erase(&self, scope: &TenantScope) -> Result<TenantErasure, PortError> {
        self.store.erase(scope).await
    }
}
