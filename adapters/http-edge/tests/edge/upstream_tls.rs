//! Services that say how TLS is spoken to their targets.

use std::sync::Arc;
use std::time::Duration;

use novagate_policies::ConfigObject;
use novagate_ports_edge::{UpstreamEvent, UpstreamState};
use novagate_routing::{
    HealthCheck, KeyPin, ProbeKind, Service, TlsFileName, TlsIdentity, TlsServerName, TlsVersion, UpstreamTls,
};
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::harness::{Client, Edge, Response, Setup, get, route, service, wait_until};
use crate::harness_tls::{Authority, Folder, Issued, TlsUpstream};
use crate::hedging::{hedges, hedging};
use crate::observe::{events, events_of};

fn file(name: &str) -> TlsFileName {
    TlsFileName::parse(name).unwrap()
}

fn trusting(ca: &str) -> UpstreamTls {
    UpstreamTls { ca: Some(file(ca)), ..UpstreamTls::default() }
}

fn showing(stem: &str) -> UpstreamTls {
    let identity = TlsIdentity { cert: file(&format!("{stem}.pem")), key: file(&format!("{stem}.key")) };
    UpstreamTls { identity: Some(identity), ..trusting("ca.pem") }
}

/// The number of the connection, the name that was asked for, the certificate that was shown.
fn told(response: &Response) -> (usize, String, String) {
    assert_eq!(response.status, 200, "{response:?}");
    let text = response.text();
    let mut words = text.split(' ');
    let mut next = || words.next().unwrap().to_owned();
    (next().parse().unwrap(), next(), next())
}

fn shown(response: &Response) -> String {
    told(response).2
}

/// Connections to these services on which TLS was not agreed.
fn failures(edge: &Edge, services: usize) -> Vec<u64> {
    (1..=services).map(|number| events_of(edge, &format!("up-{number}"), UpstreamEvent::TlsFailure)).collect()
}

fn state(edge: &Edge, service: u128) -> UpstreamState {
    edge.handle.upstream_health().state(novagate_kernel::ServiceId::from_u128(service)).unwrap()
}

/// A service for each of these rules, at `/1`, `/2` and so on, all of the same target.
fn start(folder: Option<&Folder>, upstream: &TlsUpstream, rules: &[Option<UpstreamTls>]) -> Edge {
    start_with(folder, upstream, rules, |_service| ())
}

fn start_with(
    folder: Option<&Folder>,
    upstream: &TlsUpstream,
    rules: &[Option<UpstreamTls>],
    change: impl Fn(&mut Service),
) -> Edge {
    let mut objects = Vec::new();
    for (tls, number) in rules.iter().zip(1..) {
        let name = format!("up-{number}");
        let mut service = Service { tls: tls.clone().map(Box::new), ..service(number, &name, &[&upstream.url]) };
        change(&mut service);
        objects.push(ConfigObject::Service(service));
        objects.push(ConfigObject::Route(route(number, &format!("/{number}"), &name)));
    }
    let mut setup = Setup::new(objects);
    setup.upstream_tls_dir = folder.map(|folder| folder.0.clone());
    setup.start()
}

/// An authority whose certificate is `ca.pem`, and an upstream of it for this name.
fn world(test: &str, name: &str) -> (Folder, Authority, TlsUpstream) {
    let (folder, authority) = (Folder::new(test), Authority::new());
    folder.write("ca.pem", authority.pem());
    let upstream = TlsUpstream::serve(authority.issue("up", &[name]).server(None, &[&TLS13, &TLS12]));
    (folder, authority, upstream)
}

/// The same; the upstream asks for certificates of `clients.pem` and lets everybody in, or only who has one.
fn asking(test: &str, must: bool) -> (Folder, Authority, TlsUpstream) {
    let (folder, authority, clients) = (Folder::new(test), Authority::new(), Authority::new());
    folder.write("ca.pem", authority.pem());
    let own = authority.issue("up", &["127.0.0.1"]);
    let upstream = TlsUpstream::serve(own.server(Some((&clients, must)), &[&TLS13, &TLS12]));
    (folder, clients, upstream)
}

