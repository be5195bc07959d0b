//! How TLS is spoken to the targets of a service: its part of the body, its table, its conversion.
//!
//! Always: only names of files, never what is in them: a private key has no place in a configuration.

use novagate_ports_control::inbound::FieldFault;
use novagate_routing::{KeyPin, TlsFileName, TlsIdentity, TlsServerName, TlsVersion, UpstreamTls};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::convert::at_pointer;
use super::rules;
use super::shapes::{nullable, optional};
use crate::shape::Shape;

/// How TLS is spoken to the targets of a service. Files are in the gateway's `UPSTREAM_TLS_DIR`; certificates are always verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamTlsBody {
    /// PEM file of the only authorities that may vouch for a target; missing: the gateway's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$", example = "users-ca.pem")]
    pub ca: Option<String>,
    /// PEM file of the certificate chain that the gateway shows; with `clientKey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$", example = "gateway.pem")]
    pub client_cert: Option<String>,
    /// PEM file of its private key, on the gateway only; with `clientCert`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$", example = "gateway.key")]
    pub client_key: Option<String>,
    /// Whom a target's certificate has to name, and who is asked for (SNI); missing: the target's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "users.internal")]
    pub server_name: Option<String>,
    /// The oldest version of TLS that is spoken.
    #[serde(default)]
    pub min_version: TlsVersionWord,
    /// SHA-256 digests of the public keys that a target may have beside a certificate that holds; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16)]
    pub pins: Vec<String>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum TlsVersionWord {
    /// TLS 1.2.
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V1_3,
}

const FILE: Shape = Shape::Text(rules::tls_file);
static PIN: Shape = Shape::Text(rules::pin);

pub(super) const TLS: Shape = Shape::Object(&[
    nullable("ca", FILE),
    nullable("clientCert", FILE),
    nullable("clientKey", FILE),
    nullable("serverName", Shape::Text(rules::server_name)),
    optional("minVersion", Shape::Word(&["1.2", "1.3"])),
    optional("pins", Shape::List { of: &PIN, min: 0, max: UpstreamTls::MAX_PINS, distinct: true }),
]);

/// From the body of a service.
pub(super) fn tls(body: &UpstreamTlsBody) -> Result<UpstreamTls, FieldFault> {
    let file = |name: &Option<String>, pointer: &str| {
        name.as_deref().map(|name| at_pointer(TlsFileName::parse(name), || pointer.to_owned())).transpose()
    };
    let required =
        |pointer: &str, beside: &str| FieldFault::new(pointer, "required", format!("is required with {beside}"));
    let identity = match (file(&body.client_cert, "/tls/clientCert")?, file(&body.client_key, "/tls/clientKey")?) {
        (Some(cert), Some(key)) => Some(TlsIdentity { cert, key }),
        (None, None) => None,
        (Some(_), None) => return Err(required("/tls/clientKey", "clientCert")),
        (None, Some(_)) => return Err(required("/tls/clientCert", "clientKey")),
    };
    let pin = |(at, pin): (usize, &String)| at_pointer(KeyPin::parse(pin), || format!("/tls/pins/{at}"));
    let server_name = body.server_name.as_deref().map(TlsServerName::parse).transpose();
    Ok(UpstreamTls {
        ca: file(&body.ca, "/tls/ca")?,
        identity,
        server_name: at_pointer(server_name, || "/tls/serverName".to_owned())?,
        min_version: match body.min_version {
            TlsVersionWord::V1_2 => TlsVersion::V1_2,
            TlsVersionWord::V1_3 => TlsVersion::V1_3,
        },
        pins: body.pins.iter().enumerate().map(pin).collect::<Result<_, _>>()?,
    })
}

impl From<&UpstreamTls> for UpstreamTlsBody {
    fn from(tls: &UpstreamTls) -> Self {
        let identity = tls.identity.as_ref();
        Self {
            ca: tls.ca.as_ref().map(ToString::to_string),
            client_cert: identity.map(|identity| identity.cert.to_string()),
            client_key: identity.map(|identity| identity.key.to_string()),
            server_name: tls.server_name.as_ref().map(ToString::to_string),
            min_version: match tls.min_version {
                TlsVersion::V1_2 => TlsVersionWord::V1_2,
                TlsVersion::V1_3 => TlsVersionWord::V1_3,
            },
            pins: tls.pins.iter().map(ToString::to_string).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use novagate_kernel::ObjectKind;
    use novagate_policies::ConfigObject;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use crate::config::{parse_object, render_object};

    fn service(tls: &Value) -> Value {
        json!({"name": "users", "targets": [{"url": "https://10.0.0.5:8443"}], "tls": tls})
    }

    #[test]
    fn what_is_read_is_written_and_read_back() {
        let pin = "0f".repeat(32);
        for (tls, written) in [
            (json!({}), json!({"minVersion": "1.2"})),
            (
                json!({"ca": "ca.pem", "clientCert": "g.pem", "clientKey": "g.key", "serverName": "Users.Internal",
                    "minVersion": "1.3", "pins": [pin]}),
                json!({"ca": "ca.pem", "clientCert": "g.pem", "clientKey": "g.key", "serverName": "users.internal",
                    "minVersion": "1.3", "pins": [pin]}),
            ),
        ] {
            let object = parse_object(ObjectKind::Service, Uuid::nil(), &service(&tls)).unwrap();
            let rendered = render_object(&object);
            assert_eq!(rendered["tls"], written);
            assert_eq!(parse_object(ObjectKind::Service, Uuid::nil(), &rendered).unwrap(), object);
        }
        let plain = parse_object(ObjectKind::Service, Uuid::nil(), &service(&Value::Null)).unwrap();
        assert!(render_object(&plain).get("tls").is_none());
        let ConfigObject::Service(plain) = plain else { panic!() };
        assert!(plain.tls.is_none());
    }

    #[test]
    fn every_bad_value_is_refused_at_its_pointer() {
        let pem = "-----BEGIN PRIVATE KEY-----\nCANARY7F\n-----END PRIVATE KEY-----\n";
        for (tls, pointer, code) in [
            (json!("ca.pem"), "", "wrong_type"),
            (json!({"ca": "../ca.pem"}), "/ca", "invalid_file_name"),
            (json!({"ca": "/etc/ca.pem"}), "/ca", "invalid_file_name"),
            (json!({"clientCert": "g.pem", "clientKey": pem}), "/clientKey", "invalid_file_name"),
            (json!({"clientCert": "g.pem"}), "/clientKey", "required"),
            (json!({"clientKey": "g.key"}), "/clientCert", "required"),
            (json!({"serverName": "*.example.com"}), "/serverName", "invalid_server_name"),
            (json!({"minVersion": "1.1"}), "/minVersion", "unknown_value"),
            (json!({"minVersion": 1.2}), "/minVersion", "wrong_type"),
            (json!({"pins": ["sha256/abc"]}), "/pins/0", "invalid_digest"),
            (json!({"insecureSkipVerify": true}), "/insecureSkipVerify", "unknown_field"),
        ] {
            let found = parse_object(ObjectKind::Service, Uuid::nil(), &service(&tls)).unwrap_err();
            let told: Vec<_> = found.iter().map(|fault| (fault.pointer.clone(), fault.code.clone())).collect();
            assert_eq!(told, [(format!("/tls{pointer}"), code.to_owned())], "{tls}");
            assert!(found.iter().all(|fault| !fault.message.contains("CANARY7F")));
        }
    }
}
