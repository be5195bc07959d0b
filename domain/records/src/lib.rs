//! What NovaGate remembers about traffic and edits: closed shapes with no place for personal data.
//!
//! **Invariant:** no type here has a `String`, URI, header or address that a request could fill. Texts are the tenant's own
//! configuration (route templates, names) or words of a registry. Not here: how records travel or are stored.

mod audit;
mod batch;
mod labels;
mod request;
mod window;

pub use self::{
    audit::{Actor, AuditAction, AuditRecord},
    batch::{Batch, ErrorEvent, HealthSnapshot, LogBatch, LogEntry, RouteLabel, ServiceHealth},
    labels::{MethodLabel, StatusClass},
    request::{NO_INDEX, RequestRecord},
    window::{LATENCY_BOUNDS_US, LATENCY_CELLS, MetricsWindow, RouteWindow, latency_cell},
};
