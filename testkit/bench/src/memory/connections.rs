//! What the gateway has for each connection of a client: at rest, and while its upstream has not answered.
//!
//! Always: the upstream counts the connections that wait. Not here: what the kernel has for a connection.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::{READY_WITHIN, settled};
use crate::config::{SILENT_PATH, beside_silence};
use crate::gateway::{Gateway, Origin};
use crate::http::{Connection, Request};
use crate::wait;
use crate::workspace::{Scope, WorkDir};

/// How many there are: with the upstream's ends few enough for the files that a process may open.
pub(super) const CONNECTIONS: u32 = 400;

const OPEN_PATH: &str = "/";

/// KiB for one connection.
pub(super) struct Each {
    /// Between two requests.
    pub(super) resting: f64,
    /// With a request that is answered some day; the upstream's connection is in it.
    pub(super) waiting: f64,
}

/// An upstream that takes connections and says nothing; it lives as long as the process.
struct Silent {
    address: SocketAddr,
    taken: Arc<AtomicU32>,
}

pub(super) fn connections(scope: &Scope, work: &WorkDir, upstream: SocketAddr) -> Result<Each> {
    let silent = Silent::start()?;
    let config = work.file("silent.yaml", &beside_silence(upstream, silent.address).to_string())?;
    let mut gateway = Gateway::start(scope, work, "gateway-silent", &Origin::File(&config))?;
    gateway.ready_within(Request::get(OPEN_PATH, None), READY_WITHIN)?;
    let without = settled(&gateway)?;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = Connection::open(gateway.traffic)?;
        let answer = client.send(Request::get(OPEN_PATH, None))?;
        ensure!(answer.status == 200, "answered {}", answer.status);
        clients.push(client);
    }
    let resting = settled(&gateway)?;
    for client in &mut clients {
        client.begin(Request::get(SILENT_PATH, None))?;
    }
    wait::until("requests at the upstream", READY_WITHIN, Duration::from_millis(10), || {
        Ok((silent.taken.load(Ordering::Relaxed) == CONNECTIONS).then_some(()))
    })?;
    let waiting = settled(&gateway)?;
    let each = |mib: f64| (mib - without) * 1024.0 / f64::from(CONNECTIONS);
    Ok(Each { resting: each(resting), waiting: each(waiting) })
}

impl Silent {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, taken) = (listener.local_addr()?, Arc::<AtomicU32>::default());
        let count = Arc::clone(&taken);
        thread::spawn(move || {
            let mut streams = Vec::new();
            for stream in listener.incoming().flatten() {
                streams.push(stream);
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(Self { address, taken })
    }
}
