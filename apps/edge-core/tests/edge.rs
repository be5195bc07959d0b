//! Taking configurations into service, and what becomes of request records.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use novagate_access::{ConsumerKey, KeyDigest};
use novagate_documents::{
    config::parse_object,
    frames::{JsonBatchCodec, decode_batch},
    stored::JsonObjectCodec,
};
use novagate_edge_core::{ConfigSource, Edge, EdgeDeps, Recorder, RecorderDeps};
use novagate_fixtures::ManualClock;
use novagate_kernel::{
    ConsumerId, ConsumerKeyId, Epoch, ErrorCode, Name, ObjectKind, RequestId, Revision, ServiceId, TenantId,
};
use novagate_policies::{ConfigObject, ConsumerKeyGrant};
use novagate_ports_base::{Clock as _, FaultKind, ObjectCodec as _, PortError};
use novagate_ports_edge::{
    ConfigHost as _, LiveConfig, LoadReport, LoadedSnapshot, LoggedRequest, MetricSource, MetricVisitor, RecordSink,
    RecordSource, SnapshotStore, Staged, TelemetryItem, UpstreamHealth, UpstreamState,
};
use novagate_records::{Batch, MethodLabel, NO_INDEX, RequestRecord};
use novagate_sync::{ConfigSet, WireObject};
use serde_json::json;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Remembers what was saved; can refuse.
#[derive(Default)]
struct Slots {
    report: LoadReport,
    saved: Mutex<Vec<ConfigSet>>,
    revoked: Mutex<Vec<KeyDigest>>,
    full: bool,
}

#[async_trait]
impl SnapshotStore for Slots {
    async fn load(&self, _: Option<TenantId>) -> Result<LoadReport, PortError> {
        Ok(self.report.clone())
    }

    async fn save(&self, _: TenantId, config: &ConfigSet) -> Result<(), PortError> {
        if self.full {
            return Err(PortError::new("save", FaultKind::Unavailable, "disk full"));
        }
        self.saved.lock().unwrap().push(config.clone());
        Ok(())
    }

    async fn note_revoked(&self, keys: &[KeyDigest]) -> Result<(), PortError> {
        self.revoked.lock().unwrap().extend(keys);
        Ok(())
    }
}

struct World {
    edge: Edge,
    live: Arc<ArcSwapOption<LiveConfig>>,
    slots: Arc<Slots>,
    clock: ManualClock,
}

fn world(slots: Slots, max_config_age: Option<Duration>) -> World {
    let (live, slots, clock) = (Arc::new(ArcSwapOption::empty()), Arc::new(slots), ManualClock::default());
    let edge = Edge::new(EdgeDeps {
        live: Arc::clone(&live),
        codec: Arc::new(JsonObjectCodec),
        snapshots: Arc::clone(&slots) as _,
        clock: Arc::new(clock.clone()),
        tenant: Some(TenantId::from_entropy([1; 16])),
        max_config_age,
    });
    World { edge, live, slots, clock }
}

fn key() -> ConsumerKey {
    ConsumerKey::generate([9; 16])
}

/// A service, a route `/users/{id}` and a consumer with a key.
fn config(seq: u64) -> ConfigSet {
    let parse = |kind, id, value| parse_object(kind, Uuid::from_u128(id), &value).unwrap();
    let consumer = ConsumerId::from_u128(3);
    let grant = ConsumerKeyGrant { id: ConsumerKeyId::from_u128(4), consumer, digest: key().digest() };
    let objects = [
        parse(ObjectKind::Service, 1, json!({ "name": "users", "targets": [{ "url": "http://10.0.0.1:80" }] })),
        parse(
            ObjectKind::Route,
            2,
            json!({ "name": "get-user", "match": { "path": "/users/{id}" }, "service": "users" }),
        ),
        parse(ObjectKind::Consumer, 3, json!({ "name": "app" })),
        ConfigObject::ConsumerKey(grant),
    ];
    let wire = |object: &ConfigObject| WireObject::new(object.reference(), JsonObjectCodec.encode(object));
    ConfigSet::new(Revision { epoch: Epoch::try_from_u64(5).unwrap(), seq }, objects.iter().map(wire))
}

/// The same without the service that the route needs.
fn broken(seq: u64) -> ConfigSet {
    let good = config(seq);
    let without = good.objects().filter(|object| object.reference().kind != ObjectKind::Service).cloned();
    ConfigSet::new(good.head().revision, without)
}

