//! The contract of [`SyncConnection`], over every transport.
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use novagate_kernel::{
    BatchKind, BootId, Digest, Epoch, Head, NodeId, ObjectKind, ObjectRef, Revision, SessionId, TenantId,
};
use novagate_ports_edge::{LinkEvent, SyncConnection};
use novagate_sync::{
    Ack, BatchFrame, Bye, ByeCode, ConfigSet, Delta, Frame, Hello, Nack, NackedObject, ObjectFaultCode, Refused,
    Revoke, SyncMode, Welcome, WireObject,
};
use tokio::time::timeout;
use uuid::Uuid;

/// Longest wait for something that must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection with both of its ends, for one case.
pub trait TransportFixture: Sized + Send {
    /// What must stay alive, the node's end and the hub's.
    fn connect() -> impl Future<Output = (Self, Box<dyn SyncConnection>, Box<dyn SyncConnection>)> + Send;
}

/// Runs the suite of a transport over a [`TransportFixture`](crate::TransportFixture).
#[macro_export]
macro_rules! transport_contract {
    ($fixture:ty) => {
        $crate::cases!(
            transport, $fixture:
            every_frame_arrives_whole_in_order_and_equal,
            a_large_snapshot_arrives_whole,
            frames_cross_in_both_directions,
            every_close_code_arrives_after_what_was_sent_before,
            after_a_close_nothing_more_arrives,
            a_peer_that_vanishes_ends_the_connection,
            a_cancelled_receive_loses_nothing,
        );
    };
}

fn head(seq: u64) -> Head {
    let epoch = Epoch::try_from_u64((1 << 48) - 1).unwrap();
    Head { revision: Revision { epoch, seq }, digest: Digest::from_bytes([7; 32]) }
}

fn object(number: u128, body: String) -> WireObject {
    let kinds = ObjectKind::ALL;
    let kind = kinds[usize::try_from(number % 4).unwrap()];
    WireObject::new(ObjectRef { kind, id: Uuid::from_u128(number) }, Bytes::from(body))
}

fn snapshot(objects: u128, padding: usize) -> ConfigSet {
    let body = |number| format!("{{\"name\":\"n{number}\",\"text\":\"é😀{}\"}}", "x".repeat(padding));
    ConfigSet::new(head(3).revision, (1..=objects).map(|number| object(number, body(number))))
}

fn node_frames() -> Vec<Frame> {
    let (node, boot) = (NodeId::from_u128(1), BootId::from_u128(2));
    let labels = BTreeMap::from([("zone".to_owned(), "eu-1".to_owned())]);
    let hello = |applied, refused| Hello {
        node,
        boot,
        build: "novagate-gateway/0.1.0".to_owned(),
        features: vec!["chunks".to_owned()],
        labels: labels.clone(),
        applied,
        refused,
    };
    let fault = NackedObject {
        object: ObjectRef { kind: ObjectKind::Route, id: Uuid::from_u128(9) },
        code: ObjectFaultCode::new("bad_regex"),
        field: "/match/path".to_owned(),
    };
    let nack = Nack { epoch: head(4).revision.epoch, seq: 4, objects: vec![fault], serving: Some(head(3)) };
    let batch = |kind, batch_seq| {
        let body = Bytes::from_static(b"{\"records\":[{\"at\":1},{\"at\":2}]}");
        Frame::Batch(BatchFrame { kind, boot, batch_seq, body, records: 2 })
    };
    let mut frames = vec![
        Frame::Hello(hello(None, None)),
        Frame::Hello(hello(Some(head(3)), Some(Refused { head: head(2) }))),
        Frame::Ack(Ack { head: head(3), compile_us: 1_234 }),
        Frame::Nack(nack),
    ];
    frames.extend(BatchKind::ALL.into_iter().zip(1..).map(|(kind, seq)| batch(kind, seq)));
    frames.extend([Frame::Ping { applied: Some(head(3)) }, Frame::Ping { applied: None }, Frame::Pong]);
    frames
}

fn hub_frames() -> Vec<Frame> {
    let welcome = |mode| {
        let heartbeat = Duration::from_secs(15);
        Frame::Welcome(Welcome { session: SessionId::from_u128(5), tenant: TenantId::from_u128(6), heartbeat, mode })
    };
    let gone = ObjectRef { kind: ObjectKind::Consumer, id: Uuid::from_u128(77) };
    let upserts = vec![object(1, "{\"name\":\"a\"}".to_owned())];
    vec![
        welcome(SyncMode::Current),
        welcome(SyncMode::Delta),
        welcome(SyncMode::Snapshot),
        Frame::Snapshot(ConfigSet::new(head(1).revision, [])),
        Frame::Snapshot(snapshot(3, 10)),
        Frame::Delta(Arc::new(Delta { from: 3, to: head(8), upserts, deletes: vec![gone] })),
        Frame::Received { boot: BootId::from_u128(2), batch_seq: 41 },
        Frame::Revoke(Revoke { consumer_keys: vec![Digest::from_bytes([1; 32]), Digest::from_bytes([2; 32])] }),
        Frame::Bye(Bye { code: ByeCode::GoingAway, retry_after: Some(Duration::from_millis(1_500)) }),
        Frame::Bye(Bye { code: ByeCode::KeyRevoked, retry_after: None }),
    ]
}

