//! The table of sections and its checks.

use std::io::{self, Read};
use std::ops::Range;

use flate2::read::{MultiGzDecoder, ZlibDecoder};
use flate2::{Decompress, FlushDecompress, Status};

use super::checksum::djb2;
use super::error::{ContentFault, PackageError};
use super::layout::{
    BOOTABLE, COMPRESSION_SHIFT, ENTRY_BYTES, IGNORE_CHECKSUM, MAGIC, MAX_SECTIONS, NAME_BYTES, TABLE_BYTES,
};

/// Decompression of all sections of a file stops here: the cameras have 512 MB of memory for everything.
const CONTENT_BYTES_MAX: u64 = 512 << 20;

/// The compression of a section (bootloader.md 5, bits 2 to 4 of the flags).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not compressed.
    None,
    /// zlib, used by the vendor's tool.
    Zlib,
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// An undefined number, 4 to 7.
    Unknown(u8),
}

/// An entry of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    index: usize,
    name: String,
    size: u32,
    offset: u32,
    checksum: u32,
    kind: u8,
    flags: u8,
}

impl Section {
    /// Parses an entry. `None` for an empty one: unused entries begin with zero, erased flash reads as 0xff.
    fn parse(index: usize, entry: &[u8; ENTRY_BYTES]) -> Option<Self> {
        let (name, rest) = entry.split_first_chunk::<NAME_BYTES>()?;
        if matches!(name[0], 0 | 0xff) {
            return None;
        }
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let (numbers, [kind, flags]) = rest.split_first_chunk::<12>()? else { return None };
        let number = |at: usize| numbers[at..at + 4].iter().rev().fold(0, |n, &byte| n << 8 | u32::from(byte));
        Some(Self {
            index,
            // Latin-1 keeps every byte visible: `fault` reports names that are not ASCII.
            name: name.iter().map(|&byte| char::from(byte)).collect(),
            size: number(0),
            offset: number(4),
            checksum: number(8),
            kind: *kind,
            flags: *flags,
        })
    }

    /// Returns the index in the table.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the stored (compressed) size in bytes.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// Returns the offset of the first byte in the file.
    #[must_use]
    pub const fn offset(&self) -> u32 {
        self.offset
    }

