//! What a camera is made of: its memories, what is in them, and which bootloader runs.

use super::application;
use super::config::{CameraConfig, Start};
use super::fault::{CameraFaults, Fault};
use super::map::{self, BOOT_HEADER, BOOTLOADER, FlashMap, USER_BOOTLOADER_SIZE};
use super::memory::{Memory, MemoryError};
use super::settings::Settings;
use crate::bootloader::{BootHeader, Memory as Which, Request, Version};
use crate::package::{MYRIAD_X, SectionTable, TABLE_BYTES, djb2};

/// The processor's own header is unknown (bootloader.md 3.4: the host never writes it). This stands in for it, with the
/// kind of boot behind it.
const HEADER: &[u8; 4] = b"boot";
const HEADER_SIZE: usize = 512;

/// Usual sizes (bootloader.md 3.4; 128 MiB is also what the vendor's client was shown in the transcripts).
const NOR: u64 = 128 << 20;
const EMMC: u64 = 16 << 30;

/// Since when the bootloader looks whether what is to be written fits. Reports of cameras that were bricked by images that
/// do not are of 2022 and of versions 0.0.1x (bootloader.md 8).
const LOOKS_FOR_SPACE: Version = Version::new(0, 0, 20);

/// Why a camera cannot be simulated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CameraError {
    /// A memory is not there, or too small for what has to be in it.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The package that is to be in it.
    #[error("{}: {error}", path.display())]
    Application {
        /// Where it should be.
        path: std::path::PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

/// The bootloader that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) version: Version,
    /// Whether it is the one in the user's slot.
    pub(super) of_the_user: bool,
}

#[derive(Debug)]
pub(super) struct Board {
    pub(super) config: CameraConfig,
    pub(super) faults: CameraFaults,
    pub(super) map: FlashMap,
    pub(super) running: Running,
    nor: Memory,
    emmc: Option<Memory>,
    /// The bootloader that is in the flash.
    factory: Version,
}

impl Board {
    pub(super) fn new(config: CameraConfig) -> Result<Self, CameraError> {
        let nor = Memory::nor(&config.nor, NOR)?;
        let emmc = config.emmc.as_ref().map(|spec| Memory::emmc(spec, EMMC)).transpose()?;
        let factory = config.bootloader;
        let running = Running { version: factory, of_the_user: false };
        let (map, faults) = (map::of(config.kind), config.faults.clone());
        let mut board = Self { config, faults, map, running, nor, emmc, factory };
        if board.nor.read(BOOTLOADER, MYRIAD_X.len())? == [0xFF; MYRIAD_X.len()] {
            // As it leaves the factory.
            board.nor.write(BOOTLOADER, &MYRIAD_X)?;
            board.write_header(BootHeader::Normal)?;
        }
        let package = match &board.config.application {
            Some(path) => {
                let failed = |error| CameraError::Application { path: path.clone(), error };
                Some(std::fs::read(path).map_err(failed)?)
            }
            None => None,
        };
        let at = board.map.application;
        if let Some(package) = package {
            board.usual().write(at, &package)?;
        } else if board.config.start == Start::Application && board.boot_application().is_err() {
            board.usual().write(at, &application::stand_in())?;
        }
        Ok(board)
    }

    /// The memory that is meant when none is named: the host believes that it is the eMMC where there is one
    /// (bootloader.md 3.3).
    pub(super) fn usual(&mut self) -> &mut Memory {
        self.emmc.as_mut().unwrap_or(&mut self.nor)
    }

    pub(super) fn usual_name(&self) -> Which {
        if self.emmc.is_some() { Which::Emmc } else { Which::Flash }
    }

    pub(super) fn memory(&mut self, which: Which) -> Option<&mut Memory> {
        match which {
            Which::Auto => Some(self.usual()),
            Which::Flash => Some(&mut self.nor),
            Which::Emmc => self.emmc.as_mut(),
        }
    }

    /// Where the configuration is: in the flash if nothing else is said.
    pub(super) fn config_place(&mut self, which: Which, offset: i64) -> Result<(&mut Memory, u64), String> {
        let at = u64::try_from(offset).unwrap_or(self.map.config);
        let memory = match which {
            Which::Auto | Which::Flash => Some(&mut self.nor),
            Which::Emmc => self.emmc.as_mut(),
        };
        Ok((memory.ok_or("No eMMC memory available")?, at))
    }

