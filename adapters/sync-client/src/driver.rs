//! The loop around the node's machine: it feeds and obeys, and decides nothing.

use std::future::{Future as _, pending};
use std::sync::Arc;
use std::time::Duration;

use novagate_access::KeyDigest;
use novagate_kernel::Timestamp;
use novagate_net::{TaskHandle, Tasks};
use novagate_ports_base::{Clock, Entropy};
use novagate_ports_edge::{
    ConfigHost, DialError, LinkError, LinkEvent, Staged, SyncConnection, SyncDialer, TelemetryItem,
};
use novagate_sync::{ByeCode, ConfigSet, DialFailure, Frame, NodeEffect, NodeMachine, StageOutcome};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::dialer::KeySource;
use crate::link::{Link, LinkInput, code_of};
use crate::status::LinkStatus;

/// How long one frame may wait for a slow control plane.
const SEND_DEADLINE: Duration = Duration::from_secs(10);
/// How often a refused gateway looks whether its key has changed.
const KEY_LOOKS: Duration = Duration::from_secs(5);

/// Drives one gateway's link until it is told to stop.
pub struct NodeDriver {
    dialer: Arc<dyn SyncDialer>,
    host: Arc<dyn ConfigHost>,
    key: Option<KeySource>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    tasks: Tasks,
    status: LinkStatus,
}

/// The loop's state.
struct Running {
    driver: NodeDriver,
    machine: NodeMachine,
    link: Link,
    staging: Option<TaskHandle<Staged>>,
    began: (Timestamp, Instant),
    /// The reading that the machine saw last, and when the loop took it.
    read_at: (Timestamp, Instant),
    /// The key of the newest attempt.
    dialled_with: Option<KeyDigest>,
    /// When the key was last compared with that.
    looked_at: Instant,
    stopping: bool,
}

enum Input {
    Stop,
    Link(LinkInput),
    Staged(StageOutcome),
    Telemetry(Option<TelemetryItem>),
    LookAtKey,
    Deadline,
}

impl NodeDriver {
    /// A driver. `key` is the dialer's source, to notice a new key while the old one is refused.
    pub fn new(
        dialer: Arc<dyn SyncDialer>,
        host: Arc<dyn ConfigHost>,
        key: Option<KeySource>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        tasks: &Tasks,
    ) -> Self {
        Self { dialer, host, key, clock, entropy, tasks: tasks.clone(), status: LinkStatus::default() }
    }

    /// How the link is.
    pub fn status(&self) -> LinkStatus {
        self.status.clone()
    }

    /// Runs until `stop`, then says goodbye. `machine` must have been made just before, with the same clock.
    pub async fn run(
        self,
        machine: NodeMachine,
        mut telemetry: mpsc::Receiver<TelemetryItem>,
        stop: CancellationToken,
    ) {
        let began = (self.clock.now(), Instant::now());
        let mut running = Running {
            driver: self,
            machine,
            link: Link::None,
            staging: None,
            began,
            read_at: began,
            dialled_with: None,
            looked_at: began.1,
            stopping: false,
        };
        let mut telemetry_open = true;
        while !running.stopping {
            let input = running.wait(&mut telemetry, telemetry_open, &stop).await;
            telemetry_open &= !matches!(input, Input::Telemetry(None));
            running.feed(input);
            running.obey().await;
        }
    }
}

impl Running {
    async fn wait(
        &mut self,
        telemetry: &mut mpsc::Receiver<TelemetryItem>,
        telemetry_open: bool,
        stop: &CancellationToken,
    ) -> Input {
        let (deadline, look_at) = (self.deadline(), self.look_at_key());
        tokio::select! {
            () = stop.cancelled() => Input::Stop,
            input = self.link.next() => Input::Link(input),
            outcome = staged(&mut self.staging) => Input::Staged(outcome),
            item = telemetry.recv(), if telemetry_open => Input::Telemetry(item),
            () = until(look_at) => Input::LookAtKey,
            () = until(deadline) => Input::Deadline,
        }
    }

    fn feed(&mut self, input: Input) {
        let (now, entropy) = (self.now(), u64::from_le_bytes(self.driver.entropy.bytes()));
        match input {
            Input::Stop => {
                self.stopping = true;
                self.machine.stop(now);
                return;
            }
            Input::Link(LinkInput::Dialled(outcome)) => self.dialled(outcome, now, entropy),
            Input::Link(LinkInput::Event(event)) => self.received(event, now, entropy),
            Input::Staged(outcome) => {
                self.staging = None;
                self.machine.on_staged(outcome, now);
            }
            Input::Telemetry(Some(item)) => self.machine.enqueue(item.kind, item.body, item.records, now),
            Input::Telemetry(None) | Input::Deadline => {}
            Input::LookAtKey => {
                self.looked_at = self.read_at.1;
                let key = self.key_digest();
                if key.is_some() && key != self.dialled_with {
                    self.dialled_with = key;
                    self.machine.on_key_changed(now);
                }
            }
        }
        self.machine.on_deadline(now, entropy);
    }

