//! Nodes and one control plane under a seed: cuts, delays, restarts, refusals, failures of the store, clock jumps and restored
//! backups, then quiet. What must hold is asserted on the way and at the end.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a simulation fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use novagate_kernel::{
    BatchKind, BootId, Digest, Epoch, Head, NodeId, ObjectRef, Revision, RouteId, SessionId, TenantId, Timestamp,
};
use novagate_sync::{
    ByeCode, ConfigOffer, ConfigSet, Delta, DialFailure, Frame, HubEffect, HubMachine, NackedObject, NodeEffect,
    NodeIdentity, NodeMachine, ObjectFaultCode, SessionIdentity, SpoolLimits, StageOutcome, WireObject,
};

const SEEDS: u64 = 300;
const STORM: Duration = Duration::from_mins(3);
const QUIET: Duration = Duration::from_mins(4);
const START: Timestamp = Timestamp::from_seconds(1_700_000_000);

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn millis(&mut self, bound: u64) -> Duration {
        Duration::from_millis(self.below(bound))
    }
}

/// A wall clock that somebody sets now and then, and the sleep that a driver computed from it.
#[derive(Clone, Copy)]
struct Machinery {
    offset_ms: i64,
    wake_at: Option<Timestamp>,
}

impl Machinery {
    fn wall(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_micros(now.as_micros() + self.offset_ms * 1000)
    }

    fn sleep_until(&mut self, deadline: Option<Timestamp>, now: Timestamp) {
        self.wake_at = deadline.map(|deadline| now.plus(deadline.since(self.wall(now))));
    }

    /// Something came in: the driver goes round its loop.
    fn rouse(&mut self, now: Timestamp) {
        self.wake_at = Some(now);
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.wake_at.is_some_and(|at| at <= now)
    }
}

/// What is on its way, in order.
#[derive(Default)]
struct Wire {
    to_hub: VecDeque<(Timestamp, Frame)>,
    to_node: VecDeque<(Timestamp, Frame)>,
}

enum Answer {
    Admitted(u64),
    Config(ConfigOffer),
    ConfigFailed,
    Stored,
    NotStored,
}

struct Session {
    hub: HubMachine,
    clock: Machinery,
    wire: Wire,
    boot: BootId,
    answers: Vec<(Timestamp, Answer)>,
    closed: Option<ByeCode>,
    /// The newest config frame.
    sent: Option<Head>,
}

struct Node {
    machine: NodeMachine,
    clock: Machinery,
    boot: BootId,
    session: Option<Session>,
    dialling: Option<Timestamp>,
    staging: Option<(Timestamp, ConfigSet)>,
    refused: BTreeSet<Digest>,
    /// The last configuration that went live: what its slot holds.
    slot: Option<ConfigSet>,
    enqueued: u64,
    hates: u64,
}

/// The control plane behind the sessions.
struct Control {
    history: Vec<ConfigSet>,
    published: BTreeSet<(u64, u64, Digest)>,
    edits: u64,
    epochs: u64,
    stored: BTreeMap<BootId, Vec<(u64, u32)>>,
    nacked: BTreeSet<(BootId, u64, u64, Digest)>,
}

struct World {
    random: Random,
    now: Timestamp,
    control: Control,
    nodes: Vec<Node>,
    boots: u128,
    storm: bool,
}

fn key(head: Head) -> (u64, u64, Digest) {
    (head.revision.epoch.get(), head.revision.seq, head.digest)
}

impl Control {
    fn new() -> Self {
        let mut control = Self {
            history: vec![],
            published: BTreeSet::new(),
            edits: 0,
            epochs: 1,
            stored: BTreeMap::new(),
            nacked: BTreeSet::new(),
        };
        control.publish(1, 1, vec![]);
        control
    }

    fn latest(&self) -> &ConfigSet {
        self.history.last().unwrap()
    }

    fn publish(&mut self, epoch: u64, seq: u64, objects: Vec<WireObject>) {
        let set = ConfigSet::new(Revision { epoch: Epoch::try_from_u64(epoch).unwrap(), seq }, objects);
        self.published.insert(key(set.head()));
        self.history.push(set);
    }

    fn edit(&mut self, random: &mut Random) {
        self.edits += 1;
        let latest = self.latest().clone();
        let reference: ObjectRef = RouteId::from_u128(u128::from(random.below(6))).into();
        let mut objects: BTreeMap<ObjectRef, WireObject> =
            latest.objects().map(|object| (object.reference(), object.clone())).collect();
        if random.below(4) == 0 {
            objects.remove(&reference);
        } else {
            let body = Bytes::from(format!("{{\"edit\":{}}}", self.edits));
            objects.insert(reference, WireObject::new(reference, body));
        }
        let Revision { epoch, seq } = latest.head().revision;
        self.publish(epoch.get(), seq + 1, objects.into_values().collect());
    }

