//! Frames from outside: golden files, tolerance, bounds and hostile bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use novagate_kernel::{
    BootId, ConsumerId, Digest, Epoch, ErrorCode, Head, Name, NodeId, ObjectKind, ObjectRef, RequestId, Revision,
    RouteId, ServiceId, SessionId, TenantId, Timestamp,
};
use novagate_ports_edge::BatchCodec as _;
use novagate_records::{
    Batch, ErrorEvent, HealthSnapshot, LogBatch, LogEntry, MethodLabel, MetricsWindow, RouteLabel, RouteWindow,
    ServiceHealth,
};
use novagate_sync::{
    Ack, BatchFrame, Bye, ByeCode, ConfigSet, Delta, Hello, Nack, NackedObject, ObjectFaultCode, Refused, Revoke,
    SyncMode, Welcome, WireObject,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::golden::{golden, mutate};

const AT: Timestamp = Timestamp::from_micros(1_767_323_045_678_901);

fn revision(seq: u64) -> Revision {
    Revision { epoch: Epoch::try_from_u64(281_474_976_710_655).unwrap(), seq }
}

fn head(seq: u64) -> Head {
    Head { revision: revision(seq), digest: Digest::from_bytes([0xab; 32]) }
}

fn reference(kind: ObjectKind, id: u128) -> ObjectRef {
    ObjectRef { kind, id: Uuid::from_u128(id) }
}

fn object(kind: ObjectKind, id: u128, body: &'static str) -> WireObject {
    WireObject::new(reference(kind, id), Bytes::from_static(body.as_bytes()))
}

fn objects() -> Vec<WireObject> {
    vec![
        object(ObjectKind::Service, 1, r#"{"name":"a","targets":[{"url":"http://a.example","weight":1}]}"#),
        // Spaces, escapes and order are part of the bytes.
        object(ObjectKind::Route, 2, r#"{ "z": 1, "name" : "b\u0041", "n": 1.0e2 }"#),
    ]
}

fn logs() -> Batch {
    let label = RouteLabel {
        id: RouteId::from_u128(2),
        template: Arc::from("/users/{id}"),
        service: Name::parse("users").ok(),
    };
    let served = LogEntry {
        at: AT,
        request_id: RequestId::from_u128(3),
        route: Some(0),
        consumer: Some(ConsumerId::from_u128(4)),
        latency_us: 1_234,
        upstream_us: Some(1_000),
        status: 200,
        method: MethodLabel::Get,
        code: None,
    };
    let refused = LogEntry {
        route: None,
        consumer: None,
        upstream_us: None,
        status: 404,
        method: MethodLabel::Other,
        code: Some(ErrorCode::RouteNotFound),
        ..served
    };
    Batch::Logs(LogBatch { routes: vec![label], entries: vec![served, refused] })
}

fn batches() -> Vec<Batch> {
    let event = ErrorEvent {
        at: AT,
        code: ErrorCode::DownstreamTimeout,
        route: Some(RouteId::from_u128(2)),
        service: Some(ServiceId::from_u128(1)),
        request_id: RequestId::from_u128(3),
    };
    let health = HealthSnapshot {
        at: AT,
        uptime: Duration::from_millis(61_001),
        serving: Some(head(3)),
        active_connections: 12,
        dropped: 0,
        services: vec![ServiceHealth {
            id: ServiceId::from_u128(1),
            name: Name::parse("users").unwrap(),
            healthy: 1,
            total: 2,
        }],
    };
    let mut row = RouteWindow::empty(Some(RouteId::from_u128(2)));
    row.classes = [0, 9, 0, 1, 0];
    row.latency[3] = 10;
    row.latency_sum_us = 9_000;
    let window =
        MetricsWindow { from: AT, to: AT.plus(Duration::from_secs(10)), routes: vec![row, RouteWindow::empty(None)] };
    let bare = ErrorEvent { route: None, service: None, ..event };
    vec![logs(), Batch::Errors(vec![event, bare]), Batch::Health(health), Batch::Metrics(window)]
}

fn batch_frame(batch: &Batch) -> Frame {
    Frame::Batch(BatchFrame {
        kind: batch.kind(),
        boot: BootId::from_u128(5),
        batch_seq: 7,
        body: JsonBatchCodec.encode(batch),
        records: u32::try_from(batch.len()).unwrap(),
    })
}

/// One frame of every type, with the name of its golden file.
fn frames() -> Vec<(String, Frame)> {
    let hello = Hello {
        node: NodeId::from_u128(6),
        boot: BootId::from_u128(5),
        build: "novagate-gateway/0.1.0".to_owned(),
        features: vec!["revoke".to_owned()],
        labels: BTreeMap::from([("zone".to_owned(), "eu-1".to_owned())]),
        applied: Some(head(2)),
        refused: Some(Refused { head: head(3) }),
    };
    let first = Hello { features: vec![], labels: BTreeMap::new(), applied: None, refused: None, ..hello.clone() };
    let welcome = Welcome {
        session: SessionId::from_u128(8),
        tenant: TenantId::from_u128(9),
        heartbeat: Duration::from_secs(15),
        mode: SyncMode::Delta,
    };
    let delta =
        Delta { from: 2, to: head(4), upserts: objects(), deletes: vec![reference(ObjectKind::ConsumerKey, 10)] };
    let nack = Nack {
        epoch: revision(4).epoch,
        seq: 4,
        objects: vec![NackedObject {
            object: reference(ObjectKind::Route, 2),
            code: ObjectFaultCode::new("unknown_service"),
            field: "/service".to_owned(),
        }],
        serving: Some(head(2)),
    };
    let mut frames = vec![
        ("hello", Frame::Hello(hello)),
        ("hello_first", Frame::Hello(first)),
        ("welcome", Frame::Welcome(welcome)),
        ("snapshot", Frame::Snapshot(ConfigSet::new(revision(3), objects()))),
        ("snapshot_empty", Frame::Snapshot(ConfigSet::new(revision(1), []))),
        ("delta", Frame::Delta(Arc::new(delta))),
        ("ack", Frame::Ack(Ack { head: head(4), compile_us: 815 })),
        ("nack", Frame::Nack(nack)),
        ("received", Frame::Received { boot: BootId::from_u128(5), batch_seq: 7 }),
        ("revoke", Frame::Revoke(Revoke { consumer_keys: vec![Digest::from_bytes([1; 32])] })),
        ("ping", Frame::Ping { applied: None }),
        ("ping_node", Frame::Ping { applied: Some(head(4)) }),
        ("pong", Frame::Pong),
        ("bye", Frame::Bye(Bye { code: ByeCode::TryLater, retry_after: Some(Duration::from_millis(1500)) })),
        ("bye_refusal", Frame::Bye(Bye { code: ByeCode::KeyRevoked, retry_after: None })),
    ];
    for batch in batches() {
        frames.push((batch.kind().as_str(), batch_frame(&batch)));
    }
    frames.into_iter().map(|(name, frame)| (format!("frame_v1_{name}.json"), frame)).collect()
}

fn read_back(text: &str) -> Frame {
    match decode(text.as_bytes()) {
        Ok(Decoded::Frame(frame)) => frame,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_frame_is_written_as_its_golden_file_and_read_back() {
    for (name, frame) in frames() {
        let text = encode(&frame);
        assert_eq!(text, String::from_utf8(golden(&name, text.as_bytes())).unwrap(), "{name}");
        assert_eq!(read_back(&text), frame, "{name}");
    }
}

#[test]
fn every_batch_survives_its_frame() {
    for batch in batches() {
        let Frame::Batch(frame) = read_back(&encode(&batch_frame(&batch))) else { panic!() };
        assert_eq!(decode_batch(frame.kind, &frame.body).unwrap(), batch);
        assert_eq!(usize::try_from(frame.records).unwrap(), batch.len());
    }
}

#[test]
fn a_body_keeps_its_exact_bytes() {
    let Frame::Snapshot(config) = read_back(&encode(&Frame::Snapshot(ConfigSet::new(revision(3), objects())))) else {
        panic!()
    };
    for wanted in objects() {
        assert_eq!(config.get(wanted.reference()).unwrap().body(), wanted.body());
    }
}

#[test]
fn a_snapshot_whose_digest_does_not_hold_is_refused() {
    let text = encode(&Frame::Snapshot(ConfigSet::new(revision(3), objects())));
    assert_eq!(decode(text.replace(r#""weight":1"#, r#""weight":2"#).as_bytes()), Err(FrameError::Digest));
    let not_json = object(ObjectKind::Service, 1, "}{");
    let text = encode(&Frame::Snapshot(ConfigSet::new(revision(3), [not_json])));
    assert_eq!(decode(text.as_bytes()), Err(FrameError::Digest));
}

#[test]
fn unknown_fields_are_passed_over_in_every_frame() {
    for (name, frame) in frames() {
        let text = encode(&frame).replacen('{', r#"{"zzz":{"type":"x","a":[1,{"b":null}]},"#, 1);
        assert_eq!(read_back(&text), frame, "{name}");
    }
}

#[test]
fn unknown_types_are_skipped_only_when_they_are_optional() {
    assert_eq!(decode(br#"{"type":"hint","optional":true,"x":1}"#), Ok(Decoded::Skipped));
    for text in [r#"{"type":"hint"}"#, r#"{"type":"hint","optional":false}"#, r#"{"type":"chunk"}"#] {
        assert_eq!(decode(text.as_bytes()), Err(FrameError::UnknownType));
    }
}

#[test]
fn what_is_no_frame_is_refused() {
    for text in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"type":1}"#,
        r#"{"type":"pong"} x"#,
        r#"{"type":"pong","type":"ping"}"#,
        "\u{feff}{}",
    ] {
        assert_eq!(decode(text.as_bytes()), Err(FrameError::NotAFrame), "{text}");
    }
    assert_eq!(decode(&[0xff, 0xfe]), Err(FrameError::NotAFrame));
    let deep = format!(r#"{{"type":"pong","x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    drop(decode(deep.as_bytes()));
}

#[test]
fn malformed_fields_are_named_by_frame_and_place_only() {
    let text = r#"{"type":"ack","epoch":1,"seq":"CANARY7F"}"#;
    let error = decode(text.as_bytes()).unwrap_err();
    assert!(matches!(error, FrameError::Malformed { frame: "ack", .. }));
    assert!(!format!("{error:?} {error}").contains("CANARY7F"));
    let epoch = encode(&frames()[6].1).replace("281474976710655", "281474976710656");
    assert!(matches!(decode(epoch.as_bytes()), Err(FrameError::Malformed { .. })));
}

#[test]
fn what_a_node_claims_is_bounded() {
    let (_, Frame::Hello(hello)) = frames().remove(0) else { panic!() };
    let refused = |hello: Hello| decode(encode(&Frame::Hello(hello)).as_bytes()).is_err();
    assert!(refused(Hello { build: "x".repeat(65), ..hello.clone() }));
    assert!(refused(Hello { build: "a\nb".to_owned(), ..hello.clone() }));
    assert!(refused(Hello { features: vec!["x".to_owned(); 33], ..hello.clone() }));
    let labels = |count: usize| (0..count).map(|at| (format!("l{at}"), String::new())).collect();
    assert!(!refused(Hello { labels: labels(16), ..hello.clone() }));
    assert!(refused(Hello { labels: labels(17), ..hello.clone() }));
    assert!(refused(Hello { labels: BTreeMap::from([("a".to_owned(), "\u{1b}[2J".to_owned())]), ..hello }));
}

#[test]
fn a_batch_holds_at_most_a_thousand_records() {
    let Batch::Logs(logs) = logs() else { panic!() };
    let of = |count: usize| Batch::Logs(LogBatch { entries: vec![logs.entries[0]; count], ..logs.clone() });
    assert!(decode(encode(&batch_frame(&of(MAX_BATCH_RECORDS))).as_bytes()).is_ok());
    let over = of(MAX_BATCH_RECORDS + 1);
    assert!(matches!(decode(encode(&batch_frame(&over)).as_bytes()), Err(FrameError::TooMany { .. })));
    assert!(matches!(decode_batch(BatchKind::Logs, &encode_batch(&over)), Err(FrameError::TooMany { .. })));
}

#[test]
fn templates_and_route_indexes_are_checked() {
    let Batch::Logs(logs) = logs() else { panic!() };
    let with = |template: &str, route: u32| {
        let mut logs = logs.clone();
        logs.routes[0].template = Arc::from(template);
        logs.entries[0].route = Some(route);
        decode_batch(BatchKind::Logs, &encode_batch(&Batch::Logs(logs)))
    };
    assert!(with("/a", 0).is_ok());
    assert!(with("/a", 1).is_err());
    assert!(with("/a\n", 0).is_err());
    assert!(with(&"/".repeat(MAX_TEMPLATE_BYTES + 1), 0).is_err());
}

#[test]
fn promise_n1_what_a_node_adds_to_a_record_is_not_kept() {
    let body = String::from_utf8(encode_batch(&logs()).to_vec()).unwrap();
    let more = body.replace(r#""status""#, r#""path":"/users/CANARY7F?q=1","ip":"192.0.2.1","status""#);
    assert_ne!(more, body);
    let kept = decode_batch(BatchKind::Logs, more.as_bytes()).unwrap();
    assert_eq!(kept, logs());
    assert!(!format!("{kept:?}").contains("CANARY7F"));
}

#[test]
fn codes_of_a_newer_gateway_do_not_spoil_a_batch() {
    let body = String::from_utf8(encode_batch(&logs()).to_vec()).unwrap().replace("ROUTE_NOT_FOUND", "BRAND_NEW");
    let Batch::Logs(read) = decode_batch(BatchKind::Logs, body.as_bytes()).unwrap() else { panic!() };
    assert_eq!((read.entries.len(), read.entries[1].code), (2, None));
    let events = &batches()[1];
    let body = String::from_utf8(encode_batch(events).to_vec()).unwrap().replacen("DOWNSTREAM_TIMEOUT", "BRAND_NEW", 1);
    assert_eq!(decode_batch(BatchKind::Errors, body.as_bytes()).unwrap().len(), 1);
}

#[test]
fn a_batch_without_records_travels_as_an_empty_one() {
    let frame = BatchFrame {
        kind: BatchKind::Logs,
        boot: BootId::from_u128(5),
        batch_seq: 1,
        body: Bytes::from_static(b"junk\"}"),
        records: 0,
    };
    let Frame::Batch(read) = read_back(&encode(&Frame::Batch(frame))) else { panic!() };
    assert_eq!(read.body, Bytes::from_static(br#"{"records":[]}"#));
}

#[test]
fn an_unknown_close_code_means_that_the_peer_goes_away() {
    let Frame::Bye(bye) = read_back(r#"{"type":"bye","code":4999,"retryAfterMs":18446744073709551615}"#) else {
        panic!()
    };
    assert_eq!((bye.code, bye.retry_after), (ByeCode::GoingAway, Some(Duration::from_hours(24))));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(decode(&bytes));
        for kind in BatchKind::ALL {
            drop(decode_batch(kind, &bytes));
        }
    }

    #[test]
    fn no_change_to_a_frame_panics_and_what_is_read_is_written_alike(
        which in 0_usize..19, at in any::<usize>(), byte in any::<u8>(), how in any::<u8>(),
    ) {
        let (_, frame) = frames().remove(which);
        let changed = mutate(encode(&frame).as_bytes(), at, byte, how);
        if let Ok(Decoded::Frame(read)) = decode(&changed) {
            prop_assert_eq!(read_back(&encode(&read)), read.clone());
            if let Frame::Batch(batch) = read {
                drop(decode_batch(batch.kind, &batch.body));
            }
        }
    }

    #[test]
    fn no_change_to_a_batch_panics(which in 0_usize..4, at in any::<usize>(), byte in any::<u8>(), how in any::<u8>()) {
        let batch = batches().remove(which);
        let changed = mutate(&encode_batch(&batch), at, byte, how);
        if let Ok(read) = decode_batch(batch.kind(), &changed) {
            prop_assert_eq!(decode_batch(batch.kind(), &encode_batch(&read)).unwrap(), read);
        }
    }
}
