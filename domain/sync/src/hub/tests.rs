//! Rules of the hub's machine, one by one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use novagate_kernel::{
    BatchKind, BootId, Digest, Epoch, Head, NodeId, ObjectRef, Revision, RouteId, SessionId, TenantId, Timestamp,
};

use super::*;
use crate::*;

const START: Timestamp = Timestamp::from_seconds(1_000_000);
const BOOT: BootId = BootId::from_u128(2);

fn secs(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

fn config(seq: u64, body: &'static str) -> ConfigSet {
    let reference: ObjectRef = RouteId::from_u128(1).into();
    let object = WireObject::new(reference, Bytes::from_static(body.as_bytes()));
    ConfigSet::new(Revision { epoch: Epoch::try_from_u64(7).unwrap(), seq }, [object])
}

fn head(seq: u64, body: &'static str) -> Head {
    config(seq, body).head()
}

fn delta(from: u64, to: Head) -> Arc<Delta> {
    Arc::new(Delta { from, to, upserts: vec![], deletes: vec![] })
}

fn machine() -> HubMachine {
    let identity = SessionIdentity {
        session: SessionId::from_u128(9),
        tenant: TenantId::from_u128(4),
        heartbeat: Duration::from_secs(15),
    };
    HubMachine::new(identity, START)
}

fn hello(applied: Option<Head>, refused: Option<Head>) -> Hello {
    Hello {
        node: NodeId::from_u128(1),
        boot: BOOT,
        build: "test/1".to_owned(),
        features: vec![],
        labels: BTreeMap::new(),
        applied,
        refused: refused.map(|head| Refused { head }),
    }
}

fn effects(machine: &mut HubMachine) -> Vec<HubEffect> {
    std::iter::from_fn(|| machine.next_effect()).collect()
}

fn live(applied: Head, refused: Option<Head>) -> HubMachine {
    let mut machine = machine();
    machine.on_frame(Frame::Hello(hello(Some(applied), refused)), START).unwrap();
    machine.on_admitted(0, START);
    machine.on_config(ConfigOffer::Current(applied), START);
    assert!(machine.is_live());
    effects(&mut machine);
    machine
}

fn batch(batch_seq: u64) -> BatchFrame {
    BatchFrame { kind: BatchKind::Logs, boot: BOOT, batch_seq, body: Bytes::from_static(b"{}"), records: 1 }
}

fn load(applied: Head) -> HubEffect {
    HubEffect::LoadConfig { applied: Some(applied) }
}

fn closed(code: ByeCode) -> HubEffect {
    HubEffect::Close(Bye { code, retry_after: None })
}

fn received(batch_seq: u64) -> HubEffect {
    HubEffect::Send(Frame::Received { boot: BOOT, batch_seq })
}

#[test]
fn a_node_without_hello_is_sent_away_after_five_seconds() {
    let mut machine = machine();
    assert_eq!(machine.next_deadline(), Some(secs(5)));
    machine.on_deadline(secs(5));
    assert_eq!(effects(&mut machine), [closed(ByeCode::HelloLate)]);
}

#[test]
fn anything_before_hello_and_the_frames_of_a_hub_are_faults() {
    let mut early = machine();
    assert_eq!(early.on_frame(Frame::Pong, START), Err(ProtocolFault::Unexpected { frame: "pong" }));
    assert_eq!(effects(&mut early), [closed(ByeCode::ProtocolError)]);
    let mut machine = live(head(1, "a"), None);
    let fault = machine.on_frame(Frame::Snapshot(config(1, "a")), START);
    assert_eq!(fault, Err(ProtocolFault::Unexpected { frame: "snapshot" }));
}

#[test]
fn hello_is_recorded_then_answered_with_welcome_and_a_snapshot() {
    let mut machine = machine();
    machine.on_frame(Frame::Hello(hello(None, None)), START).unwrap();
    assert_eq!(effects(&mut machine), [HubEffect::RecordHello(hello(None, None))]);
    machine.on_admitted(7, START);
    assert_eq!(effects(&mut machine), [HubEffect::LoadConfig { applied: None }]);
    machine.on_config(ConfigOffer::Snapshot(Arc::new(config(1, "a"))), START);
    let sent = effects(&mut machine);
    assert!(matches!(&sent[0], HubEffect::Send(Frame::Welcome(welcome)) if welcome.mode == SyncMode::Snapshot));
    assert_eq!(sent[1..], [received(7), HubEffect::Send(Frame::Snapshot(config(1, "a")))]);
    let ack = Ack { head: head(1, "a"), compile_us: 9 };
    machine.on_frame(Frame::Ack(ack), START).unwrap();
    assert_eq!(effects(&mut machine), [HubEffect::RecordAck(ack)]);
}

#[test]
fn one_config_frame_is_in_flight_and_edits_meanwhile_coalesce_into_the_latest() {
    let mut machine = live(head(1, "a"), None);
    machine.on_wake(Some(head(2, "b")), START);
    assert_eq!(effects(&mut machine), [load(head(1, "a"))]);
    machine.on_wake(Some(head(3, "c")), START);
    machine.on_config(ConfigOffer::Delta(delta(1, head(3, "c"))), START);
    assert_eq!(effects(&mut machine), [HubEffect::Send(Frame::Delta(delta(1, head(3, "c"))))]);
    for (seq, body) in [(4, "d"), (5, "e"), (6, "f")] {
        machine.on_wake(Some(head(seq, body)), START);
    }
    assert_eq!(effects(&mut machine), []);
    let ack = Ack { head: head(3, "c"), compile_us: 0 };
    machine.on_frame(Frame::Ack(ack), START).unwrap();
    assert_eq!(effects(&mut machine), [HubEffect::RecordAck(ack), load(head(3, "c"))]);
}

#[test]
fn a_wake_for_what_is_served_asks_nothing() {
    let mut machine = live(head(1, "a"), None);
    machine.on_wake(Some(head(1, "a")), START);
    assert_eq!(effects(&mut machine), []);
}

#[test]
fn a_refused_digest_is_never_sent_again_to_that_boot() {
    let mut machine = live(head(1, "a"), None);
    machine.on_wake(Some(head(2, "bad")), START);
    machine.on_config(ConfigOffer::Delta(delta(1, head(2, "bad"))), START);
    effects(&mut machine);
    let epoch = Epoch::try_from_u64(7).unwrap();
    let nack = Nack { epoch, seq: 2, objects: vec![], serving: Some(head(1, "a")) };
    machine.on_frame(Frame::Nack(nack.clone()), START).unwrap();
    assert_eq!(effects(&mut machine), [HubEffect::RecordNack(nack)]);
    machine.on_wake(Some(head(2, "bad")), START);
    assert_eq!(effects(&mut machine), []);
    machine.on_wake(None, START);
    assert_eq!(effects(&mut machine), [load(head(1, "a"))]);
    machine.on_config(ConfigOffer::Delta(delta(1, head(2, "bad"))), START);
    assert_eq!(effects(&mut machine), []);
}

#[test]
fn what_hello_says_was_refused_is_not_sent() {
    let mut machine = machine();
    machine.on_frame(Frame::Hello(hello(Some(head(1, "a")), Some(head(2, "bad")))), START).unwrap();
    machine.on_admitted(0, START);
    machine.on_config(ConfigOffer::Delta(delta(1, head(2, "bad"))), START);
    let sent = effects(&mut machine);
    assert!(matches!(sent.last(), Some(HubEffect::Send(Frame::Welcome(welcome))) if welcome.mode == SyncMode::Current));
}

#[test]
fn a_lost_wake_is_healed_by_the_check_each_thirty_seconds() {
    let mut machine = live(head(1, "a"), None);
    let mut asked = Vec::new();
    for second in 1..=30 {
        machine.on_frame(Frame::Ping { applied: Some(head(1, "a")) }, secs(second)).unwrap();
        machine.on_deadline(secs(second));
        let is_load = |effect: &HubEffect| matches!(effect, HubEffect::LoadConfig { .. });
        asked.extend(effects(&mut machine).into_iter().filter(is_load).map(|effect| (second, effect)));
    }
    assert_eq!(asked, [(30, load(head(1, "a")))]);
}

#[test]
fn a_question_without_answer_is_asked_again() {
    let mut machine = live(head(1, "a"), None);
    machine.on_wake(Some(head(2, "b")), START);
    machine.on_config_failed(START);
    effects(&mut machine);
    machine.on_deadline(secs(1));
    assert_eq!(effects(&mut machine), []);
    machine.on_deadline(secs(2));
    assert_eq!(effects(&mut machine), [load(head(1, "a"))]);
}

#[test]
fn a_node_that_says_hello_again_with_nothing_gets_a_snapshot_and_no_stale_delta() {
    let mut machine = live(head(1, "a"), None);
    machine.on_wake(Some(head(2, "b")), START);
    effects(&mut machine);
    machine.on_frame(Frame::Hello(hello(None, None)), START).unwrap();
    machine.on_config(ConfigOffer::Delta(delta(1, head(2, "b"))), START);
    assert_eq!(effects(&mut machine), [HubEffect::LoadConfig { applied: None }]);
    machine.on_config(ConfigOffer::Snapshot(Arc::new(config(2, "b"))), START);
    assert_eq!(effects(&mut machine), [HubEffect::Send(Frame::Snapshot(config(2, "b")))]);
    let other = Hello { node: NodeId::from_u128(5), ..hello(None, None) };
    assert_eq!(machine.on_frame(Frame::Hello(other), START), Err(ProtocolFault::AnotherIdentity));
}

#[test]
fn requests_for_snapshots_are_bounded() {
    let mut machine = live(head(1, "a"), None);
    for _ in 0..4 {
        machine.on_frame(Frame::Hello(hello(None, None)), START).unwrap();
    }
    assert_eq!(machine.on_frame(Frame::Hello(hello(None, None)), START), Err(ProtocolFault::Resyncs));
}

#[test]
fn batches_are_stored_one_by_one_in_order_and_confirmed_when_committed() {
    let mut machine = live(head(1, "a"), None);
    for seq in 1..=3 {
        machine.on_frame(Frame::Batch(batch(seq)), START).unwrap();
    }
    machine.on_frame(Frame::Batch(batch(2)), START).unwrap();
    assert_eq!(effects(&mut machine), [HubEffect::Ingest(batch(1))]);
    machine.on_ingested(START);
    assert_eq!(effects(&mut machine), [received(1), HubEffect::Ingest(batch(2))]);
    machine.on_frame(Frame::Batch(batch(1)), START).unwrap();
    assert_eq!(effects(&mut machine), [received(1)]);
}

#[test]
fn a_batch_that_could_not_be_stored_is_tried_again_and_stays_first() {
    let mut machine = live(head(1, "a"), None);
    machine.on_frame(Frame::Batch(batch(1)), START).unwrap();
    effects(&mut machine);
    machine.on_ingest_failed(START);
    machine.on_frame(Frame::Batch(batch(2)), START).unwrap();
    assert_eq!(effects(&mut machine), []);
    machine.on_deadline(secs(2));
    assert_eq!(effects(&mut machine), [HubEffect::Ingest(batch(1))]);
}

#[test]
fn gaps_foreign_boots_and_ignored_credits_are_faults_but_a_first_gap_is_a_restored_store() {
    let mut machine = live(head(1, "a"), None);
    machine.on_frame(Frame::Batch(batch(40)), START).unwrap();
    assert_eq!(machine.on_frame(Frame::Batch(batch(42)), START), Err(ProtocolFault::BatchOrder));
    let mut machine = live(head(1, "a"), None);
    let foreign = BatchFrame { boot: BootId::from_u128(77), ..batch(1) };
    assert_eq!(machine.on_frame(Frame::Batch(foreign), START), Err(ProtocolFault::BatchOrder));
    let mut machine = live(head(1, "a"), None);
    let outcomes: Vec<_> = (1..=9).map(|seq| machine.on_frame(Frame::Batch(batch(seq)), START)).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 8);
    assert_eq!(outcomes[8], Err(ProtocolFault::Credits));
}

