//! DepthAI Application Packages (`.dap`): a table of sections ("SBR") and the sections (bootloader.md 5).
//!
//! ```text
//! 0    "BR", then 17 entries of 30 bytes: name, size, offset, checksum, type, flags
//! 512  __firmware      booted by the camera; the only section that may be compressed
//!      pipeline        nodes and links                       (at the next MiB)
//!      assets          offset and size of each asset         (this and all later ones at the next 64 KiB)
//!      asset_storage   bytes of the assets
//!      __fw_version    commit of the firmware
//!      app_name        name of the application
//! ```
//!
//! The file is written to flash unchanged. The bootloader compares every checksum when it receives an application
//! (bootloader.md 8), so parsing a [`Package`] checks them all.

mod build;
mod checksum;
mod error;
mod layout;
mod table;

use std::borrow::Cow;
use std::io::Read as _;
use std::sync::Arc;

pub use build::PackageBuilder;
pub use checksum::djb2;
pub use error::{ContentFault, PackageError};
pub use layout::{
    APP_NAME, ASSET_STORAGE, ASSETS, FIRMWARE, FIRMWARE_VERSION, MAX_SECTIONS, MYRIAD_X, PIPELINE, TABLE_BYTES,
};
pub use table::{Compression, Section, SectionTable};

/// A package that passed every check that is possible without a camera.
#[derive(Clone, Debug)]
pub struct Package {
    bytes: Arc<[u8]>,
    table: SectionTable,
}

impl Package {
    /// Parses and checks a package.
    ///
    /// # Errors
    /// The first fault. [`SectionTable::faults`] returns all of them.
    pub fn parse(bytes: impl Into<Arc<[u8]>>) -> Result<Self, PackageError> {
        let bytes = bytes.into();
        let table = SectionTable::parse(&bytes)?;
        match table.faults(&bytes).into_iter().next() {
            Some(fault) => Err(fault),
            None => Ok(Self { bytes, table }),
        }
    }

    /// Returns the whole file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the whole file without copying it.
    #[must_use]
    pub fn shared_bytes(&self) -> Arc<[u8]> {
        Arc::clone(&self.bytes)
    }

    /// Returns the 512 bytes of the table. A camera whose table is erased has no application.
    #[must_use]
    pub fn table(&self) -> &[u8] {
        &self.bytes[..TABLE_BYTES]
    }

