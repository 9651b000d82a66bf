//! The file that blocks are written to. Tests use other media, which inject faults.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// A medium that takes blocks at offsets.
pub(crate) trait Medium: Send {
    /// Writes all bytes at an offset. Address, length and offset are aligned to `Block::ALIGN_BYTES`.
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts the file to `len` bytes.
    fn set_len(&mut self, len: u64) -> io::Result<()>;
    /// Flushes the caches of system and medium.
    fn sync(&mut self) -> io::Result<()>;
    /// Fails if the file is no longer at its path.
    fn check(&mut self) -> io::Result<()>;
}

/// A file, written with direct I/O where its file system supports that.
pub(super) struct FileMedium {
    file: File,
    path: PathBuf,
    direct: bool,
}

impl FileMedium {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::ResourceBusy.into()),
            // The lock shows other programs that the file is being written. Some file systems do not support it.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let direct = set_direct(&file, true);
        Ok(Self { file, path: path.to_owned(), direct })
    }
}

impl Medium for FileMedium {
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match write_all_at(&mut self.file, bytes, offset) {
            // Some file systems accept the flag and reject the first write.
            Err(error)
                if self.direct && error.kind() == io::ErrorKind::InvalidInput && set_direct(&self.file, false) =>
            {
                self.direct = false;
                write_all_at(&mut self.file, bytes, offset)
            }
            result => result,
        }
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn check(&mut self) -> io::Result<()> {
        let change = match std::fs::symlink_metadata(&self.path) {
            Ok(found) if is_same_file(&found, &self.file.metadata()?) => return Ok(()),
            Ok(_) => "the file was replaced",
            Err(error) if error.kind() == io::ErrorKind::NotFound => "the file or its folder was removed",
            Err(error) => return Err(error),
        };
        Err(io::Error::new(io::ErrorKind::NotFound, format!("{}: {change} during the recording", self.path.display())))
    }
}

#[cfg(unix)]
fn write_all_at(file: &mut File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(not(unix))]
fn write_all_at(file: &mut File, bytes: &[u8], offset: u64) -> io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

/// Returns whether the flag could be set.
#[cfg(target_os = "linux")]
fn set_direct(file: &File, direct: bool) -> bool {
    let flags = if direct { rustix::fs::OFlags::DIRECT } else { rustix::fs::OFlags::empty() };
    rustix::fs::fcntl_setfl(file, flags).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn set_direct(_: &File, _: bool) -> bool {
    false
}

#[cfg(unix)]
fn is_same_file(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same_file(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    one.is_file() && other.is_file()
}
