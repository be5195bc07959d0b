//! Rules about how a service's targets are probed and preferred.

use std::time::Duration;

use novagate_routing::{HealthCheck, HttpProbe, LoadBalancing, ProbeKind, Service, is_zone};

use super::check::{HOUR, is_whole_ms};
use crate::fault::Subject;

const MAX_EXPECTED: usize = 16;
const MAX_GRPC_SERVICE: usize = 255;

pub(super) fn health_check(subject: &mut Subject<'_>, check: &HealthCheck) {
    match &check.kind {
        ProbeKind::Http(probe) => http(subject, probe),
        ProbeKind::Tcp | ProbeKind::Grpc { service: None } => {}
        ProbeKind::Grpc { service: Some(service) } => {
            let fits = (1..=MAX_GRPC_SERVICE).contains(&service.len()) && is_visible(service);
            subject.range(fits, "/healthCheck/grpcService", "a service has 1 to 255 visible ASCII characters");
        }
    }
    let holds = is_whole_ms(check.interval) && (Duration::from_secs(1)..=HOUR).contains(&check.interval);
    subject.range(holds, "/healthCheck/intervalMs", "an interval is 1000 to 3600000 whole milliseconds");
    let most = Duration::from_mins(1);
    let holds = is_whole_ms(check.timeout) && (Duration::from_millis(1)..=most).contains(&check.timeout);
    subject.range(holds, "/healthCheck/timeoutMs", "a timeout is 1 to 60000 whole milliseconds");
    let holds = (1..=100).contains(&check.unhealthy_threshold);
    subject.range(holds, "/healthCheck/unhealthyThreshold", "1 to 100 bad probes take a target out");
    let holds = (1..=100).contains(&check.healthy_threshold);
    subject.range(holds, "/healthCheck/healthyThreshold", "1 to 100 good probes take a target in");
    subject.range(check.jitter_percent <= 100, "/healthCheck/jitterPercent", "a share is 0 to 100");
}

