//! Rules about one object by itself: the ranges that the documentation of its fields gives.

use std::time::Duration;

use novagate_routing::{
    Condition, ConditionOn, ForwardTo, MAX_SPLIT, Mirror, PathPattern, Protocol, Redirect, RouteAction, RouteMatch,
    Service, Split, Target, UpstreamTls,
};

use super::{content, health};
use crate::fault::Subject;
use crate::{Consumer, RateLimit, RouteConfig};

pub(super) const HOUR: Duration = Duration::from_hours(1);
pub(super) const DAY: Duration = Duration::from_hours(24);

pub(super) const MAX_TARGETS: usize = 256;
const MAX_HOSTS: usize = 64;
const MAX_METHODS: usize = 16;
const MAX_CONDITIONS: usize = 16;
/// As the gateway's own bound.
pub(super) const MAX_BODY: u64 = 1 << 40;
const MAX_GROUPS: usize = 32;
const MAX_CERTIFICATES: usize = 16;

pub(super) fn service(subject: &mut Subject<'_>, service: &Service) {
    subject.range((1..=MAX_TARGETS).contains(&service.targets.len()), "/targets", "a service has 1 to 256 targets");
    for (at, each) in service.targets.iter().enumerate().take(MAX_TARGETS) {
        target(subject, at, each);
    }
    timeouts(subject, service.timeout, service.total_timeout);
    if let Some(check) = &service.health_check {
        health::health_check(subject, check);
    }
    health::preference(subject, service);
    if let Some(tls) = &service.tls {
        self::tls(subject, tls, &service.targets);
    }
    let bound = service.resilience.circuit_breaker.and_then(|rule| rule.max_connections);
    if bound.is_some() && service.protocol == Protocol::Http2 {
        let why = "requests over HTTP/2 share connections, which have a bound of their own";
        subject.fault("/circuitBreaker/maxConnections", "invalid", why);
    }
}

/// What a service says about TLS holds for all its targets: none is reached without it by a slip of the pen.
fn tls(subject: &mut Subject<'_>, tls: &UpstreamTls, targets: &[Target]) {
    for (at, _) in targets.iter().enumerate().filter(|(_, target)| !target.url.tls).take(MAX_TARGETS) {
        subject.fault(format!("/targets/{at}/url"), "invalid", "a service with tls has https targets only");
    }
    subject.range(tls.pins.len() <= UpstreamTls::MAX_PINS, "/tls/pins", "there are at most 16 pins");
    for (at, pin) in tls.pins.iter().enumerate().take(UpstreamTls::MAX_PINS) {
        if tls.pins.iter().take(at).any(|earlier| earlier == pin) {
            subject.fault(format!("/tls/pins/{at}"), "duplicate", "a pin is listed once");
        }
    }
}

fn target(subject: &mut Subject<'_>, at: usize, target: &Target) {
    if !(1..=100).contains(&target.weight) {
        subject.fault(format!("/targets/{at}/weight"), "out_of_range", "a weight is 1 to 100");
    }
    let host = target.url.host.as_bytes();
    let is_host = (1..=253).contains(&host.len())
        && host.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b':'));
    // Without a port it is the name of SRV records, which has a domain of its own behind it.
    let is_name = !target.url.is_srv() || target.url.name() != &*target.url.host;
    if !is_host || !is_name {
        let rule = "a target is http(s)://host[:port], the port not 0, or http(s)+srv://_service._tcp.domain";
        subject.fault(format!("/targets/{at}/url"), "invalid", rule);
    }
}

pub(super) fn route(subject: &mut Subject<'_>, config: &RouteConfig) {
    let criteria = &config.route.matcher;
    subject.range(criteria.hosts.len() <= MAX_HOSTS, "/match/hosts", "a route has at most 64 hosts");
    subject.range(criteria.methods.len() <= MAX_METHODS, "/match/methods", "a route has at most 16 methods");
    for (at, method) in criteria.methods.iter().enumerate().take(MAX_METHODS) {
        if criteria.methods.iter().take(at).any(|earlier| earlier == method) {
            subject.fault(format!("/match/methods/{at}"), "duplicate", "a method is listed once");
        }
    }
    for (at, host) in criteria.hosts.iter().enumerate().take(MAX_HOSTS) {
        if criteria.hosts.iter().take(at).any(|earlier| earlier == host) {
            subject.fault(format!("/match/hosts/{at}"), "duplicate", "a host is listed once");
        }
    }
    conditions(subject, criteria);
    action(subject, &config.route.action, &criteria.path);
    if config.auth.required && !config.auth.accepts_any() {
        subject.fault("/auth/accept", "unsatisfiable", "a route that requires a credential accepts at least one kind");
    }
    if let Some(limit) = &config.rate_limit {
        rate_limit(subject, &limit.limit);
    }
}

