//! IPv4 subnets in the form `10.0.3.0/24`.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// Prefix of the largest subnet accepted from text. Querying its 65,534 addresses one by one takes a minute.
const MIN_PREFIX: u8 = 16;

/// An IPv4 subnet. `Display` and `FromStr` round-trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subnet {
    network: Ipv4Addr,
    prefix: u8,
}

/// Reason for rejecting the text of a subnet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubnetError {
    /// The text is not `ADDRESS/PREFIX`.
    #[error("invalid subnet `{0}`: expected ADDRESS/PREFIX, such as 10.0.3.0/24")]
    Text(String),
    /// The subnet has too many addresses to query each of them.
    #[error("subnet `{0}` is too large to query each address: expected /{MIN_PREFIX} to /32")]
    Large(String),
}

impl Subnet {
    /// Returns the subnet of an address. `None` when `prefix` is greater than 32.
    #[must_use]
    pub fn of(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        let mask = mask(prefix)?;
        Some(Self { network: Ipv4Addr::from_bits(address.to_bits() & mask), prefix })
    }

    /// Returns the first address, which identifies the subnet.
    #[must_use]
    pub fn network(self) -> Ipv4Addr {
        self.network
    }

    /// Returns the length of the prefix in bits, 0 to 32.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Returns the last address, which is the broadcast address.
    #[must_use]
    pub fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits() | !mask(self.prefix).unwrap_or(u32::MAX))
    }

    /// Returns whether the address is in the subnet.
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        Self::of(address, self.prefix) == Some(self)
    }

    /// Returns the addresses that a device can have: without network and broadcast address, unless the prefix is 31 or 32.
    pub fn hosts(self) -> impl Iterator<Item = Ipv4Addr> {
        let (first, last) = (self.network.to_bits(), self.broadcast().to_bits());
        let inner = if self.prefix < 31 { first + 1..=last - 1 } else { first..=last };
        inner.map(Ipv4Addr::from_bits)
    }
}

fn mask(prefix: u8) -> Option<u32> {
    (prefix <= 32).then(|| u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0))
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let wrong = || SubnetError::Text(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        let subnet = Self::of(address, prefix).ok_or_else(wrong)?;
        if prefix < MIN_PREFIX { Err(SubnetError::Large(text.to_owned())) } else { Ok(subnet) }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Ipv4Addr {
        text.parse().expect("an address")
    }

    #[test]
    fn subnets_parse_and_list_their_hosts() {
        for (text, shown, hosts, first, last) in [
            ("10.0.3.0/24", "10.0.3.0/24", 254, "10.0.3.1", "10.0.3.254"),
            ("10.0.3.77/24", "10.0.3.0/24", 254, "10.0.3.1", "10.0.3.254"),
            ("169.254.1.222/16", "169.254.0.0/16", 65_534, "169.254.0.1", "169.254.255.254"),
            ("192.168.1.4/30", "192.168.1.4/30", 2, "192.168.1.5", "192.168.1.6"),
            ("192.168.1.5/31", "192.168.1.4/31", 2, "192.168.1.4", "192.168.1.5"),
            ("255.255.255.255/32", "255.255.255.255/32", 1, "255.255.255.255", "255.255.255.255"),
        ] {
            let subnet: Subnet = text.parse().expect(text);
            assert_eq!(subnet.to_string(), shown);
            assert_eq!(shown.parse(), Ok(subnet));
            assert_eq!(subnet.hosts().count(), hosts, "{text}");
            assert_eq!((subnet.hosts().next(), subnet.hosts().last()), (Some(ip(first)), Some(ip(last))));
            assert!(subnet.hosts().all(|host| subnet.contains(host)));
        }
        let all = Subnet::of(ip("1.2.3.4"), 0).expect("a prefix");
        assert_eq!((all.network(), all.broadcast()), (ip("0.0.0.0"), ip("255.255.255.255")));
        assert!(all.contains(ip("9.9.9.9")));
        assert_eq!(Subnet::of(ip("1.2.3.4"), 33), None);
        assert!(!Subnet::of(ip("10.0.3.1"), 24).expect("a prefix").contains(ip("10.0.4.1")));
    }

    #[test]
    fn invalid_subnets_are_rejected_with_reason() {
        for text in ["", "10.0.3.0", "10.0.3.0/", "10.0.3/24", "10.0.3.0/33", "10.0.3.0/-1", "cam/24"] {
            let error = text.parse::<Subnet>().unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("invalid subnet `{text}`: expected ADDRESS/PREFIX, such as 10.0.3.0/24")
            );
        }
        let error = "10.0.0.0/8".parse::<Subnet>().unwrap_err().to_string();
        assert_eq!(error, "subnet `10.0.0.0/8` is too large to query each address: expected /16 to /32");
    }
}
