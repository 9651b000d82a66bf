//! The configuration of a bootloader, a BSON document (bootloader.md 4).
//!
//! A [`Config`] is changed key by key, and unknown keys of other versions or tools are kept. The vendor's client replaces
//! `network` and `usb` as a whole and loses their unknown keys.

mod error;
mod mac;
mod network;
#[cfg(test)]
mod tests;
mod value;

use std::net::Ipv4Addr;

pub use error::ConfigError;
pub use mac::{Mac, MacError};
pub use network::{NetworkConfig, StaticAddress};
pub use value::HostWait;

use self::network::{address_value, set_addresses};
use self::value::{host_wait, integer};
use super::bson::{BsonDocument, BsonValue};
use super::map::CONFIG_BYTES;
use super::message::Memory;

/// Bytes that the camera stores before the document: its size and checksum (bootloader.md 8).
const STORED_HEADER_BYTES: usize = 8;

/// The USB settings. `None` for a missing key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct UsbConfig {
    /// The time for which the bootloader waits for a host over USB.
    pub host_wait: Option<HostWait>,
    /// The fastest mode: 0 unknown, 1 low, 2 full, 3 high, 4 super, 5 super+.
    pub max_speed: Option<u8>,
    /// USB vendor id.
    pub vid: Option<u16>,
    /// USB product id.
    pub pid: Option<u16>,
}

/// The bootloader in the user slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct UserBootloader {
    /// Size of the image in bytes.
    pub size: u32,
    /// [`djb2`](crate::package::djb2) of the image.
    pub checksum: u32,
}

/// A configuration. Every key is optional.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    document: BsonDocument,
}

/// A key with different values in two configurations.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigChange {
    /// Path of the key, such as `network.ipv4`.
    pub key: String,
    /// BsonValue before the change. `None` if the key was missing.
    pub before: Option<BsonValue>,
    /// BsonValue after the change. `None` if the key is missing.
    pub after: Option<BsonValue>,
}

