//! New files. A file has a temporary name until all its bytes are written, and is removed if that fails.
//!
//! Every file that the program writes is made here, except recordings that grow for hours (`recording/disk`).

mod path_text;
mod shell;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Read as _, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

pub use path_text::{serialize_optional_path, serialize_path, serialize_paths};
pub use shell::shell_word;

/// Appended to the name of an incomplete file.
const TEMPORARY: &str = ".tmp";

/// Attempts to lock a temporary file that other processes create and remove meanwhile.
const LOCK_ATTEMPTS_MAX: usize = 100;

/// A new file. Dropping it without [`NewFile::finish`] removes it.
#[derive(Debug)]
pub struct NewFile {
    /// `None` after [`NewFile::finish`].
    file: Option<BufWriter<File>>,
    temporary: PathBuf,
    path: PathBuf,
    replaces: bool,
}

impl NewFile {
    /// Creates a file that gets the name `path` when it is finished, and never replaces another one.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`]: `path` exists, or another process is writing it. Others: the file cannot be
    /// created.
    pub fn create(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        if path.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Self::begin(path, false)
    }

    /// Like [`Self::create`], for a file that replaces an existing one when it is finished.
    ///
    /// # Errors
    /// The file cannot be created, or another process is writing it.
    pub fn replace(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        // Replaces the target of a link, as writing to it would.
        Self::begin(fs::canonicalize(&path).unwrap_or(path), true)
    }

    fn begin(path: PathBuf, replaces: bool) -> io::Result<Self> {
        let mut temporary = path.clone().into_os_string();
        temporary.push(TEMPORARY);
        let temporary = PathBuf::from(temporary);
        let file = create_locked(&temporary)?;
        let file = BufWriter::with_capacity(1 << 18, file);
        Ok(Self { file: Some(file), temporary, path, replaces })
    }

    /// Returns the path until the file is finished.
    #[must_use]
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Returns the final path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until the bytes are on the disk, and renames the file to its final path. Returns its size in bytes.
    ///
    /// # Errors
    /// Writing fails, or the path exists by now. The file is then removed.
    pub fn finish(mut self) -> io::Result<u64> {
        // Before the rename: after a power failure, a complete name must not stand for an empty file.
        self.flush()?;
        self.open()?.get_ref().sync_all()?;
        self.rename()
    }

    /// Like [`Self::finish`], without waiting for the disk: for a file of a large set, where one wait for each would take
    /// minutes.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn finish_unsynced(mut self) -> io::Result<u64> {
        self.flush()?;
        self.rename()
    }

    fn rename(mut self) -> io::Result<u64> {
        let bytes = self.open()?.get_ref().metadata()?.len();
        if self.replaces {
            fs::rename(&self.temporary, &self.path)?;
        } else {
            rename_to_new(&self.temporary, &self.path)?;
        }
        // Closed, so that `drop` does not remove it.
        self.file = None;
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
        if let Some(file) = self.file.take() {
            // Without a last attempt to write the buffer.
            let (file, _) = file.into_parts();
            // Windows does not remove open files. Elsewhere the lock is held as long as the name exists: the next process may
            // take the name at once.
            let open = if cfg!(windows) { None } else { Some(file) };
            // `drop` cannot return an error, and the name shows that the file is incomplete.
            let _ = fs::remove_file(&self.temporary);
            drop(open);
        }
    }
}

/// Writes a new file.
///
/// # Errors
/// The file exists, or cannot be written.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = NewFile::create(path)?;
    file.write_all(bytes)?;
    file.finish().map(drop)
}

/// Writes a file, and replaces an existing one.
///
/// # Errors
/// The file cannot be written. An existing file is then unchanged.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = NewFile::replace(path)?;
    file.write_all(bytes)?;
    file.finish().map(drop)
}

