//! How many connections each client's address has.
//!
//! Always: exact over all workers; an address without connections takes no memory. An address is an IPv4 address or an
//! IPv6 /64, as for limits: whoever has one address of a /64 has them all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts up to a bound for each address.
#[derive(Debug)]
pub(crate) struct AddressCounts {
    most: u32,
    open: Mutex<HashMap<u128, u32>>,
}

/// One connection of an address; taken back when dropped.
#[derive(Debug)]
pub(crate) struct AddressPlace {
    counts: Arc<AddressCounts>,
    address: u128,
}

impl AddressCounts {
    pub(crate) fn new(most: u32) -> Self {
        Self { most, open: Mutex::default() }
    }

    /// A place for one more connection; nothing when the address has all it may have.
    pub(crate) fn take(self: &Arc<Self>, ip: IpAddr) -> Option<AddressPlace> {
        let address = key_of(ip);
        let mut open = self.lock();
        let count = open.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(open);
        Some(AddressPlace { counts: Arc::clone(self), address })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u128, u32>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let mut open = self.counts.lock();
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

fn key_of(ip: IpAddr) -> u128 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        // No IPv6 /64 looks like an IPv4 address: its upper half is above every one.
        IpAddr::V6(ip) => (u128::from(ip) >> 64 << 64) | 1 << 63,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(counts: &Arc<AddressCounts>, ip: &str) -> Option<AddressPlace> {
        counts.take(ip.parse().unwrap())
    }

    #[test]
    fn an_address_has_its_places_and_gets_them_back() {
        let counts = Arc::new(AddressCounts::new(2));
        let (one, two) = (take(&counts, "192.0.2.1").unwrap(), take(&counts, "::ffff:192.0.2.1").unwrap());
        assert!(take(&counts, "192.0.2.1").is_none());
        assert!(take(&counts, "192.0.2.2").is_some());
        drop(one);
        let three = take(&counts, "192.0.2.1").unwrap();
        assert!(take(&counts, "192.0.2.1").is_none());
        drop((two, three));
        assert!(counts.lock().is_empty());
    }

    #[test]
    fn the_addresses_of_a_network_of_64_bits_are_one() {
        let counts = Arc::new(AddressCounts::new(1));
        let _place = take(&counts, "2001:db8::1").unwrap();
        assert!(take(&counts, "2001:db8::2").is_none());
        assert!(take(&counts, "2001:db8:0:1::1").is_some());
        assert!(take(&counts, "0.0.0.0").is_some() && take(&counts, "::").is_some());
    }

    #[test]
    fn threads_together_never_have_more_than_the_bound() {
        let counts = Arc::new(AddressCounts::new(8));
        let most = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let places: Vec<_> = (0..4).filter_map(|_| take(&counts, "192.0.2.1")).collect();
                        let open = counts.lock().values().copied().max().unwrap_or_default();
                        most.fetch_max(open, std::sync::atomic::Ordering::Relaxed);
                        drop(places);
                    }
                });
            }
        });
        assert!((4..=8).contains(&most.into_inner()));
        assert!(counts.lock().is_empty());
    }
}
