//! The config language: what people write in files and send to the REST API.
//!
//! Always: a document is either understood completely or refused with every fault at its pointer; what is rendered parses
//! back to an equal object. Not here: whether objects fit together (compiling decides), ids (the caller gives them).

mod body;
mod content;
mod convert;
mod health;
mod resilience;
mod route_body;
mod rules;
mod shapes;
mod tls;

#[cfg(test)]
mod tests;

use novagate_kernel::ObjectKind;
use novagate_policies::ConfigObject;
use novagate_ports_control::inbound::FieldFault;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::fault::{Broken, Faults};
use crate::shape::{Shape, Unknown, check, check_object_except};
use crate::text;

pub use self::body::{
    AcceptWord, AuthBody, BalancingWord, ConfigDocument, ConsumerBody, LimitByWord, NoPolicy, ProtocolWord,
    RateLimitBody, RouteBody, RouteLimitBody, ServiceBody, SlashesWord, TargetBody,
};
pub use self::content::{CompressionBody, DecompressionBody, EncodingWord};
pub use self::health::{HealthCheckBody, ProbeWord, StatusBody};
pub use self::resilience::{CircuitBreakerBody, GroundWord, HedgeBody, OutlierDetectionBody, RetriesBody};
pub use self::route_body::{
    ConditionBody, MatchBody, MirrorBody, RedirectBody, RewriteBody, SchemeWord, ShareBody, SplitBody,
};
pub use self::tls::{TlsVersionWord, UpstreamTlsBody};
pub(crate) use self::{
    body::{AnyBody, ConsumerKeyBody},
    shapes::shape_of,
};

/// Fields that answers carry and requests may send back unchanged.
const READ_ONLY: [&str; 3] = ["id", "createdAt", "updatedAt"];

/// How a whole configuration is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Indented JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Reads one service, route or consumer, which gets `id`. An `id` in the body must be that one; `createdAt` and
/// `updatedAt` are passed over, so that an answer can be edited and sent back. `Err`: every fault there is.
pub fn parse_object(kind: ObjectKind, id: Uuid, value: &Value) -> Result<ConfigObject, Vec<FieldFault>> {
    let mut faults = Faults::default();
    if kind == ObjectKind::ConsumerKey {
        faults.note(Broken::new("not_writable", "consumer keys are generated, not written"));
        return Err(faults.into_found());
    }
    let (Some(object), Shape::Object(fields)) = (value.as_object(), shape_of(kind)) else {
        faults.note(Broken::new("wrong_type", "must be an object"));
        return Err(faults.into_found());
    };
    check_object_except(object, fields, &READ_ONLY, Unknown::Refuse, &mut faults);
    check_id(object, id, &mut faults);
    let found = faults.into_found();
    if !found.is_empty() {
        return Err(found);
    }
    read_body(kind, id, value).map_err(|fault| vec![fault])
}

/// Reads a whole configuration: `{services: [], routes: [], consumers: []}`, each list optional. Objects have no ids here
/// (they get the nil UUID): a configuration is matched by name.
pub fn parse_config(value: &Value) -> Result<Vec<ConfigObject>, Vec<FieldFault>> {
    let mut faults = Faults::default();
    check(value, &shapes::DOCUMENT, Unknown::Refuse, &mut faults);
    if let Some(object) = value.as_object() {
        for (list, _) in shapes::LISTS {
            check_names(object, list, &mut faults);
        }
    }
    let found = faults.into_found();
    if !found.is_empty() {
        return Err(found);
    }
    let mut objects = Vec::new();
    for (list, kind) in shapes::LISTS {
        for (at, item) in value.get(list).and_then(Value::as_array).into_iter().flatten().enumerate() {
            let object = read_body(kind, Uuid::nil(), item).map_err(|mut fault| {
                fault.pointer.insert_str(0, &format!("/{list}/{at}"));
                vec![fault]
            })?;
            objects.push(object);
        }
    }
    Ok(objects)
}

/// Reads a whole configuration from JSON text.
pub fn parse_config_json(bytes: &[u8]) -> Result<Vec<ConfigObject>, Vec<FieldFault>> {
    parse_config(&text::read_json(bytes).map_err(|fault| vec![fault])?)
}

/// Reads a whole configuration from YAML text.
pub fn parse_config_yaml(yaml: &str) -> Result<Vec<ConfigObject>, Vec<FieldFault>> {
    parse_config(&text::read_yaml(yaml).map_err(|fault| vec![fault])?)
}

/// One object in the config language, with every default written out; without id and times.
pub fn render_object(object: &ConfigObject) -> Value {
    serde_json::to_value(AnyBody::from(object)).unwrap_or(Value::Null)
}

/// A whole configuration in the config language, in the order given; consumer keys have no place in it.
pub fn render_config<'a>(objects: impl IntoIterator<Item = &'a ConfigObject>, format: Format) -> String {
    let document = ConfigDocument::of(objects);
    let text = match format {
        Format::Json => serde_json::to_string_pretty(&document).ok(),
        Format::Yaml => serde_norway::to_string(&document).ok(),
    };
    text.unwrap_or_default()
}

/// A body whose shape has been checked.
pub(crate) fn read_body(kind: ObjectKind, id: Uuid, value: &Value) -> Result<ConfigObject, FieldFault> {
    let broken = |_| FieldFault::new("", "malformed", "cannot be read");
    match kind {
        ObjectKind::Service => convert::service(id, ServiceBody::deserialize(value).map_err(broken)?),
        ObjectKind::Route => convert::route(id, &RouteBody::deserialize(value).map_err(broken)?),
        ObjectKind::Consumer => convert::consumer(id, ConsumerBody::deserialize(value).map_err(broken)?),
        ObjectKind::ConsumerKey => convert::consumer_key(id, &ConsumerKeyBody::deserialize(value).map_err(broken)?),
    }
}

fn check_id(object: &Map<String, Value>, id: Uuid, faults: &mut Faults) {
    let Some(given) = object.get("id") else { return };
    if given.as_str().and_then(|text| Uuid::try_parse(text).ok()) != Some(id) {
        faults.note_at(&["id"], Broken::new("read_only", "cannot be chosen or changed"));
    }
}

fn check_names(document: &Map<String, Value>, list: &str, faults: &mut Faults) {
    let mut seen = std::collections::HashSet::new();
    for (at, item) in document.get(list).and_then(Value::as_array).into_iter().flatten().enumerate() {
        let Some(name) = item.get("name").and_then(Value::as_str) else { continue };
        if !seen.insert(name) {
            let broken = Broken::new("duplicate", "another entry of this list has the same name");
            faults.note_at(&[list, &at.to_string(), "name"], broken);
        }
    }
}
