//! Bounds on guessing: per account and address, per address, and a growing delay per account.
//!
//! Counters hold keyed hashes only. An account never locks: somebody who guesses from elsewhere slows its owner down by at
//! most two seconds.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use novagate_access::EmailKey;
use novagate_ports_control::{
    inbound::{Client, Refusal},
    outbound::ThrottleRule,
};

use crate::Control;

const WINDOW: Duration = Duration::from_mins(15);
const PER_ACCOUNT_AND_ADDRESS: ThrottleRule = ThrottleRule { max: 10, window: WINDOW };
const PER_ADDRESS: ThrottleRule = ThrottleRule { max: 100, window: WINDOW };
/// Only counted, never refused: it drives the delay.
const PER_ACCOUNT: ThrottleRule = ThrottleRule { max: 10_000, window: WINDOW };
const DELAY_FROM: u32 = 5;
const DELAY_STEP: Duration = Duration::from_millis(100);
const DELAY_MOST: Duration = Duration::from_secs(2);

impl Control {
    /// Admits an attempt of any kind from an address.
    pub(super) async fn admit_address(&self, client: Client) -> Result<(), Refusal> {
        self.admit(&self.address_key("address", client), PER_ADDRESS).await
    }

    /// Admits an attempt on an account, after a delay that grows with the attempts of the last quarter of an hour.
    pub(super) async fn admit_account(&self, email: &EmailKey, client: Client) -> Result<(), Refusal> {
        self.admit(&self.pair_key(email, client), PER_ACCOUNT_AND_ADDRESS).await?;
        let account = self.deps.fingerprints.of("account", email.as_str().as_bytes());
        let now = self.deps.clock.now();
        let attempts = self.deps.throttle.count(&account, PER_ACCOUNT, now).await?;
        self.deps.throttle.attempt(&account, PER_ACCOUNT, now).await?;
        if attempts >= DELAY_FROM {
            self.deps.pause.pause((DELAY_STEP * (attempts - DELAY_FROM + 1)).min(DELAY_MOST)).await;
        }
        Ok(())
    }

    /// A login succeeded: earlier mistakes from this address are forgiven.
    pub(super) async fn forgive(&self, email: &EmailKey, client: Client) -> Result<(), Refusal> {
        Ok(self.deps.throttle.clear(&self.pair_key(email, client)).await?)
    }

    async fn admit(&self, key: &str, rule: ThrottleRule) -> Result<(), Refusal> {
        match self.deps.throttle.attempt(key, rule, self.deps.clock.now()).await? {
            None => Ok(()),
            Some(wait) => Err(Refusal::too_many(wait)),
        }
    }

    fn address_key(&self, scope: &str, client: Client) -> String {
        self.deps.fingerprints.of(scope, network(client).to_string().as_bytes())
    }

    fn pair_key(&self, email: &EmailKey, client: Client) -> String {
        let subject = format!("{}\0{}", email.as_str(), network(client));
        self.deps.fingerprints.of("account-address", subject.as_bytes())
    }
}

/// What one client can hold at once: an IPv4 address or an IPv6 /64.
fn network(client: Client) -> IpAddr {
    match client.address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}