/// Checks that a file of this name does not exist and that `bytes` bytes can be written for it, by reserving them for a
/// temporary file, which is removed.
///
/// # Errors
/// As [`NewFile::create`], or there is no space.
pub fn check_new(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = NewFile::create(path)?;
    #[cfg(target_os = "linux")]
    match rustix::fs::fallocate(file.open()?.get_ref(), rustix::fs::FallocateFlags::empty(), 0, bytes) {
        // Some file systems cannot reserve space.
        Err(rustix::io::Errno::NOTSUP | rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => {}
        reserved => return Ok(reserved?),
    }
    io::copy(&mut io::repeat(0).take(bytes), &mut file)?;
    file.flush()
}

/// Folders that did not exist before a command created them. Dropping it removes those of them that are empty.
#[derive(Debug, Default)]
pub struct NewFolders(Vec<PathBuf>);

impl NewFolders {
    /// Adds the folders on the path to this one, and itself, that do not exist yet. Call it before they are created.
    pub fn add(&mut self, folder: &Path) {
        let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && folder.symlink_metadata().is_err();
        let missing = folder.ancestors().take_while(is_missing);
        for folder in missing.map(Path::to_owned) {
            if !self.0.contains(&folder) {
                self.0.push(folder);
            }
        }
    }
}

impl Drop for NewFolders {
    fn drop(&mut self) {
        self.0.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
        // Fails for a folder that has files, which stay.
        self.0.iter().for_each(|folder| drop(fs::remove_dir(folder)));
    }
}

/// Creates the folder that this file or folder will be in, unless it exists.
///
/// # Errors
/// The folder cannot be created.
pub fn create_parent(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists());
    folder.map_or(Ok(()), fs::create_dir_all)
}

/// Creates the folder, and checks that files can be created in it, by creating and removing one.
///
/// # Errors
/// The folder or a file cannot be created.
pub fn create_writable_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    // Permissions alone do not show a read-only file system.
    match NewFile::create(folder.join(format!(".oaktap-{}", std::process::id()))) {
        // Another thread checks the same folder.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created.map(drop),
    }
}

/// Renames a file unless the new name exists.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`]: the new name exists. Others: the file cannot be renamed.
#[cfg(target_os = "linux")]
pub fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems do not support NOREPLACE.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => rename_unless_exists(from, to),
        result => Ok(result?),
    }
}

/// Renames a file unless the new name exists.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`]: the new name exists. Others: the file cannot be renamed.
#[cfg(not(target_os = "linux"))]
pub fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    rename_unless_exists(from, to)
}

/// Not atomic: a file that another process creates between the two steps is replaced.
fn rename_unless_exists(from: &Path, to: &Path) -> io::Result<()> {
    if to.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    fs::rename(from, to)
}

/// Returns whether a process has locked this file, because it is writing it.
#[must_use]
pub fn is_locked(path: &Path) -> bool {
    matches!(File::open(path).map(|file| file.try_lock_shared()), Ok(Err(TryLockError::WouldBlock)))
}

