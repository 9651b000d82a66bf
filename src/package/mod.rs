//! DepthAI Application Packages (`.dap`): a table of sections ("SBR") and the sections (bootloader.md 5).
//!
//! ```text
//! 0    "BR", then 17 entries of 30 bytes: name, size, offset, checksum, type, flags
//! 512  __firmware      what the camera boots; the only section that may be compressed
//!      pipeline        nodes and links                       (at the next MiB)
//!      assets          where each file of a node lies        (this one and all others at the next 64 KiB)
//!      asset_storage   the bytes of those files
//!      __fw_version    commit of the firmware
//!      app_name        what the application is called
//! ```
//!
//! The file is written to the memory as it is. The bootloader compares every checksum when it receives an application
//! (bootloader.md 8), so a [`Package`] is one where all of them are right.

mod build;
mod error;
mod table;

use std::borrow::Cow;
use std::io::Read as _;
use std::sync::Arc;

pub use build::PackageBuilder;
pub use error::PackageError;
pub use table::{Compression, Section, Table};

/// Bytes of the table in front (bootloader.md 5).
pub const TABLE_BYTES: usize = 512;
/// What a Myriad X boots begins with it: firmware and bootloaders of RVC2 cameras (bootloader.md 5).
pub const MYRIAD_X: [u8; 4] = *b"MA2x";
/// Entries that the table has room for (bootloader.md 5).
pub const MAX_SECTIONS: usize = 17;
/// The section that is booted.
pub const FIRMWARE: &str = "__firmware";
/// The section with nodes and links.
pub const PIPELINE: &str = "pipeline";
/// The section that tells where each asset lies in the storage.
pub const ASSETS: &str = "assets";
/// The section with the bytes of the assets.
pub const ASSET_STORAGE: &str = "asset_storage";
/// The section with the commit of the firmware.
pub const FIRMWARE_VERSION: &str = "__fw_version";
/// The section with the name of the application.
pub const APP_NAME: &str = "app_name";

/// The checksum of sections, of user bootloaders and of the board description: djb2, starting at 5381, modulo 2^32
/// (bootloader.md 5). That of nothing is 5381.
#[must_use]
pub fn djb2(bytes: &[u8]) -> u32 {
    // 33^7 to 33^0: one multiplication waits for another once in eight bytes.
    const POWERS: [u32; 8] = [3_963_737_313, 1_291_467_969, 39_135_393, 1_185_921, 35_937, 1089, 33, 1];
    let eights = bytes.chunks_exact(8);
    let rest = eights.remainder();
    let hash = eights.fold(5381, |hash: u32, eight| {
        let terms = eight.iter().zip(POWERS).map(|(&byte, power)| u32::from(byte).wrapping_mul(power));
        terms.fold(hash.wrapping_mul(POWERS[0].wrapping_mul(33)), u32::wrapping_add)
    });
    rest.iter().fold(hash, |hash, &byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte)))
}

/// A package in which everything that can be checked without a camera is right.
#[derive(Clone, Debug)]
pub struct Package {
    bytes: Arc<[u8]>,
    table: Table,
}

impl Package {
    /// Takes a file if it is a whole package.
    ///
    /// # Errors
    /// The first thing that is wrong; [`Table::faults`] has them all.
    pub fn parse(bytes: impl Into<Arc<[u8]>>) -> Result<Self, PackageError> {
        let bytes = bytes.into();
        let table = Table::parse(&bytes)?;
        match table.faults(&bytes).into_iter().next() {
            Some(fault) => Err(fault),
            None => Ok(Self { bytes, table }),
        }
    }

    /// The whole file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The whole file, to keep.
    #[must_use]
    pub fn shared_bytes(&self) -> Arc<[u8]> {
        Arc::clone(&self.bytes)
    }

    /// The table in front, as it stands in the file. A camera without it has no application.
    #[must_use]
    pub fn table(&self) -> &[u8] {
        &self.bytes[..TABLE_BYTES]
    }