#[test]
fn revocations_go_ahead_of_config_and_are_held_while_a_node_is_greeted() {
    let keys = vec![Digest::from_bytes([3; 32])];
    let revoke = HubEffect::Send(Frame::Revoke(Revoke { consumer_keys: keys.clone() }));
    let mut machine = machine();
    machine.on_frame(Frame::Hello(hello(None, None)), START).unwrap();
    machine.on_admitted(0, START);
    machine.on_revoked(keys.clone(), START);
    machine.on_config(ConfigOffer::Snapshot(Arc::new(config(1, "a"))), START);
    let sent = effects(&mut machine);
    assert_eq!(sent[3..], [revoke.clone(), HubEffect::Send(Frame::Snapshot(config(1, "a")))]);
    machine.on_revoked(keys, START);
    assert_eq!(effects(&mut machine), [revoke]);
}

#[test]
fn a_silent_node_is_probed_and_then_dropped() {
    let mut machine = live(head(1, "a"), None);
    machine.on_deadline(secs(20));
    assert_eq!(effects(&mut machine), [HubEffect::Send(Frame::Ping { applied: None })]);
    assert_eq!(machine.next_deadline(), Some(secs(30)));
    machine.on_deadline(secs(30));
    effects(&mut machine);
    assert_eq!(machine.next_deadline(), Some(secs(35)));
    machine.on_deadline(secs(35));
    assert_eq!(effects(&mut machine), [closed(ByeCode::GoingAway)]);
}

