//! The camera's non-volatile memories: NOR flash and eMMC, in memory of this process or in files.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Memory is allocated in pages on the first write, so that gigabytes of eMMC cost only the pages in use.
const PAGE_BYTES: usize = 64 * 1024;

/// Size and storage of a simulated memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemorySpec {
    /// Size in bytes; `None`: the size of an existing file, or the default.
    pub size: Option<u64>,
    /// A file that is read and written in place, and created if it is missing.
    pub file: Option<PathBuf>,
}

/// Error of a simulated memory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The range ends after the last byte.
    #[error(
        "bytes {offset} to {end} are outside of a memory of {size} bytes",
        end = u128::from(*offset) + u128::from(*len)
    )]
    Outside {
        /// Offset of the range.
        offset: u64,
        /// Bytes in the range.
        len: u64,
        /// Bytes in the memory.
        size: u64,
    },
    /// The file of the memory cannot be used.
    #[error("{}: {error}", path.display())]
    File {
        /// Path of the file.
        path: PathBuf,
        /// Error of the system.
        error: io::Error,
    },
}

/// One memory of a simulated camera.
#[derive(Debug)]
pub struct MemoryChip {
    size: u64,
    erased: u8,
    store: Store,
}

#[derive(Debug)]
enum Store {
    /// The pages that have been written, by number.
    Pages(HashMap<u64, Box<[u8]>>),
    File(PathBuf, File),
}

impl MemoryChip {
    /// Opens NOR flash, whose erased bytes are 0xFF. `default_size` is in bytes.
    ///
    /// # Errors
    /// [`MemoryError::File`] if the file cannot be opened, created or extended.
    pub fn nor(spec: &MemorySpec, default_size: u64) -> Result<Self, MemoryError> {
        Self::open(spec, default_size, 0xFF)
    }

    /// Opens an eMMC, which the bootloader treats as a file (bootloader.md 8): its erased bytes are 0.
    ///
    /// # Errors
    /// [`MemoryError::File`] if the file cannot be opened, created or extended.
    pub fn emmc(spec: &MemorySpec, default_size: u64) -> Result<Self, MemoryError> {
        Self::open(spec, default_size, 0)
    }

    fn open(spec: &MemorySpec, default_size: u64, erased: u8) -> Result<Self, MemoryError> {
        let Some(path) = &spec.file else {
            return Ok(Self { size: spec.size.unwrap_or(default_size), erased, store: Store::Pages(HashMap::new()) });
        };
        let failed = |error| MemoryError::File { path: path.clone(), error };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        let size = spec.size.unwrap_or(if len == 0 { default_size } else { len });
        extend(&mut file, len, size, erased).map_err(failed)?;
        Ok(Self { size, erased, store: Store::File(path.clone(), file) })
    }

    /// Returns the size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    fn check_range(&self, offset: u64, len: usize) -> Result<(), MemoryError> {
        let end = offset.checked_add(len as u64);
        if end.is_some_and(|end| end <= self.size) {
            return Ok(());
        }
        Err(MemoryError::Outside { offset, len: len as u64, size: self.size })
    }

    /// Reads `out.len()` bytes at `offset`.
    ///
    /// # Errors
    /// [`MemoryError::Outside`], or [`MemoryError::File`] if the file cannot be read.
    pub fn read_into(&mut self, offset: u64, out: &mut [u8]) -> Result<(), MemoryError> {
        self.check_range(offset, out.len())?;
        match &mut self.store {
            Store::Pages(pages) => each_page(offset, out.len(), |page, within, span| {
                let out = &mut out[span];
                match pages.get(&page) {
                    Some(bytes) => out.copy_from_slice(&bytes[within..within + out.len()]),
                    None => out.fill(self.erased),
                }
            }),
            Store::File(path, file) => file
                .seek(SeekFrom::Start(offset))
                .and_then(|_| file.read_exact(out))
                .map_err(|error| MemoryError::File { path: path.clone(), error })?,
        }
        Ok(())
    }

    /// Reads `len` bytes at `offset`. The caller must bound `len`, which is allocated.
    ///
    /// # Errors
    /// The errors of [`Self::read_into`].
    pub fn read(&mut self, offset: u64, len: usize) -> Result<Vec<u8>, MemoryError> {
        self.check_range(offset, len)?;
        let mut bytes = vec![0; len];
        self.read_into(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Writes `bytes` at `offset`.
    ///
    /// # Errors
    /// [`MemoryError::Outside`] without writing, or [`MemoryError::File`] if the file cannot be written.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        self.check_range(offset, bytes.len())?;
        match &mut self.store {
            Store::Pages(pages) => each_page(offset, bytes.len(), |page, within, span| {
                let erased = self.erased;
                let to = pages.entry(page).or_insert_with(|| vec![erased; PAGE_BYTES].into_boxed_slice());
                let from = &bytes[span];
                to[within..within + from.len()].copy_from_slice(from);
            }),
            Store::File(path, file) => file
                .seek(SeekFrom::Start(offset))
                .and_then(|_| file.write_all(bytes))
                .map_err(|error| MemoryError::File { path: path.clone(), error })?,
        }
        Ok(())
    }

    /// Erases `len` bytes at `offset`.
    ///
    /// # Errors
    /// The errors of [`Self::write`].
    pub fn erase(&mut self, offset: u64, len: u64) -> Result<(), MemoryError> {
        let end = offset.saturating_add(len);
        if end > self.size {
            return Err(MemoryError::Outside { offset, len, size: self.size });
        }
        let blank = vec![self.erased; PAGE_BYTES];
        let mut at = offset;
        while at < end {
            let piece = PAGE_BYTES.min(usize::try_from(end - at).unwrap_or(PAGE_BYTES));
            self.write(at, &blank[..piece])?;
            at += piece as u64;
        }
        Ok(())
    }
}