    pub(super) fn settings(&mut self) -> Settings {
        Settings::of(&mut self.nor, self.map.config)
    }

    pub(super) fn write_header(&mut self, kind: BootHeader) -> Result<(), MemoryError> {
        let mut header = [0; HEADER_SIZE];
        header[..4].copy_from_slice(HEADER);
        header[4] = kind as u8;
        self.nor.write(BOOT_HEADER, &header)
    }

    /// Power, or a reset: whether a bootloader starts. If none does, the processor waits for somebody at its USB socket.
    pub(super) fn power_on(&mut self) -> bool {
        let header = self.nor.read(BOOT_HEADER, 5).unwrap_or_default();
        let whole = header.starts_with(HEADER) && header[4] != BootHeader::UsbRecovery as u8;
        if !whole || self.nor.read(BOOTLOADER, MYRIAD_X.len()).ok().as_deref() != Some(&MYRIAD_X[..]) {
            return false;
        }
        self.running = Running { version: self.factory, of_the_user: false };
        if self.user_bootloader().is_some() {
            self.running = Running { version: self.config.image, of_the_user: true };
        }
        true
    }

    /// The one in the user's slot, if it would be booted (bootloader.md 8).
    fn user_bootloader(&mut self) -> Option<()> {
        let (at, (size, checksum)) = (self.map.user_bootloader?, self.settings().user_bootloader?);
        if self.factory < Request::IsUserBootloader.since() || size > USER_BOOTLOADER_SIZE {
            return None;
        }
        let image = self.nor.read(at, usize::try_from(size).ok()?).ok()?;
        (image.starts_with(&MYRIAD_X) && djb2(&image) == checksum).then_some(())
    }

    /// An image is booted from memory: whether it starts.
    pub(super) fn boot_memory(&mut self, image: &[u8]) -> bool {
        let starts = image.starts_with(&MYRIAD_X);
        if starts {
            self.running = Running { version: self.config.image, of_the_user: false };
        }
        starts
    }

    /// The flash has another bootloader in it from now on.
    pub(super) fn replaced_factory(&mut self) {
        self.factory = self.config.image;
    }

    /// Whether the application can be booted, from the memory that the configuration names.
    pub(super) fn boot_application(&mut self) -> Result<(), String> {
        let at = self.map.application;
        application::boot(self.application_memory().ok_or("No eMMC memory available")?, at)
    }

    /// What would be booted, as far as its table says that it goes.
    pub(super) fn application_image(&mut self) -> Option<Vec<u8>> {
        let at = self.map.application;
        let memory = self.application_memory()?;
        let table = SectionTable::parse(&memory.read(at, TABLE_BYTES).ok()?).ok()?;
        memory.read(at, usize::try_from(table.end()).ok()?).ok()
    }

    fn application_memory(&mut self) -> Option<&mut Memory> {
        let which = match self.settings().application_memory {
            Some(0) => Which::Flash,
            Some(1) => Which::Emmc,
            _ => Which::Auto,
        };
        self.memory(which)
    }

    /// Whether so many bytes can be written there.
    pub(super) fn room(&mut self, which: Which, offset: u64, len: u32) -> Result<(), String> {
        let looks = self.running.version >= LOOKS_FOR_SPACE;
        let memory = self.memory(which).ok_or("No eMMC memory available")?;
        let room = memory.size().saturating_sub(offset);
        if looks && u64::from(len) > room {
            return Err(format!("Not enough space: {len}->{room}B"));
        }
        Ok(())
    }

    /// Writes. What goes past the end of the flash comes in again at its start: a chip ignores the address lines that it
    /// does not have.
    pub(super) fn write(&mut self, which: Which, offset: u64, mut bytes: &[u8]) -> Result<(), String> {
        let memory = self.memory(which).ok_or("No eMMC memory available")?;
        let mut at = offset % memory.size().max(1);
        while !bytes.is_empty() {
            let room = usize::try_from(memory.size() - at).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            memory.write(at, now).map_err(|error| {
                tracing::warn!("a simulated memory: {error}");
                "Couldn't flash update, try again".to_owned()
            })?;
            (at, bytes) = (0, later);
        }
        Ok(())
    }

    pub(super) fn strikes(&mut self, fault: &Fault) -> bool {
        self.faults.strikes(fault)
    }
}
