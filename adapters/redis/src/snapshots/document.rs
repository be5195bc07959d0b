//! What is sealed: one JSON document for the configuration, one list of digests for what was revoked.

use std::collections::BTreeSet;

use novagate_access::KeyDigest;
use novagate_documents::kept::{ReadObjects, WrittenObjects};
use novagate_kernel::{Digest, Epoch, Head, Revision, TenantId};
use novagate_sync::ConfigSet;
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

/// A configuration with its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) tenant: TenantId,
    pub(super) config: ConfigSet,
}

/// Whose a configuration is, and which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) tenant: TenantId,
    pub(super) revision: Revision,
}

impl Place {
    /// Tenant, epoch, seq.
    pub(super) fn encode(&self) -> Vec<u8> {
        let Revision { epoch, seq } = self.revision;
        [&self.tenant.as_u128().to_be_bytes()[..], &epoch.get().to_be_bytes(), &seq.to_be_bytes()].concat()
    }

    pub(super) fn decode(content: &[u8]) -> Option<Self> {
        let (tenant, rest) = content.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let seq = u64::from_be_bytes(rest.try_into().ok()?);
        let epoch = Epoch::try_from_u64(u64::from_be_bytes(*epoch)).ok()?;
        let tenant = TenantId::from_u128(u128::from_be_bytes(*tenant));
        Some(Self { tenant, revision: Revision { epoch, seq } })
    }

    /// Whether it is the same tenant's, of the same epoch and later.
    pub(super) fn is_after(&self, other: &Self) -> bool {
        let (own, others) = (self.revision, other.revision);
        self.tenant == other.tenant && own.epoch == others.epoch && own.seq > others.seq
    }
}

/// Why a document cannot be read; never content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum DocumentFault {
    #[error("it is not a configuration of a version that this gateway reads")]
    Format,
    #[error("its digest does not hold")]
    Digest,
}

#[derive(Serialize, Deserialize)]
struct Document<O> {
    version: u32,
    tenant: String,
    epoch: u64,
    seq: u64,
    digest: String,
    objects: O,
}

pub(super) fn encode_config(tenant: TenantId, config: &ConfigSet) -> Result<Vec<u8>, serde_json::Error> {
    let head = config.head();
    serde_json::to_vec(&Document {
        version: VERSION,
        tenant: tenant.to_string(),
        epoch: head.revision.epoch.get(),
        seq: head.revision.seq,
        digest: head.digest.to_string(),
        objects: WrittenObjects(config),
    })
}

pub(super) fn decode_config(content: &[u8]) -> Result<Kept, DocumentFault> {
    let read = || {
        let document: Document<ReadObjects> =
            serde_json::from_slice(content).ok().filter(|read: &Document<ReadObjects>| read.version == VERSION)?;
        let epoch = Epoch::try_from_u64(document.epoch).ok()?;
        let digest = Digest::parse(&document.digest).ok()?;
        let head = Head { revision: Revision { epoch, seq: document.seq }, digest };
        Some((TenantId::parse(&document.tenant).ok()?, head, document.objects.into_objects()))
    };
    let (tenant, head, objects) = read().ok_or(DocumentFault::Format)?;
    let config = ConfigSet::verified(head, objects).map_err(|_| DocumentFault::Digest)?;
    Ok(Kept { tenant, config })
}

/// One digest after the other, 32 bytes each.
pub(super) fn encode_revoked(keys: &BTreeSet<KeyDigest>) -> Vec<u8> {
    keys.iter().flat_map(|key| *key.as_bytes()).collect()
}

pub(super) fn decode_revoked(content: &[u8]) -> Result<BTreeSet<KeyDigest>, DocumentFault> {
    let (digests, rest) = content.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(DocumentFault::Format);
    }
    Ok(digests.iter().map(|bytes| KeyDigest::from_bytes(*bytes)).collect())
}