fn is_refused(edge: &Edge, path: &str) {
    assert_eq!(edge.ask(&get(path, "")).code(), "DOWNSTREAM_ERROR", "{path}");
}

#[test]
fn only_the_authorities_that_a_service_names_may_vouch_for_its_targets() {
    let (folder, _, upstream) = world("authorities", "127.0.0.1");
    folder.write("other.pem", Authority::new().pem());
    let edge = start(Some(&folder), &upstream, &[Some(trusting("ca.pem")), Some(trusting("other.pem")), None]);
    told(&edge.ask(&get("/1", "")));
    is_refused(&edge, "/2");
    is_refused(&edge, "/3");
    assert_eq!(failures(&edge, 3), [0, 1, 1]);
    assert_eq!(state(&edge, 2).tls_problem, None, "the files are well");
}

#[test]
fn a_certificate_has_to_name_the_server_name_which_is_asked_for() {
    let (folder, _, upstream) = world("names", "users.internal");
    let named = |name: &str| {
        let server_name = Some(TlsServerName::parse(name).unwrap());
        Some(UpstreamTls { server_name, ..trusting("ca.pem") })
    };
    let rules = [Some(trusting("ca.pem")), named("users.internal"), named("other.internal")];
    let edge = start(Some(&folder), &upstream, &rules);
    is_refused(&edge, "/1");
    assert_eq!(told(&edge.ask(&get("/2", ""))).1, "users.internal");
    is_refused(&edge, "/3");
}

#[test]
fn an_upstream_that_demands_a_certificate_is_shown_that_of_the_service() {
    let (folder, clients, upstream) = asking("demands", true);
    let own = clients.issue("gateway", &[]);
    folder.put("own", &own);
    folder.put("foreign", &Authority::new().issue("gateway", &[]));
    let rules = [Some(showing("own")), Some(showing("foreign")), Some(trusting("ca.pem"))];
    let edge = start(Some(&folder), &upstream, &rules);
    assert_eq!(shown(&edge.ask(&get("/1", ""))), own.fingerprint());
    is_refused(&edge, "/2");
    is_refused(&edge, "/3");
}

#[test]
fn a_version_that_is_older_than_wanted_is_not_spoken() {
    let (folder, authority) = (Folder::new("versions"), Authority::new());
    folder.write("ca.pem", authority.pem());
    let upstream = TlsUpstream::serve(authority.issue("up", &["127.0.0.1"]).server(None, &[&TLS12]));
    let newer = UpstreamTls { min_version: TlsVersion::V1_3, ..trusting("ca.pem") };
    let edge = start(Some(&folder), &upstream, &[Some(trusting("ca.pem")), Some(newer)]);
    told(&edge.ask(&get("/1", "")));
    is_refused(&edge, "/2");
}

#[test]
fn a_key_that_is_not_pinned_is_refused_whoever_vouches_for_it() {
    let (folder, authority) = (Folder::new("pins"), Authority::new());
    folder.write("ca.pem", authority.pem());
    folder.write("other.pem", Authority::new().pem());
    let own = authority.issue("up", &["127.0.0.1"]);
    let upstream = TlsUpstream::serve(own.server(None, &[&TLS13, &TLS12]));
    let pinned = |ca: &str, pins: &[&str]| {
        let pins = pins.iter().map(|pin| KeyPin::parse(pin).unwrap()).collect();
        Some(UpstreamTls { pins, ..trusting(ca) })
    };
    let (right, wrong) = (own.pin(), "00".repeat(32));
    let rules = [pinned("ca.pem", &[&wrong, &right]), pinned("ca.pem", &[&wrong]), pinned("other.pem", &[&right])];
    let edge = start(Some(&folder), &upstream, &rules);
    told(&edge.ask(&get("/1", "")));
    is_refused(&edge, "/2");
    is_refused(&edge, "/3");
}

