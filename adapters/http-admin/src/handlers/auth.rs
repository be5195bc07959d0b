//! `/auth`: registration, login, passwords.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use novagate_access::{EmailAddress, LinkToken, Password, PasswordRules};
use novagate_documents::time::format_timestamp;
use novagate_kernel::TenantId;
use novagate_ports_control::inbound::{CreatedTenant, Registration};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    AdminState,
    web::{Anonymous, Caller, ClientInfo, Fields, Problem, ProblemBody, RawBody, Reply, is_repeatable, once_in_secret},
};

/// A new tenant.
#[derive(Serialize, ToSchema)]
pub(crate) struct RegisterBody {
    /// Display name, 1 to 100 characters.
    name: String,
    /// The account's address.
    email: String,
    /// At least 10 characters, at most 72 bytes. Not needed where addresses are verified first.
    password: Option<String>,
}

/// Address and password.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoginBody {
    email: String,
    password: String,
}

/// An address.
#[derive(Serialize, ToSchema)]
pub(crate) struct EmailBody {
    email: String,
}

/// The token of a mailed link and a new password.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenPasswordBody {
    /// 64 hexadecimal characters.
    token: String,
    password: String,
}

/// The present password and a new one.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangePasswordBody {
    current: String,
    new: String,
}

/// A provisioned tenant. The gateway key is shown this once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegisteredBody {
    tenant_id: String,
    /// A platform token, for 7 days.
    token: String,
    #[schema(example = "gw_<tenantId>_<32 hex>")]
    gateway_api_key: String,
}

/// A login.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionBody {
    /// A platform token.
    token: String,
    tenant_id: String,
    /// When the token ends, RFC 3339.
    expires_at: String,
}

/// An answer that is the same whether or not the address is known.
#[derive(Serialize, ToSchema)]
pub(crate) struct PendingBody {
    message: &'static str,
}

/// Register a tenant.
#[utoipa::path(post, path = "/auth/register", tag = "auth", request_body = RegisterBody, security(()),
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = RegisteredBody), (status = 202, body = PendingBody, description = "Addresses are verified first: a mail is on its way if the address is free."),
        (status = 403, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(crate) async fn register(
    State(state): State<AdminState>,
    ClientInfo(client): ClientInfo,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, Problem> {
    let mut fields = Fields::of(body.json()?)?;
    let name = fields.text("name");
    let email = take_email(&mut fields);
    let password = fields.optional_text("password").map(PasswordRules::check);
    let password = password.and_then(|outcome| fields.check("password", outcome));
    fields.finish()?;
    let email = email.ok_or_else(Problem::not_found)?;
    let message = "if the address can be registered, a mail with a link is on its way";
    let pending = || Reply::new(StatusCode::ACCEPTED, &PendingBody { message });
    let work = async |claim| match state.accounts.register(name, email, password, client, claim).await? {
        Registration::Created(created) => Ok(registered(&created)),
        Registration::Pending => Ok(pending()),
    };
    let post = Anonymous { headers: &headers, path: "/api/v1/auth/register", body: &body };
    post.once(&state, registered_before, pending, work).await
}

/// Prove an address and set the password.
#[utoipa::path(post, path = "/auth/verify", tag = "auth", request_body = TokenPasswordBody, security(()),
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = RegisteredBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(crate) async fn verify(
    State(state): State<AdminState>,
    ClientInfo(client): ClientInfo,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, Problem> {
    let (token, password) = token_and_password(&body)?;
    let work = async |claim| Ok(registered(&state.accounts.verify(token, password, client, claim).await?));
    let post = Anonymous { headers: &headers, path: "/api/v1/auth/verify", body: &body };
    post.once(&state, registered_before, Reply::empty, work).await
}

/// Log in.
#[utoipa::path(post, path = "/auth/login", tag = "auth", request_body = LoginBody, security(()),
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = SessionBody), (status = 401, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(crate) async fn login(
    State(state): State<AdminState>,
    ClientInfo(client): ClientInfo,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, Problem> {
    let mut fields = Fields::of(body.json()?)?;
    let email = take_email(&mut fields);
    let password = Password::presented(fields.text("password"));
    fields.finish()?;
    let email = email.ok_or_else(Problem::not_found)?;
    let session = state.accounts.login(email, password, client).await?;
    let body_of_session = SessionBody {
        token: session.token.clone(),
        tenant_id: session.tenant.to_string(),
        expires_at: format_timestamp(session.expires_at),
    };
    let reply = Reply::ok(&body_of_session).with_secrets(&["token"]);
    if !is_repeatable(&headers) {
        return Ok(reply.into_response());
    }
    // A repeat must prove the password, too, and then learns what the first one learned: but for the token.
    let scope = state.accounts.authenticate(&session.token).await?.scope_for(session.tenant);
    let scope = scope.ok_or_else(Problem::not_found)?;
    let work = async { Ok(reply) };
    once_in_secret(&state, &scope, &headers, "/api/v1/auth/login", &body, work).await
}

/// Ask for a reset link.
#[utoipa::path(post, path = "/auth/forgot-password", tag = "auth", request_body = EmailBody, security(()),
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 202, body = PendingBody), (status = 429, body = ProblemBody)))]
pub(crate) async fn forgot_password(
    State(state): State<AdminState>,
    ClientInfo(client): ClientInfo,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, Problem> {
    let mut fields = Fields::of(body.json()?)?;
    let email = take_email(&mut fields);
    fields.finish()?;
    let email = email.ok_or_else(Problem::not_found)?;
    let message = "if the address has an account, a mail with a link is on its way";
    let pending = || Reply::new(StatusCode::ACCEPTED, &PendingBody { message });
    let work = async |_| state.accounts.forgot_password(email, client).await.map(|()| pending()).map_err(Problem::from);
    let post = Anonymous { headers: &headers, path: "/api/v1/auth/forgot-password", body: &body };
    post.once(&state, registered_before, pending, work).await
}

/// Set a new password with a mailed link. All tokens of the account end.
#[utoipa::path(post, path = "/auth/reset-password", tag = "auth", request_body = TokenPasswordBody, security(()),
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 204), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(crate) async fn reset_password(
    State(state): State<AdminState>,
    ClientInfo(client): ClientInfo,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, Problem> {
    let (token, password) = token_and_password(&body)?;
    let work = async |_| {
        state.accounts.reset_password(token, password, client).await?;
        Ok(Reply::empty())
    };
    let post = Anonymous { headers: &headers, path: "/api/v1/auth/reset-password", body: &body };
    post.once(&state, registered_before, Reply::empty, work).await
}

/// End all tokens of the account. A repeat changes nothing: there is nothing to remember an `Idempotency-Key` for.
#[utoipa::path(post, path = "/auth/logout", tag = "auth",
    responses((status = 204), (status = 401, body = ProblemBody)))]
