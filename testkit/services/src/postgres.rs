//! A PostgreSQL server.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::database::{Access, Database, Template, port_of};
use crate::keeper::{End, Keeper, folder};
use crate::offline::{are_offline, skip};
use crate::programs::{self, Account};
use crate::{free_port, secret, wait_for};

/// Names a server to use instead of one's own: a superuser's address, `postgres://user:password@host:port/postgres`.
pub const POSTGRES_URL: &str = "TEST_DATABASE_URL";

/// How long a server may take to start on a busy machine.
const START: Duration = Duration::from_mins(1);
/// Another process may take a port between its choice and its use.
const ATTEMPTS: usize = 3;

/// What tests need of a server: speed, and many connections. A commit is written when it is answered, so that the end of the
/// server loses none; what only the end of the machine can lose is not waited for.
const TUNING: [&str; 10] = [
    "fsync=off",
    "full_page_writes=off",
    "autovacuum=off",
    "jit=off",
    "max_connections=300",
    "max_locks_per_transaction=256",
    "max_wal_senders=0",
    "shared_buffers=64MB",
    "wal_level=minimal",
    "unix_socket_directories=",
];

/// A server with a superuser's rights to it.
#[derive(Debug)]
pub struct Postgres {
    keeper: Option<Keeper>,
    access: Arc<Access>,
}

impl Postgres {
    /// The server that all tests of this process share: the one that [`POSTGRES_URL`] names, else one of the process's own.
    /// `None` where tests with servers are left out; the present test has been counted as such.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        if are_offline() {
            skip("PostgreSQL");
            return None;
        }
        Some(SHARED.get_or_init(|| match std::env::var(POSTGRES_URL) {
            Ok(url) => Self { keeper: None, access: Access::new(url) },
            Err(_) => Self::start(),
        }))
    }

    /// A server of the caller's own, to be stopped and started at will. `None` where tests with servers are left out.
    pub fn own() -> Option<Self> {
        if are_offline() {
            skip("PostgreSQL");
            return None;
        }
        Some(Self::start())
    }

    /// Starts a server, whether or not tests with servers are wanted.
    pub fn start() -> Self {
        let Some(programs) = programs::postgres_folder() else {
            panic!("{}", programs::missing("PostgreSQL", programs::POSTGRES_PACKAGE, POSTGRES_URL))
        };
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            match Self::try_start(&programs) {
                Ok(server) => return server,
                Err(log) => last = log,
            }
        }
        panic!("PostgreSQL does not start:\n{last}")
    }

    fn try_start(programs: &Path) -> Result<Self, String> {
        let (account, password, port) = (Account::unprivileged(), secret::password(), free_port());
        let folder = folder("postgres", account);
        initialise(programs, &folder, account, &password);
        let mut arguments = vec!["-D".to_owned(), folder.join("data").display().to_string()];
        arguments.extend(["-h", "127.0.0.1", "-p"].map(ToOwned::to_owned));
        arguments.push(port.to_string());
        arguments.extend(TUNING.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]));
        let keeper = Keeper::start(folder, account, End::Quit, &programs.join("postgres"), &arguments);
        let access = Access::new(format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres"));
        let server = Self { keeper: Some(keeper), access };
        if server.becomes_ready() { Ok(server) } else { Err(server.log()) }
    }

    /// The superuser's address of database `postgres`.
    pub fn url(&self) -> &str {
        self.access.url()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        port_of(self.url())
    }

    /// A database with nothing in it.
    pub fn database(&self) -> Database {
        Database::create(&self.access, None)
    }

    /// A database that tests get copies of, after `fill` has filled it; `fill` leaves no connection to it.
    pub fn template(&self, fill: impl FnOnce(&Database)) -> Template {
        Template::create(&self.access, fill)
    }

    /// Runs statements as superuser in database `postgres`, each on its own. Answers their rows, columns parted by `|`.
    pub fn sql(&self, statements: &[&str]) -> String {
        self.access.sql(self.url(), statements)
    }

    /// Ends the server as an operator does, connections included, and waits for its end. Only for a server of one's own.
    pub fn stop(&self) {
        self.keeper().end("INT");
    }

    /// Ends the server without a farewell, as a crash does.
    pub fn crash(&self) {
        self.keeper().end("QUIT");
    }

    /// Starts it again on the same data and port, and waits until it answers.
    pub fn restart(&self) {
        self.keeper().start_again();
        assert!(self.becomes_ready(), "PostgreSQL does not start again:\n{}", self.log());
    }

    fn keeper(&self) -> &Keeper {
        self.keeper.as_ref().unwrap_or_else(|| panic!("a server that {POSTGRES_URL} names is not ours to stop"))
    }

    fn log(&self) -> String {
        self.keeper.as_ref().map(Keeper::log).unwrap_or_default()
    }

    fn becomes_ready(&self) -> bool {
        let deadline = Instant::now() + START;
        wait_for("PostgreSQL has started or not", START + Duration::from_secs(5), || {
            let answers = self.access.try_sql(self.url(), &["SELECT 1"]).is_ok();
            let ended = self.log().contains("database system is shut down") || self.log().contains("FATAL:  could not");
            (answers || ended || Instant::now() > deadline).then_some(answers)
        })
    }
}

fn initialise(programs: &Path, folder: &Path, account: Account, password: &str) {
    let secret = folder.join("password");
    std::fs::write(&secret, password).expect("the folder can be written");
    account.own(&secret);
    let mut command = Command::new(programs.join("initdb"));
    command.arg("-D").arg(folder.join("data")).arg("--pwfile").arg(&secret);
    command.args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"]);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir(folder);
    account.apply(&mut command);
    let outcome = command.output().unwrap_or_else(|error| panic!("initdb does not start: {error}"));
    assert!(outcome.status.success(), "initdb fails:\n{}", String::from_utf8_lossy(&outcome.stderr));
}
