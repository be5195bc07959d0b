//! The control plane's settings: defaults, each rule, and combinations.

use std::{path::PathBuf, time::Duration};

use novagate_settings::{ControlSettings, Database, LogLevel, Registration, ServerTls, TlsFiles};

use crate::world::{OTHER_SECRET, SECRET, World, lines};

fn with_mail() -> World {
    World::control()
        .set("SMTP_URL", "smtps://user:pass@mail.example.com")
        .set("SMTP_FROM", "nova@example.com")
        .set("PUBLIC_URL", "https://nova.example.com")
}

#[test]
fn one_secret_is_enough_and_the_rest_has_the_documented_defaults() {
    let settings = World::control().read_control().unwrap();
    assert_eq!(settings.tokens.secret.expose(), SECRET);
    assert!(settings.tokens.previous.is_none());
    assert_eq!(settings.data_dir, PathBuf::from("./.novagate-control"));
    assert_eq!(sqlite_directory(&settings), PathBuf::from("./.novagate-control/db"));
    assert_eq!(settings.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(settings.ops_addr, "127.0.0.1:9090".parse().unwrap());
    assert!(settings.public_url.is_none() && settings.tls.is_none() && settings.mail.is_none());
    assert_eq!(settings.registration, Registration::Open);
    assert!(settings.trusted_proxies.is_empty());
    assert_eq!((settings.log_level, settings.drain), (LogLevel::Info, Duration::from_secs(20)));
}

#[test]
fn the_platform_secret_is_required_long_and_not_the_edge_secret() {
    assert_eq!(lines(World::default().read_control()), ["PLATFORM_JWT_SECRET: is required"]);
    let short = World::default().set("PLATFORM_JWT_SECRET", "short").read_control();
    assert_eq!(lines(short), ["PLATFORM_JWT_SECRET: must have at least 32 characters"]);
    let same = World::control().set("JWT_SECRET", SECRET).read_control();
    assert_eq!(lines(same), ["PLATFORM_JWT_SECRET: must differ from JWT_SECRET"]);
    let same_in_a_file = World::control().set("JWT_SECRET_FILE", "/run/jwt").file("/run/jwt", SECRET);
    assert_eq!(lines(same_in_a_file.read_control()), ["PLATFORM_JWT_SECRET: must differ from JWT_SECRET"]);
    assert!(World::control().set("JWT_SECRET", OTHER_SECRET).read_control().is_ok());
}

#[test]
fn registration_follows_mail_and_address_unless_it_is_said() {
    let default = |world: World| world.read_control().unwrap().registration;
    assert_eq!(default(with_mail()), Registration::Verified);
    assert_eq!(default(World::control().set("LISTEN_ADDR", "[::1]:8080")), Registration::Open);
    assert_eq!(default(World::control().set("LISTEN_ADDR", "0.0.0.0:8080")), Registration::Closed);
    assert_eq!(default(with_mail().set("REGISTRATION", "closed")), Registration::Closed);
    assert_eq!(
        default(World::control().set("LISTEN_ADDR", "0.0.0.0:8080").set("REGISTRATION", "open")),
        Registration::Open
    );
}

#[test]
fn mails_need_a_sender_and_links() {
    let url_alone = World::control().set("SMTP_URL", "smtp://mail.example.com:25").read_control();
    assert_eq!(lines(url_alone), ["SMTP_FROM: is required with SMTP_URL", "PUBLIC_URL: is required with SMTP_URL"]);
    let settings = with_mail().read_control().unwrap();
    assert_eq!(settings.mail.as_ref().unwrap().from.as_str(), "nova@example.com");
    assert_eq!(settings.public_url.unwrap().to_string(), "https://nova.example.com");
    let verified = World::control().set("REGISTRATION", "verified").read_control();
    assert_eq!(lines(verified), ["PUBLIC_URL: is required when REGISTRATION is verified"]);
}

#[test]
fn tls_takes_both_files_or_none() {
    let cert = World::control().set("TLS_CERT_FILE", "/c.pem");
    assert_eq!(lines(cert.read_control()), ["TLS_KEY_FILE: is required with TLS_CERT_FILE"]);
    let key = World::control().set("TLS_KEY_FILE", "/k.pem");
    assert_eq!(lines(key.read_control()), ["TLS_CERT_FILE: is required with TLS_KEY_FILE"]);
    let both = World::control().set("TLS_CERT_FILE", "/c.pem").set("NOVAGATE_TLS_KEY_FILE", "/k.pem");
    let expected = ServerTls::Files(TlsFiles { cert: PathBuf::from("/c.pem"), key: PathBuf::from("/k.pem") });
    assert_eq!(both.read_control().unwrap().tls, Some(expected));
}

#[test]
fn a_certificate_of_its_own_excludes_files() {
    let own = World::control().set("TLS_SELF_SIGNED", "true");
    assert_eq!(own.read_control().unwrap().tls, Some(ServerTls::SelfSigned));
    assert_eq!(World::control().set("TLS_SELF_SIGNED", "false").read_control().unwrap().tls, None);
    let both = World::control().set("TLS_SELF_SIGNED", "true").set("TLS_CERT_FILE", "/c").set("TLS_KEY_FILE", "/k");
    assert_eq!(lines(both.read_control()), ["TLS_SELF_SIGNED: must not be true beside TLS_CERT_FILE or TLS_KEY_FILE"]);
}

#[test]
fn a_database_is_a_directory_of_sqlite_files() {
    let settings = World::control().set("DATABASE_URL", "sqlite:/var/lib/nova").read_control().unwrap();
    assert_eq!(sqlite_directory(&settings), PathBuf::from("/var/lib/nova"));
}

fn sqlite_directory(settings: &ControlSettings) -> PathBuf {
    match &settings.database {
        Database::Sqlite { dir } => dir.clone(),
        Database::Postgres(_) => panic!("PostgreSQL"),
    }
}

#[test]
fn a_postgresql_database_has_up_to_three_addresses() {
    let [serving, owner, session] = [
        "postgresql://app:p%40ss@h:6432/nova?sslmode=require",
        "postgres://owner@h/nova",
        "postgres://app:x@[::1]:5432/n",
    ];
    let world = World::control().set("DATABASE_URL", serving).set("MIGRATE_DATABASE_URL", owner);
    let world = world.set("DATABASE_SESSION_URL", session).set("DATABASE_CONNECTIONS", "40");
    let Database::Postgres(database) = world.read_control().unwrap().database else { panic!("SQLite") };
    assert_eq!(database.url.expose(), serving);
    assert_eq!(database.migrate_url.unwrap().expose(), owner);
    assert_eq!(database.session_url.unwrap().expose(), session);
    assert_eq!(database.connections, 40);
    let file = World::control().set("DATABASE_URL_FILE", "/run/url").file("/run/url", &format!("{serving}\n"));
    let Database::Postgres(database) = file.read_control().unwrap().database else { panic!("SQLite") };
    assert_eq!((database.url.expose(), database.connections), (serving, 10));
    assert!(database.migrate_url.is_none() && database.session_url.is_none());
}

#[test]
fn an_address_of_postgresql_names_a_login_a_host_and_a_database() {
    const RULE: &str = "must be postgres://USER:PASSWORD@HOST:PORT/DATABASE";
    for bad in [
        "postgres://",
        "postgres://h/db",
        "postgres://u@h",
        "postgres://u@/db",
        "postgres://:p@h/db",
        "postgres://u@h/a b",
    ] {
        let read = World::control().set("DATABASE_URL", bad).read_control();
        assert_eq!(lines(read), [format!("DATABASE_URL: {RULE}")], "{bad}");
        for key in ["MIGRATE_DATABASE_URL", "DATABASE_SESSION_URL"] {
            let read = World::control().set("DATABASE_URL", "postgres://u@h/db").set(key, bad).read_control();
            assert_eq!(lines(read), [format!("{key}: {RULE}")], "{bad}");
        }
    }
}

#[test]
fn every_malformed_value_names_its_setting_and_its_rule() {
    let cases = [
        ("DATABASE_URL", "mysql://h/db", "must be sqlite:DIR or postgres://USER:PASSWORD@HOST:PORT/DATABASE"),
        ("DATABASE_URL", "sqlite:", "must be sqlite:DIR or postgres://USER:PASSWORD@HOST:PORT/DATABASE"),
        ("DATABASE_URL", "sqlite://x", "must be sqlite:DIR or postgres://USER:PASSWORD@HOST:PORT/DATABASE"),
        ("PLATFORM_JWT_SECRET_PREVIOUS", "short", "must have at least 32 characters"),
        ("LISTEN_ADDR", "localhost:8080", "must be address:port"),
        ("OPS_ADDR", ":9090", "must be address:port"),
        ("PUBLIC_URL", "nova.example.com", "must be http(s)://host[:port]"),
        ("REGISTRATION", "maybe", "must be open, verified or closed"),
        ("SMTP_URL", "mail.example.com", "must be smtp:// or smtps:// with a host"),
        ("SMTP_URL", "smtp://", "must be smtp:// or smtps:// with a host"),
        (
            "SMTP_FROM",
            "nova",
            "must be local@domain with letters, digits and .!#$%&'*+/=?^_`{|}~- before the @ and a host name after it",
        ),
        ("TRUSTED_PROXY_CIDRS", "x", "must be none, or networks such as 10.0.0.0/8 separated by commas"),
        ("LOG_LEVEL", "INFO", "must be error, warn, info, debug or trace"),
        ("DRAIN_MS", "20s", "must be a whole number from 0 to 600000"),
        ("DATA_DIR", "", "is empty; remove it or give it a value"),
        ("REGISTRATION", "", "is empty; remove it or give it a value"),
        ("DATABASE_URL", "", "is empty; remove it or give it a value"),
        ("MIGRATE_DATABASE_URL", "postgres://u@h/db", "is of use only with a DATABASE_URL of PostgreSQL"),
        ("DATABASE_SESSION_URL", "postgres://u@h/db", "is of use only with a DATABASE_URL of PostgreSQL"),
        ("TLS_SELF_SIGNED", "yes", "must be true or false"),
    ];
    for (key, value, rule) in cases {
        assert_eq!(lines(with_mail().set(key, value).read_control()), [format!("{key}: {rule}")], "{key}");
    }
}
