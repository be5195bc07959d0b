//! Where a control plane keeps its tenants: all that bringing the storage to this version needs.
//!
//! Not here: what serving needs beside it (`control`).

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::{LogLevel, Problems, Program, Secret, Source, parse, reader::Reader};

const MIGRATE_URL: &str = "MIGRATE_DATABASE_URL";
const SESSION_URL: &str = "DATABASE_SESSION_URL";
const POSTGRES_FORM: &str = "postgres://USER:PASSWORD@HOST:PORT/DATABASE";

/// The settings of `novagate-control migrate`, without the secrets that serving needs.
#[derive(Debug)]
pub struct StorageSettings {
    /// Where tenants are kept.
    pub database: Database,
    /// What is logged.
    pub log_level: LogLevel,
}

/// Where tenants are kept.
#[derive(Debug)]
pub enum Database {
    /// SQLite files in a directory.
    Sqlite {
        /// The directory.
        dir: PathBuf,
    },
    /// A PostgreSQL database.
    Postgres(PostgresDatabase),
}

/// A PostgreSQL database, by the addresses of three uses of it.
#[derive(Debug)]
pub struct PostgresDatabase {
    /// The login that serves.
    pub url: Secret,
    /// The login that owns the database; none: the one that serves does.
    pub migrate_url: Option<Secret>,
    /// For listening and session locks, past a pooler of transactions; none: `url` has no pooler.
    pub session_url: Option<Secret>,
    /// How many connections are open at most.
    pub connections: u32,
}

impl StorageSettings {
    /// Reads them as the program itself would when it serves.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn read(source: &dyn Source, config_file: Option<&Path>) -> Result<Self, Problems> {
        let mut reader = Reader::new(Program::Control, source, config_file);
        let data_dir = reader.required("DATA_DIR", parse::path);
        let database = Database::take(&mut reader, data_dir.as_deref());
        let log_level = reader.required("LOG_LEVEL", parse::log_level);
        let settings = database.zip(log_level).map(|(database, log_level)| Self { database, log_level });
        reader.finish(settings)
    }
}

impl Database {
    pub(crate) fn take(reader: &mut Reader<'_>, data_dir: Option<&Path>) -> Option<Self> {
        let connections = reader.number("DATABASE_CONNECTIONS");
        let [url, migrate_url, session_url] =
            ["DATABASE_URL", MIGRATE_URL, SESSION_URL].map(|name| reader.secret(name).map(|found| found.text));
        if let Some(url) = url.as_ref().filter(|url| is_postgres(url)) {
            let url = postgres_url(reader, "DATABASE_URL", url.clone());
            let migrate_url = migrate_url.and_then(|url| postgres_url(reader, MIGRATE_URL, url));
            let session_url = session_url.and_then(|url| postgres_url(reader, SESSION_URL, url));
            let (url, connections) = (url?, connections?);
            return Some(Self::Postgres(PostgresDatabase { url, migrate_url, session_url, connections }));
        }
        for (name, given) in [(MIGRATE_URL, migrate_url), (SESSION_URL, session_url)] {
            if given.is_some() {
                reader.problem(name, "is of use only with a DATABASE_URL of PostgreSQL");
            }
        }
        let Some(url) = url else { return data_dir.map(|dir| Self::Sqlite { dir: dir.join("db") }) };
        match url.strip_prefix("sqlite:") {
            Some(dir) if !dir.is_empty() && !dir.starts_with("//") => {
                Some(Self::Sqlite { dir: parse::path(dir).ok()? })
            }
            Some(_) | None => {
                reader.problem("DATABASE_URL", format!("must be sqlite:DIR or {POSTGRES_FORM}"));
                None
            }
        }
    }
}

fn is_postgres(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

/// A URL with a login, a host and a database; everything else is the driver's to judge.
fn postgres_url(reader: &mut Reader<'_>, name: &'static str, text: Zeroizing<String>) -> Option<Secret> {
    let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    let address = rest.map(|rest| rest.split_once('?').map_or(rest, |(address, _)| address));
    let parts = address.and_then(|address| {
        let (login, place) = address.rsplit_once('@')?;
        let (host, database) = place.split_once('/')?;
        let user = login.split_once(':').map_or(login, |(user, _)| user);
        Some(!user.is_empty() && !host.is_empty() && !database.is_empty() && !database.contains('/'))
    });
    if parts == Some(true) && !text.chars().any(|char| char.is_control() || char.is_whitespace()) {
        return Some(Secret::new(text));
    }
    reader.problem(name, format!("must be {POSTGRES_FORM}"));
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Environment;

    #[test]
    fn a_migration_needs_no_secret_of_serving() {
        let urls = ["postgres://app:a@h/d", "postgres://owner:b@h/d"].map(str::to_owned);
        let [url, migrate] = urls;
        let variables = [("DATABASE_URL".to_owned(), url), ("MIGRATE_DATABASE_URL".to_owned(), migrate)];
        let environment = Environment::new(variables, |_path: &Path| Err::<Zeroizing<String>, _>("no files"));
        let settings = StorageSettings::read(&environment, None).unwrap();
        let Database::Postgres(database) = settings.database else { panic!("another database") };
        assert_eq!(database.migrate_url.unwrap().expose(), "postgres://owner:b@h/d");
    }
}
