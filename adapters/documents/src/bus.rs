//! What control nodes tell each other: wake-ups, and which gateways they hear.
//!
//! A text is at most [`MAX_NOTE_BYTES`] long, so that every bus carries it; what is longer travels as several texts. A reader
//! that meets a text it cannot read has lost something, and says so.

use novagate_access::KeyDigest;
use novagate_kernel::{BootId, Digest, Epoch, GatewayKeyId, Head, NodeId, Revision, SessionId, TenantId, Timestamp};
use novagate_ports_control::outbound::Wake;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::word::As;

/// The longest text. `NOTIFY` of PostgreSQL carries 7,999 bytes.
pub const MAX_NOTE_BYTES: usize = 7_800;

/// Revoked keys per text: 67 bytes each.
const KEYS_PER_TEXT: usize = 100;
/// Beats per text: at most 101 bytes each.
const BEATS_PER_TEXT: usize = 70;

/// Why a text of another control node cannot be used. It may be of a newer version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a note of a control node that this version knows")]
pub struct NoteError;

/// Which gateways a control node hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PresenceNote {
    /// The last beats of some gateways.
    Beats(Vec<(TenantId, NodeId, Timestamp)>),
    /// A gateway has left, whose last beat was then.
    Left(TenantId, NodeId, Timestamp),
    /// A control node has just begun to listen: all others say whom they hear.
    Asked,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
