//! A tenant's configuration in the form that requests are decided from.
//!
//! Always: immutable and complete; every reference in it leads to something in it; shared between workers behind an `Arc`
//! and replaced as a whole. Not here: how it is made from config objects (`compile`).

mod action;
mod balance;
mod consumer;
mod grounds;
mod instances;
mod keys;
mod preference;
mod rotation;
mod route;
mod service;

use std::fmt;
use std::sync::Arc;

use novagate_access::{ConsumerKey, KeyDigest};
use novagate_kernel::{ConsumerId, ErrorCode, Head, RouteId, ServiceId, Timestamp};
use novagate_routing::RouteTable;

use self::consumer::ConsumerTable;
use self::keys::{Entry, KeyTable};
use crate::{
    CertificateFacts, CertificateName, ConfigObject, Consumer, ConsumerKeyGrant, Credential, CredentialKind, Identity,
    ObjectFault, ObjectWarning, TokenFacts, TokenFault,
};

pub use self::{
    action::{CompiledAction, CompiledForward, CompiledMirror},
    balance::{Affinity, Load},
    consumer::CompiledConsumer,
    grounds::Grounds,
    instances::instance_order,
    preference::{Warmth, jittered, prefers_zone},
    route::CompiledRoute,
    service::{CompiledService, ServiceIndex},
};

/// A compiled configuration.
#[derive(Clone)]
pub struct CompiledConfig {
    head: Head,
    parts: Arc<Parts>,
    /// Digests that were revoked after `head`; sorted.
    revoked: Arc<[KeyDigest]>,
}

/// What does not change when keys are revoked.
pub(crate) struct Parts {
    pub(crate) table: RouteTable<Arc<CompiledRoute>>,
    /// By index, which is the order of ids.
    pub(crate) routes: Box<[Arc<CompiledRoute>]>,
    /// By index, which is the order of ids.
    pub(crate) services: Box<[Arc<CompiledService>]>,
    pub(crate) clients: Clients,
    pub(crate) warnings: Box<[ObjectWarning]>,
}

/// Consumers with their keys.
pub(crate) struct Clients {
    consumers: ConsumerTable,
    keys: KeyTable,
    /// By the digests of what consumers' certificates have.
    certificates: KeyTable,
}

impl CompiledConfig {
    /// Compiles the objects of the configuration `head`, or says what is wrong with which of them (at most
    /// [`crate::MAX_FAULTS`]). The order of the objects makes no difference to the result.
    pub fn compile(head: Head, objects: &[ConfigObject]) -> Result<Self, Vec<ObjectFault>> {
        crate::compile::compile(objects).map(|parts| Self { head, parts: Arc::new(parts), revoked: Arc::default() })
    }

    /// What it was compiled from.
    pub const fn head(&self) -> Head {
        self.head
    }

    /// Finds the route of a request. The number of a route in the table is its [`CompiledRoute::index`].
    pub fn table(&self) -> &RouteTable<Arc<CompiledRoute>> {
        &self.parts.table
    }

    /// All routes in the order of their ids, which is that of [`CompiledRoute::index`].
    pub fn routes(&self) -> &[Arc<CompiledRoute>] {
        &self.parts.routes
    }

    /// The route with this index.
    pub fn route(&self, index: u32) -> Option<&Arc<CompiledRoute>> {
        usize::try_from(index).ok().and_then(|index| self.parts.routes.get(index))
    }

    /// The route with this id.
    pub fn route_by_id(&self, id: RouteId) -> Option<&Arc<CompiledRoute>> {
        let at = self.parts.routes.binary_search_by_key(&id, |route| route.id).ok()?;
        self.parts.routes.get(at)
    }

    /// All services in the order of their ids, which is that of [`ServiceIndex`].
    pub fn services(&self) -> &[Arc<CompiledService>] {
        &self.parts.services
    }

    /// The service with this index.
    pub fn service(&self, index: ServiceIndex) -> Option<&Arc<CompiledService>> {
        self.parts.services.get(index.as_usize())
    }

    /// The service with this id.
    pub fn service_by_id(&self, id: ServiceId) -> Option<&Arc<CompiledService>> {
        let at = self.parts.services.binary_search_by_key(&id, |service| service.id).ok()?;
        self.parts.services.get(at)
    }

    /// All consumers in the order of their ids.
    pub fn consumers(&self) -> &[CompiledConsumer] {
        self.parts.clients.consumers.all()
    }

    /// The consumer with this id.
    pub fn consumer(&self, id: ConsumerId) -> Option<&CompiledConsumer> {
        let consumers = &self.parts.clients.consumers;
        consumers.position(id).and_then(|at| consumers.at(at))
    }

