//! Rules of the node's machine, one by one.

use std::sync::Arc;

use novagate_kernel::{BootId, Epoch, ObjectRef, Revision, RouteId, SessionId, TenantId};

use super::*;
use crate::*;
use bytes::Bytes;
use novagate_kernel::{BatchKind, Digest, Head, NodeId, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

const START: Timestamp = Timestamp::from_seconds(1_000_000);
const HALF: u64 = 1 << 63;

fn secs(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

fn object(number: u128, body: &'static str) -> WireObject {
    let reference: ObjectRef = RouteId::from_u128(number).into();
    WireObject::new(reference, Bytes::from_static(body.as_bytes()))
}

fn config(seq: u64, body: &'static str) -> ConfigSet {
    ConfigSet::new(Revision { epoch: Epoch::try_from_u64(7).unwrap(), seq }, [object(1, body)])
}

fn delta(from: &ConfigSet, to: &ConfigSet) -> Frame {
    let upserts = to.objects().cloned().collect();
    Frame::Delta(Arc::new(Delta { from: from.head().revision.seq, to: to.head(), upserts, deletes: vec![] }))
}

fn machine(serving: Option<ConfigSet>) -> NodeMachine {
    let identity = NodeIdentity {
        node: NodeId::from_u128(1),
        boot: BootId::from_u128(2),
        build: "test/1".to_owned(),
        features: vec![],
        labels: BTreeMap::new(),
    };
    NodeMachine::new(identity, SpoolLimits::default(), serving, START)
}

fn effects(machine: &mut NodeMachine) -> Vec<NodeEffect> {
    std::iter::from_fn(|| machine.next_effect()).collect()
}

fn welcome() -> Frame {
    Frame::Welcome(Welcome {
        session: SessionId::from_u128(3),
        tenant: TenantId::from_u128(4),
        heartbeat: Duration::from_secs(15),
        mode: SyncMode::Snapshot,
    })
}

fn live(serving: Option<ConfigSet>) -> NodeMachine {
    let mut machine = machine(serving);
    machine.on_deadline(START, 0);
    machine.on_dialled(START);
    machine.on_frame(welcome(), START, 0).unwrap();
    assert!(machine.is_connected());
    effects(&mut machine);
    machine
}

fn fail_dial(machine: &mut NodeMachine, failure: DialFailure, entropy: u64) -> Duration {
    let now = machine.next_deadline().unwrap();
    machine.on_deadline(now, 0);
    machine.on_dial_failed(failure, now, entropy);
    effects(machine);
    machine.next_deadline().unwrap().since(now)
}

fn nacked() -> Vec<NackedObject> {
    let object = RouteId::from_u128(1).into();
    vec![NackedObject { object, code: ObjectFaultCode::new("bad_regex"), field: "/match".to_owned() }]
}

fn ack_of(head: Head, compile_us: u64) -> NodeEffect {
    NodeEffect::Send(Frame::Ack(Ack { head, compile_us }))
}

const LIVE: StageOutcome = StageOutcome::Live { compile: Duration::from_micros(5) };

#[test]
fn a_node_dials_at_once_says_hello_and_is_live_after_welcome() {
    let mut machine = machine(Some(config(3, "a")));
    assert_eq!(machine.next_deadline(), Some(START));
    machine.on_deadline(START, 0);
    assert_eq!(effects(&mut machine), [NodeEffect::Dial]);
    machine.on_dialled(START);
    let sent = effects(&mut machine);
    let [NodeEffect::Send(Frame::Hello(hello))] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!((hello.applied, hello.refused), (Some(config(3, "a").head()), None));
    machine.on_frame(welcome(), START, 0).unwrap();
    assert_eq!(effects(&mut machine), [NodeEffect::LinkChanged { connected: true, refused: None }]);
}

#[test]
fn a_snapshot_and_a_delta_are_staged_and_acked_once_they_serve() {
    let mut machine = live(None);
    let (first, second) = (config(1, "a"), config(2, "b"));
    machine.on_frame(Frame::Snapshot(first.clone()), START, 0).unwrap();
    assert_eq!(effects(&mut machine), [NodeEffect::Stage(first.clone())]);
    machine.on_staged(LIVE, START);
    assert_eq!(effects(&mut machine), [ack_of(first.head(), 5)]);
    machine.on_frame(delta(&first, &second), START, 0).unwrap();
    assert_eq!(effects(&mut machine), [NodeEffect::Stage(second.clone())]);
    machine.on_staged(LIVE, START);
    assert_eq!(effects(&mut machine), [ack_of(second.head(), 5)]);
    assert_eq!(machine.serving(), Some(&second));
}

#[test]
fn one_configuration_is_staged_at_a_time_and_the_latest_wins() {
    let mut machine = live(None);
    for (seq, body) in [(1, "a"), (2, "b"), (3, "c")] {
        machine.on_frame(Frame::Snapshot(config(seq, body)), START, 0).unwrap();
    }
    assert_eq!(effects(&mut machine), [NodeEffect::Stage(config(1, "a"))]);
    machine.on_staged(LIVE, START);
    assert_eq!(effects(&mut machine), [ack_of(config(1, "a").head(), 5), NodeEffect::Stage(config(3, "c"))]);
}

#[test]
fn a_refused_digest_is_nacked_from_memory_and_never_staged_again() {
    let mut machine = live(Some(config(1, "a")));
    machine.on_frame(Frame::Snapshot(config(2, "bad")), START, 0).unwrap();
    effects(&mut machine);
    machine.on_staged(StageOutcome::Refused(nacked()), START);
    let nack = |seq| {
        let epoch = Epoch::try_from_u64(7).unwrap();
        NodeEffect::Send(Frame::Nack(Nack { epoch, seq, objects: nacked(), serving: Some(config(1, "a").head()) }))
    };
    assert_eq!(effects(&mut machine), [nack(2)]);
    machine.on_frame(Frame::Snapshot(config(5, "bad")), START, 0).unwrap();
    assert_eq!(effects(&mut machine), [nack(5)]);
    assert_eq!(machine.serving(), Some(&config(1, "a")));
}

#[test]
fn hello_after_a_refusal_names_what_was_refused() {
    let mut machine = live(None);
    machine.on_frame(Frame::Snapshot(config(2, "bad")), START, 0).unwrap();
    machine.on_staged(StageOutcome::Refused(nacked()), START);
    machine.on_closed(None, START, 0);
    machine.on_deadline(START, 0);
    machine.on_dialled(START);
    let sent = effects(&mut machine);
    let Some(NodeEffect::Send(Frame::Hello(hello))) = sent.last() else { panic!("{sent:?}") };
    assert_eq!(hello.refused, Some(Refused { head: config(2, "bad").head() }));
}

#[test]
fn an_older_place_of_the_same_history_changes_nothing_and_another_history_does() {
    let mut machine = live(Some(config(5, "e")));
    machine.on_frame(Frame::Snapshot(config(4, "d")), START, 0).unwrap();
    assert_eq!(effects(&mut machine), [ack_of(config(5, "e").head(), 0)]);
    let other = ConfigSet::new(Revision { epoch: Epoch::try_from_u64(8).unwrap(), seq: 1 }, [object(1, "z")]);
    machine.on_frame(Frame::Snapshot(other.clone()), START, 0).unwrap();
    assert_eq!(effects(&mut machine), [NodeEffect::Stage(other)]);
}

#[test]
fn a_delta_with_a_gap_asks_for_a_snapshot_once_and_then_gives_up_the_connection() {
    let mut machine = live(Some(config(1, "a")));
    machine.on_frame(delta(&config(2, "b"), &config(3, "c")), START, 0).unwrap();
    let sent = effects(&mut machine);
    let [NodeEffect::Send(Frame::Hello(hello))] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!(hello.applied, None);
    let wrong = Delta { from: 1, to: config(3, "c").head(), upserts: vec![], deletes: vec![] };
    let wrong = Frame::Delta(Arc::new(wrong));
    let faults: Vec<_> = (0..3).map(|_| machine.on_frame(wrong.clone(), START, 0)).collect();
    assert_eq!(faults, [Ok(()), Ok(()), Err(ProtocolFault::Config)]);
    assert_eq!(effects(&mut machine).first(), Some(&NodeEffect::Close(ByeCode::ProtocolError)));
    machine.on_deadline(machine.next_deadline().unwrap(), 0);
    machine.on_dialled(START);
    let asks = |effect: &NodeEffect| matches!(effect, NodeEffect::Send(Frame::Hello(hello)) if hello.applied.is_none());
    assert!(effects(&mut machine).iter().any(asks), "the next hello still asks for a snapshot");
}

#[test]
fn revocations_are_passed_on_at_once_even_while_a_configuration_is_staged() {
    let mut machine = live(None);
    machine.on_frame(Frame::Snapshot(config(1, "a")), START, 0).unwrap();
    let keys = vec![Digest::from_bytes([1; 32])];
    machine.on_frame(Frame::Revoke(Revoke { consumer_keys: keys.clone() }), START, 0).unwrap();
    assert_eq!(effects(&mut machine), [NodeEffect::Stage(config(1, "a")), NodeEffect::Revoke(keys)]);
}

#[test]
fn heartbeats_say_what_is_served_and_two_missed_ones_end_the_connection() {
    let mut machine = live(Some(config(1, "a")));
    for beat in 1..=2 {
        assert_eq!(machine.next_deadline(), Some(secs(15 * beat)));
        machine.on_deadline(secs(15 * beat), 0);
        let ping = Frame::Ping { applied: Some(config(1, "a").head()) };
        assert_eq!(effects(&mut machine), [NodeEffect::Send(ping)]);
    }
    machine.on_deadline(secs(45), 0);
    assert_eq!(effects(&mut machine)[0], NodeEffect::Close(ByeCode::GoingAway));
    assert!(!machine.is_connected());
}

#[test]
fn any_frame_is_a_sign_of_life() {
    let mut machine = live(None);
    for beat in 1..=10 {
        machine.on_deadline(secs(15 * beat), 0);
        machine.on_frame(Frame::Pong, secs(15 * beat), 0).unwrap();
    }
    assert!(machine.is_connected());
}

#[test]
fn backoff_grows_with_full_jitter_is_overruled_and_starts_over_after_a_welcome() {
    let mut machine = machine(None);
    for expected in [125, 250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000] {
        assert_eq!(fail_dial(&mut machine, DialFailure::Unreachable, HALF).as_millis(), expected);
    }
    let retry_after = Some(Duration::from_secs(7));
    let wait = fail_dial(&mut machine, DialFailure::NotReady { retry_after }, 0);
    assert_eq!(wait, Duration::from_secs(7));
    let now = machine.next_deadline().unwrap();
    machine.on_deadline(now, 0);
    machine.on_dialled(now);
    machine.on_frame(welcome(), now, 0).unwrap();
    machine.on_closed(None, now, HALF);
    assert_eq!(machine.next_deadline().unwrap().since(now), Duration::from_millis(125));
}

#[test]
fn a_connection_without_welcome_does_not_reset_the_backoff() {
    let mut machine = machine(None);
    fail_dial(&mut machine, DialFailure::Unreachable, 0);
    let now = machine.next_deadline().unwrap();
    machine.on_deadline(now, 0);
    machine.on_dialled(now);
    machine.on_closed(Some(ByeCode::TryLater), now, HALF);
    assert_eq!(machine.next_deadline().unwrap().since(now), Duration::from_millis(250));
}

#[test]
fn after_a_refusal_there_is_one_attempt_in_each_quarter_of_an_hour() {
    for code in [ByeCode::KeyInvalid, ByeCode::KeyRevoked, ByeCode::TenantSuspended] {
        let mut machine = live(None);
        machine.on_frame(Frame::Bye(Bye { code, retry_after: None }), START, HALF).unwrap();
        let told = NodeEffect::LinkChanged { connected: false, refused: Some(code) };
        assert_eq!(effects(&mut machine), [NodeEffect::Close(ByeCode::Normal), told]);
        assert_eq!(machine.next_deadline(), Some(secs(450)));
        for attempt in 1..5 {
            fail_dial(&mut machine, DialFailure::Refused(code), HALF);
            assert_eq!(machine.next_deadline(), Some(secs(900 * attempt + 450)));
        }
        fail_dial(&mut machine, DialFailure::Unreachable, HALF);
        assert_eq!(machine.refused(), Some(code), "an unreachable control plane does not mend a key");
    }
}

#[test]
fn a_changed_key_is_tried_at_once_and_a_late_answer_to_the_old_one_is_no_refusal() {
    let mut machine = live(None);
    machine.on_closed(Some(ByeCode::KeyRevoked), START, HALF);
    machine.on_key_changed(secs(10));
    assert_eq!((machine.next_deadline(), machine.refused()), (Some(secs(10)), None));
    machine.on_deadline(secs(10), 0);
    machine.on_key_changed(secs(11));
    machine.on_dial_failed(DialFailure::Refused(ByeCode::KeyInvalid), secs(11), 0);
    assert_eq!((machine.next_deadline(), machine.refused()), (Some(secs(11)), None));
}

#[test]
fn a_node_that_was_replaced_does_not_fight() {
    let mut machine = live(None);
    machine.on_closed(Some(ByeCode::Replaced), START, HALF);
    assert_eq!(machine.next_deadline(), Some(secs(30)));
}

#[test]
fn frames_of_the_other_end_are_faults_and_close_the_connection() {
    let mut machine = live(None);
    let fault = machine.on_frame(Frame::Ack(Ack { head: config(1, "a").head(), compile_us: 0 }), START, 0);
    assert_eq!(fault, Err(ProtocolFault::Unexpected { frame: "ack" }));
    assert!(!machine.is_connected());
}

#[test]
fn a_clock_that_steps_back_neither_freezes_nor_storms_and_a_leap_kills_no_connection() {
    let mut machine = live(None);
    let past = START.minus(Duration::from_hours(24));
    machine.on_deadline(past, 0);
    assert_eq!(machine.next_deadline(), Some(past.plus(Duration::from_secs(15))));
    assert_eq!(effects(&mut machine), []);
    machine.on_deadline(START.plus(Duration::from_hours(48)), 0);
    assert_eq!(effects(&mut machine).len(), 1, "one ping, early");
    machine.on_deadline(START.plus(Duration::from_hours(48)), 0);
    assert_eq!(effects(&mut machine), []);
    assert!(machine.is_connected());
}

#[test]
fn telemetry_is_sent_when_live_confirmed_and_sent_again_on_the_next_connection() {
    let mut machine = machine(None);
    machine.enqueue(BatchKind::Logs, Bytes::from_static(b"{}"), 3, START);
    assert_eq!(machine.spooled_records(), 3);
    let numbers = |machine: &mut NodeMachine| -> Vec<u64> {
        let number = |effect| {
            if let NodeEffect::Send(Frame::Batch(batch)) = effect { Some(batch.batch_seq) } else { None }
        };
        effects(machine).into_iter().filter_map(number).collect()
    };
    for _ in 0..2 {
        machine.on_deadline(START, 0);
        machine.on_dialled(START);
        machine.on_frame(welcome(), START, 0).unwrap();
        assert_eq!(numbers(&mut machine), [1]);
        machine.on_closed(None, START, 0);
    }
    machine.on_deadline(START, 0);
    machine.on_dialled(START);
    machine.on_frame(welcome(), START, 0).unwrap();
    machine.on_frame(Frame::Received { boot: BootId::from_u128(2), batch_seq: 1 }, START, 0).unwrap();
    assert_eq!(machine.spooled_records(), 0);
}

#[test]
fn a_configuration_that_went_live_while_hello_was_under_way_is_acked_after_welcome() {
    let mut machine = live(None);
    machine.on_frame(Frame::Snapshot(config(1, "a")), START, 0).unwrap();
    machine.on_closed(None, START, 0);
    machine.on_deadline(START, 0);
    machine.on_dialled(START);
    effects(&mut machine);
    machine.on_staged(LIVE, START);
    assert_eq!(effects(&mut machine), []);
    machine.on_frame(welcome(), START, 0).unwrap();
    assert_eq!(effects(&mut machine)[1], ack_of(config(1, "a").head(), 5));
}

#[test]
fn a_stopped_node_says_goodbye_and_nothing_else_ever() {
    let mut machine = live(None);
    machine.stop(START);
    let bye = Frame::Bye(Bye { code: ByeCode::GoingAway, retry_after: None });
    let told = NodeEffect::LinkChanged { connected: false, refused: None };
    assert_eq!(effects(&mut machine), [NodeEffect::Send(bye), NodeEffect::Close(ByeCode::GoingAway), told]);
    machine.on_key_changed(START);
    machine.on_deadline(secs(10_000), 0);
    assert_eq!((effects(&mut machine), machine.next_deadline()), (vec![], None));
}
