//! Routes: their services, their labels, and the table that finds them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use novagate_kernel::Name;
use novagate_routing::{
    Conflict, ForwardTo, RouteAction, RouteMatch, RouteTable, RouteTableBuilder, Service, TableWarning,
};

use crate::fault::{Faults, Subject};
use crate::{CompiledAction, CompiledRoute, CompiledService, ObjectFault, ObjectWarning, RouteConfig};

/// What becomes of all routes.
pub(super) struct Compiled {
    pub(super) table: RouteTable<Arc<CompiledRoute>>,
    pub(super) routes: Box<[Arc<CompiledRoute>]>,
    pub(super) warnings: Box<[ObjectWarning]>,
}

/// Every route names a service that is there.
pub(super) fn check_services(faults: &mut Faults, routes: &[&RouteConfig], services: &[&Service]) {
    let names: HashSet<&Name> = services.iter().map(|service| &service.name).collect();
    for config in routes {
        for (at, service) in config.route.action.services().enumerate().filter(|(_, service)| !names.contains(service))
        {
            let pointer = pointer_of(&config.route.action, at);
            subject(faults, config).fault(pointer, "unknown_service", format!("there is no service named {service}"));
        }
    }
}

/// Where the service with this number stands among those that an action names.
fn pointer_of(action: &RouteAction, at: usize) -> String {
    match action {
        RouteAction::Forward(forward) => match &forward.to {
            ForwardTo::Service(_) if at == 0 => "/service".to_owned(),
            ForwardTo::Split(split) if at < split.services.len() => format!("/split/services/{at}/service"),
            ForwardTo::Service(_) | ForwardTo::Split(_) => "/mirror/service".to_owned(),
        },
        RouteAction::Redirect(_) => "/redirect".to_owned(),
    }
}

/// Compiles routes whose fields and references hold, in the order of their ids; `services` in the order of their indexes.
pub(super) fn compile(
    routes: &[&RouteConfig],
    services: &[Arc<CompiledService>],
) -> Result<Compiled, Vec<ObjectFault>> {
    let by_name: HashMap<&Name, &Arc<CompiledService>> =
        services.iter().map(|service| (&service.name, service)).collect();
    let numbered = routes.iter().zip(0..);
    let compiled: Box<[Arc<CompiledRoute>]> = numbered
        .filter_map(|(config, index)| {
            let action = CompiledAction::new(&config.route.action, |name| by_name.get(name).copied())?;
            Some(Arc::new(compile_one(index, config, action)))
        })
        .collect();
    let table = build_table(routes, &compiled)?;
    let names = names_of(routes);
    let warnings = table.warnings().iter().map(|warning| describe(warning, &names)).collect();
    Ok(Compiled { table, routes: compiled, warnings })
}

fn build_table(
    routes: &[&RouteConfig],
    compiled: &[Arc<CompiledRoute>],
) -> Result<RouteTable<Arc<CompiledRoute>>, Vec<ObjectFault>> {
    let mut faults = Faults::default();
    let mut builder = RouteTableBuilder::new();
    for (config, compiled) in routes.iter().zip(compiled) {
        let route = &config.route;
        if let Err(full) =
            builder.insert(route.name.clone(), &route.matcher, route.encoded_slashes, Arc::clone(compiled))
        {
            subject(&mut faults, config).fault("/match", "too_many", full.to_string());
        }
    }
    faults.into_result()?;
    builder.build().map_err(|conflicts| conflict_faults(routes, &conflicts))
}

/// One fault for each side of a conflict: whoever changes one of the two routes finds it at his own.
fn conflict_faults(routes: &[&RouteConfig], conflicts: &[Conflict]) -> Vec<ObjectFault> {
    let by_name = names_of(routes);
    let mut faults = Faults::default();
    for conflict in conflicts {
        for side in [&conflict.a, &conflict.b] {
            if let Some(config) = by_name.get(side) {
                subject(&mut faults, config).fault("/match/path", "route_conflict", conflict.to_string());
            }
        }
    }
    faults.into_list()
}

fn describe(warning: &TableWarning, routes: &HashMap<&Name, &RouteConfig>) -> ObjectWarning {
    let (name, code, message) = match warning {
        TableWarning::Shadowed { route, by } => {
            let by = by.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
            (Some(route), "shadowed", format!("no request reaches it: more specific routes take them all ({by})"))
        }
        TableWarning::EncodedSlashNotKept { route } => (
            Some(route),
            "encoded_slash_not_kept",
            "no request reaches it: its path has %2F and it does not keep it".into(),
        ),
        TableWarning::ManySteps { steps } => {
            (None, "many_steps", format!("finding the route of one request can take {steps} steps"))
        }
    };
    let route = name.and_then(|name| routes.get(name));
    ObjectWarning { object: route.map(|config| config.route.id.into()), name: name.cloned(), code, message }
}

fn compile_one(index: u32, config: &RouteConfig, action: CompiledAction) -> CompiledRoute {
    let route = &config.route;
    CompiledRoute {
        index,
        id: route.id,
        name: route.name.clone(),
        template: route.matcher.path.as_str().into(),
        label: label_of(&route.matcher),
        action,
        auth: config.auth,
        limit: config.rate_limit,
        encoded_slashes: route.encoded_slashes,
    }
}

/// A route with several hosts goes by its first one.
fn label_of(criteria: &RouteMatch) -> Arc<str> {
    novagate_routing::label(criteria.hosts.first(), &criteria.path).into()
}

fn names_of<'a>(routes: &[&'a RouteConfig]) -> HashMap<&'a Name, &'a RouteConfig> {
    routes.iter().map(|config| (&config.route.name, *config)).collect()
}

fn subject<'a>(faults: &'a mut Faults, config: &'a RouteConfig) -> Subject<'a> {
    Subject { faults, object: config.route.id.into(), name: Some(&config.route.name) }
}
