//! Where things are in the camera's memories (bootloader.md 3.4). Offsets and sizes in bytes.

use crate::bootloader::Type;

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
pub(super) const BOOTLOADER: u64 = 512;
/// Room for the configuration.
pub(super) const CONFIG_SIZE: u64 = 16 << 10;
/// Room for a user bootloader.
pub(super) const USER_BOOTLOADER_SIZE: u64 = (4 << 20) - CONFIG_SIZE;

/// The map of this type.
pub(super) const fn of(kind: Type) -> FlashMap {
    match kind {
        Type::Usb => FlashMap { config: 0xF_C000, application: 0x10_0000, user_bootloader: None },
        Type::Network | Type::Auto => {
            FlashMap { config: 0x7F_C000, application: 0x80_0000, user_bootloader: Some(0x40_0000) }
        }
    }
}
