//! What blocks are written to: a file. Tests have others, which fail as they are told.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Takes blocks at offsets.
pub(crate) trait Medium: Send {
    /// Writes all of these bytes there. They are aligned, and so are their number and the offset.
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts off what stands behind the first `len` bytes.
    fn set_len(&mut self, len: u64) -> io::Result<()>;
    /// Returns when everything is on the medium itself.
    fn sync(&mut self) -> io::Result<()>;
    /// Whether what is written can still be found under its name.
    fn check(&mut self) -> io::Result<()>;
}

/// A file, past the page cache where its file system can do that.
pub(super) struct OnFile {
    file: File,
    path: PathBuf,
    direct: bool,
}

impl OnFile {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::ResourceBusy.into()),
            // The lock tells a file that is being written from one that was left behind; some file systems have none.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let direct = set_direct(&file, true);
        Ok(Self { file, path: path.to_owned(), direct })
    }
}

impl Medium for OnFile {
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match write_all_at(&mut self.file, bytes, offset) {
            // Some file systems find out only now that they cannot write directly.
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
        let gone = match std::fs::symlink_metadata(&self.path) {
            Ok(found) if same(&found, &self.file.metadata()?) => return Ok(()),
            Ok(_) => "another file has taken its place",
            Err(error) if error.kind() == io::ErrorKind::NotFound => "it was removed, or its folder was",
            Err(error) => return Err(error),
        };
        Err(io::Error::new(io::ErrorKind::NotFound, format!("{}: {gone} while it was written", self.path.display())))
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

/// `false`: it could not be set.
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
fn same(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn same(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    one.is_file() && other.is_file()
}