impl Config {
    /// Parses the document sent by a camera.
    ///
    /// # Errors
    /// When it is not BSON, or has elements that could not be written back.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        Ok(Self { document: BsonDocument::parse(bytes)? })
    }

    /// Returns the configuration that the vendor's client writes to a camera without one: every known key with its default
    /// (bootloader.md 4).
    #[must_use]
    pub fn vendor_default() -> Self {
        let mut usb = BsonDocument::default();
        for (key, number) in [("timeoutMs", 3000), ("maxUsbSpeed", 3), ("vid", 0x03e7), ("pid", 0xf63c)] {
            usb.set(key, BsonValue::Int32(number));
        }
        let mut config = Self::default();
        config.document.set("appMem", BsonValue::Int32(-1));
        config.document.set("userBlSize", BsonValue::Int32(0));
        config.document.set("userBlChecksum", BsonValue::Int32(0));
        config.document.set("usb", BsonValue::Document(usb));
        config.document.set("network", BsonValue::Document(network::vendor_default()));
        config
    }

    /// Wraps a document without checking it.
    #[must_use]
    pub const fn from_document(document: BsonDocument) -> Self {
        Self { document }
    }

    /// Returns the document.
    #[must_use]
    pub const fn document(&self) -> &BsonDocument {
        &self.document
    }

    /// Returns the document as sent to the camera.
    ///
    /// # Errors
    /// When it is larger than its place on the camera.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ConfigError> {
        let bytes = self.document.to_bytes();
        let room = CONFIG_BYTES as usize - STORED_HEADER_BYTES;
        if bytes.len() > room { Err(ConfigError::TooLarge { bytes: bytes.len(), room }) } else { Ok(bytes) }
    }

    /// Sets the keys in `changes`, recursively, and keeps all others.
    pub fn merge(&mut self, changes: &BsonDocument) {
        self.document.merge(changes);
    }

    /// Returns the keys that differ in `after`.
    #[must_use]
    pub fn changes(&self, after: &Self) -> Vec<ConfigChange> {
        let mut changes = Vec::new();
        differences("", &self.document, &after.document, &mut changes);
        changes
    }

    /// Returns the memory that the application is booted from. `None` when the key is missing, which means the camera's
    /// default.
    ///
    /// # Errors
    /// When the key is not a memory.
    pub fn application_memory(&self) -> Result<Option<Memory>, ConfigError> {
        let number = integer(&self.document, "appMem", "", -1, 1)?;
        Ok(number.and_then(|number| Memory::from_number(number as i32)))
    }

    /// Sets the memory that the application is booted from.
    pub fn set_application_memory(&mut self, memory: Memory) {
        self.document.set("appMem", BsonValue::Int32(memory.number()));
    }

    /// Returns the bootloader in the user slot. `None` when the camera boots the factory bootloader.
    ///
    /// # Errors
    /// When size or checksum are not 32-bit numbers.
    pub fn user_bootloader(&self) -> Result<Option<UserBootloader>, ConfigError> {
        let number = |key| integer(&self.document, key, "", 0, i64::from(u32::MAX)).map(|n| n.unwrap_or(0) as u32);
        let (size, checksum) = (number("userBlSize")?, number("userBlChecksum")?);
        Ok((size > 0).then_some(UserBootloader { size, checksum }))
    }

    /// Sets the bootloader in the user slot. With `None` the camera boots the factory bootloader.
    pub fn set_user_bootloader(&mut self, image: Option<UserBootloader>) {
        let UserBootloader { size, checksum } = image.unwrap_or(UserBootloader { size: 0, checksum: 0 });
        self.document.set("userBlSize", size.into());
        self.document.set("userBlChecksum", checksum.into());
    }

    /// Returns the USB settings.
    ///
    /// # Errors
    /// When a present key has an invalid value.
    pub fn usb(&self) -> Result<UsbConfig, ConfigError> {
        let Some(usb) = self.part("usb")? else { return Ok(UsbConfig::default()) };
        let number = |key, most: u16| integer(usb, key, "usb.", 0, i64::from(most)).map(|n| n.map(|n| n as u16));
        Ok(UsbConfig {
            host_wait: host_wait(usb, "usb.")?,
            max_speed: number("maxUsbSpeed", 5)?.map(|speed| speed as u8),
            vid: number("vid", u16::MAX)?,
            pid: number("pid", u16::MAX)?,
        })
    }

    /// Sets how long the bootloader waits for a host over USB.
    ///
    /// # Errors
    /// When `usb` is not an object.
    pub fn set_usb_host_wait(&mut self, wait: HostWait) -> Result<(), ConfigError> {
        self.part_mut("usb")?.set("timeoutMs", wait.into());
        Ok(())
    }

    /// Returns the network settings.
    ///
    /// # Errors
    /// When a present key has an invalid value.
    pub fn network(&self) -> Result<NetworkConfig, ConfigError> {
        self.part("network")?.map_or_else(|| Ok(NetworkConfig::default()), network::read)
    }

    /// Sets a static address. Keeps the name servers.
    ///
    /// # Errors
    /// When `network` is not an object.
    pub fn set_static_address(&mut self, wanted: &StaticAddress) -> Result<(), ConfigError> {
        let network = self.part_mut("network")?;
        network.set("staticIpv4", true.into());
        set_addresses(network, wanted);
        Ok(())
    }

    /// Enables DHCP. The camera uses `fallback` when no DHCP server answers. Without a fallback, an earlier address is
    /// cleared, so that the camera cannot return to it.
    ///
    /// # Errors
    /// When `network` is not an object.
    pub fn set_dhcp(&mut self, fallback: Option<&StaticAddress>) -> Result<(), ConfigError> {
        let network = self.part_mut("network")?;
        network.set("staticIpv4", false.into());
        match fallback {
            Some(fallback) => set_addresses(network, fallback),
            None => {
                for key in ["ipv4", "ipv4Mask", "ipv4Gateway"] {
                    if let Some(value) = network.get_mut(key) {
                        *value = BsonValue::Int32(0);
                    }
                }
            }
        }
        Ok(())
    }

    /// Sets the name servers. `None` clears one.
    ///
    /// # Errors
    /// When `network` is not an object.
    pub fn set_dns(&mut self, dns: [Option<Ipv4Addr>; 2]) -> Result<(), ConfigError> {
        let network = self.part_mut("network")?;
        for (key, address) in ["ipv4Dns", "ipv4DnsAlt"].into_iter().zip(dns) {
            network.set(key, address_value(address.unwrap_or(Ipv4Addr::UNSPECIFIED)));
        }
        Ok(())
    }

    /// Sets the Ethernet address. `None` restores the factory address.
    ///
    /// # Errors
    /// When `network` is not an object.
    pub fn set_mac(&mut self, mac: Option<Mac>) -> Result<(), ConfigError> {
        let bytes = mac.map_or([0; 6], Mac::bytes);
        let bytes = bytes.iter().map(|byte| BsonValue::Int32(i32::from(*byte))).collect();
        self.part_mut("network")?.set("mac", BsonValue::Array(bytes));
        Ok(())
    }

    /// Sets how long the bootloader waits for a host before it boots the application.
    ///
    /// # Errors
    /// When `network` is not an object.
    pub fn set_network_host_wait(&mut self, wait: HostWait) -> Result<(), ConfigError> {
        self.part_mut("network")?.set("timeoutMs", wait.into());
        Ok(())
    }

    /// Removes all network settings, so that the camera uses its defaults. Keeps the rest of the configuration.
    pub fn clear_network(&mut self) {
        self.document.remove("network");
    }

    fn part(&self, key: &'static str) -> Result<Option<&BsonDocument>, ConfigError> {
        match self.document.get(key) {
            None => Ok(None),
            Some(BsonValue::Document(part)) => Ok(Some(part)),
            Some(other) => {
                Err(ConfigError::WrongType { key: key.to_owned(), expected: "an object", found: other.kind() })
            }
        }
    }

    /// Returns the object of this key, creating it if missing.
    fn part_mut(&mut self, key: &'static str) -> Result<&mut BsonDocument, ConfigError> {
        if self.part(key)?.is_none() {
            self.document.set(key, BsonValue::Document(BsonDocument::default()));
        }
        match self.document.get_mut(key) {
            Some(BsonValue::Document(part)) => Ok(part),
            // Unreachable: `part` above returned an error for every other type.
            _ => Err(ConfigError::WrongType { key: key.to_owned(), expected: "an object", found: "nothing" }),
        }
    }
}

fn differences(within: &str, before: &BsonDocument, after: &BsonDocument, into: &mut Vec<ConfigChange>) {
    let removed =
        before.iter().filter(|(key, _)| after.get(key).is_none()).map(|(key, value)| (key, Some(value), None));
    let present = after.iter().map(|(key, value)| (key, before.get(key), Some(value)));
    for (key, before, after) in removed.chain(present) {
        let key = format!("{within}{key}");
        match (before, after) {
            (Some(BsonValue::Document(before)), Some(BsonValue::Document(after))) => {
                differences(&format!("{key}."), before, after, into);
            }
            (before, after) if before != after => {
                into.push(ConfigChange { key, before: before.cloned(), after: after.cloned() });
            }
            _ => {}
        }
    }
}