#[tokio::test]
async fn a_configuration_that_compiles_is_live_and_kept() {
    let world = world(Slots::default(), None);
    assert_eq!(world.edge.status().serving, None);
    assert!(matches!(world.edge.stage(config(1)).await, Staged::Live { .. }));
    assert_eq!(world.live.load().as_ref().unwrap().compiled.head(), config(1).head());
    assert_eq!(world.slots.saved.lock().unwrap().as_slice(), [config(1)]);
    let status = world.edge.status();
    assert_eq!((status.serving, status.source), (Some(config(1).head()), ConfigSource::Live));
}

#[tokio::test]
async fn a_refused_configuration_names_its_objects_and_changes_nothing() {
    let world = world(Slots::default(), None);
    world.edge.stage(config(1)).await;
    let Staged::Refused(objects) = world.edge.stage(broken(2)).await else { panic!("it must be refused") };
    assert_eq!(objects[0].object.kind, ObjectKind::Route);
    assert_eq!((objects[0].code.as_str(), objects[0].field.as_str()), ("unknown_service", "/service"));
    assert_eq!(world.edge.status().serving, Some(config(1).head()));
    assert_eq!(world.slots.saved.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_unreadable_object_is_a_refusal_not_a_panic() {
    let world = world(Slots::default(), None);
    let good = config(1);
    let garbage = good.objects().map(|object| WireObject::new(object.reference(), "\u{0}{".into()));
    let set = ConfigSet::new(good.head().revision, garbage);
    let Staged::Refused(objects) = world.edge.stage(set).await else { panic!("it must be refused") };
    assert_eq!(objects.len(), 4);
}

#[tokio::test]
async fn a_full_disk_is_counted_and_does_not_keep_a_configuration_from_serving() {
    let world = world(Slots { full: true, ..Slots::default() }, None);
    assert!(matches!(world.edge.stage(config(1)).await, Staged::Live { .. }));
    assert_eq!(world.edge.status().snapshot_failures, 1);
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_and_stays_refused_in_the_next_configuration() {
    let world = world(Slots::default(), None);
    world.edge.stage(config(1)).await;
    let works = || world.live.load().as_ref().unwrap().compiled.consumer_of_key(&key().digest()).is_some();
    assert!(works());
    world.edge.revoke(vec![key().digest()]).await;
    assert!(!works());
    assert_eq!(world.slots.revoked.lock().unwrap().as_slice(), [key().digest()]);
    world.edge.stage(config(2)).await;
    assert!(!works(), "the next configuration may have been written before the revocation");
}

#[tokio::test]
async fn a_cold_start_serves_the_kept_configuration_without_the_keys_revoked_since() {
    let newest =
        LoadedSnapshot { tenant: TenantId::from_entropy([1; 16]), config: config(7), revoked: vec![key().digest()] };
    let world =
        world(Slots { report: LoadReport { newest: Some(newest), quarantined: vec![] }, ..Slots::default() }, None);
    let start = world.edge.cold_start().await.unwrap();
    assert!(start.serving);
    assert_eq!(start.config, Some(config(7)));
    assert_eq!(world.edge.status().source, ConfigSource::Disk);
    assert!(world.live.load().as_ref().unwrap().compiled.consumer_of_key(&key().digest()).is_none());
}

#[tokio::test]
async fn a_kept_configuration_that_this_version_cannot_compile_is_reported() {
    let newest = LoadedSnapshot { tenant: TenantId::from_entropy([1; 16]), config: broken(7), revoked: vec![] };
    let world =
        world(Slots { report: LoadReport { newest: Some(newest), quarantined: vec![] }, ..Slots::default() }, None);
    let start = world.edge.cold_start().await.unwrap();
    assert!(!start.serving && start.config.is_none());
    assert_eq!(start.quarantined.len(), 1);
}

#[tokio::test]
async fn a_configuration_is_served_for_ever_unless_an_age_is_set() {
    let lasting = world(Slots::default(), None);
    lasting.edge.stage(config(1)).await;
    lasting.clock.advance(Duration::from_hours(10_000));
    lasting.edge.enforce_age();
    assert!(lasting.edge.status().serving.is_some());

    let limited = world(Slots::default(), Some(Duration::from_mins(10)));
    limited.edge.link_changed(true, None);
    limited.edge.stage(config(1)).await;
    limited.edge.link_changed(false, None);
    limited.clock.advance(Duration::from_mins(10));
    limited.edge.enforce_age();
    assert!(limited.edge.status().serving.is_some());
    limited.clock.advance(Duration::from_secs(1));
    limited.edge.enforce_age();
    assert_eq!(limited.edge.status().serving, None);
    limited.edge.link_changed(true, None);
    limited.edge.enforce_age();
    assert_eq!(limited.edge.status().serving, Some(config(1).head()));
}

/// Gives its records once.
struct Ring(Mutex<Vec<RequestRecord>>);

impl RecordSource for Ring {
    fn drain(&self, into: &mut Vec<RequestRecord>, max: usize) {
        let mut records = self.0.lock().unwrap();
        let count = max.min(records.len());
        into.extend(records.drain(..count));
    }

    fn dropped(&self) -> u64 {
        3
    }
}

struct Cells;

impl MetricSource for Cells {
    fn visit(&self, visitor: &mut dyn MetricVisitor) {
        visitor.active_connections(5);
    }
}

struct Targets;

impl UpstreamHealth for Targets {
    fn state(&self, _: ServiceId) -> Option<UpstreamState> {
        Some(UpstreamState {
            healthy: 1,
            total: 1,
            ejected: Vec::new(),
            warming: 0,
            own_zone_only: false,
            panics: false,
            running: None,
            connections: None,
            tls_problem: None,
        })
    }
}

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl RecordSink for Lines {
    fn write(&self, request: &LoggedRequest<'_>) {
        self.0.lock().unwrap().push(format!(
            "{} {} {:?}",
            request.status,
            request.path,
            request.service.map(Name::as_str)
        ));
    }

    fn flush(&self) {}
}

struct Recording {
    world: World,
    ring: Arc<Ring>,
    lines: Arc<Lines>,
    recorder: Recorder,
    batches: mpsc::Receiver<TelemetryItem>,
}

async fn recording(queue: usize) -> Recording {
    let world = world(Slots::default(), None);
    world.edge.stage(config(1)).await;
    let (ring, lines) = (Arc::new(Ring(Mutex::default())), Arc::new(Lines::default()));
    let (uplink, batches) = mpsc::channel(queue);
    let recorder = Recorder::new(
        world.edge.clone(),
        RecorderDeps {
            records: Arc::clone(&ring) as _,
            metrics: Arc::new(Cells),
            upstreams: Arc::new(Targets),
            sink: Arc::clone(&lines) as _,
            codec: Arc::new(JsonBatchCodec),
            uplink: Some(uplink),
            clock: Arc::new(world.clock.clone()),
        },
    );
    Recording { world, ring, lines, recorder, batches }
}

fn record(world: &World, table: u32, route: u32, status: u16, code: Option<ErrorCode>) -> RequestRecord {
    RequestRecord {
        at: world.clock.now(),
        request_id: RequestId::from_u128(8),
        consumer: None,
        table,
        route,
        service: if route == NO_INDEX { NO_INDEX } else { 0 },
        latency_us: 700,
        upstream_us: NO_INDEX,
        status,
        method: MethodLabel::Get,
        code,
    }
}

fn decoded(batches: &mut mpsc::Receiver<TelemetryItem>) -> Vec<Batch> {
    std::iter::from_fn(|| batches.try_recv().ok()).map(|batch| decode_batch(batch.kind, &batch.body).unwrap()).collect()
}

#[tokio::test]
async fn records_find_their_names_even_after_the_configuration_changed() {
    let mut recording = recording(64).await;
    let old = recording.world.live.load().as_ref().unwrap().table;
    recording.world.edge.stage(config(2)).await;
    let world = &recording.world;
    let records = vec![
        record(world, old, 0, 200, None),
        record(world, old, NO_INDEX, 404, Some(ErrorCode::RouteNotFound)),
        record(world, old + 1, 0, 502, Some(ErrorCode::DownstreamError)),
        record(world, 9_999, 0, 200, None),
    ];
    *recording.ring.0.lock().unwrap() = records;
    assert_eq!(recording.recorder.turn(), 4);
    let lines = recording.lines.0.lock().unwrap().clone();
    let users = "Some(\"users\")";
    let wanted = [
        format!("200 /users/{{id}} {users}"),
        "404 unmatched None".into(),
        format!("502 /users/{{id}} {users}"),
        "200 unmatched None".into(),
    ];
    assert_eq!(lines, wanted);
    let batches = decoded(&mut recording.batches);
    let logged: usize =
        batches.iter().map(|batch| if let Batch::Logs(logs) = batch { logs.entries.len() } else { 0 }).sum();
    assert_eq!(logged, 4);
    let errors: Vec<_> = batches
        .iter()
        .filter_map(|batch| if let Batch::Errors(errors) = batch { Some(errors) } else { None })
        .flatten()
        .collect();
    assert_eq!(errors.len(), 1, "a client's mistake is no error event");
    assert_eq!((errors[0].code, errors[0].service), (ErrorCode::DownstreamError, Some(ServiceId::from_u128(1))));
}

#[tokio::test]
async fn a_window_sends_counts_and_health() {
    let mut recording = recording(64).await;
    let table = recording.world.live.load().as_ref().unwrap().table;
    let records = (0..3).map(|_| record(&recording.world, table, 0, 200, None)).collect();
    *recording.ring.0.lock().unwrap() = records;
    recording.recorder.turn();
    recording.world.clock.advance(Duration::from_secs(11));
    recording.recorder.turn();
    let batches = decoded(&mut recording.batches);
    let window =
        batches.iter().find_map(|batch| if let Batch::Metrics(window) = batch { Some(window) } else { None }).unwrap();
    assert_eq!((window.routes.len(), window.routes[0].requests()), (1, 3));
    let health =
        batches.iter().find_map(|batch| if let Batch::Health(health) = batch { Some(health) } else { None }).unwrap();
    assert_eq!((health.active_connections, health.dropped, health.services.len()), (5, 3, 1));
    assert_eq!(health.serving, Some(config(1).head()));
}

#[tokio::test]
async fn a_full_uplink_costs_records_that_are_counted() {
    let mut recording = recording(1).await;
    let table = recording.world.live.load().as_ref().unwrap().table;
    for _ in 0..2 {
        *recording.ring.0.lock().unwrap() = vec![record(&recording.world, table, 0, 200, None); 10];
        recording.recorder.turn();
    }
    assert_eq!(recording.recorder.dropped().load(Ordering::Relaxed), 10);
}

#[tokio::test]
async fn a_clock_that_steps_back_begins_a_new_window() {
    let mut recording = recording(64).await;
    recording.world.clock.step_back(Duration::from_hours(1));
    recording.recorder.turn();
    let batches = decoded(&mut recording.batches);
    assert!(batches.iter().any(|batch| matches!(batch, Batch::Health(_))));
}

/// How many requests each of these batches tells of.
fn logged(batches: &[Batch]) -> Vec<usize> {
    batches
        .iter()
        .filter_map(|batch| if let Batch::Logs(logs) = batch { Some(logs.entries.len()) } else { None })
        .collect()
}

#[tokio::test]
async fn turns_come_the_sooner_the_more_is_recorded() {
    let mut recording = recording(64).await;
    let table = recording.world.live.load().as_ref().unwrap().table;
    let mut turn = |count: usize| {
        *recording.ring.0.lock().unwrap() = vec![record(&recording.world, table, 0, 200, None); count];
        recording.recorder.turn();
        recording.recorder.pause().as_millis()
    };
    let calm = turn(0);
    assert_eq!((calm, turn(100)), (100, 100));
    assert_eq!(turn(2_560), 10, "as if 256 were wanted");
    assert_eq!(turn(256), 10, "as long as they come as fast");
    assert_eq!(turn(100_000), 5, "however many there are");
    assert_eq!(turn(0), 100);
}

#[tokio::test]
async fn requests_of_many_turns_make_one_batch() {
    let mut recording = recording(64).await;
    let table = recording.world.live.load().as_ref().unwrap().table;
    let mut turn = |count: usize, table: u32| {
        *recording.ring.0.lock().unwrap() = vec![record(&recording.world, table, 0, 200, None); count];
        recording.recorder.turn();
        logged(&decoded(&mut recording.batches))
    };
    assert_eq!(turn(900, table), [0; 0]);
    assert_eq!(turn(250, table), [1_000], "no more than a batch may hold");
    assert_eq!(turn(250, table + 1), [150], "never of two configurations");
    recording.world.clock.advance(Duration::from_millis(100));
    assert_eq!(turn(250, table + 1), [500], "none waits longer than in calm times");
    assert_eq!(turn(2_000, table + 1), [1_000]);
    recording.recorder.finish();
    assert_eq!(logged(&decoded(&mut recording.batches)), [1_000], "nothing is left behind");
}
