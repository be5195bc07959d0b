//! The names in `/etc/hosts`.

use std::collections::HashMap;
use std::net::IpAddr;

/// Most lines that are read: some machines block advertisements with this file.
const MOST_LINES: usize = 100_000;

/// Addresses by name; IPv4 first, otherwise in the order of the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hosts(HashMap<String, Vec<IpAddr>>);

impl Hosts {
    /// Lines that are not understood are passed over, as everybody does.
    pub(super) fn parse(text: &str) -> Self {
        let mut found: HashMap<String, Vec<IpAddr>> = HashMap::new();
        for line in text.lines().take(MOST_LINES) {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
            for name in words {
                let addresses = found.entry(name.to_ascii_lowercase()).or_default();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        for addresses in found.values_mut() {
            addresses.sort_by_key(IpAddr::is_ipv6);
        }
        Self(found)
    }

    /// The addresses of a name.
    pub(super) fn find(&self, host: &str) -> Option<Vec<IpAddr>> {
        let host = host.strip_suffix('.').unwrap_or(host);
        self.0.get(&host.to_ascii_lowercase()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(hosts: &Hosts, host: &str) -> Vec<String> {
        hosts.find(host).unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_line_is_an_address_and_its_names_in_any_case() {
        let hosts = Hosts::parse("# none\n::1 here\n10.0.0.1\tOne one.example # two\n10.0.0.2 one\r\n10.0.0.1 one\n");
        assert_eq!(found(&hosts, "ONE"), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(found(&hosts, "one.example."), ["10.0.0.1"]);
        assert_eq!(found(&hosts, "here"), ["::1"]);
        assert_eq!((hosts.find("two"), hosts.find("")), (None, None));
    }

    #[test]
    fn ipv4_comes_first() {
        assert_eq!(found(&Hosts::parse("::1 a\n127.0.0.1 a\n"), "a"), ["127.0.0.1", "::1"]);
    }

    #[test]
    fn what_is_no_address_has_no_names() {
        let text = "nonsense a\n300.1.1.1 b\nfe80::1%eth0 c\n10.0.0.0/8 d\n";
        assert_eq!(Hosts::parse(text), Hosts::default());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), host in any::<String>()) {
            let _ = Hosts::parse(&text).find(&host);
        }
    }
}
