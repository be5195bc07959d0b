//! The gateway's settings: defaults, each rule, and combinations.

use std::{path::PathBuf, time::Duration};

use novagate_settings::{ClientCertificates, ConfigOrigin, GatewaySettings, LogLevel, RateLimitMode};

use crate::world::{KEY, OTHER_SECRET, SECRET, World, lines};

fn control_plane(settings: &GatewaySettings) -> &novagate_settings::ControlPlaneSettings {
    match &settings.origin {
        ConfigOrigin::ControlPlane(control_plane) => control_plane,
        ConfigOrigin::File(path) => panic!("unexpected file {}", path.display()),
    }
}

#[test]
fn three_settings_are_enough_and_the_rest_has_the_documented_defaults() {
    let settings = World::gateway().read_gateway().unwrap();
    assert_eq!(control_plane(&settings).url.to_string(), "wss://cp.example.com");
    assert_eq!(control_plane(&settings).api_key.expose(), KEY);
    assert_eq!(settings.tokens.secret.as_ref().unwrap().expose(), SECRET);
    assert_eq!(settings.tokens.leeway, Duration::ZERO);
    assert_eq!(settings.listen, "0.0.0.0:8000".parse().unwrap());
    assert_eq!(settings.admin_addr, "127.0.0.1:9100".parse().unwrap());
    assert_eq!(settings.data_dir, PathBuf::from("./.novagate-gateway"));
    assert_eq!(settings.rate_limit.window, Duration::from_mins(1));
    assert_eq!((settings.rate_limit.unauth_max, settings.rate_limit.auth_max), (100, 500));
    let limits = &settings.limits;
    assert_eq!(limits.proxy_timeout, Duration::from_secs(10));
    assert_eq!(limits.body_idle_timeout, Duration::from_secs(30));
    assert_eq!(limits.header_timeout, Duration::from_secs(10));
    assert_eq!(limits.idle_timeout, Duration::from_secs(75));
    assert_eq!(limits.websocket_idle_timeout, Duration::from_hours(1));
    assert_eq!(limits.drain, Duration::from_secs(20));
    assert_eq!((limits.max_header_bytes, limits.max_headers, limits.max_connections), (32_768, 100, 100_000));
    assert_eq!(limits.max_body_bytes, None);
    assert_eq!((limits.http2, limits.max_concurrent_streams), (true, 128));
    assert!(settings.trusted_proxies.is_empty() && settings.labels.is_empty());
    let denied: Vec<String> = settings.upstream_deny.iter().map(ToString::to_string).collect();
    assert_eq!(denied, ["169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128"]);
    assert!((1..=256).contains(&settings.workers.get()));
    assert_eq!((settings.log_level, settings.max_config_age), (LogLevel::Info, None));
}

#[test]
fn everything_that_is_missing_is_said_at_once() {
    assert_eq!(
        lines(World::default().read_gateway()),
        [
            "CONTROL_PLANE_URL: is required unless CONFIG_FILE is set",
            "GATEWAY_API_KEY: is required unless CONFIG_FILE is set",
            "JWT_SECRET: is required unless JWT_PUBLIC_KEY_FILE is set",
        ]
    );
}

#[test]
fn half_a_control_plane_names_the_other_half() {
    let read = World::gateway().without("GATEWAY_API_KEY").read_gateway();
    assert_eq!(lines(read), ["GATEWAY_API_KEY: is required"]);
    let read = World::gateway().without("CONTROL_PLANE_URL").read_gateway();
    assert_eq!(lines(read), ["CONTROL_PLANE_URL: is required"]);
}

#[test]
fn a_config_file_replaces_the_control_plane_and_does_not_join_it() {
    let alone = World::default().set("CONFIG_FILE", "/etc/routes.yaml").set("JWT_SECRET", SECRET);
    assert!(matches!(alone.read_gateway().unwrap().origin, ConfigOrigin::File(path) if path == *"/etc/routes.yaml"));
    let both = World::gateway().set("CONFIG_FILE", "/etc/routes.yaml").read_gateway();
    assert_eq!(lines(both), ["CONFIG_FILE: must not be set beside CONTROL_PLANE_URL or GATEWAY_API_KEY"]);
}

#[test]
fn a_public_key_replaces_the_secret() {
    let world = World::gateway().without("JWT_SECRET").set("JWT_PUBLIC_KEY_FILE", "/etc/jwt.pem");
    let settings = world.read_gateway().unwrap();
    assert!(settings.tokens.secret.is_none());
    assert_eq!(settings.tokens.public_key_file, Some(PathBuf::from("/etc/jwt.pem")));
}

