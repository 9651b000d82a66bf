//! Responses of a camera (bootloader.md 3.2).

use super::error::MessageError;
use super::layout::{ERROR_BYTES, Reader, Writer, command};
use super::types::{AnnouncedData, ApplicationDetails, BootloaderType, Memory, MemoryDetails};
use crate::bootloader::version::Version;

/// Lengths of text fields, with the terminating zero.
const COMMIT_BYTES: usize = 64;
const FIRMWARE_VERSION_BYTES: usize = 256;
const APPLICATION_NAME_BYTES: usize = 4096;
const MEMORY_INFO_BYTES: usize = 512;

/// A response. `Err` carries the camera's error text.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // The fields have the names of the vendor's structures.
pub enum Response {
    /// Result of a write.
    FlashComplete(Result<(), String>),
    /// Progress of a write, 0 to 1.
    Progress(f32),
    Version(Version),
    Type(BootloaderType),
    /// The configuration follows.
    Config(Result<AnnouncedData, String>),
    BootApplication(Result<(), String>),
    Commit(String),
    /// The read data follows.
    ReadFlash(Result<AnnouncedData, String>),
    Application(Result<ApplicationDetails, String>),
    /// `None` when the camera does not have the memory.
    MemoryDetails(Option<MemoryDetails>),
    IsUserBootloader(bool),
    /// Response to `NO_OP`, and to every request that the bootloader does not support.
    NoOp {
        invalid: bool,
    },
}

impl Response {
    /// Returns the vendor's name of the response.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::FlashComplete(_) => "FLASH_COMPLETE",
            Self::Progress(_) => "FLASH_STATUS_UPDATE",
            Self::Version(_) => "BOOTLOADER_VERSION",
            Self::Type(_) => "BOOTLOADER_TYPE",
            Self::Config(_) => "GET_BOOTLOADER_CONFIG",
            Self::BootApplication(_) => "BOOT_APPLICATION",
            Self::Commit(_) => "BOOTLOADER_COMMIT",
            Self::ReadFlash(_) => "READ_FLASH",
            Self::Application(_) => "APPLICATION_DETAILS",
            Self::MemoryDetails(_) => "MEMORY_DETAILS",
            Self::IsUserBootloader(_) => "IS_USER_BOOTLOADER",
            Self::NoOp { .. } => "NO_OP",
        }
    }

    /// Returns the packet like a bootloader sends it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::FlashComplete(result) => out.u32(0).result(result.as_ref().err()),
            Self::Progress(share) => out.u32(1).u32(share.to_bits()),
            Self::Version(Version { major, minor, patch }) => out.u32(2).u32(*major).u32(*minor).u32(*patch),
            Self::Type(kind) => out.u32(3).i32(kind.number()),
            Self::Config(result) => out.u32(4).announced(result),
            Self::BootApplication(result) => out.u32(6).result(result.as_ref().err()),
            Self::Commit(commit) => out.u32(7).text(commit, COMMIT_BYTES),
            Self::ReadFlash(result) => out.u32(8).announced(result),
            Self::Application(result) => {
                let details = result.clone().unwrap_or_default();
                out.u32(9).result(result.as_ref().err());
                out.u32(details.present.into());
                out.u32(details.firmware_version.is_some().into()).u32(details.name.is_some().into());
                out.text(&details.firmware_version.unwrap_or_default(), FIRMWARE_VERSION_BYTES);
                out.text(&details.name.unwrap_or_default(), APPLICATION_NAME_BYTES)
            }
            Self::MemoryDetails(details) => {
                let none = MemoryDetails { memory: Memory::Auto, size: 0, info: String::new() };
                let MemoryDetails { memory, size, info } = details.as_ref().unwrap_or(&none);
                out.u32(10).u32(details.is_some().into()).i32(memory.number()).u32(0).i64(*size);
                out.text(info, MEMORY_INFO_BYTES)
            }
            Self::IsUserBootloader(is) => out.u32(11).u32((*is).into()),
            Self::NoOp { invalid } => out.u32(12).u32((*invalid).into()),
        };
        out.0
    }

    /// Parses a packet of a camera. Bytes after the structure are ignored.
    ///
    /// # Errors
    /// When the packet is not a response.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let command = command(bytes)?;
        let structure = |name, expected| Reader::new(bytes, name, expected);
        Ok(match command {
            0 => Self::FlashComplete(structure("FLASH_COMPLETE", 8 + ERROR_BYTES)?.result()),
            1 => Self::Progress(f32::from_bits(structure("FLASH_STATUS_UPDATE", 8)?.u32(4))),
            2 => {
                let read = structure("BOOTLOADER_VERSION", 16)?;
                Self::Version(Version::new(read.u32(4), read.u32(8), read.u32(12)))
            }
            3 => {
                let read = structure("BOOTLOADER_TYPE", 8)?;
                let kind = BootloaderType::from_number(read.i32(4));
                Self::Type(kind.ok_or_else(|| read.invalid("bootloader type", read.u32(4)))?)
            }
            4 => Self::Config(structure("GET_BOOTLOADER_CONFIG", 80)?.announced()),
            6 => Self::BootApplication(structure("BOOT_APPLICATION", 8 + ERROR_BYTES)?.result()),
            7 => Self::Commit(structure("BOOTLOADER_COMMIT", 4 + COMMIT_BYTES)?.text(4, COMMIT_BYTES)),
            8 => Self::ReadFlash(structure("READ_FLASH", 80)?.announced()),
            9 => {
                let read = structure("APPLICATION_DETAILS", 84 + FIRMWARE_VERSION_BYTES + APPLICATION_NAME_BYTES)?;
                Self::Application(read.result().map(|()| ApplicationDetails {
                    present: read.u32(72) != 0,
                    firmware_version: (read.u32(76) != 0).then(|| read.text(84, FIRMWARE_VERSION_BYTES)),
                    name: (read.u32(80) != 0).then(|| read.text(340, APPLICATION_NAME_BYTES)),
                }))
            }
            10 => {
                let read = structure("MEMORY_DETAILS", 24 + MEMORY_INFO_BYTES)?;
                let details = if read.u32(4) == 0 {
                    None
                } else {
                    let memory = Memory::from_number(read.i32(8)).ok_or_else(|| read.invalid("memory", read.u32(8)))?;
                    Some(MemoryDetails { memory, size: read.i64(16), info: read.text(24, MEMORY_INFO_BYTES) })
                };
                Self::MemoryDetails(details)
            }
            11 => Self::IsUserBootloader(structure("IS_USER_BOOTLOADER", 8)?.u32(4) != 0),
            12 => Self::NoOp { invalid: structure("NO_OP", 8)?.u32(4) != 0 },
            unknown => return Err(MessageError::UnknownCommand(unknown)),
        })
    }
}