#[test]
fn a_ping_is_a_beat_and_corrects_what_the_node_serves() {
    let mut machine = live(head(2, "b"), None);
    machine.on_wake(Some(head(2, "b")), START);
    machine.on_frame(Frame::Ping { applied: Some(head(1, "a")) }, secs(1)).unwrap();
    assert_eq!(effects(&mut machine), [HubEffect::Send(Frame::Pong), HubEffect::Beat, load(head(1, "a"))]);
}

#[test]
fn a_revoked_key_or_closed_tenant_ends_the_session_once() {
    let mut machine = live(head(1, "a"), None);
    machine.close(ByeCode::KeyRevoked, None);
    machine.close(ByeCode::TenantSuspended, None);
    machine.on_wake(Some(head(2, "b")), START);
    assert_eq!(effects(&mut machine), [closed(ByeCode::KeyRevoked)]);
    assert_eq!(machine.next_deadline(), None);
}

#[test]
fn a_clock_that_leaps_or_steps_back_drops_nobody() {
    let mut machine = live(head(1, "a"), None);
    machine.on_deadline(START.plus(Duration::from_hours(10)));
    machine.on_deadline(START.minus(Duration::from_hours(10)));
    assert!(machine.is_live());
    assert!(machine.next_deadline().unwrap() > START.minus(Duration::from_hours(10)));
}