pub(crate) async fn logout(Caller(scope): Caller, State(state): State<AdminState>) -> Result<Reply, Problem> {
    state.accounts.logout(&scope).await?;
    Ok(Reply::empty())
}

/// Change the password. All tokens of the account end.
#[utoipa::path(post, path = "/auth/change-password", tag = "auth", request_body = ChangePasswordBody,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 204), (status = 401, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn change_password(
    Caller(scope): Caller,
    State(state): State<AdminState>,
    ClientInfo(client): ClientInfo,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, Problem> {
    let mut fields = Fields::of(body.json()?)?;
    let current = Password::presented(fields.text("current"));
    let new = fields.text("new");
    let new = fields.check("new", PasswordRules::check(new));
    fields.finish()?;
    let new = new.ok_or_else(Problem::not_found)?;
    let work = async {
        state.accounts.change_password(&scope, current, new, client).await?;
        Ok(Reply::empty())
    };
    once_in_secret(&state, &scope, &headers, "/api/v1/auth/change-password", &body, work).await
}

fn take_email(fields: &mut Fields) -> Option<EmailAddress> {
    let text = fields.text("email");
    fields.check("email", EmailAddress::parse(&text))
}

fn token_and_password(body: &RawBody) -> Result<(LinkToken, Password), Problem> {
    let mut fields = Fields::of(body.json()?)?;
    let token = fields.text("token");
    let token = fields.check("token", LinkToken::parse(&token));
    let password = fields.text("password");
    let password = fields.check("password", PasswordRules::check(password));
    fields.finish()?;
    // Both are there, or `finish` has said what is wrong.
    token.zip(password).ok_or_else(Problem::not_found)
}

fn registered(created: &CreatedTenant) -> Reply {
    let body = RegisteredBody {
        tenant_id: created.tenant.to_string(),
        token: created.token.clone(),
        gateway_api_key: created.gateway_key.expose().to_owned(),
    };
    made(created.tenant, &json!(body))
}

/// What a repeat of the POST that made a tenant is told: all but the secrets.
fn registered_before(tenant: TenantId) -> Reply {
    made(tenant, &json!({"tenantId": tenant.to_string(), "token": null, "gatewayApiKey": null, "secretShown": true}))
}

fn made(tenant: TenantId, body: &Value) -> Reply {
    Reply::new(StatusCode::CREATED, body).located(format!("/api/v1/tenants/{tenant}"))
}
