//! Who calls, and what the path names.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use axum::{
    extract::{FromRequestParts, Path},
    http::{HeaderMap, header, request::Parts},
};
use novagate_access::{PlatformClaims, TenantScope, Verified};
use novagate_kernel::{ErrorCode, TenantId};
use novagate_net::PeerAddr;
use novagate_ports_control::inbound::Client;
use uuid::Uuid;

use super::Problem;
use crate::AdminState;

/// Where the API begins.
pub(crate) const API_BASE: &str = "/api/v1";

/// Authority over the tenant in the path: the token is valid and the tenant is its own. Anybody else's tenant is 404, the
/// same as one that does not exist.
pub(crate) struct Scoped(pub(crate) TenantScope);

impl FromRequestParts<AdminState> for Scoped {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AdminState) -> Result<Self, Problem> {
        let claims = authenticate(&parts.headers, state).await?;
        let tenant = TenantId::parse(&path_parameter(parts, "t").await?).map_err(|_| Problem::not_found())?;
        claims.scope_for(tenant).map(Self).ok_or_else(Problem::not_found)
    }
}

/// Authority over the caller's own tenant, for paths that name none.
pub(crate) struct Caller(pub(crate) TenantScope);

impl FromRequestParts<AdminState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AdminState) -> Result<Self, Problem> {
        let claims = authenticate(&parts.headers, state).await?;
        claims.scope_for(claims.get().tenant).map(Self).ok_or_else(Problem::not_found)
    }
}

/// The path below the host, as the client sent it: the router shows handlers only what follows [`API_BASE`].
pub(crate) struct FullPath(pub(crate) String);

impl FromRequestParts<AdminState> for FullPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AdminState) -> Result<Self, Problem> {
        Ok(Self(format!("{API_BASE}{}", parts.uri.path())))
    }
}

/// The `{id}` of the path. What is no UUID names nothing.
pub(crate) struct PathId(pub(crate) Uuid);

impl FromRequestParts<AdminState> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AdminState) -> Result<Self, Problem> {
        Uuid::try_parse(&path_parameter(parts, "id").await?).map(Self).map_err(|_| Problem::not_found())
    }
}

/// The `{id}` and `{keyId}` of a consumer key's path.
pub(crate) struct KeyPath {
    pub(crate) consumer: Uuid,
    pub(crate) key: Uuid,
}

impl FromRequestParts<AdminState> for KeyPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AdminState) -> Result<Self, Problem> {
        let PathId(consumer) = PathId::from_request_parts(parts, state).await?;
        let key = Uuid::try_parse(&path_parameter(parts, "keyId").await?).map_err(|_| Problem::not_found())?;
        Ok(Self { consumer, key })
    }
}

/// The `{seq}` of the path. What is no number names nothing.
pub(crate) struct PathSeq(pub(crate) u64);

impl FromRequestParts<AdminState> for PathSeq {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AdminState) -> Result<Self, Problem> {
        path_parameter(parts, "seq").await?.parse().map(Self).map_err(|_| Problem::not_found())
    }
}

/// Where the request came from, for throttling.
pub(crate) struct ClientInfo(pub(crate) Client);

impl FromRequestParts<AdminState> for ClientInfo {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AdminState) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<PeerAddr>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        // Several lines are one list (RFC 9110, section 5.3): a proxy may add a line of its own.
        let lines = parts.headers.get_all("x-forwarded-for").iter();
        let hops: Vec<&str> =
            lines.flat_map(|value| value.to_str().unwrap_or("unreadable").split(',')).map(str::trim).collect();
        Ok(Self(Client { address: state.client_address(peer, &hops) }))
    }
}

/// Checks the token that a request carries; again and again where an answer goes on for long.
pub(crate) async fn authenticate(headers: &HeaderMap, state: &AdminState) -> Result<Verified<PlatformClaims>, Problem> {
    Ok(state.accounts.authenticate(bearer(headers)?).await?)
}

/// RFC 6750, section 2.1; the scheme's case does not matter (RFC 9110, section 11.1).
fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let missing = || Problem::new(ErrorCode::TokenMissing, "send `Authorization: Bearer <platform token>`");
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or_else(missing)?.to_str().map_err(|_| missing())?;
    if values.next().is_some() {
        return Err(Problem::new(ErrorCode::TokenInvalid, "more than one Authorization header"));
    }
    let (scheme, token) = value.split_once(' ').ok_or_else(missing)?;
    let token = token.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() { Ok(token) } else { Err(missing()) }
}

async fn path_parameter(parts: &mut Parts, name: &str) -> Result<String, Problem> {
    let parameters = Path::<HashMap<String, String>>::from_request_parts(parts, &()).await;
    let mut parameters = parameters.map_err(|_| Problem::not_found())?;
    parameters.remove(name).ok_or_else(Problem::not_found)
}
