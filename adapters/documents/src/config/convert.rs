//! Bodies to config objects and back.

mod route;

use std::fmt::Display;
use std::time::Duration;

use novagate_access::KeyDigest;
use novagate_kernel::{ConsumerId, ConsumerKeyId, Name, ServiceId};
use novagate_policies::{CertificateName, ConfigObject, Consumer, ConsumerKeyGrant, RateLimit};
use novagate_ports_control::inbound::FieldFault;
use novagate_routing::{HashOn, LoadBalancing, Preference, Protocol, Service, Target, TargetUrl};
use uuid::Uuid;

use self::route::route_body;
use super::body::{
    AnyBody, BalancingWord, ConsumerBody, ConsumerKeyBody, ProtocolWord, RateLimitBody, ServiceBody, TargetBody,
};
use super::health::{HealthCheckBody, health_check};
use super::resilience::{CircuitBreakerBody, HedgeBody, OutlierDetectionBody, RetriesBody, resilience};
use super::tls::{UpstreamTlsBody, tls};

pub(super) use self::route::route;

pub(super) fn service(id: Uuid, body: ServiceBody) -> Result<ConfigObject, FieldFault> {
    let target = |(at, target): (usize, TargetBody)| {
        let url = at_pointer(TargetUrl::parse(&target.url), || format!("/targets/{at}/url"))?;
        Ok(Target { url, weight: target.weight, zone: target.zone.map(Into::into) })
    };
    let preference = preference(&body)?;
    let resilience = resilience(&body)?;
    Ok(ConfigObject::Service(Service {
        id: ServiceId::from_uuid(id),
        name: name_at(&body.name, "/name")?,
        targets: body.targets.into_iter().enumerate().map(target).collect::<Result<_, FieldFault>>()?,
        timeout: body.timeout_ms.map(Duration::from_millis),
        total_timeout: body.total_timeout_ms.map(Duration::from_millis),
        protocol: match body.protocol {
            None | Some(ProtocolWord::Http1) => Protocol::Http1,
            Some(ProtocolWord::Http2) => Protocol::Http2,
        },
        health_check: body.health_check.map(health_check).transpose()?.map(Box::new),
        load_balancing: load_balancing(body.load_balancing, body.hash_on.as_deref())?,
        preference,
        resilience,
        tls: body.tls.as_ref().map(tls).transpose()?.map(Box::new),
    }))
}

fn preference(body: &ServiceBody) -> Result<Preference, FieldFault> {
    if body.load_balancing == BalancingWord::ConsistentHash && body.slow_start_ms.is_some() {
        let rule = "is of no use with loadBalancing consistent-hash";
        return Err(FieldFault::new("/slowStartMs".to_owned(), "not_allowed", rule.to_owned()));
    }
    Ok(Preference {
        slow_start: body.slow_start_ms.map(Duration::from_millis),
        zone_min_percent: body.zone_min_percent.unwrap_or(Preference::ZONE_MIN_PERCENT),
    })
}

fn load_balancing(word: BalancingWord, hash_on: Option<&str>) -> Result<LoadBalancing, FieldFault> {
    let fault = |code, message: &str| FieldFault::new("/hashOn".to_owned(), code, message.to_owned());
    match (word, hash_on) {
        (BalancingWord::ConsistentHash, Some(text)) => {
            at_pointer(HashOn::parse(text), || "/hashOn".to_owned()).map(LoadBalancing::ConsistentHash)
        }
        (BalancingWord::ConsistentHash, None) => Err(fault("required", "is required with consistent-hash")),
        (_, Some(_)) => Err(fault("not_allowed", "is of use only with loadBalancing consistent-hash")),
        (BalancingWord::RoundRobin, None) => Ok(LoadBalancing::RoundRobin),
        (BalancingWord::LeastConnections, None) => Ok(LoadBalancing::LeastConnections),
        (BalancingWord::Latency, None) => Ok(LoadBalancing::Latency),
    }
}

