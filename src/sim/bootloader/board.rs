//! The state of a simulated camera below its protocol: its memories, their content, and the running bootloader.

use super::application;
use super::config::{CameraConfig, InitialState};
use super::fault::{CameraFault, CameraFaults};
use super::map::{self, BOOT_HEADER, BOOTLOADER, FlashMap, USER_BOOTLOADER_SIZE};
use super::memory::{MemoryChip, MemoryError};
use super::settings::Settings;
use crate::bootloader::{BootHeader, Memory, Request, Version};
use crate::package::{MYRIAD_X, SectionTable, TABLE_BYTES, djb2};

/// Replaces the header of the processor, whose format is unknown because hosts never write it (bootloader.md 3.4). The
/// kind of boot follows.
const BOOT_MAGIC: &[u8; 4] = b"boot";
const BOOT_HEADER_BYTES: usize = 512;

/// Default sizes in bytes (bootloader.md 3.4). The transcripts with the vendor's client also use 128 MiB.
const NOR_DEFAULT_SIZE: u64 = 128 << 20;
const EMMC_DEFAULT_SIZE: u64 = 16 << 30;

/// First version that checks the space before a write. Reports of cameras that were bricked by images that do not fit are
/// from 2022 and from versions 0.0.1x (bootloader.md 8).
const SPACE_CHECK_SINCE: Version = Version::new(0, 0, 20);