    /// Returns the offset after the last byte in the file.
    #[must_use]
    pub fn end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.size)
    }

    /// Returns the table's [`djb2`] of the stored bytes.
    #[must_use]
    pub const fn checksum(&self) -> u32 {
        self.checksum
    }

    /// Returns the type, which is 0 in every package of the vendor's tool.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        self.kind
    }

    /// Returns all flags.
    #[must_use]
    pub const fn flags(&self) -> u8 {
        self.flags
    }

    /// Returns whether the camera boots this section.
    #[must_use]
    pub const fn is_bootable(&self) -> bool {
        self.flags & BOOTABLE != 0
    }

    /// Returns whether the camera boots the section without comparing its checksum, which is faster.
    #[must_use]
    pub const fn ignores_checksum(&self) -> bool {
        self.flags & IGNORE_CHECKSUM != 0
    }

    /// Returns the compression.
    #[must_use]
    pub const fn compression(&self) -> Compression {
        match self.flags >> COMPRESSION_SHIFT & 7 {
            0 => Compression::None,
            1 => Compression::Zlib,
            2 => Compression::Gzip,
            3 => Compression::Xz,
            other => Compression::Unknown(other),
        }
    }

    /// Returns the stored bytes. `None` when the file ends before them.
    #[must_use]
    pub fn stored_in<'a>(&self, file: &'a [u8]) -> Option<&'a [u8]> {
        file.get(self.range()?)
    }

    /// Returns a reader of the decompressed bytes. `None` for xz and unknown compressions, which are not supported: no known
    /// tool uses them.
    #[must_use]
    pub fn content<'a>(&self, stored: &'a [u8]) -> Option<Box<dyn Read + 'a>> {
        match self.compression() {
            Compression::None => Some(Box::new(stored)),
            Compression::Zlib => Some(Box::new(ZlibDecoder::new(stored))),
            Compression::Gzip => Some(Box::new(MultiGzDecoder::new(stored))),
            Compression::Xz | Compression::Unknown(_) => None,
        }
    }

    fn range(&self) -> Option<Range<usize>> {
        Some(usize::try_from(self.offset).ok()?..usize::try_from(self.end()).ok()?)
    }

    /// Decompresses a section and returns its length. Nothing is kept.
    fn content_len(&self, stored: &[u8], max: u64) -> Result<u64, ContentFault> {
        let len = match self.compression() {
            Compression::Zlib => zlib_len(stored, max)?,
            Compression::Gzip => gzip_len(stored, max)?,
            // This crate cannot decompress xz.
            Compression::None | Compression::Xz | Compression::Unknown(_) => 0,
        };
        if len > max { Err(ContentFault::TooLarge { max: CONTENT_BYTES_MAX }) } else { Ok(len) }
    }

    /// Returns the first fault of this section alone. `left` is the number of bytes that may still be decompressed.
    fn fault(&self, file: &[u8], left: &mut u64) -> Option<PackageError> {
        let (index, name, offset, end, len) =
            (self.index, self.name.clone(), self.offset, self.end(), file.len() as u64);
        if !self.name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return Some(PackageError::BadName { index, name });
        }
        if u64::from(offset) < TABLE_BYTES as u64 {
            return Some(PackageError::InTable { index, name, offset });
        }
        // An empty section may begin where the file ends.
        if u64::from(offset) > len || (self.size > 0 && u64::from(offset) == len) {
            return Some(PackageError::Outside { index, name, offset, end, file: len });
        }
        let Some(stored) = self.stored_in(file) else {
            return Some(PackageError::CutOff { index, name, offset, end, file: len });
        };
        if let Compression::Unknown(found) = self.compression() {
            return Some(PackageError::UnknownCompression { index, name, found });
        }
        let (found, expected) = (djb2(stored), self.checksum);
        if found != expected {
            return Some(PackageError::Checksum { index, name, offset, end, found, expected });
        }
        match self.content_len(stored, *left) {
            Ok(len) => {
                *left -= len;
                None
            }
            Err(why) => Some(PackageError::Content { index, name, offset, end, why }),
        }
    }
}

/// Returns the decompressed length, or any number above `max`.
fn zlib_len(stored: &[u8], max: u64) -> Result<u64, ContentFault> {
    // `ZlibDecoder` reports the end of the input like the end of the stream in some versions.
    let mut inflate = Decompress::new(true);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let before = (inflate.total_in(), inflate.total_out());
        let status = inflate.decompress(&stored[before.0 as usize..], &mut buffer, FlushDecompress::None);
        let bytes = inflate.total_out();
        match status.map_err(|error| ContentFault::Invalid { why: error.to_string() })? {
            Status::StreamEnd => return Ok(bytes),
            _ if bytes > max => return Ok(bytes),
            _ if before == (inflate.total_in(), bytes) => return Err(ContentFault::CutOff { bytes }),
            Status::Ok | Status::BufError => {}
        }
    }
}

/// Returns the decompressed length, or any number above `max`.
fn gzip_len(stored: &[u8], max: u64) -> Result<u64, ContentFault> {
    let mut content = MultiGzDecoder::new(stored).take(max.saturating_add(1));
    let (mut buffer, mut bytes) = (vec![0; 64 << 10], 0);
    loop {
        match content.read(&mut buffer) {
            // An empty input is an empty list of streams for this decoder.
            Ok(0) if stored.is_empty() => return Err(ContentFault::CutOff { bytes }),
            Ok(0) => return Ok(bytes),
            Ok(len) => bytes += len as u64,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(ContentFault::CutOff { bytes }),
            Err(error) => return Err(ContentFault::Invalid { why: error.to_string() }),
        }
    }
}

