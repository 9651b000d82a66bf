//! Flash layout of cameras with Ethernet (bootloader.md 3.4). Offsets and sizes are in bytes.

/// Offset of the factory bootloader, after the boot header.
pub const BOOTLOADER: u32 = 512;
/// Offset of the user slot.
pub const USER_BOOTLOADER: u32 = 0x40_0000;
/// Size of the user slot.
pub const USER_BOOTLOADER_BYTES: u32 = (4 << 20) - (16 << 10);
/// Offset of the configuration.
pub const CONFIG: u32 = 0x7f_c000;
/// Size of the configuration's place.
pub const CONFIG_BYTES: u32 = 16 << 10;
/// Value of erased bytes.
pub const ERASED: u8 = 0xff;
/// Offset of the application, which extends to the end of the memory.
pub const APPLICATION: u32 = 0x80_0000;
