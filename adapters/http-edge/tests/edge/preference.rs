//! Targets that are preferred for where they are, and targets that begin slowly.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use novagate_kernel::ServiceId;
use novagate_policies::ConfigObject;
use novagate_ports_edge::UpstreamState;
use novagate_routing::{HealthCheck, LoadBalancing, ProbeKind, Service, Target, TargetUrl};

use crate::harness::{Edge, HELLO, Setup, Upstream, compile, get, wait_until};
use crate::resilience::at_once;

const SICK: &str = "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n";

fn state(edge: &Edge) -> UpstreamState {
    edge.handle.upstream_health().state(ServiceId::from_u128(1)).unwrap()
}

fn ask(edge: &Edge, count: usize) {
    let mut client = edge.connect();
    for _ in 0..count {
        client.send(get("/", ""));
        assert_eq!(client.response().status, 200);
    }
}

fn seen(upstreams: &[Upstream]) -> Vec<usize> {
    upstreams.iter().map(|upstream| upstream.requests().len()).collect()
}

fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", { listener }.local_addr().unwrap())
}

/// A gateway in zone `a`; the targets are in these zones.
fn zoned(targets: &[(&str, &str)], change: impl Fn(&mut Service)) -> Setup {
    let urls: Vec<&str> = targets.iter().map(|(url, _)| *url).collect();
    let zones: Vec<Arc<str>> = targets.iter().map(|(_, zone)| Arc::from(*zone)).collect();
    let setup = Setup::open(&urls).with_service(|service| {
        for (target, zone) in service.targets.iter_mut().zip(&zones) {
            target.zone = Some(Arc::clone(zone));
        }
        change(service);
    });
    setup.with(|settings| settings.zone = Some("a".into()))
}

#[test]
fn requests_stay_in_the_zone_of_the_gateway() {
    let all = [LoadBalancing::RoundRobin, LoadBalancing::LeastConnections, LoadBalancing::Latency];
    for balancing in all {
        let upstreams = [(); 3].map(|()| Upstream::fixed(HELLO));
        let targets = [(&*upstreams[0].url, "b"), (&upstreams[1].url, "a"), (&upstreams[2].url, "a")];
        let edge = zoned(&targets, |service| service.load_balancing = balancing.clone()).start();
        ask(&edge, 30);
        let seen = seen(&upstreams);
        assert!(seen[0] == 0 && seen[1] > 0 && seen[2] > 0, "{seen:?}");
        assert!(state(&edge).own_zone_only);
    }
}

#[test]
fn without_a_zone_or_targets_in_it_all_are_used() {
    for (zone, targets_in) in [(None, ["a", "b"]), (Some("a".into()), ["b", "c"]), (Some("a".into()), ["a", "a"])] {
        let upstreams = [(); 2].map(|()| Upstream::fixed(HELLO));
        let targets = [(&*upstreams[0].url, targets_in[0]), (&upstreams[1].url, targets_in[1])];
        let edge = zoned(&targets, |_| ()).with(|settings| settings.zone = zone).start();
        ask(&edge, 10);
        assert_eq!((seen(&upstreams), state(&edge).own_zone_only), (vec![5, 5], false));
    }
}

#[test]
fn when_too_few_of_the_own_zone_are_up_all_are_used() {
    for (percent, leaves) in [(51, true), (50, false)] {
        let (upstreams, nobody) = ([(); 2].map(|()| Upstream::fixed(HELLO)), nobody());
        let targets = [(&*upstreams[0].url, "a"), (&*nobody, "a"), (&upstreams[1].url, "b")];
        let edge = zoned(&targets, |service| {
            service.preference.zone_min_percent = percent;
            service.resilience.outlier_detection = Some(at_once(50));
        });
        let edge = edge.start();
        assert!(state(&edge).own_zone_only);
        ask(&edge, 2);
        wait_until("one of two is out", || state(&edge).healthy == 2);
        let before = upstreams[1].requests().len();
        ask(&edge, 20);
        assert_eq!((upstreams[1].requests().len() > before, state(&edge).own_zone_only), (leaves, !leaves));
    }
}

#[test]
fn a_request_that_fails_in_the_own_zone_leaves_it() {
    let (far, nobody) = (Upstream::fixed(HELLO), nobody());
    let edge = zoned(&[(&far.url, "b"), (&nobody, "a")], |_| ()).start();
    ask(&edge, 1);
    assert_eq!(far.requests().len(), 1);
}

