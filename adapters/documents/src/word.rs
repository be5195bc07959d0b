//! Domain values that travel as one text, so that frame structs can name them directly.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use novagate_access::KeyDigest;
use novagate_kernel::{
    BootId, ConsumerId, Digest, ErrorCode, GatewayKeyId, Name, NodeId, ObjectKind, RequestId, RouteId, ServiceId,
    SessionId, TenantId,
};
use novagate_records::MethodLabel;
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value with exactly one spelling.
pub(crate) trait Word: Sized {
    fn read(text: &str) -> Option<Self>;
    fn show(&self) -> String;
}

/// A word on the wire. Its error never repeats the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct As<T>(pub(crate) T);

impl<T: Word> Serialize for As<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.show())
    }
}

impl<'de, T: Word> Deserialize<'de> for As<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<T: Word> Visitor<'_> for Reader<T> {
            type Value = As<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a word")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<As<T>, E> {
                T::read(text).map(As).ok_or_else(|| E::custom("not an accepted word"))
            }
        }
        deserializer.deserialize_str(Reader(PhantomData)).map_err(|_| D::Error::custom("not an accepted word"))
    }
}

/// A word from a registry that a newer peer may have extended: an unknown one is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known<T>(pub(crate) Option<T>);

impl<T: Word> Serialize for Known<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().map(Word::show).serialize(serializer)
    }
}

impl<'de, T: Word> Deserialize<'de> for Known<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<Cow<'de, str>>::deserialize(deserializer)?;
        Ok(Self(text.and_then(|text| T::read(&text))))
    }
}

macro_rules! words_by_display {
    ($($name:ty),+ $(,)?) => { $(
        impl Word for $name {
            fn read(text: &str) -> Option<Self> {
                Self::parse(text).ok()
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )+ };
}

words_by_display!(
    BootId,
    ConsumerId,
    Digest,
    GatewayKeyId,
    KeyDigest,
    Name,
    NodeId,
    RequestId,
    RouteId,
    ServiceId,
    SessionId,
    TenantId
);

macro_rules! words_of_registries {
    ($($name:ty),+ $(,)?) => { $(
        impl Word for $name {
            fn read(text: &str) -> Option<Self> {
                Self::parse(text)
            }

            fn show(&self) -> String {
                self.as_str().to_owned()
            }
        }
    )+ };
}

words_of_registries!(ErrorCode, ObjectKind);

impl Word for MethodLabel {
    /// An unknown method is `OTHER`, whoever sends it.
    fn read(text: &str) -> Option<Self> {
        Some(Self::of(text))
    }

    fn show(&self) -> String {
        self.as_str().to_owned()
    }
}
