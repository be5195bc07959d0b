//! What the world may ask of the control plane.

mod accounts;
mod config;
mod fleet;
mod insight;
mod posts;
mod refusal;
mod sync;

pub use self::{
    accounts::{Accounts, Client, CreatedTenant, LoginSession, NewGatewayKey, Registration},
    config::{Applied, ConfigAdmin, DiffEntry, NewConsumerKey, ObjectView, Precondition, RevisionView, Written},
    fleet::{Fleet, NodeReceipt, NodeView, ReceiptState},
    insight::{HealthView, Insight, MetricsQuery},
    posts::{PostBegin, PostEnd, RepeatablePost},
    refusal::{FieldFault, Refusal},
    sync::{ConfigAnswer, GatewaySync, SyncRefusal},
};
