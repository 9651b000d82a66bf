//! The layout of a package: sizes, flags and section names (bootloader.md 5).

/// First bytes of a package.
pub(super) const MAGIC: [u8; 2] = *b"BR";
/// Length of the table at the beginning of the file.
pub const TABLE_BYTES: usize = 512;
/// Entries in the table.
pub const MAX_SECTIONS: usize = 17;
/// Length of an entry: name 16, size 4, offset 4, checksum 4, type 1, flags 1.
pub(super) const ENTRY_BYTES: usize = 30;
/// Length of the name in an entry, padded with NUL.
pub(super) const NAME_BYTES: usize = 16;

/// Flag of the section that the camera boots.
pub(super) const BOOTABLE: u8 = 1;
/// Flag of a section that the camera boots without comparing its checksum.
pub(super) const IGNORE_CHECKSUM: u8 = 1 << 1;
/// Position of the compression in the flags; it has three bits.
pub(super) const COMPRESSION_SHIFT: u32 = 2;

/// First bytes of everything that a Myriad X boots: firmware and bootloaders of RVC2 cameras.
pub const MYRIAD_X: [u8; 4] = *b"MA2x";

/// Name of the section that is booted.
pub const FIRMWARE: &str = "__firmware";
/// Name of the section with nodes and links.
pub const PIPELINE: &str = "pipeline";
/// Name of the section with the offset and size of each asset.
pub const ASSETS: &str = "assets";
/// Name of the section with the bytes of the assets.
pub const ASSET_STORAGE: &str = "asset_storage";
/// Name of the section with the commit of the firmware.
pub const FIRMWARE_VERSION: &str = "__fw_version";
/// Name of the section with the name of the application.
pub const APP_NAME: &str = "app_name";
