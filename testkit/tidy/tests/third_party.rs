//! Which crates of others each layer may use, and which technology belongs to which adapter.

use novagate_tidy::{Crate, Layer, Manifest, Offence, assert_none, crates, files};

const DOMAIN: &[&str] = &["bytes", "hmac", "ipnet", "regex", "sha2", "subtle", "thiserror", "uuid", "wide", "zeroize"];
/// Type crates of HTTP.
const HTTP_IN_DOMAIN: [&str; 3] = ["domain/framing", "domain/policies", "domain/routing"];
const PORTS: &[&str] = &["async-trait", "bytes", "futures-core", "thiserror", "uuid"];
const CORE: &[&str] = &["arc-swap", "async-trait", "bytes", "thiserror", "tokio", "tracing", "uuid"];
const SETTINGS: &[&str] = &["config", "ipnet", "thiserror", "zeroize"];

/// A technology and the shipped crates that may name it.
const FENCES: &[(&str, &[&str])] = &[
    ("anyhow", &["apps/control", "apps/gateway", "apps/novagate"]),
    ("axum", &["adapters/http-admin", "adapters/http-ops", "adapters/sync-hub", "apps/control", "apps/novagate"]),
    ("bcrypt", &["adapters/passwords"]),
    ("brotli", &["adapters/http-edge"]),
    ("clap", &["apps/control", "apps/gateway", "apps/novagate"]),
    ("config", &["apps/settings"]),
    ("deadpool-redis", &["adapters/redis"]),
    ("flate2", &["adapters/http-edge"]),
    ("getrandom", &["adapters/system"]),
    ("h2", &["adapters/http-edge"]),
    ("hickory-resolver", &["adapters/net"]),
    ("hyper", &["adapters/http-edge", "adapters/net", "apps/novagate"]),
    ("jsonwebtoken", &["adapters/tokens"]),
    ("lettre", &["adapters/mail"]),
    ("openssl", &[]),
    ("opentelemetry", &["adapters/telemetry"]),
    ("opentelemetry-prometheus", &["adapters/telemetry"]),
    ("opentelemetry_sdk", &["adapters/telemetry"]),
    ("prometheus", &["adapters/telemetry"]),
    ("proptest", &[]),
    ("rand", &[]),
    ("rcgen", &["adapters/net"]),
    ("redis", &["adapters/redis"]),
    ("sea-orm", &["adapters/store-sql", "migrations"]),
    ("sea-orm-migration", &["adapters/store-sql", "migrations"]),
    ("tokio-tungstenite", &["adapters/sync-client", "adapters/sync-hub"]),
    ("trybuild", &[]),
    ("utoipa", &["adapters/documents", "adapters/http-admin"]),
    ("utoipa-axum", &["adapters/http-admin"]),
    ("x509-parser", &["adapters/http-edge"]),
    ("zstd-safe", &["adapters/http-edge"]),
];

#[test]
fn inner_layers_use_only_what_is_listed_for_them() {
    let mut offences = Vec::new();
    for from in &crates().unwrap() {
        for name in third_party(from).filter(|name| !is_listed(from, name)) {
            offences.push(Offence::at(format!("{}/Cargo.toml", from.folder), format!("{name} is not for this layer")));
        }
    }
    assert_none("domain, ports, cores and settings use the crates of their list only", offences);
}

fn is_listed(from: &Crate, name: &str) -> bool {
    match from.layer {
        Layer::Domain => DOMAIN.contains(&name) || (name == "http" && HTTP_IN_DOMAIN.contains(&from.folder.as_str())),
        Layer::Ports => PORTS.contains(&name),
        Layer::Core => CORE.contains(&name),
        Layer::Settings => SETTINGS.contains(&name),
        Layer::Adapters | Layer::Program | Layer::Migrations | Layer::Testkit => true,
    }
}

#[test]
fn a_technology_stays_in_its_adapter() {
    let mut offences = Vec::new();
    for from in crates().unwrap().iter().filter(|from| from.layer != Layer::Testkit) {
        for name in third_party(from) {
            let fence = FENCES.iter().find(|(fenced, _)| *fenced == name);
            if fence.is_some_and(|(_, inside)| !inside.contains(&from.folder.as_str())) {
                offences.push(Offence::at(format!("{}/Cargo.toml", from.folder), format!("{name} belongs elsewhere")));
            }
        }
    }
    assert_none("the technology of one adapter is named by no other", offences);
}

#[test]
fn ids_are_made_from_given_entropy_only() {
    let all = files().unwrap();
    let root = all.iter().find(|file| file.path == "Cargo.toml").unwrap();
    let manifest = Manifest::parse(&root.text);
    let uuid = manifest.dependencies.iter().find(|line| line.name == "uuid").unwrap();
    assert!(!uuid.rest.contains("v4") && !uuid.rest.contains("v7"), "uuid must not draw its own randomness or time");
}

fn third_party(from: &Crate) -> impl Iterator<Item = &str> {
    let shipped = from.dependencies.iter().filter(|dependency| !dependency.for_tests && dependency.folder.is_none());
    shipped.map(|dependency| dependency.name.as_str())
}
