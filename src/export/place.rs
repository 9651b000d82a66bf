//! Files that were not there before, with a temporary name until they are finished.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::ExportError;

/// Added to the name of a file that is not finished.
const PARTIAL: &str = ".partial";

/// A file that is written. Without [`NewFile::finish`] nothing of it remains.
#[derive(Debug)]
pub(super) struct NewFile {
    /// `None` only once it is finished.
    file: Option<BufWriter<File>>,
    partial: PathBuf,
    path: PathBuf,
    created: bool,
}

impl NewFile {
    /// Begins a file that will have this name.
    pub(super) fn create(path: PathBuf) -> Result<Self, ExportError> {
        if path.symlink_metadata().is_ok() {
            return Err(ExportError::Exists(path));
        }
        let mut partial = path.clone().into_os_string();
        partial.push(PARTIAL);
        let mut new = Self { file: None, partial: PathBuf::from(partial), path, created: false };
        // Seen from here on by another export to the same place.
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&new.partial);
        let file = file.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => ExportError::Exists(new.partial.clone()),
            _ => ExportError::Io { path: new.partial.clone(), source },
        })?;
        new.created = true;
        new.file = Some(BufWriter::with_capacity(1 << 18, file));
        Ok(new)
    }

    /// What it will be called.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name. Returns the bytes in it.
    pub(super) fn finish(mut self) -> Result<u64, ExportError> {
        let bytes = self.end().map_err(ExportError::io(&self.path))?;
        self.created = false;
        Ok(bytes)
    }

    fn end(&mut self) -> io::Result<u64> {
        let Some(file) = self.file.take() else { return Ok(0) };
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let bytes = file.metadata()?.len();
        drop(file);
        if self.path.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        fs::rename(&self.partial, &self.path)?;
        Ok(bytes)
    }

    fn open(&mut self) -> io::Result<&mut BufWriter<File>> {
        self.file.as_mut().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open()?.flush()
    }
}

impl io::Read for NewFile {
    /// Reads what was written: go back with [`Seek`] first.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.open()?.get_mut().read(into)
    }
}

impl Seek for NewFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.open()?.seek(to)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.created {
            drop(self.file.take());
            // There is nobody to tell; the name says that it is not finished.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Makes a folder, or takes one that is empty.
pub(super) fn empty_folder(path: &Path) -> Result<(), ExportError> {
    fs::create_dir_all(path).map_err(ExportError::io(path))?;
    let mut entries = fs::read_dir(path).map_err(ExportError::io(path))?;
    if entries.next().is_some() { Err(ExportError::NotEmpty(path.to_owned())) } else { Ok(()) }
}

/// A name that every file system takes.
pub(super) fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '.' | '_') { c } else { '-' };
    let name: String = name.chars().take(64).map(plain).collect();
    let name = name.trim_matches(['-', '.']);
    if name.is_empty() { "camera".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_name_once_it_is_finished() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.csv");
        let mut file = NewFile::create(path.clone()).expect("a file");
        file.write_all(b"abc").unwrap();
        assert!(!path.exists());
        assert!(matches!(NewFile::create(path.clone()), Err(ExportError::Exists(_))), "two writers");
        assert_eq!(file.finish().unwrap(), 3);
        assert_eq!(fs::read(&path).unwrap(), b"abc");
        assert!(matches!(NewFile::create(path.clone()), Err(ExportError::Exists(there)) if there == path));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn of_a_file_that_is_not_finished_nothing_remains() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(NewFile::create(folder.path().join("a")).expect("a file"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let path = folder.path().join("b");
        let file = NewFile::create(path.clone()).expect("a file");
        fs::write(&path, "mine").unwrap();
        assert!(file.finish().is_err(), "somebody was faster");
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn folders_are_taken_when_they_are_empty() {
        let folder = tempfile::tempdir().expect("a folder");
        empty_folder(&folder.path().join("a/b")).expect("a new one");
        empty_folder(&folder.path().join("a/b")).expect("an empty one");
        assert!(matches!(empty_folder(folder.path()), Err(ExportError::NotEmpty(_))));
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(matches!(empty_folder(&folder.path().join("file")), Err(ExportError::Io { .. })));
    }

    #[test]
    fn names_for_files() {
        assert_eq!(file_name("tcp://10.0.0.5:5000"), "tcp---10.0.0.5-5000");
        assert_eq!([file_name(".."), file_name(""), file_name("/")], ["camera"; 3]);
        assert_eq!(file_name("Tür_1.b"), "Tür_1.b");
    }
}