/// The sections of a package, unchecked. [`SectionTable::faults`] checks them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionTable {
    sections: Vec<Section>,
}

impl SectionTable {
    /// Parses the table at the beginning of a package or of a camera's application memory.
    ///
    /// # Errors
    /// [`PackageError::TooShort`], [`PackageError::NotAPackage`].
    pub fn parse(file: &[u8]) -> Result<Self, PackageError> {
        if let Some(found) = file.first_chunk().filter(|found| **found != MAGIC) {
            return Err(PackageError::NotAPackage { found: *found });
        }
        let table = file.get(MAGIC.len()..TABLE_BYTES).ok_or(PackageError::TooShort { found: file.len() })?;
        let (entries, _) = table.as_chunks::<ENTRY_BYTES>();
        let sections =
            (0..MAX_SECTIONS).zip(entries).filter_map(|(index, entry)| Section::parse(index, entry)).collect();
        Ok(Self { sections })
    }

    /// Returns the sections in the order of the table.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Returns the first section of this name.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// Returns the end of the last section, which is the length of a complete file.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.sections.iter().map(Section::end).max().unwrap_or(0).max(TABLE_BYTES as u64)
    }

    /// Returns all faults of a file with this table: those of single sections, then those of several sections.
    #[must_use]
    pub fn faults(&self, file: &[u8]) -> Vec<PackageError> {
        if self.sections.is_empty() {
            return vec![PackageError::NoSection];
        }
        let mut left = CONTENT_BYTES_MAX;
        let mut faults: Vec<_> = self.sections.iter().filter_map(|section| section.fault(file, &mut left)).collect();
        faults.extend(self.same_names());
        faults.extend(self.overlaps());
        if !self.sections.iter().any(Section::is_bootable) {
            let names = self.sections.iter().map(|section| section.name.clone()).collect();
            faults.push(PackageError::NothingBootable { names });
        }
        let (end, len) = (self.end(), file.len() as u64);
        if len > end {
            faults.push(PackageError::Trailing { end, file: len });
        }
        faults
    }

    /// Returns the number of bytes between sections that are not zero. They are harmless; the vendor's tool writes zeros.
    #[must_use]
    pub fn gap_bytes(&self, file: &[u8]) -> u64 {
        let mut ranges: Vec<_> = self.sections.iter().filter_map(Section::range).collect();
        ranges.sort_by_key(|range| (range.start, range.end));
        let (mut at, mut nonzero) = (TABLE_BYTES, 0);
        for range in ranges {
            let gap = file.get(at..range.start.min(file.len())).unwrap_or_default();
            nonzero += gap.iter().filter(|byte| **byte != 0).count() as u64;
            at = at.max(range.end);
        }
        nonzero
    }

    fn same_names(&self) -> impl Iterator<Item = PackageError> {
        self.sections.iter().enumerate().filter_map(|(at, second)| {
            let first = self.sections[..at].iter().find(|first| first.name == second.name)?;
            Some(PackageError::SameName { first: first.index, second: second.index, name: second.name.clone() })
        })
    }

    fn overlaps(&self) -> Vec<PackageError> {
        let mut by_offset: Vec<_> = self.sections.iter().filter(|section| section.size > 0).collect();
        by_offset.sort_by_key(|section| (section.offset, section.end()));
        let mut faults = Vec::new();
        let mut furthest: Option<&Section> = None;
        for second in by_offset {
            if let Some(first) = furthest.filter(|first| first.end() > u64::from(second.offset)) {
                faults.push(PackageError::Overlap {
                    first: first.index,
                    first_name: first.name.clone(),
                    to: first.end(),
                    second: second.index,
                    second_name: second.name.clone(),
                    from: second.offset,
                });
            }
            if furthest.is_none_or(|first| second.end() > first.end()) {
                furthest = Some(second);
            }
        }
        faults
    }
}
