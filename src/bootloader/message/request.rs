//! What a host asks (bootloader.md 3.1).

use super::layout::{Reader, Writer, command};
use super::{BootHeader, Memory, MessageError, Storage};
use crate::bootloader::Version;

const STORAGES: [Storage; 2] = [Storage::Application, Storage::Bootloader];
const BOOT_HEADERS: [BootHeader; 4] = [BootHeader::Gpio, BootHeader::UsbRecovery, BootHeader::Normal, BootHeader::Fast];

/// What a host asks. Lengths are in bytes; `packets` says in how many packets the data follows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The fields have the names of the vendor's structures.
pub enum Request {
    /// Boots the USB ROM.
    UsbRomBoot,
    /// Boots the application that is in the flash.
    BootApplication,
    /// Writes an application or the bootloader; data follows.
    UpdateFlash { storage: Storage, total: u32, packets: u32 },
    /// Which version are you?
    Version,
    /// Boots a firmware from memory; data follows, and no answer.
    BootMemory { total: u32, packets: u32 },
    /// Writes to any offset of a memory; data follows. Nothing is checked by the camera.
    WriteFlash { memory: Memory, offset: u32, total: u32, packets: u32 },
    /// Nothing.
    NoOp,
    /// Which type are you?
    Type,
    /// Writes the configuration (data follows) or clears it. An offset of -1 is the usual place.
    SetConfig { memory: Memory, offset: i64, clear: bool, total: u32, packets: u32 },
    /// Reads the configuration: at most so many bytes, 0 for all.
    GetConfig { memory: Memory, offset: i64, max: u32 },
    /// From which commit were you built?
    Commit,
    /// Writes the header that the processor's ROM reads.
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
    /// Which application is in this memory?
    Application { memory: Memory },
    /// How large is this memory?
    MemoryDetails { memory: Memory },
    /// Are you in the second slot?
    IsUserBootloader,
}

impl Request {
    /// The vendor's name of it.
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

    /// The first bootloader that knows it.
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

    /// The packet. Padding is zero, where the vendor sends what happens to be in memory.
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

    /// Reads a packet as a bootloader does.
    ///
    /// # Errors
    /// It is no request.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let command = command(bytes)?;
        let length = |name, expected| Reader::new(bytes, name, expected);
        Ok(match command {
            0 => Self::UsbRomBoot,
            1 => Self::BootApplication,
            2 => {
                let read = length("UPDATE_FLASH", 16)?;
                let storage = read.u32(4);
                let storage = STORAGES.get(storage as usize).ok_or_else(|| read.meaningless("storage", storage))?;
                Self::UpdateFlash { storage: *storage, total: read.u32(8), packets: read.u32(12) }
            }
            3 => Self::Version,
            4 => {
                let read = length("BOOT_MEMORY", 12)?;
                Self::BootMemory { total: read.u32(4), packets: read.u32(8) }
            }
            6 => {
                let read = length("UPDATE_FLASH_EX_2", 20)?;
                let (offset, total, packets) = (read.u32(8), read.u32(12), read.u32(16));
                Self::WriteFlash { memory: read.memory()?, offset, total, packets }
            }
            7 => Self::NoOp,
            8 => Self::Type,
            9 => {
                let read = length("SET_BOOTLOADER_CONFIG", 32)?;
                let (memory, offset) = (read.memory()?, read.i64(8));
                Self::SetConfig { memory, offset, clear: read.u32(16) != 0, total: read.u32(20), packets: read.u32(24) }
            }
            10 => {
                let read = length("GET_BOOTLOADER_CONFIG", 24)?;
                Self::GetConfig { memory: read.memory()?, offset: read.i64(8), max: read.u32(16) }
            }
            12 => Self::Commit,
            13 => {
                let read = length("UPDATE_FLASH_BOOT_HEADER", 40)?;
                let header = read.u32(4);
                let header =
                    BOOT_HEADERS.get(header as usize).ok_or_else(|| read.meaningless("boot header", header))?;
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
                let read = length("READ_FLASH", 16)?;
                Self::ReadFlash { memory: read.memory()?, offset: read.u32(8), total: read.u32(12) }
            }
            15 => Self::Application { memory: length("GET_APPLICATION_DETAILS", 8)?.memory()? },
            16 => Self::MemoryDetails { memory: length("GET_MEMORY_DETAILS", 8)?.memory()? },
            17 => Self::IsUserBootloader,
            unknown => return Err(MessageError::Unknown(unknown)),
        })
    }
}
