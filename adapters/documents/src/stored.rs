//! Config objects as bytes: what storage keeps, digests are made of and gateways receive.
//!
//! Always: fixed field order, no white space, defaults written out, so equal objects have equal bytes; unknown fields are
//! passed over, unknown words and policies are not (a gateway must not serve what it does not understand).
//! Not here: ids and times, which stand beside the bytes.

use bytes::Bytes;
use novagate_kernel::ObjectKind;
use novagate_policies::ConfigObject;
use novagate_ports_base::{CodecError, ObjectCodec};
use novagate_ports_control::inbound::FieldFault;
use serde_json::Value;
use uuid::Uuid;

use crate::config::{AnyBody, read_body, shape_of};
use crate::fault::Faults;
use crate::shape::{Unknown, check};

/// The longest body, in bytes: a service with 256 targets and every field at its bound is well below it.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// The canonical JSON encoding.
#[derive(Debug, Clone, Copy, Default)]
pub struct JsonObjectCodec;

impl ObjectCodec for JsonObjectCodec {
    fn encode(&self, object: &ConfigObject) -> Bytes {
        serde_json::to_vec(&AnyBody::from(object)).map(Bytes::from).unwrap_or_default()
    }

    fn decode(&self, kind: ObjectKind, id: Uuid, body: &[u8]) -> Result<ConfigObject, CodecError> {
        let refused = |fault: FieldFault| CodecError { kind, pointer: fault.pointer, rule: fault.message };
        if body.len() > MAX_BODY_BYTES {
            return Err(refused(FieldFault::new("", "too_large", format!("more than {MAX_BODY_BYTES} bytes"))));
        }
        let value: Value =
            serde_json::from_slice(body).map_err(|_| refused(FieldFault::new("", "malformed", "not valid JSON")))?;
        let mut faults = Faults::default();
        check(&value, shape_of(kind), Unknown::Ignore, &mut faults);
        match faults.into_found().into_iter().next() {
            Some(fault) => Err(refused(fault)),
            None => read_body(kind, id, &value).map_err(refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use novagate_kernel::{ConsumerId, ConsumerKeyId};
    use novagate_policies::ConsumerKeyGrant;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::config::parse_object;
    use crate::golden::{golden, mutate};

    const ID: Uuid = Uuid::from_u128(7);

    fn full() -> Vec<ConfigObject> {
        let service = json!({
            "name": "users", "targets": [{"url": "http://10.0.0.5:8080", "weight": 3}, {"url": "https://users.example:8443"}],
            "timeoutMs": 10000, "totalTimeoutMs": 60000, "healthCheck": {"path": "/health?deep=1", "intervalMs": 5000},
        });
        let route = json!({
            "name": "get-user", "service": "users", "stripPrefix": true, "encodedSlashes": "keep",
            "match": {"hosts": ["api.example.com", "*.example.org"], "methods": ["GET", "HEAD"], "path": "/users/*"},
            "auth": {"required": true, "accept": ["key"]}, "rateLimit": {"max": 100, "windowMs": 60000, "by": "ip"},
        });
        let consumer =
            json!({"name": "app", "groups": ["partners", "beta"], "rateLimit": {"max": 5, "windowMs": 1000}});
        vec![
            parse_object(ObjectKind::Service, ID, &service).unwrap(),
            parse_object(ObjectKind::Route, ID, &route).unwrap(),
            parse_object(ObjectKind::Consumer, ID, &consumer).unwrap(),
            ConfigObject::ConsumerKey(ConsumerKeyGrant {
                id: ConsumerKeyId::from_uuid(ID),
                consumer: ConsumerId::from_u128(8),
                digest: novagate_access::KeyDigest::of(b"ck_x"),
            }),
        ]
    }

    /// What a route does besides forwarding to one service, and wants besides host, path and method.
    fn other_routes() -> [(&'static str, ConfigObject); 2] {
        let split = json!({
            "name": "canary", "split": {"on": "header:x-user", "services": [
                {"service": "users", "weight": 95}, {"service": "users-v2", "weight": 5}]},
            "preserveHost": true, "rewrite": {"path": "/v2/{id}"}, "timeoutMs": 500, "totalTimeoutMs": 5000,
            "match": {"path": "/users/{id}", "pathRegex": "/users/[0-9]+", "priority": 2,
                "headers": [{"name": "x-canary", "value": "yes"}, {"name": "x-tag", "regex": "[a-z]+"}],
                "query": [{"name": "beta"}]},
        });
        let redirect = json!({
            "name": "moved", "match": {"path": "/old/*"}, "redirect": {"status": 308, "scheme": "https",
                "host": "www.example.com", "port": 8443, "path": "/new/*", "dropQuery": true},
        });
        [("split", split), ("redirect", redirect)]
            .map(|(suffix, body)| (suffix, parse_object(ObjectKind::Route, ID, &body).unwrap()))
    }

    fn least() -> Vec<ConfigObject> {
        let service = json!({"name": "a", "targets": [{"url": "http://a.example"}]});
        let route = json!({"name": "b", "match": {"path": "/"}, "service": "a"});
        vec![
            parse_object(ObjectKind::Service, ID, &service).unwrap(),
            parse_object(ObjectKind::Route, ID, &route).unwrap(),
            parse_object(ObjectKind::Consumer, ID, &json!({"name": "c"})).unwrap(),
        ]
    }

    fn resilient() -> Vec<ConfigObject> {
        let service = json!({
            "name": "users", "targets": [{"url": "http://10.0.0.5:8080"}, {"url": "http://10.0.0.6:8080"}],
            "retries": {"attempts": 3, "on": ["connect", "timeout"], "statuses": [503], "perTryTimeoutMs": 250},
            "outlierDetection": {"errorRatePercent": 40}, "panicPercent": 50,
            "circuitBreaker": {"maxRequests": 1000, "maxPending": 100},
        });
        vec![parse_object(ObjectKind::Service, ID, &service).unwrap()]
    }

    fn over_http2() -> ConfigObject {
        let service = json!({"name": "users", "targets": [{"url": "https://10.0.0.5"}], "protocol": "http2"});
        parse_object(ObjectKind::Service, ID, &service).unwrap()
    }

    fn refusal(kind: ObjectKind, body: &[u8]) -> String {
        JsonObjectCodec.decode(kind, ID, body).unwrap_err().pointer
    }

    #[test]
    fn stored_bytes_are_those_of_the_golden_files_and_read_back() {
        let all = full().into_iter().map(|object| ("full", object));
        let all = all.chain(least().into_iter().map(|object| ("least", object))).chain(other_routes());
        let all = all.chain([("http2", over_http2())]);
        for (suffix, object) in all.chain(resilient().into_iter().map(|object| ("resilient", object))) {
            let bytes = JsonObjectCodec.encode(&object);
            let name = format!("stored_v1_{}_{suffix}.json", object.kind());
            assert_eq!(bytes, golden(&name, &bytes), "{name}");
            assert_eq!(JsonObjectCodec.decode(object.kind(), ID, &bytes).unwrap(), object);
        }
    }

    #[test]
    fn unknown_fields_are_passed_over_at_every_depth() {
        let body = br#"{"name":"a","new":1,"targets":[{"url":"http://a.example","zone":"x"}],"healthCheck":{"path":"/","n":{}}}"#;
        assert!(JsonObjectCodec.decode(ObjectKind::Service, ID, body).is_ok());
    }

    #[test]
    fn what_this_version_cannot_serve_is_refused_with_its_pointer() {
        let route = |extra: &str| format!(r#"{{"name":"b","match":{{"path":"/"}},"service":"a",{extra}}}"#);
        assert_eq!(refusal(ObjectKind::Route, route(r#""policies":[{"type":"cors"}]"#).as_bytes()), "/policies/0");
        assert_eq!(refusal(ObjectKind::Route, route(r#""encodedSlashes":"both""#).as_bytes()), "/encodedSlashes");
        assert_eq!(refusal(ObjectKind::Service, br#"{"name":"a","targets":[]}"#), "/targets");
        assert_eq!(refusal(ObjectKind::ConsumerKey, br#"{"consumer":"x","sha256":"y"}"#), "/consumer");
        assert_eq!(refusal(ObjectKind::Consumer, b"{"), "");
        assert_eq!(refusal(ObjectKind::Consumer, &vec![b' '; MAX_BODY_BYTES + 1]), "");
    }

    #[test]
    fn a_refusal_never_repeats_the_value() {
        let error = JsonObjectCodec.decode(ObjectKind::Consumer, ID, br#"{"name":"CANARY7F"}"#).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("CANARY7F"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            for kind in ObjectKind::ALL {
                drop(JsonObjectCodec.decode(kind, ID, &body));
            }
        }

        #[test]
        fn changed_bodies_are_refused_or_read_and_written_alike(at in any::<usize>(), byte in any::<u8>(), how in any::<u8>(), which in 0_usize..6) {
            let object = full().into_iter().chain(other_routes().map(|(_, object)| object)).nth(which).unwrap();
            let changed = mutate(&JsonObjectCodec.encode(&object), at, byte, how);
            if let Ok(read) = JsonObjectCodec.decode(object.kind(), ID, &changed) {
                let again = JsonObjectCodec.decode(object.kind(), ID, &JsonObjectCodec.encode(&read)).unwrap();
                prop_assert_eq!(again, read);
            }
        }
    }
}
