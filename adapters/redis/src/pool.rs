//! The way of everything but limits to Redis: a few connections, each used by one caller at a time.
//!
//! Always: whatever a caller does with a connection ends within one deadline; after a failure nobody waits for what is away.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use deadpool_redis::{Connection, Manager, PoolError, Runtime};
use novagate_ports_base::{Entropy, FaultKind, PortError};
use redis::{AsyncConnectionConfig, FromRedisValue, Pipeline, RedisResult};
use tokio::time::timeout;

use crate::circuit::{Change, Circuit};
use crate::fault::{Away, fault, late};
use crate::server::Server;

/// A use of a connection, with what it takes to get one.
const DEADLINE: Duration = Duration::from_secs(1);
const CONNECTIONS: usize = 8;

/// Connections to a server.
pub(crate) struct Pool {
    server: Server,
    entropy: Arc<dyn Entropy>,
    state: Mutex<State>,
}

struct State {
    circuit: Circuit,
    pool: Option<deadpool_redis::Pool>,
}

impl Pool {
    pub(crate) fn new(server: Server, entropy: Arc<dyn Entropy>) -> Self {
        Self { server, entropy, state: Mutex::new(State { circuit: Circuit::new(DEADLINE), pool: None }) }
    }

    /// Sends commands in one write and reads their answers.
    pub(crate) async fn query<T: FromRedisValue + Send>(
        &self,
        op: &'static str,
        commands: Pipeline,
    ) -> Result<T, PortError> {
        self.run(op, |mut connection| async move { commands.query_async(&mut connection).await }).await
    }

    /// Lets `work` have a connection to itself.
    pub(crate) async fn run<T, F>(
        &self,
        op: &'static str,
        work: impl FnOnce(Connection) -> F + Send,
    ) -> Result<T, PortError>
    where
        F: Future<Output = RedisResult<T>> + Send,
    {
        if !self.state().circuit.may_ask(Instant::now()) {
            return Err(PortError::new(op, FaultKind::Unavailable, Away));
        }
        let attempt = async {
            let pool = self.pool().await.map_err(|error| fault(op, error))?;
            let connection = pool.get().await.map_err(|error| no_connection(op, error))?;
            work(connection).await.map_err(|error| fault(op, error))
        };
        let outcome = timeout(DEADLINE, attempt).await.unwrap_or_else(|_elapsed| Err(late(op)));
        self.note(outcome.is_ok());
        outcome
    }

    async fn pool(&self) -> RedisResult<deadpool_redis::Pool> {
        if let Some(pool) = &self.state().pool {
            return Ok(pool.clone());
        }
        let client = self.server.client().await?;
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(DEADLINE)).set_response_timeout(Some(DEADLINE));
        let manager = Manager::new_with_config(client.get_connection_info().clone(), config)?;
        let builder = deadpool_redis::Pool::builder(manager).max_size(CONNECTIONS).runtime(Runtime::Tokio1);
        let made = builder.build().map_err(std::io::Error::other)?;
        Ok(self.state().pool.get_or_insert(made).clone())
    }

    /// After a failure connections are made anew: they may lead to a server that is no longer the one.
    fn note(&self, succeeded: bool) {
        let mut state = self.state();
        let change = if succeeded {
            state.circuit.succeeded()
        } else {
            state.pool = None;
            let [chance] = self.entropy.bytes();
            state.circuit.failed(Instant::now(), chance)
        };
        drop(state);
        match change {
            Change::Failed => tracing::warn!("Redis does not answer"),
            Change::Healed => tracing::info!("Redis answers again"),
            Change::Nothing => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_connection(op: &'static str, error: PoolError) -> PortError {
    if let PoolError::Backend(error) = error {
        fault(op, error)
    } else {
        PortError::new(op, FaultKind::Unavailable, error)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").finish_non_exhaustive()
    }
}
