//! Ports that fail, panic or hang.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_control_core::RegistrationMode;
use novagate_fixtures::wait_until;
use novagate_http_admin::AdminOptions;
use novagate_kernel::{Digest, NodeId, Timestamp};
use novagate_ports_base::{FaultKind, PortError};
use novagate_ports_control::{
    inbound::{Fleet, NodeView, Refusal},
    outbound::{IdempotencyStore, IdempotentBegin, IdempotentReply},
};
use serde_json::json;
use tokio::sync::Notify;

use crate::world::World;

/// What a port does when it is asked.
#[derive(Clone)]
enum Fleeting {
    Panics,
    Fails(FaultKind),
    Waits(Arc<Notify>, Arc<AtomicUsize>),
}

#[async_trait]
impl Fleet for Fleeting {
    async fn gateways(&self, _: &TenantScope) -> Result<Vec<NodeView>, Refusal> {
        match self {
            Self::Panics => panic!("CANARY7F"),
            Self::Fails(kind) => Err(PortError::new("store.nodes", *kind, "CANARY7F").into()),
            Self::Waits(gate, done) => {
                gate.notified().await;
                done.fetch_add(1, Ordering::SeqCst);
                Ok(Vec::new())
            }
        }
    }

    async fn gateway(&self, scope: &TenantScope, _: NodeId) -> Result<NodeView, Refusal> {
        self.gateways(scope).await.and(Err(Refusal::not_found()))
    }

    async fn forget_gateway(&self, scope: &TenantScope, _: NodeId) -> Result<(), Refusal> {
        self.gateways(scope).await.map(drop)
    }
}

const NODE: &str = "/gateways/11111111-2222-4333-8444-555555555555";

#[tokio::test]
async fn a_panic_is_a_500_with_a_code_and_the_next_request_is_served() {
    let world = World::open().behind(|state| state.fleet = Arc::new(Fleeting::Panics));
    let ada = world.tenant("ada@example.org").await;
    for (method, rest) in [("GET", "/gateways"), ("GET", NODE), ("DELETE", NODE)] {
        let answer = world.call(method, &ada.path(rest)).by(&ada).send().await;
        answer.problem(500, "INTERNAL");
        assert!(!answer.text().contains("CANARY7F"));
    }
    world.get(&ada.path("")).by(&ada).send().await.expect(200);
}

