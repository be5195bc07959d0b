//! Where the programs of the servers are, and as whom they run.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Debian package that brings PostgreSQL.
pub const POSTGRES_PACKAGE: &str = "postgresql";
/// The Debian package that brings Redis.
pub const REDIS_PACKAGE: &str = "redis-server";

/// The Debian package that brings nginx.
pub const NGINX_PACKAGE: &str = "nginx-light";

/// Where Debian keeps the versions of PostgreSQL.
const DEBIAN_POSTGRES: &str = "/usr/lib/postgresql";

/// Whether a PostgreSQL server can be started here.
pub fn postgres_is_installed() -> bool {
    postgres_folder().is_some()
}

/// Whether a Redis server can be started here.
pub fn redis_is_installed() -> bool {
    on_path("redis-server").is_some()
}

/// nginx, which some tests compare the gateway with; such a test is left out where it is missing.
pub fn nginx() -> Option<PathBuf> {
    // Debian puts it where only root's PATH leads.
    let debian = || Some(PathBuf::from("/usr/sbin/nginx")).filter(|path| path.is_file());
    on_path("nginx").or_else(debian)
}

/// The folder with `initdb` and `postgres`: the newest version of Debian's, else what the PATH leads to.
pub(crate) fn postgres_folder() -> Option<PathBuf> {
    let versions = fs::read_dir(DEBIAN_POSTGRES).into_iter().flatten().flatten();
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let folders = versions.map(|entry| entry.path()).filter_map(|path| Some((number(&path)?, path.join("bin"))));
    let newest = folders.filter(|(_, folder)| folder.join("initdb").is_file()).max_by_key(|&(number, _)| number);
    let by_path = || on_path("initdb").and_then(|program| program.parent().map(Path::to_owned));
    newest.map(|(_, folder)| folder).or_else(by_path)
}

pub(crate) fn redis_server() -> PathBuf {
    on_path("redis-server").unwrap_or_else(|| panic!("{}", missing("Redis", REDIS_PACKAGE, super::REDIS_URL)))
}

/// A client program of PostgreSQL: `psql`, `pg_dump`.
pub fn postgres_program(name: &str) -> PathBuf {
    let beside = postgres_folder().map(|folder| folder.join(name)).filter(|path| path.is_file());
    beside.or_else(|| on_path(name)).unwrap_or_else(|| {
        panic!("{name} is missing: run `apt-get install -y --no-install-recommends postgresql-client` as root")
    })
}

/// What to say where a server's program is not there.
pub(crate) fn missing(server: &str, package: &str, variable: &str) -> String {
    format!(
        "{server} is not installed: run `apt-get install -y --no-install-recommends {package}` as root, or name a server \
         in {variable}, or leave these tests out with `cargo xtask test --offline-services`"
    )
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// As whom servers run: nobody else than the caller, unless that is root.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    ids: Option<(u32, u32)>,
}

impl Account {
    pub(crate) fn unprivileged() -> Self {
        let me = fs::metadata("/proc/self").map_or(u32::MAX, |own| own.uid());
        if me != 0 {
            return Self { ids: None };
        }
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let ids = ["postgres", "nobody"].iter().find_map(|name| ids_of(&users, name));
        assert!(ids.is_some(), "servers do not run as root, and there is neither a user `postgres` nor `nobody`");
        Self { ids }
    }

    /// Makes a command run as this account, with no rights of the caller.
    pub(crate) fn apply(self, command: &mut Command) {
        if let Some((user, group)) = self.ids {
            command.gid(group).uid(user);
        }
    }

    pub(crate) fn own(self, path: &Path) {
        if let Some((user, group)) = self.ids {
            std::os::unix::fs::chown(path, Some(user), Some(group)).expect("root may give a folder away");
        }
    }
}

fn ids_of(users: &str, name: &str) -> Option<(u32, u32)> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (user, id, group) = (fields.next()?, fields.nth(1)?, fields.next()?);
        (user == name).then_some(())?;
        Some((id.parse().ok()?, group.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_the_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\npostgres2:x:7:8::/:/bin/sh\npostgres:x:101:104::/var:/bin/sh\n";
        assert_eq!(ids_of(users, "postgres"), Some((101, 104)));
        assert_eq!(ids_of(users, "nobody"), None);
    }
}
