//! What the control plane needs from the outside.

mod bus;
mod config;
mod idempotency;
mod keys;
mod nodes;
mod services;
mod telemetry;
mod tenants;

pub use self::{
    bus::{Bus, BusSubscription, Presence, Wake},
    config::{
        Commit, ConfigChanges, ConfigStore, Edit, ObjectWrite, PendingUpdate, RevisionChange, RevisionChangeOp,
        RevisionKind, RevisionRecord, StoredObject,
    },
    idempotency::{IdempotencyStore, IdempotentBegin, IdempotentReply},
    keys::{GatewayKeyStore, KeyRevocation},
    nodes::{NodeNack, NodeRecord, NodeSighting, NodeStore},
    services::{HashError, Mail, MailKind, Mailer, PasswordHasher, PlatformTokens, Throttle, ThrottleRule, TokenFault},
    telemetry::{
        AuditStore, ErrorRow, HealthRow, Ingested, LogFilter, LogRow, MetricsRow, TelemetryBatch, TelemetryStore,
    },
    tenants::{
        Account, CLAIM_LIFETIME, ClaimedTenant, Inserted, NewTenant, PlanLimits, PostClaim, TenantErasure, TenantState,
        TenantStore,
    },
};
