//! Objects that a codec is tried with.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use novagate_fixtures::Mint;
use novagate_kernel::Name;
use novagate_policies::{
    AuthRule, CertificateName, ConfigObject, Consumer, ConsumerKeyGrant, LimitBy, RateLimit, RouteConfig, RouteLimit,
};
use novagate_routing::{
    CircuitBreaker, Compression, Condition, ConditionOn, ContentCoding, Decompression, EncodedSlashes, ErrorRate,
    Expression, Forward, ForwardHost, ForwardPath, ForwardTo, HashOn, HealthCheck, Hedge, HostPattern, HostTemplate,
    HttpProbe, KeyPin, LoadBalancing, MediaRange, Mirror, OutlierDetection, PathPattern, PathTemplate, Preference,
    ProbeKind, Protocol, Redirect, RedirectStatus, Resilience, Retries, RetryGround, Route, RouteAction, RouteMatch,
    Scheme, Service, Split, StatusRange, Target, TargetUrl, TlsFileName, TlsIdentity, TlsServerName, TlsVersion,
    UpstreamTls, ValueTest, WeightedService,
};

/// Objects of every kind with every field now given, now left out.
pub(super) fn objects() -> Vec<ConfigObject> {
    let maker = Maker(Mint::new(11));
    let mut objects = Vec::new();
    for _ in 0..60 {
        objects.push(ConfigObject::Service(maker.service()));
        objects.push(ConfigObject::Route(maker.route()));
        objects.push(ConfigObject::Consumer(maker.consumer()));
        objects.push(ConfigObject::ConsumerKey(ConsumerKeyGrant {
            id: maker.0.consumer_key(),
            consumer: maker.0.consumer(),
            digest: maker.0.key_digest(),
        }));
    }
    objects
}

struct Maker(Mint);

impl Maker {
    fn below(&self, bound: u64) -> u64 {
        self.0.entropy().below(bound)
    }

    fn maybe<T>(&self, make: impl FnOnce() -> T) -> Option<T> {
        (self.below(2) == 0).then(make)
    }

