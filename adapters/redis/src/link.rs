//! The way of the limits to Redis: one connection that concurrent calls share, under a deadline and a circuit.
//!
//! Always: calls that wait at the same time leave in one write and come back in one read; a call ends within its deadline;
//! after a failure nobody waits for what is away. A connection that failed is not used again. Not here: scripts (`script`)
//! and what is done without Redis.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use novagate_ports_base::{Entropy, FaultKind, PortError};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::time::timeout;

use crate::circuit::{Change, Circuit};
use crate::fault::{Away, fault, late};
use crate::script::Script;
use crate::server::Server;

/// Calls that may wait to be written; further ones wait for them.
const QUEUE: usize = 1024;

/// A way to Redis. It belongs to the runtime of its first call.
pub(crate) struct Link {
    server: Server,
    deadline: Duration,
    entropy: Arc<dyn Entropy>,
    state: Mutex<State>,
}

struct State {
    circuit: Circuit,
    manager: Option<ConnectionManager>,
}

impl Link {
    pub(crate) fn new(server: Server, deadline: Duration, entropy: Arc<dyn Entropy>) -> Self {
        let state = Mutex::new(State { circuit: Circuit::new(deadline), manager: None });
        Self { server, deadline, entropy, state }
    }

    /// Runs a script; `call` is its `EVALSHA`.
    pub(crate) async fn run(&self, op: &'static str, script: &Script, call: &Cmd) -> Result<Value, PortError> {
        if !self.state().circuit.may_ask(Instant::now()) {
            return Err(PortError::new(op, FaultKind::Unavailable, Away));
        }
        let outcome = match timeout(self.deadline, self.attempt(script, call)).await {
            Ok(outcome) => outcome.map_err(|error| fault(op, error)),
            Err(_elapsed) => Err(late(op)),
        };
        self.note(outcome.as_ref().err());
        outcome
    }

    async fn attempt(&self, script: &Script, call: &Cmd) -> RedisResult<Value> {
        let mut manager = self.manager().await?;
        match ask(&mut manager, call).await {
            Err(error) if is_unknown_script(&error) => {
                // A restarted server, or one whose scripts were flushed.
                ask(&mut manager, script.load()).await?;
                ask(&mut manager, call).await
            }
            outcome => outcome,
        }
    }

    async fn manager(&self) -> RedisResult<ConnectionManager> {
        if let Some(manager) = &self.state().manager {
            return Ok(manager.clone());
        }
        let client = match self.server.client_at_hand() {
            Some(client) => client,
            None => self.server.client().await?,
        };
        let mut state = self.state();
        let manager = match state.manager.take() {
            Some(manager) => manager,
            None => self.connect(client)?,
        };
        state.manager = Some(manager.clone());
        Ok(manager)
    }

    /// The connection is made by the first call that waits for it.
    fn connect(&self, client: Client) -> RedisResult<ConnectionManager> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(self.deadline))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE);
        ConnectionManager::new_lazy_with_config(client, config)
    }

    fn note(&self, error: Option<&PortError>) {
        let mut state = self.state();
        let change = if error.is_none() {
            state.circuit.succeeded()
        } else {
            state.manager = None;
            let [chance] = self.entropy.bytes();
            state.circuit.failed(Instant::now(), chance)
        };
        drop(state);
        match (change, error) {
            (Change::Failed, Some(error)) => {
                tracing::warn!(error = %error, cause = %error.source, "Redis does not count: this node decides alone");
            }
            (Change::Healed, _) => tracing::info!("Redis counts again"),
            (_, _) => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer that is an error is one.
async fn ask(manager: &mut ConnectionManager, command: &Cmd) -> RedisResult<Value> {
    manager.send_packed_command(command).await.and_then(Value::extract_error)
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Link").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
