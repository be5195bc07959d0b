//! Consumers as requests use them, found by id and by name.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use http::HeaderValue;
use novagate_kernel::{ConsumerId, Name};

use crate::{Consumer, RateLimit};

/// A consumer as requests use it.
#[derive(Debug)]
pub struct CompiledConsumer {
    /// Its id.
    pub id: ConsumerId,
    /// Its name.
    pub name: Name,
    /// Its groups, sorted.
    pub groups: Box<[Name]>,
    /// Its own limit, in place of the node's.
    pub rate_limit: Option<RateLimit>,
    groups_field: Option<HeaderValue>,
}

impl CompiledConsumer {
    pub(crate) fn new(consumer: &Consumer) -> Self {
        let mut groups = consumer.groups.clone();
        groups.sort_unstable();
        let joined = groups.iter().map(Name::as_str).collect::<Vec<_>>().join(",");
        Self {
            id: consumer.id,
            name: consumer.name.clone(),
            groups: groups.into(),
            rate_limit: consumer.rate_limit,
            groups_field: HeaderValue::try_from(joined).ok().filter(|value| !value.is_empty()),
        }
    }

    /// The value of `X-Consumer-Groups`, joined with commas; `None` without groups.
    pub const fn groups_field(&self) -> Option<&HeaderValue> {
        self.groups_field.as_ref()
    }
}

/// All consumers.
#[derive(Debug)]
pub(super) struct ConsumerTable {
    /// Sorted by id.
    consumers: Box<[CompiledConsumer]>,
    by_name: HashMap<ByName, u32>,
}

impl ConsumerTable {
    pub(super) fn new(consumers: &[&Consumer]) -> Self {
        let mut consumers: Vec<_> = consumers.iter().map(|consumer| CompiledConsumer::new(consumer)).collect();
        consumers.sort_unstable_by_key(|consumer| consumer.id);
        let by_name = consumers.iter().zip(0..).map(|(consumer, at)| (ByName(consumer.name.clone()), at)).collect();
        Self { consumers: consumers.into(), by_name }
    }

    pub(super) fn all(&self) -> &[CompiledConsumer] {
        &self.consumers
    }

    pub(super) fn at(&self, index: u32) -> Option<&CompiledConsumer> {
        usize::try_from(index).ok().and_then(|index| self.consumers.get(index))
    }

    pub(super) fn position(&self, id: ConsumerId) -> Option<u32> {
        let at = self.consumers.binary_search_by_key(&id, |consumer| consumer.id).ok()?;
        u32::try_from(at).ok()
    }

    /// The consumer whose id, in its one spelling, or name is this text.
    pub(super) fn by_subject(&self, subject: &str) -> Option<&CompiledConsumer> {
        let is_lower = !subject.bytes().any(|byte| byte.is_ascii_uppercase());
        let by_id = || {
            let id = ConsumerId::parse(subject).ok().filter(|_| is_lower)?;
            self.position(id).and_then(|at| self.at(at))
        };
        by_id().or_else(|| self.by_name.get(subject).and_then(|&at| self.at(at)))
    }
}

/// A name that can be found by its text.
#[derive(Debug, PartialEq, Eq)]
struct ByName(Name);

impl Borrow<str> for ByName {
    fn borrow(&self) -> &str {
        self.0.as_str()
    }
}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_str().hash(state);
    }
}