    /// The database of some time ago.
    fn restore(&mut self, random: &mut Random) {
        let keep = 1 + random.below(self.history.len() as u64);
        self.history.truncate(usize::try_from(keep).unwrap());
        self.nacked.clear();
    }

    fn config_for(&mut self, applied: Option<Head>) -> ConfigOffer {
        let head = self.latest().head();
        let snapshot = |set: &ConfigSet| ConfigOffer::Snapshot(Arc::new(set.clone()));
        let Some(applied) = applied else { return snapshot(self.latest()) };
        if applied == head {
            return ConfigOffer::Current(head);
        }
        if applied.revision.epoch != head.revision.epoch {
            return snapshot(self.latest());
        }
        if applied.revision.seq >= head.revision.seq {
            self.epochs += 1;
            let objects = self.latest().objects().cloned().collect();
            self.publish(self.epochs, head.revision.seq, objects);
            return snapshot(self.latest());
        }
        let base = self.history.iter().rev().find(|set| set.head().revision == applied.revision);
        base.map_or_else(|| snapshot(self.latest()), |base| ConfigOffer::Delta(Arc::new(delta(base, self.latest()))))
    }

    fn received(&self, boot: BootId) -> u64 {
        self.stored.get(&boot).and_then(|batches| batches.last()).map_or(0, |(seq, _)| *seq)
    }

    fn store(&mut self, boot: BootId, seq: u64, records: u32) {
        let committed = self.received(boot);
        if seq > committed {
            assert_eq!(seq, committed + 1, "a gap in what {boot} delivered");
            self.stored.entry(boot).or_default().push((seq, records));
        }
    }
}

fn delta(from: &ConfigSet, to: &ConfigSet) -> Delta {
    let changed = |object: &&WireObject| from.get(object.reference()) != Some(*object);
    Delta {
        from: from.head().revision.seq,
        to: to.head(),
        upserts: to.objects().filter(changed).cloned().collect(),
        deletes: from.objects().map(WireObject::reference).filter(|gone| to.get(*gone).is_none()).collect(),
    }
}

