//! Config frames as text, encoded once for all sessions of a tenant that get the same one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::extract::ws::Utf8Bytes;
use novagate_documents::frames;
use novagate_kernel::{Head, TenantId};
use novagate_sync::Frame;

/// Frames that are kept, the newest ones.
const KEPT: usize = 256;

/// Which text: a tenant's difference from a place in its history, or its whole configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    tenant: TenantId,
    from: Option<u64>,
    to: Head,
}

type Text = Arc<OnceLock<Utf8Bytes>>;

/// Texts by what they lead from and to.
#[derive(Debug, Default)]
pub(crate) struct EncodedFrames(Mutex<(HashMap<Key, Text>, VecDeque<Key>)>);

impl EncodedFrames {
    /// The text of a frame; that of a config frame is shared.
    pub(crate) fn text(&self, tenant: TenantId, frame: &Frame) -> Utf8Bytes {
        let key = match frame {
            Frame::Delta(delta) => Key { tenant, from: Some(delta.from), to: delta.to },
            Frame::Snapshot(set) => Key { tenant, from: None, to: set.head() },
            Frame::Hello(_)
            | Frame::Welcome(_)
            | Frame::Ack(_)
            | Frame::Nack(_)
            | Frame::Batch(_)
            | Frame::Received { .. }
            | Frame::Revoke(_)
            | Frame::Ping { .. }
            | Frame::Pong
            | Frame::Bye(_) => return encode(frame),
        };
        let text = self.slot(key);
        text.get_or_init(|| encode(frame)).clone()
    }

    /// A tenant has a new head: nobody will want the older frames again.
    pub(crate) fn forget(&self, tenant: TenantId) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.0.retain(|key, _| key.tenant != tenant);
        kept.1.retain(|key| key.tenant != tenant);
    }

    fn slot(&self, key: Key) -> Text {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (texts, order) = &mut *kept;
        if let Some(text) = texts.get(&key) {
            return Arc::clone(text);
        }
        if order.len() >= KEPT
            && let Some(oldest) = order.pop_front()
        {
            texts.remove(&oldest);
        }
        let text = Text::default();
        texts.insert(key, Arc::clone(&text));
        order.push_back(key);
        text
    }
}

fn encode(frame: &Frame) -> Utf8Bytes {
    Utf8Bytes::from(frames::encode(frame))
}

#[cfg(test)]
mod tests {
    use novagate_fixtures::Mint;
    use novagate_sync::ConfigSet;

    use super::*;

    #[test]
    fn a_config_frame_is_encoded_once_per_tenant_and_forgotten_with_the_next_head() {
        let (encoded, mint) = (EncodedFrames::default(), Mint::new(1));
        let frame = Frame::Snapshot(ConfigSet::new(mint.first_head().revision, []));
        let (tenant, other) = (mint.tenant(), mint.tenant());
        let first = encoded.text(tenant, &frame);
        let place = |text: &Utf8Bytes| text.as_str().as_ptr();
        assert_eq!(place(&first), place(&encoded.text(tenant, &frame)));
        assert_ne!(place(&first), place(&encoded.text(other, &frame)));
        encoded.forget(tenant);
        assert_ne!(place(&first), place(&encoded.text(tenant, &frame)));
    }
}
