//! Where recordings are put, and under which names.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::RecordError;
use crate::frame::Utc;
use crate::recording::disk::Disk;
use crate::sink::names;

/// What a file is called while it is written.
const PARTIAL: &str = ".partial";

/// Where recordings go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Below this folder, as `CAMERA/2026-11-21_10-15-00.123.mcap`.
    Folder(PathBuf),
    /// This file; when there are several, the others are called `FILE-1.mcap` and so on.
    File(PathBuf),
}

impl Place {
    /// What a person means who names this path: a file when it ends in `.mcap`, a folder otherwise.
    #[must_use]
    pub fn named(path: PathBuf) -> Self {
        if names::is_file(&path, "mcap") { Self::File(path) } else { Self::Folder(path) }
    }

    /// The folder in which files of these cameras are.
    pub(super) fn folder(&self, cameras: &[&str]) -> PathBuf {
        match self {
            Self::File(path) => match path.parent() {
                Some(parent) if parent != Path::new("") => parent.to_owned(),
                _ => PathBuf::from("."),
            },
            Self::Folder(folder) => {
                let names: Vec<String> = cameras.iter().map(|name| names::of_camera(name)).collect();
                let name = names.join("+");
                folder.join(if name.is_empty() { "camera" } else { &name })
            }
        }
    }
}

/// Makes the folder, and finds out whether files can be made in it.
pub(super) fn writable(folder: &Path) -> Result<(), RecordError> {
    let possible = std::fs::create_dir_all(folder).and_then(|()| {
        #[cfg(unix)]
        rustix::fs::access(folder, rustix::fs::Access::WRITE_OK)?;
        Ok(())
    });
    possible.map_err(|why| RecordError::Io { path: folder.to_owned(), why })
}

/// A file that is being written, and what it will be called.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) partial: PathBuf,
    pub(super) finished: PathBuf,
}

impl Names {
    fn of(finished: PathBuf) -> Self {
        let mut partial = finished.clone().into_os_string();
        partial.push(PARTIAL);
        Self { partial: partial.into(), finished }
    }

    /// Gives the file its name, which nobody else has.
    pub(super) fn finish(&self) -> io::Result<PathBuf> {
        let mut finished = self.finished.clone();
        for number in 1.. {
            match rename_to_new(&self.partial, &finished) {
                // Somebody has made a file of this name since.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    finished = numbered(&self.finished, number);
                }
                result => return result.map(|()| finished),
            }
        }
        unreachable!("no folder holds 2^31 files of one name")
    }
}

/// Opens the blank file; elsewhere than in tests that is [`Disk::create`].
pub(super) type Open = Box<dyn FnMut(&Path, bool) -> io::Result<Disk> + Send>;

/// Creates the next file: for the file that was named, under exactly this name if it is the `first`.
pub(super) fn create(
    place: &Place,
    folder: &Path,
    first: bool,
    unix_ns: i64,
    sync: bool,
    open: &mut Open,
) -> Result<(Names, Disk), RecordError> {
    let refused = |path: &Path| {
        let path = path.to_owned();
        move |why| RecordError::Io { path, why }
    };
    std::fs::create_dir_all(folder).map_err(refused(folder))?;
    let wanted = match place {
        Place::Folder(_) => folder.join(format!("{}.mcap", Utc::from_unix_ns(unix_ns).for_file_name())),
        Place::File(path) => path.clone(),
    };
    let only = first && matches!(place, Place::File(_));
    for number in 0.. {
        let names = Names::of(if number == 0 { wanted.clone() } else { numbered(&wanted, number) });
        if names.finished.symlink_metadata().is_ok() {
            if only {
                return Err(RecordError::Exists(names.finished));
            }
            continue;
        }
        match open(&names.partial, sync) {
            Ok(disk) => return Ok((names, disk)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if only {
                    return Err(who_has(names.partial));
                }
            }
            Err(error) => return Err(refused(&names.partial)(error)),
        }
    }
    unreachable!("no folder holds 2^31 files of one name")
}

/// Whose file this is: who writes it has it locked.
fn who_has(partial: PathBuf) -> RecordError {
    match File::open(&partial).map(|file| file.try_lock_shared()) {
        Ok(Err(TryLockError::WouldBlock)) => RecordError::Busy(partial),
        _ => RecordError::LeftBehind(partial),
    }
}

/// `a.mcap` -> `a-1.mcap`
fn numbered(path: &Path, number: u32) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-{number}.{extension}"))
}