#[test]
fn every_malformed_value_names_its_setting_and_its_rule() {
    let cases = [
        ("CONTROL_PLANE_URL", "https://cp", "must be wss://host[:port]"),
        (
            "CONTROL_PLANE_URL",
            "ws://cp.example.com",
            "must be wss:// unless the host is a loopback address or ALLOW_INSECURE_CONTROL_PLANE is true",
        ),
        ("GATEWAY_API_KEY", "gw_1_2", "is not gw_<tenantId>_<32 lower-case hexadecimal characters>"),
        ("ALLOW_INSECURE_CONTROL_PLANE", "yes", "must be true or false"),
        ("JWT_SECRET", "0123456789abcdef0123456789abcde", "must have at least 32 characters"),
        ("JWT_LEEWAY_S", "301", "must be a whole number from 0 to 300"),
        ("HOST", "localhost", "must be an IP address"),
        ("PORT", "65536", "must be a whole number from 0 to 65535"),
        ("ADMIN_ADDR", "9100", "must be address:port"),
        ("RATE_LIMIT_MODE", "global", "must be local, leased or exact"),
        ("FLEET_KEY", "short", "must have at least 32 characters"),
        ("RATE_LIMIT_WINDOW_MS", "999", "must be a whole number from 1000 to 86400000"),
        ("RATE_LIMIT_UNAUTH_MAX", "0", "must be a whole number from 1 to 1000000"),
        ("RATE_LIMIT_AUTH_MAX", "1000001", "must be a whole number from 1 to 1000000"),
        ("PROXY_TIMEOUT_MS", "0", "must be a whole number from 1 to 3600000"),
        ("BODY_IDLE_TIMEOUT_MS", "3600001", "must be a whole number from 1 to 3600000"),
        ("HEADER_TIMEOUT_MS", "10s", "must be a whole number from 1 to 600000"),
        ("IDLE_TIMEOUT_MS", "-1", "must be a whole number from 1 to 3600000"),
        ("WEBSOCKET_IDLE_TIMEOUT_MS", "0", "must be a whole number from 1 to 86400000"),
        ("DRAIN_MS", "600001", "must be a whole number from 0 to 600000"),
        ("MAX_HEADER_BYTES", "1023", "must be a whole number from 1024 to 1048576"),
        ("MAX_HEADERS", "1001", "must be a whole number from 1 to 1000"),
        ("MAX_BODY_BYTES", "1099511627777", "must be a whole number from 1 to 1099511627776"),
        ("MAX_CONNECTIONS", "0", "must be a whole number from 1 to 1000000"),
        ("HTTP2", "on", "must be true or false"),
        ("MAX_CONCURRENT_STREAMS", "1001", "must be a whole number from 1 to 1000"),
        ("TRUSTED_PROXY_CIDRS", "10.0.0.0/33", "must be none, or networks such as 10.0.0.0/8 separated by commas"),
        ("UPSTREAM_DENY_CIDRS", "metadata", "must be none, or networks such as 10.0.0.0/8 separated by commas"),
        ("WORKERS", "257", "must be a whole number from 1 to 256"),
        ("LOG_LEVEL", "verbose", "must be error, warn, info, debug or trace"),
        ("MAX_CONFIG_AGE", "3600", "must be off, or a number with s, m, h or d, from 1m to 365d"),
        ("DATA_DIR", "", "is empty; remove it or give it a value"),
        ("JWT_ISSUER", "", "is empty; remove it or give it a value"),
        ("JWT_SECRET", "", "is empty; remove it or give it a value"),
    ];
    for (key, value, rule) in cases {
        assert_eq!(lines(World::gateway().set(key, value).read_gateway()), [format!("{key}: {rule}")]);
        let prefixed = World::gateway().without(key).set(&format!("NOVAGATE_{key}"), value);
        assert_eq!(lines(prefixed.read_gateway()), [format!("{key}: {rule}")], "with the prefix");
    }
    let long = "x".repeat(256);
    for key in ["JWT_ISSUER", "JWT_AUDIENCE"] {
        let expected = [format!("{key}: must have at most 255 characters")];
        assert_eq!(lines(World::gateway().set(key, &long).read_gateway()), expected);
    }
    assert!(
        lines(World::gateway().set("NODE_LABELS", "zone").read_gateway())[0]
            .starts_with("NODE_LABELS: must be key=value")
    );
    let long = "z".repeat(64);
    for zone in ["eu west", "eu/1", "\u{e9}", &long] {
        let expected = ["ZONE: must have 1 to 63 letters, digits, hyphens, dots and underscores"];
        assert_eq!(lines(World::gateway().set("ZONE", zone).read_gateway()), expected);
    }
}

