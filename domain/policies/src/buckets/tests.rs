//! Which requests share a bucket.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use novagate_kernel::{ConsumerId, Name, RouteId};

use super::*;
use crate::{ClientKey, ClientKeyHasher, CompiledConsumer, Consumer, HashKey, LastKey};

const NODE: NodeLimits = NodeLimits { window: Duration::from_mins(1), unauth_max: 100, auth_max: 500 };
const OWN: RateLimit = RateLimit { max: 7, window: Duration::from_secs(1) };
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

fn consumer(number: u128, rate_limit: Option<RateLimit>) -> CompiledConsumer {
    let name = Name::parse("mobile-app").unwrap();
    CompiledConsumer::new(&Consumer {
        id: ConsumerId::from_u128(number),
        name,
        groups: Vec::new(),
        rate_limit,
        certificates: Vec::new(),
    })
}

fn key(bucket: &Bucket<'_>) -> ClientKey {
    ClientKeyHasher::new(HashKey::from_entropy([5; 16])).key(bucket)
}

fn client(identity: &Identity<'_>, ip: IpAddr) -> (ClientKey, u32, Tier) {
    let bucket = Bucket::of_client(identity, ip, &NODE);
    (key(&bucket), bucket.limit().max, bucket.tier())
}

fn route(by: LimitBy, identity: &Identity<'_>, ip: IpAddr) -> ClientKey {
    key(&Bucket::of_route(RouteId::from_u128(1), &RouteLimit { limit: OWN, by }, identity, ip))
}

#[test]
fn each_client_has_the_tier_it_deserves() {
    let (plain, special) = (consumer(1, None), consumer(2, Some(OWN)));
    let of = |identity| {
        let (_, max, tier) = client(&identity, HERE);
        (max, tier)
    };
    assert_eq!(of(Identity::Anonymous), (100, Tier::Unauth));
    assert_eq!(of(Identity::Subject(Some("ada"))), (500, Tier::Auth));
    assert_eq!(of(Identity::Subject(None)), (500, Tier::Auth));
    assert_eq!(of(Identity::Consumer { consumer: &plain, subject: None }), (500, Tier::Auth));
    assert_eq!(of(Identity::Consumer { consumer: &special, subject: None }), (7, Tier::Consumer));
}

#[test]
fn a_known_client_is_one_client_at_every_address_and_an_unknown_one_at_its_own() {
    let somebody = consumer(1, None);
    for identity in [Identity::Subject(Some("ada")), Identity::Consumer { consumer: &somebody, subject: Some("x") }] {
        assert_eq!(client(&identity, HERE), client(&identity, THERE));
    }
    for identity in [Identity::Anonymous, Identity::Subject(None)] {
        assert_ne!(client(&identity, HERE), client(&identity, THERE));
    }
}

#[test]
fn a_consumer_is_one_client_whether_it_shows_a_key_or_a_token() {
    let somebody = consumer(1, None);
    let with_key = Identity::Consumer { consumer: &somebody, subject: None };
    let with_token = Identity::Consumer { consumer: &somebody, subject: Some("mobile-app") };
    assert_eq!(client(&with_key, HERE), client(&with_token, HERE));
}

#[test]
fn a_routes_bucket_falls_back_from_consumer_to_subject_to_address() {
    let somebody = consumer(1, None);
    let with_key = Identity::Consumer { consumer: &somebody, subject: None };
    let with_token = Identity::Consumer { consumer: &somebody, subject: Some("s") };
    let subject = Identity::Subject(Some("s"));
    assert_eq!(route(LimitBy::Consumer, &with_key, HERE), route(LimitBy::Consumer, &with_token, THERE));
    assert_eq!(route(LimitBy::Consumer, &subject, HERE), route(LimitBy::Subject, &with_token, THERE));
    assert_eq!(route(LimitBy::Subject, &with_key, HERE), route(LimitBy::Ip, &subject, HERE));
    assert_eq!(route(LimitBy::Consumer, &Identity::Anonymous, HERE), route(LimitBy::Ip, &subject, HERE));
    assert_ne!(route(LimitBy::Ip, &subject, HERE), route(LimitBy::Ip, &subject, THERE));
    assert_eq!(route(LimitBy::Route, &subject, HERE), route(LimitBy::Route, &Identity::Anonymous, THERE));
}