/// Whether we call finished files like this: `2026-11-21_10-15-00.123.mcap`, or `...-1.mcap`.
pub(super) fn is_ours(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".mcap") else { return false };
    let pattern = b"dddd-dd-dd_dd-dd-dd.ddd";
    let Some((moment, number)) = stem.as_bytes().split_at_checked(pattern.len()) else { return false };
    let is_moment = moment.iter().zip(pattern).all(|(c, p)| if *p == b'd' { c.is_ascii_digit() } else { c == p });
    let is_number = match number {
        [] => true,
        [b'-', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    is_moment && is_number
}

#[cfg(target_os = "linux")]
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system knows it.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => rename_unless_there(from, to),
        result => Ok(result?),
    }
}

#[cfg(not(target_os = "linux"))]
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    rename_unless_there(from, to)
}

/// Somebody could make the file between the two steps; nobody else makes files of such names.
fn rename_unless_there(from: &Path, to: &Path) -> io::Result<()> {
    if to.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    std::fs::rename(from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn real() -> Open {
        Box::new(Disk::create)
    }

    fn create_in(place: &Place, first: bool) -> Result<(Names, Disk), RecordError> {
        create(place, &place.folder(&["front door", "../b"]), first, 1_795_259_112_345_678_901, false, &mut real())
    }

    fn name(path: &Path) -> &str {
        path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    #[test]
    fn two_never_have_the_same_file() {
        let root = tempfile::tempdir().expect("a folder");
        let place = Place::named(root.path().join("new"));
        let (first, disk) = create_in(&place, true).expect("a file");
        assert_eq!(first.partial, root.path().join("new/front-door+b/2026-11-21_11-05-12.345.mcap.partial"));
        let (second, _) = create_in(&place, true).expect("another");
        assert_eq!(name(&second.finished), "2026-11-21_11-05-12.345-1.mcap");
        disk.finish(|| true).expect("written");
        assert_eq!(first.finish().expect("renamed"), first.finished);
        assert_eq!(name(&create_in(&place, true).expect("a third").0.finished), "2026-11-21_11-05-12.345-2.mcap");
    }

    #[test]
    fn a_file_that_was_named_is_made_or_refused() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("a.mcap");
        let place = Place::named(path.clone());
        let (names, disk) = create_in(&place, true).expect("a file");
        let busy = create_in(&place, true).expect_err("it is being written");
        assert!(matches!(&busy, RecordError::Busy(path) if *path == names.partial), "{busy}");
        drop(disk);
        let left = create_in(&place, true).expect_err("it was left behind");
        assert!(matches!(&left, RecordError::LeftBehind(path) if *path == names.partial), "{left}");
        assert!(left.help().is_some_and(|help| help.contains("recover")));
        std::fs::rename(&names.partial, &path).unwrap();
        let exists = create_in(&place, true).expect_err("it is there");
        assert!(matches!(&exists, RecordError::Exists(found) if *found == path), "{exists}");
        assert_eq!(name(&create_in(&place, false).expect("not the first").0.finished), "a-1.mcap");
    }

    #[test]
    fn finishing_replaces_nothing() {
        let root = tempfile::tempdir().expect("a folder");
        let place = Place::File(root.path().join("a.mcap"));
        let (names, disk) = create_in(&place, true).expect("a file");
        disk.finish(|| true).expect("written");
        std::fs::write(&names.finished, "mine").unwrap();
        assert_eq!(name(&names.finish().expect("another name")), "a-1.mcap");
        assert_eq!(std::fs::read(&names.finished).unwrap(), b"mine");
    }

    #[test]
    fn names_of_ours() {
        for ours in ["2026-11-21_10-15-00.123.mcap", "2026-11-21_10-15-00.123-17.mcap"] {
            assert!(is_ours(ours), "{ours}");
        }
        let others = [
            "",
            "a.mcap",
            "2026-11-21_10-15-00.123",
            "2026-11-21_10-15-00.123.mcap.partial",
            "2026-11-21_10-15-00.123-.mcap",
            "2026-11-21_10-15-00.123-best.mcap",
            "2026-11-21_10-15-00.12\u{fc}.mcap",
            "2026-11-21 10-15-00.123.mcap",
            "x2026-11-21_10-15-00.123.mcap",
        ];
        for other in others {
            assert!(!is_ours(other), "{other}");
        }
    }
}
