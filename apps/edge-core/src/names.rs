//! What records of requests are named by: the routes and services of the configuration that served them.
//!
//! Always: small beside the configuration, and what two configurations have in common is held once, so that many can be
//! remembered. Not here: how long they are remembered (`edge`).

use std::sync::Arc;

use novagate_kernel::{Name, RouteId, ServiceId};
use novagate_policies::CompiledConfig;

/// A route in a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RouteName {
    pub(crate) id: RouteId,
    pub(crate) name: Name,
    pub(crate) template: Arc<str>,
}

/// A service in a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServiceName {
    pub(crate) id: ServiceId,
    pub(crate) name: Name,
}

/// The names of one configuration, by the numbers that stand in its records.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Sorted by id, as in the configuration.
    routes: Box<[Arc<RouteName>]>,
    services: Box<[Arc<ServiceName>]>,
}

impl Names {
    /// Those of `config`, sharing with those of the configuration before it.
    pub(crate) fn new(config: &CompiledConfig, before: &Self) -> Self {
        let routes = config.routes().iter().map(|route| {
            let known = before.routes.binary_search_by_key(&route.id, |known| known.id).ok();
            let name = RouteName { id: route.id, name: route.name.clone(), template: Arc::clone(&route.template) };
            shared(known.and_then(|at| before.routes.get(at)), name)
        });
        let services = config.services().iter().map(|service| {
            let known = before.services.binary_search_by_key(&service.id, |known| known.id).ok();
            let name = ServiceName { id: service.id, name: service.name.clone() };
            shared(known.and_then(|at| before.services.get(at)), name)
        });
        Self { routes: routes.collect(), services: services.collect() }
    }

    /// The route with this number; none for [`novagate_records::NO_INDEX`].
    pub(crate) fn route(&self, number: u32) -> Option<&RouteName> {
        usize::try_from(number).ok().and_then(|at| self.routes.get(at)).map(AsRef::as_ref)
    }

    /// The service with this number; none for [`novagate_records::NO_INDEX`].
    pub(crate) fn service(&self, number: u32) -> Option<&ServiceName> {
        usize::try_from(number).ok().and_then(|at| self.services.get(at)).map(AsRef::as_ref)
    }
}

fn shared<T: PartialEq>(known: Option<&Arc<T>>, new: T) -> Arc<T> {
    known.filter(|known| ***known == new).map_or_else(|| Arc::new(new), Arc::clone)
}

#[cfg(test)]
mod tests {
    use novagate_documents::config::parse_config;
    use novagate_kernel::{Digest, Epoch, Head, Revision};
    use novagate_records::NO_INDEX;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    /// A configuration of routes with these names and path patterns.
    fn config(routes: &[(&str, &str)]) -> CompiledConfig {
        let route = |(name, path): &(&str, &str)| json!({"name": name, "match": {"path": path}, "service": "users"});
        let document = json!({
            "services": [{"name": "users", "targets": [{"url": "http://10.0.0.1:8080"}]}],
            "routes": routes.iter().map(route).collect::<Vec<_>>(),
        });
        let objects = parse_config(&document).unwrap();
        let numbered = (1_u128..).zip(objects).map(|(number, object)| object.with_id(Uuid::from_u128(number)));
        let revision = Revision { epoch: Epoch::try_from_u64(1).unwrap(), seq: 1 };
        let head = Head { revision, digest: Digest::from_bytes([0; 32]) };
        CompiledConfig::compile(head, &numbered.collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn what_two_configurations_have_in_common_is_held_once() {
        let before = Names::new(&config(&[("a", "/a"), ("b", "/b")]), &Names::default());
        let after = Names::new(&config(&[("a", "/a"), ("b", "/changed"), ("c", "/c")]), &before);
        assert!(Arc::ptr_eq(&before.services[0], &after.services[0]));
        assert!(Arc::ptr_eq(&before.routes[0], &after.routes[0]));
        let templates = |names: &Names| names.routes.iter().map(|route| route.template.to_string()).collect::<Vec<_>>();
        assert_eq!(templates(&before), ["/a", "/b"]);
        assert_eq!(templates(&after), ["/a", "/changed", "/c"]);
    }

    #[test]
    fn a_record_without_a_route_has_no_names() {
        let names = Names::new(&config(&[("a", "/a")]), &Names::default());
        assert!(names.route(NO_INDEX).is_none() && names.service(NO_INDEX).is_none());
        assert_eq!(names.route(0).map(|route| route.name.as_str()), Some("a"));
        assert_eq!(names.service(0).map(|service| service.name.as_str()), Some("users"));
    }
}
