//! Where a control plane keeps its data: files of its own, or PostgreSQL and Redis.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use novagate_services::{Database, Postgres, Redis, Template};

use crate::{Process, find_bytes};

/// Names the stack of tests that do not choose one.
const STACK: &str = "NOVAGATE_E2E_STACK";

/// The logins of every database: who owns its tables, and who serves.
const OWNER: &str = "novagate_e2e_owner";
const LOGIN: &str = "novagate_e2e_login";
/// These servers live for one run, on loopback.
const PASSWORD: &str = "e2e";

/// What a control plane keeps its data in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stack {
    /// Files in its data directory, on one control node.
    Sqlite,
    /// PostgreSQL and Redis.
    Postgres,
}

impl Stack {
    /// The one that the environment names; files when it names none.
    pub fn of_environment() -> Self {
        match std::env::var(STACK).as_deref() {
            Err(_) | Ok("sqlite") => Self::Sqlite,
            Ok("postgres") => Self::Postgres,
            Ok(_) => panic!("{STACK} is `sqlite` or `postgres`"),
        }
    }
}

/// A database of one test's own and, if wanted, a Redis server, for any number of control nodes.
pub struct Servers {
    database: Database,
    redis: Option<Redis>,
}

impl Servers {
    /// On the PostgreSQL server of the run, with a Redis server of its own. `None` where tests with servers are left out.
    pub fn start() -> Option<Arc<Self>> {
        let postgres = Postgres::shared()?;
        Some(Self::on(postgres, Some(Redis::start())))
    }

    /// The same without Redis.
    pub fn without_redis() -> Option<Arc<Self>> {
        Some(Self::on(Postgres::shared()?, None))
    }

    /// On a PostgreSQL server of the test's own, which it may stop.
    pub fn on_own(postgres: &Postgres) -> Arc<Self> {
        Arc::new(Self { database: filled(postgres), redis: None })
    }

    fn on(postgres: &'static Postgres, redis: Option<Redis>) -> Arc<Self> {
        static TEMPLATE: OnceLock<Template> = OnceLock::new();
        let template = TEMPLATE.get_or_init(|| postgres.template(|database| fill(postgres, database)));
        let database = template.copy();
        open(&database);
        Arc::new(Self { database, redis })
    }

    /// The settings of a control node.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("DATABASE_URL", self.database.url_as(LOGIN, PASSWORD)),
            ("MIGRATE_DATABASE_URL", self.database.url_as(OWNER, PASSWORD)),
        ];
        settings.extend(self.redis.as_ref().map(|redis| ("REDIS_URL", redis.url())));
        settings
    }

    /// The address for whoever serves, through another port.
    pub fn database_through(&self, port: u16) -> String {
        let url = self.database.url_as(LOGIN, PASSWORD);
        let (before, after) = url.rsplit_once('@').expect("it names a login");
        let path = after.find('/').map_or("", |at| &after[at..]);
        format!("{before}@127.0.0.1:{port}{path}")
    }

    /// The database.
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// The Redis server.
    pub fn redis(&self) -> &Redis {
        self.redis.as_ref().expect("the test has wanted Redis")
    }

    /// Everything in the database as text, binary columns decoded.
    pub(crate) fn dump(&self) -> Vec<u8> {
        let program = novagate_services::postgres_program("pg_dump");
        let dump = Command::new(program).args(["--inserts", "-d", self.database.url()]).stdin(Stdio::null()).output();
        let dump = dump.unwrap_or_else(|error| panic!("pg_dump does not start: {error}"));
        assert!(dump.status.success(), "pg_dump fails: {}", String::from_utf8_lossy(&dump.stderr));
        let mut bytes = dump.stdout;
        let decoded = decode_hex_columns(&bytes);
        bytes.extend(decoded);
        bytes
    }

    /// Names of schemas, tables and roles.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = self.database.sql(&[
            "SELECT nspname FROM pg_namespace UNION SELECT relname FROM pg_class UNION SELECT rolname FROM pg_roles",
        ]);
        names.lines().map(ToOwned::to_owned).collect()
    }
}

/// A database that the control plane can serve from.
fn filled(postgres: &Postgres) -> Database {
    let database = postgres.database();
    fill(postgres, &database);
    open(&database);
    database
}

/// What an operator does once: two logins, and the tables.
fn fill(postgres: &Postgres, database: &Database) {
    static LOGINS: Mutex<()> = Mutex::new(());
    let turn = LOGINS.lock().unwrap_or_else(PoisonError::into_inner);
    let login = |name: &str, rights: &str| {
        format!(
            "DO $$ BEGIN CREATE ROLE {name} LOGIN {rights} NOINHERIT PASSWORD '{PASSWORD}'; \
             EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        )
    };
    postgres.sql(&[&login(OWNER, "CREATEROLE"), &login(LOGIN, "")]);
    drop(turn);
    open(database);
    let environment = BTreeMap::from([
        ("DATABASE_URL".to_owned(), database.url_as(LOGIN, PASSWORD)),
        ("MIGRATE_DATABASE_URL".to_owned(), database.url_as(OWNER, PASSWORD)),
        ("DATA_DIR".to_owned(), std::env::temp_dir().display().to_string()),
        ("PLATFORM_JWT_SECRET".to_owned(), crate::PLATFORM_SECRET.to_owned()),
    ]);
    let migrated = Process::run("novagate-control", &["migrate"], &environment);
    assert_eq!(migrated.code, Some(0), "novagate-control migrate: {}", migrated.stderr);
}

/// Who may enter is not part of what a database passes on to its copies.
fn open(database: &Database) {
    let name = database.name();
    database.sql(&[
        &format!("ALTER DATABASE {name} OWNER TO {OWNER}"),
        &format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC"),
        &format!("GRANT CONNECT ON DATABASE {name} TO {LOGIN}"),
        "ALTER SCHEMA public OWNER TO novagate_e2e_owner",
    ]);
}

/// The bytes of every `'\x...'` of a dump.
fn decode_hex_columns(dump: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = dump;
    while let Some(at) = find_bytes(rest, b"'\\x") {
        rest = &rest[at + 3..];
        let end = rest.iter().position(|byte| *byte == b'\'').unwrap_or(rest.len());
        let digits = rest[..end].chunks_exact(2).filter_map(|pair| std::str::from_utf8(pair).ok());
        decoded.extend(digits.filter_map(|pair| u8::from_str_radix(pair, 16).ok()));
        decoded.push(b'\n');
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_columns_of_a_dump_are_decoded() {
        let dump = b"INSERT INTO t VALUES ('a', '\\x43414e', 7, '\\x4152');";
        assert_eq!(decode_hex_columns(dump), b"CAN\nAR\n");
    }
}
