//! The protocol between a gateway node and the control plane: objects, digests, frames, and both machines.
//!
//! Sans-IO: the machines take frames and times and give effects; `adapters/sync-client` and `adapters/sync-hub` move the
//! bytes. **Invariant:** a node only ever serves a published revision whose digest it has checked, or its last good one.
//! Not here: what a config object means, sockets, encodings, clocks, randomness.

mod backoff;
mod beats;
mod fault;
mod frame;
mod hub;
mod node;
mod object;
mod spool;
mod steady;

pub use self::{
    beats::Beats,
    fault::ProtocolFault,
    frame::{
        Ack, BatchFrame, Bye, ByeCode, DeltaFrame, Frame, Hello, Nack, NackedObject, ObjectFaultCode, Refused, Revoke,
        SyncMode, Welcome,
    },
    hub::{ConfigOffer, HubEffect, HubMachine, SessionIdentity},
    node::{DialFailure, NodeEffect, NodeIdentity, NodeMachine, StageOutcome},
    object::{ConfigSet, Delta, DeltaFault, ObjectPack, WireObject, object_digest, tenant_digest},
    spool::{DroppedRecords, SpoolLimits},
};
