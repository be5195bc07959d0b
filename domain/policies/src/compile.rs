//! From config objects to a compiled configuration.
//!
//! Always: all objects or none; each fault names object, field and rule, and collisions name both sides; time and memory
//! are bounded by the number of objects, which is bounded. Not here: reading objects (`adapters/documents`), the rules of
//! matching (`routing`).

mod check;
mod content;
mod health;
mod resilience;
mod routes;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use novagate_kernel::{ConsumerId, Name, ObjectKind, ObjectRef};
use novagate_routing::Service;

use crate::compiled::{Clients, Parts};
use crate::fault::{Faults, Subject};
use crate::{
    CertificateName, CompiledService, ConfigObject, Consumer, ConsumerKeyGrant, ObjectFault, RouteConfig, ServiceIndex,
};

/// Most routes of one configuration.
pub const MAX_ROUTES: usize = 50_000;
/// Most services of one configuration.
pub const MAX_SERVICES: usize = 50_000;
/// Most consumers of one configuration.
pub const MAX_CONSUMERS: usize = 500_000;
/// Most consumer keys of one configuration.
pub const MAX_KEYS: usize = 500_000;

/// The objects by kind, each kind sorted by id.
#[derive(Default)]
struct Sorted<'a> {
    services: Vec<&'a Service>,
    routes: Vec<&'a RouteConfig>,
    consumers: Vec<&'a Consumer>,
    keys: Vec<&'a ConsumerKeyGrant>,
}

pub(crate) fn compile(objects: &[ConfigObject]) -> Result<Parts, Vec<ObjectFault>> {
    let sorted = Sorted::new(objects);
    let mut faults = Faults::default();
    check_counts(&mut faults, objects);
    faults.into_result()?;

    let mut faults = Faults::default();
    check_ids_and_names(&mut faults, objects);
    check_fields(&mut faults, &sorted);
    check_clients(&mut faults, &sorted);
    routes::check_services(&mut faults, &sorted.routes, &sorted.services);
    faults.into_result()?;

    let services = compile_services(&sorted.services);
    let routes = routes::compile(&sorted.routes, &services)?;
    Ok(Parts {
        table: routes.table,
        routes: routes.routes,
        services,
        clients: Clients::new(&sorted.consumers, &sorted.keys),
        warnings: routes.warnings,
    })
}

impl<'a> Sorted<'a> {
    fn new(objects: &'a [ConfigObject]) -> Self {
        let mut sorted = Self::default();
        for object in objects {
            match object {
                ConfigObject::Service(service) => sorted.services.push(service),
                ConfigObject::Route(route) => sorted.routes.push(route),
                ConfigObject::Consumer(consumer) => sorted.consumers.push(consumer),
                ConfigObject::ConsumerKey(key) => sorted.keys.push(key),
            }
        }
        sorted.services.sort_by_key(|service| service.id);
        sorted.routes.sort_by_key(|route| route.route.id);
        sorted.consumers.sort_by_key(|consumer| consumer.id);
        sorted.keys.sort_by_key(|key| key.id);
        sorted
    }
}

fn check_counts(faults: &mut Faults, objects: &[ConfigObject]) {
    let limits = [
        (ObjectKind::Service, MAX_SERVICES),
        (ObjectKind::Route, MAX_ROUTES),
        (ObjectKind::Consumer, MAX_CONSUMERS),
        (ObjectKind::ConsumerKey, MAX_KEYS),
    ];
    for (kind, limit) in limits {
        if let Some(object) = objects.iter().filter(|object| object.kind() == kind).nth(limit) {
            subject(faults, object).fault(
                "",
                "too_many",
                format!("a configuration has at most {limit} objects of kind {kind}"),
            );
        }
    }
}

fn check_ids_and_names(faults: &mut Faults, objects: &[ConfigObject]) {
    let mut ids: HashSet<ObjectRef> = HashSet::with_capacity(objects.len());
    let mut names: HashMap<(ObjectKind, &Name), ObjectRef> = HashMap::new();
    for object in objects {
        let reference = object.reference();
        if !ids.insert(reference) {
            subject(faults, object).fault("/id", "duplicate_id", "another object of this kind has the same id");
            continue;
        }
        let Some(name) = object.name() else { continue };
        if let Some(other) = names.insert((object.kind(), name), reference) {
            let message = format!("the {} {name} ({}) has the same name", object.kind(), other.id.as_hyphenated());
            subject(faults, object).fault("/name", "duplicate_name", message);
        }
    }
}

fn check_fields(faults: &mut Faults, sorted: &Sorted<'_>) {
    for service in &sorted.services {
        let mut subject = Subject { faults, object: service.id.into(), name: Some(&service.name) };
        check::service(&mut subject, service);
        resilience::check(&mut subject, &service.resilience);
    }
    for route in &sorted.routes {
        let mut subject = Subject { faults, object: route.route.id.into(), name: Some(&route.route.name) };
        check::route(&mut subject, route);
    }
    for consumer in &sorted.consumers {
        let mut subject = Subject { faults, object: consumer.id.into(), name: Some(&consumer.name) };
        check::consumer(&mut subject, consumer);
    }
}

/// Keys belong to somebody, to one only, and no consumer has another's id for a name: a token's subject is looked up as both.
fn check_clients(faults: &mut Faults, sorted: &Sorted<'_>) {
    let has = |id: ConsumerId| sorted.consumers.binary_search_by_key(&id, |consumer| consumer.id).is_ok();
    for consumer in &sorted.consumers {
        if ConsumerId::parse(consumer.name.as_str()).is_ok_and(|id| id != consumer.id && has(id)) {
            let mut subject = Subject { faults, object: consumer.id.into(), name: Some(&consumer.name) };
            subject.fault("/name", "ambiguous_name", "another consumer has this text for its id");
        }
    }
    check_certificates(faults, &sorted.consumers);
    let mut digests = HashMap::with_capacity(sorted.keys.len());
    for key in &sorted.keys {
        let mut subject = Subject { faults, object: key.id.into(), name: None };
        if !has(key.consumer) {
            subject.fault(
                "/consumer",
                "unknown_consumer",
                format!("there is no consumer with the id {}", key.consumer),
            );
        }
        if let Some(other) = digests.insert(key.digest, key.id) {
            subject.fault("/digest", "duplicate_key", format!("it is the same key as {other}"));
        }
    }
}

/// A certificate is one consumer's.
fn check_certificates(faults: &mut Faults, consumers: &[&Consumer]) {
    let mut owners: HashMap<&CertificateName, &Consumer> = HashMap::new();
    for consumer in consumers {
        for (at, certificate) in consumer.certificates.iter().enumerate() {
            let Some(other) = owners.insert(certificate, consumer) else { continue };
            let mut subject = Subject { faults, object: consumer.id.into(), name: Some(&consumer.name) };
            let message = format!("it is a certificate of the consumer {} too, or is listed twice", other.name);
            subject.fault(format!("/certificates/{at}"), "duplicate_certificate", message);
        }
    }
}

fn compile_services(services: &[&Service]) -> Box<[Arc<CompiledService>]> {
    let numbered = services.iter().zip(0..);
    numbered.map(|(service, at)| Arc::new(CompiledService::new(ServiceIndex::new(at), service))).collect()
}

fn subject<'a>(faults: &'a mut Faults, object: &'a ConfigObject) -> Subject<'a> {
    Subject { faults, object: object.reference(), name: object.name() }
}
