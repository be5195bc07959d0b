//! The format of a slot: one JSON document, a line break, and the SHA-256 of everything before it.

use novagate_documents::kept::{ReadObjects, WrittenObjects};
use novagate_kernel::{Digest, Epoch, Head, Revision, TenantId};
use novagate_sync::{ConfigSet, object_digest};
use serde::{Deserialize, Serialize};

/// What a slot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) generation: u64,
    pub(crate) tenant: TenantId,
    pub(crate) config: ConfigSet,
}

/// Why a slot cannot be read; never content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SlotFault {
    #[error("the checksum does not hold")]
    Checksum,
    #[error("it is not a slot of a version that this gateway reads")]
    Format,
    #[error("its digest does not hold")]
    Digest,
}

const VERSION: u32 = 1;
const CHECKSUM_CHARS: usize = 64;

/// The document, with its objects to be written or as they were read.
#[derive(Serialize, Deserialize)]
struct SlotDocument<O> {
    version: u32,
    generation: u64,
    tenant: String,
    epoch: u64,
    seq: u64,
    digest: String,
    objects: O,
}

impl Slot {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let head = self.config.head();
        let document = SlotDocument {
            version: VERSION,
            generation: self.generation,
            tenant: self.tenant.to_string(),
            epoch: head.revision.epoch.get(),
            seq: head.revision.seq,
            digest: head.digest.to_string(),
            objects: WrittenObjects(&self.config),
        };
        let mut content = serde_json::to_vec(&document)?;
        content.push(b'\n');
        let checksum = object_digest(&content).to_string();
        content.extend_from_slice(checksum.as_bytes());
        Ok(content)
    }

    pub(crate) fn decode(content: &[u8]) -> Result<Self, SlotFault> {
        let end = content.len().checked_sub(CHECKSUM_CHARS).ok_or(SlotFault::Checksum)?;
        let (document, checksum) = content.split_at_checked(end).ok_or(SlotFault::Checksum)?;
        if object_digest(document).to_string().as_bytes() != checksum {
            return Err(SlotFault::Checksum);
        }
        let document: SlotDocument<ReadObjects> = serde_json::from_slice(document).map_err(|_| SlotFault::Format)?;
        if document.version != VERSION {
            return Err(SlotFault::Format);
        }
        let epoch = Epoch::try_from_u64(document.epoch).map_err(|_| SlotFault::Format)?;
        let digest = Digest::parse(&document.digest).map_err(|_| SlotFault::Format)?;
        let head = Head { revision: Revision { epoch, seq: document.seq }, digest };
        Ok(Self {
            generation: document.generation,
            tenant: TenantId::parse(&document.tenant).map_err(|_| SlotFault::Format)?,
            config: ConfigSet::verified(head, document.objects.into_objects()).map_err(|_| SlotFault::Digest)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use novagate_kernel::RouteId;
    use novagate_sync::WireObject;

    use super::*;

    fn slot() -> Slot {
        let revision = Revision { epoch: Epoch::try_from_u64(3).unwrap(), seq: 9 };
        let reference = RouteId::from_entropy([1; 16]).into();
        let object = WireObject::new(reference, Bytes::from_static("{\"name\":\"ä \\u0000\"}".as_bytes()));
        Slot { generation: 4, tenant: TenantId::from_entropy([2; 16]), config: ConfigSet::new(revision, [object]) }
    }

    #[test]
    fn a_slot_reads_back_as_it_was() {
        assert_eq!(Slot::decode(&slot().encode().unwrap()), Ok(slot()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let content = slot().encode().unwrap();
        for at in 0..content.len() {
            let mut damaged = content.clone();
            damaged[at] ^= 1;
            assert!(Slot::decode(&damaged).is_err(), "byte {at}");
            assert!(Slot::decode(&content[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_slot_of_a_later_version_is_not_read() {
        let text = String::from_utf8(slot().encode().unwrap()).unwrap();
        let (document, _) = text.rsplit_once('\n').unwrap();
        let document = format!("{}\n", document.replacen("\"version\":1", "\"version\":2", 1));
        let checksum = object_digest(document.as_bytes());
        assert_eq!(Slot::decode(format!("{document}{checksum}").as_bytes()), Err(SlotFault::Format));
    }
}