/// Error while creating a simulated camera.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CameraError {
    /// A memory cannot be opened or is too small for its initial content.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The package of the initial application cannot be read.
    #[error("{}: {error}", path.display())]
    Application {
        /// Path of the package.
        path: std::path::PathBuf,
        /// Error of the system.
        error: std::io::Error,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunningBootloader {
    pub(super) version: Version,
    /// It runs from the slot of the user bootloader.
    pub(super) is_user: bool,
}

#[derive(Debug)]
pub(super) struct Board {
    pub(super) config: CameraConfig,
    pub(super) faults: CameraFaults,
    pub(super) map: FlashMap,
    pub(super) running: RunningBootloader,
    nor: MemoryChip,
    emmc: Option<MemoryChip>,
    /// Version of the factory bootloader in flash.
    factory: Version,
}

impl Board {
    pub(super) fn new(config: CameraConfig) -> Result<Self, CameraError> {
        let nor = MemoryChip::nor(&config.nor, NOR_DEFAULT_SIZE)?;
        let emmc = config.emmc.as_ref().map(|spec| MemoryChip::emmc(spec, EMMC_DEFAULT_SIZE)).transpose()?;
        let factory = config.bootloader;
        let running = RunningBootloader { version: factory, is_user: false };
        let (map, faults) = (map::of(config.kind), config.faults.clone());
        let mut board = Self { config, faults, map, running, nor, emmc, factory };
        if board.nor.read(BOOTLOADER, MYRIAD_X.len())? == [0xFF; MYRIAD_X.len()] {
            // A new flash gets the content of a new camera.
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
            board.default_memory().write(at, &package)?;
        } else if board.config.start == InitialState::Application && board.boot_application().is_err() {
            board.default_memory().write(at, &application::stand_in())?;
        }
        Ok(board)
    }

    /// The memory for requests that name none: the eMMC if there is one, as hosts assume (bootloader.md 3.3).
    pub(super) fn default_memory(&mut self) -> &mut MemoryChip {
        self.emmc.as_mut().unwrap_or(&mut self.nor)
    }

    pub(super) fn default_memory_name(&self) -> Memory {
        if self.emmc.is_some() { Memory::Emmc } else { Memory::Flash }
    }

    pub(super) fn memory(&mut self, which: Memory) -> Option<&mut MemoryChip> {
        match which {
            Memory::Auto => Some(self.default_memory()),
            Memory::Flash => Some(&mut self.nor),
            Memory::Emmc => self.emmc.as_mut(),
        }
    }

    /// Memory and offset of the configuration; by default in the flash.
    pub(super) fn config_place(&mut self, which: Memory, offset: i64) -> Result<(&mut MemoryChip, u64), String> {
        let at = u64::try_from(offset).unwrap_or(self.map.config);
        let memory = match which {
            Memory::Auto | Memory::Flash => Some(&mut self.nor),
            Memory::Emmc => self.emmc.as_mut(),
        };
        Ok((memory.ok_or("No eMMC memory available")?, at))
    }

    pub(super) fn settings(&mut self) -> Settings {
        Settings::of(&mut self.nor, self.map.config)
    }

    pub(super) fn write_header(&mut self, kind: BootHeader) -> Result<(), MemoryError> {
        let mut header = [0; BOOT_HEADER_BYTES];
        header[..4].copy_from_slice(BOOT_MAGIC);
        header[4] = kind as u8;
        self.nor.write(BOOT_HEADER, &header)
    }

    /// Starts after power-on or a reset. Returns `false` if no bootloader starts; the processor then waits for a USB host.
    pub(super) fn power_on(&mut self) -> bool {
        let header = self.nor.read(BOOT_HEADER, 5).unwrap_or_default();
        let whole = header.starts_with(BOOT_MAGIC) && header[4] != BootHeader::UsbRecovery as u8;
        if !whole || self.nor.read(BOOTLOADER, MYRIAD_X.len()).ok().as_deref() != Some(&MYRIAD_X[..]) {
            return false;
        }
        self.running = RunningBootloader { version: self.factory, is_user: false };
        if self.user_bootloader().is_some() {
            self.running = RunningBootloader { version: self.config.image, is_user: true };
        }
        true
    }

    /// Returns `Some` if the user bootloader is valid and would be booted (bootloader.md 8).
    fn user_bootloader(&mut self) -> Option<()> {
        let (at, (size, checksum)) = (self.map.user_bootloader?, self.settings().user_bootloader?);
        if self.factory < Request::IsUserBootloader.since() || size > USER_BOOTLOADER_SIZE {
            return None;
        }
        let image = self.nor.read(at, usize::try_from(size).ok()?).ok()?;
        (image.starts_with(&MYRIAD_X) && djb2(&image) == checksum).then_some(())
    }

    /// Boots a bootloader from memory. Returns `true` if it starts.
    pub(super) fn boot_memory(&mut self, image: &[u8]) -> bool {
        let starts = image.starts_with(&MYRIAD_X);
        if starts {
            self.running = RunningBootloader { version: self.config.image, is_user: false };
        }
        starts
    }

    /// Records that the factory bootloader in flash was replaced.
    pub(super) fn replaced_factory(&mut self) {
        self.factory = self.config.image;
    }

    /// Checks that the application can be booted from the memory that the configuration names.
    pub(super) fn boot_application(&mut self) -> Result<(), String> {
        let at = self.map.application;
        application::boot(self.application_memory().ok_or("No eMMC memory available")?, at)
    }

    /// Returns the application that would be booted, up to the end of its last section.
    pub(super) fn application_image(&mut self) -> Option<Vec<u8>> {
        let at = self.map.application;
        let memory = self.application_memory()?;
        let table = SectionTable::parse(&memory.read(at, TABLE_BYTES).ok()?).ok()?;
        memory.read(at, usize::try_from(table.end()).ok()?).ok()
    }

    fn application_memory(&mut self) -> Option<&mut MemoryChip> {
        let which = match self.settings().application_memory {
            Some(0) => Memory::Flash,
            Some(1) => Memory::Emmc,
            _ => Memory::Auto,
        };
        self.memory(which)
    }

    /// Checks that `len` bytes can be written at `offset`.
    pub(super) fn check_space(&mut self, which: Memory, offset: u64, len: u32) -> Result<(), String> {
        let checks = self.running.version >= SPACE_CHECK_SINCE;
        let memory = self.memory(which).ok_or("No eMMC memory available")?;
        let room = memory.size().saturating_sub(offset);
        if checks && u64::from(len) > room {
            return Err(format!("Not enough space: {len}->{room}B"));
        }
        Ok(())
    }

    /// Writes bytes. A write past the end of the flash wraps around to its start, because a chip ignores address bits that
    /// it does not have.
    pub(super) fn write(&mut self, which: Memory, offset: u64, mut bytes: &[u8]) -> Result<(), String> {
        let memory = self.memory(which).ok_or("No eMMC memory available")?;
        let mut at = offset % memory.size().max(1);
        while !bytes.is_empty() {
            let room = usize::try_from(memory.size() - at).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            memory.write(at, now).map_err(|error| {
                tracing::warn!("simulated memory: {error}");
                "Couldn't flash update, try again".to_owned()
            })?;
            (at, bytes) = (0, later);
        }
        Ok(())
    }

    pub(super) fn occurs(&mut self, fault: &CameraFault) -> bool {
        self.faults.occurs(fault)
    }
}