    fn dialled(&mut self, outcome: Result<Box<dyn SyncConnection>, DialError>, now: Timestamp, entropy: u64) {
        self.link = Link::None;
        let failure = match outcome {
            Ok(connection) => {
                self.link = Link::Open(connection);
                self.machine.on_dialled(now);
                return;
            }
            Err(DialError::Refused { code }) => DialFailure::Refused(code),
            Err(DialError::NotReady { retry_after }) => DialFailure::NotReady { retry_after },
            Err(DialError::Unreachable(fault)) => {
                tracing::debug!(error = %fault, "the control plane cannot be reached");
                DialFailure::Unreachable
            }
        };
        self.machine.on_dial_failed(failure, now, entropy);
    }

    fn received(&mut self, event: Result<LinkEvent, LinkError>, now: Timestamp, entropy: u64) {
        match event {
            Ok(LinkEvent::Frame(frame)) => {
                if let Err(fault) = self.machine.on_frame(*frame, now, entropy) {
                    tracing::warn!(error = %fault, "the control plane broke the protocol");
                }
            }
            Ok(LinkEvent::Closed(code)) => {
                self.link = Link::None;
                self.machine.on_closed(code, now, entropy);
            }
            Err(fault) => {
                tracing::debug!(error = %fault, "the link to the control plane ended");
                let code = code_of(&fault);
                self.farewell(code);
                self.machine.on_closed(None, now, entropy);
            }
        }
    }

    /// Does everything that the machine asks for.
    async fn obey(&mut self) {
        while let Some(effect) = self.machine.next_effect() {
            match effect {
                NodeEffect::Dial => self.dial(),
                NodeEffect::Send(frame) => self.send(&frame).await,
                NodeEffect::Stage(config) => self.stage(config),
                NodeEffect::Revoke(keys) => {
                    let keys = keys.iter().map(|key| KeyDigest::from_bytes(*key.as_bytes())).collect();
                    self.driver.host.revoke(keys).await;
                }
                NodeEffect::Close(code) if self.stopping => {
                    if let Some(mut connection) = self.link.take() {
                        connection.close(code).await;
                    }
                }
                NodeEffect::Close(code) => self.farewell(code),
                NodeEffect::LinkChanged { connected, refused } => self.link_changed(connected, refused),
            }
        }
        self.driver.status.update(&self.machine);
    }

    fn dial(&mut self) {
        self.dialled_with = self.key_digest();
        let dialer = Arc::clone(&self.driver.dialer);
        self.link = Link::Dialling(Box::pin(async move { dialer.dial().await }));
    }

    async fn send(&mut self, frame: &Frame) {
        let Link::Open(connection) = &mut self.link else { return };
        let sent = timeout(SEND_DEADLINE, connection.send(frame)).await;
        if !matches!(sent, Ok(Ok(()))) {
            tracing::debug!(frame = frame.name(), "a frame could not be sent");
            self.link = Link::None;
            let (now, entropy) = (self.now(), u64::from_le_bytes(self.driver.entropy.bytes()));
            self.machine.on_closed(None, now, entropy);
        }
    }

    /// On a task of its own, so that heartbeats and revocations go on while it compiles.
    fn stage(&mut self, config: ConfigSet) {
        let host = Arc::clone(&self.driver.host);
        self.staging = Some(self.driver.tasks.spawn("sync-stage", async move { host.stage(config).await }));
    }

    /// Closes the connection without waiting for it.
    fn farewell(&mut self, code: ByeCode) {
        if let Some(mut connection) = self.link.take() {
            self.driver.tasks.spawn("sync-farewell", async move { connection.close(code).await });
        }
    }

    fn link_changed(&self, connected: bool, refused: Option<ByeCode>) {
        if let Some(code) = refused {
            tracing::error!(?code, "the control plane refuses this gateway; it goes on serving what it has");
        } else if connected {
            tracing::info!("connected to the control plane");
        } else if !self.stopping {
            tracing::warn!("the control plane is away; this gateway goes on serving what it has");
        }
        self.driver.host.link_changed(connected, refused);
    }

    /// Wall-clock time that no step of the machine's clock can move: where the loop began, and what has passed since.
    fn now(&mut self) -> Timestamp {
        let instant = Instant::now();
        let now = self.began.0.plus(instant.duration_since(self.began.1));
        self.read_at = (now, instant);
        now
    }

    fn deadline(&self) -> Option<Instant> {
        let wait = self.machine.next_deadline()?.since(self.read_at.0);
        self.read_at.1.checked_add(wait)
    }

    fn look_at_key(&self) -> Option<Instant> {
        self.machine.refused().filter(|_| self.driver.key.is_some())?;
        self.looked_at.checked_add(KEY_LOOKS)
    }

    /// A key that cannot be read now is no other key.
    fn key_digest(&self) -> Option<KeyDigest> {
        self.driver.key.as_ref()?().ok().map(|key| key.digest())
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

/// What became of the staged configuration. A host that panics has changed nothing.
async fn staged(staging: &mut Option<TaskHandle<Staged>>) -> StageOutcome {
    let Some(handle) = staging else { return pending().await };
    match std::future::poll_fn(|cx| std::pin::Pin::new(&mut *handle).poll(cx)).await {
        Ok(Staged::Live { compile }) => StageOutcome::Live { compile },
        Ok(Staged::Refused(objects)) => StageOutcome::Refused(objects),
        Err(end) => {
            tracing::error!(error = %end, "a configuration could not be staged");
            StageOutcome::Refused(Vec::new())
        }
    }
}