/// Calls `with` for each page of a range: its number, the first byte within the page, and the part of the range.
fn each_page(offset: u64, len: usize, mut with: impl FnMut(u64, usize, std::ops::Range<usize>)) {
    let mut done = 0;
    while done < len {
        let at = offset + done as u64;
        let within = (at % PAGE_BYTES as u64) as usize;
        let piece = (PAGE_BYTES - within).min(len - done);
        with(at / PAGE_BYTES as u64, within, done..done + piece);
        done += piece;
    }
}

/// Extends a file of `len` bytes to `size` bytes with erased bytes.
fn extend(file: &mut File, len: u64, size: u64, erased: u8) -> io::Result<()> {
    if len >= size {
        return Ok(());
    }
    if erased == 0 {
        // The file stays sparse.
        return file.set_len(size);
    }
    let blank = vec![erased; PAGE_BYTES];
    file.seek(SeekFrom::Start(len))?;
    let mut left = size - len;
    while left > 0 {
        let piece = PAGE_BYTES.min(usize::try_from(left).unwrap_or(PAGE_BYTES));
        file.write_all(&blank[..piece])?;
        left -= piece as u64;
    }
    Ok(())
}

impl MemorySpec {
    /// A memory of `size` bytes in this process.
    #[must_use]
    pub fn of_size(size: u64) -> Self {
        Self { size: Some(size), file: None }
    }

    /// A memory in a file, with the size of the file or the default size.
    #[must_use]
    pub fn in_file(path: &Path) -> Self {
        Self { size: None, file: Some(path.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(test: impl Fn(&MemorySpec)) {
        test(&MemorySpec::of_size(200_000));
        let folder = tempfile::tempdir().expect("a folder");
        test(&MemorySpec { size: Some(200_000), file: Some(folder.path().join("nor")) });
    }

    #[test]
    fn written_bytes_are_read_back_and_the_rest_is_erased() {
        both(|spec| {
            let mut memory = MemoryChip::nor(spec, 1).expect("a memory");
            let bytes: Vec<u8> = (0..150_000u32).map(|n| (n % 251) as u8).collect();
            memory.write(40_000, &bytes).expect("it fits");
            assert_eq!(memory.read(40_000, bytes.len()).expect("inside"), bytes);
            assert_eq!(memory.read(39_998, 4).expect("inside"), [0xFF, 0xFF, 0, 1]);
            memory.erase(40_001, 70_000).expect("inside");
            let around = memory.read(39_999, 70_004).expect("inside");
            assert_eq!(around[..2], [0xFF, 0]);
            assert!(around[2..70_002].iter().all(|byte| *byte == 0xFF));
            assert_eq!(around[70_002..], bytes[70_001..70_003]);
        });
    }

    #[test]
    fn access_outside_of_the_memory_fails() {
        both(|spec| {
            let mut memory = MemoryChip::nor(spec, 1).expect("a memory");
            for (offset, len) in [(200_000, 1), (199_999, 2), (u64::MAX, 1), (0, 200_001)] {
                let error = memory.read(offset, len).expect_err("outside");
                assert!(matches!(error, MemoryError::Outside { size: 200_000, .. }), "{error}");
                memory.write(offset, &vec![0; len]).expect_err("outside");
                memory.erase(offset, len as u64).expect_err("outside");
            }
            assert!(memory.read(0, 200_000).expect("all of it").iter().all(|byte| *byte == 0xFF));
            assert!(memory.read(200_000, 0).expect("nothing is inside").is_empty());
        });
    }

    #[test]
    fn file_keeps_its_bytes_and_its_size() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("emmc");
        let spec = MemorySpec { size: Some(1 << 30), file: Some(path.clone()) };
        MemoryChip::emmc(&spec, 1).expect("created").write(1 << 29, b"here").expect("inside");
        let mut again = MemoryChip::emmc(&MemorySpec::in_file(&path), 1).expect("opened");
        assert_eq!(again.size(), 1 << 30);
        assert_eq!(again.read((1 << 29) - 1, 6).expect("inside"), b"\0here\0");
        let missing = MemorySpec::in_file(&folder.path().join("none/emmc"));
        let error = MemoryChip::emmc(&missing, 1).expect_err("no such folder").to_string();
        assert!(error.contains("none/emmc"), "{error}");
    }
}
