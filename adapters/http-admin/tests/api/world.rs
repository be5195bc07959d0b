//! A control plane behind the router, and a client of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use novagate_access::{Fingerprinter, Password, PasswordHash, TenantScope};
use novagate_control_core::{Control, ControlDeps, MailWorker, RegistrationMode};
use novagate_documents::stored::JsonObjectCodec;
use novagate_fixtures::{ManualClock, Mint, SeededEntropy};
use novagate_http_admin::{AdminOptions, AdminState, router};
use novagate_kernel::{NodeId, TenantId};
use novagate_net::PeerAddr;
use novagate_ports_base::PortError;
use novagate_ports_control::outbound::{
    GatewayKeyStore as _, HashError, Mail, MailKind, Mailer, NodeSighting, NodeStore as _, PasswordHasher,
};
use novagate_store_memory::{MemoryBus, MemoryPresence, MemoryStore, MemoryThrottle};
use novagate_tokens::PlatformTokenSigner;
use serde_json::{Value, json};
use tower::ServiceExt as _;

pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) struct World {
    pub(crate) state: AdminState,
    pub(crate) control: Control,
    pub(crate) store: MemoryStore,
    pub(crate) clock: ManualClock,
    pub(crate) mails: Arc<Mails>,
    pub(crate) worker: Option<MailWorker>,
    router: Router,
}

/// A tenant with its token.
pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) gateway_key: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

/// A request under construction.
pub(crate) struct Call<'a> {
    world: &'a World,
    builder: axum::http::request::Builder,
    body: Body,
    peer: SocketAddr,
}

impl World {
    pub(crate) fn open() -> Self {
        Self::with(RegistrationMode::Open, AdminOptions::default())
    }

    pub(crate) fn with(registration: RegistrationMode, options: AdminOptions) -> Self {
        let (store, clock) = (MemoryStore::default(), ManualClock::default());
        let mails = Arc::new(Mails::default());
        let entropy = Arc::new(SeededEntropy::new(7));
        let deps = ControlDeps {
            tenants: Arc::new(store.clone()),
            keys: Arc::new(store.clone()),
            configs: Arc::new(store.clone()),
            nodes: Arc::new(store.clone()),
            telemetry: Arc::new(store.clone()),
            audits: Arc::new(store.clone()),
            bus: Arc::new(MemoryBus::default()),
            presence: Arc::new(MemoryPresence::new(Arc::new(clock.clone()))),
            hasher: Arc::new(PlainHasher),
            mailer: Arc::clone(&mails) as _,
            tokens: Arc::new(PlatformTokenSigner::new("0123456789abcdef0123456789abcdef", None).unwrap()),
            throttle: Arc::new(MemoryThrottle::default()),
            codec: Arc::new(JsonObjectCodec),
            clock: Arc::new(clock.clone()),
            pause: Arc::new(NoPause),
            entropy: Arc::clone(&entropy) as _,
            fingerprints: Fingerprinter::new([9; 32]),
            registration,
            public_url: "https://control.example.org".into(),
        };
        let (control, worker) = Control::new(deps);
        let state = AdminState {
            accounts: Arc::new(control.clone()),
            config: Arc::new(control.clone()),
            fleet: Arc::new(control.clone()),
            insight: Arc::new(control.clone()),
            idempotency: Arc::new(store.clone()),
            clock: Arc::new(clock.clone()),
            entropy,
            options: Arc::new(options),
        };
        let router = router(state.clone());
        Self { state, control, store, clock, mails, worker: Some(worker), router }
    }

    /// The same world behind other ports.
    pub(crate) fn behind(mut self, change: impl FnOnce(&mut AdminState)) -> Self {
        change(&mut self.state);
        self.router = router(self.state.clone());
        self
    }

    pub(crate) async fn tenant(&self, email: &str) -> Tenant {
        let body = json!({"name": "Acme", "email": email, "password": PASSWORD});
        let made = self.post("/api/v1/auth/register").json(&body).send().await.expect(201);
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        Tenant { id: text("tenantId"), token: text("token"), gateway_key: text("gatewayApiKey") }
    }