#[test]
fn connections_are_not_shared_by_services_with_different_rules() {
    let (folder, clients, upstream) = asking("pools", false);
    let (one, other) = (clients.issue("one", &[]), clients.issue("other", &[]));
    folder.put("one", &one);
    folder.put("other", &other);
    let rules = [Some(showing("one")), Some(showing("other")), Some(trusting("ca.pem")), Some(showing("one"))];
    let edge = start(Some(&folder), &upstream, &rules);
    let mut client = edge.connect();
    let mut ask = |path: &str| {
        client.send(get(path, ""));
        told(&client.response())
    };
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let found = ["/1", "/2", "/3", "/4"].map(&mut ask);
        let fingerprints = found.each_ref().map(|(_, _, shown)| shown.as_str());
        assert_eq!(fingerprints, [&one.fingerprint(), &other.fingerprint(), "none", &one.fingerprint()]);
        numbers.push(found.map(|(number, ..)| number));
    }
    assert!(numbers.iter().all(|each| *each == [0, 1, 2, 0]), "one connection for each set of rules: {numbers:?}");
    assert_eq!(upstream.connections(), 3);
}

#[test]
fn a_renewed_key_is_used_without_a_restart_and_half_of_a_renewal_changes_nothing() {
    let (folder, clients, upstream) = asking("renewed", true);
    let (old, new) = (clients.issue("gateway", &[]), clients.issue("gateway", &[]));
    folder.put("own", &old);
    let edge = start(Some(&folder), &upstream, &[Some(showing("own"))]);
    let mut client = edge.connect();
    let ask = |client: &mut Client| {
        client.send(get("/1", ""));
        shown(&client.response())
    };
    assert_eq!(ask(&mut client), old.fingerprint());
    folder.write("own.pem", &format!("{}\n", new.cert));
    wait_until("the mismatch is told", || state(&edge, 1).tls_problem.is_some_and(|told| told.contains("own.pem")));
    assert_eq!(ask(&mut client), old.fingerprint());
    assert_eq!(shown(&edge.ask(&get("/1", ""))), old.fingerprint());
    folder.write("own.key", &format!("{}\n", new.key));
    wait_until("the new certificate is shown", || ask(&mut client) == new.fingerprint());
    assert_eq!(state(&edge, 1).tls_problem, None);
    assert_eq!(ask(&mut client), new.fingerprint(), "old connections are not used again");
}

#[test]
fn files_that_cannot_be_used_cost_the_services_that_name_them_and_nobody_else() {
    let (folder, _, upstream) = world("broken", "127.0.0.1");
    folder.write("broken.pem", "-----BEGIN CERTIFICATE-----\nCANARY7F!\n-----END CERTIFICATE-----\n");
    std::os::unix::fs::symlink("/etc/passwd", folder.0.join("link.pem")).unwrap();
    let rules = ["ca.pem", "absent.pem", "broken.pem", "link.pem"].map(|name| Some(trusting(name)));
    let edge = start(Some(&folder), &upstream, &rules);
    for (service, rule) in [(2, "absent.pem"), (3, "not well-formed PEM"), (4, "no file in its folder")] {
        is_refused(&edge, &format!("/{service}"));
        wait_until("it is told", || state(&edge, service).tls_problem.is_some());
        let problem = state(&edge, service).tls_problem.unwrap();
        assert!(problem.contains(rule) && !problem.contains("CANARY7F"), "{problem}");
    }
    assert_eq!(failures(&edge, 4), [0, 1, 1, 1]);
    told(&edge.ask(&get("/1", "")));
    assert_eq!(state(&edge, 1).tls_problem, None);
    folder.write("absent.pem", &std::fs::read_to_string(folder.0.join("ca.pem")).unwrap());
    wait_until("the file is read", || edge.ask(&get("/2", "")).status == 200);
    assert_eq!(state(&edge, 2).tls_problem, None);
}