pub(super) fn consumer(id: Uuid, body: ConsumerBody) -> Result<ConfigObject, FieldFault> {
    let group = |(at, group): (usize, &String)| at_pointer(Name::parse(group), || format!("/groups/{at}"));
    let mut groups: Vec<Name> = body.groups.iter().enumerate().map(group).collect::<Result<_, _>>()?;
    groups.sort_unstable();
    groups.dedup();
    let certificate =
        |(at, text): (usize, &String)| at_pointer(CertificateName::parse(text), || format!("/certificates/{at}"));
    Ok(ConfigObject::Consumer(Consumer {
        id: ConsumerId::from_uuid(id),
        name: name_at(&body.name, "/name")?,
        groups,
        rate_limit: body
            .rate_limit
            .map(|limit| RateLimit { max: limit.max, window: Duration::from_millis(limit.window_ms) }),
        certificates: body.certificates.iter().enumerate().map(certificate).collect::<Result<_, _>>()?,
    }))
}

pub(super) fn consumer_key(id: Uuid, body: &ConsumerKeyBody) -> Result<ConfigObject, FieldFault> {
    Ok(ConfigObject::ConsumerKey(ConsumerKeyGrant {
        id: ConsumerKeyId::from_uuid(id),
        consumer: at_pointer(ConsumerId::parse(&body.consumer), || "/consumer".to_owned())?,
        digest: at_pointer(KeyDigest::parse(&body.sha256), || "/sha256".to_owned())?,
    }))
}

impl From<&ConfigObject> for AnyBody {
    fn from(object: &ConfigObject) -> Self {
        match object {
            ConfigObject::Service(service) => Self::Service(Box::new(service_body(service))),
            ConfigObject::Route(route) => Self::Route(Box::new(route_body(route))),
            ConfigObject::Consumer(consumer) => Self::Consumer(ConsumerBody {
                name: consumer.name.to_string(),
                groups: consumer.groups.iter().map(ToString::to_string).collect(),
                rate_limit: consumer
                    .rate_limit
                    .map(|limit| RateLimitBody { max: limit.max, window_ms: millis(limit.window) }),
                certificates: consumer.certificates.iter().map(ToString::to_string).collect(),
            }),
            ConfigObject::ConsumerKey(key) => Self::ConsumerKey(ConsumerKeyBody {
                consumer: key.consumer.to_string(),
                sha256: key.digest.to_string(),
            }),
        }
    }
}

fn service_body(service: &Service) -> ServiceBody {
    ServiceBody {
        name: service.name.to_string(),
        targets: service
            .targets
            .iter()
            .map(|target| TargetBody {
                url: target.url.to_string(),
                weight: target.weight,
                zone: target.zone.as_deref().map(str::to_owned),
            })
            .collect(),
        timeout_ms: service.timeout.map(millis),
        total_timeout_ms: service.total_timeout.map(millis),
        protocol: match service.protocol {
            Protocol::Http1 => None,
            Protocol::Http2 => Some(ProtocolWord::Http2),
        },
        health_check: service.health_check.as_deref().map(HealthCheckBody::from),
        load_balancing: match service.load_balancing {
            LoadBalancing::RoundRobin => BalancingWord::RoundRobin,
            LoadBalancing::LeastConnections => BalancingWord::LeastConnections,
            LoadBalancing::Latency => BalancingWord::Latency,
            LoadBalancing::ConsistentHash(_) => BalancingWord::ConsistentHash,
        },
        hash_on: match &service.load_balancing {
            LoadBalancing::ConsistentHash(hash_on) => Some(hash_on.to_string()),
            LoadBalancing::RoundRobin | LoadBalancing::LeastConnections | LoadBalancing::Latency => None,
        },
        slow_start_ms: service.preference.slow_start.map(millis),
        zone_min_percent: Some(service.preference.zone_min_percent)
            .filter(|percent| *percent != Preference::ZONE_MIN_PERCENT),
        retries: service.resilience.retries.as_ref().map(RetriesBody::from),
        hedge: service.resilience.hedge.as_ref().map(HedgeBody::from),
        outlier_detection: service.resilience.outlier_detection.as_ref().map(OutlierDetectionBody::from),
        panic_percent: Some(service.resilience.panic_percent).filter(|percent| *percent > 0),
        circuit_breaker: service.resilience.circuit_breaker.as_ref().map(CircuitBreakerBody::from),
        tls: service.tls.as_deref().map(UpstreamTlsBody::from),
    }
}

fn name_at(text: &str, pointer: &str) -> Result<Name, FieldFault> {
    at_pointer(Name::parse(text), || pointer.to_owned())
}

pub(super) fn at_pointer<T, E: Display>(read: Result<T, E>, pointer: impl FnOnce() -> String) -> Result<T, FieldFault> {
    read.map_err(|error| FieldFault::new(pointer(), "invalid", error.to_string()))
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
