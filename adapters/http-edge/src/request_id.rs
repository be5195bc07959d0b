//! Request ids: the client's when it is a UUID, else a random one.

use std::ops::Range;
use std::sync::Arc;

use novagate_kernel::RequestId;
use novagate_ports_base::Entropy;

/// Random bytes drawn at a time: asking the system for each request would cost more than the rest of the id.
const POOL: usize = 4096;

/// Before and behind the id in its line.
const LINE: &[u8; 52] = b"x-request-id: ....................................\r\n";
/// Where the id stands there.
const PLACE: Range<usize> = 14..50;

/// A request id, as a value and as the line that travels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestTag {
    pub(crate) id: RequestId,
    line: [u8; LINE.len()],
}

/// Makes request ids.
pub(crate) struct RequestTags {
    entropy: Arc<dyn Entropy>,
    pool: Box<[u8; POOL]>,
    used: usize,
}

impl RequestTag {
    /// The client's id, as it was spelt.
    pub(crate) fn from_client(value: &[u8]) -> Option<Self> {
        let text: [u8; 36] = value.try_into().ok()?;
        let id = RequestId::parse(std::str::from_utf8(&text).ok()?).ok()?;
        Some(Self::new(id, &text))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.line.get(PLACE).unwrap_or_default()
    }

    /// The field with its name and the end of its line.
    pub(crate) const fn line(&self) -> &[u8; LINE.len()] {
        &self.line
    }

    fn new(id: RequestId, text: &[u8; 36]) -> Self {
        let mut line = *LINE;
        if let Some(place) = line.get_mut(PLACE) {
            place.copy_from_slice(text);
        }
        Self { id, line }
    }
}

impl RequestTags {
    pub(crate) fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self { entropy, pool: Box::new([0; POOL]), used: POOL }
    }

    /// A random id.
    pub(crate) fn next(&mut self) -> RequestTag {
        if self.used + 16 > POOL {
            self.entropy.fill(self.pool.as_mut_slice());
            self.used = 0;
        }
        let mut random = [0; 16];
        if let Some(bytes) = self.pool.get_mut(self.used..self.used + 16) {
            random.copy_from_slice(bytes);
            // Each byte serves once, also for whoever reads this memory later.
            bytes.fill(0);
        }
        self.used += 16;
        let id = RequestId::from_entropy(random);
        RequestTag::new(id, &id.spelt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter;

    impl Entropy for Counter {
        fn fill(&self, bytes: &mut [u8]) {
            for (at, byte) in bytes.iter_mut().enumerate() {
                *byte = (at / 16).to_le_bytes()[0];
            }
        }
    }

    #[test]
    fn a_uuid_is_kept_as_it_is_spelt() {
        let text = b"0198C0DE-0000-4000-8000-0000000000ff";
        assert_eq!(RequestTag::from_client(text).unwrap().as_bytes(), text);
        for junk in [&b"1"[..], b"", b"0198C0DE-0000-4000-8000-0000000000f", b"zzzzzzzz-0000-4000-8000-0000000000ff"] {
            assert!(RequestTag::from_client(junk).is_none());
        }
    }

    #[test]
    fn ids_are_version_4_and_differ() {
        let mut tags = RequestTags::new(Arc::new(Counter));
        let first = tags.next();
        let second = tags.next();
        assert_ne!(first.id, second.id);
        assert_eq!(first.id.as_uuid().get_version_num(), 4);
        assert_eq!(first.id.to_string().as_bytes(), first.as_bytes());
        assert_eq!(first.line(), format!("x-request-id: {}\r\n", first.id).as_bytes());
    }
}
