//! Real servers: they work, they end, nothing of them stays.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use novagate_services::{PATIENCE, Postgres, Redis, wait_until};

/// Tells the copy of this test that is to be killed what to start.
const VICTIM: &str = "NOVAGATE_TEST_VICTIM";

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// The folders of servers that the process with this id has started.
fn folders_of(process: u32) -> Vec<PathBuf> {
    let mark = format!("-{process}-");
    let named = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(&mark));
    let places = [std::env::temp_dir(), PathBuf::from("/dev/shm")];
    let all = places.iter().flat_map(std::fs::read_dir).flatten().flatten().map(|entry| entry.path());
    all.filter(|path| named(path)).collect()
}

#[test]
fn every_test_has_a_database_of_its_own() {
    let Some(server) = Postgres::shared() else { return };
    let (first, second) = (server.database(), server.database());
    first.sql(&["CREATE TABLE only_here (id int)", "INSERT INTO only_here VALUES (7)"]);
    assert_eq!(first.sql(&["SELECT id FROM only_here"]), "7");
    assert_eq!(second.sql(&["SELECT count(*) FROM pg_class WHERE relname = 'only_here'"]), "0");
}

#[test]
fn a_copy_begins_like_its_template() {
    let Some(server) = Postgres::shared() else { return };
    let template = server.template(|database| {
        database.sql(&["CREATE TABLE filled (id int)", "INSERT INTO filled VALUES (7)"]);
    });
    let (first, second) = (template.copy(), template.copy());
    first.sql(&["DELETE FROM filled"]);
    assert_eq!(second.sql(&["SELECT id FROM filled"]), "7");
}

#[test]
fn a_database_goes_with_its_value_and_with_the_roles_of_its_schemas() {
    let Some(server) = Postgres::shared() else { return };
    let database = server.database();
    let role = format!("role_of_{}", database.name());
    let statements = [
        format!("CREATE ROLE {role}"),
        format!("CREATE SCHEMA {role}"),
        format!("CREATE TABLE {role}.t (id int)"),
        format!("GRANT ALL ON {role}.t TO {role}"),
    ];
    database.sql(&statements.each_ref().map(String::as_str));
    let name = database.name().to_owned();
    drop(database);
    let left = format!(
        "SELECT (SELECT count(*) FROM pg_database WHERE datname = '{name}') + \
         (SELECT count(*) FROM pg_roles WHERE rolname = '{role}')"
    );
    assert_eq!(server.sql(&[&left]), "0");
}

#[test]
fn postgres_does_not_run_as_root_and_wants_its_password() {
    let Some(server) = Postgres::own() else { return };
    let url = server.database().url_as("postgres", "wrong");
    let refused = Command::new("psql").args(["-X", "-c", "SELECT 1", "-d", &url]).env_remove("PGPASSWORD").output();
    assert!(!refused.unwrap().status.success());
    let folder = server.sql(&["SHOW data_directory"]);
    let owner = Command::new("stat").args(["-c", "%u %a", &folder]).output().unwrap();
    assert_eq!(
        String::from_utf8(owner.stdout)
            .unwrap()
            .split_once(' ')
            .map(|(user, mode)| (user == "0", mode.trim() == "700")),
        Some((false, true))
    );
}

#[test]
fn postgres_keeps_its_data_and_port_over_a_restart_and_a_crash() {
    let Some(server) = Postgres::own() else { return };
    let database = server.database();
    database.sql(&["CREATE TABLE kept (id int)", "INSERT INTO kept VALUES (1)"]);
    server.stop();
    assert!(!answers(server.port()));
    server.restart();
    database.sql(&["INSERT INTO kept VALUES (2)"]);
    server.crash();
    assert!(!answers(server.port()));
    server.restart();
    assert_eq!(database.sql(&["SELECT count(*) FROM kept"]), "2");
}

#[test]
fn redis_databases_are_apart_and_empty() {
    let Some(server) = Redis::shared() else { return };
    let (first, second) = (server.database(), server.database());
    assert_ne!(first.url(), second.url());
    assert_eq!(server.command(first.number(), "SET a 1"), "OK");
    assert_eq!(server.command(second.number(), "EXISTS a"), "0");
}

#[test]
fn redis_is_stopped_frozen_and_started_at_will() {
    let Some(server) = Redis::own_with(&["--maxmemory", "3mb"]) else { return };
    assert_eq!(server.command(3, "SET a 1"), "OK");
    server.freeze();
    assert!(answers(server.port()), "the system takes its connections");
    server.thaw();
    assert_eq!(server.command(3, "EXISTS a"), "1");
    server.stop();
    assert!(!answers(server.port()));
    server.restart();
    assert_eq!(server.command(3, "EXISTS a"), "0");
}

#[test]
fn nothing_stays_of_a_server_whose_process_is_killed() {
    let (Some(_), Some(_)) = (Postgres::shared(), Redis::own()) else { return };
    if std::env::var_os(VICTIM).is_some() {
        let (postgres, redis) = (Postgres::start(), Redis::start());
        redis.freeze();
        println!("\nports {} {}", postgres.port(), redis.port());
        loop {
            std::thread::park();
        }
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nothing_stays_of_a_server_whose_process_is_killed", "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.into_iter().find(|line| line.starts_with("ports ")).unwrap();
    let ports: Vec<u16> = line.split(' ').skip(1).map(|port| port.parse().unwrap()).collect();
    assert!(ports.iter().all(|port| answers(*port)));
    assert!(!folders_of(victim.id()).is_empty());
    victim.kill().unwrap();
    victim.wait().unwrap();
    wait_until("both servers have ended", PATIENCE, || !ports.iter().any(|port| answers(*port)));
    wait_until("their folders are gone", PATIENCE, || folders_of(victim.id()).is_empty());
}

#[test]
fn nothing_stays_of_a_server_whose_test_panics() {
    let Some(server) = Postgres::own() else { return };
    let port = server.port();
    let folder = server.sql(&["SHOW data_directory"]);
    let panicked = std::thread::spawn(move || {
        assert!(server.port() == 0, "as a failing test does");
    });
    assert!(panicked.join().is_err());
    assert!(!answers(port) && !Path::new(&folder).exists());
}