    /// The consumer whose key has this digest and has not been revoked.
    pub fn consumer_of_key(&self, digest: &KeyDigest) -> Option<&CompiledConsumer> {
        let clients = &self.parts.clients;
        let consumer = clients.consumers.at(clients.keys.find(digest)?)?;
        self.revoked.binary_search(digest).is_err().then_some(consumer)
    }

    /// The consumer whose id or name is the subject of a token.
    pub fn consumer_of_subject(&self, subject: &str) -> Option<&CompiledConsumer> {
        self.parts.clients.consumers.by_subject(subject)
    }

    /// Keys, revoked ones included.
    pub fn key_count(&self) -> usize {
        self.parts.clients.keys.len()
    }

    /// What becomes of a presented consumer key: one SHA-256 and one probe.
    pub fn credential_of_key(&self, presented: &[u8]) -> Credential<'_> {
        let consumer = ConsumerKey::digest_of_presented(presented).and_then(|digest| self.consumer_of_key(&digest));
        match consumer {
            Some(consumer) => Credential::Proven {
                kind: CredentialKind::Key,
                identity: Identity::Consumer { consumer, subject: None },
            },
            None => Credential::Refused(ErrorCode::KeyInvalid),
        }
    }

    /// What becomes of a presented token that was verified and passed [`crate::JwtRules::check`], or did not.
    pub fn credential_of_token<'a>(&'a self, outcome: Result<&'a TokenFacts, TokenFault>) -> Credential<'a> {
        let subject = match outcome {
            Ok(facts) => facts.subject.as_deref(),
            Err(fault) => return Credential::Refused(fault.code()),
        };
        let identity = match subject.and_then(|subject| self.consumer_of_subject(subject)) {
            Some(consumer) => Identity::Consumer { consumer, subject },
            None => Identity::Subject(subject),
        };
        Credential::Proven { kind: CredentialKind::Token, identity }
    }

    /// The consumer whose certificate has the name with this digest.
    pub fn consumer_of_certificate(&self, name: &KeyDigest) -> Option<&CompiledConsumer> {
        let clients = &self.parts.clients;
        clients.consumers.at(clients.certificates.find(name)?)
    }

    /// Which name makes a certificate a consumer's; the first one that does.
    pub fn deciding_name(&self, facts: &CertificateFacts) -> Option<KeyDigest> {
        facts.names().iter().find(|name| self.consumer_of_certificate(name).is_some()).copied()
    }

    /// What becomes of a certificate that was verified when the client connected. One of no consumer, and one whose time
    /// has passed since, is none.
    pub fn credential_of_certificate(&self, facts: &CertificateFacts, now: Timestamp) -> Credential<'_> {
        let consumer = facts.names().iter().find_map(|name| self.consumer_of_certificate(name));
        match consumer.filter(|_| !facts.is_over(now)) {
            Some(consumer) => Credential::Proven {
                kind: CredentialKind::Certificate,
                identity: Identity::Consumer { consumer, subject: None },
            },
            None => Credential::Absent,
        }
    }

    /// The same configuration in which these keys, and those revoked before, open nothing. Shares everything else.
    pub fn revoking(&self, digests: &[KeyDigest]) -> Self {
        let mut revoked: Vec<_> = self.revoked.iter().chain(digests).copied().collect();
        revoked.sort_unstable();
        revoked.dedup();
        Self { revoked: revoked.into(), ..self.clone() }
    }

    /// What is allowed and surely not meant: routes that never get a request.
    pub fn warnings(&self) -> &[ObjectWarning] {
        &self.parts.warnings
    }
}

impl Clients {
    /// From consumers with distinct ids and keys with distinct digests; a key without its consumer is left out.
    pub(crate) fn new(all: &[&Consumer], keys: &[&ConsumerKeyGrant]) -> Self {
        let consumers = ConsumerTable::new(all);
        let entry = |key: &&ConsumerKeyGrant| {
            consumers.position(key.consumer).map(|consumer| Entry { digest: key.digest, consumer })
        };
        let keys = KeyTable::new(keys.iter().filter_map(entry).collect());
        let entries = consumers_of_certificates(all, &consumers);
        Self { consumers, keys, certificates: KeyTable::new(entries) }
    }
}

fn consumers_of_certificates(all: &[&Consumer], table: &ConsumerTable) -> Vec<Entry> {
    let owned = all.iter().filter_map(|consumer| Some((table.position(consumer.id)?, &consumer.certificates)));
    let entry = |(consumer, names): (u32, &Vec<CertificateName>)| {
        names.iter().map(move |name| Entry { digest: name.digest(), consumer }).collect::<Vec<_>>()
    };
    owned.flat_map(entry).collect()
}

impl fmt::Debug for CompiledConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CompiledConfig")
            .field("head", &self.head)
            .field("routes", &self.parts.routes.len())
            .field("services", &self.parts.services.len())
            .field("consumers", &self.consumers().len())
            .field("keys", &self.parts.clients.keys)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
