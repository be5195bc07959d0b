//! A PostgreSQL server of a benchmark's own, with a database that is prepared and migrated.
//!
//! Always: the server is gone with the value; it does not wait for the disk, so that programs are measured. Not here: what
//! is measured.

use std::sync::Arc;

use anyhow::Result;
use novagate_documents::stored::JsonObjectCodec;
use novagate_services::{Database, Postgres};
use novagate_store_sql::{PostgresOwner, PostgresSettings, SqlStore};

const PREPARE: &str = "CREATE ROLE novagate_owner LOGIN CREATEROLE PASSWORD 'bench'; \
                       CREATE ROLE novagate_app LOGIN NOINHERIT PASSWORD 'bench'";

/// A migrated database.
pub(crate) struct Prepared {
    // Before its server, so that it is dropped while there is one.
    database: Database,
    _server: Postgres,
}

impl Prepared {
    pub(crate) async fn new() -> Result<Self> {
        let server = Postgres::start();
        server.sql(&[PREPARE]);
        let database = server.database();
        let name = database.name();
        database.sql(&[
            &format!("ALTER DATABASE {name} OWNER TO novagate_owner"),
            &format!("GRANT CONNECT ON DATABASE {name} TO novagate_app"),
        ]);
        let prepared = Self { database, _server: server };
        prepared.owner().await?.migrate().await?;
        Ok(prepared)
    }

    pub(crate) async fn owner(&self) -> Result<PostgresOwner> {
        let owner = self.database.url_as("novagate_owner", "bench");
        Ok(PostgresOwner::connect(&owner, &self.serving_url()).await?)
    }

    pub(crate) async fn store(&self) -> Result<SqlStore> {
        let settings = PostgresSettings::new(self.serving_url());
        Ok(SqlStore::open_postgres(settings, Arc::new(JsonObjectCodec)).await?)
    }

    /// The address that a control plane serves from.
    pub(crate) fn serving_url(&self) -> String {
        self.database.url_as("novagate_app", "bench")
    }

    /// The superuser's address.
    pub(crate) fn url(&self) -> &str {
        self.database.url()
    }

    /// Runs a statement as superuser.
    pub(crate) fn sql(&self, statement: &str) -> String {
        self.database.sql(&[statement])
    }

    /// Tenants as a restored backup has them before it is migrated: a row and an empty schema each.
    pub(crate) fn add_unmigrated(&self, count: u32) {
        self.sql(&format!(
            "INSERT INTO tenants (id, name, email_key, state, plan_id, token_generation, schema_version, created_at, updated_at)
             SELECT gen_random_uuid(), 'bench', 'bench-' || n || '@example.com', 'active', (SELECT id FROM plans LIMIT 1), 0, 0, 0, 0
             FROM generate_series(1, {count}) n"
        ));
        self.sql(
            "DO $$ DECLARE t uuid; BEGIN
                 FOR t IN SELECT id FROM tenants WHERE schema_version = 0 LOOP
                     EXECUTE format('CREATE SCHEMA %I AUTHORIZATION novagate_owner', 'tenant_' || replace(t::text, '-', '_'));
                 END LOOP;
             END $$",
        );
    }
}
