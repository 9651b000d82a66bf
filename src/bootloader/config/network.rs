//! The network settings.

use std::net::Ipv4Addr;

use super::error::ConfigError;
use super::mac::{Mac, read_mac};
use super::value::{HostWait, host_wait, integer};
use crate::bootloader::bson::{BsonDocument, BsonValue};

/// The network settings. `None` for a missing key and for an address of 0.0.0.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct NetworkConfig {
    /// `true` if the address is static. If not, the camera tries DHCP first, and `address` is the fallback when no
    /// server answers (bootloader.md 4).
    pub is_static: bool,
    /// The camera's address.
    pub address: Option<Ipv4Addr>,
    /// The network mask.
    pub mask: Option<Ipv4Addr>,
    /// The router.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers.
    pub dns: [Option<Ipv4Addr>; 2],
    /// The Ethernet address. `None` is the factory address.
    pub mac: Option<Mac>,
    /// The time for which the bootloader waits for a host before it boots the application.
    pub host_wait: Option<HostWait>,
}

impl NetworkConfig {
    /// Returns the prefix length in bits. `None` without a mask, and when the mask is not contiguous.
    #[must_use]
    pub fn prefix(&self) -> Option<u8> {
        let bits = self.mask?.to_bits();
        (bits.leading_ones() + bits.trailing_zeros() == u32::BITS).then_some(bits.leading_ones() as u8)
    }
}

/// A static address, or the fallback when no DHCP server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StaticAddress {
    /// The camera's address.
    pub address: Ipv4Addr,
    /// Prefix length in bits, 0 to 32.
    pub prefix: u8,
    /// The router. The camera requires one, even if it does not exist (bootloader.md 4).
    pub gateway: Ipv4Addr,
}

impl StaticAddress {
    /// Returns the network mask. A prefix of more than 32 bits counts as 32.
    #[must_use]
    pub fn mask(&self) -> Ipv4Addr {
        let zeros = 32 - u32::from(self.prefix.min(32));
        Ipv4Addr::from_bits(u32::MAX.checked_shl(zeros).unwrap_or(0))
    }
}

/// Encodes an address as the vendor does: the four bytes in network order, read as a little-endian number (bootloader.md 4).
/// It needs 64 bits when the last octet is 128 or more, because BSON's 32-bit numbers are signed.
pub(super) fn address_value(address: Ipv4Addr) -> BsonValue {
    u32::from_le_bytes(address.octets()).into()
}

/// Returns every key that the vendor's client writes, with its default (bootloader.md 4).
pub(super) fn vendor_default() -> BsonDocument {
    let mut network = BsonDocument::default();
    network.set("timeoutMs", BsonValue::Int32(30_000));
    for key in ["ipv4", "ipv4Mask", "ipv4Gateway", "ipv4Dns", "ipv4DnsAlt", "ipv6Prefix"] {
        network.set(key, BsonValue::Int32(0));
    }
    for key in ["ipv6", "ipv6Gateway", "ipv6Dns", "ipv6DnsAlt"] {
        network.set(key, BsonValue::Array(vec![BsonValue::Int32(0); 4]));
    }
    network.set("staticIpv4", BsonValue::Bool(false));
    network.set("staticIpv6", BsonValue::Bool(false));
    network.set("mac", BsonValue::Array(vec![BsonValue::Int32(0); 6]));
    network
}

pub(super) fn set_addresses(network: &mut BsonDocument, wanted: &StaticAddress) {
    network.set("ipv4", address_value(wanted.address));
    network.set("ipv4Mask", address_value(wanted.mask()));
    network.set("ipv4Gateway", address_value(wanted.gateway));
}

/// Reads the `network` object.
pub(super) fn read(network: &BsonDocument) -> Result<NetworkConfig, ConfigError> {
    let address = |key| {
        let number = integer(network, key, "network.", 0, i64::from(u32::MAX))?;
        let address = number.map(|number| Ipv4Addr::from((number as u32).to_le_bytes()));
        Ok::<_, ConfigError>(address.filter(|address| !address.is_unspecified()))
    };
    let is_static = match network.get("staticIpv4") {
        None => false,
        Some(BsonValue::Bool(is_static)) => *is_static,
        Some(other) => {
            let key = "network.staticIpv4".to_owned();
            return Err(ConfigError::WrongType { key, expected: "a boolean", found: other.kind() });
        }
    };
    Ok(NetworkConfig {
        is_static,
        address: address("ipv4")?,
        mask: address("ipv4Mask")?,
        gateway: address("ipv4Gateway")?,
        dns: [address("ipv4Dns")?, address("ipv4DnsAlt")?],
        mac: read_mac(network)?,
        host_wait: host_wait(network, "network.")?,
    })
}
