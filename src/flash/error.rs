//! Refusals before the first step, and failures of a step.

use std::fmt;

use super::step::Region;
use crate::bootloader::{BootloaderType, ClientError, Memory, MemoryDetails, SettingsError, Stopped, Version, map};

/// The action that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Querying the camera; nothing was changed.
    Ask,
    /// Writing this area.
    Write(Region),
    /// Reading this area back.
    ReadBack(Region),
    /// Changing the configuration.
    Configure,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask => f.write_str("querying the camera"),
            Self::Write(region) => write!(f, "writing {region}"),
            Self::ReadBack(region) => write!(f, "reading {region} back"),
            Self::Configure => f.write_str("writing the configuration"),
        }
    }
}

/// All reasons for not writing to a camera.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Refusal(pub Vec<Objection>);

/// One reason for not writing to a camera.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Objection {
    /// Not the bootloader of a PoE camera.
    #[error("the camera has a bootloader of type {found}; expected type network, which flashes over the network")]
    Type {
        /// The type that the camera reports.
        found: BootloaderType,
    },
    /// The bootloader cannot report memory sizes or read memory.
    #[error(
        "the camera's bootloader is {has}; expected {needs} or newer, which reports the size of the memory and reads it back. \
             Update it with `oaktap bootloader CAMERA update`"
    )]
    TooOld {
        /// The camera's version.
        has: Version,
        /// The oldest version that is sufficient.
        needs: Version,
    },
    /// The camera does not have the memory.
    #[error("the camera has no {memory} memory; it has {has}")]
    NoMemory {
        /// The memory that was asked for.
        memory: Memory,
        /// The memories that the camera has.
        has: String,
    },
    /// The package does not fit. Cameras were bricked by this (bootloader.md 3.4).
    #[error(
        "the package has {package} bytes, and the {memory} memory has room for {room} ({size} less the first {} of the bootloader){}",
        map::APPLICATION,
        if *compressed {
            ": its firmware is compressed already, so use a smaller model or another memory"
        } else {
            "; a package with compressed firmware is smaller"
        }
    )]
    TooLarge {
        /// Bytes of the package.
        package: u64,
        /// Bytes for applications.
        room: i64,
        /// Bytes of the memory.
        size: i64,
        /// The memory.
        memory: Memory,
        /// The firmware of the package is compressed.
        compressed: bool,
    },
    /// Firmware of another processor.
    #[error("the package's firmware begins with {found}; expected \"MA2x\" (Myriad X): it is for another platform")]
    Platform {
        /// Its first bytes.
        found: String,
    },
}

impl Objection {
    pub(super) fn no_memory(memory: Memory, memories: &[MemoryDetails]) -> Self {
        let has: Vec<_> = memories.iter().map(|details| details.memory.to_string()).collect();
        let has = if has.is_empty() { "none that it reports".to_owned() } else { has.join(" and ") };
        Self::NoMemory { memory, has }
    }
}

/// A refusal, or the failure of a step.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FlashError {
    /// Refused before the first step.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The connection failed, or the camera refused.
    #[error("{phase}: {error}")]
    Camera {
        /// The action that failed.
        phase: Phase,
        /// The cause.
        error: ClientError,
    },
    /// The user stopped the session.
    #[error("stopped at byte {} of {} while {phase}; {}", at.byte, at.total, describe_stopped(*phase, *at))]
    Stopped {
        /// The action that was stopped.
        phase: Phase,
        /// How far it was.
        at: Stopped,
    },
    /// A byte that was read is not the byte that was written.
    #[error(
        "{phase}: byte {at} {place} is {found:#04x} in the {memory} memory, expected {expected:#04x}, although the camera \
             reported success"
    )]
    Differs {
        /// The action that failed.
        phase: Phase,
        /// Bytes from the beginning of the area.
        at: u32,
        /// The section or the image that the byte belongs to.
        place: String,
        /// The memory that was read.
        memory: Memory,
        /// The byte that was read.
        found: u8,
        /// The byte that was written.
        expected: u8,
        /// The application that differs was erased.
        erased: bool,
    },
    /// The camera sent another number of bytes than it was asked for.
    #[error("{phase}: received {found} bytes from offset {offset:#x} of the {memory} memory, expected {expected}")]
    Short {
        /// The action that failed.
        phase: Phase,
        /// The memory that was read.
        memory: Memory,
        /// Bytes from the beginning of the memory.
        offset: u32,
        /// Bytes that were received.
        found: usize,
        /// Bytes that were requested.
        expected: u32,
    },
    /// The configuration in the camera cannot be parsed, or is not what was written.
    #[error("{phase}: {error}")]
    Configuration {
        /// The action that failed.
        phase: Phase,
        /// The cause.
        error: SettingsError,
    },
}

