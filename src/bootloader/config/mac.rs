//! Ethernet addresses.

use std::fmt;
use std::str::FromStr;

use super::error::ConfigError;
use crate::bootloader::bson::{BsonDocument, BsonValue};

/// The Ethernet address of a device, in the text form `02:11:22:33:44:55`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac([u8; 6]);

/// Reason for rejecting an Ethernet address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MacError {
    /// The text is not an Ethernet address.
    #[error("invalid Ethernet address `{0}`: expected six pairs of hexadecimal digits, such as 02:11:22:33:44:55")]
    Text(String),
    /// The address is a group address or all zeros.
    #[error(
        "invalid Ethernet address {0}: expected an address of one device, with an even first byte and not all zeros"
    )]
    Group(String),
}

impl Mac {
    /// Creates an address.
    ///
    /// # Errors
    /// [`MacError::Group`].
    pub fn new(bytes: [u8; 6]) -> Result<Self, MacError> {
        let mac = Self(bytes);
        if bytes[0] & 1 != 0 || bytes == [0; 6] { Err(MacError::Group(mac.to_string())) } else { Ok(mac) }
    }

    /// Returns the bytes of the address.
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

/// Reads `network.mac`. `None` when it is missing or all zeros.
pub(super) fn read_mac(network: &BsonDocument) -> Result<Option<Mac>, ConfigError> {
    const KEY: &str = "network.mac";
    let wrong = |found| ConfigError::WrongType { key: KEY.to_owned(), expected: "an array of six bytes", found };
    let items = match network.get("mac") {
        None => return Ok(None),
        Some(BsonValue::Array(items)) if items.len() == 6 => items,
        Some(BsonValue::Array(_)) => return Err(wrong("an array of another length")),
        Some(other) => return Err(wrong(other.kind())),
    };
    let mut bytes = [0; 6];
    for (byte, item) in bytes.iter_mut().zip(items) {
        let number = item.as_integer().ok_or_else(|| wrong("an array of other values"))?;
        let range = |_| ConfigError::OutOfRange { key: KEY.to_owned(), least: 0, most: 255, found: number };
        *byte = u8::try_from(number).map_err(range)?;
    }
    // Not checked by `Mac::new`: another tool may have written an invalid address, which must still be shown.
    Ok((bytes != [0; 6]).then_some(Mac(bytes)))
}
