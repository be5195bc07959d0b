//! What tests of this crate share.

use crate::RedisTarget;

/// The target that `redis://[:password@]host:port[/db]` names.
pub(crate) fn target(url: &str) -> RedisTarget {
    let rest = url.strip_prefix("redis://").expect("an address of a test's server");
    let (credentials, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (address, database) = place.split_once('/').unwrap_or((place, "0"));
    let (host, port) = address.rsplit_once(':').expect("a port");
    RedisTarget {
        hosts: vec![(host.to_owned(), port.parse().unwrap())],
        password: credentials.split_once(':').map(|(_, password)| password.to_owned()),
        database: database.parse().unwrap(),
        ..RedisTarget::default()
    }
}