    pub(crate) fn call(&self, method: &str, path: &str) -> Call<'_> {
        let builder = Request::builder().method(method).uri(path);
        Call { world: self, builder, body: Body::empty(), peer: "192.0.2.1:5000".parse().unwrap() }
    }

    pub(crate) fn get(&self, path: &str) -> Call<'_> {
        self.call("GET", path)
    }

    pub(crate) fn post(&self, path: &str) -> Call<'_> {
        self.call("POST", path)
    }

    pub(crate) async fn service(&self, tenant: &Tenant, name: &str) -> Value {
        let call = self.post(&tenant.path("/services")).by(tenant);
        call.json(&json!({"name": name, "targets": [{"url": "http://10.0.0.5:8080"}]})).send().await.expect(201)
    }
}

impl World {
    /// A gateway of a tenant says hello; answers its id.
    pub(crate) async fn connect(&self, tenant: &Tenant) -> NodeId {
        let mint = Mint::new(3);
        let scope = TenantScope::for_maintenance(TenantId::parse(&tenant.id).unwrap());
        let keys = self.store.keys(&scope).await.unwrap();
        let node = mint.node();
        let sighting = NodeSighting {
            node,
            boot: mint.boot(),
            build: "novagate-gateway/0".to_owned(),
            labels: BTreeMap::new(),
            key: keys[0].id,
            applied: None,
            at: novagate_fixtures::START,
        };
        assert!(self.store.seen(&scope, &sighting, 1).await.unwrap());
        node
    }
}

impl Tenant {
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/api/v1/tenants/{}{rest}", self.id)
    }
}

impl Call<'_> {
    pub(crate) fn by(self, tenant: &Tenant) -> Self {
        self.bearer(&tenant.token)
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub(crate) fn body(mut self, media_type: &str, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self.header("content-type", media_type)
    }

    pub(crate) fn from(mut self, peer: &str) -> Self {
        self.peer = peer.parse().unwrap();
        self
    }

    pub(crate) async fn send(self) -> Answer {
        let request = self.builder.extension(PeerAddr(self.peer)).body(self.body).unwrap();
        let response = self.world.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer { status: parts.status, headers: parts.headers, bytes: to_bytes(body, usize::MAX).await.unwrap() }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    /// The JSON body of an answer with this status.
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        if self.bytes.is_empty() { Value::Null } else { serde_json::from_slice(&self.bytes).unwrap() }
    }

    /// The body of a problem with this status and code, whose form is checked.
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text());
        let body: Value = serde_json::from_slice(&self.bytes).unwrap();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], "about:blank");
        assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
        assert_eq!(body["requestId"].as_str(), self.header("x-request-id"), "{body}");
        assert_eq!(self.headers.contains_key("www-authenticate"), status == 401);
        body
    }

    /// `pointer code` of each fault of a 422, sorted.
    pub(crate) fn faults(&self) -> Vec<String> {
        let body = self.problem(422, "VALIDATION_FAILED");
        let text = |fault: &Value, field: &str| fault[field].as_str().unwrap().to_owned();
        let faults = body["errors"].as_array().unwrap().iter();
        let mut faults: Vec<String> =
            faults.map(|fault| format!("{} {}", text(fault, "pointer"), text(fault, "code"))).collect();
        faults.sort();
        faults
    }
}

/// The tokens of mailed links.
#[derive(Default)]
pub(crate) struct Mails(Mutex<Vec<String>>);

impl Mails {
    pub(crate) fn links(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Mailer for Mails {
    async fn send(&self, mail: &Mail) -> Result<(), PortError> {
        if let MailKind::Verify { link } | MailKind::Reset { link } = &mail.kind {
            let token = link.split_once("#token=").unwrap().1.to_owned();
            self.0.lock().unwrap().push(token);
        }
        Ok(())
    }
}

struct NoPause;

#[async_trait]
impl novagate_ports_base::Pause for NoPause {
    async fn pause(&self, _: Duration) {}
}

/// Reversible and quick; the real one has tests of its own.
struct PlainHasher;

#[async_trait]
impl PasswordHasher for PlainHasher {
    async fn hash(&self, password: Password) -> Result<PasswordHash, HashError> {
        Ok(PasswordHash::from_modular_crypt(&format!("$plain${}", password.expose())))
    }

    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<bool, HashError> {
        Ok(hash.is_some_and(|hash| hash.as_str() == format!("$plain${}", password.expose())))
    }
}
