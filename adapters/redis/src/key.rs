//! The names of everything that is kept in Redis.
//!
//! Always: a name is made here and nowhere else, and is one of `cfg:default`, `rl:<clientKey>`, `gw:online:<tenantId>` or
//! the channel `config.update`. A client key is 32 hexadecimal digits of a keyed hash, a tenant id a UUID: no address,
//! name, e-mail or token can become part of a name.

use std::fmt;

use novagate_kernel::TenantId;
use novagate_policies::SharedKey;
use redis::{RedisWrite, ToRedisArgs, ToSingleRedisArg};

/// The channel of wake-ups between control nodes.
pub(crate) const CHANNEL: &str = "config.update";

const CONFIG: &str = "cfg:default";
const BUCKET: &str = "rl:";
const ONLINE: &str = "gw:online:";
/// The longest: `gw:online:` and a UUID.
const ROOM: usize = 48;

/// A name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    bytes: [u8; ROOM],
    len: usize,
}

impl Key {
    /// The cached configuration of a fleet.
    pub(crate) fn config() -> Self {
        Self::of(CONFIG, "")
    }

    /// A bucket of a limit, or a counter of attempts.
    pub(crate) fn bucket(key: SharedKey) -> Self {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
        let mut name = Self::of(BUCKET, "");
        for byte in key.as_bytes() {
            name.push(&[digit(byte >> 4), digit(byte & 15)]);
        }
        name
    }

    /// The connected gateways of a tenant.
    pub(crate) fn online(tenant: TenantId) -> Self {
        Self::of(ONLINE, &tenant.to_string())
    }

    fn of(prefix: &str, rest: &str) -> Self {
        let mut name = Self { bytes: [0; ROOM], len: 0 };
        name.push(prefix.as_bytes());
        name.push(rest.as_bytes());
        name
    }

    fn push(&mut self, part: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + part.len()) {
            room.copy_from_slice(part);
            self.len += part.len();
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl ToRedisArgs for Key {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        out.write_arg(self.as_bytes());
    }
}

impl ToSingleRedisArg for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key({})", String::from_utf8_lossy(self.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use novagate_fixtures::Mint;

    use super::*;

    #[test]
    fn names_are_those_that_are_documented() {
        let text = |key: Key| String::from_utf8(key.as_bytes().to_vec()).unwrap();
        assert_eq!(text(Key::config()), "cfg:default");
        let bits = SharedKey::from_hash([0x0f, 0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0xff]);
        assert_eq!(text(Key::bucket(bits)), "rl:0fa00102030405060708090a0b0c0dff");
        let tenant = Mint::new(1).tenant();
        assert_eq!(text(Key::online(tenant)), format!("gw:online:{tenant}"));
        assert_eq!(CHANNEL, "config.update");
    }
}
