//! The steps of a change to a camera: printed by `--dry-run`, performed by [`super::carry_out`].

use std::fmt;
use std::sync::Arc;

use crate::bootloader::config::{Config, UserBootloader};
use crate::bootloader::{Memory, Request, RequestData, Storage, map};
use crate::package::{SectionTable, TABLE_BYTES};

/// An area of a camera's memory that is written as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// The package: table and sections.
    Application,
    /// The table of the package alone. A camera without it boots no application.
    ApplicationTable,
    /// The second bootloader slot, booted by the factory bootloader if its checksum is right.
    UserBootloader,
    /// The bootloader that the processor boots.
    FactoryBootloader,
}

impl Region {
    /// Names what byte `at` of the region belongs to.
    pub(super) fn place(self, expected: &[u8], at: u32) -> String {
        match self {
            Self::UserBootloader | Self::FactoryBootloader => "of the bootloader".to_owned(),
            Self::Application | Self::ApplicationTable => {
                let table = SectionTable::parse(expected).ok();
                let mut sections = table.iter().flat_map(SectionTable::sections);
                match sections.find(|section| (u64::from(section.offset())..section.end()).contains(&u64::from(at))) {
                    Some(section) => {
                        format!("of the package (byte {} of section {})", at - section.offset(), section.name())
                    }
                    None if (at as usize) < TABLE_BYTES => "of the package (in its table)".to_owned(),
                    None => "of the package (between its sections)".to_owned(),
                }
            }
        }
    }

    /// Bytes from the beginning of the memory.
    #[must_use]
    pub const fn offset(self) -> u32 {
        match self {
            Self::Application | Self::ApplicationTable => map::APPLICATION,
            Self::UserBootloader => map::USER_BOOTLOADER,
            Self::FactoryBootloader => map::BOOTLOADER,
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Application => "the application",
            Self::ApplicationTable => "the application's table",
            Self::UserBootloader => "the user bootloader",
            Self::FactoryBootloader => "the factory bootloader",
        })
    }
}

/// A change to the configuration. All other keys keep their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The memory to boot the application from. `None`: the memory in which the preceding [`Step::ReadBack`] found the
    /// application; nothing is written if it is set already.
    BootMemory(Option<Memory>),
    /// Size and checksum of the user bootloader. `None`: the camera boots its factory bootloader.
    UserBootloader(Option<UserBootloader>),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BootMemory(Some(memory)) => write!(f, "set `appMem` to {memory} in the configuration"),
            Self::BootMemory(None) => f.write_str(
                "set `appMem` in the configuration to the memory that holds the application, unless it is set already",
            ),
            Self::UserBootloader(Some(UserBootloader { size, checksum })) => {
                write!(f, "set `userBlSize` to {size} and `userBlChecksum` to {checksum:#010x} in the configuration")
            }
            Self::UserBootloader(None) => {
                f.write_str("set `userBlSize` and `userBlChecksum` to 0 in the configuration")
            }
        }
    }
}

/// One change to a camera, or the check of one.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends `request` and `data`, and waits until the camera reports success.
    Write {
        /// The area that is written.
        region: Region,
        /// The memory that is written. With [`Request::UpdateFlash`] the camera chooses it, and this one is expected.
        memory: Memory,
        /// The request that announces the data.
        request: Request,
        /// The bytes, and how they are cut into packets.
        data: RequestData,
    },
    /// Reads an area and compares every byte.
    ReadBack {
        /// The area that is read.
        region: Region,
        /// The memory that is read.
        memory: Memory,
        /// Read if `memory` differs: the camera chose where to write (bootloader.md 9.8).
        otherwise: Option<Memory>,
        /// The bytes that must be there.
        expected: Arc<[u8]>,
    },
    /// Writes the configuration with one changed setting, and reads it back.
    Configure {
        /// The change.
        setting: Setting,
        /// The camera's configuration before the change.
        config: Config,
    },
    /// Ends the session, which resets the camera.
    Reset,
}

impl Step {
    /// A write of `data` to `region`. With `asked` [`Memory::Auto`], `memory` is where it is expected to arrive.
    pub(super) fn write(region: Region, asked: Memory, memory: Memory, data: RequestData) -> Self {
        let (total, packets) = (data.total(), data.packets());
        let request = match (region, asked) {
            // The camera itself checks the table and the sections of an application that is written like this.
            (Region::Application, Memory::Auto) => {
                Request::UpdateFlash { storage: Storage::Application, total, packets }
            }
            (Region::FactoryBootloader, _) => Request::UpdateFlash { storage: Storage::Bootloader, total, packets },
            (_, memory) => Request::WriteFlash { memory, offset: region.offset(), total, packets },
        };
        Self::Write { region, memory, request, data }
    }

    /// The progress message for the time that the step takes.
    pub(super) fn progress(&self) -> Option<String> {
        Some(match self {
            Self::Write { region: Region::Application, memory, .. } => format!("writing to the {memory} memory"),
            Self::Write { region: region @ Region::FactoryBootloader, .. } => {
                format!("writing {region}: the camera must not lose power now")
            }
            Self::Write { region, .. } => format!("writing {region}"),
            Self::ReadBack { .. } => "reading back".to_owned(),
            Self::Configure { setting: Setting::BootMemory(_), .. } => "setting the memory to boot from".to_owned(),
            Self::Configure { setting: Setting::UserBootloader(Some(_)), .. } => {
                "setting the user bootloader to boot".to_owned()
            }
            Self::Configure { setting: Setting::UserBootloader(None), .. } => {
                "turning the user bootloader off".to_owned()
            }
            Self::Reset => return None,
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { region, memory, request, data } => {
                let (len, offset, name) = (data.bytes.len(), region.offset(), request.name());
                write!(f, "write {len} bytes at {offset:#x} of the {memory} memory ({name})")
            }
            Self::ReadBack { region, memory, otherwise, expected } => {
                let (len, offset) = (expected.len(), region.offset());
                write!(f, "read {len} bytes back at {offset:#x} of the {memory} memory")?;
                if let Some(otherwise) = otherwise {
                    write!(f, ", or else of the {otherwise} memory,")?;
                }
                f.write_str(" and compare every byte")
            }
            Self::Configure { setting, .. } => setting.fmt(f),
            Self::Reset => f.write_str("reset the camera"),
        }
    }
}
