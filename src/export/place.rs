//! Files and folders that never replace others, and their names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::ExportError;
use crate::file::{NewFile, create_parent};

/// Creates a file that gets the name `path` when it is finished, and its folder.
///
/// # Errors
/// `path` exists, or the file or its folder cannot be created.
pub(super) fn create(path: PathBuf) -> Result<NewFile, ExportError> {
    create_parent(&path).map_err(ExportError::io(&path))?;
    NewFile::create(&path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists if path.symlink_metadata().is_err() => ExportError::Busy(path),
        io::ErrorKind::AlreadyExists => ExportError::Exists(path),
        _ => ExportError::Io { path, source },
    })
}

/// Finishes a file. Returns its size in bytes.
///
/// # Errors
/// Writing fails, or the path exists by now.
pub(super) fn finish(file: NewFile) -> Result<u64, ExportError> {
    let path = file.path().to_owned();
    file.finish().map_err(ExportError::io(&path))
}

/// A folder of an export. No other process exports to it meanwhile.
#[derive(Debug)]
pub(super) struct OwnFolder {
    /// Removed when it is dropped.
    _lock: NewFile,
}

/// Name of the file that marks the folder of a running export, before its temporary ending.
const LOCK: &str = ".oaktap-export";

/// Creates a folder, or accepts an empty one.
///
/// # Errors
/// The folder has files, another process exports to it, or it cannot be created.
pub(super) fn empty_folder(path: &Path) -> Result<OwnFolder, ExportError> {
    fs::create_dir_all(path).map_err(ExportError::io(path))?;
    let has_files = |except: Option<&Path>| {
        let mut entries = fs::read_dir(path).map_err(ExportError::io(path))?;
        Ok(entries.any(|entry| entry.is_ok_and(|entry| Some(&*entry.path()) != except)))
    };
    let lock = match NewFile::create(path.join(LOCK)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(ExportError::Busy(path.to_owned())),
        // A folder that this user may not write is named as such only if it is empty.
        Err(_) if has_files(None)? => return Err(ExportError::NotEmpty(path.to_owned())),
        Err(error) => return Err(ExportError::io(path)(error)),
    };
    // After the lock: an export that began before this one has files by now.
    if has_files(Some(lock.temporary()))? {
        return Err(ExportError::NotEmpty(path.to_owned()));
    }
    Ok(OwnFolder { _lock: lock })
}

/// Removes the folders below a folder, as far as they are empty.
pub(super) fn remove_empty_folders_below(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty_folders(&entry.path());
        }
    }
}

/// Removes a folder and the folders below it, as far as they are empty.
pub(super) fn remove_empty_folders(path: &Path) {
    remove_empty_folders_below(path);
    // Fails if it is a file or has files, which stay.
    let _ = fs::remove_dir(path);
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
    fn only_empty_folders_are_accepted() {
        let folder = tempfile::tempdir().expect("a folder");
        empty_folder(&folder.path().join("a/b")).expect("a new one");
        let own = empty_folder(&folder.path().join("a/b")).expect("an empty one");
        assert!(matches!(empty_folder(&folder.path().join("a/b")), Err(ExportError::Busy(_))), "it is in use");
        drop(own);
        empty_folder(&folder.path().join("a/b")).expect("it is empty again");
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
