//! What a camera answers (bootloader.md 3.2).

use super::layout::{ERROR, Reader, Writer, command};
use super::{Announced, ApplicationDetails, Memory, MemoryDetails, MessageError, Type};
use crate::bootloader::Version;

/// Lengths of texts, with the zero behind them.
const COMMIT: usize = 64;
const FIRMWARE_VERSION: usize = 256;
const APPLICATION_NAME: usize = 4096;
const MEMORY_INFO: usize = 512;
const TYPES: [(i32, Type); 3] = [(-1, Type::Auto), (0, Type::Usb), (1, Type::Network)];

/// What the camera answers.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // The fields have the names of the vendor's structures.
pub enum Response {
    /// It is done, or it failed, with the camera's own words.
    FlashComplete(Result<(), String>),
    /// So much of it is done, from 0 to 1.
    Progress(f32),
    Version(Version),
    Type(Type),
    /// The configuration follows in so many bytes and packets.
    Config(Result<Announced, String>),
    BootApplication(Result<(), String>),
    Commit(String),
    /// What was read follows.
    ReadFlash(Result<Announced, String>),
    Application(Result<ApplicationDetails, String>),
    /// `None`: there is no such memory.
    MemoryDetails(Option<MemoryDetails>),
    IsUserBootloader(bool),
    /// It did nothing; if it was asked for something, that is an operation which it does not know.
    NoOp {
        invalid: bool,
    },
}

impl Response {
    /// The vendor's name of it.
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

    /// The packet, as a bootloader sends it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::FlashComplete(result) => out.u32(0).result(result.as_ref().err()),
            Self::Progress(share) => out.u32(1).u32(share.to_bits()),
            Self::Version(Version { major, minor, patch }) => out.u32(2).u32(*major).u32(*minor).u32(*patch),
            Self::Type(of) => {
                out.u32(3).i32(TYPES.iter().find(|(_, other)| other == of).map_or(-1, |(number, _)| *number))
            }
            Self::Config(result) => out.u32(4).announced(result),
            Self::BootApplication(result) => out.u32(6).result(result.as_ref().err()),
            Self::Commit(commit) => out.u32(7).text(commit, COMMIT),
            Self::ReadFlash(result) => out.u32(8).announced(result),
            Self::Application(result) => {
                let details = result.clone().unwrap_or_default();
                out.u32(9).result(result.as_ref().err());
                out.u32(details.present.into());
                out.u32(details.firmware_version.is_some().into()).u32(details.name.is_some().into());
                out.text(&details.firmware_version.unwrap_or_default(), FIRMWARE_VERSION);
                out.text(&details.name.unwrap_or_default(), APPLICATION_NAME)
            }
            Self::MemoryDetails(details) => {
                let none = MemoryDetails { memory: Memory::Auto, size: 0, info: String::new() };
                let MemoryDetails { memory, size, info } = details.as_ref().unwrap_or(&none);
                out.u32(10).u32(details.is_some().into()).i32(memory.number()).u32(0).i64(*size);
                out.text(info, MEMORY_INFO)
            }
            Self::IsUserBootloader(is) => out.u32(11).u32((*is).into()),
            Self::NoOp { invalid } => out.u32(12).u32((*invalid).into()),
        };
        out.0
    }

    /// Reads a packet of a camera.
    ///
    /// # Errors
    /// It is no response.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let command = command(bytes)?;
        let length = |name, expected| Reader::new(bytes, name, expected);
        Ok(match command {
            0 => Self::FlashComplete(length("FLASH_COMPLETE", 8 + ERROR)?.result()),
            1 => Self::Progress(f32::from_bits(length("FLASH_STATUS_UPDATE", 8)?.u32(4))),
            2 => {
                let read = length("BOOTLOADER_VERSION", 16)?;
                Self::Version(Version::new(read.u32(4), read.u32(8), read.u32(12)))
            }
            3 => {
                let read = length("BOOTLOADER_TYPE", 8)?;
                let found = TYPES.iter().find(|(number, _)| *number == read.i32(4));
                Self::Type(found.ok_or_else(|| read.meaningless("type of a bootloader", read.u32(4)))?.1)
            }
            4 => Self::Config(length("GET_BOOTLOADER_CONFIG", 80)?.announced()),
            6 => Self::BootApplication(length("BOOT_APPLICATION", 8 + ERROR)?.result()),
            7 => Self::Commit(length("BOOTLOADER_COMMIT", 4 + COMMIT)?.text(4, COMMIT)),
            8 => Self::ReadFlash(length("READ_FLASH", 80)?.announced()),
            9 => {
                let read = length("APPLICATION_DETAILS", 84 + FIRMWARE_VERSION + APPLICATION_NAME)?;
                Self::Application(read.result().map(|()| ApplicationDetails {
                    present: read.u32(72) != 0,
                    firmware_version: (read.u32(76) != 0).then(|| read.text(84, FIRMWARE_VERSION)),
                    name: (read.u32(80) != 0).then(|| read.text(340, APPLICATION_NAME)),
                }))
            }
            10 => {
                let read = length("MEMORY_DETAILS", 24 + MEMORY_INFO)?;
                let details = if read.u32(4) == 0 {
                    None
                } else {
                    let memory =
                        Memory::from_number(read.i32(8)).ok_or_else(|| read.meaningless("memory", read.u32(8)))?;
                    Some(MemoryDetails { memory, size: read.i64(16), info: read.text(24, MEMORY_INFO) })
                };
                Self::MemoryDetails(details)
            }
            11 => Self::IsUserBootloader(length("IS_USER_BOOTLOADER", 8)?.u32(4) != 0),
            12 => Self::NoOp { invalid: length("NO_OP", 8)?.u32(4) != 0 },
            unknown => return Err(MessageError::Unknown(unknown)),
        })
    }
}
