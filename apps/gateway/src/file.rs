//! `CONFIG_FILE`: a configuration without a control plane.

use std::fmt::Write as _;
use std::path::Path;

use novagate_documents::{
    config::{parse_config_json, parse_config_yaml},
    stored::JsonObjectCodec,
};
use novagate_kernel::{Epoch, Revision};
use novagate_policies::{ConfigObject, ObjectFault};
use novagate_ports_base::ObjectCodec as _;
use novagate_ports_control::inbound::FieldFault;
use novagate_sync::{ConfigSet, WireObject, object_digest};
use uuid::Uuid;

use crate::StartError;

/// Reads a file in the config language; JSON when its name ends so, otherwise YAML.
pub(crate) fn read(path: &Path) -> Result<ConfigSet, StartError> {
    let place = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| StartError::Setting(format!("CONFIG_FILE: {place} cannot be read: {error}")))?;
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let parsed = if is_json { parse_config_json(text.as_bytes()) } else { parse_config_yaml(&text) };
    let objects = parsed.map_err(|faults| StartError::Setting(field_faults(path, &faults)))?;
    let revision = Revision { epoch: Epoch::from_entropy([0; 8]), seq: 1 };
    Ok(ConfigSet::new(revision, objects.into_iter().map(wire_object)))
}

/// What is wrong with a file that reads well but does not compile.
pub(crate) fn object_faults(path: &Path, faults: &[ObjectFault]) -> StartError {
    let mut text = format!("CONFIG_FILE: {} cannot be served:", path.display());
    for fault in faults {
        let name = fault.name.as_ref().map(ToString::to_string).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {} `{name}` {}: {}", fault.object.kind, fault.pointer, fault.message);
    }
    StartError::Setting(text)
}

fn field_faults(path: &Path, faults: &[FieldFault]) -> String {
    let mut text = format!("CONFIG_FILE: {} breaks rules:", path.display());
    for fault in faults {
        let _ = write!(text, "\n  {}: {}", if fault.pointer.is_empty() { "/" } else { &fault.pointer }, fault.message);
    }
    text
}

/// Objects of a file have no ids of their own: they get stable ones from kind and name.
fn wire_object(object: ConfigObject) -> WireObject {
    let name = object.name().map(ToString::to_string).unwrap_or_default();
    let digest = object_digest(format!("{} {name}", object.kind()).as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest.as_bytes()).for_each(|(slot, byte)| *slot = *byte);
    let object = object.with_id(Uuid::from_bytes(bytes));
    WireObject::new(object.reference(), JsonObjectCodec.encode(&object))
}
