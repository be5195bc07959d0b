//! What the gateway is configured with: one open route, or a thousand with everything switched on.
//!
//! Not here: how it reaches the gateway.

use std::net::SocketAddr;

use anyhow::{Result, anyhow};
use jsonwebtoken::{EncodingKey, Header};
use novagate_access::ConsumerKey;
use novagate_documents::{config::parse_config, stored::JsonObjectCodec};
use novagate_kernel::{ConsumerKeyId, Epoch, Revision};
use novagate_policies::{ConfigObject, ConsumerKeyGrant};
use novagate_ports_base::ObjectCodec as _;
use novagate_sync::{ConfigSet, WireObject};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::peers::CODED_PATH;

/// Verifies the tokens of the benchmarks; it guards nothing.
pub(crate) const JWT_SECRET: &str = "the-secret-of-the-benchmarks-guards-nothing";

/// Number of routes of [`whole_pipeline`].
pub(crate) const ROUTES: u32 = 1_000;

/// Number of routes of [`large`].
pub(crate) const LARGE_ROUTES: u32 = 10_000;
const LARGE_CONSUMERS: u32 = 1_000;
const KEYS_OF_A_CONSUMER: u32 = 100;

/// A request that [`large`] serves without a key.
pub(crate) const LARGE_PATH: &str = "/r-5000/items/42";

/// A request that [`whole_pipeline`] serves with a token.
pub(crate) const PIPELINE_PATH: &str = "/team-500/items/42";

/// Until 2100.
const FAR_FUTURE: u64 = 4_102_444_800;

/// One route that lets everything through.
pub(crate) fn open_route(upstream: SocketAddr) -> Value {
    json!({
        "services": [service(upstream)],
        "routes": [{"name": "open", "match": {"path": "/*"}, "service": "origin"}],
    })
}

/// The same, to an upstream that is spoken to in HTTP/2.
pub(crate) fn by_http2(upstream: SocketAddr) -> Value {
    json!({
        "services": [{"name": "origin", "targets": [{"url": format!("http://{upstream}")}], "protocol": "http2"}],
        "routes": [{"name": "open", "match": {"path": "/*"}, "service": "origin"}],
    })
}

/// The open route, and one that compresses.
pub(crate) fn varied(upstream: SocketAddr) -> Value {
    json!({
        "services": [service(upstream)],
        "routes": [
            {"name": "open", "match": {"path": "/*"}, "service": "origin"},
            {"name": "coded", "match": {"path": CODED_PATH}, "service": "origin", "compression": {}},
        ],
    })
}

/// A request that [`beside_silence`] sends to the upstream that does not answer.
pub(crate) const SILENT_PATH: &str = "/silent";

/// The open route, beside one to an upstream that does not answer.
pub(crate) fn beside_silence(upstream: SocketAddr, silent: SocketAddr) -> Value {
    json!({
        "services": [
            service(upstream),
            {"name": "silent", "targets": [{"url": format!("http://{silent}")}]},
        ],
        "routes": [
            {"name": "open", "match": {"path": "/*"}, "service": "origin"},
            {"name": "silent", "match": {"path": SILENT_PATH}, "service": "silent"},
        ],
    })
}

/// Routes that need a token and count requests, by client and by route, with limits that are never reached.
pub(crate) fn whole_pipeline(upstream: SocketAddr) -> Value {
    let route = |number: u32| {
        json!({
            "name": format!("team-{number}"), "service": "origin",
            "match": {"methods": ["GET"], "path": format!("/team-{number}/items/{{id}}")},
            "auth": {"required": true, "accept": ["jwt"]},
            "rateLimit": {"max": 1_000_000, "windowMs": 1_000, "by": "consumer"},
        })
    };
    json!({
        "services": [service(upstream)],
        "routes": (0..ROUTES).map(route).collect::<Vec<_>>(),
        "consumers": [{"name": "bench", "rateLimit": {"max": 1_000_000, "windowMs": 1_000}}],
    })
}

fn service(upstream: SocketAddr) -> Value {
    json!({"name": "origin", "targets": [{"url": format!("http://{upstream}")}]})
}

/// An HS256 token of the consumer `bench`.
pub(crate) fn token() -> Result<String> {
    let claims = json!({"sub": "bench", "exp": FAR_FUTURE});
    Ok(jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(JWT_SECRET.as_bytes()))?)
}

/// 10,000 open routes, and 1,000 consumers with 100 keys each.
pub(crate) fn large(upstream: SocketAddr) -> Result<ConfigSet> {
    let route = |number: u32| json!({"name": format!("r-{number}"), "service": "origin", "match": {"path": format!("/r-{number}/items/{{id}}")}});
    let config = json!({
        "services": [service(upstream)],
        "routes": (0..LARGE_ROUTES).map(route).collect::<Vec<_>>(),
        "consumers": (0..LARGE_CONSUMERS).map(|number| json!({"name": format!("c-{number}")})).collect::<Vec<_>>(),
    });
    let mut objects = numbered(&config)?;
    let consumers = objects.iter().filter_map(|object| match object {
        ConfigObject::Consumer(consumer) => Some(consumer.id),
        ConfigObject::Service(_) | ConfigObject::Route(_) | ConfigObject::ConsumerKey(_) => None,
    });
    let keys: Vec<ConfigObject> = consumers
        .flat_map(|consumer| (0..KEYS_OF_A_CONSUMER).map(move |_| consumer))
        .zip(1_u128..)
        .map(|(consumer, number)| {
            let digest = ConsumerKey::generate(number.to_le_bytes()).digest();
            ConfigObject::ConsumerKey(ConsumerKeyGrant { id: ConsumerKeyId::from_u128(number), consumer, digest })
        })
        .collect();
    objects.extend(keys);
    wire(&objects)
}

/// A configuration as a gateway receives and keeps it.
pub(crate) fn config_set(config: &Value) -> Result<ConfigSet> {
    wire(&numbered(config)?)
}

/// Its objects with ids.
fn numbered(config: &Value) -> Result<Vec<ConfigObject>> {
    let objects = parse_config(config).map_err(|faults| anyhow!("the configuration is refused: {faults:?}"))?;
    Ok((1_u128..).zip(objects).map(|(number, object)| object.with_id(Uuid::from_u128(number))).collect())
}

fn wire(objects: &[ConfigObject]) -> Result<ConfigSet> {
    let wire = objects.iter().map(|object| WireObject::new(object.reference(), JsonObjectCodec.encode(object)));
    Ok(ConfigSet::new(Revision { epoch: Epoch::try_from_u64(1)?, seq: 2 }, wire))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_configurations_are_in_the_config_language() {
        let upstream = SocketAddr::from(([127, 0, 0, 1], 9));
        assert_eq!(config_set(&open_route(upstream)).unwrap().objects().len(), 2);
        assert_eq!(config_set(&by_http2(upstream)).unwrap().objects().len(), 2);
        assert_eq!(config_set(&beside_silence(upstream, upstream)).unwrap().objects().len(), 4);
        assert_eq!(config_set(&varied(upstream)).unwrap().objects().len(), 3);
        assert_eq!(config_set(&whole_pipeline(upstream)).unwrap().objects().len(), 1_002);
        assert_eq!(token().unwrap().split('.').count(), 3);
    }
}