#[test]
fn without_a_directory_services_that_name_files_are_not_served_and_others_are() {
    let (_folder, _, upstream) = world("no-folder", "127.0.0.1");
    let pinned = UpstreamTls { pins: vec![KeyPin::parse(&"00".repeat(32)).unwrap()], ..UpstreamTls::default() };
    let edge = start(None, &upstream, &[Some(trusting("ca.pem")), Some(pinned)]);
    is_refused(&edge, "/1");
    assert_eq!(state(&edge, 1).tls_problem.as_deref(), Some("UPSTREAM_TLS_DIR is not set"));
    is_refused(&edge, "/2");
    assert_eq!(state(&edge, 2).tls_problem, None, "it names none");
}

#[test]
fn probes_speak_tls_as_requests_do() {
    let (folder, clients, upstream) = asking("probes", true);
    let own: Issued = clients.issue("gateway", &[]);
    folder.put("own", &own);
    let check = Box::new(HealthCheck::every(Duration::from_secs(1), ProbeKind::get("/health")));
    let edge = start_with(Some(&folder), &upstream, &[Some(showing("own")), Some(trusting("ca.pem"))], |service| {
        service.health_check = Some(check.clone());
    });
    wait_until("the one without a certificate is not well", || state(&edge, 2).healthy == 0);
    assert_eq!(state(&edge, 1).healthy, 1);
    let seen = upstream.seen.lock().unwrap().clone();
    assert!(seen.contains(&("/health".to_owned(), own.fingerprint())), "{seen:?}");
    assert!(seen.iter().all(|(_, shown)| *shown == own.fingerprint()));
}

#[test]
fn an_edit_of_the_rules_holds_for_the_next_request() {
    let (folder, clients, upstream) = asking("edited", false);
    let own = clients.issue("gateway", &[]);
    folder.put("own", &own);
    let edge = start(Some(&folder), &upstream, &[Some(trusting("ca.pem"))]);
    let mut client = edge.connect();
    let mut ask = || {
        client.send(get("/1", ""));
        shown(&client.response())
    };
    assert_eq!(ask(), "none");
    let objects = [
        ConfigObject::Service(Service { tls: Some(Box::new(showing("own"))), ..service(1, "up-1", &[&upstream.url]) }),
        ConfigObject::Route(route(1, "/1", "up-1")),
    ];
    edge.live.store(Some(std::sync::Arc::new(crate::harness::compile(2, &objects))));
    assert_eq!(ask(), own.fingerprint());
}

#[test]
fn a_slow_target_is_outrun_by_another_one_over_tls() {
    let (folder, authority) = (Folder::new("hedges"), Authority::new());
    folder.write("ca.pem", authority.pem());
    let config = authority.issue("up", &["127.0.0.1"]).server(None, &[&TLS13]);
    let (slow, good) = (TlsUpstream::silent(Arc::clone(&config)), TlsUpstream::serve(config));
    let tls = |service: &mut Service| service.tls = Some(Box::new(trusting("ca.pem")));
    let mut setup = hedging(&[&slow.url, &good.url], tls);
    setup.upstream_tls_dir = Some(folder.0.clone());
    let edge = setup.start();
    let mut client = edge.connect();
    for at in 0..4 {
        client.send(get(&format!("/{at}"), ""));
        assert!(client.response().text().starts_with("0 "), "the winner's connection stays");
    }
    let asked = slow.seen.lock().unwrap().iter().map(|(target, _)| target.clone()).collect::<Vec<_>>();
    assert_eq!((asked, hedges(&edge)), (vec!["/0".to_owned(), "/2".to_owned()], (2, 2)), "they take turns");
    assert_eq!(events(&edge, UpstreamEvent::TlsFailure), 0);
}