impl FlashError {
    /// The action that failed.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self {
            Self::Refused(_) => Phase::Ask,
            Self::Camera { phase, .. }
            | Self::Stopped { phase, .. }
            | Self::Differs { phase, .. }
            | Self::Short { phase, .. }
            | Self::Configuration { phase, .. } => *phase,
        }
    }

    /// Returns `true` if oaktap or the camera refused, and `false` if something failed.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Camera { error, .. } => error.is_refusal(),
            _ => false,
        }
    }

    /// The state of the camera, and the next thing to do.
    #[must_use]
    pub fn help(&self) -> String {
        // The text of a stop contains the state.
        if let Self::Stopped { .. } = self {
            return "run the command again for this camera".to_owned();
        }
        let next = match (self.phase(), self) {
            (Phase::Ask, Self::Configuration { .. }) => {
                "; `oaktap network CAMERA clear` deletes a damaged configuration"
            }
            (Phase::Ask, _) => "",
            (Phase::Write(Region::Application), _) => ", so run the command again for this camera",
            (Phase::ReadBack(Region::Application), Self::Differs { erased: false, .. }) => {
                "; flash it again, or erase it with `oaktap erase CAMERA`; if the same byte differs again, the memory is worn \
                 or damaged"
            }
            (Phase::ReadBack(_), Self::Differs { .. }) => {
                "; run the command again for this camera; if the same byte differs again, the memory is worn or damaged"
            }
            (Phase::Configure, Self::Configuration { error: SettingsError::Config(_), .. }) => {
                "; `oaktap network CAMERA show` shows the configuration, `oaktap network CAMERA clear` deletes a damaged one"
            }
            _ => "; run the command again for this camera",
        };
        format!("{}{next}", self.camera_has())
    }

    /// What the camera has after the failure.
    #[must_use]
    pub fn camera_has(&self) -> &'static str {
        match (self.phase(), self) {
            (phase, Self::Stopped { at, .. }) => describe_stopped(phase, *at),
            (Phase::Ask, _) => "nothing was changed in the camera",
            (Phase::Write(Region::Application), _) => {
                "the camera may be without an application now; its bootloader and its settings are unchanged"
            }
            (Phase::Write(Region::ApplicationTable), _) => "the camera may still have its application",
            (Phase::Write(Region::UserBootloader), _) => "the factory bootloader is unchanged",
            (Phase::Write(Region::FactoryBootloader), _) => {
                "do not switch the camera off: its bootloader is incomplete"
            }
            (Phase::ReadBack(Region::Application), Self::Differs { erased: true, .. }) => {
                "the damaged application was erased, so the camera has none now; its bootloader and its settings are unchanged"
            }
            (Phase::ReadBack(Region::Application), Self::Differs { .. }) => {
                "the camera has a damaged application now, and boots it; its bootloader and its settings are unchanged"
            }
            (Phase::ReadBack(_), Self::Differs { .. }) => "the data was written, and is not what was sent",
            (Phase::ReadBack(_), _) => "the data was written but not verified",
            (Phase::Configure, _) => "all steps before this one succeeded",
        }
    }
}

impl FlashError {
    /// Notes that the application that differs was erased.
    pub(super) fn erased(mut self) -> Self {
        if let Self::Differs { erased, .. } = &mut self {
            *erased = true;
        }
        self
    }

    /// Counts a stop from the beginning of an area of `total` bytes, of which a block at `from` was read.
    pub(super) fn in_block(mut self, from: u64, total: u64) -> Self {
        if let Self::Stopped { at, .. } = &mut self {
            (at.byte, at.total) = (at.byte + from, total);
        }
        self
    }
}

/// Describes what the camera has after a stop. The camera writes nothing before it has all data (bootloader.md 8).
fn describe_stopped(phase: Phase, at: Stopped) -> &'static str {
    match (phase, at.sent) {
        (Phase::Ask, _) | (Phase::Write(Region::ApplicationTable), false) => "nothing was changed in the camera",
        (Phase::Write(Region::Application), false) => {
            "nothing was written: the camera has the application that it had before"
        }
        (Phase::Write(Region::Application), true) => {
            "the camera has no application now; its bootloader and its settings are unchanged"
        }
        (Phase::Write(Region::ApplicationTable), true) => "the camera has no application now, which was not verified",
        (Phase::Write(Region::UserBootloader), false) => {
            "nothing was written: the camera has the bootloaders that it had before"
        }
        (Phase::Write(Region::UserBootloader), true) => {
            "the user bootloader is incomplete, so the camera boots its factory bootloader, which is unchanged"
        }
        // Held back until it is right, see `Caller::hold`.
        (Phase::Write(Region::FactoryBootloader) | Phase::ReadBack(Region::FactoryBootloader), _) => {
            "the factory bootloader was written, and not verified"
        }
        (Phase::ReadBack(Region::Application), _) => "the camera has the new application, which was not verified",
        (Phase::ReadBack(Region::ApplicationTable), _) => "the camera has no application now, which was not verified",
        (Phase::ReadBack(Region::UserBootloader), _) => {
            "the user bootloader was written, and not verified; the camera boots the bootloader that it booted before"
        }
        (Phase::Configure, _) => "all steps before this one succeeded; the settings are unchanged",
    }
}

/// Adds the action to an error of the camera.
pub(super) fn during(phase: Phase) -> impl Fn(ClientError) -> FlashError {
    move |error| match error {
        ClientError::Stopped(at) => FlashError::Stopped { phase, at },
        error => FlashError::Camera { phase, error },
    }
}

/// Adds the action to an error of the configuration.
pub(super) fn configuration(phase: Phase) -> impl Fn(SettingsError) -> FlashError {
    move |error| match error {
        SettingsError::Camera(error) => during(phase)(error),
        error => FlashError::Configuration { phase, error },
    }
}