fn node_machine(number: u128, boot: BootId, slot: Option<ConfigSet>, wall: Timestamp) -> NodeMachine {
    let identity = NodeIdentity {
        node: NodeId::from_u128(number),
        boot,
        build: "sim/1".to_owned(),
        features: vec![],
        labels: BTreeMap::new(),
    };
    NodeMachine::new(identity, SpoolLimits { records: 200, bytes: 100_000 }, slot, wall)
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut nodes = Vec::new();
        for number in 1..=1 + random.below(5) {
            let boot = BootId::from_u128(u128::from(number));
            let clock = Machinery { offset_ms: 0, wake_at: Some(START) };
            nodes.push(Node {
                machine: node_machine(u128::from(number), boot, None, START),
                clock,
                boot,
                session: None,
                dialling: None,
                staging: None,
                refused: BTreeSet::new(),
                slot: None,
                enqueued: 0,
                hates: random.below(10),
            });
        }
        Self { random, now: START, control: Control::new(), nodes, boots: 100, storm: true }
    }

    fn run(&mut self) {
        while self.now < START.plus(STORM) {
            self.mischief();
            self.step();
        }
        self.storm = false;
        while self.now < START.plus(STORM).plus(QUIET) {
            self.step();
        }
    }

    fn step(&mut self) {
        self.now = self.now.plus(Duration::from_millis(20 + self.random.below(200)));
        for index in 0..self.nodes.len() {
            self.step_hub(index);
            self.step_node(index);
        }
    }

    fn mischief(&mut self) {
        let index = usize::try_from(self.random.below(self.nodes.len() as u64)).unwrap();
        match self.random.below(60) {
            0..=3 => {
                self.control.edit(&mut self.random);
                let head = self.control.latest().head();
                // A wake-up may be lost.
                for node in &mut self.nodes {
                    if self.random.below(5) > 0
                        && let Some(session) = &mut node.session
                    {
                        session.hub.on_wake(Some(head), session.clock.wall(self.now));
                        session.clock.rouse(self.now);
                    }
                }
            }
            4 => self.cut(index),
            5 if self.random.below(6) == 0 => (0..self.nodes.len()).for_each(|index| self.cut(index)),
            6 if self.random.below(6) == 0 => self.restart(index),
            7 if self.random.below(10) == 0 => self.control.restore(&mut self.random),
            8 => self.nodes[index].clock.offset_ms = 3_600_000 - i64::try_from(self.random.below(7_200_000)).unwrap(),
            9..=20 => {
                let records = 1 + u32::try_from(self.random.below(20)).unwrap();
                let kind = BatchKind::ALL[usize::try_from(self.random.below(4)).unwrap()];
                let node = &mut self.nodes[index];
                node.enqueued += u64::from(records);
                node.machine.enqueue(kind, Bytes::from_static(b"{}"), records, node.clock.wall(self.now));
                node.clock.rouse(self.now);
            }
            _ => {}
        }
    }

    fn cut(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if node.session.take().is_some() {
            node.machine.on_closed(None, node.clock.wall(self.now), self.random.next());
            node.clock.rouse(self.now);
        }
    }

    fn restart(&mut self, index: usize) {
        self.boots += 1;
        let node = &mut self.nodes[index];
        node.boot = BootId::from_u128(self.boots);
        let wall = node.clock.wall(self.now);
        node.machine = node_machine(index as u128 + 1, node.boot, node.slot.clone(), wall);
        (node.session, node.dialling, node.staging, node.enqueued) = (None, None, None, 0);
        node.refused.clear();
        node.clock.wake_at = Some(self.now);
    }

    fn step_node(&mut self, index: usize) {
        let (now, storm) = (self.now, self.storm);
        let node = &mut self.nodes[index];
        let random = &mut self.random;
        let wall = node.clock.wall(now);
        if node.dialling.is_some_and(|at| at <= now) {
            node.dialling = None;
            node.clock.rouse(now);
            match random.below(4) {
                0 if storm => node.machine.on_dial_failed(DialFailure::Unreachable, wall, random.next()),
                1 if storm => {
                    let failure = DialFailure::NotReady { retry_after: Some(random.millis(3000)) };
                    node.machine.on_dial_failed(failure, wall, random.next());
                }
                _ => {
                    node.session = Some(session(node.boot, random.next(), now));
                    node.machine.on_dialled(wall);
                }
            }
        }
        if let Some((_, set)) = node.staging.take_if(|(at, _)| *at <= now) {
            node.finish_staging(set, wall);
            node.clock.rouse(now);
        }
        while let Some(session) = &mut node.session
            && let Some((_, frame)) = session.wire.to_node.pop_front_if(|(at, _)| *at <= now)
        {
            node.machine.on_frame(frame, wall, random.next()).expect("the hub keeps to the protocol");
            node.clock.rouse(now);
            node.drain(&self.control, random, now);
        }
        if let Some(session) = &node.session
            && let Some(code) = session.closed
            && session.wire.to_node.is_empty()
        {
            node.session = None;
            node.clock.rouse(now);
            node.machine.on_closed(Some(code), wall, random.next());
        }
        if node.clock.is_due(now) {
            node.machine.on_deadline(wall, random.next());
            node.drain(&self.control, random, now);
            let deadline = node.machine.next_deadline();
            node.clock.sleep_until(deadline, now);
        }
    }

    fn step_hub(&mut self, index: usize) {
        let (now, storm) = (self.now, self.storm);
        let (random, control) = (&mut self.random, &mut self.control);
        let Some(session) = &mut self.nodes[index].session else { return };
        let wall = session.clock.wall(now);
        while let Some((_, frame)) = session.wire.to_hub.pop_front_if(|(at, _)| *at <= now) {
            session.hub.on_frame(frame, wall).expect("the node keeps to the protocol");
            session.clock.rouse(now);
            session.drain(control, random, now, storm);
        }
        let (due, later) = std::mem::take(&mut session.answers).into_iter().partition(|(at, _)| *at <= now);
        session.answers = later;
        let due: Vec<(Timestamp, Answer)> = due;
        for (_, answer) in due {
            session.clock.rouse(now);
            match answer {
                Answer::Admitted(received) => session.hub.on_admitted(received, wall),
                Answer::Config(offer) => session.hub.on_config(offer, wall),
                Answer::ConfigFailed => session.hub.on_config_failed(wall),
                Answer::Stored => session.hub.on_ingested(wall),
                Answer::NotStored => session.hub.on_ingest_failed(wall),
            }
            session.drain(control, random, now, storm);
        }
        if session.clock.is_due(now) {
            session.hub.on_deadline(wall);
            session.drain(control, random, now, storm);
            let deadline = session.hub.next_deadline();
            session.clock.sleep_until(deadline, now);
        }
    }

    fn check_quiet(&self) {
        let latest = self.control.latest().head();
        for node in &self.nodes {
            assert!(node.machine.is_connected(), "{} is not connected", node.boot);
            let serving = node.machine.head();
            let refused = node.refused.contains(&latest.digest);
            assert!(serving == Some(latest) || refused, "{} serves {serving:?}, not {latest:?}", node.boot);
            assert_eq!(node.machine.spooled_records(), 0);
            let delivered: u64 =
                self.control.stored.get(&node.boot).into_iter().flatten().map(|(_, n)| u64::from(*n)).sum();
            assert_eq!(delivered + node.machine.dropped_records().total(), node.enqueued, "{}", node.boot);
        }
    }
}