#[test]
fn well_formed_values_arrive() {
    let settings = World::gateway()
        .set("CONTROL_PLANE_URL", "ws://cp:8080")
        .set("ALLOW_INSECURE_CONTROL_PLANE", "true")
        .set("CONTROL_PLANE_CA_FILE", "/ca.pem")
        .set("NODE_LABELS", "zone=eu-1")
        .set("ZONE", "EU-1_a.b")
        .set("MAX_CONFIG_AGE", "24h")
        .set("JWT_ISSUER", "https://issuer")
        .set("JWT_AUDIENCE", "api")
        .set("JWT_LEEWAY_S", "300")
        .set("HOST", "::1")
        .set("PORT", "0")
        .set("MAX_BODY_BYTES", "1048576")
        .set("TRUSTED_PROXY_CIDRS", "10.0.0.0/8,192.0.2.1")
        .set("UPSTREAM_DENY_CIDRS", "none")
        .set("UPSTREAM_CA_FILE", "/ca.pem")
        .set("WORKERS", "4")
        .set("LOG_LEVEL", "debug")
        .read_gateway()
        .unwrap();
    let control_plane = control_plane(&settings);
    assert!(!control_plane.url.is_secure());
    assert_eq!(control_plane.ca_file, Some(PathBuf::from("/ca.pem")));
    assert_eq!((&*settings.labels["zone"], settings.zone.as_deref()), ("eu-1", Some("EU-1_a.b")));
    assert_eq!(settings.max_config_age, Some(Duration::from_hours(24)));
    assert_eq!(settings.tokens.issuer.as_deref(), Some("https://issuer"));
    assert_eq!(settings.tokens.audience.as_deref(), Some("api"));
    assert_eq!(settings.tokens.leeway, Duration::from_mins(5));
    assert_eq!(settings.listen, "[::1]:0".parse().unwrap());
    assert_eq!(settings.limits.max_body_bytes, Some(1_048_576));
    assert_eq!(settings.trusted_proxies.len(), 2);
    assert!(settings.upstream_deny.is_empty());
    assert_eq!(settings.upstream_ca_file, Some(PathBuf::from("/ca.pem")));
    assert_eq!((settings.workers.get(), settings.log_level), (4, LogLevel::Debug));
}

#[test]
fn what_this_version_does_not_honour_is_refused() {
    for key in ["JWKS_URL", "NOVAGATE_JWKS_URL", "SECRETS_DIR"] {
        let read = World::gateway().set(key, "something").read_gateway();
        let name = key.trim_start_matches("NOVAGATE_");
        assert_eq!(lines(read), [format!("{name}: is not supported in this version")]);
    }
}

#[test]
fn with_redis_limits_are_leased_unless_something_else_is_said() {
    let mode = |world: World| world.read_gateway().unwrap().rate_limit.mode;
    let with_redis = || World::gateway().set("REDIS_URL", "redis://:secret@redis/2");
    assert_eq!(mode(World::gateway()), RateLimitMode::Local);
    assert_eq!(mode(with_redis()), RateLimitMode::Leased);
    assert_eq!(mode(with_redis().set("RATE_LIMIT_MODE", "exact")), RateLimitMode::Exact);
    assert_eq!(mode(with_redis().set("RATE_LIMIT_MODE", "local")), RateLimitMode::Local);
    for mode in ["leased", "exact"] {
        let read = World::gateway().set("RATE_LIMIT_MODE", mode).read_gateway();
        assert_eq!(lines(read), ["REDIS_URL: is required when RATE_LIMIT_MODE is leased or exact"]);
    }
    let redis = with_redis().read_gateway().unwrap().fleet.unwrap().redis;
    assert_eq!((redis.hosts, redis.database), (vec![("redis".to_owned(), 6379)], 2));
    assert_eq!(redis.password.unwrap().expose(), "secret");
    let file = World::gateway().set("REDIS_URL_FILE", "/run/url").file("/run/url", "rediss://r\n");
    assert!(file.read_gateway().unwrap().fleet.unwrap().redis.secure);
    let bad = World::gateway().set("REDIS_URL", "http://canary").read_gateway();
    assert!(lines(bad).concat().starts_with("REDIS_URL: must be redis[s]://"));
}

#[test]
fn the_key_of_a_fleet_is_its_own_or_the_first_secret_that_all_have() {
    let key = |world: World| {
        let settings = world.set("REDIS_URL", "redis://r").read_gateway().unwrap();
        settings.fleet.unwrap().key.expose().to_owned()
    };
    assert_eq!(key(World::gateway().set("FLEET_KEY", OTHER_SECRET)), OTHER_SECRET);
    assert_eq!(key(World::gateway()), SECRET);
    let public = || World::gateway().without("JWT_SECRET").set("JWT_PUBLIC_KEY_FILE", "/k.pem");
    assert_eq!(key(public()), KEY);
    let alone = public().without("GATEWAY_API_KEY").without("CONTROL_PLANE_URL").set("CONFIG_FILE", "/c.yaml");
    let rule = "FLEET_KEY: is required with REDIS_URL where neither JWT_SECRET nor GATEWAY_API_KEY is set";
    assert_eq!(lines(alone.set("REDIS_URL", "redis://r").read_gateway()), [rule]);
}

