//! Faults of packages.

use super::layout::{MAX_SECTIONS, TABLE_BYTES};

/// A fault of a package. Sections are identified by their index in the table, offsets count from the beginning of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The texts explain the fields.
pub enum PackageError {
    /// The file is shorter than a table.
    #[error(
        "too short for a package: expected a table of {TABLE_BYTES} bytes, found {found} bytes; copy or download it again"
    )]
    TooShort { found: usize },
    /// The file does not begin with the magic bytes.
    #[error("not a DepthAI application package: expected \"BR\" at the beginning, found \"{}\"", found.escape_ascii())]
    NotAPackage { found: [u8; 2] },
    /// The table is empty.
    #[error("the table has no sections: it was erased or never written")]
    NoSection,
    /// The name of a section is not printable ASCII.
    #[error("section {index} has a name that is not printable ASCII: \"{}\"; the table is damaged", name.as_bytes().escape_ascii())]
    BadName { index: usize, name: String },
    /// A section overlaps the table.
    #[error(
        "section {index} `{name}` begins at byte {offset}, inside the table of {TABLE_BYTES} bytes: the table is damaged"
    )]
    InTable { index: usize, name: String, offset: u32 },
    /// A section begins after the end of the file.
    #[error(
        "section {index} `{name}` is outside of the file: expected bytes {offset} to {end}, the file ends at byte {file}; it was cut short or its table is damaged"
    )]
    Outside { index: usize, name: String, offset: u32, end: u64, file: u64 },
    /// A section ends after the end of the file.
    #[error(
        "section {index} `{name}` is cut off: expected bytes {offset} to {end}, the file ends at byte {file}; copy or download it again"
    )]
    CutOff { index: usize, name: String, offset: u32, end: u64, file: u64 },
    /// The checksum of a section differs from the table's.
    #[error(
        "section {index} `{name}` (bytes {offset} to {end}) is damaged: its checksum is {found:08x}, expected {expected:08x}"
    )]
    Checksum { index: usize, name: String, offset: u32, end: u64, found: u32, expected: u32 },
    /// The compressed bytes of a section are not complete or not valid, although the table has their checksum.
    #[error("section {index} `{name}` (bytes {offset} to {end}) is damaged: {why}")]
    Content { index: usize, name: String, offset: u32, end: u64, why: ContentFault },
    /// The compression of a section is not defined.
    #[error("section {index} `{name}` has unknown compression {found} (known: 0 none, 1 zlib, 2 gzip, 3 xz)")]
    UnknownCompression { index: usize, name: String, found: u8 },
    /// Two sections share bytes.
    #[error(
        "sections {first} `{first_name}` (to byte {to}) and {second} `{second_name}` (from byte {from}) overlap: the table is damaged"
    )]
    Overlap { first: usize, first_name: String, to: u64, second: usize, second_name: String, from: u32 },
    /// Two sections have the same name.
    #[error("sections {first} and {second} are both called `{name}`, expected unique names")]
    SameName { first: usize, second: usize, name: String },
    /// No section has the bootable flag.
    #[error("no section is bootable, so a camera refuses the package; its {} sections are {}", names.len(), names.join(", "))]
    NothingBootable { names: Vec<String> },
    /// The file continues after the last section.
    #[error("{} bytes too many: the last section ends at byte {end}, the file at byte {file}", file - end)]
    Trailing { end: u64, file: u64 },
    /// The built package would exceed 4 GiB.
    #[error("package too large: {bytes} bytes, but offsets have 32 bits")]
    TooLarge { bytes: u64 },
    /// The built package would have more sections than its table can hold.
    #[error("too many sections: expected at most {MAX_SECTIONS}, found {found}")]
    TooManySections { found: usize },
}

/// Damage in the compressed bytes of a section.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The texts explain the fields.
pub enum ContentFault {
    /// The stream ends before its last block and its checksum.
    #[error("its compressed data is cut short, and decompresses to {bytes} bytes without an end")]
    CutOff { bytes: u64 },
    /// The stream is not valid, or its own checksum differs.
    #[error("its compressed data cannot be decompressed: {why}")]
    Invalid { why: String },
    /// More than fits into the memory of a camera.
    #[error("its compressed data decompresses to more than {max} bytes, the memory of a camera")]
    TooLarge { max: u64 },
}

impl PackageError {
    /// Returns the index of the damaged section. `None` for faults of the file or of several sections.
    #[must_use]
    pub const fn section(&self) -> Option<usize> {
        match self {
            Self::BadName { index, .. }
            | Self::InTable { index, .. }
            | Self::Outside { index, .. }
            | Self::CutOff { index, .. }
            | Self::Checksum { index, .. }
            | Self::Content { index, .. }
            | Self::UnknownCompression { index, .. } => Some(*index),
            _ => None,
        }
    }
}
