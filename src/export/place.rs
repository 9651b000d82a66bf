//! New files, which have a temporary name until they are complete and never replace other files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::ExportError;

/// Appended to the name of an incomplete file.
const PARTIAL: &str = ".partial";

/// A new file. Dropping it without [`NewFile::finish`] removes it.
#[derive(Debug)]
pub(super) struct NewFile {
    /// `None` after [`NewFile::finish`].
    file: Option<BufWriter<File>>,
    partial: PathBuf,
    path: PathBuf,
    created: bool,
}

impl NewFile {
    /// Creates a file that gets the name `path` when it is finished.
    ///
    /// # Errors
    /// `path` or its temporary file exists, or the file cannot be created.
    pub(super) fn create(path: PathBuf) -> Result<Self, ExportError> {
        if path.symlink_metadata().is_ok() {
            return Err(ExportError::Exists(path));
        }
        let mut partial = path.clone().into_os_string();
        partial.push(PARTIAL);
        let mut new = Self { file: None, partial: PathBuf::from(partial), path, created: false };
        // `create_new` also detects another export to the same path.
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&new.partial);
        let file = file.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => ExportError::Exists(new.partial.clone()),
            _ => ExportError::Io { path: new.partial.clone(), source },
        })?;
        new.created = true;
        new.file = Some(BufWriter::with_capacity(1 << 18, file));
        Ok(new)
    }

    /// Returns the final path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Renames the file to its final path. Returns its size in bytes.
    ///
    /// # Errors
    /// Writing fails, or the path exists by now.
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
    /// Reads from the current position: [`Seek`] to the beginning first.
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
            // `drop` cannot return an error, and the name shows that the file is incomplete.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Creates a folder, or accepts an empty one.
pub(super) fn empty_folder(path: &Path) -> Result<(), ExportError> {
    fs::create_dir_all(path).map_err(ExportError::io(path))?;
    let mut entries = fs::read_dir(path).map_err(ExportError::io(path))?;
    if entries.next().is_some() { Err(ExportError::NotEmpty(path.to_owned())) } else { Ok(()) }
}

/// Replaces characters that some file systems do not allow, and limits the name to 64 characters.
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
    fn a_file_gets_its_name_when_it_is_finished() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.csv");
        let mut file = NewFile::create(path.clone()).expect("a file");
        file.write_all(b"abc").unwrap();
        assert!(!path.exists());
        assert!(
            matches!(NewFile::create(path.clone()), Err(ExportError::Exists(_))),
            "another writer has the temporary file"
        );
        assert_eq!(file.finish().unwrap(), 3);
        assert_eq!(fs::read(&path).unwrap(), b"abc");
        assert!(matches!(NewFile::create(path.clone()), Err(ExportError::Exists(existing)) if existing == path));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_unfinished_file_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(NewFile::create(folder.path().join("a")).expect("a file"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let path = folder.path().join("b");
        let file = NewFile::create(path.clone()).expect("a file");
        fs::write(&path, "mine").unwrap();
        assert!(file.finish().is_err(), "a file with this name appeared meanwhile");
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_empty_folders_are_accepted() {
        let folder = tempfile::tempdir().expect("a folder");
        empty_folder(&folder.path().join("a/b")).expect("a new one");
        empty_folder(&folder.path().join("a/b")).expect("an empty one");
        assert!(matches!(empty_folder(folder.path()), Err(ExportError::NotEmpty(_))));
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(matches!(empty_folder(&folder.path().join("file")), Err(ExportError::Io { .. })));
    }

    #[test]
    fn file_names_are_portable() {
        assert_eq!(file_name("tcp://10.0.0.5:5000"), "tcp---10.0.0.5-5000");
        assert_eq!([file_name(".."), file_name(""), file_name("/")], ["camera"; 3]);
        assert_eq!(file_name("Tür_1.b"), "Tür_1.b");
    }
}