/// Creates a file and locks it. Of several processes, one succeeds.
fn create_locked(path: &Path) -> io::Result<File> {
    for _ in 0..LOCK_ATTEMPTS_MAX {
        match OpenOptions::new().read(true).write(true).create_new(true).open(path) {
            Ok(file) if is_ours(&file, path)? => return Ok(file),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => remove_unlocked(path)?,
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Locks a file that this process has created. Returns `false` if another process has locked or removed it first.
fn is_ours(file: &File, path: &Path) -> io::Result<bool> {
    Ok(lock(file) && is_at(file, path)?)
}

/// Locks a file, where the file system supports that. Returns `false` if another process has locked it.
fn lock(file: &File) -> bool {
    !matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

/// Returns whether the open file still has this path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let id = |found: fs::Metadata| (found.dev(), found.ino());
    match path.symlink_metadata() {
        Ok(found) => Ok(id(found) == id(file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns whether the open file still has this path. Windows does not give the name of an open file to another one.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> io::Result<bool> {
    path.try_exists()
}

/// Removes the temporary file of a process that was killed, which it leaves without the lock.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`]: a process has locked it. Others: it cannot be removed.
fn remove_unlocked(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).open(path) {
        // Another process has removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        file => remove_if_unlocked(&file?, path),
    }
}

fn remove_if_unlocked(file: &File, path: &Path) -> io::Result<()> {
    if !lock(file) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // The path may be that of another file by now, which this lock does not protect.
    if is_at(file, path)? { fs::remove_file(path) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
    }

    #[test]
    fn a_file_gets_its_name_when_it_is_finished() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.csv");
        let exists = |file: io::Result<NewFile>| file.expect_err("refused").kind() == io::ErrorKind::AlreadyExists;
        let mut file = NewFile::create(&path).expect("a file");
        file.write_all(b"abc").unwrap();
        assert!(!path.exists());
        assert!(exists(NewFile::create(&path)), "another writer has the temporary file");
        assert_eq!(file.finish().unwrap(), 3);
        assert_eq!(fs::read(&path).unwrap(), b"abc");
        assert!(exists(NewFile::create(&path)));
        assert_eq!(names(folder.path()), ["a.csv"]);
    }

    #[test]
    fn an_unfinished_file_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(NewFile::create(folder.path().join("a")).expect("a file"));
        assert!(names(folder.path()).is_empty());
        let path = folder.path().join("b");
        let file = NewFile::create(&path).expect("a file");
        fs::write(&path, "mine").unwrap();
        assert!(file.finish().is_err(), "a file with this name appeared meanwhile");
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        assert_eq!(names(folder.path()), ["b"]);
    }

    #[test]
    fn the_file_of_a_killed_process_is_no_obstacle() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("a.tmp"), "half").unwrap();
        write_new(&folder.path().join("a"), b"whole").expect("a file");
        assert_eq!(
            (names(folder.path()), fs::read(folder.path().join("a")).unwrap()),
            (vec!["a".into()], b"whole".into())
        );
    }

    /// A process is interrupted between two steps, and another one takes its file for that of a killed process.
    #[cfg(unix)]
    #[test]
    fn of_two_processes_that_begin_at_once_one_has_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, temporary) = (folder.path().join("a"), folder.path().join("a.tmp"));
        let created = File::create_new(&temporary).expect("a file");
        let other = NewFile::create(&path).expect("the file is not locked");
        assert!(!is_ours(&created, &temporary).expect("a lock"), "the other process has it");
        drop(other);
        // Both find the file of a killed process.
        fs::write(&temporary, "half").unwrap();
        let found = File::open(&temporary).expect("a file");
        let other = NewFile::create(&path).expect("a file");
        remove_if_unlocked(&found, &temporary).expect("nothing to remove");
        assert!(temporary.exists(), "it is the file of the other process by now");
        assert!(NewFile::create(&path).is_err());
        other.finish().expect("it is still there");
    }

    #[test]
    fn of_several_writers_one_has_the_file() {
        const WRITERS: usize = 4;
        let folder = tempfile::tempdir().expect("a folder");
        for round in 0..50 {
            let path = folder.path().join(round.to_string());
            if round % 2 == 1 {
                fs::write(folder.path().join(format!("{round}.tmp")), "of a killed process").unwrap();
            }
            let barrier = std::sync::Barrier::new(WRITERS);
            let write = || {
                barrier.wait();
                let file = NewFile::create(&path);
                // Each keeps its file until all have tried.
                barrier.wait();
                file.is_ok_and(|file| file.finish().is_ok())
            };
            let written = std::thread::scope(|scope| {
                let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(write)).collect();
                writers.into_iter().map(|writer| usize::from(writer.join().expect("no panic"))).sum::<usize>()
            });
            assert_eq!((written, path.exists()), (1, true), "round {round}");
        }
    }

    #[test]
    fn a_replaced_file_is_whole_at_every_moment() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        fs::write(&path, "old").unwrap();
        let mut file = NewFile::replace(&path).expect("a file");
        file.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old", "the new file was not finished");
        replace(&path, b"new").expect("a file");
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_leaves_no_file_behind() {
        // A file of which every write fails as on a full disk.
        let full = Path::new("/dev/full");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        let mut file = NewFile::create(&path).expect("a file");
        file.file = Some(BufWriter::new(OpenOptions::new().write(true).open(full).expect("the device")));
        file.write_all(b"abc").expect("buffered");
        assert_eq!(file.finish().expect_err("a full disk").kind(), io::ErrorKind::StorageFull);
        assert!(names(folder.path()).is_empty());
        write_new(&path, b"abc").expect("a second attempt");
    }

    #[test]
    fn a_folder_is_checked_by_creating_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        create_writable_folder(&folder.path().join("a/b")).expect("a new folder");
        assert!(names(&folder.path().join("a/b")).is_empty());
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(create_writable_folder(&folder.path().join("file")).is_err());
    }
}
