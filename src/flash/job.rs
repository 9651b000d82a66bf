//! Carries out a [`Plan`]: writes, reads back, compares, and only then tells the camera to boot it.
//!
//! # Where it differs from the vendor's client
//!
//! Beside what [`crate::bootloader`] lists:
//!
//! * What is there already is not written again.
//! * What was written is read back and compared, byte by byte.
//! * `appMem` is set after that alone, in the memory where the application was found; if it has the value already,
//!   nothing is written; a failure is an error. The vendor sets it even when flashing failed, and hides errors.
//! * The configuration is changed element by element; the vendor's typed way loses what it does not know. Clearing it
//!   takes the network's part out, and leaves the memory to boot from.
//! * What is in a camera is asked memory by memory, each once, and its configuration is read too; the vendor's client
//!   asks for the usual memory as well, which is one of these.
//! * Before its configuration is touched, a bootloader is asked whether it is the one in the user's slot.

use std::time::Duration;

use super::plan::{Plan, Refusal};
use super::read_back;
use crate::bootloader::{BUDGET_BYTES, Caller, ClientError, Memory, Request, RequestData, SettingsError, Storage, map};
use crate::package::Section;

/// The first one tells how fast the link is.
const FIRST: u32 = 256 << 10;
/// A packet takes about so long on the link: the watchdog's pings stand behind at most one (bootloader.md 2.4).
const PACKET_TIME: f64 = 0.1;
/// Smaller packets gain nothing.
const SMALLEST_PACKET: u32 = 64 << 10;

/// What a job came to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Flashed {
    /// Whether anything was written: `false` when the same application was there.
    pub written: bool,
    /// Where every byte of it was found.
    pub memory: Memory,
    /// Whether the configuration was changed.
    pub settings_written: bool,
}

/// What the job was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Asking; nothing was changed.
    Ask,
    /// Writing the application.
    Write,
    /// Reading it back.
    Verify,
    /// Setting `appMem`.
    Settings,
}

/// Why a camera was not flashed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FlashError {
    /// The plan does not pass.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The camera cannot be talked to, or says no.
    #[error("{phase}: {error}")]
    Camera {
        /// What was being done.
        phase: Phase,
        /// What happened.
        error: ClientError,
    },
    /// What was read back is not what was written.
    #[error(
        "{phase}: byte {at} of the package ({place}) is {found:#04x} in the {memory} memory and should be {expected:#04x}, \
             although the camera said that it was written"
    )]
    Differs {
        /// What was being done.
        phase: Phase,
        /// Bytes from the beginning of the package.
        at: u32,
        /// The section that it belongs to.
        place: String,
        /// Where it was read.
        memory: Memory,
        /// What was read.
        found: u8,
        /// What should stand there.
        expected: u8,
    },
    /// The memory gave fewer bytes than were asked for.
    #[error(
        "{phase}: {found} bytes came from offset {offset:#x} of the {memory} memory, and {expected} were asked for"
    )]
    Short {
        /// What was being done.
        phase: Phase,
        /// Where it was read.
        memory: Memory,
        /// From where on.
        offset: u32,
        /// Bytes that came.
        found: usize,
        /// Bytes that were asked for.
        expected: u32,
    },
    /// The configuration was not changed as it should.
    #[error("setting the memory to boot from: {0}")]
    Settings(#[from] SettingsError),
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ask => "asking the camera",
            Self::Write => "writing the application",
            Self::Verify => "reading the application back",
            Self::Settings => "setting the memory to boot from",
        })
    }
}

impl FlashError {
    /// Whether the camera is well and does not want to, or must not.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Camera { error, .. } | Self::Settings(SettingsError::Camera(error)) => error.is_refusal(),
            _ => false,
        }
    }

    /// In which state the camera is, and what to do next.
    #[must_use]
    pub fn help(&self) -> &'static str {
        let phase = match self {
            Self::Refused(_) => Phase::Ask,
            Self::Camera { phase, .. } | Self::Differs { phase, .. } | Self::Short { phase, .. } => *phase,
            Self::Settings(_) => Phase::Settings,
        };
        match (phase, self) {
            (Phase::Ask, _) => "nothing was changed in the camera",
            (Phase::Write, _) => {
                "the camera may be without an application now; its bootloader and its settings are as they were, so run the \
                 same command again"
            }
            (Phase::Verify, Self::Differs { .. }) => {
                "run the same command again; if the same byte differs again, the memory is worn or damaged"
            }
            (Phase::Verify, _) => "the application may be whole, which nobody knows; run the same command again",
            (Phase::Settings, Self::Settings(SettingsError::Config(_))) => {
                "the application is written and proved; `oaktap network CAMERA show` shows the configuration, \
                 `oaktap network CAMERA clear` begins it anew"
            }
            (Phase::Settings, _) => "the application is written and proved; run the same command again",
        }
    }
}

/// An error of the camera, with what was being done.
pub(super) fn during(phase: Phase) -> impl Fn(ClientError) -> FlashError {
    move |error| FlashError::Camera { phase, error }
}

