//! The demo tenant: a service, an open route, a route that needs a credential, and a consumer with a key.

use std::net::SocketAddr;

use novagate_access::{EmailAddress, PasswordRules, TenantScope};
use novagate_control_core::Control;
use novagate_documents::config::parse_object;
use novagate_kernel::{ConsumerId, Head, ObjectKind, encode_hex};
use novagate_ports_base::Entropy;
use novagate_ports_control::inbound::{ConfigAdmin as _, Refusal};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{StartError, secrets::DevTenant};

/// The address of the demo account; nothing is ever mailed there.
const EMAIL: &str = "demo@example.com";
/// The consumer's name, which is also the subject of its token.
pub(crate) const CONSUMER: &str = "demo-app";

/// What is shown once.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) password: String,
    pub(crate) token: String,
    pub(crate) gateway_api_key: String,
    pub(crate) consumer_key: Option<String>,
}

/// Creates the tenant and, unless `empty`, its demo objects.
pub(crate) async fn seed(
    control: &Control,
    entropy: &dyn Entropy,
    upstream: Option<SocketAddr>,
) -> Result<(DevTenant, Shown), StartError> {
    let email = EmailAddress::parse(EMAIL).map_err(StartError::internal)?;
    let password = encode_hex(&entropy.bytes::<12>());
    let rules = PasswordRules::check(password.clone()).map_err(StartError::internal)?;
    let created = control.create_tenant_as_operator("Demo".to_owned(), email, rules).await.map_err(refused)?;
    let scope = TenantScope::for_provisioning(created.tenant);
    let consumer_key = match upstream {
        Some(upstream) => Some(objects(control, &scope, upstream).await.map_err(refused)?),
        None => None,
    };
    let gateway_api_key = created.gateway_key.expose().to_owned();
    let tenant =
        DevTenant { id: created.tenant.to_string(), email: EMAIL.to_owned(), gateway_api_key: gateway_api_key.clone() };
    Ok((tenant, Shown { password, token: created.token, gateway_api_key, consumer_key }))
}

/// The tenant's newest revision, which the gateway must serve before `dev` calls itself ready.
pub(crate) async fn head(control: &Control, tenant: &DevTenant) -> Result<Head, StartError> {
    let id = novagate_kernel::TenantId::parse(&tenant.id).map_err(StartError::internal)?;
    control.head(&TenantScope::for_maintenance(id)).await.map_err(refused)
}

async fn objects(control: &Control, scope: &TenantScope, upstream: SocketAddr) -> Result<String, Refusal> {
    let service = json!({ "name": "demo", "targets": [{ "url": format!("http://{upstream}"), "weight": 1 }] });
    let open = json!({ "name": "hello", "match": { "methods": ["GET"], "path": "/hello" }, "service": "demo" });
    let guarded = json!({
        "name": "get-user",
        "match": { "methods": ["GET"], "path": "/users/{id}" },
        "service": "demo",
        "auth": { "required": true, "accept": ["jwt", "key"] },
        "rateLimit": { "max": 100, "windowMs": 60000, "by": "consumer" },
    });
    create(control, scope, ObjectKind::Service, &service).await?;
    create(control, scope, ObjectKind::Route, &open).await?;
    create(control, scope, ObjectKind::Route, &guarded).await?;
    let consumer = create(control, scope, ObjectKind::Consumer, &json!({ "name": CONSUMER })).await?;
    let key = control.create_consumer_key(scope, ConsumerId::from_uuid(consumer)).await?;
    Ok(key.key.expose().to_owned())
}

async fn create(control: &Control, scope: &TenantScope, kind: ObjectKind, body: &Value) -> Result<Uuid, Refusal> {
    let draft = parse_object(kind, Uuid::nil(), body).map_err(Refusal::invalid)?;
    Ok(control.create(scope, draft).await?.view.object.reference().id)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(refusal: Refusal) -> StartError {
    let cause = refusal.source.as_ref().map(|source| format!(": {source}: {}", source.source)).unwrap_or_default();
    StartError::internal(format!("the demo tenant cannot be made: {refusal}{cause}"))
}
