//! Values in requests and responses.

use std::fmt;
use std::str::FromStr;

/// A memory of the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Memory {
    /// The camera chooses.
    Auto,
    /// The NOR flash.
    Flash,
    /// The eMMC, if the camera has one.
    Emmc,
}

/// The type of a bootloader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BootloaderType {
    /// Any type.
    Auto,
    /// For cameras with USB.
    Usb,
    /// For cameras with Ethernet.
    Network,
}

/// The image that an `UPDATE_FLASH` request writes. The discriminants are the vendor's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Storage {
    /// An application package. The camera checks its table and checksums.
    Application,
    /// The factory bootloader.
    Bootloader,
}

/// The header that tells the processor's ROM how to boot from flash. The discriminants are the vendor's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The vendor's names.
pub enum BootHeader {
    Gpio,
    UsbRecovery,
    Normal,
    Fast,
}

/// Size of the data that follows a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnouncedData {
    /// Size in bytes.
    pub total: u32,
    /// Number of packets.
    pub packets: u32,
}

/// The application in a memory, as reported by the bootloader.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ApplicationDetails {
    /// `true` if the memory has an application.
    pub present: bool,
    /// Version of its firmware.
    pub firmware_version: Option<String>,
    /// Name of the application.
    pub name: Option<String>,
}

/// Details of a memory.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MemoryDetails {
    /// The memory.
    pub memory: Memory,
    /// Size in bytes.
    pub size: i64,
    /// Description by the camera, such as `JEDEC ID: EF 70 21`.
    pub info: String,
}

impl Memory {
    /// Returns the vendor's number.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Auto => -1,
            Self::Flash => 0,
            Self::Emmc => 1,
        }
    }

    /// Returns the memory with this number, -1 to 1.
    #[must_use]
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            -1 => Some(Self::Auto),
            0 => Some(Self::Flash),
            1 => Some(Self::Emmc),
            _ => None,
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Flash => "flash",
            Self::Emmc => "emmc",
        })
    }
}

impl FromStr for Memory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "flash" => Ok(Self::Flash),
            "emmc" => Ok(Self::Emmc),
            _ => Err(format!("invalid memory `{text}`: expected auto, flash or emmc")),
        }
    }
}

impl BootloaderType {
    /// Returns the vendor's number.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Auto => -1,
            Self::Usb => 0,
            Self::Network => 1,
        }
    }

    /// Returns the type with this number, -1 to 1.
    #[must_use]
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            -1 => Some(Self::Auto),
            0 => Some(Self::Usb),
            1 => Some(Self::Network),
            _ => None,
        }
    }
}

impl fmt::Display for BootloaderType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Usb => "usb",
            Self::Network => "network",
        })
    }
}
