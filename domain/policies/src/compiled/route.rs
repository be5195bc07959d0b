//! A route as requests use it, and its decision about who may pass.

use std::net::IpAddr;
use std::sync::Arc;

use novagate_kernel::{ErrorCode, Name, RouteId};
use novagate_routing::EncodedSlashes;

use crate::{
    AuthRule, Bucket, CompiledAction, Credential, CredentialKind, Facts, Identity, NodeLimits, RouteLimit, Verdict,
};

/// A route as requests use it.
#[derive(Debug)]
pub struct CompiledRoute {
    /// Its place among the routes of its configuration: dense, from 0, in the order of ids; what stands in records.
    pub index: u32,
    /// Its id.
    pub id: RouteId,
    /// Its name.
    pub name: Name,
    /// Its path pattern as it was written: the path in logs.
    pub template: Arc<str>,
    /// Its label in metrics: its first host or `*`, and the template.
    pub label: Arc<str>,
    /// What becomes of its requests.
    pub action: CompiledAction,
    /// Who may call it.
    pub auth: AuthRule,
    /// Its own limit.
    pub limit: Option<RouteLimit>,
    /// What `%2F` in a path means here.
    pub encoded_slashes: EncodedSlashes,
}

impl CompiledRoute {
    /// Whether a request may pass, and as whom. A credential that does not hold is refused even where none is needed; one
    /// that holds is refused where its kind is not accepted. A route that accepts no kind at all looks at no credential.
    pub fn admit<'a>(&self, facts: &Facts<'a>) -> Verdict<'a> {
        if !self.auth.accepts_any() {
            return Verdict::Allowed(Identity::Anonymous);
        }
        match facts.credential {
            Credential::Absent if self.auth.required => Verdict::Refused(ErrorCode::TokenMissing),
            Credential::Absent => Verdict::Allowed(Identity::Anonymous),
            Credential::Refused(code) => Verdict::Refused(code),
            Credential::Proven { kind, identity } if self.auth.accepts(kind) => Verdict::Allowed(identity),
            Credential::Proven { kind, .. } => Verdict::Refused(kind.refusal()),
        }
    }

    /// The buckets that an admitted request is counted in: the client's and, where the route has a limit, the route's.
    pub fn buckets<'a>(
        &self,
        identity: &Identity<'a>,
        client_ip: IpAddr,
        node: &NodeLimits,
    ) -> (Option<Bucket<'a>>, Option<Bucket<'a>>) {
        let route = self.limit.as_ref().map(|limit| Bucket::of_route(self.id, limit, identity, client_ip));
        (Some(Bucket::of_client(identity, client_ip, node)), route)
    }
}

impl AuthRule {
    /// Whether the gateway looks at credentials in header fields.
    pub const fn reads_credentials(&self) -> bool {
        self.accept_jwt || self.accept_key
    }

    /// Whether any credential may open the route.
    pub const fn accepts_any(&self) -> bool {
        self.reads_credentials() || self.accept_certificate
    }

    /// Whether a credential of this kind may open the route.
    pub const fn accepts(&self, kind: CredentialKind) -> bool {
        match kind {
            CredentialKind::Key => self.accept_key,
            CredentialKind::Token => self.accept_jwt,
            CredentialKind::Certificate => self.accept_certificate,
        }
    }
}
