//! The configuration that a fleet keeps in Redis, for nodes that start without one on their disk.
//!
//! Always: what lies there is sealed and names its tenant; what does not open counts as absent and is reported; an older
//! revision of the same epoch never replaces a newer one. Not here: which of two kept configurations a node serves.

mod document;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use deadpool_redis::Connection;
use novagate_access::{FleetKey, KeyDigest};
use novagate_kernel::TenantId;
use novagate_ports_base::{Entropy, FaultKind, PortError};
use novagate_ports_edge::{LoadReport, LoadedSnapshot, QuarantinedSlot, SnapshotStore};
use novagate_sync::ConfigSet;
use redis::RedisResult;

use self::document::{Kept, Place, decode_config, decode_revoked, encode_config, encode_revoked};
use crate::RedisTargetError;
use crate::key::Key;
use crate::pool::Pool;
use crate::seal::{Seal, SealError};

/// The slot's name in reports.
const SLOT: &str = "cfg:default";
const CONFIG: &str = "config";
/// Whose the configuration is and which revision: what a write decides by.
const PLACE: &str = "place";
const REVOKED: &str = "revoked";
/// Others that write at the same time make a write begin again.
const ATTEMPTS: usize = 16;
/// More revoked keys than this are not kept, nor is a configuration that lacks them.
const MOST_REVOKED: usize = 65_536;

const LOAD: &str = "cache.load";
const SAVE: &str = "cache.save";
const NOTE: &str = "cache.note_revoked";

/// Keeps the configuration of a fleet. Clones are the same store.
#[derive(Clone)]
pub struct RedisSnapshots(Arc<Inner>);

struct Inner {
    pool: Arc<Pool>,
    seal: Seal,
    entropy: Arc<dyn Entropy>,
    /// The writes of this process do not disturb each other.
    writing: tokio::sync::Mutex<()>,
}

/// What a write looks at first: sealed fields.
struct Known {
    place: Option<Vec<u8>>,
    revoked: Option<Vec<u8>>,
}