/// A service with a slow start that lasts longer than any test.
fn slow(targets: &[&str], balancing: LoadBalancing) -> Setup {
    Setup::open(targets).with_service(move |service| {
        service.load_balancing = balancing.clone();
        service.preference.slow_start = Some(Duration::from_hours(1));
    })
}

#[test]
fn a_target_that_joins_others_begins_with_a_small_share() {
    for balancing in [LoadBalancing::RoundRobin, LoadBalancing::LeastConnections, LoadBalancing::Latency] {
        let upstreams = [(); 3].map(|()| Upstream::fixed(HELLO));
        let setup = slow(&[&upstreams[0].url, &upstreams[1].url], balancing.clone());
        let (mut objects, edge) = (setup.objects.clone(), setup.start());
        ask(&edge, 20);
        assert_eq!(state(&edge).warming, 0, "those that are there from the beginning have all of it");
        let ConfigObject::Service(service) = &mut objects[0] else { panic!("the service") };
        service.targets.push(Target::new(TargetUrl::parse(&upstreams[2].url).unwrap(), 1));
        edge.live.store(Some(Arc::new(compile(2, &objects))));
        ask(&edge, 300);
        let seen = seen(&upstreams);
        assert!((1..=40).contains(&seen[2]), "{balancing:?}: {seen:?}");
        // By latency the faster of the others may have nearly all of the rest.
        assert!(balancing == LoadBalancing::Latency || (seen[0] > 60 && seen[1] > 60), "{balancing:?}: {seen:?}");
        assert_eq!(state(&edge).warming, 1);
        // Without the rule it has its share at once.
        let ConfigObject::Service(service) = &mut objects[0] else { panic!("the service") };
        (service.preference.slow_start, service.load_balancing) = (None, LoadBalancing::RoundRobin);
        edge.live.store(Some(Arc::new(compile(3, &objects))));
        ask(&edge, 30);
        assert_eq!((upstreams[2].requests().len(), state(&edge).warming), (seen[2] + 10, 0));
    }
}

#[test]
fn a_target_whose_probes_are_good_again_begins_with_a_small_share() {
    let well = Arc::new(AtomicBool::new(false));
    let answer = Arc::clone(&well);
    let log = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let served = Arc::clone(&log);
    let sick = Upstream::scripted(move |_, conn| {
        while let Some(head) = conn.next_head() {
            let is_probe = head.starts_with("GET /health ");
            served.fetch_add(usize::from(!is_probe), Ordering::SeqCst);
            conn.send(if is_probe && !answer.load(Ordering::SeqCst) { SICK } else { HELLO });
        }
    });
    let good = Upstream::fixed(HELLO);
    let usual = HealthCheck::every(Duration::from_secs(1), ProbeKind::get("/health"));
    let check = HealthCheck { unhealthy_threshold: 1, healthy_threshold: 1, ..usual };
    let setup = slow(&[&sick.url, &good.url], LoadBalancing::RoundRobin);
    let edge = setup.with_service(|service| service.health_check = Some(Box::new(check.clone()))).start();
    wait_until("it is out", || state(&edge).healthy == 1);
    assert_eq!(state(&edge).warming, 0);
    well.store(true, Ordering::SeqCst);
    wait_until("it is back", || state(&edge).healthy == 2);
    assert_eq!(state(&edge).warming, 1);
    ask(&edge, 200);
    let seen = log.load(Ordering::SeqCst);
    assert!((1..=25).contains(&seen), "{seen} of 200");
}

#[test]
fn targets_that_all_begin_share_alike() {
    let upstreams = [(); 3].map(|()| Upstream::fixed(HELLO));
    let setup = slow(&[&upstreams[0].url], LoadBalancing::RoundRobin);
    let (mut objects, edge) = (setup.objects.clone(), setup.start());
    ask(&edge, 1);
    let ConfigObject::Service(service) = &mut objects[0] else { panic!("the service") };
    service.targets = upstreams[1..].iter().map(|each| Target::new(TargetUrl::parse(&each.url).unwrap(), 1)).collect();
    edge.live.store(Some(Arc::new(compile(2, &objects))));
    ask(&edge, 200);
    let seen = seen(&upstreams);
    assert!(seen[0] == 1 && (70..=130).contains(&seen[1]) && seen[1] + seen[2] == 200, "{seen:?}");
}