    fn millis(&self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least + 1))
    }

    fn target(&self) -> Target {
        let hosts = ["users.example", "10.0.0.5", "fd00::1", "a.b-c.example.org"];
        let (tls, host) = (self.below(2) == 0, Arc::from(*self.0.entropy().pick(&hosts)));
        let port = *self.0.entropy().pick(&[80, 443, 8080, 1, u16::MAX]);
        let zone = self.maybe(|| Arc::from("eu-west-1a"));
        Target { url: TargetUrl { tls, host, port }, weight: u8::try_from(1 + self.below(100)).unwrap(), zone }
    }

    fn health_check(&self) -> HealthCheck {
        let small = || u8::try_from(1 + self.below(100)).unwrap();
        let statuses = [(200, 299), (404, 404)].map(|(first, last)| StatusRange { first, last });
        let kind = match self.below(3) {
            0 => ProbeKind::Tcp,
            1 => ProbeKind::Grpc { service: self.maybe(|| "shop.Users".into()) },
            _ => ProbeKind::Http(HttpProbe {
                path: Arc::from(*self.0.entropy().pick(&["/health", "/", "/h?deep=1&x=%20"])),
                host: self.maybe(|| "users.example".into()),
                expect: statuses.into_iter().filter(|_| self.below(2) == 0).collect(),
            }),
        };
        HealthCheck {
            kind,
            interval: self.millis(1_000, 3_600_000),
            timeout: self.millis(1, 60_000),
            unhealthy_threshold: small(),
            healthy_threshold: small(),
            jitter_percent: small(),
        }
    }

    fn service(&self) -> Service {
        let load_balancing = match self.below(5) {
            0 => LoadBalancing::LeastConnections,
            1 => LoadBalancing::Latency,
            2 => LoadBalancing::ConsistentHash(HashOn::Consumer),
            3 => LoadBalancing::ConsistentHash(HashOn::Header("x-user".into())),
            _ => LoadBalancing::RoundRobin,
        };
        let is_hashed = matches!(load_balancing, LoadBalancing::ConsistentHash(_));
        Service {
            id: self.0.service(),
            name: self.0.name("svc"),
            targets: (0..=self.below(3)).map(|_| self.target()).collect(),
            timeout: self.maybe(|| self.millis(1, 3_600_000)),
            total_timeout: self.maybe(|| self.millis(1, 3_600_000)),
            protocol: if self.below(2) == 0 { Protocol::Http1 } else { Protocol::Http2 },
            health_check: self.maybe(|| Box::new(self.health_check())),
            preference: Preference {
                slow_start: self.maybe(|| self.millis(1_000, 3_600_000)).filter(|_| !is_hashed),
                zone_min_percent: u8::try_from(self.below(101)).unwrap(),
            },
            load_balancing,
            resilience: self.resilience(),
            tls: self.maybe(|| Box::new(self.tls())),
        }
    }

    fn tls(&self) -> UpstreamTls {
        let file = |name: &str| TlsFileName::parse(name).unwrap();
        UpstreamTls {
            ca: self.maybe(|| file("ca.pem")),
            identity: self.maybe(|| TlsIdentity { cert: file("gateway.pem"), key: file("gateway.key") }),
            server_name: self.maybe(|| TlsServerName::parse("users.internal").unwrap()),
            min_version: *self.0.entropy().pick(&[TlsVersion::V1_2, TlsVersion::V1_3]),
            pins: self.maybe(|| KeyPin::parse(&"0f".repeat(32)).unwrap()).into_iter().collect(),
        }
    }

    fn resilience(&self) -> Resilience {
        let small = |most: u64| u8::try_from(1 + self.below(most)).unwrap();
        let at_once = || u32::try_from(1 + self.below(1_000_000)).unwrap();
        let grounds = [RetryGround::Connect, RetryGround::Reset, RetryGround::Timeout];
        Resilience {
            retries: self.maybe(|| Retries {
                attempts: small(5),
                on: grounds.into_iter().filter(|_| self.below(2) == 0).collect(),
                statuses: [500, 502, 503, 599].into_iter().filter(|_| self.below(2) == 0).collect(),
                methods: Retries::IDEMPOTENT.into_iter().take(usize::from(small(6))).collect(),
                per_try_timeout: self.maybe(|| self.millis(1, 3_600_000)),
                budget_percent: small(100),
                max_body: at_once(),
            }),
            hedge: self.maybe(|| {
                let methods = Hedge::SAFE.into_iter().take(usize::from(small(3))).collect();
                Hedge { delay: self.millis(1, 3_600_000), max_extra: small(3), methods }
            }),
            outlier_detection: self.maybe(|| OutlierDetection {
                consecutive_failures: small(100),
                error_rate: self.maybe(|| ErrorRate { percent: small(100), min_requests: 1 + at_once() % 100_000 }),
                eject: self.millis(1_000, 3_600_000),
                max_eject: self.millis(3_600_000, 86_400_000),
                max_ejected_percent: small(100),
            }),
            panic_percent: small(101) - 1,
            circuit_breaker: self.maybe(|| {
                let (max_pending, max_connections) = (self.maybe(at_once), self.maybe(at_once));
                CircuitBreaker { max_requests: at_once(), max_pending, max_connections }
            }),
        }
    }

    fn limit(&self) -> RateLimit {
        let max = u32::try_from(1 + self.below(1_000_000)).unwrap();
        RateLimit { max, window: self.millis(1_000, 86_400_000) }
    }

    fn matcher(&self) -> RouteMatch {
        let hosts = ["api.example.com", "*.example.org", "localhost"];
        let paths = ["/", "/users", "/users/{id}", "/a/b/*", "/v1/{x}/orders/{orderId}/*"];
        let hosts = hosts.iter().filter(|_| self.below(3) == 0).map(|text| HostPattern::parse(text).unwrap());
        let methods = [Method::GET, Method::HEAD, Method::POST, Method::DELETE, Method::PATCH];
        RouteMatch {
            hosts: hosts.collect(),
            methods: methods.into_iter().filter(|_| self.below(3) == 0).collect(),
            path: PathPattern::parse(self.0.entropy().pick::<&str>(&paths)).unwrap(),
            conditions: self.conditions(),
            priority: u16::try_from(self.below(3)).unwrap(),
        }
    }

    fn condition(&self, on: ConditionOn) -> Condition {
        let test = match self.below(3) {
            0 => ValueTest::Present,
            1 => ValueTest::exact("blue").unwrap(),
            _ => ValueTest::Matches(Expression::parse("[a-z]+|[0-9]{1,3}").unwrap()),
        };
        Condition { on, test }
    }

    fn conditions(&self) -> Vec<Condition> {
        let path = ValueTest::Matches(Expression::parse("/(?<first>[a-z0-9]*)[a-z0-9/]*").unwrap());
        let path = self.maybe(|| Condition { on: ConditionOn::Path, test: path });
        let header = self.maybe(|| self.condition(ConditionOn::header("x-colour").unwrap()));
        path.into_iter().chain(header).chain(self.maybe(|| self.condition(ConditionOn::query("q").unwrap()))).collect()
    }

    fn template(&self, matcher: &RouteMatch) -> PathTemplate {
        let captured = if matcher.expression().is_some() { "-{first}" } else { "" };
        let end = if matcher.path.is_prefix() { "/*" } else { "" };
        PathTemplate::parse(&format!("/v2/{}{captured}{end}", self.below(9)), matcher).unwrap()
    }

    fn action(&self, matcher: &RouteMatch) -> RouteAction {
        if self.below(4) == 0 {
            return RouteAction::from(Redirect {
                status: *self.0.entropy().pick(&RedirectStatus::ALL),
                scheme: self.maybe(|| Scheme::Https),
                host: self.maybe(|| "www.example.com".into()),
                port: self.maybe(|| 8443),
                path: self.maybe(|| self.template(matcher)),
                drop_query: self.below(2) == 0,
            });
        }
        let weighted =
            || WeightedService { service: self.0.name("svc"), weight: u16::try_from(self.below(1_001)).unwrap() };
        let split = || Split { on: HashOn::Cookie("sid".into()), services: vec![weighted(), weighted()] };
        RouteAction::from(Forward {
            to: if self.below(2) == 0 { ForwardTo::Split(split()) } else { ForwardTo::Service(self.0.name("svc")) },
            path: match self.below(3) {
                // Only what ends in `/*` has a prefix that can be removed.
                0 if matcher.path.is_prefix() => ForwardPath::Stripped,
                1 => ForwardPath::Rewritten(self.template(matcher)),
                _ => ForwardPath::Matched,
            },
            host: match self.below(3) {
                0 => ForwardHost::Client,
                1 => HostTemplate::parse("{first}.internal:81", matcher)
                    .map_or(ForwardHost::Fixed("users:8080".into()), |host| ForwardHost::Written(host.into())),
                _ => ForwardHost::Target,
            },
            timeout: self.maybe(|| self.millis(1, 3_600_000)),
            total_timeout: self.maybe(|| self.millis(1, 3_600_000)),
            max_body: self.maybe(|| self.below(1 << 40)),
            client_cert: self.below(2) == 0,
            compression: self.maybe(|| Box::new(self.compression())),
            decompression: self.maybe(|| Decompression {
                max_bytes: self.maybe(|| 1 + self.below(1 << 40)),
                max_ratio: u16::try_from(1 + self.below(10_000)).unwrap(),
            }),
            mirror: self.maybe(|| {
                let (service, percent) = (self.0.name("svc"), u8::try_from(1 + self.below(100)).unwrap());
                Mirror { service, percent, max_body: u32::from(percent) * 1000 }
            }),
        })
    }

    fn compression(&self) -> Compression {
        let types = ["text/*", "application/json", "text/event-stream", "application/*+json"];
        Compression {
            encodings: vec![*self.0.entropy().pick(&ContentCoding::ALL)],
            min_bytes: self.below(1 << 20),
            types: vec![MediaRange::parse(self.0.entropy().pick::<&str>(&types)).unwrap()],
        }
    }

    fn route(&self) -> RouteConfig {
        let slashes = [EncodedSlashes::Reject, EncodedSlashes::Decode, EncodedSlashes::Keep];
        let by = [LimitBy::Consumer, LimitBy::Subject, LimitBy::Ip, LimitBy::Route];
        let matcher = self.matcher();
        let route = Route {
            id: self.0.route(),
            name: self.0.name("route"),
            action: self.action(&matcher),
            matcher,
            encoded_slashes: *self.0.entropy().pick(&slashes),
        };
        let accept_jwt = self.below(2) == 0;
        let accept_key = !accept_jwt || self.below(2) == 0;
        let accept_certificate = self.below(2) == 0;
        let auth = AuthRule { required: self.below(2) == 0, accept_jwt, accept_key, accept_certificate };
        let rate_limit = self.maybe(|| RouteLimit { limit: self.limit(), by: *self.0.entropy().pick(&by) });
        RouteConfig { route, auth, rate_limit }
    }

    fn consumer(&self) -> Consumer {
        let groups: BTreeSet<Name> = (0..self.below(4)).map(|_| self.0.name("group")).collect();
        Consumer {
            id: self.0.consumer(),
            name: self.0.name("app"),
            groups: groups.into_iter().collect(),
            rate_limit: self.maybe(|| self.limit()),
            certificates: ["dns:app.example", "cn:App"].map(|text| CertificateName::parse(text).unwrap()).into(),
        }
    }
}
