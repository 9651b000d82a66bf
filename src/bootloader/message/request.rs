//! Requests of a host (bootloader.md 3.1).

use super::error::MessageError;
use super::fields::{BootHeader, Memory, Storage};
use super::layout::{Reader, Writer, command};
use crate::bootloader::version::Version;

/// Largest configuration that is accepted. Its place in flash has 16 KiB; future bootloaders may have more.
const MAX_CONFIG_BYTES: u32 = 1 << 20;

const STORAGES: [Storage; 2] = [Storage::Application, Storage::Bootloader];
const BOOT_HEADERS: [BootHeader; 4] = [BootHeader::Gpio, BootHeader::UsbRecovery, BootHeader::Normal, BootHeader::Fast];

/// A request. Lengths are in bytes; `packets` is the number of data packets that follow the request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The fields have the names of the vendor's structures.
pub enum Request {
    /// Boots the processor's ROM for USB.
    UsbRomBoot,
    /// Boots the flashed application.
    BootApplication,
    /// Writes an application or the bootloader. Data follows.
    UpdateFlash { storage: Storage, total: u32, packets: u32 },
    /// Reads the version.
    Version,
    /// Boots a firmware from RAM. Data follows; there is no response.
    BootMemory { total: u32, packets: u32 },
    /// Writes to any offset of a memory. Data follows; the camera does not check it.
    WriteFlash { memory: Memory, offset: u32, total: u32, packets: u32 },
    /// Does nothing.
    NoOp,
    /// Reads the type.
    Type,
    /// Writes the configuration (data follows) or clears it. Offset -1 is the default place.
    SetConfig { memory: Memory, offset: i64, clear: bool, total: u32, packets: u32 },
    /// Reads at most `max` bytes of the configuration, 0 for all. Offset -1 is the default place.
    GetConfig { memory: Memory, offset: i64, max: u32 },
    /// Reads the commit that the bootloader was built from.
    Commit,
    /// Writes the boot header, which the processor's ROM reads.
    UpdateBootHeader {
        header: BootHeader,
        offset: i64,
        location: i64,
        dummy_cycles: i32,
        frequency: i32,
        gpio_mode: i32,
    },
    /// Reads from any offset of a memory.
    ReadFlash { memory: Memory, offset: u32, total: u32 },
    /// Reads the details of the application in a memory.
    Application { memory: Memory },
    /// Reads the size and description of a memory.
    MemoryDetails { memory: Memory },
    /// Reads whether the running bootloader is the user bootloader.
    IsUserBootloader,
}

