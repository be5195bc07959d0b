//! The objects of a configuration as gateways keep them: in the slots of their disk and in the copy for their fleet.
//!
//! Always: written from where they are and read to where they stay, one after the other, so that nothing of a large
//! configuration is held twice. Not here: what stands around them (`adapters/disk`, `adapters/redis`).

use std::borrow::Cow;
use std::fmt;

use novagate_kernel::{ObjectKind, ObjectRef};
use novagate_sync::{ConfigSet, ObjectPack, WireObject};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// The objects of a configuration, to be written.
#[derive(Debug, Clone, Copy)]
pub struct WrittenObjects<'a>(pub &'a ConfigSet);

/// Objects that were read.
#[derive(Debug)]
pub struct ReadObjects(ObjectPack);

#[derive(Serialize, Deserialize)]
struct ObjectDocument<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    body: Cow<'a, str>,
}

impl ReadObjects {
    /// The objects in the order in which they stood there.
    pub fn into_objects(self) -> Vec<WireObject> {
        self.0.into_objects()
    }
}

impl Serialize for WrittenObjects<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.objects().map(|object| ObjectDocument {
            kind: object.reference().kind.as_str().into(),
            id: object.reference().id.to_string().into(),
            body: String::from_utf8_lossy(object.body()),
        }))
    }
}

impl<'de> Deserialize<'de> for ReadObjects {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Objects)
    }
}

struct Objects;

impl<'de> Visitor<'de> for Objects {
    type Value = ReadObjects;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ReadObjects, A::Error> {
        let mut pack = ObjectPack::default();
        while let Some(document) = seq.next_element::<ObjectDocument<'de>>()? {
            let kind = ObjectKind::parse(&document.kind).ok_or_else(|| A::Error::custom("no kind of objects"))?;
            let id = Uuid::try_parse(&document.id).map_err(|_fault| A::Error::custom("no id"))?;
            pack.push(ObjectRef { kind, id }, document.body.as_bytes());
        }
        Ok(ReadObjects(pack))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use novagate_kernel::{Epoch, Revision, RouteId, ServiceId};

    use super::*;

    #[test]
    fn objects_read_back_as_they_were_written() {
        let object =
            |reference: ObjectRef, body: &'static str| WireObject::new(reference, Bytes::from_static(body.as_bytes()));
        let revision = Revision { epoch: Epoch::try_from_u64(1).unwrap(), seq: 2 };
        let objects = [
            object(ServiceId::from_entropy([1; 16]).into(), r#"{"name":"a \" b"}"#),
            object(RouteId::from_entropy([2; 16]).into(), "{\"n\" : \"\u{2028}\"}"),
        ];
        let config = ConfigSet::new(revision, objects.clone());
        let text = serde_json::to_string(&WrittenObjects(&config)).unwrap();
        assert_eq!(serde_json::from_str::<ReadObjects>(&text).unwrap().into_objects(), objects);
    }

    #[test]
    fn what_is_no_object_is_refused_without_being_repeated() {
        for text in [
            r#"[{"kind":"secret","id":"00000000-0000-4000-8000-000000000000","body":""}]"#,
            r#"[{"kind":"route","id":"secret","body":""}]"#,
            r#"[{"kind":"route","id":"00000000-0000-4000-8000-000000000000"}]"#,
            "{}",
        ] {
            let refusal = serde_json::from_str::<ReadObjects>(text).unwrap_err().to_string();
            assert!(!refusal.contains("secret"), "{refusal}");
        }
    }
}