fn conditions(subject: &mut Subject<'_>, criteria: &RouteMatch) {
    let count = |is: fn(&ConditionOn) -> bool| criteria.conditions.iter().filter(|each| is(&each.on)).count();
    let is_path = |on: &ConditionOn| matches!(on, ConditionOn::Path);
    let is_header = |on: &ConditionOn| matches!(on, ConditionOn::Header(_));
    let is_query = |on: &ConditionOn| matches!(on, ConditionOn::Query(_));
    subject.range(count(is_path) <= 1, "/match/pathRegex", "a route has at most one expression for its path");
    subject.range(count(is_header) <= MAX_CONDITIONS, "/match/headers", "a route has at most 16 headers");
    subject.range(count(is_query) <= MAX_CONDITIONS, "/match/query", "a route has at most 16 query parameters");
    subject.range(criteria.priority <= 1_000, "/match/priority", "a priority is 0 to 1000");
    for (is_one, list) in [(is_header as fn(&ConditionOn) -> bool, "headers"), (is_query, "query")] {
        let conditions: Vec<&Condition> = criteria.conditions.iter().filter(|each| is_one(&each.on)).collect();
        for (at, condition) in conditions.iter().enumerate().take(MAX_CONDITIONS) {
            if conditions.iter().take(at).any(|earlier| earlier.on == condition.on) {
                subject.fault(format!("/match/{list}/{at}/name"), "duplicate", "a name is listed once");
            }
        }
    }
}

fn action(subject: &mut Subject<'_>, action: &RouteAction, path: &PathPattern) {
    match action {
        RouteAction::Forward(forward) => {
            timeouts(subject, forward.timeout, forward.total_timeout);
            let holds = forward.max_body.is_none_or(|most| most <= MAX_BODY);
            if let Some(mirror) = &forward.mirror {
                subject.range((1..=100).contains(&mirror.percent), "/mirror/percent", "a share is 1 to 100 percent");
                let holds = mirror.max_body <= Mirror::MAX_BODY;
                subject.range(holds, "/mirror/maxBodyBytes", "a body that is copied has at most 1048576 bytes");
            }
            content::check(subject, forward);
            subject.range(holds, "/maxBodyBytes", "a body has at most 1099511627776 bytes");
            if let ForwardTo::Split(split) = &forward.to {
                self::split(subject, split);
            }
        }
        RouteAction::Redirect(redirect) => {
            let Redirect { scheme, host, port, path: to, .. } = &**redirect;
            let goes_elsewhere = scheme.is_some() || host.is_some() || port.is_some();
            let changes_path = to.as_ref().is_some_and(|to| to.as_str() != path.as_str());
            if !goes_elsewhere && !changes_path {
                subject.fault("/redirect", "unsatisfiable", "a redirect changes scheme, host, port or path");
            }
            subject.range(*port != Some(0), "/redirect/port", "a port is 1 to 65535");
        }
    }
}

fn split(subject: &mut Subject<'_>, split: &Split) {
    let services = &split.services;
    let rule = "a split has 2 to 16 services";
    subject.range((2..=MAX_SPLIT).contains(&services.len()), "/split/services", rule);
    if services.iter().all(|each| each.weight == 0) {
        subject.fault("/split/services", "unsatisfiable", "one service has a weight above 0");
    }
    for (at, each) in services.iter().enumerate().take(MAX_SPLIT) {
        subject.range(each.weight <= 1_000, format!("/split/services/{at}/weight"), "a weight is 0 to 1000");
        if services.iter().take(at).any(|earlier| earlier.service == each.service) {
            subject.fault(format!("/split/services/{at}/service"), "duplicate", "a service is listed once");
        }
    }
}

/// Of a service, or of a route in place of them.
fn timeouts(subject: &mut Subject<'_>, timeout: Option<Duration>, total: Option<Duration>) {
    if let Some(timeout) = timeout {
        let holds = is_whole_ms(timeout) && (Duration::from_millis(1)..=HOUR).contains(&timeout);
        subject.range(holds, "/timeoutMs", "a timeout is 1 to 3600000 whole milliseconds");
    }
    if let Some(timeout) = total {
        let holds = is_whole_ms(timeout) && (Duration::from_millis(1)..=DAY).contains(&timeout);
        subject.range(holds, "/totalTimeoutMs", "a total timeout is 1 to 86400000 whole milliseconds");
    }
}

pub(super) fn consumer(subject: &mut Subject<'_>, consumer: &Consumer) {
    subject.range(consumer.groups.len() <= MAX_GROUPS, "/groups", "a consumer has at most 32 groups");
    for (at, group) in consumer.groups.iter().enumerate().take(MAX_GROUPS) {
        if consumer.groups.iter().take(at).any(|earlier| earlier == group) {
            subject.fault(format!("/groups/{at}"), "duplicate", "a group is listed once");
        }
    }
    let are_few = consumer.certificates.len() <= MAX_CERTIFICATES;
    subject.range(are_few, "/certificates", "a consumer has at most 16 certificates");
    if let Some(limit) = &consumer.rate_limit {
        rate_limit(subject, limit);
    }
}

fn rate_limit(subject: &mut Subject<'_>, limit: &RateLimit) {
    subject.range((1..=1_000_000).contains(&limit.max), "/rateLimit/max", "a limit is 1 to 1000000 requests");
    let holds = is_whole_ms(limit.window) && (Duration::from_secs(1)..=DAY).contains(&limit.window);
    subject.range(holds, "/rateLimit/windowMs", "a window is 1000 to 86400000 whole milliseconds");
}

pub(super) const fn is_whole_ms(duration: Duration) -> bool {
    duration.subsec_nanos().is_multiple_of(1_000_000)
}
