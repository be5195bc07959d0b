//! Gateways that count and keep things together in a Redis, and what happens without it.

use novagate_e2e::{
    Api, Control, ControlOptions, FileWorld, Gateway, GatewayOptions, Load, PATIENCE, Request, Upstream, wait_until,
};
use novagate_services::Redis;

/// A Redis of the test's own, and the settings that name it.
struct Shared {
    redis: Redis,
}

impl Shared {
    fn start() -> Option<Self> {
        Redis::own().map(|redis| Self { redis })
    }

    fn settings(&self, mode: &str) -> Vec<(&'static str, String)> {
        vec![("REDIS_URL", format!("{}/0", self.redis.url())), ("RATE_LIMIT_MODE", mode.to_owned())]
    }

    fn limited(&self, mode: &str, max: u32) -> Vec<(&'static str, String)> {
        let mut settings = self.settings(mode);
        settings.push(("RATE_LIMIT_UNAUTH_MAX", max.to_string()));
        settings
    }
}

/// How many of so many requests are admitted.
fn admitted(gateway: &Gateway, count: usize) -> usize {
    (0..count).filter(|_| gateway.get("/open/x").status == 200).count()
}

fn errors(gateway: &Gateway) -> f64 {
    gateway.metric("rate_limit_errors_total").unwrap_or(0.0)
}

#[test]
fn two_gateways_admit_together_what_one_may_and_their_shares_without_redis() {
    let Some(shared) = Shared::start() else { return };
    let one = FileWorld::start(shared.limited("exact", 20));
    let two = FileWorld::start(shared.limited("exact", 20));
    assert_eq!(admitted(&one.gateway, 12), 12);
    assert_eq!(admitted(&two.gateway, 12), 8);
    let refused = one.gateway.get("/open/x").expect(429);
    assert!(
        refused.header("retry-after").is_some() && refused.header("ratelimit-policy") == Some("\"unauth\";q=20;w=60")
    );
    assert!(errors(&one.gateway) < 1.0);
    // Both know of each other by now, or a little later.
    let nodes = || {
        shared.redis.command(0, "KEYS rl:*").lines().any(|key| {
            shared.redis.command(0, &format!("TYPE {key}")) == "zset"
                && shared.redis.command(0, &format!("ZCARD {key}")) == "2"
        })
    };
    wait_until("both tell that they are there", PATIENCE, nodes);
    shared.redis.stop();
    let without = admitted(&one.gateway, 40);
    assert!((10..=20).contains(&without), "{without}: its share");
    wait_until("it is counted", PATIENCE, || errors(&one.gateway) >= 40.0);
    shared.redis.restart();
    wait_until("it counts together again", PATIENCE, || {
        let before = errors(&one.gateway);
        one.gateway.get("/open/x");
        errors(&one.gateway) <= before
    });
}

#[test]
fn traffic_never_notices_what_becomes_of_redis_in_any_mode() {
    let Some(shared) = Shared::start() else { return };
    for mode in ["leased", "exact"] {
        let world = FileWorld::start(shared.settings(mode));
        let load = Load::start(world.gateway.address(), 4, |number| Request::get(&format!("/open/{number}")));
        load.wait_for_more(100);
        for fault in ["stop", "freeze", "CONFIG SET maxmemory 1", "CLIENT KILL TYPE normal"] {
            match fault {
                "stop" => shared.redis.stop(),
                "freeze" => shared.redis.freeze(),
                command => drop(shared.redis.command(0, command)),
            }
            load.wait_for_more(100);
            match fault {
                "stop" => shared.redis.restart(),
                "freeze" => shared.redis.thaw(),
                _ => drop(shared.redis.command(0, "CONFIG SET maxmemory 0")),
            }
            load.wait_for_more(100);
        }
        load.finish().assert_flawless();
    }
}

#[test]
fn a_gateway_starts_and_serves_without_the_redis_it_was_told_of() {
    let Some(shared) = Shared::start() else { return };
    shared.redis.stop();
    for mode in ["leased", "exact"] {
        let world = FileWorld::start(shared.limited(mode, 5));
        assert_eq!(admitted(&world.gateway, 8), 5, "{mode}");
        assert_eq!(world.gateway.admin("/health")["status"].as_str(), Some("ok"));
    }
}

#[test]
fn a_new_gateway_serves_what_the_fleet_keeps_while_the_control_plane_is_away() {
    let Some(shared) = Shared::start() else { return };
    let upstream = Upstream::named("users");
    let mut control = Control::with(&ControlOptions::default());
    let api = Api::register(&control);
    api.service("users", &upstream.url());
    api.open_route("open", "/open/*", "users");
    let options = GatewayOptions {
        control_url: control.sync_url(),
        key: api.account.gateway_key.clone(),
        environment: shared.settings("leased"),
        ..GatewayOptions::default()
    };
    let first = Gateway::start(&options);
    first.wait_status("/open/a", 200);
    let kept = || shared.redis.command(0, "EXISTS cfg:default") == "1";
    wait_until("the fleet keeps the configuration", PATIENCE, kept);
    control.kill9();
    let second = Gateway::start(&options);
    second.get("/open/b").expect(200);
    let foreign = GatewayOptions {
        environment: [
            shared.settings("leased"),
            vec![("FLEET_KEY", "another-fleet-of-thirty-two-characters".to_owned())],
        ]
        .concat(),
        ..options
    };
    let third = Gateway::launch(&foreign);
    third.get("/open/b").expect(503);
}

#[test]
fn promise_i3_keys_in_redis_have_documented_prefixes_and_hold_nothing_personal() {
    let Some(shared) = Shared::start() else { return };
    let upstream = Upstream::named("users");
    let control = Control::with(&ControlOptions {
        environment: shared.settings("").drain(..1).collect(),
        ..ControlOptions::default()
    });
    let api = Api::register(&control);
    api.service("users", &upstream.url());
    api.open_route("open", "/open/*", "users");
    api.closed_route("closed", "/closed/*", "users");
    let mut gateways = Vec::new();
    for mode in ["local", "leased", "exact"] {
        let options = GatewayOptions {
            control_url: control.sync_url(),
            key: api.account.gateway_key.clone(),
            environment: shared.settings(mode),
            ..GatewayOptions::default()
        };
        let gateway = Gateway::start(&options);
        gateway.wait_status("/open/a", 200);
        let token = novagate_e2e::edge_token(novagate_e2e::EDGE_SECRET, "canary-subject");
        for _ in 0..20 {
            gateway.send(&Request::get("/closed/x").bearer(&token)).expect(200);
            gateway.get("/open/a").expect(200);
        }
        gateways.push(gateway);
    }
    let tenant = api.account.tenant.clone();
    let names = || shared.redis.command(0, "KEYS *");
    wait_until("everything that is shared was written", PATIENCE, || {
        let names = names();
        names.contains("cfg:default") && names.contains("gw:online:") && names.contains("rl:")
    });
    for name in names().lines() {
        let is_hash = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_documented = name == "cfg:default"
            || name.strip_prefix("rl:").is_some_and(is_hash)
            || name.strip_prefix("gw:online:") == Some(tenant.as_str());
        assert!(is_documented, "{name}");
    }
}
