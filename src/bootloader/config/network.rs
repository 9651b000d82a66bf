//! How a camera gets its address.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use super::{Config, ConfigError, HostWait, host_wait, integer};
use crate::bootloader::bson::{Document, Value};

/// What is said of the network. What is not said is `None`; addresses that are zero are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Network {
    /// Whether the address is always that below. If not, a DHCP server is asked first, and the address, if there is one,
    /// is for when none answers (bootloader.md 4).
    pub is_static: bool,
    /// The camera's address.
    pub address: Option<Ipv4Addr>,
    /// Its mask.
    pub mask: Option<Ipv4Addr>,
    /// The router.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers.
    pub dns: [Option<Ipv4Addr>; 2],
    /// Its Ethernet address; `None` is the one that it was made with.
    pub mac: Option<Mac>,
    /// How long a host is waited for before the application is booted.
    pub host_wait: Option<HostWait>,
}

impl Network {
    /// Bits of the mask. `None`: there is no mask, or its ones do not all stand before its zeros.
    #[must_use]
    pub fn prefix(&self) -> Option<u8> {
        let bits = self.mask?.to_bits();
        (bits.leading_ones() + bits.trailing_zeros() == u32::BITS).then_some(bits.leading_ones() as u8)
    }
}

/// An address that does not come from a DHCP server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StaticAddress {
    /// The camera's address.
    pub address: Ipv4Addr,
    /// Bits of the mask, 0 to 32.
    pub prefix: u8,
    /// The router. The camera wants one, whether it exists or not (bootloader.md 4).
    pub gateway: Ipv4Addr,
}

impl StaticAddress {
    /// The mask. More than 32 bits count as 32.
    #[must_use]
    pub fn mask(&self) -> Ipv4Addr {
        let zeros = 32 - u32::from(self.prefix.min(32));
        Ipv4Addr::from_bits(u32::MAX.checked_shl(zeros).unwrap_or(0))
    }
}

/// An Ethernet address that a camera can have. Its text form is `02:11:22:33:44:55`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac([u8; 6]);

/// Why something is no Ethernet address for a camera.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MacError {
    /// It is none at all.
    #[error("`{0}` is no Ethernet address: expected six pairs of hexadecimal digits such as 02:11:22:33:44:55")]
    Text(String),
    /// It belongs to a group, or to nobody.
    #[error("{0} cannot be the address of one device: its first byte has to be even, and not all of it zero")]
    Group(String),
}