    /// Returns the sections in the order of the table.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        self.table.sections()
    }

    /// Returns the section of this name.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.table.section(name)
    }

    /// Returns the stored bytes of a section of this package. Empty when the section is outside of the file, which only a
    /// section of another package can be.
    #[must_use]
    pub fn section_bytes(&self, section: &Section) -> &[u8] {
        section.stored_in(&self.bytes).unwrap_or_default()
    }

    /// Returns the name of the application, which is often empty. `None` without the section.
    #[must_use]
    pub fn app_name(&self) -> Option<Cow<'_, str>> {
        self.text(APP_NAME)
    }

    /// Returns the commit or version of the firmware. `None` without the section.
    #[must_use]
    pub fn firmware_version(&self) -> Option<Cow<'_, str>> {
        self.text(FIRMWARE_VERSION)
    }

    /// Returns the first four bytes of the bootable section, decompressed: [`MYRIAD_X`] for RVC2 cameras. `None` without a
    /// bootable section, and when it is shorter or cannot be decompressed.
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

    /// A package with the sections of a real one and a made-up firmware.
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

    /// Offset of a field of an entry: 0 name, 16 size, 20 offset, 24 checksum, 28 type, 29 flags.
    const fn entry(index: usize, field: usize) -> usize {
        2 + 30 * index + field
    }

    #[test]
    fn sections_have_the_vendors_layout() {
        let package = Package::parse(sample()).expect("whole");
        let sections: Vec<_> = package.sections().iter().map(|s| (s.name(), s.offset(), s.size())).collect();
        let mib = 1 << 20;
        let step = 1 << 16;
        assert_eq!(
            sections,
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
    fn compressed_firmware_inflates_to_the_same_bytes() {
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
    fn compressed_data_that_is_cut_short_is_a_fault() {
        let firmware: Vec<u8> = b"MA2x".iter().copied().chain((0..50_000u32).map(|n| (n * n % 251) as u8)).collect();
        let whole = PackageBuilder::new(firmware.clone()).compressed().build().unwrap();
        let stored =
            Package::parse(whole.clone()).map(|package| package.section_bytes(&package.sections()[0]).to_vec());
        let stored = stored.expect("whole");
        let gzip = {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            std::io::Write::write_all(&mut encoder, &firmware).expect("memory");
            encoder.finish().expect("memory")
        };
        // Flags: bootable, and the compression from bit 2 on.
        let package = |content: &[u8], compression: u8| {
            let bytes = PackageBuilder::new(b"MA2x".to_vec()).section("more", content, 1 | compression << 2);
            Package::parse(bytes.build().expect("a package"))
        };
        for (stored, compression) in [(&stored, 1), (&gzip, 2)] {
            assert!(package(stored, compression).is_ok());
            for len in [0, 1, 2, 3, stored.len() / 2, stored.len() - 5, stored.len() - 1] {
                let error = package(&stored[..len], compression).expect_err("it is cut short");
                assert!(
                    matches!(error, PackageError::Content { why: ContentFault::CutOff { .. }, .. }),
                    "{compression} {len}: {error}"
                );
            }
            let mut wrong = stored.clone();
            let last = wrong.len() - 2;
            wrong[last] ^= 1;
            let error = package(&wrong, compression).expect_err("its own checksum is wrong");
            assert!(matches!(error, PackageError::Content { why: ContentFault::Invalid { .. }, .. }), "{error}");
        }
    }

    #[test]
    fn each_fault_has_its_error() {
        let len = sample().len();
        assert_eq!(
            fault(|b| b.truncate(511)),
            "too short for a package: expected a table of 512 bytes, found 511 bytes; copy or download it again"
        );
        assert_eq!(
            fault(|b| b[0] = b'P'),
            "not a DepthAI application package: expected \"BR\" at the beginning, found \"PR\""
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
             600000; it was cut short or its table is damaged"
        );
        assert_eq!(
            fault(|b| b[entry(1, 20)..entry(1, 24)].copy_from_slice(&100_u32.to_le_bytes())),
            "section 1 `pipeline` begins at byte 100, inside the table of 512 bytes: the table is damaged"
        );
        assert_eq!(
            fault(|b| {
                // The checksum of the section at its new offset is correct.
                let sum = djb2(&b[1000..1300]);
                b[entry(1, 20)..entry(1, 24)].copy_from_slice(&1000_u32.to_le_bytes());
                b[entry(1, 24)..entry(1, 28)].copy_from_slice(&sum.to_le_bytes());
            }),
            "sections 0 `__firmware` (to byte 5516) and 1 `pipeline` (from byte 1000) overlap: the table is damaged"
        );
        assert_eq!(
            fault(|b| b[entry(0, 29)] = 0),
            "no section is bootable, so a camera refuses the package; its 6 sections are __firmware, pipeline, assets, \
             asset_storage, __fw_version, app_name"
        );
        assert_eq!(fault(|b| b[2..512].fill(0xff)), "the table has no sections: it was erased or never written");
        assert_eq!(
            fault(|b| b.extend([0; 3])),
            format!("3 bytes too many: the last section ends at byte {len}, the file at byte {}", len + 3)
        );
        assert_eq!(
            fault(|b| b[entry(0, 29)] |= 5 << 2),
            "section 0 `__firmware` has unknown compression 5 (known: 0 none, 1 zlib, 2 gzip, 3 xz)"
        );
        assert_eq!(
            fault(|b| b[entry(2, 0)..entry(2, 16)].copy_from_slice(b"pipeline\0\0\0\0\0\0\0\0")),
            "sections 1 and 2 are both called `pipeline`, expected unique names"
        );
        assert_eq!(
            fault(|b| b[entry(2, 1)] = 0x1b),
            "section 2 has a name that is not printable ASCII: \"a\\x1bsets\"; the table is damaged"
        );
    }

    #[test]
    fn only_damaged_sections_have_faults() {
        let mut bytes = sample();
        bytes.truncate(1 << 20);
        bytes[700] ^= 0x10;
        let table = SectionTable::parse(&bytes).unwrap();
        let faults = table.faults(&bytes);
        let damaged: Vec<_> = faults.iter().filter_map(PackageError::section).collect();
        assert_eq!(damaged, [0, 1, 2, 3, 4, 5], "{faults:?}");
        let mut bytes = sample();
        bytes[700] ^= 0x10;
        let faults = SectionTable::parse(&bytes).unwrap().faults(&bytes);
        assert_eq!(faults.iter().filter_map(PackageError::section).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn every_flipped_bit_of_the_table_is_rejected_or_harmless() {
        let bytes = sample();
        for bit in 0..TABLE_BYTES * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // Parsing must not panic, and an accepted package has all bytes of its sections.
            if let Ok(package) = Package::parse(bytes) {
                assert!(package.sections().len() >= 6, "bit {bit}");
                assert!(
                    package.sections().iter().all(|s| package.section_bytes(s).len() as u64 == u64::from(s.size()))
                );
            }
        }
    }
}
