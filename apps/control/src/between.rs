//! What control nodes share beside storage: wake-ups, who is connected to which of them, and counted attempts.

use std::path::Path;
use std::sync::Arc;

use novagate_access::{Fingerprinter, FleetKey};
use novagate_net::Tasks;
use novagate_ports_control::outbound::{Bus, Presence, Throttle};
use novagate_redis::{Redis, RedisTarget};
use novagate_settings::{ControlSettings, Database, PostgresDatabase, RedisSettings, Secret};
use novagate_store_memory::{MemoryBus, MemoryPresence, MemoryThrottle};
use novagate_store_sql::{PgBus, PgBusSettings};

use crate::throttle::ThrottleWithSpare;
use crate::{StartError, World};

/// The ports between control nodes.
pub(crate) struct Between {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) presence: Arc<dyn Presence>,
    pub(crate) throttle: Arc<dyn Throttle>,
    /// Names of what is counted and of POSTs that may be repeated: the same on all control nodes, and after a restart.
    pub(crate) fingerprints: Fingerprinter,
}

/// Redis where it is set; else PostgreSQL where it is the database; in this process where the database is files, which one
/// process alone may open.
pub(crate) fn between(settings: &ControlSettings, world: &World, tasks: &Tasks) -> Result<Between, StartError> {
    // Keys come from the secret that all control nodes have.
    let key = FleetKey::new(settings.tokens.secret.expose());
    if let Some(redis) = &settings.redis {
        return over_redis(redis, &key, world, tasks);
    }
    let throttle = Arc::new(MemoryThrottle::default());
    let fingerprints = fingerprints(&key);
    Ok(match &settings.database {
        Database::Sqlite { .. } => Between {
            bus: Arc::new(MemoryBus::default()),
            presence: Arc::new(MemoryPresence::new(Arc::clone(&world.clock))),
            throttle,
            fingerprints,
        },
        Database::Postgres(database) => {
            let bus = over_postgres(database, world, tasks)?;
            Between { presence: Arc::new(bus.presence()), bus: Arc::new(bus), throttle, fingerprints }
        }
    })
}

fn fingerprints(key: &FleetKey) -> Fingerprinter {
    Fingerprinter::new(key.derive("fingerprints"))
}

fn over_redis(settings: &RedisSettings, key: &FleetKey, world: &World, tasks: &Tasks) -> Result<Between, StartError> {
    let redis = Redis::new(&target(settings)?, Arc::clone(&world.entropy))
        .map_err(|error| StartError::Setting(format!("REDIS_URL, REDIS_CA_FILE: {error}")))?;
    let (shared, spare) = (Arc::new(redis.throttle(key)), Arc::new(MemoryThrottle::default()));
    Ok(Between {
        bus: Arc::new(redis.bus(tasks.clone())),
        presence: Arc::new(redis.presence(Arc::clone(&world.clock))),
        throttle: Arc::new(ThrottleWithSpare { shared, spare }),
        fingerprints: fingerprints(key),
    })
}

fn over_postgres(database: &PostgresDatabase, world: &World, tasks: &Tasks) -> Result<PgBus, StartError> {
    let url = database.session_url.as_ref().unwrap_or(&database.url);
    let bus = PgBus::new(PgBusSettings {
        url: url.expose().to_owned(),
        tasks: tasks.clone(),
        clock: Arc::clone(&world.clock),
        entropy: Arc::clone(&world.entropy),
    });
    let what = "DATABASE_SESSION_URL: the bus between control nodes cannot be used";
    bus.map_err(|source| StartError::Service { what, source })
}

fn target(settings: &RedisSettings) -> Result<RedisTarget, StartError> {
    let text = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
    Ok(RedisTarget {
        secure: settings.secure,
        hosts: settings.hosts.clone(),
        service: settings.service.clone(),
        username: text(&settings.username),
        password: text(&settings.password),
        sentinel_password: text(&settings.sentinel_password),
        database: settings.database,
        authorities: settings.ca_file.as_deref().map(read_pem).transpose()?,
    })
}

fn read_pem(path: &Path) -> Result<Vec<u8>, StartError> {
    std::fs::read(path)
        .map_err(|error| StartError::Setting(format!("REDIS_CA_FILE: {} cannot be read: {error}", path.display())))
}