#[test]
fn what_belongs_to_redis_needs_it() {
    for (key, url, rule) in [
        ("REDIS_CA_FILE", "redis://r", "needs rediss:// in REDIS_URL"),
        ("REDIS_SENTINEL_PASSWORD", "redis://r", "needs sentinels in REDIS_URL"),
    ] {
        let read = World::gateway().set(key, "x").read_gateway();
        assert_eq!(lines(read), [format!("REDIS_URL: is required with {key}")]);
        let read = World::gateway().set(key, "x").set("REDIS_URL", url).read_gateway();
        assert_eq!(lines(read), [format!("{key}: {rule}")]);
    }
}

#[test]
fn certificates_and_keys_are_pairs() {
    let pair = World::gateway().set("TLS_CERT_FILE", "a.pem, b.pem").set("TLS_KEY_FILE", "a.key,b.key");
    let tls = pair.read_gateway().unwrap().tls.unwrap();
    let names = tls.files.iter().map(|file| format!("{} {}", file.cert.display(), file.key.display()));
    assert_eq!(names.collect::<Vec<_>>(), ["a.pem a.key", "b.pem b.key"]);
    assert_eq!(World::gateway().read_gateway().unwrap().tls, None);
    let uneven = World::gateway().set("TLS_CERT_FILE", "a.pem,b.pem").set("TLS_KEY_FILE", "a.key").read_gateway();
    assert_eq!(lines(uneven), ["TLS_KEY_FILE: must name as many files as TLS_CERT_FILE, in the same order"]);
    let half = World::gateway().set("TLS_CERT_FILE", "a.pem").read_gateway();
    assert_eq!(lines(half), ["TLS_KEY_FILE: is required with TLS_CERT_FILE"]);
    let gap = World::gateway().set("TLS_CERT_FILE", "a.pem,").set("TLS_KEY_FILE", "a.key").read_gateway();
    assert_eq!(lines(gap), ["TLS_CERT_FILE: must be paths separated by commas"]);
    let alone = World::gateway().set("TLS_CLIENT_CA_FILE", "ca.pem").read_gateway();
    assert_eq!(lines(alone), ["TLS_CLIENT_CA_FILE: is of use only with TLS_CERT_FILE and TLS_KEY_FILE"]);
}

#[test]
fn clients_are_asked_for_certificates_only_with_an_authority_for_them() {
    let pair = || World::gateway().set("TLS_CERT_FILE", "a.pem").set("TLS_KEY_FILE", "a.key");
    let clients = |world: World| world.read_gateway().unwrap().tls.unwrap().clients;
    assert_eq!(clients(pair()), ClientCertificates::NotAsked);
    let asked = || pair().set("TLS_CLIENT_CA_FILE", "ca.pem");
    assert_eq!(clients(asked()), ClientCertificates::Required("ca.pem".into()));
    assert_eq!(clients(asked().set("TLS_CLIENT_AUTH", "required")), ClientCertificates::Required("ca.pem".into()));
    assert_eq!(clients(asked().set("TLS_CLIENT_AUTH", "optional")), ClientCertificates::Optional("ca.pem".into()));
    let alone = pair().set("TLS_CLIENT_AUTH", "optional").read_gateway();
    assert_eq!(lines(alone), ["TLS_CLIENT_CA_FILE: is required with TLS_CLIENT_AUTH"]);
    let other = asked().set("TLS_CLIENT_AUTH", "maybe").read_gateway();
    assert_eq!(lines(other), ["TLS_CLIENT_AUTH: must be required or optional"]);
    let without = World::gateway().set("TLS_CLIENT_AUTH", "optional").read_gateway();
    assert_eq!(lines(without), ["TLS_CLIENT_AUTH: is of use only with TLS_CERT_FILE and TLS_KEY_FILE"]);
}

#[test]
fn the_platform_secret_must_not_be_this_gateways() {
    let same = World::gateway().set("PLATFORM_JWT_SECRET", SECRET).read_gateway();
    assert_eq!(lines(same), ["PLATFORM_JWT_SECRET: must differ from JWT_SECRET"]);
    assert!(World::gateway().set("PLATFORM_JWT_SECRET", OTHER_SECRET).read_gateway().is_ok());
}

#[test]
fn the_file_of_the_gateway_key_is_remembered() {
    let world = World::gateway().without("GATEWAY_API_KEY").set("GATEWAY_API_KEY_FILE", "/run/key");
    let settings = world.file("/run/key", &format!("{KEY}\n")).read_gateway().unwrap();
    assert_eq!(control_plane(&settings).api_key_file, Some(PathBuf::from("/run/key")));
    assert_eq!(control_plane(&settings).api_key.expose(), KEY);
}
