//! What holds for every setting of both programs: layers, prefix, file forms, unknown names, and silence about values.

use std::path::Path;

use novagate_settings::{ControlSettings, Environment, GatewaySettings, KEYS, Program, config_toml};
use zeroize::Zeroizing;

use crate::world::{KEY, OTHER_SECRET, SECRET, World, lines};

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let settings = World::gateway()
        .config("PORT = 8100\nRATE_LIMIT_AUTH_MAX = 7\nTRUSTED_PROXY_CIDRS = [\"10.0.0.0/8\", \"192.0.2.1\"]\n")
        .set("PORT", "8200")
        .read_gateway()
        .unwrap();
    assert_eq!(settings.listen.port(), 8200);
    assert_eq!(settings.rate_limit.auth_max, 7);
    assert_eq!(settings.rate_limit.unauth_max, 100);
    assert_eq!(settings.trusted_proxies.len(), 2);
}

#[test]
fn a_whole_gateway_fits_into_the_file() {
    let toml = format!(
        "CONTROL_PLANE_URL = \"wss://cp.example.com\"\nGATEWAY_API_KEY = \"{KEY}\"\nJWT_SECRET_FILE = \"/run/jwt\"\n\
         ALLOW_INSECURE_CONTROL_PLANE = false\n"
    );
    let settings = World::default().config(&toml).file("/run/jwt", &format!("{SECRET}\n")).read_gateway().unwrap();
    assert_eq!(settings.tokens.secret.unwrap().expose(), SECRET);
}

#[test]
fn a_file_that_is_not_toml_is_named_by_position_only() {
    let read = World::gateway().config("PORT = 1\nJWT_SECRET = CANARY7F\n").read_gateway();
    assert_eq!(lines(read), ["--config: is not valid TOML (line 2, column 14)"]);
    let missing = GatewaySettings::read(&World::gateway().environment(), Some(Path::new("/absent.toml")));
    assert_eq!(lines(missing), ["--config: the file does not exist"]);
}

#[test]
fn names_in_the_file_must_be_settings_and_values_plain() {
    let read = World::gateway().config("port = 1\n\n[gateway]\nPORT = 2\n").read_gateway();
    let found = lines(read);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[1], "port: is no setting; the nearest name is PORT");
    assert!(found[0].starts_with("gateway: is no setting"), "{found:?}");
    let read = World::gateway().config("[PORT]\nx = 2\n").read_gateway();
    assert_eq!(lines(read), ["PORT: must be text, a number, true or false, or a list of these"]);
}

#[test]
fn a_prefixed_name_counts_as_the_bare_one_unless_they_differ() {
    let settings = World::gateway().set("NOVAGATE_PORT", "8300").read_gateway().unwrap();
    assert_eq!(settings.listen.port(), 8300);
    assert!(World::gateway().set("PORT", "8300").set("NOVAGATE_PORT", "8300").read_gateway().is_ok());
    let read = World::gateway().set("PORT", "8300").set("NOVAGATE_PORT", "8301").read_gateway();
    assert_eq!(lines(read), ["PORT: is given both bare and as NOVAGATE_PORT, with different values"]);
}

#[test]
fn an_unknown_prefixed_name_is_refused_with_the_nearest_one() {
    let read = World::gateway().set("NOVAGATE_PROT", "1").set("NOVAGATE_LOG", "x").read_gateway();
    let found = lines(read);
    assert!(found[0].starts_with("NOVAGATE_LOG: is no setting; the nearest name is NOVAGATE_"), "{found:?}");
    assert_eq!(found[1], "NOVAGATE_PROT: is no setting; the nearest name is NOVAGATE_PORT");
}

#[test]
fn names_of_others_are_none_of_our_business() {
    let world = World::gateway()
        .set("PATH", "/bin")
        .set("PROT", "1")
        .set("PORT_FILE", "/x")
        .set("NOVAGATE_SECRET_UPSTREAM", "whatever")
        .set("NOVAGATE_PLATFORM_JWT_SECRET", OTHER_SECRET)
        .set("NOVAGATE_REGISTRATION", "nonsense of the other program");
    assert!(world.read_gateway().is_ok());
}