/// What a write makes of it.
enum Write {
    Nothing,
    Set(Vec<(&'static str, Vec<u8>)>),
    /// It cannot be kept in full, so not at all.
    Clear,
}

impl RedisSnapshots {
    pub(crate) fn new(pool: Arc<Pool>, fleet: &FleetKey, entropy: Arc<dyn Entropy>) -> Result<Self, RedisTargetError> {
        let seal = Seal::new(fleet).map_err(|_| RedisTargetError::NO_CIPHER)?;
        Ok(Self(Arc::new(Inner { pool, seal, entropy, writing: tokio::sync::Mutex::default() })))
    }

    fn config(&self, sealed: Vec<u8>) -> Result<Kept, String> {
        let content = self.0.seal.open(CONFIG, sealed).map_err(|error| error.to_string())?;
        decode_config(&content).map_err(|error| error.to_string())
    }

    fn place(&self, known: &Known) -> Option<Place> {
        let content = self.0.seal.open(PLACE, known.place.clone()?).ok()?;
        Place::decode(&content)
    }

    fn revoked(&self, sealed: Option<Vec<u8>>) -> Result<BTreeSet<KeyDigest>, String> {
        let Some(sealed) = sealed else { return Ok(BTreeSet::new()) };
        let content = self.0.seal.open(REVOKED, sealed).map_err(|error| error.to_string())?;
        decode_revoked(&content).map_err(|error| error.to_string())
    }

    fn sealed(&self, field: &'static str, content: Vec<u8>) -> Result<(&'static str, Vec<u8>), SealError> {
        Ok((field, self.0.seal.seal(field, content, self.0.entropy.as_ref())?))
    }

    /// Reads, decides and writes as one step: begins again when somebody else wrote in between.
    async fn rewrite(
        &self,
        op: &'static str,
        decide: impl Fn(&Known) -> Result<Write, SealError> + Send + Sync,
    ) -> Result<(), PortError> {
        let _turn = self.0.writing.lock().await;
        for _ in 0..ATTEMPTS {
            let decide = &decide;
            let attempt = self.0.pool.run(op, |connection| async move { write_once(connection, decide).await }).await?;
            match attempt {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => return Err(PortError::new(op, FaultKind::Misuse, error)),
            }
        }
        Err(PortError::new(op, FaultKind::Conflict, "others write all the time"))
    }
}

/// Two fields of the hash.
async fn read(connection: &mut Connection, fields: [&str; 2]) -> RedisResult<(Option<Vec<u8>>, Option<Vec<u8>>)> {
    redis::cmd("HMGET").arg(Key::config()).arg(&fields).query_async(connection).await
}

/// Whether it was done; not, when somebody else wrote in between.
async fn write_once(
    mut connection: Connection,
    decide: &(impl Fn(&Known) -> Result<Write, SealError> + Sync),
) -> RedisResult<Result<bool, SealError>> {
    redis::cmd("WATCH").arg(Key::config()).exec_async(&mut connection).await?;
    let (place, revoked) = read(&mut connection, [PLACE, REVOKED]).await?;
    let mut transaction = redis::pipe();
    transaction.atomic();
    match decide(&Known { place, revoked }) {
        Err(error) => return Ok(Err(error)),
        // The pool ends the watch before the next use of the connection.
        Ok(Write::Nothing) => return Ok(Ok(true)),
        Ok(Write::Clear) => transaction.del(Key::config()).ignore(),
        Ok(Write::Set(values)) => transaction.hset_multiple(Key::config(), &values).ignore(),
    };
    let done: Option<()> = transaction.query_async(&mut connection).await?;
    Ok(Ok(done.is_some()))
}

#[async_trait]
impl SnapshotStore for RedisSnapshots {
    async fn load(&self, tenant: Option<TenantId>) -> Result<LoadReport, PortError> {
        let fields = |mut connection| async move { read(&mut connection, [CONFIG, REVOKED]).await };
        let (config, revoked) = self.0.pool.run(LOAD, fields).await?;
        let set_aside = |reason: String| {
            let quarantined = vec![QuarantinedSlot { slot: SLOT.to_owned(), reason }];
            Ok(LoadReport { newest: None, quarantined })
        };
        let kept = match config.map(|sealed| self.config(sealed)) {
            None => return Ok(LoadReport::default()),
            Some(Ok(kept)) if tenant.is_some_and(|wanted| wanted != kept.tenant) => {
                return set_aside("it belongs to another tenant".to_owned());
            }
            Some(Ok(kept)) => kept,
            Some(Err(reason)) => return set_aside(reason),
        };
        // Without the revocations the configuration would let in again who was shut out.
        let revoked = match self.revoked(revoked) {
            Ok(revoked) => revoked.into_iter().collect(),
            Err(reason) => return set_aside(reason),
        };
        let newest = Some(LoadedSnapshot { tenant: kept.tenant, config: kept.config, revoked });
        Ok(LoadReport { newest, quarantined: Vec::new() })
    }

    async fn save(&self, tenant: TenantId, config: &ConfigSet) -> Result<(), PortError> {
        let misuse = |error: SealError| PortError::new(SAVE, FaultKind::Misuse, error);
        let place = Place { tenant, revision: config.head().revision };
        let content = encode_config(tenant, config).map_err(PortError::wrap(SAVE, FaultKind::Misuse))?;
        let content = self.sealed(CONFIG, content).map_err(misuse)?;
        let sealed_place = self.sealed(PLACE, place.encode()).map_err(misuse)?;
        self.rewrite(SAVE, |known| {
            let before = self.place(known);
            if before.is_some_and(|before| before.is_after(&place)) {
                return Ok(Write::Nothing);
            }
            let mut values = vec![content.clone(), sealed_place.clone()];
            // What cannot be read, or is another tenant's, would spoil what is written beside it.
            let is_strange = before.is_some_and(|before| before.tenant != tenant);
            if is_strange || self.revoked(known.revoked.clone()).is_err() {
                values.push(self.sealed(REVOKED, Vec::new())?);
            }
            Ok(Write::Set(values))
        })
        .await
    }

    async fn note_revoked(&self, keys: &[KeyDigest]) -> Result<(), PortError> {
        self.rewrite(NOTE, |known| {
            let Ok(mut revoked) = self.revoked(known.revoked.clone()) else { return Ok(Write::Clear) };
            revoked.extend(keys);
            if revoked.len() > MOST_REVOKED {
                return Ok(Write::Clear);
            }
            Ok(Write::Set(vec![self.sealed(REVOKED, encode_revoked(&revoked))?]))
        })
        .await
    }
}

impl fmt::Debug for RedisSnapshots {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RedisSnapshots").finish_non_exhaustive()
    }
}
