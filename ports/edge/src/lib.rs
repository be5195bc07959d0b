//! What a gateway needs from the outside. There is no inbound side: `adapters/http-edge` calls the domain directly.
//!
//! **Invariant:** nothing here leads from the request path to the control plane; the link is driven by its own thread.

mod counters;
mod link;
mod live;
mod snapshot;
mod sources;
mod tokens;

pub use self::{
    counters::{LeaseLedger, SharedCounter, SharedCounters},
    link::{ConfigHost, DialError, LinkError, LinkEvent, Staged, SyncConnection, SyncDialer},
    live::LiveConfig,
    snapshot::{LoadReport, LoadedSnapshot, QuarantinedSlot, SnapshotStore},
    sources::{
        BatchCodec, ContentEvent, LoggedRequest, MetricSource, MetricVisitor, RecordSink, RecordSource, TelemetryItem,
        UpstreamEvent, UpstreamHealth, UpstreamState,
    },
    tokens::{TokenVerifier, VerifyFault},
};