#[test]
fn only_secrets_have_a_file_form() {
    let read = World::gateway().set("NOVAGATE_PORT_FILE", "/port").read_gateway();
    assert!(lines(read)[0].starts_with("NOVAGATE_PORT_FILE: is no setting"));
}

#[test]
fn a_secret_given_twice_or_by_an_unreadable_or_empty_file_is_refused() {
    let both = World::gateway().set("JWT_SECRET_FILE", "/run/jwt").file("/run/jwt", SECRET).read_gateway();
    assert_eq!(lines(both), ["JWT_SECRET: is given both as JWT_SECRET and as JWT_SECRET_FILE"]);
    let by_file = || World::gateway().without("JWT_SECRET").set("JWT_SECRET_FILE", "/run/jwt");
    assert_eq!(lines(by_file().read_gateway()), ["JWT_SECRET_FILE: the file does not exist"]);
    let empty = by_file().file("/run/jwt", "\n").read_gateway();
    assert_eq!(lines(empty), ["JWT_SECRET: is empty; remove it or give it a value"]);
    let no_path = World::gateway().without("JWT_SECRET").set("JWT_SECRET_FILE", "").read_gateway();
    assert_eq!(lines(no_path), ["JWT_SECRET_FILE: is empty; remove it or give it a value"]);
    assert!(by_file().file("/run/jwt", &format!("{SECRET}\r\n")).read_gateway().is_ok());
}

#[test]
fn no_value_of_any_setting_is_ever_repeated() {
    const CANARY: &str = "CANARY7F";
    for program in [Program::Gateway, Program::Control] {
        let variables = KEYS
            .iter()
            .filter(|key| key.program == program)
            .flat_map(|key| [key.name.to_owned(), format!("NOVAGATE_{}", key.name), format!("{}_FILE", key.name)])
            .enumerate()
            .map(|(index, name)| (name, format!("{CANARY}-{index}")));
        let refuse = |_path: &Path| Err::<Zeroizing<String>, _>("the file does not exist");
        let environment = Environment::new(variables, refuse);
        let problems = match program {
            Program::Gateway => GatewaySettings::read(&environment, None).unwrap_err(),
            Program::Control => ControlSettings::read(&environment, None).unwrap_err(),
        };
        let text = format!("{problems}{problems:?}{environment:?}");
        assert!(!text.contains(CANARY), "{text}");
        assert!(problems.iter().count() >= KEYS.iter().filter(|key| key.program == program).count(), "{problems}");
    }
}

#[test]
fn settings_do_not_show_their_secrets() {
    let gateway = format!("{:?}", World::gateway().read_gateway().unwrap());
    assert!(!gateway.contains(SECRET) && !gateway.contains("00112233445566778899aabbccddeeff"));
    let control = World::control().set("PLATFORM_JWT_SECRET_PREVIOUS", OTHER_SECRET).read_control().unwrap();
    let control = format!("{control:?}");
    assert!(!control.contains(SECRET) && !control.contains(OTHER_SECRET));
}

#[test]
fn the_documented_file_is_read_with_every_default_switched_on() {
    let documented = config_toml();
    for program in [Program::Gateway, Program::Control] {
        let defaults: Vec<&str> = KEYS
            .iter()
            .filter(|key| key.program == program && key.default.is_some())
            .map(|key| documented.lines().find(|line| line.starts_with(&format!("#{} = ", key.name))).unwrap())
            .map(|line| line.trim_start_matches('#'))
            .collect();
        let defaults = defaults.join("\n");
        match program {
            Program::Gateway => assert!(World::gateway().config(&defaults).read_gateway().is_ok(), "{defaults}"),
            Program::Control => assert!(World::control().config(&defaults).read_control().is_ok(), "{defaults}"),
        }
    }
    assert!(World::gateway().config(&documented).read_gateway().is_ok());
}
