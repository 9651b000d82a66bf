//! What the camera keeps without power: NOR flash and eMMC, in this process or in files that outlive it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// What is allocated at once: memories of gigabytes cost what was written to them.
const PAGE: usize = 64 * 1024;

/// Where the bytes of a simulated memory are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemorySpec {
    /// Bytes; `None` is the size of the file that is there, or the usual one.
    pub size: Option<u64>,
    /// A file that is read and written in place. It is made when it is not there.
    pub file: Option<PathBuf>,
}

/// Why a memory did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// Behind the last byte.
    #[error("bytes {offset} to {end} of a memory of {size} bytes", end = u128::from(*offset) + u128::from(*len))]
    Outside {
        /// First byte that was asked for.
        offset: u64,
        /// Number of bytes.
        len: u64,
        /// What there is.
        size: u64,
    },
    /// The file behind it.
    #[error("{}: {error}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// One memory of a simulated camera.
#[derive(Debug)]
pub struct Memory {
    size: u64,
    erased: u8,
    store: Store,
}

#[derive(Debug)]
enum Store {
    /// Pages that were written.
    Pages(HashMap<u64, Box<[u8]>>),
    File(PathBuf, File),
}

impl Memory {
    /// NOR flash: erased bytes are 0xFF.
    ///
    /// # Errors
    /// The file cannot be opened, made or filled.
    pub fn nor(spec: &MemorySpec, usual: u64) -> Result<Self, MemoryError> {
        Self::open(spec, usual, 0xFF)
    }

    /// eMMC, which the bootloader sees as a file (bootloader.md 8): what was never written is zero.
    ///
    /// # Errors
    /// The file cannot be opened, made or filled.
    pub fn emmc(spec: &MemorySpec, usual: u64) -> Result<Self, MemoryError> {
        Self::open(spec, usual, 0)
    }

    fn open(spec: &MemorySpec, usual: u64, erased: u8) -> Result<Self, MemoryError> {
        let Some(path) = &spec.file else {
            return Ok(Self { size: spec.size.unwrap_or(usual), erased, store: Store::Pages(HashMap::new()) });
        };
        let failed = |error| MemoryError::File { path: path.clone(), error };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        let there = file.metadata().map_err(failed)?.len();
        let size = spec.size.unwrap_or(if there == 0 { usual } else { there });
        lengthen(&mut file, there, size, erased).map_err(failed)?;
        Ok(Self { size, erased, store: Store::File(path.clone(), file) })
    }

    /// Bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    fn inside(&self, offset: u64, len: usize) -> Result<(), MemoryError> {
        let end = offset.checked_add(len as u64);
        if end.is_some_and(|end| end <= self.size) {
            return Ok(());
        }
        Err(MemoryError::Outside { offset, len: len as u64, size: self.size })
    }

    /// Fills `out` from there.
    ///
    /// # Errors
    /// [`MemoryError::Outside`], or the file cannot be read.
    pub fn read_into(&mut self, offset: u64, out: &mut [u8]) -> Result<(), MemoryError> {
        self.inside(offset, out.len())?;
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

    /// So many bytes from there. The caller bounds `len`.
    ///
    /// # Errors
    /// As for [`Self::read_into`].
    pub fn read(&mut self, offset: u64, len: usize) -> Result<Vec<u8>, MemoryError> {
        self.inside(offset, len)?;
        let mut bytes = vec![0; len];
        self.read_into(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Replaces what is there.
    ///
    /// # Errors
    /// [`MemoryError::Outside`], with nothing written, or the file cannot be written.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        self.inside(offset, bytes.len())?;
        match &mut self.store {
            Store::Pages(pages) => each_page(offset, bytes.len(), |page, within, span| {
                let erased = self.erased;
                let to = pages.entry(page).or_insert_with(|| vec![erased; PAGE].into_boxed_slice());
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

    /// Erases so many bytes from there.
    ///
    /// # Errors
    /// As for [`Self::write`].
    pub fn erase(&mut self, offset: u64, len: u64) -> Result<(), MemoryError> {
        let end = offset.saturating_add(len);
        if end > self.size {
            return Err(MemoryError::Outside { offset, len, size: self.size });
        }
        let blank = vec![self.erased; PAGE];
        let mut at = offset;
        while at < end {
            let piece = PAGE.min(usize::try_from(end - at).unwrap_or(PAGE));
            self.write(at, &blank[..piece])?;
            at += piece as u64;
        }
        Ok(())
    }
}

/// Calls with each page that a range lies in: its number, the first byte within it, and the part of the range.
fn each_page(offset: u64, len: usize, mut with: impl FnMut(u64, usize, std::ops::Range<usize>)) {
    let mut done = 0;
    while done < len {
        let at = offset + done as u64;
        let within = (at % PAGE as u64) as usize;
        let piece = (PAGE - within).min(len - done);
        with(at / PAGE as u64, within, done..done + piece);
        done += piece;
    }
}

/// Makes the file so long. Zeros need no disk.
fn lengthen(file: &mut File, there: u64, size: u64, erased: u8) -> io::Result<()> {
    if there >= size {
        return Ok(());
    }
    if erased == 0 {
        return file.set_len(size);
    }
    let blank = vec![erased; PAGE];
    file.seek(SeekFrom::Start(there))?;
    let mut left = size - there;
    while left > 0 {
        let piece = PAGE.min(usize::try_from(left).unwrap_or(PAGE));
        file.write_all(&blank[..piece])?;
        left -= piece as u64;
    }
    Ok(())
}

impl MemorySpec {
    /// In this process.
    #[must_use]
    pub fn of_size(size: u64) -> Self {
        Self { size: Some(size), file: None }
    }

    /// In this file, as long as it is or as is usual.
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
    fn what_is_written_is_read_and_the_rest_is_erased() {
        both(|spec| {
            let mut memory = Memory::nor(spec, 1).expect("a memory");
            let bytes: Vec<u8> = (0..150_000u32).map(|n| (n % 251) as u8).collect();
            memory.write(40_000, &bytes).expect("it fits");
            assert_eq!(memory.read(40_000, bytes.len()).expect("it is there"), bytes);
            assert_eq!(memory.read(39_998, 4).expect("inside"), [0xFF, 0xFF, 0, 1]);
            memory.erase(40_001, 70_000).expect("inside");
            let around = memory.read(39_999, 70_004).expect("inside");
            assert_eq!(around[..2], [0xFF, 0]);
            assert!(around[2..70_002].iter().all(|byte| *byte == 0xFF));
            assert_eq!(around[70_002..], bytes[70_001..70_003]);
        });
    }

    #[test]
    fn nothing_is_read_or_written_outside() {
        both(|spec| {
            let mut memory = Memory::nor(spec, 1).expect("a memory");
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
    fn a_file_keeps_its_bytes_and_its_size() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("emmc");
        let spec = MemorySpec { size: Some(1 << 30), file: Some(path.clone()) };
        Memory::emmc(&spec, 1).expect("made").write(1 << 29, b"here").expect("inside");
        let mut again = Memory::emmc(&MemorySpec::in_file(&path), 1).expect("opened");
        assert_eq!(again.size(), 1 << 30);
        assert_eq!(again.read((1 << 29) - 1, 6).expect("inside"), b"\0here\0");
        let missing = MemorySpec::in_file(&folder.path().join("none/emmc"));
        let error = Memory::emmc(&missing, 1).expect_err("no such folder").to_string();
        assert!(error.contains("none/emmc"), "{error}");
    }
}
