//! The parts of a route's body that say which requests it takes and what becomes of them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::resilience::{is_usually_kept, usually_kept};

/// Which requests a route takes; all that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MatchBody {
    /// Hosts, exact or with a leading `*.`; empty: any.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub hosts: Vec<String>,
    /// Methods in upper case; empty: any.
    #[serde(default)]
    #[schema(max_items = 16)]
    pub methods: Vec<String>,
    /// Exact `/a`, parameters `/a/{id}`, prefix `/a/*`.
    #[schema(example = "/users/{id}")]
    pub path: String,
    /// A regular expression that the whole normalised path matches too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 512, example = "/users/[0-9]+")]
    pub path_regex: Option<String>,
    /// Header fields that a request has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16)]
    pub headers: Vec<ConditionBody>,
    /// Query parameters that a request has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16)]
    pub query: Vec<ConditionBody>,
    /// Of routes that match and are equally specific the one with the most is served.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schema(maximum = 1000, default = 0)]
    pub priority: u16,
}

/// A header field or query parameter: there at all, with this value, or with one that the expression matches as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConditionBody {
    /// Its name; the case of a header's makes no difference.
    #[schema(max_length = 64, example = "x-canary")]
    pub name: String,
    /// Its value; not with `regex`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub value: Option<String>,
    /// An expression for its value; not with `value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 512)]
    pub regex: Option<String>,
}

/// Requests divided between services, those that belong together to the same one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SplitBody {
    /// What belongs together: `consumer`, `header:NAME` or `cookie:NAME`; requests without it go by the client's address.
    #[serde(default = "SplitBody::consumer")]
    #[schema(pattern = "^(consumer|(header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64})$", default = "consumer")]
    pub on: String,
    /// The services.
    #[schema(min_items = 2, max_items = 16)]
    pub services: Vec<ShareBody>,
}

/// A service's share of a route's requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShareBody {
    /// The name of the service.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "users-v2")]
    pub service: String,
    /// Relative to the others.
    #[schema(maximum = 1000)]
    pub weight: u16,
}

/// A second service that gets copies of requests and whose answers nobody reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MirrorBody {
    /// The name of the service.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "users-next")]
    pub service: String,
    /// How many of 100 requests are copied.
    #[serde(default = "MirrorBody::all")]
    #[schema(minimum = 1, maximum = 100, default = 100)]
    pub percent: u8,
    /// Bytes of a request's body that is copied; a request with a longer one is not.
    #[serde(default = "usually_kept", skip_serializing_if = "is_usually_kept")]
    #[schema(maximum = 1_048_576, default = 65_536)]
    pub max_body_bytes: u32,
}

/// What a service is told in place of what the client has asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RewriteBody {
    /// The path, with parameters of `match.path` and named groups of `match.pathRegex` in braces and, when `match.path` ends in
    /// `/*`, what that stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024, example = "/v2/users/{id}")]
    pub path: Option<String>,
    /// `Host`, with a port or without, and with names in braces as in `path`; missing: the target's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "users.internal")]
    pub host: Option<String>,
}

/// Where clients are told to go. What is missing stays as in the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedirectBody {
    /// 301, 302, 303, 307 or 308.
    #[serde(default = "RedirectBody::found")]
    #[schema(minimum = 301, maximum = 308, default = 302)]
    pub status: u16,
    /// The scheme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<SchemeWord>,
    /// A host, without port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "www.example.com")]
    pub host: Option<String>,
    /// A port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub port: Option<u16>,
    /// The path, as in `rewrite`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub path: Option<String>,
    /// Whether the query is dropped.
    #[serde(default, skip_serializing_if = "is_false")]
    pub drop_query: bool,
}

/// A scheme of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SchemeWord {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl SplitBody {
    fn consumer() -> String {
        "consumer".to_owned()
    }
}

impl MirrorBody {
    const fn all() -> u8 {
        100
    }
}

impl RedirectBody {
    const fn found() -> u16 {
        302
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
pub(super) const fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
const fn is_zero(value: &u16) -> bool {
    *value == 0
}
