//! Every id of NovaGate, each its own type over a UUID, so that a consumer's id can never stand where a route's is wanted.

use std::fmt;

use uuid::Uuid;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID in the hyphenated form (RFC 9562, section 4)")]
pub struct IdError;

macro_rules! typed_id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Reads the 36-character hyphenated form, in either case.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                if text.len() != 36 {
                    return Err(IdError);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| IdError)
            }

            /// A version 4 UUID from 16 random bytes.
            pub fn from_entropy(entropy: [u8; 16]) -> Self {
                Self(uuid::Builder::from_random_bytes(entropy).into_uuid())
            }

            /// Wraps a UUID that storage or another layer already holds in typed form.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bare UUID, for storage.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }

            /// The value as a number: a compact key for records and sorting.
            pub const fn as_u128(self) -> u128 {
                self.0.as_u128()
            }

            /// The hyphenated form, in lower case.
            pub fn spelt(self) -> [u8; 36] {
                crate::hex::spell_uuid(self.0.as_u128())
            }

            /// The opposite of [`Self::as_u128`].
            pub const fn from_u128(value: u128) -> Self {
                Self(Uuid::from_u128(value))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self.0.as_hyphenated(), formatter)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({})"), self.0.as_hyphenated())
            }
        }
    )+ };
}

typed_id! {
    /// A customer of the control plane; owns everything below it.
    TenantId,
    /// An upstream service of a tenant.
    ServiceId,
    /// A route of a tenant.
    RouteId,
    /// A consumer: somebody who calls a tenant's API.
    ConsumerId,
    /// A credential of a consumer.
    ConsumerKeyId,
    /// A key with which gateways of a tenant authenticate to the control plane.
    GatewayKeyId,
    /// A gateway installation: stable over restarts, kept in its data directory.
    NodeId,
    /// One run of a gateway process.
    BootId,
    /// One connection between a gateway and the control plane.
    SessionId,
    /// The value of `X-Request-ID`.
    RequestId,
    /// An entry of a tenant's audit log.
    AuditId,
    /// A stored request log row.
    LogId,
    /// A plan: the limits a tenant has bought.
    PlanId,
}

impl TenantId {
    /// The name of this tenant's PostgreSQL schema and role, and the stem of its SQLite file: `tenant_<uuid>` with
    /// underscores for dashes. 43 ASCII characters, so it is safe in any identifier position.
    pub fn schema_name(self) -> String {
        format!("tenant_{self}").replace('-', "_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "0198c0de-0000-4000-8000-0000000000ff";

    #[test]
    fn an_id_prints_what_it_was_parsed_from() {
        assert_eq!(RouteId::parse(TEXT).unwrap().to_string(), TEXT);
    }

    #[test]
    fn braces_urns_and_the_short_form_are_refused() {
        for text in ["", "0198c0de00004000800000000000000f", "{0198c0de-0000-4000-8000-0000000000ff}", "x"] {
            assert_eq!(RouteId::parse(text), Err(IdError), "{text}");
        }
    }

    #[test]
    fn entropy_becomes_a_version_4_uuid() {
        assert_eq!(NodeId::from_entropy([0xff; 16]).as_uuid().get_version_num(), 4);
    }

    #[test]
    fn a_schema_name_holds_only_lower_case_digits_and_underscores() {
        let name = TenantId::parse(TEXT).unwrap().schema_name();
        assert_eq!(name, "tenant_0198c0de_0000_4000_8000_0000000000ff");
    }
}