impl Request {
    /// Returns the vendor's name of the request.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::UsbRomBoot => "USB_ROM_BOOT",
            Self::BootApplication => "BOOT_APPLICATION",
            Self::UpdateFlash { .. } => "UPDATE_FLASH",
            Self::Version => "GET_BOOTLOADER_VERSION",
            Self::BootMemory { .. } => "BOOT_MEMORY",
            Self::WriteFlash { .. } => "UPDATE_FLASH_EX_2",
            Self::NoOp => "NO_OP",
            Self::Type => "GET_BOOTLOADER_TYPE",
            Self::SetConfig { .. } => "SET_BOOTLOADER_CONFIG",
            Self::GetConfig { .. } => "GET_BOOTLOADER_CONFIG",
            Self::Commit => "GET_BOOTLOADER_COMMIT",
            Self::UpdateBootHeader { .. } => "UPDATE_FLASH_BOOT_HEADER",
            Self::ReadFlash { .. } => "READ_FLASH",
            Self::Application { .. } => "GET_APPLICATION_DETAILS",
            Self::MemoryDetails { .. } => "GET_MEMORY_DETAILS",
            Self::IsUserBootloader => "IS_USER_BOOTLOADER",
        }
    }

    /// Returns the first bootloader version that supports the request.
    #[must_use]
    pub const fn since(&self) -> Version {
        match self {
            Self::UsbRomBoot | Self::BootApplication | Self::UpdateFlash { .. } | Self::Version | Self::NoOp => {
                Version::new(0, 0, 2)
            }
            Self::BootMemory { .. } | Self::WriteFlash { .. } | Self::Type => Version::new(0, 0, 12),
            Self::SetConfig { .. } | Self::GetConfig { .. } => Version::new(0, 0, 14),
            Self::Commit => Version::new(0, 0, 18),
            Self::UpdateBootHeader { .. }
            | Self::ReadFlash { .. }
            | Self::Application { .. }
            | Self::MemoryDetails { .. } => Version::new(0, 0, 19),
            Self::IsUserBootloader => Version::new(0, 0, 21),
        }
    }

    /// Returns the packet. Padding is zero; the vendor's client sends uninitialized memory there.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match *self {
            Self::UsbRomBoot => out.u32(0),
            Self::BootApplication => out.u32(1),
            Self::UpdateFlash { storage, total, packets } => out.u32(2).u32(storage as u32).u32(total).u32(packets),
            Self::Version => out.u32(3),
            Self::BootMemory { total, packets } => out.u32(4).u32(total).u32(packets),
            Self::WriteFlash { memory, offset, total, packets } => {
                out.u32(6).i32(memory.number()).u32(offset).u32(total).u32(packets)
            }
            Self::NoOp => out.u32(7),
            Self::Type => out.u32(8),
            Self::SetConfig { memory, offset, clear, total, packets } => {
                out.u32(9).i32(memory.number()).i64(offset).u32(clear.into()).u32(total).u32(packets).u32(0)
            }
            Self::GetConfig { memory, offset, max } => out.u32(10).i32(memory.number()).i64(offset).u32(max).u32(0),
            Self::Commit => out.u32(12),
            Self::UpdateBootHeader { header, offset, location, dummy_cycles, frequency, gpio_mode } => {
                out.u32(13).u32(header as u32).i64(offset).i64(location);
                out.i32(dummy_cycles).i32(frequency).i32(gpio_mode).u32(0)
            }
            Self::ReadFlash { memory, offset, total } => out.u32(14).i32(memory.number()).u32(offset).u32(total),
            Self::Application { memory } => out.u32(15).i32(memory.number()),
            Self::MemoryDetails { memory } => out.u32(16).i32(memory.number()),
            Self::IsUserBootloader => out.u32(17),
        };
        out.0
    }

    /// Parses a packet like a bootloader. Bytes after the structure are ignored.
    ///
    /// # Errors
    /// When the packet is not a request.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let command = command(bytes)?;
        let structure = |name, expected| Reader::new(bytes, name, expected);
        Ok(match command {
            0 => Self::UsbRomBoot,
            1 => Self::BootApplication,
            2 => {
                let read = structure("UPDATE_FLASH", 16)?;
                let storage = read.u32(4);
                let storage = STORAGES.get(storage as usize).ok_or_else(|| read.invalid("storage", storage))?;
                Self::UpdateFlash { storage: *storage, total: read.u32(8), packets: read.u32(12) }
            }
            3 => Self::Version,
            4 => {
                let read = structure("BOOT_MEMORY", 12)?;
                Self::BootMemory { total: read.u32(4), packets: read.u32(8) }
            }
            6 => {
                let read = structure("UPDATE_FLASH_EX_2", 20)?;
                let (offset, total, packets) = (read.u32(8), read.u32(12), read.u32(16));
                Self::WriteFlash { memory: read.memory()?, offset, total, packets }
            }
            7 => Self::NoOp,
            8 => Self::Type,
            9 => {
                let read = structure("SET_BOOTLOADER_CONFIG", 32)?;
                let (memory, offset) = (read.memory()?, read.i64(8));
                Self::SetConfig { memory, offset, clear: read.u32(16) != 0, total: read.u32(20), packets: read.u32(24) }
            }
            10 => {
                let read = structure("GET_BOOTLOADER_CONFIG", 24)?;
                Self::GetConfig { memory: read.memory()?, offset: read.i64(8), max: read.u32(16) }
            }
            12 => Self::Commit,
            13 => {
                let read = structure("UPDATE_FLASH_BOOT_HEADER", 40)?;
                let header = read.u32(4);
                let header = BOOT_HEADERS.get(header as usize).ok_or_else(|| read.invalid("boot header", header))?;
                Self::UpdateBootHeader {
                    header: *header,
                    offset: read.i64(8),
                    location: read.i64(16),
                    dummy_cycles: read.i32(24),
                    frequency: read.i32(28),
                    gpio_mode: read.i32(32),
                }
            }
            14 => {
                let read = structure("READ_FLASH", 16)?;
                Self::ReadFlash { memory: read.memory()?, offset: read.u32(8), total: read.u32(12) }
            }
            15 => Self::Application { memory: structure("GET_APPLICATION_DETAILS", 8)?.memory()? },
            16 => Self::MemoryDetails { memory: structure("GET_MEMORY_DETAILS", 8)?.memory()? },
            17 => Self::IsUserBootloader,
            unknown => return Err(MessageError::UnknownCommand(unknown)),
        })
    }

    /// Returns the limit of the data in a response.
    pub(in crate::bootloader) fn response_limit(&self) -> u64 {
        match self {
            Self::ReadFlash { total, .. } => u64::from(*total),
            Self::GetConfig { .. } => u64::from(MAX_CONFIG_BYTES),
            _ => 0,
        }
    }

    /// Returns the vendor's name of the response to a request.
    pub(in crate::bootloader) fn response_name(&self) -> &'static str {
        match self {
            Self::UpdateFlash { .. }
            | Self::WriteFlash { .. }
            | Self::SetConfig { .. }
            | Self::UpdateBootHeader { .. } => "FLASH_COMPLETE",
            Self::Version => "BOOTLOADER_VERSION",
            Self::Type => "BOOTLOADER_TYPE",
            Self::GetConfig { .. } => "GET_BOOTLOADER_CONFIG",
            Self::Commit => "BOOTLOADER_COMMIT",
            Self::ReadFlash { .. } => "READ_FLASH",
            Self::Application { .. } => "APPLICATION_DETAILS",
            Self::MemoryDetails { .. } => "MEMORY_DETAILS",
            Self::IsUserBootloader => "IS_USER_BOOTLOADER",
            Self::NoOp => "NO_OP",
            Self::BootApplication => "BOOT_APPLICATION",
            Self::UsbRomBoot | Self::BootMemory { .. } => "the end of the connection",
        }
    }
}
