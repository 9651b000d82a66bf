//! Where things are in the camera's memories (bootloader.md 3.4). Offsets and sizes in bytes.

use crate::bootloader::{BootloaderType, map};

/// The memory map of one type of bootloader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlashMap {
    /// The configuration.
    pub(super) config: u64,
    /// The table of the application.
    pub(super) application: u64,
    /// The user bootloader, where there can be one.
    pub(super) user_bootloader: Option<u64>,
}

/// The header that the processor's ROM reads, at the start of the flash.
pub(super) const BOOT_HEADER: u64 = 0;
/// The factory bootloader, behind the header.
pub(super) const BOOTLOADER: u64 = map::BOOTLOADER as u64;
/// Room for the configuration.
pub(super) const CONFIG_SIZE: u64 = map::CONFIG_BYTES as u64;
/// Room for a user bootloader.
pub(super) const USER_BOOTLOADER_SIZE: u64 = map::USER_BOOTLOADER_BYTES as u64;

/// The map of this type.
pub(super) const fn of(kind: BootloaderType) -> FlashMap {
    match kind {
        BootloaderType::Usb => FlashMap { config: 0xF_C000, application: 0x10_0000, user_bootloader: None },
        BootloaderType::Network | BootloaderType::Auto => FlashMap {
            config: map::CONFIG as u64,
            application: map::APPLICATION as u64,
            user_bootloader: Some(map::USER_BOOTLOADER as u64),
        },
    }
}
