//! What an edit does to a configuration: pure functions from the present objects and a wish to upserts and deletes.

use std::collections::{BTreeMap, BTreeSet};

use novagate_kernel::{ErrorCode, Name, ObjectKind, ObjectRef};
use novagate_policies::{ConfigObject, RouteConfig};
use novagate_ports_control::inbound::{FieldFault, Precondition, Refusal};
use novagate_routing::Route;

use super::cache::{Current, Entry};

/// Upserts and deletes, not yet checked as a whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Change {
    pub(super) upserts: Vec<ConfigObject>,
    pub(super) deletes: BTreeSet<ObjectRef>,
}

/// Creates one object under its (fresh) id.
pub(super) fn create(current: &Current, draft: ConfigObject) -> Result<Change, Refusal> {
    if let Some(name) = draft.name() {
        refuse_taken(current, draft.kind(), name, None)?;
    }
    Ok(Change { upserts: vec![draft], ..Change::default() })
}

/// Replaces one object, or creates it under the id that the caller chose.
pub(super) fn replace(current: &Current, draft: ConfigObject, precondition: Precondition) -> Result<Change, Refusal> {
    let reference = draft.reference();
    let present = current.entries.get(&reference);
    check_precondition(present.map(AsRef::as_ref), precondition)?;
    let Some(present) = present else {
        return if precondition == Precondition::Absent { create(current, draft) } else { Err(Refusal::not_found()) };
    };
    if let Some(name) = draft.name() {
        refuse_taken(current, reference.kind, name, Some(reference))?;
    }
    let mut upserts = Vec::new();
    if let (ConfigObject::Service(_), Some(old), Some(new)) = (&draft, present.view.object.name(), draft.name())
        && old != new
    {
        upserts.extend(routes_of(current, old).map(|route| with_service(route, old, new)));
    }
    upserts.insert(0, draft);
    Ok(Change { upserts, ..Change::default() })
}

/// Deletes one object and what goes with it.
pub(super) fn delete(current: &Current, reference: ObjectRef, precondition: Precondition) -> Result<Change, Refusal> {
    let present = current.entries.get(&reference).ok_or_else(Refusal::not_found)?;
    check_precondition(Some(present), precondition)?;
    if let ConfigObject::Service(service) = &present.view.object {
        let users: Vec<FieldFault> = routes_of(current, &service.name)
            .map(|user| FieldFault::new("", "in_use", format!("route `{}` uses it", user.route.name)))
            .collect();
        if !users.is_empty() {
            let code = ErrorCode::InUse;
            return Err(Refusal { fields: users, ..Refusal::new(code, "routes use this service") });
        }
    }
    Ok(Change { deletes: with_children(current, reference), ..Change::default() })
}

/// Makes the services, routes and consumers be exactly `drafts`, matched by name; keys stay with their consumers.
pub(super) fn become_named(current: &Current, drafts: Vec<ConfigObject>, fresh: impl Fn() -> uuid::Uuid) -> Change {
    let mut change = Change::default();
    let mut kept = BTreeSet::new();
    for draft in drafts {
        let known = draft.name().and_then(|name| current.named(draft.kind(), name));
        // A name that comes twice is two objects, which the compiler refuses by name.
        let known = known.filter(|entry| !kept.contains(&entry.stored.reference));
        let id = known.map_or_else(&fresh, |entry| entry.stored.reference.id);
        let object = draft.with_id(id);
        kept.insert(object.reference());
        change.upserts.push(object);
    }
    let named = |reference: &&ObjectRef| reference.kind != ObjectKind::ConsumerKey;
    for reference in current.entries.keys().filter(named).filter(|reference| !kept.contains(reference)) {
        change.deletes.extend(with_children(current, *reference));
    }
    change
}

/// Makes the services, routes and consumers be those of an earlier revision. Of the keys the present ones stay, as far as
/// their consumers do: a key that has been revoked since never works again.
pub(super) fn become_earlier(current: &Current, earlier: Vec<ConfigObject>) -> Change {
    let target: BTreeMap<ObjectRef, ConfigObject> = earlier
        .into_iter()
        .filter(|object| object.kind() != ObjectKind::ConsumerKey)
        .map(|object| (object.reference(), object))
        .collect();
    let mut change = Change::default();
    let named = |reference: &&ObjectRef| reference.kind != ObjectKind::ConsumerKey;
    for reference in current.entries.keys().filter(named).filter(|reference| !target.contains_key(reference)) {
        change.deletes.extend(with_children(current, *reference));
    }
    change.upserts = target.into_values().collect();
    change
}

fn check_precondition(present: Option<&Entry>, precondition: Precondition) -> Result<(), Refusal> {
    let holds = match precondition {
        Precondition::None => true,
        Precondition::Absent => present.is_none(),
        Precondition::Unchanged(seq) => present.is_none_or(|entry| entry.view.seq == seq),
    };
    let text = "the resource is not in the state that the request was made for";
    if holds { Ok(()) } else { Err(Refusal::new(ErrorCode::PreconditionFailed, text)) }
}

fn refuse_taken(current: &Current, kind: ObjectKind, name: &Name, own: Option<ObjectRef>) -> Result<(), Refusal> {
    match current.named(kind, name) {
        Some(entry) if Some(entry.stored.reference) != own => Err(Refusal {
            fields: vec![FieldFault::new("/name", "name_taken", format!("another {kind} has this name"))],
            ..Refusal::new(ErrorCode::NameTaken, format!("another {kind} has this name"))
        }),
        Some(_) | None => Ok(()),
    }
}

fn routes_of<'a>(current: &'a Current, service: &'a Name) -> impl Iterator<Item = &'a RouteConfig> {
    current.objects().filter_map(move |object| match object {
        ConfigObject::Route(route) if route.route.action.services().any(|named| named == service) => Some(route),
        ConfigObject::Route(_)
        | ConfigObject::Service(_)
        | ConfigObject::Consumer(_)
        | ConfigObject::ConsumerKey(_) => None,
    })
}

fn with_service(route: &RouteConfig, service: &Name, name: &Name) -> ConfigObject {
    let action = route.route.action.clone().renamed(service, name);
    let moved = Route { action, ..route.route.clone() };
    ConfigObject::Route(RouteConfig { route: moved, ..route.clone() })
}

fn with_children(current: &Current, reference: ObjectRef) -> BTreeSet<ObjectRef> {
    let children = current.entries.values().filter(|entry| entry.stored.parent == Some(reference));
    children.map(|entry| entry.stored.reference).chain([reference]).collect()
}