async fn event(connection: &mut Box<dyn SyncConnection>) -> LinkEvent {
    timeout(PATIENCE, connection.receive()).await.expect("an event in time").expect("no fault of the link")
}

async fn expect_frame(connection: &mut Box<dyn SyncConnection>, expected: &Frame) {
    assert_eq!(event(connection).await, LinkEvent::Frame(Box::new(expected.clone())));
}

/// Sends everything while the other end reads; a transport may need both to make progress.
async fn carry(from: &mut Box<dyn SyncConnection>, to: &mut Box<dyn SyncConnection>, frames: &[Frame]) {
    let send = async {
        for frame in frames {
            from.send(frame).await.unwrap();
        }
        // A sender that goes on reading also goes on writing.
        let _ = timeout(Duration::from_millis(1), from.receive()).await;
    };
    let receive = async {
        for frame in frames {
            expect_frame(to, frame).await;
        }
    };
    tokio::join!(send, receive);
}

pub async fn every_frame_arrives_whole_in_order_and_equal<F: TransportFixture>() {
    let (_alive, mut node, mut hub) = F::connect().await;
    carry(&mut node, &mut hub, &node_frames()).await;
    carry(&mut hub, &mut node, &hub_frames()).await;
}

pub async fn a_large_snapshot_arrives_whole<F: TransportFixture>() {
    let (_alive, mut node, mut hub) = F::connect().await;
    let set = snapshot(200, 1_000);
    assert!(set.body_bytes() > 200 * 1_024);
    let frame = Frame::Snapshot(set);
    let send = async {
        hub.send(&frame).await.unwrap();
        // The hub's loop reads all the time, which also moves what waits to be written.
        event(&mut hub).await
    };
    let receive = async {
        expect_frame(&mut node, &frame).await;
        node.send(&Frame::Pong).await.unwrap();
    };
    let (answer, ()) = tokio::join!(send, receive);
    assert_eq!(answer, LinkEvent::Frame(Box::new(Frame::Pong)));
}

pub async fn frames_cross_in_both_directions<F: TransportFixture>() {
    let (_alive, mut node, mut hub) = F::connect().await;
    for frame in node_frames() {
        node.send(&frame).await.unwrap();
        hub.send(&Frame::Pong).await.unwrap();
        expect_frame(&mut hub, &frame).await;
        expect_frame(&mut node, &Frame::Pong).await;
    }
}

pub async fn every_close_code_arrives_after_what_was_sent_before<F: TransportFixture>() {
    for code in ByeCode::ALL {
        let (_alive, mut node, mut hub) = F::connect().await;
        hub.send(&Frame::Pong).await.unwrap();
        let close = hub.close(code);
        let read = async {
            expect_frame(&mut node, &Frame::Pong).await;
            assert_eq!(event(&mut node).await, LinkEvent::Closed(Some(code)));
        };
        tokio::join!(close, read);
    }
}

pub async fn after_a_close_nothing_more_arrives<F: TransportFixture>() {
    let (_alive, mut node, mut hub) = F::connect().await;
    let read = async {
        assert_eq!(event(&mut hub).await, LinkEvent::Closed(Some(ByeCode::GoingAway)));
        for _ in 0..3 {
            let more = timeout(PATIENCE, hub.receive()).await.expect("an answer in time");
            assert!(!matches!(more, Ok(LinkEvent::Frame(_))), "{more:?}");
        }
    };
    tokio::join!(node.close(ByeCode::GoingAway), read);
    assert!(node.send(&Frame::Pong).await.is_err());
    let more = timeout(PATIENCE, node.receive()).await.expect("an answer in time");
    assert!(!matches!(more, Ok(LinkEvent::Frame(_))), "{more:?}");
}

pub async fn a_peer_that_vanishes_ends_the_connection<F: TransportFixture>() {
    let (_alive, node, mut hub) = F::connect().await;
    drop(node);
    let end = timeout(PATIENCE, hub.receive()).await.expect("an answer in time");
    assert!(matches!(end, Ok(LinkEvent::Closed(None)) | Err(_)), "{end:?}");
}

pub async fn a_cancelled_receive_loses_nothing<F: TransportFixture>() {
    let (_alive, mut node, mut hub) = F::connect().await;
    let frames: Vec<Frame> =
        (1..=20).map(|batch_seq| Frame::Received { boot: BootId::from_u128(2), batch_seq }).collect();
    let send = async {
        for frame in &frames {
            hub.send(frame).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let receive = async {
        let mut seen = Vec::new();
        while seen.len() < frames.len() {
            // Polled once and dropped, again and again.
            if let Some(event) = node.receive().now_or_never() {
                seen.push(event.unwrap());
            } else {
                tokio::task::yield_now().await;
            }
        }
        seen
    };
    let (seen, ()) = timeout(PATIENCE, async { tokio::join!(receive, send) }).await.expect("all in time");
    let expected: Vec<LinkEvent> = frames.iter().map(|frame| LinkEvent::Frame(Box::new(frame.clone()))).collect();
    assert_eq!(seen, expected);
}