fn http(subject: &mut Subject<'_>, probe: &HttpProbe) {
    let is_path =
        probe.path.starts_with('/') && probe.path.len() <= 2048 && is_visible(&probe.path) && !probe.path.contains('#');
    if !is_path {
        subject.fault("/healthCheck/path", "invalid", "a path starts with / and holds visible ASCII without #");
    }
    if probe.host.as_ref().is_some_and(|host| host.is_empty() || host.len() > 261 || !is_visible(host)) {
        subject.fault("/healthCheck/host", "invalid", "a host is host or host:port");
    }
    let are_few = probe.expect.len() <= MAX_EXPECTED;
    subject.range(are_few, "/healthCheck/expectStatus", "there are at most 16 statuses and ranges");
    for (at, range) in probe.expect.iter().enumerate().take(MAX_EXPECTED) {
        let rule = "a status is 200 to 599, and a range begins with the lower one";
        subject.range(range.is_valid(), format!("/healthCheck/expectStatus/{at}"), rule);
    }
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

pub(super) fn preference(subject: &mut Subject<'_>, service: &Service) {
    if let Some(time) = service.preference.slow_start {
        let holds = is_whole_ms(time) && (Duration::from_secs(1)..=HOUR).contains(&time);
        subject.range(holds, "/slowStartMs", "a slow start takes 1000 to 3600000 whole milliseconds");
        if matches!(service.load_balancing, LoadBalancing::ConsistentHash(_)) {
            subject.fault("/slowStartMs", "not_allowed", "a consistent hash has no slow start");
        }
    }
    let holds = service.preference.zone_min_percent <= 100;
    subject.range(holds, "/zoneMinPercent", "a share is 0 to 100");
    for (at, target) in service.targets.iter().enumerate().take(super::check::MAX_TARGETS) {
        if target.zone.as_ref().is_some_and(|zone| !is_zone(zone)) {
            let rule = "a zone has 1 to 63 letters, digits, hyphens, dots and underscores";
            subject.fault(format!("/targets/{at}/zone"), "invalid", rule);
        }
    }
}

#[cfg(test)]
mod tests {
    use novagate_kernel::{Name, ObjectKind, ObjectRef, ServiceId};
    use novagate_routing::{HashOn, Preference, Protocol, Resilience, StatusRange, Target, TargetUrl};
    use uuid::Uuid;

    use super::*;
    use crate::fault::Faults;

    /// What is done to a good one, the field that is told, and the code.
    type Case<T> = (fn(&mut T), &'static str, &'static str);

    fn service() -> Service {
        Service {
            id: ServiceId::from_u128(1),
            name: Name::parse("up").unwrap(),
            targets: vec![Target::new(TargetUrl::parse("http://10.0.0.1").unwrap(), 1)],
            timeout: None,
            total_timeout: None,
            protocol: Protocol::default(),
            health_check: Some(Box::new(HealthCheck::every(Duration::from_secs(1), ProbeKind::get("/")))),
            load_balancing: LoadBalancing::RoundRobin,
            preference: Preference { slow_start: Some(Duration::from_secs(1)), zone_min_percent: 100 },
            resilience: Resilience::default(),
            tls: None,
        }
    }

    /// Pointers and codes of what is wrong with it.
    fn faults(service: &Service) -> Vec<(String, &'static str)> {
        let mut faults = Faults::default();
        let object = ObjectRef { kind: ObjectKind::Service, id: Uuid::from_u128(1) };
        super::super::check::service(&mut Subject { faults: &mut faults, object, name: None }, service);
        faults.into_list().into_iter().map(|fault| (fault.pointer, fault.code)).collect()
    }

    #[test]
    fn what_is_in_its_bounds_is_accepted() {
        let mut service = service();
        assert_eq!(faults(&service), []);
        service.targets[0].zone = Some("eu-1".into());
        for kind in [ProbeKind::Tcp, ProbeKind::Grpc { service: None }, ProbeKind::Grpc { service: Some("a.B".into()) }]
        {
            service.health_check =
                Some(Box::new(HealthCheck { jitter_percent: 100, ..HealthCheck::every(HOUR, kind) }));
            assert_eq!(faults(&service), []);
        }
    }

    #[test]
    fn every_bound_of_a_health_check_is_named() {
        let http = |probe: fn(&mut HttpProbe)| {
            let mut made = HttpProbe { path: "/".into(), host: None, expect: Vec::new() };
            probe(&mut made);
            ProbeKind::Http(made)
        };
        let grpc = |service: &str| ProbeKind::Grpc { service: Some(service.into()) };
        let long = "a".repeat(256);
        let bad = StatusRange { first: 300, last: 299 };
        let cases: [(ProbeKind, &str, &str); 8] = [
            (http(|probe| probe.path = "health".into()), "path", "invalid"),
            (http(|probe| probe.path = "/#".into()), "path", "invalid"),
            (http(|probe| probe.host = Some("".into())), "host", "invalid"),
            (http(|probe| probe.host = Some("a b".into())), "host", "invalid"),
            (
                http(|probe| probe.expect = vec![StatusRange { first: 200, last: 200 }; 17]),
                "expectStatus",
                "out_of_range",
            ),
            (
                ProbeKind::Http(HttpProbe { path: "/".into(), host: None, expect: vec![bad] }),
                "expectStatus/0",
                "out_of_range",
            ),
            (grpc(""), "grpcService", "out_of_range"),
            (grpc(&long), "grpcService", "out_of_range"),
        ];
        for (kind, field, code) in cases {
            let check = HealthCheck::every(Duration::from_secs(1), kind);
            let found = faults(&Service { health_check: Some(Box::new(check)), ..service() });
            assert_eq!(found, [(format!("/healthCheck/{field}"), code)]);
        }
        let cases: [Case<HealthCheck>; 7] = [
            (|check| check.interval = Duration::from_millis(999), "intervalMs", "out_of_range"),
            (|check| check.timeout = Duration::ZERO, "timeoutMs", "out_of_range"),
            (|check| check.timeout = Duration::from_millis(60_001), "timeoutMs", "out_of_range"),
            (|check| check.unhealthy_threshold = 0, "unhealthyThreshold", "out_of_range"),
            (|check| check.unhealthy_threshold = 101, "unhealthyThreshold", "out_of_range"),
            (|check| check.healthy_threshold = 0, "healthyThreshold", "out_of_range"),
            (|check| check.jitter_percent = 101, "jitterPercent", "out_of_range"),
        ];
        for (change, field, code) in cases {
            let mut check = HealthCheck::every(Duration::from_secs(1), ProbeKind::Tcp);
            change(&mut check);
            let found = faults(&Service { health_check: Some(Box::new(check)), ..service() });
            assert_eq!(found, [(format!("/healthCheck/{field}"), code)]);
        }
    }

    #[test]
    fn every_bound_of_a_preference_is_named() {
        let cases: [Case<Service>; 5] = [
            (
                |service| service.preference.slow_start = Some(Duration::from_millis(999)),
                "/slowStartMs",
                "out_of_range",
            ),
            (|service| service.preference.slow_start = Some(HOUR * 2), "/slowStartMs", "out_of_range"),
            (
                |service| service.load_balancing = LoadBalancing::ConsistentHash(HashOn::Consumer),
                "/slowStartMs",
                "not_allowed",
            ),
            (|service| service.preference.zone_min_percent = 101, "/zoneMinPercent", "out_of_range"),
            (|service| service.targets[0].zone = Some("a b".into()), "/targets/0/zone", "invalid"),
        ];
        for (change, pointer, code) in cases {
            let mut service = service();
            change(&mut service);
            assert_eq!(faults(&service), [(pointer.to_owned(), code)]);
        }
    }
}