fn session(boot: BootId, entropy: u64, now: Timestamp) -> Session {
    let identity = SessionIdentity {
        session: SessionId::from_u128(u128::from(entropy)),
        tenant: TenantId::from_u128(1),
        heartbeat: Duration::from_secs(15),
    };
    let clock = Machinery { offset_ms: 0, wake_at: Some(now) };
    let hub = HubMachine::new(identity, now);
    Session { hub, clock, wire: Wire::default(), boot, answers: vec![], closed: None, sent: None }
}

fn post(line: &mut VecDeque<(Timestamp, Frame)>, frame: Frame, at: Timestamp) {
    let at = line.back().map_or(at, |(last, _)| at.max(*last));
    line.push_back((at, frame));
}

impl Node {
    fn drain(&mut self, control: &Control, random: &mut Random, now: Timestamp) {
        while let Some(effect) = self.machine.next_effect() {
            match effect {
                NodeEffect::Dial => self.dialling = Some(now.plus(random.millis(500))),
                NodeEffect::Send(frame) => {
                    let session = self.session.as_mut().expect("frames are sent over a connection");
                    post(&mut session.wire.to_hub, frame, now.plus(random.millis(800)));
                }
                NodeEffect::Stage(set) => {
                    assert!(self.staging.is_none(), "two configurations are staged");
                    assert!(control.published.contains(&key(set.head())), "never published: {:?}", set.head());
                    assert!(!self.refused.contains(&set.head().digest), "staged again after a refusal");
                    self.staging = Some((now.plus(random.millis(4000)), set));
                }
                NodeEffect::Revoke(_) | NodeEffect::LinkChanged { .. } => {}
                NodeEffect::Close(_) => self.session = None,
            }
        }
    }

    fn finish_staging(&mut self, set: ConfigSet, wall: Timestamp) {
        let head = set.head();
        // Each node hates another tenth of all configurations.
        if u64::from(head.digest.as_bytes()[0]) % 10 == self.hates {
            self.refused.insert(head.digest);
            let object = RouteId::from_u128(1).into();
            let nacked = NackedObject { object, code: ObjectFaultCode::new("hated"), field: String::new() };
            self.machine.on_staged(StageOutcome::Refused(vec![nacked]), wall);
        } else {
            self.slot = Some(set);
            self.machine.on_staged(StageOutcome::Live { compile: Duration::from_millis(1) }, wall);
        }
    }
}

impl Session {
    fn drain(&mut self, control: &mut Control, random: &mut Random, now: Timestamp, storm: bool) {
        while let Some(effect) = self.hub.next_effect() {
            let at = now.plus(random.millis(600));
            let fails = storm && random.below(8) == 0;
            match effect {
                HubEffect::RecordHello(hello) => {
                    assert_eq!(hello.boot, self.boot);
                    self.answers.push((at, Answer::Admitted(control.received(self.boot))));
                }
                HubEffect::LoadConfig { .. } if fails => self.answers.push((at, Answer::ConfigFailed)),
                HubEffect::LoadConfig { applied } => {
                    self.answers.push((at, Answer::Config(control.config_for(applied))));
                }
                HubEffect::Send(frame) => {
                    let target = match &frame {
                        Frame::Snapshot(set) => Some(set.head()),
                        Frame::Delta(delta) => Some(delta.to),
                        _ => None,
                    };
                    if let Some((epoch, seq, digest)) = target.map(key) {
                        self.sent = target;
                        let again = control.nacked.contains(&(self.boot, epoch, seq, digest));
                        assert!(!again, "sent again after a nack");
                    }
                    post(&mut self.wire.to_node, frame, now.plus(random.millis(800)));
                }
                HubEffect::RecordNack(nack) => {
                    let head = self.sent.expect("a nack answers a config frame");
                    assert_eq!((head.revision.epoch, head.revision.seq), (nack.epoch, nack.seq));
                    let (epoch, seq, digest) = key(head);
                    control.nacked.insert((self.boot, epoch, seq, digest));
                }
                HubEffect::Ingest(_) if fails => self.answers.push((at, Answer::NotStored)),
                HubEffect::Ingest(batch) => {
                    // Committed, but the answer may still be lost with the session.
                    control.store(self.boot, batch.batch_seq, batch.records);
                    self.answers.push((at, Answer::Stored));
                }
                HubEffect::RecordAck(_) | HubEffect::Beat => {}
                HubEffect::Close(bye) => self.closed = Some(bye.code),
            }
        }
    }
}

#[test]
fn after_any_storm_every_node_serves_the_latest_and_no_record_is_lost_or_doubled() {
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            world.run();
            world.check_quiet();
        });
        assert!(outcome.is_ok(), "seed {seed} fails; see the panic above");
    }
}
