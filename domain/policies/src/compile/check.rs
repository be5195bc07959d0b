//! Rules about one object by itself: the ranges that the documentation of its fields gives.

use std::time::Duration;

use novagate_routing::{HealthCheck, Service, Target};

use crate::fault::Subject;
use crate::{Consumer, RateLimit, RouteConfig};

pub(super) const HOUR: Duration = Duration::from_hours(1);
pub(super) const DAY: Duration = Duration::from_hours(24);

const MAX_TARGETS: usize = 256;
const MAX_HOSTS: usize = 64;
const MAX_METHODS: usize = 16;
const MAX_GROUPS: usize = 32;

pub(super) fn service(subject: &mut Subject<'_>, service: &Service) {
    subject.range((1..=MAX_TARGETS).contains(&service.targets.len()), "/targets", "a service has 1 to 256 targets");
    for (at, each) in service.targets.iter().enumerate().take(MAX_TARGETS) {
        target(subject, at, each);
    }
    if let Some(timeout) = service.timeout {
        let holds = is_whole_ms(timeout) && (Duration::from_millis(1)..=HOUR).contains(&timeout);
        subject.range(holds, "/timeoutMs", "a timeout is 1 to 3600000 whole milliseconds");
    }
    if let Some(timeout) = service.total_timeout {
        let holds = is_whole_ms(timeout) && (Duration::from_millis(1)..=DAY).contains(&timeout);
        subject.range(holds, "/totalTimeoutMs", "a total timeout is 1 to 86400000 whole milliseconds");
    }
    if let Some(check) = &service.health_check {
        health_check(subject, check);
    }
}

fn target(subject: &mut Subject<'_>, at: usize, target: &Target) {
    if !(1..=100).contains(&target.weight) {
        subject.fault(format!("/targets/{at}/weight"), "out_of_range", "a weight is 1 to 100");
    }
    let host = target.url.host.as_bytes();
    let is_host = (1..=253).contains(&host.len())
        && host.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b':'));
    if !is_host || target.url.port == 0 {
        subject.fault(format!("/targets/{at}/url"), "invalid", "a target is http(s)://host[:port], the port not 0");
    }
}

fn health_check(subject: &mut Subject<'_>, check: &HealthCheck) {
    let path = check.path.as_bytes();
    let is_path = path.first() == Some(&b'/')
        && path.len() <= 2048
        && path.iter().all(|&byte| byte.is_ascii_graphic() && byte != b'#');
    if !is_path {
        subject.fault("/healthCheck/path", "invalid", "a path starts with / and holds visible ASCII without #");
    }
    let holds = is_whole_ms(check.interval) && (Duration::from_secs(1)..=HOUR).contains(&check.interval);
    subject.range(holds, "/healthCheck/intervalMs", "an interval is 1000 to 3600000 whole milliseconds");
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
    if config.auth.required && !config.auth.reads_credentials() {
        subject.fault("/auth/accept", "unsatisfiable", "a route that requires a credential accepts at least one kind");
    }
    if let Some(limit) = &config.rate_limit {
        rate_limit(subject, &limit.limit);
    }
}

pub(super) fn consumer(subject: &mut Subject<'_>, consumer: &Consumer) {
    subject.range(consumer.groups.len() <= MAX_GROUPS, "/groups", "a consumer has at most 32 groups");
    for (at, group) in consumer.groups.iter().enumerate().take(MAX_GROUPS) {
        if consumer.groups.iter().take(at).any(|earlier| earlier == group) {
            subject.fault(format!("/groups/{at}"), "duplicate", "a group is listed once");
        }
    }
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