#[tokio::test]
async fn a_failed_port_is_told_by_its_kind_and_never_by_its_cause() {
    for (kind, status, code, retry) in [
        (FaultKind::Unavailable, 503, "UNAVAILABLE", Some("1")),
        (FaultKind::TimedOut, 503, "UNAVAILABLE", Some("1")),
        (FaultKind::Conflict, 409, "CONFLICT", None),
        (FaultKind::Corrupt, 500, "INTERNAL", None),
        (FaultKind::Misuse, 500, "INTERNAL", None),
    ] {
        let world = World::open().behind(|state| state.fleet = Arc::new(Fleeting::Fails(kind)));
        let ada = world.tenant("ada@example.org").await;
        let answer = world.get(&ada.path("/gateways")).by(&ada).send().await;
        answer.problem(status, code);
        assert_eq!(answer.header("retry-after"), retry);
        assert!(!answer.text().contains("CANARY7F") && !answer.text().contains("store.nodes"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_503_and_a_write_goes_on_to_its_end() {
    let (gate, done) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let fleet = Fleeting::Waits(Arc::clone(&gate), Arc::clone(&done));
    let options = AdminOptions { timeout: Duration::from_secs(5), ..AdminOptions::default() };
    let world = World::with(RegistrationMode::Open, options).behind(|state| state.fleet = Arc::new(fleet));
    let ada = world.tenant("ada@example.org").await;
    world.get(&ada.path("/gateways")).by(&ada).send().await.problem(503, "UNAVAILABLE");
    world.call("DELETE", &ada.path(NODE)).by(&ada).send().await.problem(503, "UNAVAILABLE");
    gate.notify_waiters();
    wait_until("the write has ended", Duration::from_secs(9), || async { done.load(Ordering::SeqCst) == 1 }).await;
}

#[tokio::test]
async fn a_write_goes_on_when_its_client_leaves() {
    let (gate, done) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let fleet = Fleeting::Waits(Arc::clone(&gate), Arc::clone(&done));
    let world = World::open().behind(|state| state.fleet = Arc::new(fleet));
    let ada = world.tenant("ada@example.org").await;
    let path = ada.path(NODE);
    let mut request = Box::pin(world.call("DELETE", &path).by(&ada).send());
    for _ in 0..50 {
        let polled = tokio::select! { biased; _ = &mut request => true, () = tokio::task::yield_now() => false };
        assert!(!polled, "it waits");
    }
    drop(request);
    gate.notify_one();
    wait_until("the write has ended", Duration::from_secs(9), || async { done.load(Ordering::SeqCst) == 1 }).await;
}

/// A store that forgets: claims work, endings fail.
struct Forgetful;

#[async_trait]
impl IdempotencyStore for Forgetful {
    async fn begin(&self, _: &TenantScope, _: Digest, _: Digest, _: Timestamp) -> Result<IdempotentBegin, PortError> {
        Ok(IdempotentBegin::Started)
    }

    async fn finish(&self, _: &TenantScope, _: Digest, _: &IdempotentReply) -> Result<(), PortError> {
        Err(PortError::new("store.finish", FaultKind::Unavailable, "gone"))
    }

    async fn abandon(&self, _: &TenantScope, _: Digest) -> Result<(), PortError> {
        Err(PortError::new("store.abandon", FaultKind::Unavailable, "gone"))
    }
}

#[tokio::test]
async fn a_secret_that_was_made_is_shown_even_when_its_answer_cannot_be_remembered() {
    let world = World::open().behind(|state| state.idempotency = Arc::new(Forgetful));
    let ada = world.tenant("ada@example.org").await;
    let post = |rest: &str| world.post(&ada.path(rest)).by(&ada).header("idempotency-key", "k");
    assert!(post("/gateway-keys").send().await.expect(201)["key"].is_string());
    let refused = post("/consumers").json(&json!({"name": "A"})).send().await;
    assert!(refused.faults()[0].starts_with("/name "), "the refusal is the work's own");
}

mod storage {
    //! Readiness while storage is away.

    use novagate_access::{EmailAddress, GatewayKeyRecord, LinkToken, Password, PlatformClaims, Verified};
    use novagate_kernel::GatewayKeyId;
    use novagate_ports_control::{
        inbound::{
            Accounts, Client, CreatedTenant, LoginSession, NewGatewayKey, PostBegin, PostEnd, Registration,
            RepeatablePost,
        },
        outbound::{Account, PostClaim, TenantErasure},
    };

    use super::*;

    struct Away;

    fn away<T>() -> Result<T, Refusal> {
        Err(PortError::new("store.tenants", FaultKind::Unavailable, "CANARY7F").into())
    }

    #[async_trait]
    impl Accounts for Away {
        async fn ready(&self) -> Result<(), Refusal> {
            away()
        }

        fn claim_of(&self, _: &RepeatablePost) -> PostClaim {
            PostClaim { key: Digest::from_bytes([0; 32]), request: Digest::from_bytes([0; 32]) }
        }

        async fn begin_post(&self, _: &RepeatablePost) -> Result<PostBegin, Refusal> {
            away()
        }

        async fn end_post(&self, _: PostClaim, _: PostEnd) {}

        async fn register(
            &self,
            _: String,
            _: EmailAddress,
            _: Option<Password>,
            _: Client,
            _: Option<PostClaim>,
        ) -> Result<Registration, Refusal> {
            away()
        }

        async fn verify(
            &self,
            _: LinkToken,
            _: Password,
            _: Client,
            _: Option<PostClaim>,
        ) -> Result<CreatedTenant, Refusal> {
            away()
        }

        async fn login(&self, _: EmailAddress, _: Password, _: Client) -> Result<LoginSession, Refusal> {
            away()
        }

        async fn forgot_password(&self, _: EmailAddress, _: Client) -> Result<(), Refusal> {
            away()
        }

        async fn reset_password(&self, _: LinkToken, _: Password, _: Client) -> Result<(), Refusal> {
            away()
        }

        async fn logout(&self, _: &TenantScope) -> Result<(), Refusal> {
            away()
        }

        async fn change_password(&self, _: &TenantScope, _: Password, _: Password, _: Client) -> Result<(), Refusal> {
            away()
        }

        async fn authenticate(&self, _: &str) -> Result<Verified<PlatformClaims>, Refusal> {
            away()
        }

        async fn tenant(&self, _: &TenantScope) -> Result<Account, Refusal> {
            away()
        }

        async fn rename(&self, _: &TenantScope, _: String) -> Result<Account, Refusal> {
            away()
        }

        async fn erase(&self, _: &TenantScope) -> Result<TenantErasure, Refusal> {
            away()
        }

        async fn gateway_keys(&self, _: &TenantScope) -> Result<Vec<GatewayKeyRecord>, Refusal> {
            away()
        }

        async fn create_gateway_key(&self, _: &TenantScope) -> Result<NewGatewayKey, Refusal> {
            away()
        }

        async fn revoke_gateway_key(&self, _: &TenantScope, _: GatewayKeyId) -> Result<(), Refusal> {
            away()
        }
    }

    #[tokio::test]
    async fn a_control_plane_without_its_storage_is_alive_but_not_ready() {
        let world = World::open().behind(|state| state.accounts = Arc::new(Away));
        world.get("/healthz").send().await.expect(200);
        let answer = world.get("/readyz").send().await;
        answer.problem(503, "UNAVAILABLE");
        assert_eq!(answer.header("retry-after"), Some("1"));
        world.get("/api/v1/tenants/x").bearer("some.token").send().await.problem(503, "UNAVAILABLE");
    }
}
