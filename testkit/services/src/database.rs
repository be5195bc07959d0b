//! Databases of one test each, and templates that they are copies of.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{programs, secret};

/// A superuser's way to a server.
#[derive(Debug)]
pub(crate) struct Access {
    url: String,
    psql: std::path::PathBuf,
}

impl Access {
    pub(crate) fn new(url: String) -> Arc<Self> {
        Arc::new(Self { url, psql: programs::postgres_program("psql") })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn try_sql(&self, url: &str, statements: &[&str]) -> Result<String, String> {
        let mut command = Command::new(&self.psql);
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url]);
        command.args(statements.iter().flat_map(|statement| ["-c", statement]));
        let outcome = command.env("PGCONNECT_TIMEOUT", "10").stdin(Stdio::null()).output();
        let outcome = outcome.unwrap_or_else(|error| panic!("psql does not start: {error}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if outcome.status.success() { Ok(text(&outcome.stdout)) } else { Err(text(&outcome.stderr)) }
    }

    pub(crate) fn sql(&self, url: &str, statements: &[&str]) -> String {
        self.try_sql(url, statements).unwrap_or_else(|error| panic!("{statements:?} fails: {error}"))
    }

    fn url_of(&self, database: &str) -> String {
        with_database(&self.url, database)
    }
}

/// A database of one test's own; it goes with its value, and so do the roles that are named like one of its schemas.
#[derive(Debug)]
pub struct Database {
    access: Arc<Access>,
    name: String,
    url: String,
}

impl Database {
    pub(crate) fn create(access: &Arc<Access>, template: Option<&str>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}_{}", std::process::id(), &secret::password()[..8]);
        let template = template.unwrap_or("template1");
        access.sql(access.url(), &[&format!("CREATE DATABASE {name} TEMPLATE {template}")]);
        Self { access: Arc::clone(access), url: access.url_of(&name), name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The superuser's address of it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port of its server.
    pub fn port(&self) -> u16 {
        port_of(&self.url)
    }

    /// The address of it for another login.
    pub fn url_as(&self, user: &str, password: &str) -> String {
        let (scheme, rest) = self.url.split_once("://").expect("it is a URL");
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        format!("{scheme}://{user}:{password}@{host}")
    }

    /// The address of it through another port of this machine, where a proxy listens.
    pub fn url_through(&self, port: u16) -> String {
        let (before, after) = self.url.rsplit_once('@').expect("the address names a login");
        let path = after.find('/').map_or("", |at| &after[at..]);
        format!("{before}@127.0.0.1:{port}{path}")
    }

    /// Runs statements in it as superuser, each on its own. Answers their rows, columns parted by `|`.
    pub fn sql(&self, statements: &[&str]) -> String {
        self.access.sql(&self.url, statements)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        const ROLES: &str = "SELECT rolname FROM pg_roles JOIN pg_namespace ON nspname = rolname \
                             WHERE rolname NOT LIKE 'pg\\_%' AND rolname <> current_user";
        // The server may have been stopped, or may have ended with the test run.
        let roles = self.access.try_sql(&self.url, &[ROLES]).unwrap_or_default();
        let roles: Vec<String> = roles.lines().map(|role| format!("DROP ROLE IF EXISTS \"{role}\"")).collect();
        let database = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let statements: Vec<&str> = std::iter::once(&database).chain(&roles).map(String::as_str).collect();
        drop(self.access.try_sql(self.access.url(), &statements));
    }
}

/// A filled database that others are copies of.
#[derive(Debug)]
pub struct Template(Database);

impl Template {
    pub(crate) fn create(access: &Arc<Access>, fill: impl FnOnce(&Database)) -> Self {
        let database = Database::create(access, None);
        fill(&database);
        Self(database)
    }

    /// A database of one test's own that begins like the template.
    pub fn copy(&self) -> Database {
        Database::create(&self.0.access, Some(&self.0.name))
    }
}

/// The port that an address names.
pub(crate) fn port_of(url: &str) -> u16 {
    let host = url.rsplit_once('@').and_then(|(_, host)| host.split(['/', '?']).next());
    host.and_then(|host| host.rsplit_once(':')).and_then(|(_, port)| port.parse().ok()).unwrap_or(5432)
}

/// The same address with another database.
fn with_database(url: &str, database: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, None), |(address, query)| (address, Some(query)));
    let host = address.find("://").map_or(0, |at| at + 3);
    let end = address[host..].find('/').map_or(address.len(), |at| host + at);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{database}{query}", &address[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_everything_but_its_database() {
        assert_eq!(
            with_database("postgres://u:p@h:1/postgres?sslmode=disable", "x"),
            "postgres://u:p@h:1/x?sslmode=disable"
        );
        assert_eq!(with_database("postgres://u@h", "x"), "postgres://u@h/x");
    }
}