enum WakeV1 {
    Config { tenant_id: As<TenantId>, epoch: u64, seq: u64, digest: As<Digest> },
    ConsumerKeysRevoked { tenant_id: As<TenantId>, keys: Vec<As<KeyDigest>> },
    GatewayKeyRevoked { tenant_id: As<TenantId>, key_id: As<GatewayKeyId> },
    TenantClosed { tenant_id: As<TenantId> },
    NodeSeen { tenant_id: As<TenantId>, node_id: As<NodeId>, boot_id: As<BootId>, session_id: As<SessionId>, at: i64 },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PresenceV1 {
    Beats(Vec<BeatV1>),
    Left(BeatV1),
    Asked,
}

#[derive(Serialize, Deserialize)]
struct BeatV1(As<TenantId>, As<NodeId>, i64);

/// A wake-up as texts.
pub fn wake_texts(wake: &Wake) -> Vec<String> {
    match wake {
        Wake::Config { tenant, head } => vec![text_of(&WakeV1::Config {
            tenant_id: As(*tenant),
            epoch: head.revision.epoch.get(),
            seq: head.revision.seq,
            digest: As(head.digest),
        })],
        Wake::ConsumerKeysRevoked { tenant, keys } => {
            let part = |keys: &[KeyDigest]| {
                let keys = keys.iter().copied().map(As).collect();
                text_of(&WakeV1::ConsumerKeysRevoked { tenant_id: As(*tenant), keys })
            };
            if keys.is_empty() { vec![part(&[])] } else { keys.chunks(KEYS_PER_TEXT).map(part).collect() }
        }
        Wake::GatewayKeyRevoked { tenant, key } => {
            vec![text_of(&WakeV1::GatewayKeyRevoked { tenant_id: As(*tenant), key_id: As(*key) })]
        }
        Wake::TenantClosed { tenant } => vec![text_of(&WakeV1::TenantClosed { tenant_id: As(*tenant) })],
        Wake::NodeSeen { tenant, node, boot, session, at } => vec![text_of(&WakeV1::NodeSeen {
            tenant_id: As(*tenant),
            node_id: As(*node),
            boot_id: As(*boot),
            session_id: As(*session),
            at: at.as_micros(),
        })],
    }
}

/// Reads one text of [`wake_texts`].
pub fn wake_of(text: &str) -> Result<Wake, NoteError> {
    Ok(match read(text)? {
        WakeV1::Config { tenant_id, epoch, seq, digest } => {
            let revision = Revision { epoch: Epoch::try_from_u64(epoch).map_err(|_| NoteError)?, seq };
            Wake::Config { tenant: tenant_id.0, head: Head { revision, digest: digest.0 } }
        }
        WakeV1::ConsumerKeysRevoked { tenant_id, keys } => {
            Wake::ConsumerKeysRevoked { tenant: tenant_id.0, keys: keys.into_iter().map(|key| key.0).collect() }
        }
        WakeV1::GatewayKeyRevoked { tenant_id, key_id } => {
            Wake::GatewayKeyRevoked { tenant: tenant_id.0, key: key_id.0 }
        }
        WakeV1::TenantClosed { tenant_id } => Wake::TenantClosed { tenant: tenant_id.0 },
        WakeV1::NodeSeen { tenant_id, node_id, boot_id, session_id, at } => Wake::NodeSeen {
            tenant: tenant_id.0,
            node: node_id.0,
            boot: boot_id.0,
            session: session_id.0,
            at: Timestamp::from_micros(at),
        },
    })
}

/// A note about gateways as texts.
pub fn presence_texts(said: &PresenceNote) -> Vec<String> {
    let beat = |&(tenant, node, at): &(TenantId, NodeId, Timestamp)| BeatV1(As(tenant), As(node), at.as_micros());
    match said {
        PresenceNote::Beats(beats) => {
            let part = |beats: &[_]| text_of(&PresenceV1::Beats(beats.iter().map(beat).collect()));
            beats.chunks(BEATS_PER_TEXT).map(part).collect()
        }
        PresenceNote::Left(tenant, node, at) => vec![text_of(&PresenceV1::Left(beat(&(*tenant, *node, *at))))],
        PresenceNote::Asked => vec![text_of(&PresenceV1::Asked)],
    }
}

/// Reads one text of [`presence_texts`].
pub fn presence_of(text: &str) -> Result<PresenceNote, NoteError> {
    let value_of = |BeatV1(tenant, node, at): BeatV1| (tenant.0, node.0, Timestamp::from_micros(at));
    Ok(match read(text)? {
        PresenceV1::Beats(beats) => PresenceNote::Beats(beats.into_iter().map(value_of).collect()),
        PresenceV1::Left(left) => {
            let (tenant, node, at) = value_of(left);
            PresenceNote::Left(tenant, node, at)
        }
        PresenceV1::Asked => PresenceNote::Asked,
    })
}

/// Strings, numbers and lists of them have a form in JSON.
fn text_of(body: &impl Serialize) -> String {
    serde_json::to_string(body).unwrap_or_default()
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, NoteError> {
    serde_json::from_str(text).map_err(|_| NoteError)
}

#[cfg(test)]
mod tests {
    use novagate_fixtures::{Mint, START};

    use super::*;

    fn wakes() -> Vec<Wake> {
        let mint = Mint::new(1);
        let tenant = mint.tenant();
        vec![
            Wake::Config { tenant, head: mint.first_head() },
            Wake::ConsumerKeysRevoked { tenant, keys: vec![] },
            Wake::ConsumerKeysRevoked { tenant, keys: vec![mint.key_digest(), mint.key_digest()] },
            Wake::GatewayKeyRevoked { tenant, key: mint.gateway_key() },
            Wake::TenantClosed { tenant },
            Wake::NodeSeen { tenant, node: mint.node(), boot: mint.boot(), session: mint.session(), at: START },
        ]
    }

    #[test]
    fn every_wake_up_is_read_back() {
        for wake in wakes() {
            let texts = wake_texts(&wake);
            assert_eq!(texts.iter().map(|text| wake_of(text).unwrap()).collect::<Vec<_>>(), [wake]);
        }
    }

    #[test]
    fn many_keys_travel_in_texts_that_every_bus_carries() {
        let mint = Mint::new(2);
        let keys: Vec<_> = (0..1_050).map(|_| mint.key_digest()).collect();
        let texts = wake_texts(&Wake::ConsumerKeysRevoked { tenant: mint.tenant(), keys: keys.clone() });
        assert!(texts.iter().all(|text| text.len() <= MAX_NOTE_BYTES));
        let read = texts.iter().flat_map(|text| {
            let Wake::ConsumerKeysRevoked { keys, .. } = wake_of(text).unwrap() else { panic!("another wake-up") };
            keys
        });
        assert_eq!(read.collect::<Vec<_>>(), keys);
    }

    #[test]
    fn every_note_about_gateways_is_read_back() {
        let mint = Mint::new(3);
        let beats: Vec<_> = (0..200).map(|_| (mint.tenant(), mint.node(), START)).collect();
        let texts = presence_texts(&PresenceNote::Beats(beats.clone()));
        assert!(texts.iter().all(|text| text.len() <= MAX_NOTE_BYTES));
        let read = texts.iter().flat_map(|text| {
            let PresenceNote::Beats(beats) = presence_of(text).unwrap() else { panic!("another note") };
            beats
        });
        assert_eq!(read.collect::<Vec<_>>(), beats);
        for note in [PresenceNote::Left(mint.tenant(), mint.node(), START), PresenceNote::Asked] {
            assert_eq!(presence_of(&presence_texts(&note)[0]), Ok(note));
        }
    }

    #[test]
    fn what_a_newer_version_says_is_refused_and_not_repeated() {
        for text in ["", "{}", "{\"type\":\"dance\"}", "[1]", "\"asked\"x"] {
            assert_eq!(wake_of(text), Err(NoteError));
            assert_eq!(presence_of(text), Err(NoteError));
        }
    }

    #[test]
    fn the_form_of_a_wake_up_stays() {
        let tenant = TenantId::parse("0b6f6a52-6c1e-4d51-9f0e-2f1d3c8b7a10").unwrap();
        let text = r#"{"type":"tenant-closed","tenantId":"0b6f6a52-6c1e-4d51-9f0e-2f1d3c8b7a10"}"#;
        assert_eq!(wake_texts(&Wake::TenantClosed { tenant }), [text]);
        assert_eq!(wake_of(text), Ok(Wake::TenantClosed { tenant }));
    }
}
