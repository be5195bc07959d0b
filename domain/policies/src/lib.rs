//! Decisions about one request, and the config objects they are made from.
//!
//! Always: values in, values out; the clock, random keys and what a signature proves are arguments. What is decided for a
//! request allocates nothing that can be avoided, and no token, key, subject or address is ever printed. Not here: matching
//! paths (`routing`), verifying signatures (`adapters/tokens`), counters shared between nodes (`adapters/redis`).
//!
//! One request: [`Presented::from_headers`] reads the credential; [`CompiledConfig::credential_of_key`] or
//! [`CompiledConfig::credential_of_token`] (after [`TokenCache`] and [`JwtRules::check`]) says what became of it, or
//! [`CompiledConfig::credential_of_certificate`] where none is presented;
//! [`CompiledRoute::admit`] decides; [`CompiledRoute::buckets`] names what it is counted in; [`LimitTable::admit_two`]
//! counts; [`FieldText`] writes the header fields.

mod buckets;
mod certificates;
mod compile;
mod compiled;
mod config;
mod credentials;
mod fault;
mod headers;
mod identity;
mod jwt;
mod limits;
mod outliers;
mod retries;
mod shedding;
mod sip;
mod token_cache;

pub use self::{
    buckets::{Bucket, NodeLimits, Tier},
    certificates::{CertificateFacts, CertificateName, CertificateNameError},
    compile::{MAX_CONSUMERS, MAX_KEYS, MAX_ROUTES, MAX_SERVICES},
    compiled::{
        Affinity, CompiledAction, CompiledConfig, CompiledConsumer, CompiledForward, CompiledMirror, CompiledRoute,
        CompiledService, Grounds, Load, ServiceIndex, Warmth, instance_order, jittered, prefers_zone,
    },
    config::{AuthRule, ConfigObject, Consumer, ConsumerKeyGrant, LimitBy, RateLimit, RouteConfig, RouteLimit},
    credentials::{CredentialKind, Presented, X_API_KEY, carries_consumer_key},
    fault::{MAX_FAULTS, ObjectFault, ObjectWarning},
    headers::{FieldText, RATE_LIMIT, RATE_LIMIT_POLICY},
    identity::{Credential, Facts, Identity, Verdict},
    jwt::{JwtRules, MAX_SUBJECT_BYTES, TokenFacts, TokenFault},
    limits::{
        Admission, Asked, BucketSide, ClientKey, ClientKeyHasher, Decision, FleetSize, LastKey, LeaseAnswer, LeaseAsk,
        LeaseKeeper, LeaseTable, LimitTable, ReturnedLease, SharedAsk, SharedKey, SharedKeyHasher, Window,
    },
    outliers::{Ejection, RateWindow, most_ejected, panics},
    retries::{RetryBudget, longest_retry_pause, retry_pause},
    shedding::Shedding,
    sip::HashKey,
    token_cache::TokenCache,
};
