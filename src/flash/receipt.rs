//! What was done to a camera and what was proved, to keep.

use serde::Serialize;

use super::{Flashed, Target};
use crate::bootloader::map;
use crate::package::Package;

/// A receipt for one camera.
#[derive(Clone, Debug, Serialize)]
pub struct Receipt<P> {
    /// The program that wrote it.
    pub tool: String,
    /// When it was begun and finished (UTC, RFC 3339).
    pub started: String,
    /// See [`Self::started`].
    pub finished: String,
    /// The camera's id.
    pub camera: String,
    /// The address that it had.
    pub address: String,
    /// Its bootloader and its memories.
    #[serde(flatten)]
    pub target: Target,
    /// What was to be written.
    pub package: PackageFacts,
    /// What was written, and where it is.
    #[serde(flatten)]
    pub flashed: Flashed,
    /// Every byte of it was read from the camera and compared.
    pub read_back: bool,
    /// What the camera showed after the reset; `None` when that was not waited for.
    pub running: Option<P>,
}

/// What a package is, in short.
#[derive(Clone, Debug, Serialize)]
pub struct PackageFacts {
    /// Its file.
    pub file: String,
    /// Its bytes.
    pub bytes: usize,
    /// Their SHA-256, in hexadecimal digits.
    pub sha256: String,
    /// Name of the application.
    pub app_name: Option<String>,
    /// Commit or version of its firmware.
    pub firmware_version: Option<String>,
    /// Its sections, and where they are in the memory.
    pub sections: Vec<SectionFacts>,
}

/// One section of a package.
#[derive(Clone, Debug, Serialize)]
pub struct SectionFacts {
    /// Its name.
    pub name: String,
    /// Bytes from the beginning of the memory.
    pub offset: u64,
    /// Its bytes.
    pub bytes: u32,
    /// Their checksum (djb2), in hexadecimal digits.
    pub checksum: String,
}

impl PackageFacts {
    /// Of this package, which was read from `file` and has this hash.
    #[must_use]
    pub fn new(package: &Package, file: String, sha256: String) -> Self {
        let section = |section: &crate::package::Section| SectionFacts {
            name: section.name().to_owned(),
            offset: u64::from(map::APPLICATION) + u64::from(section.offset()),
            bytes: section.size(),
            checksum: format!("{:08x}", section.checksum()),
        };
        Self {
            file,
            bytes: package.bytes().len(),
            sha256,
            app_name: package.app_name().map(Into::into),
            firmware_version: package.firmware_version().map(Into::into),
            sections: package.sections().iter().map(section).collect(),
        }
    }
}
