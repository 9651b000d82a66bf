//! The configuration of a bootloader: a document of which the camera knows some keys (bootloader.md 4).
//!
//! A [`Config`] is changed key by key. Whatever else is in it, of other versions or of other tools, stays as it is: the
//! vendor's client replaces `network` and `usb` as a whole and loses what it does not know in them.

mod error;
mod network;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use error::ConfigError;
pub use network::{Mac, MacError, Network, StaticAddress};

use super::Memory;
use super::bson::{Document, Value};
use super::map::CONFIG_SIZE;

/// How long a bootloader waits for a host before it boots the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HostWait {
    /// It does not.
    None,
    /// So long, in milliseconds on the wire.
    For(Duration),
    /// Until one comes: the application is never booted by itself.
    Forever,
}

/// What is said of the USB socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Usb {
    /// How long a host is waited for.
    pub host_wait: Option<HostWait>,
    /// The fastest mode: 0 unknown, 1 low, 2 full, 3 high, 4 super, 5 super+.
    pub max_speed: Option<u8>,
    /// Vendor id.
    pub vid: Option<u16>,
    /// Product id.
    pub pid: Option<u16>,
}

/// The bootloader in the second slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct UserBootloader {
    /// Bytes of its image.
    pub size: u32,
    /// [`djb2`](crate::package::djb2) of its image.
    pub checksum: u32,
}

/// A configuration. Every key of it is optional.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    document: Document,
}

/// One key that two configurations do not have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its names, from outside to inside, with dots in between.
    pub key: String,
    /// What it was, if it was there.
    pub before: Option<Value>,
    /// What it is, if it is there.
    pub after: Option<Value>,
}

impl Config {
    /// Reads the document that a camera sends.
    ///
    /// # Errors
    /// It cannot be read, or not so that it could be written back.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        Ok(Self { document: Document::parse(bytes)? })
    }

    /// What the vendor's client writes when the camera has none: every key it knows, with its default (bootloader.md 4).
    #[must_use]
    pub fn usual() -> Self {
        let mut usb = Document::default();
        for (key, number) in [("timeoutMs", 3000), ("maxUsbSpeed", 3), ("vid", 0x03e7), ("pid", 0xf63c)] {
            usb.set(key, Value::Int32(number));
        }
        let mut config = Self::default();
        config.document.set("appMem", Value::Int32(-1));
        config.document.set("userBlSize", Value::Int32(0));
        config.document.set("userBlChecksum", Value::Int32(0));
        config.document.set("usb", Value::Document(usb));
        config.document.set("network", Value::Document(network::usual()));
        config
    }

    /// Takes a document as it is.
    #[must_use]
    pub const fn from_document(document: Document) -> Self {
        Self { document }
    }

    /// Its document.
    #[must_use]
    pub const fn document(&self) -> &Document {
        &self.document
    }

    /// The bytes for the camera.
    ///
    /// # Errors
    /// The camera has no room for so many.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ConfigError> {
        let bytes = self.document.to_bytes();
        // Size and checksum stand before the document (bootloader.md 8).
        let room = CONFIG_SIZE as usize - 8;
        if bytes.len() > room { Err(ConfigError::TooLarge { bytes: bytes.len(), room }) } else { Ok(bytes) }
    }

    /// Sets what `changes` names, however deep, and leaves the rest.
    pub fn merge(&mut self, changes: &Document) {
        self.document.merge(changes);
    }

    /// What is another configuration's and not this one's, key by key.
    #[must_use]
    pub fn changes(&self, after: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        differences("", &self.document, &after.document, &mut changes);
        changes
    }

    /// The memory that the application is booted from. `None`: it is not said, which is the usual one.
    ///
    /// # Errors
    /// It is there, and no memory.
    pub fn application_memory(&self) -> Result<Option<Memory>, ConfigError> {
        let Some(number) = integer(&self.document, "appMem", "", -1, 1)? else { return Ok(None) };
        Ok(Some(match number {
            -1 => Memory::Auto,
            0 => Memory::Flash,
            _ => Memory::Emmc,
        }))
    }

    /// Sets the memory that the application is booted from.
    pub fn set_application_memory(&mut self, memory: Memory) {
        let number = match memory {
            Memory::Auto => -1,
            Memory::Flash => 0,
            Memory::Emmc => 1,
        };
        self.document.set("appMem", Value::Int32(number));
    }

    /// The bootloader in the second slot. `None`: there is none, or none that is booted.
    ///
    /// # Errors
    /// What is there is no size, or no checksum.
    pub fn user_bootloader(&self) -> Result<Option<UserBootloader>, ConfigError> {
        let number = |key| integer(&self.document, key, "", 0, i64::from(u32::MAX)).map(|n| n.unwrap_or(0) as u32);
        let (size, checksum) = (number("userBlSize")?, number("userBlChecksum")?);
        Ok((size > 0).then_some(UserBootloader { size, checksum }))
    }

    /// Names the bootloader in the second slot; `None` makes the camera boot the one it was delivered with.
    pub fn set_user_bootloader(&mut self, image: Option<UserBootloader>) {
        let UserBootloader { size, checksum } = image.unwrap_or(UserBootloader { size: 0, checksum: 0 });
        self.document.set("userBlSize", size.into());
        self.document.set("userBlChecksum", checksum.into());
    }

    /// What is said of the USB socket.
    ///
    /// # Errors
    /// A key that is there has no value that it can have.
    pub fn usb(&self) -> Result<Usb, ConfigError> {
        let Some(usb) = self.part("usb")? else { return Ok(Usb::default()) };
        let number = |key, most: u16| integer(usb, key, "usb.", 0, i64::from(most)).map(|n| n.map(|n| n as u16));
        Ok(Usb {
            host_wait: host_wait(usb, "usb.")?,
            max_speed: number("maxUsbSpeed", 5)?.map(|speed| speed as u8),
            vid: number("vid", u16::MAX)?,
            pid: number("pid", u16::MAX)?,
        })
    }

    /// Sets how long a host is waited for at the USB socket.
    ///
    /// # Errors
    /// `usb` is there, and no object.
    pub fn set_usb_host_wait(&mut self, wait: HostWait) -> Result<(), ConfigError> {
        self.part_mut("usb")?.set("timeoutMs", wait.into());
        Ok(())
    }

    fn part(&self, key: &'static str) -> Result<Option<&Document>, ConfigError> {
        match self.document.get(key) {
            None => Ok(None),
            Some(Value::Document(part)) => Ok(Some(part)),
            Some(other) => {
                Err(ConfigError::WrongType { key: key.to_owned(), expected: "an object", found: other.kind() })
            }
        }
    }

    /// That object, made if it is not there.
    fn part_mut(&mut self, key: &'static str) -> Result<&mut Document, ConfigError> {
        if self.part(key)?.is_none() {
            self.document.set(key, Value::Document(Document::default()));
        }
        match self.document.get_mut(key) {
            Some(Value::Document(part)) => Ok(part),
            // It is one: that was looked at above.
            _ => Err(ConfigError::WrongType { key: key.to_owned(), expected: "an object", found: "nothing" }),
        }
    }
}

