//! Every setting is checked before anything starts.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use novagate_e2e::{Dev, EDGE_SECRET, Exit, Folder, PLATFORM_SECRET, Process, free_port};
use novagate_fixtures::{assert_no_canary, canary};
use novagate_settings::{KEYS, KeyDoc, Program, Rule};

/// A program with settings that would start it.
struct Attempt {
    folder: Folder,
    addresses: [SocketAddr; 2],
    environment: BTreeMap<String, String>,
    program: Program,
}

impl Attempt {
    fn new(program: Program) -> Self {
        let folder = Folder::new("settings");
        let addresses = [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
        let [first, second] = addresses;
        let data = folder.path().join("data").display().to_string();
        let key = format!("gw_00000000-0000-4000-8000-000000000001_{}", "a".repeat(32));
        let settings = match program {
            Program::Gateway => vec![
                ("CONTROL_PLANE_URL", "ws://127.0.0.1:9".to_owned()),
                ("GATEWAY_API_KEY", key),
                ("JWT_SECRET", EDGE_SECRET.to_owned()),
                ("HOST", first.ip().to_string()),
                ("PORT", first.port().to_string()),
                ("ADMIN_ADDR", second.to_string()),
                ("DATA_DIR", data),
            ],
            Program::Control => vec![
                ("PLATFORM_JWT_SECRET", PLATFORM_SECRET.to_owned()),
                ("LISTEN_ADDR", first.to_string()),
                ("OPS_ADDR", second.to_string()),
                ("DATA_DIR", data),
            ],
        };
        let environment = settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { folder, addresses, environment, program }
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    fn unset(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// It ends with 64, says each of `keys`, shows no marked value, and has neither listened nor written.
    fn refused_for(&self, keys: &[&str]) -> Exit {
        let exit = match self.program {
            Program::Gateway => Process::run("novagate-gateway", &[], &self.environment),
            Program::Control => Process::run("novagate-control", &["serve"], &self.environment),
        };
        assert_eq!(exit.code, Some(64), "{keys:?}: {exit:?}");
        for key in keys {
            assert!(exit.stderr.lines().any(|line| line.contains(key)), "{key} is not named: {}", exit.stderr);
        }
        assert_no_canary("standard error", &exit.stderr);
        assert_no_canary("standard output", &exit.stdout);
        for address in self.addresses {
            drop(TcpListener::bind(address).expect("nothing listens"));
        }
        assert!(self.folder.files().is_empty(), "nothing is written: {:?}", self.folder.files());
        exit
    }
}

fn keys_of(program: Program) -> impl Iterator<Item = &'static KeyDoc> {
    KEYS.iter().filter(move |key| key.program == program)
}

/// A value that the key's rule refuses, and that must not be shown.
fn malformed(key: &KeyDoc) -> Option<String> {
    match (key.rule, key.name) {
        // Any text is a path or a password.
        (Rule::Form("a path" | "a password" | "paths separated by commas"), _) => None,
        (Rule::Form(_), "JWT_ISSUER" | "JWT_AUDIENCE" | "ZONE") => Some(canary("x").repeat(40)),
        (Rule::Number { .. } | Rule::NotBuilt | Rule::Form(_), _) => Some(canary("value")),
    }
}

#[test]
fn promise_i2_every_missing_required_setting_ends_the_start() {
    Attempt::new(Program::Control).unset("PLATFORM_JWT_SECRET").refused_for(&["PLATFORM_JWT_SECRET"]);
    for key in ["CONTROL_PLANE_URL", "GATEWAY_API_KEY", "JWT_SECRET"] {
        Attempt::new(Program::Gateway).unset(key).refused_for(&[key]);
    }
    let required = ["CONTROL_PLANE_URL", "GATEWAY_API_KEY", "JWT_SECRET"];
    let nothing = required.into_iter().fold(Attempt::new(Program::Gateway), Attempt::unset);
    nothing.refused_for(&required);
}

#[test]
fn promise_i2_every_malformed_setting_ends_the_start_and_its_value_is_not_shown() {
    let mut tried = 0;
    for program in [Program::Gateway, Program::Control] {
        for key in keys_of(program) {
            if let Some(value) = malformed(key) {
                Attempt::new(program).set(key.name, &value).refused_for(&[key.name]);
                tried += 1;
            }
            // Set and empty is never what somebody wants.
            Attempt::new(program).set(key.name, "").refused_for(&[key.name]);
        }
    }
    assert!(tried >= 35, "only {tried}");
    for (name, program) in [("NOVAGATE_PROT", Program::Gateway), ("NOVAGATE_LISTEN_ADR", Program::Control)] {
        Attempt::new(program).set(name, &canary("value")).refused_for(&[name]);
    }
    let both =
        Attempt::new(Program::Control).set("NOVAGATE_PLATFORM_JWT_SECRET", &canary("a-second-secret-of-32-characters"));
    both.refused_for(&["PLATFORM_JWT_SECRET"]);
}

#[test]
fn promise_i2_numbers_out_of_range_end_the_start() {
    for key in KEYS {
        let Rule::Number { min, max } = key.rule else { continue };
        let beyond = [min.checked_sub(1), max.checked_add(1)];
        for value in beyond.into_iter().flatten() {
            Attempt::new(key.program).set(key.name, &value.to_string()).refused_for(&[key.name]);
        }
    }
}

#[test]
fn promise_i2_all_problems_are_said_at_once() {
    for program in [Program::Gateway, Program::Control] {
        let broken: Vec<(&str, String)> =
            keys_of(program).filter_map(|key| Some((key.name, malformed(key)?))).collect();
        let attempt = broken.iter().fold(Attempt::new(program), |attempt, (name, value)| attempt.set(name, value));
        let names: Vec<&str> = broken.iter().map(|(name, _)| *name).collect();
        attempt.refused_for(&names);
    }
}

#[test]
fn promise_c4_short_and_equal_signing_secrets_end_the_start_unshown() {
    let short = format!("{}{}", canary("s"), "x".repeat(31))[..31].to_owned();
    Attempt::new(Program::Gateway).set("JWT_SECRET", &short).refused_for(&["JWT_SECRET"]);
    Attempt::new(Program::Control).set("PLATFORM_JWT_SECRET", &short).refused_for(&["PLATFORM_JWT_SECRET"]);
    let same = format!("{}{}", canary("s"), "x".repeat(32));
    for (program, own, other) in [
        (Program::Control, "PLATFORM_JWT_SECRET", "JWT_SECRET"),
        (Program::Gateway, "JWT_SECRET", "PLATFORM_JWT_SECRET"),
    ] {
        Attempt::new(program).set(own, &same).set(other, &same).refused_for(&["JWT_SECRET"]);
    }
    // As a file: the same rule.
    let folder = Folder::new("secret");
    let file = folder.path().join("secret");
    std::fs::write(&file, &short).unwrap();
    let from_file =
        Attempt::new(Program::Gateway).unset("JWT_SECRET").set("JWT_SECRET_FILE", &file.display().to_string());
    from_file.refused_for(&["JWT_SECRET"]);
}

#[test]
fn a_taken_port_is_said_with_its_setting_and_is_no_usage_error() {
    for (program, keys) in [(Program::Gateway, ["PORT", "ADMIN_ADDR"]), (Program::Control, ["LISTEN_ADDR", "OPS_ADDR"])]
    {
        for (at, key) in keys.into_iter().enumerate() {
            let attempt = Attempt::new(program);
            let _taken = TcpListener::bind(attempt.addresses[at]).unwrap();
            let (name, arguments) = match program {
                Program::Gateway => ("novagate-gateway", &[][..]),
                Program::Control => ("novagate-control", &["serve"][..]),
            };
            let exit = Process::run(name, arguments, &attempt.environment);
            assert_eq!(exit.code, Some(69), "{exit:?}");
            assert!(exit.stderr.contains(key), "{key}: {}", exit.stderr);
        }
    }
}

#[test]
fn a_data_directory_that_cannot_be_written_is_said_with_its_setting_and_is_no_usage_error() {
    // Below a file: not even root can write there.
    let folder = Folder::new("file");
    let file = folder.path().join("file");
    std::fs::write(&file, "kept").unwrap();
    let below = file.join("data").display().to_string();
    for (program, name, arguments) in
        [(Program::Gateway, "novagate-gateway", &[][..]), (Program::Control, "novagate-control", &["serve"][..])]
    {
        let attempt = Attempt::new(program).set("DATA_DIR", &below);
        let exit = Process::run(name, arguments, &attempt.environment);
        assert_eq!(exit.code, Some(69), "{exit:?}");
        assert!(exit.stderr.contains("DATA_DIR") && exit.stderr.contains(&below), "{name}: {}", exit.stderr);
        assert_eq!(exit.stderr.lines().filter(|line| line.starts_with(name)).count(), 1, "{}", exit.stderr);
        assert!(!exit.stderr.contains("panicked"), "{}", exit.stderr);
        for address in attempt.addresses {
            drop(TcpListener::bind(address).expect("nothing listens"));
        }
    }
    let migrate = Attempt::new(Program::Control).set("DATA_DIR", &below);
    let exit = Process::run("novagate-control", &["migrate"], &migrate.environment);
    assert_eq!(exit.code, Some(69), "{exit:?}");
    let exit = Dev::new().start_in_vain_on(&file.join("data"));
    assert_eq!(exit.code, Some(69), "{exit:?}");
    assert!(exit.stderr.contains("--data-dir") && exit.stderr.contains(&below), "{}", exit.stderr);
    assert!(exit.stdout.is_empty(), "{}", exit.stdout);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
}

#[test]
fn help_and_version_explain_each_program_and_bad_usage_is_64() {
    for (name, example) in
        [("novagate", "novagate"), ("novagate-control", "serve"), ("novagate-gateway", "CONTROL_PLANE_URL")]
    {
        let help = Process::run(name, &["--help"], &BTreeMap::new());
        assert_eq!(help.code, Some(0));
        assert!(help.stdout.contains("Usage") && help.stdout.contains(example), "{}", help.stdout);
        assert_eq!(Process::run(name, &["--version"], &BTreeMap::new()).code, Some(0));
        assert_eq!(Process::run(name, &["--no-such-flag"], &BTreeMap::new()).code, Some(64), "{name}");
    }
}
