//! What a session asks of the control plane, and what comes back.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use novagate_access::{GatewayKeyRecord, TenantScope, Verified};
use novagate_documents::frames::decode_batch;
use novagate_kernel::{Head, NodeId, SessionId};
use novagate_ports_base::FaultKind;
use novagate_ports_control::inbound::{ConfigAnswer, SyncRefusal};
use novagate_ports_control::outbound::{NodeSighting, TelemetryBatch};
use novagate_records::Batch;
use novagate_sync::{Ack, BatchFrame, ByeCode, ConfigOffer, Nack};
use tokio::time::sleep;

use crate::hub::HubState;

/// Bodies above this are read on another thread.
const LARGE_BODY: usize = 64 * 1024;
/// How often a confirmation is tried before it is left to the node's next hello.
const ATTEMPTS: u32 = 5;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(500);
/// When to come back if the plan has no room for another node.
const PLAN_RETRY: Duration = Duration::from_mins(10);
/// When to come back if something behind the control plane failed.
const FAULT_RETRY: Duration = Duration::from_secs(10);

/// A running question.
pub(crate) type Job = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Its answer.
pub(crate) enum Outcome {
    Admitted(Result<u64, SyncRefusal>),
    Config(Result<ConfigOffer, SyncRefusal>),
    Ingested(Result<(), SyncRefusal>),
    Recorded,
}

/// What is remembered of a node, in the order in which it happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Note {
    Ack(Ack),
    Nack(Nack),
    Beat,
}

/// Remembers the node; answers with what is committed of its boot.
pub(crate) async fn admit(
    hub: Arc<HubState>,
    scope: TenantScope,
    session: SessionId,
    sighting: NodeSighting,
) -> Outcome {
    let admitted = async {
        hub.sync.hello(&scope, session, &sighting).await?;
        hub.sync.received(&scope, sighting.boot).await
    };
    Outcome::Admitted(admitted.await)
}

/// Asks whether the session's key still holds, and what brings its node to the head.
pub(crate) async fn load(
    hub: Arc<HubState>,
    key: Arc<Verified<GatewayKeyRecord>>,
    scope: TenantScope,
    applied: Option<Head>,
) -> Outcome {
    let answer = async {
        hub.confirmed.get(key.get().id, || hub.sync.confirm(&key)).await?;
        hub.answers.get((scope.tenant(), applied), || hub.sync.config_for(&scope, applied)).await
    };
    Outcome::Config(answer.await.map(|answer| match answer {
        ConfigAnswer::Current(head) => ConfigOffer::Current(head),
        ConfigAnswer::Delta(delta) => ConfigOffer::Delta(delta),
        ConfigAnswer::Snapshot(set) => ConfigOffer::Snapshot(set),
    }))
}

/// Stores a batch. One that cannot be read is replaced by nothing, so that its number is taken and the next ones are
/// stored: it would come again for ever.
pub(crate) async fn ingest(hub: Arc<HubState>, scope: TenantScope, node: NodeId, frame: BatchFrame) -> Outcome {
    let BatchFrame { kind, boot, batch_seq, body, .. } = frame;
    let decoded = if body.len() > LARGE_BODY {
        let job = hub.tasks.blocking("decode-batch", move || decode_batch(kind, &body));
        job.await.ok().and_then(Result::ok)
    } else {
        decode_batch(kind, &body).ok()
    };
    if decoded.is_none() {
        hub.counters.lost_batches.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%node, kind = kind.as_str(), batch_seq, "a batch cannot be read and is given up");
    }
    let batch = decoded.unwrap_or_else(|| Batch::Errors(Vec::new()));
    Outcome::Ingested(store(&hub, &scope, TelemetryBatch { node, boot, batch_seq, batch }).await)
}

async fn store(hub: &HubState, scope: &TenantScope, batch: TelemetryBatch) -> Result<(), SyncRefusal> {
    let (node, batch_seq) = (batch.node, batch.batch_seq);
    let Err(refusal) = hub.sync.ingest(scope, batch).await else { return Ok(()) };
    if is_retryable(&refusal) {
        return Err(refusal);
    }
    hub.counters.lost_batches.fetch_add(1, Ordering::Relaxed);
    tracing::error!(%node, batch_seq, error = %refusal, "a batch cannot be stored and is given up");
    Ok(())
}

/// Writes one note down; a fault that may pass is waited out for a while.
pub(crate) async fn record(hub: Arc<HubState>, scope: TenantScope, node: NodeId, what: Note) -> Outcome {
    for attempt in 1..=ATTEMPTS {
        let done = match &what {
            Note::Ack(ack) => hub.sync.acked(&scope, node, *ack).await,
            Note::Nack(nack) => hub.sync.nacked(&scope, node, nack).await,
            Note::Beat => hub.sync.beat(&scope, node).await,
        };
        let Err(refusal) = done else { break };
        // The next beat is as good as this one.
        if what == Note::Beat || attempt == ATTEMPTS || !is_retryable(&refusal) {
            tracing::warn!(%node, error = %refusal, "a note about a node could not be written");
            break;
        }
        sleep(BETWEEN_ATTEMPTS.saturating_mul(attempt)).await;
    }
    Outcome::Recorded
}

/// How a session ends that the control plane refuses.
pub(crate) fn bye_of(refusal: &SyncRefusal, hub: &HubState) -> (ByeCode, Option<Duration>) {
    match refusal {
        SyncRefusal::KeyInvalid => (ByeCode::KeyInvalid, None),
        SyncRefusal::KeyRevoked => (ByeCode::KeyRevoked, None),
        SyncRefusal::TenantSuspended => (ByeCode::TenantSuspended, None),
        SyncRefusal::TooManyNodes => (ByeCode::TryLater, Some(PLAN_RETRY)),
        SyncRefusal::Busy { retry_after } => (ByeCode::TryLater, Some(*retry_after)),
        SyncRefusal::Port(_) => (ByeCode::TryLater, Some(hub.jitter(FAULT_RETRY))),
    }
}

/// Whether the refusal will stand until something changes.
pub(crate) const fn is_final(refusal: &SyncRefusal) -> bool {
    match refusal {
        SyncRefusal::KeyInvalid | SyncRefusal::KeyRevoked | SyncRefusal::TenantSuspended => true,
        SyncRefusal::TooManyNodes | SyncRefusal::Busy { .. } | SyncRefusal::Port(_) => false,
    }
}

const fn is_retryable(refusal: &SyncRefusal) -> bool {
    match refusal {
        SyncRefusal::Busy { .. } => true,
        SyncRefusal::Port(fault) => fault.kind.is_retryable() || matches!(fault.kind, FaultKind::Conflict),
        SyncRefusal::KeyInvalid
        | SyncRefusal::KeyRevoked
        | SyncRefusal::TenantSuspended
        | SyncRefusal::TooManyNodes => false,
    }
}
