//! Databases as `docs/operations.md` has an operator prepare them: an owner's login, a serving login, and what only a
//! superuser may close is closed.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "each test binary uses a part; a test stops at the first surprise"
)]

use std::future::Future;
use std::sync::{Arc, OnceLock};

use novagate_documents::stored::JsonObjectCodec;
use novagate_ports_base::PortError;
use novagate_services::{Database, Postgres, Template};
use novagate_store_sql::{PostgresOwner, PostgresSettings, SqlStore};

pub(crate) const OWNER: &str = "novagate_owner";
pub(crate) const SERVING: &str = "novagate_app";

/// Both logins' password on servers that are thrown away.
const PASSWORD: &str = "testing";

const OPERATIONS: &str = include_str!("../../../../docs/operations.md");

/// The statements of one of the two parts of the documented preparation.
fn documented(part: usize) -> Vec<String> {
    let section = OPERATIONS.split("## PostgreSQL").nth(1).unwrap();
    let block = section.split("```sql\n").nth(part + 1).unwrap().split("```").next().unwrap();
    block.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()).map(ToOwned::to_owned).collect()
}

/// Logins belong to the server: made once, whichever test comes first.
fn logins() -> String {
    let made = documented(0).into_iter().filter(|statement| statement.starts_with("CREATE ROLE"));
    let made: Vec<String> = made
        .map(|statement| {
            let (role, _) = statement.split_once(" PASSWORD ").unwrap();
            format!("{role} PASSWORD '{PASSWORD}';")
        })
        .collect();
    assert_eq!(made.len(), 2, "an owner's and a serving one");
    let made = made.join("\n");
    format!(
        "DO $$ BEGIN
            PERFORM pg_advisory_xact_lock(1);
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{OWNER}') THEN {made} END IF;
        END $$"
    )
}

/// A database of one test's own.
pub(crate) struct Prepared {
    database: Database,
}

impl Prepared {
    /// Prepared by an operator, not migrated yet. `None` where tests with servers are left out.
    pub(crate) fn bare() -> Option<Self> {
        let server = Postgres::shared()?;
        server.sql(&[&logins()]);
        let prepared = Self { database: server.database() };
        prepare(&prepared.database);
        Some(prepared)
    }

    /// Migrated. `None` where tests with servers are left out.
    pub(crate) fn migrated() -> Option<Self> {
        static TEMPLATE: OnceLock<Template> = OnceLock::new();
        let server = Postgres::shared()?;
        let template = TEMPLATE.get_or_init(|| {
            server.sql(&[&logins()]);
            server.template(|database| {
                prepare(database);
                let (owner, serving) = (database.url_as(OWNER, PASSWORD), database.url_as(SERVING, PASSWORD));
                apart(async move {
                    let owner = PostgresOwner::connect(&owner, &serving).await.unwrap();
                    owner.migrate().await.unwrap();
                    owner.close().await;
                });
            })
        });
        let prepared = Self { database: template.copy() };
        // A copy does not inherit who may do what with the database itself.
        prepare(&prepared.database);
        Some(prepared)
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn owner_url(&self) -> String {
        self.database.url_as(OWNER, PASSWORD)
    }

    pub(crate) fn serving_url(&self) -> String {
        self.database.url_as(SERVING, PASSWORD)
    }

    pub(crate) fn settings(&self) -> PostgresSettings {
        PostgresSettings { max_connections: 6, ..PostgresSettings::new(self.serving_url()) }
    }

    pub(crate) async fn try_open(&self) -> Result<SqlStore, PortError> {
        SqlStore::open_postgres(self.settings(), Arc::new(JsonObjectCodec)).await
    }

    pub(crate) async fn open(&self) -> SqlStore {
        self.try_open().await.unwrap()
    }

    pub(crate) async fn owner(&self) -> PostgresOwner {
        PostgresOwner::connect(&self.owner_url(), &self.serving_url()).await.unwrap()
    }

    /// Roles belong to the server: tests beside each other need tenants of different ids.
    pub(crate) fn seed(&self) -> u64 {
        self.database
            .name()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    /// One value, as the superuser sees it.
    pub(crate) fn ask(&self, sql: &str) -> String {
        self.database.sql(&[sql])
    }
}

/// What the documentation has an operator do in a new database.
fn prepare(database: &Database) {
    let name = database.name();
    let mut statements = vec![format!("ALTER DATABASE {name} OWNER TO {OWNER}")];
    statements.extend(
        documented(1)
            .iter()
            .map(|statement| statement.replace("ON DATABASE novagate ", &format!("ON DATABASE {name} "))),
    );
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    database.sql(&statements);
}

/// Runs on a runtime of its own, on a thread of its own: for what outlives the runtime of one test.
fn apart(work: impl Future<Output = ()> + Send + 'static) {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    std::thread::spawn(run).join().unwrap();
}