#[test]
fn an_address_is_an_ipv4_address_or_an_ipv6_half() {
    let v6 = |text: &str| client(&Identity::Anonymous, IpAddr::V6(text.parse::<Ipv6Addr>().unwrap())).0;
    assert_eq!(v6("2001:db8:1:2::1"), v6("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_ne!(v6("2001:db8:1:2::1"), v6("2001:db8:1:3::1"));
    assert_eq!(v6("::ffff:192.0.2.1"), client(&Identity::Anonymous, HERE).0);
    assert_ne!(v6("::ffff:192.0.2.2"), v6("::ffff:192.0.2.1"));
}

#[test]
fn buckets_that_differ_in_anything_have_different_keys() {
    let id = ConsumerId::from_u128(1);
    let everybody =
        [Who::Consumer(id), Who::Subject("1"), Who::Subject(""), Who::Ipv4([0; 4]), Who::Ipv6([0; 8]), Who::Everybody];
    let scopes = [Scope::Client, Scope::Route(RouteId::from_u128(1)), Scope::Route(RouteId::from_u128(0))];
    let mut keys = HashSet::new();
    for tier in [Tier::Unauth, Tier::Auth] {
        for scope in scopes {
            for who in everybody {
                let fresh = keys.insert(key(&Bucket { scope, who, limit: OWN, tier }));
                assert!(fresh || (scope != Scope::Client && tier == Tier::Auth));
            }
        }
    }
    let anonymous = client(&Identity::Anonymous, HERE).0;
    assert_ne!(anonymous, client(&Identity::Subject(None), HERE).0, "one count for both would mix two limits");
}

#[test]
fn the_same_bucket_has_another_key_in_another_process() {
    let bucket = Bucket::of_client(&Identity::Anonymous, HERE, &NODE);
    let other = ClientKeyHasher::new(HashKey::from_entropy([6; 16]));
    assert_ne!(key(&bucket), other.key(&bucket));
}

#[test]
fn a_remembered_key_is_the_one_that_hashing_would_make() {
    let hasher = ClientKeyHasher::new(HashKey::from_entropy([5; 16]));
    let of = |identity, ip| Bucket::of_client(identity, ip, &NODE);
    let (anonymous, subject, no_subject) =
        (Identity::Anonymous, Identity::Subject(Some("one")), Identity::Subject(None));
    let everybody = [
        of(&anonymous, HERE),
        of(&no_subject, HERE),
        of(&anonymous, IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77))),
        of(&anonymous, IpAddr::V6(Ipv6Addr::LOCALHOST)),
        of(&subject, HERE),
        of(&Identity::Subject(Some("two")), HERE),
        Bucket { scope: Scope::Route(RouteId::from_u128(1)), ..of(&anonymous, HERE) },
        Bucket { scope: Scope::Route(RouteId::from_u128(2)), ..of(&anonymous, HERE) },
    ];
    let mut last = LastKey::default();
    for first in &everybody {
        for second in &everybody {
            for bucket in [first, first, second, first] {
                assert!(last.key(&hasher, bucket) == key(bucket));
            }
        }
    }
    assert!(!format!("{last:?}").contains("192"));
}

#[test]
fn a_bucket_never_prints_its_subject() {
    let bucket = Bucket::of_client(&Identity::Subject(Some("CANARY")), HERE, &NODE);
    assert!(!format!("{bucket:?} {:?}", Identity::Subject(Some("CANARY"))).contains("CANARY"));
}
