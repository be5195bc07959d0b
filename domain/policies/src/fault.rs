//! What is wrong with a config object, said so that a person and a program can find the place.

use novagate_kernel::{Name, ObjectRef};

/// Most faults that one compilation reports; more would only repeat.
pub const MAX_FAULTS: usize = 64;

/// Something about one object that keeps a configuration from being compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{object}: {pointer}: {message}")]
pub struct ObjectFault {
    /// Which object.
    pub object: ObjectRef,
    /// Its name, when it has one.
    pub name: Option<Name>,
    /// RFC 6901 pointer to the field, in the object's JSON in the config language.
    pub pointer: String,
    /// The rule, as a word: lower-case letters and underscores.
    pub code: &'static str,
    /// The rule in a sentence; names what it collides with.
    pub message: String,
}

/// Something that is allowed and surely not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectWarning {
    /// Which object; `None`: all of them together.
    pub object: Option<ObjectRef>,
    /// Its name, when it has one.
    pub name: Option<Name>,
    /// The matter, as a word.
    pub code: &'static str,
    /// The matter in a sentence.
    pub message: String,
}

/// Collects faults up to [`MAX_FAULTS`].
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<ObjectFault>);

impl Faults {
    pub(crate) fn add(&mut self, fault: ObjectFault) {
        if self.0.len() < MAX_FAULTS {
            self.0.push(fault);
        }
    }

    pub(crate) fn into_list(self) -> Vec<ObjectFault> {
        self.0
    }

    pub(crate) fn into_result(self) -> Result<(), Vec<ObjectFault>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

/// One object under examination.
pub(crate) struct Subject<'a> {
    pub(crate) faults: &'a mut Faults,
    pub(crate) object: ObjectRef,
    pub(crate) name: Option<&'a Name>,
}

impl Subject<'_> {
    pub(crate) fn fault(&mut self, pointer: impl Into<String>, code: &'static str, message: impl Into<String>) {
        self.faults.add(ObjectFault {
            object: self.object,
            name: self.name.cloned(),
            pointer: pointer.into(),
            code,
            message: message.into(),
        });
    }

    /// Says `out_of_range` unless `holds`.
    pub(crate) fn range(&mut self, holds: bool, pointer: impl Into<String>, rule: &str) {
        if !holds {
            self.fault(pointer, "out_of_range", rule);
        }
    }
}