impl Mac {
    /// An address of these bytes.
    ///
    /// # Errors
    /// [`MacError::Group`].
    pub fn new(bytes: [u8; 6]) -> Result<Self, MacError> {
        let mac = Self(bytes);
        if bytes[0] & 1 != 0 || bytes == [0; 6] { Err(MacError::Group(mac.to_string())) } else { Ok(mac) }
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 6] {
        self.0
    }
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let wrong = || MacError::Text(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = u8::from_str_radix(part.ok_or_else(wrong)?, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() { Err(wrong()) } else { Self::new(bytes) }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl serde::Serialize for Mac {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The four bytes in network order, read as a little-endian number (bootloader.md 4). The vendor writes it in 32 bits if
/// it fits there with a sign, which it does not when the last octet is 128 or more.
fn number(address: Ipv4Addr) -> Value {
    u32::from_le_bytes(address.octets()).into()
}

/// Every key that the vendor knows, with its default (bootloader.md 4).
pub(super) fn usual() -> Document {
    let mut network = Document::default();
    network.set("timeoutMs", Value::Int32(30_000));
    for key in ["ipv4", "ipv4Mask", "ipv4Gateway", "ipv4Dns", "ipv4DnsAlt", "ipv6Prefix"] {
        network.set(key, Value::Int32(0));
    }
    for key in ["ipv6", "ipv6Gateway", "ipv6Dns", "ipv6DnsAlt"] {
        network.set(key, Value::Array(vec![Value::Int32(0); 4]));
    }
    network.set("staticIpv4", Value::Bool(false));
    network.set("staticIpv6", Value::Bool(false));
    network.set("mac", Value::Array(vec![Value::Int32(0); 6]));
    network
}

impl Config {
    /// What is said of the network.
    ///
    /// # Errors
    /// A key that is there has no value that it can have.
    pub fn network(&self) -> Result<Network, ConfigError> {
        let Some(network) = self.part("network")? else { return Ok(Network::default()) };
        let address = |key| {
            let number = integer(network, key, "network.", 0, i64::from(u32::MAX))?;
            let address = number.map(|number| Ipv4Addr::from((number as u32).to_le_bytes()));
            Ok::<_, ConfigError>(address.filter(|address| !address.is_unspecified()))
        };
        let is_static = match network.get("staticIpv4") {
            None => false,
            Some(Value::Bool(is_static)) => *is_static,
            Some(other) => {
                let key = "network.staticIpv4".to_owned();
                return Err(ConfigError::WrongType { key, expected: "a boolean", found: other.kind() });
            }
        };
        Ok(Network {
            is_static,
            address: address("ipv4")?,
            mask: address("ipv4Mask")?,
            gateway: address("ipv4Gateway")?,
            dns: [address("ipv4Dns")?, address("ipv4DnsAlt")?],
            mac: mac(network)?,
            host_wait: host_wait(network, "network.")?,
        })
    }

    /// Gives the camera an address for good. Name servers stay what they were.
    ///
    /// # Errors
    /// `network` is there, and no object.
    pub fn set_static_address(&mut self, wanted: &StaticAddress) -> Result<(), ConfigError> {
        let network = self.part_mut("network")?;
        network.set("staticIpv4", true.into());
        set_addresses(network, wanted);
        Ok(())
    }

    /// Lets the camera ask a DHCP server. When none answers it takes `fallback`; without one an earlier address is taken
    /// out, so that the camera cannot come back with it.
    ///
    /// # Errors
    /// `network` is there, and no object.
    pub fn set_dhcp(&mut self, fallback: Option<&StaticAddress>) -> Result<(), ConfigError> {
        let network = self.part_mut("network")?;
        network.set("staticIpv4", false.into());
        match fallback {
            Some(fallback) => set_addresses(network, fallback),
            None => {
                for key in ["ipv4", "ipv4Mask", "ipv4Gateway"] {
                    if let Some(value) = network.get_mut(key) {
                        *value = Value::Int32(0);
                    }
                }
            }
        }
        Ok(())
    }

    /// Sets the name servers; `None` is none.
    ///
    /// # Errors
    /// `network` is there, and no object.
    pub fn set_dns(&mut self, dns: [Option<Ipv4Addr>; 2]) -> Result<(), ConfigError> {
        let network = self.part_mut("network")?;
        for (key, address) in ["ipv4Dns", "ipv4DnsAlt"].into_iter().zip(dns) {
            network.set(key, number(address.unwrap_or(Ipv4Addr::UNSPECIFIED)));
        }
        Ok(())
    }

    /// Sets the Ethernet address; `None` is the one that the camera was made with.
    ///
    /// # Errors
    /// `network` is there, and no object.
    pub fn set_mac(&mut self, mac: Option<Mac>) -> Result<(), ConfigError> {
        let bytes = mac.map_or([0; 6], Mac::bytes);
        let bytes = bytes.iter().map(|byte| Value::Int32(i32::from(*byte))).collect();
        self.part_mut("network")?.set("mac", Value::Array(bytes));
        Ok(())
    }

    /// Sets how long a host is waited for before the application is booted.
    ///
    /// # Errors
    /// `network` is there, and no object.
    pub fn set_network_host_wait(&mut self, wait: HostWait) -> Result<(), ConfigError> {
        self.part_mut("network")?.set("timeoutMs", wait.into());
        Ok(())
    }

    /// Takes all of it out, whatever it says: the camera does as it was delivered. The rest of the configuration stays.
    pub fn clear_network(&mut self) {
        self.document.remove("network");
    }
}

fn set_addresses(network: &mut Document, wanted: &StaticAddress) {
    network.set("ipv4", number(wanted.address));
    network.set("ipv4Mask", number(wanted.mask()));
    network.set("ipv4Gateway", number(wanted.gateway));
}

fn mac(network: &Document) -> Result<Option<Mac>, ConfigError> {
    const KEY: &str = "network.mac";
    let wrong = |found| ConfigError::WrongType { key: KEY.to_owned(), expected: "an array of six bytes", found };
    let items = match network.get("mac") {
        None => return Ok(None),
        Some(Value::Array(items)) if items.len() == 6 => items,
        Some(Value::Array(_)) => return Err(wrong("an array of another length")),
        Some(other) => return Err(wrong(other.kind())),
    };
    let mut bytes = [0; 6];
    for (byte, item) in bytes.iter_mut().zip(items) {
        let number = item.as_integer().ok_or_else(|| wrong("an array of something else"))?;
        let range = |_| ConfigError::OutOfRange { key: KEY.to_owned(), least: 0, most: 255, found: number };
        *byte = u8::try_from(number).map_err(range)?;
    }
    // Shown as it is, even if no device could have it: it is not this program that wrote it.
    Ok((bytes != [0; 6]).then_some(Mac(bytes)))
}