impl From<HostWait> for Value {
    fn from(wait: HostWait) -> Self {
        match wait {
            HostWait::None => Self::Int32(0),
            HostWait::For(time) => Self::Int32(i32::try_from(time.as_millis()).unwrap_or(i32::MAX)),
            HostWait::Forever => Self::Int32(-1),
        }
    }
}

fn host_wait(part: &Document, within: &str) -> Result<Option<HostWait>, ConfigError> {
    let Some(number) = integer(part, "timeoutMs", within, i64::from(i32::MIN), i64::from(i32::MAX))? else {
        return Ok(None);
    };
    Ok(Some(match u64::try_from(number) {
        Err(_) => HostWait::Forever,
        Ok(0) => HostWait::None,
        Ok(number) => HostWait::For(Duration::from_millis(number)),
    }))
}

/// A whole number between two others, if it is there at all.
fn integer(part: &Document, key: &str, within: &str, least: i64, most: i64) -> Result<Option<i64>, ConfigError> {
    let Some(value) = part.get(key) else { return Ok(None) };
    let key = || format!("{within}{key}");
    match value.as_integer() {
        Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
        Some(found) => Err(ConfigError::OutOfRange { key: key(), least, most, found }),
        None => Err(ConfigError::WrongType { key: key(), expected: "a number", found: value.kind() }),
    }
}

fn differences(within: &str, before: &Document, after: &Document, into: &mut Vec<Change>) {
    let gone = before.iter().filter(|(key, _)| after.get(key).is_none()).map(|(key, value)| (key, Some(value), None));
    let here = after.iter().map(|(key, value)| (key, before.get(key), Some(value)));
    for (key, before, after) in gone.chain(here) {
        let key = format!("{within}{key}");
        match (before, after) {
            (Some(Value::Document(before)), Some(Value::Document(after))) => {
                differences(&format!("{key}."), before, after, into);
            }
            (before, after) if before != after => {
                into.push(Change { key, before: before.cloned(), after: after.cloned() });
            }
            _ => {}
        }
    }
}