impl Plan {
    /// Does it.
    ///
    /// # Errors
    /// See [`FlashError`]; [`FlashError::help`] says what to do next.
    pub async fn carry_out(self, caller: &Caller) -> Result<Flashed, FlashError> {
        let link = self.measure(caller).await?;
        let written = self.force || !self.is_there(caller, &link).await?;
        let mut memory = self.memory;
        if written {
            caller.begin(format!("writing to the {} memory", self.memory));
            let (request, data) = self.request(&link);
            caller.write(request, data).await.map_err(during(Phase::Write))?;
            caller.begin("reading back");
            memory = self.find(caller).await?;
        }
        caller.begin("setting the memory to boot from");
        let settings_written = boot_from(caller, memory).await?;
        Ok(Flashed { written, memory, settings_written })
    }

    /// What is written, and how.
    fn request(&self, link: &LinkSpeed) -> (Request, RequestData) {
        let data = RequestData { bytes: self.package.shared_bytes(), packet: link.packet, window: link.window };
        let (total, packets) = (data.total(), data.packets());
        let request = match self.asked {
            // The camera checks the table and the sections of this one itself.
            Memory::Auto => Request::UpdateFlash { storage: Storage::Application, total, packets },
            memory => Request::WriteFlash { memory, offset: map::APPLICATION, total, packets },
        };
        (request, data)
    }

    async fn measure(&self, caller: &Caller) -> Result<LinkSpeed, FlashError> {
        let error = during(Phase::Ask);
        caller.begin("looking at what is there");
        // The shortest question tells the round trip.
        let start = caller.now();
        caller.ask(Request::Version).await.map_err(&error)?;
        let round_trip = caller.now().saturating_sub(start);
        let len = FIRST.min(u32::try_from(self.package.bytes().len()).unwrap_or(u32::MAX));
        let start = caller.now();
        let first = read_back::read(caller, Phase::Ask, self.memory, map::APPLICATION, len).await?;
        let took = caller.now().saturating_sub(start);
        Ok(LinkSpeed::new(round_trip, took, first))
    }

    /// Whether the same application is there, every byte of it.
    async fn is_there(&self, caller: &Caller, link: &LinkSpeed) -> Result<bool, FlashError> {
        if !self.package.bytes().starts_with(&link.first) {
            return Ok(false);
        }
        match self.compare(caller, Phase::Ask, self.memory).await {
            Ok(()) => Ok(true),
            Err(FlashError::Differs { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Where the application is. A camera that was not told where has chosen (bootloader.md 9.8).
    async fn find(&self, caller: &Caller) -> Result<Memory, FlashError> {
        let first = self.compare(caller, Phase::Verify, self.memory).await;
        let other =
            self.target.memories.iter().flatten().map(|details| details.memory).find(|memory| *memory != self.memory);
        match (first, other) {
            (Err(FlashError::Differs { .. }), Some(other)) if self.asked == Memory::Auto => {
                self.compare(caller, Phase::Verify, other).await.map(|()| other)
            }
            (result, _) => result.map(|()| self.memory),
        }
    }

    async fn compare(&self, caller: &Caller, phase: Phase, memory: Memory) -> Result<(), FlashError> {
        let place = |at| self.place(at);
        read_back::compare(caller, phase, memory, map::APPLICATION, self.package.bytes(), place).await
    }

    fn place(&self, at: u32) -> String {
        let inside = |section: &&Section| (u64::from(section.offset())..section.end()).contains(&u64::from(at));
        match self.package.sections().iter().find(inside) {
            Some(section) => format!("byte {} of section {}", at - section.offset(), section.name()),
            None if at < 512 => "in its table".to_owned(),
            None => "between its sections".to_owned(),
        }
    }
}

/// How data is sent so that the watchdog is served.
#[derive(Debug)]
struct LinkSpeed {
    packet: u32,
    window: u32,
    /// The bytes that were read to find out.
    first: Vec<u8>,
}

impl LinkSpeed {
    fn new(round_trip: Duration, took: Duration, first: Vec<u8>) -> Self {
        let transfer = took.saturating_sub(round_trip).as_secs_f64().max(1e-6);
        let bytes_per_s = first.len() as f64 / transfer;
        // Floats become the nearest number that there is.
        let packet = ((bytes_per_s * PACKET_TIME) as u32).clamp(SMALLEST_PACKET, BUDGET_BYTES);
        let ahead = bytes_per_s * round_trip.as_secs_f64();
        let window = (ahead as u32).saturating_add(2 * packet.min(BUDGET_BYTES / 2)).min(BUDGET_BYTES);
        Self { packet, window: window.max(packet), first }
    }
}

/// Sets the memory that the application is booted from, and keeps everything else. `false`: it was so already.
async fn boot_from(caller: &Caller, memory: Memory) -> Result<bool, SettingsError> {
    let mut settings = caller.settings().await?.unwrap_or_default();
    if settings.application_memory()? == Some(memory) {
        return Ok(false);
    }
    settings.set_application_memory(memory);
    caller.store_settings(&settings).await?;
    Ok(true)
}
