//! The layout of the camera's flash (bootloader.md 3.4). Offsets and sizes in bytes.

use crate::bootloader::{BootloaderType, map};

/// The flash layout of one type of bootloader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlashMap {
    pub(super) config: u64,
    /// Offset of the application's section table.
    pub(super) application: u64,
    /// `None` if this type does not support a user bootloader.
    pub(super) user_bootloader: Option<u64>,
}

/// Offset of the header that the processor's ROM reads.
pub(super) const BOOT_HEADER: u64 = 0;
/// Offset of the factory bootloader, after the header.
pub(super) const BOOTLOADER: u64 = map::BOOTLOADER as u64;
/// Space for the configuration.
pub(super) const CONFIG_SIZE: u64 = map::CONFIG_BYTES as u64;
/// Space for a user bootloader.
pub(super) const USER_BOOTLOADER_SIZE: u64 = map::USER_BOOTLOADER_BYTES as u64;

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
