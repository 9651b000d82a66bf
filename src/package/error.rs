//! What can be wrong with a package.

use super::{MAX_SECTIONS, TABLE_BYTES};

/// What is wrong with a package. Sections are told by their index in the table and their name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The fields stand in the texts.
pub enum PackageError {
    /// There is not even a table.
    #[error(
        "too short for a package: expected a table of {TABLE_BYTES} bytes, found {found} bytes; copy or download it again"
    )]
    TooShort { found: usize },
    /// It begins like something else.
    #[error("no DepthAI application package: expected \"BR\" at its beginning, found \"{}\"", found.escape_ascii())]
    NotAPackage { found: [u8; 2] },
    /// The table is empty.
    #[error("the table has no section: it was erased, or never written")]
    NoSection,
    /// A name cannot be one.
    #[error("section {index} has a name that is no printable ASCII: \"{}\"; the table is damaged", name.as_bytes().escape_ascii())]
    BadName { index: usize, name: String },
    /// A section lies in the table itself.
    #[error(
        "section {index} `{name}` begins at byte {offset}, inside the table of {TABLE_BYTES} bytes: the table is damaged"
    )]
    InTable { index: usize, name: String, offset: u32 },
    /// A section begins where there is no file any more.
    #[error(
        "section {index} `{name}` is outside of the file: expected bytes {offset} to {end}, the file ends at byte {file}; it was cut short, or its table is damaged"
    )]
    Outside { index: usize, name: String, offset: u32, end: u64, file: u64 },
    /// The end of a section is missing.
    #[error(
        "section {index} `{name}` is cut off: expected bytes {offset} to {end}, the file ends at byte {file}; copy or download it again"
    )]
    CutOff { index: usize, name: String, offset: u32, end: u64, file: u64 },
    /// The bytes of a section are not those that were packed.
    #[error(
        "section {index} `{name}` (bytes {offset} to {end}) is damaged: its checksum is {found:08x}, expected {expected:08x}"
    )]
    Checksum { index: usize, name: String, offset: u32, end: u64, found: u32, expected: u32 },
    /// Nobody knows how to read a section.
    #[error("section {index} `{name}` has the unknown compression {found} (known: 0 none, 1 zlib, 2 gzip, 3 xz)")]
    UnknownCompression { index: usize, name: String, found: u8 },
    /// Two sections share bytes.
    #[error(
        "sections {first} `{first_name}` (to byte {to}) and {second} `{second_name}` (from byte {from}) overlap: the table is damaged"
    )]
    Overlap { first: usize, first_name: String, to: u64, second: usize, second_name: String, from: u32 },
    /// Two sections have one name.
    #[error("sections {first} and {second} are both called `{name}`: a camera would take either")]
    SameName { first: usize, second: usize, name: String },
    /// There is nothing to boot.
    #[error("no section is bootable: a camera refuses such a package; its {} sections are {}", names.len(), names.join(", "))]
    NothingBootable { names: Vec<String> },
    /// Something stands behind the last section.
    #[error("{} bytes too many: the last section ends at byte {end}, the file at byte {file}", file - end)]
    Trailing { end: u64, file: u64 },
    /// Too much was to be packed.
    #[error("a package of {bytes} bytes cannot be made: offsets are told in 32 bits")]
    TooLarge { bytes: u64 },
    /// Too many sections were to be packed.
    #[error("a package of {found} sections cannot be made: its table has room for {MAX_SECTIONS}")]
    TooManySections { found: usize },
}

impl PackageError {
    /// The index of the section that it makes useless. `None`: nothing or more than one.
    #[must_use]
    pub const fn section(&self) -> Option<usize> {
        match self {
            Self::BadName { index, .. }
            | Self::InTable { index, .. }
            | Self::Outside { index, .. }
            | Self::CutOff { index, .. }
            | Self::Checksum { index, .. }
            | Self::UnknownCompression { index, .. } => Some(*index),
            _ => None,
        }
    }
}