    /// The sections, in the order of the table.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        self.table.sections()
    }

    /// The section of that name.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.table.section(name)
    }

    /// The stored bytes of a section of this package. Empty for one of another package that does not fit into this.
    #[must_use]
    pub fn section_bytes(&self, section: &Section) -> &[u8] {
        section.stored_in(&self.bytes).unwrap_or_default()
    }

    /// What the application is called: `None` without that section, often empty with it.
    #[must_use]
    pub fn app_name(&self) -> Option<Cow<'_, str>> {
        self.text(APP_NAME)
    }

    /// The commit or version of the firmware.
    #[must_use]
    pub fn firmware_version(&self) -> Option<Cow<'_, str>> {
        self.text(FIRMWARE_VERSION)
    }

    /// The first four bytes of what is booted, decompressed if need be: `MA2x` for a Myriad X, which is what RVC2
    /// cameras have (bootloader.md 5). `None` without a bootable section, and when it is shorter or cannot be
    /// decompressed.
    #[must_use]
    pub fn firmware_magic(&self) -> Option<[u8; 4]> {
        let section = self.sections().iter().find(|section| section.is_bootable())?;
        let mut magic = [0; 4];
        section.content(self.section_bytes(section))?.read_exact(&mut magic).ok()?;
        Some(magic)
    }

    fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.section(name).map(|section| String::from_utf8_lossy(self.section_bytes(section)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A package with the sections of a real one, and no firmware of anybody.
    fn sample() -> Vec<u8> {
        let firmware = [b"MA2x".as_slice(), &[7; 5000]].concat();
        PackageBuilder::new(firmware)
            .pipeline(vec![1; 300])
            .assets(vec![2; 20])
            .asset_storage(vec![3; 70_000])
            .firmware_version("c7127782f2da45aac89d5b5b816d04cc45ae40be")
            .app_name("door")
            .build()
            .expect("a package")
    }

    fn fault(change: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut bytes = sample();
        change(&mut bytes);
        Package::parse(bytes).expect_err("it is damaged").to_string()
    }

    /// Where a field of an entry lies: 0 name, 16 size, 20 offset, 24 checksum, 28 type, 29 flags.
    const fn entry(index: usize, field: usize) -> usize {
        2 + 30 * index + field
    }

    #[test]
    fn the_checksum_is_djb2() {
        assert_eq!(djb2(b""), 5381);
        assert_eq!(djb2(b"a"), 5381 * 33 + 97);
        let bytes: Vec<u8> = (0..1000u32).map(|n| (n * n % 253) as u8).collect();
        for len in [7, 8, 9, 64, 1000] {
            let plain =
                bytes[..len].iter().fold(5381u32, |hash, byte| hash.wrapping_mul(33).wrapping_add(u32::from(*byte)));
            assert_eq!(djb2(&bytes[..len]), plain, "{len} bytes");
        }
        // What another implementation says.
        assert_eq!(djb2(b"c7127782f2da45aac89d5b5b816d04cc45ae40be"), 0xeb03_0c0f);
    }

    #[test]
    fn a_package_is_laid_out_as_the_vendor_lays_it_out() {
        let package = Package::parse(sample()).expect("whole");
        let told: Vec<_> = package.sections().iter().map(|s| (s.name(), s.offset(), s.size())).collect();
        let mib = 1 << 20;
        let step = 1 << 16;
        assert_eq!(
            told,
            [
                ("__firmware", 512, 5004),
                ("pipeline", mib, 300),
                ("assets", mib + step, 20),
                ("asset_storage", mib + 2 * step, 70_000),
                ("__fw_version", mib + 4 * step, 40),
                ("app_name", mib + 5 * step, 4),
            ]
        );
        assert_eq!(package.bytes().len() as u64, u64::from(mib + 5 * step + 4));
        assert_eq!(package.table(), &package.bytes()[..512]);
        assert_eq!(
            (package.app_name().as_deref(), &package.firmware_version().unwrap()[..8]),
            (Some("door"), "c7127782")
        );
        assert_eq!(package.firmware_magic(), Some(*b"MA2x"));
        assert!(package.bytes()[512 + 5004..1 << 20].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_compressed_firmware_boots_the_same_bytes() {
        let firmware = [b"MA2x".as_slice(), &[7; 50_000]].concat();
        let bytes = PackageBuilder::new(firmware.clone()).compressed().checked_at_boot().build().unwrap();
        let package = Package::parse(bytes).unwrap();
        let section = package.section(FIRMWARE).unwrap();
        assert_eq!((section.compression(), section.flags()), (Compression::Zlib, 0x05));
        assert!(section.size() < 1000);
        assert_eq!(package.section_bytes(section)[..2], [0x78, 0xda]);
        let mut content = Vec::new();
        section.content(package.section_bytes(section)).unwrap().read_to_end(&mut content).unwrap();
        assert_eq!(content, firmware);
        assert_eq!(package.firmware_magic(), Some(*b"MA2x"));
    }

    #[test]
    fn damaged_packages_are_told_apart() {
        let len = sample().len();
        assert_eq!(
            fault(|b| b.truncate(511)),
            "too short for a package: expected a table of 512 bytes, found 511 bytes; copy or download it again"
        );
        assert_eq!(
            fault(|b| b[0] = b'P'),
            "no DepthAI application package: expected \"BR\" at its beginning, found \"PR\""
        );
        assert_eq!(
            fault(|b| b[900] ^= 1),
            format!(
                "section 0 `__firmware` (bytes 512 to 5516) is damaged: its checksum is {:08x}, expected {:08x}",
                djb2(&[b"MA2x".as_slice(), &[7; 384], &[6], &[7; 4615]].concat()),
                djb2(&[b"MA2x".as_slice(), &[7; 5000]].concat())
            )
        );
        assert_eq!(
            fault(|b| b.truncate(len - 2)),
            format!(
                "section 5 `app_name` is cut off: expected bytes {} to {len}, the file ends at byte {}; copy or \
                 download it again",
                len - 4,
                len - 2
            )
        );
        assert_eq!(
            fault(|b| b.truncate(600_000)),
            "section 1 `pipeline` is outside of the file: expected bytes 1048576 to 1048876, the file ends at byte \
             600000; it was cut short, or its table is damaged"
        );
        assert_eq!(
            fault(|b| b[entry(1, 20)..entry(1, 24)].copy_from_slice(&100_u32.to_le_bytes())),
            "section 1 `pipeline` begins at byte 100, inside the table of 512 bytes: the table is damaged"
        );
        assert_eq!(
            fault(|b| {
                // Its own bytes are whole wherever it is said to lie.
                let sum = djb2(&b[1000..1300]);
                b[entry(1, 20)..entry(1, 24)].copy_from_slice(&1000_u32.to_le_bytes());
                b[entry(1, 24)..entry(1, 28)].copy_from_slice(&sum.to_le_bytes());
            }),
            "sections 0 `__firmware` (to byte 5516) and 1 `pipeline` (from byte 1000) overlap: the table is damaged"
        );
        assert_eq!(
            fault(|b| b[entry(0, 29)] = 0),
            "no section is bootable: a camera refuses such a package; its 6 sections are __firmware, pipeline, assets, \
             asset_storage, __fw_version, app_name"
        );
        assert_eq!(fault(|b| b[2..512].fill(0xff)), "the table has no section: it was erased, or never written");
        assert_eq!(
            fault(|b| b.extend([0; 3])),
            format!("3 bytes too many: the last section ends at byte {len}, the file at byte {}", len + 3)
        );
        assert_eq!(
            fault(|b| b[entry(0, 29)] |= 5 << 2),
            "section 0 `__firmware` has the unknown compression 5 (known: 0 none, 1 zlib, 2 gzip, 3 xz)"
        );
        assert_eq!(
            fault(|b| b[entry(2, 0)..entry(2, 16)].copy_from_slice(b"pipeline\0\0\0\0\0\0\0\0")),
            "sections 1 and 2 are both called `pipeline`: a camera would take either"
        );
        assert_eq!(
            fault(|b| b[entry(2, 1)] = 0x1b),
            "section 2 has a name that is no printable ASCII: \"a\\x1bsets\"; the table is damaged"
        );
    }

    #[test]
    fn what_is_whole_is_known_beside_what_is_damaged() {
        let mut bytes = sample();
        bytes.truncate(1 << 20);
        bytes[700] ^= 0x10;
        let table = Table::parse(&bytes).unwrap();
        let faults = table.faults(&bytes);
        let damaged: Vec<_> = faults.iter().filter_map(PackageError::section).collect();
        assert_eq!(damaged, [0, 1, 2, 3, 4, 5], "{faults:?}");
        let mut bytes = sample();
        bytes[700] ^= 0x10;
        let faults = Table::parse(&bytes).unwrap().faults(&bytes);
        assert_eq!(faults.iter().filter_map(PackageError::section).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn every_single_bit_of_a_table_matters_or_is_harmless() {
        let bytes = sample();
        for bit in 0..TABLE_BYTES * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // No panic, and what is accepted reads the same bytes.
            if let Ok(package) = Package::parse(bytes) {
                assert!(package.sections().len() >= 6, "bit {bit}");
                assert!(
                    package.sections().iter().all(|s| package.section_bytes(s).len() as u64 == u64::from(s.size()))
                );
            }
        }
    }
}
