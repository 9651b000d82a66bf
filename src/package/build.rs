//! Builds packages with the layout of the vendor's tool (bootloader.md 5). The same parts give the same bytes.

use std::io::Read as _;

use flate2::read::ZlibEncoder;

use super::checksum::djb2;
use super::error::PackageError;
use super::layout::{
    APP_NAME, ASSET_STORAGE, ASSETS, BOOTABLE, COMPRESSION_SHIFT, ENTRY_BYTES, FIRMWARE, FIRMWARE_VERSION,
    IGNORE_CHECKSUM, MAGIC, MAX_SECTIONS, NAME_BYTES, PIPELINE, TABLE_BYTES,
};

/// Alignment of the second section in bytes (bootloader.md 5).
const SECOND_ALIGNMENT: u64 = 1 << 20;
/// Alignment of the third and all later sections in bytes (bootloader.md 5).
const LATER_ALIGNMENT: u64 = 1 << 16;
/// zlib level of the vendor's tool (bootloader.md 5).
const COMPRESSION_LEVEL: u32 = 9;

/// The parts of a package. All six sections of the vendor's tool are written in its order; those that were not set are empty.
#[derive(Clone, Debug)]
pub struct PackageBuilder {
    firmware: Vec<u8>,
    pipeline: Vec<u8>,
    assets: Vec<u8>,
    asset_storage: Vec<u8>,
    firmware_version: String,
    app_name: String,
    compressed: bool,
    checked_at_boot: bool,
    extra_sections: Vec<(String, Vec<u8>, u8)>,
}

impl PackageBuilder {
    /// Starts a package that boots `firmware`, which is the preboot header and the image (bootloader.md 5).
    #[must_use]
    pub const fn new(firmware: Vec<u8>) -> Self {
        Self {
            firmware,
            pipeline: Vec::new(),
            assets: Vec::new(),
            asset_storage: Vec::new(),
            firmware_version: String::new(),
            app_name: String::new(),
            compressed: false,
            checked_at_boot: false,
            extra_sections: Vec::new(),
        }
    }

    /// Sets the nodes and links.
    #[must_use]
    pub fn pipeline(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.pipeline = bytes.into();
        self
    }

    /// Sets the offset and size of each asset in the storage.
    #[must_use]
    pub fn assets(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.assets = bytes.into();
        self
    }

    /// Sets the bytes of the assets.
    #[must_use]
    pub fn asset_storage(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.asset_storage = bytes.into();
        self
    }

    /// Sets the commit of the firmware.
    #[must_use]
    pub fn firmware_version(mut self, version: impl Into<String>) -> Self {
        self.firmware_version = version.into();
        self
    }

    /// Sets the name of the application.
    #[must_use]
    pub fn app_name(mut self, name: impl Into<String>) -> Self {
        self.app_name = name.into();
        self
    }

    /// Compresses the firmware with zlib. It inflates to the same bytes as the vendor's, but the compressed bytes differ
    /// (bootloader.md 7).
    #[must_use]
    pub const fn compressed(mut self) -> Self {
        self.compressed = true;
        self
    }

    /// Makes the camera compare the firmware's checksum at every boot, which slows booting.
    #[must_use]
    pub const fn checked_at_boot(mut self) -> Self {
        self.checked_at_boot = true;
        self
    }

    /// Appends a section with these flags.
    #[must_use]
    pub fn section(mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>, flags: u8) -> Self {
        self.extra_sections.push((name.into(), bytes.into(), flags));
        self
    }

    /// Returns the bytes of the package.
    ///
    /// # Errors
    /// When there are more than 17 sections, a name is not 1 to 16 bytes of printable ASCII, or the package exceeds 4 GiB.
    pub fn build(self) -> Result<Vec<u8>, PackageError> {
        let mut flags = BOOTABLE;
        if !self.checked_at_boot {
            flags |= IGNORE_CHECKSUM;
        }
        let mut firmware = self.firmware;
        if self.compressed {
            let mut compressed = Vec::new();
            let mut encoder = ZlibEncoder::new(firmware.as_slice(), flate2::Compression::new(COMPRESSION_LEVEL));
            encoder.read_to_end(&mut compressed).expect("reading from memory cannot fail");
            firmware = compressed;
            flags |= 1 << COMPRESSION_SHIFT;
        }
        let mut sections = vec![
            (FIRMWARE.to_owned(), firmware, flags),
            (PIPELINE.to_owned(), self.pipeline, 0),
            (ASSETS.to_owned(), self.assets, 0),
            (ASSET_STORAGE.to_owned(), self.asset_storage, 0),
            (FIRMWARE_VERSION.to_owned(), self.firmware_version.into_bytes(), 0),
            (APP_NAME.to_owned(), self.app_name.into_bytes(), 0),
        ];
        sections.extend(self.extra_sections);
        lay_out(&sections)
    }
}

fn lay_out(sections: &[(String, Vec<u8>, u8)]) -> Result<Vec<u8>, PackageError> {
    if sections.len() > MAX_SECTIONS {
        return Err(PackageError::TooManySections { found: sections.len() });
    }
    let mut file = [MAGIC.as_slice(), &[0; TABLE_BYTES - MAGIC.len()]].concat();
    for (index, (name, bytes, flags)) in sections.iter().enumerate() {
        if name.is_empty() || name.len() > NAME_BYTES || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(PackageError::BadName { index, name: name.clone() });
        }
        let alignment = match index {
            0 => 1,
            1 => SECOND_ALIGNMENT,
            _ => LATER_ALIGNMENT,
        };
        let offset = (file.len() as u64).next_multiple_of(alignment);
        let end = offset + bytes.len() as u64;
        let (Ok(offset), Ok(size), Ok(_)) = (u32::try_from(offset), u32::try_from(bytes.len()), u32::try_from(end))
        else {
            return Err(PackageError::TooLarge { bytes: end });
        };
        file.resize(offset as usize, 0);
        file.extend_from_slice(bytes);
        let entry = &mut file[MAGIC.len() + index * ENTRY_BYTES..][..ENTRY_BYTES];
        entry[..name.len()].copy_from_slice(name.as_bytes());
        for (at, number) in [(NAME_BYTES, size), (NAME_BYTES + 4, offset), (NAME_BYTES + 8, djb2(bytes))] {
            entry[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        entry[ENTRY_BYTES - 1] = *flags;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::super::Package;
    use super::*;

    #[test]
    fn package_without_sections_but_firmware_is_valid() {
        let bytes = PackageBuilder::new(b"MA2x".to_vec()).build().unwrap();
        // The file extends to the aligned offset of the empty sections.
        assert_eq!(bytes.len(), (1 << 20));
        let package = Package::parse(bytes).unwrap();
        assert_eq!(package.app_name().as_deref(), Some(""));
        assert_eq!(package.section(APP_NAME).unwrap().checksum(), 5381);
        assert_eq!(package.section(FIRMWARE).unwrap().flags(), 0x03);
    }

    #[test]
    fn bad_names_and_too_many_sections_are_rejected() {
        let builder = PackageBuilder::new(vec![0]);
        for (name, shown) in [("", "\"\""), ("seventeen_letters", "\"seventeen_letters\""), ("a\n", "\"a\\n\"")] {
            let error = builder.clone().section(name, [], 0).build().unwrap_err().to_string();
            assert!(error.contains(shown), "{error}");
        }
        let many = (0..12).fold(builder, |builder, n| builder.section(format!("s{n}"), [], 0));
        assert_eq!(many.build().unwrap_err(), PackageError::TooManySections { found: 18 });
    }
}
