//! Bodies to config objects and back.

use std::fmt::Display;
use std::time::Duration;

use novagate_access::KeyDigest;
use novagate_kernel::{ConsumerId, ConsumerKeyId, Name, RouteId, ServiceId};
use novagate_policies::{
    AuthRule, ConfigObject, Consumer, ConsumerKeyGrant, LimitBy, RateLimit, RouteConfig, RouteLimit,
};
use novagate_ports_control::inbound::FieldFault;
use novagate_routing::{
    EncodedSlashes, HashOn, HealthCheck, HostPattern, LoadBalancing, PathPattern, Route, RouteMatch, Service, Target,
    TargetUrl,
};
use uuid::Uuid;

use super::body::{
    AcceptWord, AnyBody, AuthBody, BalancingWord, ConsumerBody, ConsumerKeyBody, HealthCheckBody, LimitByWord,
    MatchBody, RateLimitBody, RouteBody, RouteLimitBody, ServiceBody, SlashesWord, TargetBody,
};
use super::resilience::{CircuitBreakerBody, OutlierDetectionBody, RetriesBody, resilience};

pub(super) fn service(id: Uuid, body: ServiceBody) -> Result<ConfigObject, FieldFault> {
    let target = |(at, target): (usize, TargetBody)| {
        let url = at_pointer(TargetUrl::parse(&target.url), || format!("/targets/{at}/url"))?;
        Ok(Target { url, weight: target.weight })
    };
    let resilience = resilience(&body)?;
    Ok(ConfigObject::Service(Service {
        id: ServiceId::from_uuid(id),
        name: name_at(&body.name, "/name")?,
        targets: body.targets.into_iter().enumerate().map(target).collect::<Result<_, FieldFault>>()?,
        timeout: body.timeout_ms.map(Duration::from_millis),
        total_timeout: body.total_timeout_ms.map(Duration::from_millis),
        health_check: body
            .health_check
            .map(|check| HealthCheck { path: check.path.into(), interval: Duration::from_millis(check.interval_ms) }),
        load_balancing: load_balancing(body.load_balancing, body.hash_on.as_deref())?,
        resilience,
    }))
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

pub(super) fn route(id: Uuid, body: RouteBody) -> Result<ConfigObject, FieldFault> {
    let route = Route {
        id: RouteId::from_uuid(id),
        name: name_at(&body.name, "/name")?,
        matcher: matcher(&body.r#match)?,
        service: name_at(&body.service, "/service")?,
        strip_prefix: body.strip_prefix,
        encoded_slashes: match body.encoded_slashes {
            SlashesWord::Reject => EncodedSlashes::Reject,
            SlashesWord::Decode => EncodedSlashes::Decode,
            SlashesWord::Keep => EncodedSlashes::Keep,
        },
    };
    let auth = AuthRule {
        required: body.auth.required,
        accept_jwt: body.auth.accept.contains(&AcceptWord::Jwt),
        accept_key: body.auth.accept.contains(&AcceptWord::Key),
    };
    let rate_limit = body.rate_limit.map(|limit| RouteLimit {
        limit: RateLimit { max: limit.max, window: Duration::from_millis(limit.window_ms) },
        by: match limit.by {
            LimitByWord::Consumer => LimitBy::Consumer,
            LimitByWord::Subject => LimitBy::Subject,
            LimitByWord::Ip => LimitBy::Ip,
            LimitByWord::Route => LimitBy::Route,
        },
    });
    Ok(ConfigObject::Route(RouteConfig { route, auth, rate_limit }))
}

pub(super) fn consumer(id: Uuid, body: ConsumerBody) -> Result<ConfigObject, FieldFault> {
    let group = |(at, group): (usize, &String)| at_pointer(Name::parse(group), || format!("/groups/{at}"));
    let mut groups: Vec<Name> = body.groups.iter().enumerate().map(group).collect::<Result<_, _>>()?;
    groups.sort_unstable();
    groups.dedup();
    Ok(ConfigObject::Consumer(Consumer {
        id: ConsumerId::from_uuid(id),
        name: name_at(&body.name, "/name")?,
        groups,
        rate_limit: body
            .rate_limit
            .map(|limit| RateLimit { max: limit.max, window: Duration::from_millis(limit.window_ms) }),
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
            ConfigObject::Service(service) => Self::Service(service_body(service)),
            ConfigObject::Route(route) => Self::Route(route_body(route)),
            ConfigObject::Consumer(consumer) => Self::Consumer(ConsumerBody {
                name: consumer.name.to_string(),
                groups: consumer.groups.iter().map(ToString::to_string).collect(),
                rate_limit: consumer
                    .rate_limit
                    .map(|limit| RateLimitBody { max: limit.max, window_ms: millis(limit.window) }),
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
            .map(|target| TargetBody { url: target.url.to_string(), weight: target.weight })
            .collect(),
        timeout_ms: service.timeout.map(millis),
        total_timeout_ms: service.total_timeout.map(millis),
        health_check: service
            .health_check
            .as_ref()
            .map(|check| HealthCheckBody { path: check.path.to_string(), interval_ms: millis(check.interval) }),
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
        retries: service.resilience.retries.as_ref().map(RetriesBody::from),
        outlier_detection: service.resilience.outlier_detection.as_ref().map(OutlierDetectionBody::from),
        panic_percent: Some(service.resilience.panic_percent).filter(|percent| *percent > 0),
        circuit_breaker: service.resilience.circuit_breaker.as_ref().map(CircuitBreakerBody::from),
    }
}

fn route_body(config: &RouteConfig) -> RouteBody {
    let route = &config.route;
    RouteBody {
        name: route.name.to_string(),
        r#match: MatchBody {
            hosts: route.matcher.hosts.iter().map(ToString::to_string).collect(),
            methods: route.matcher.methods.iter().map(ToString::to_string).collect(),
            path: route.matcher.path.to_string(),
        },
        service: route.service.to_string(),
        strip_prefix: route.strip_prefix,
        encoded_slashes: match route.encoded_slashes {
            EncodedSlashes::Reject => SlashesWord::Reject,
            EncodedSlashes::Decode => SlashesWord::Decode,
            EncodedSlashes::Keep => SlashesWord::Keep,
        },
        auth: auth_body(config.auth),
        rate_limit: config.rate_limit.map(|limit| RouteLimitBody {
            max: limit.limit.max,
            window_ms: millis(limit.limit.window),
            by: match limit.by {
                LimitBy::Consumer => LimitByWord::Consumer,
                LimitBy::Subject => LimitByWord::Subject,
                LimitBy::Ip => LimitByWord::Ip,
                LimitBy::Route => LimitByWord::Route,
            },
        }),
        policies: Vec::new(),
    }
}

fn auth_body(rule: AuthRule) -> AuthBody {
    let words = [(rule.accept_jwt, AcceptWord::Jwt), (rule.accept_key, AcceptWord::Key)];
    let accept = words.into_iter().filter_map(|(accepted, word)| accepted.then_some(word)).collect();
    AuthBody { required: rule.required, accept }
}

fn matcher(body: &MatchBody) -> Result<RouteMatch, FieldFault> {
    let host = |(at, host): (usize, &String)| at_pointer(HostPattern::parse(host), || format!("/match/hosts/{at}"));
    let method = |(at, method): (usize, &String)| {
        at_pointer(http::Method::from_bytes(method.as_bytes()), || format!("/match/methods/{at}"))
    };
    Ok(RouteMatch {
        hosts: body.hosts.iter().enumerate().map(host).collect::<Result<_, _>>()?,
        methods: body.methods.iter().enumerate().map(method).collect::<Result<_, _>>()?,
        path: at_pointer(PathPattern::parse(&body.path), || "/match/path".to_owned())?,
    })
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
