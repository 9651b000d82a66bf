//! Paths of recordings: folders, file names, and renaming without replacing.

use std::io;
use std::path::{Path, PathBuf};

use super::RecordError;
use crate::file::{self, rename_to_new};
use crate::frame::Utc;
use crate::recording::disk::Disk;
use crate::sink::names;

/// Appended to the name of a file while it is written.
const PARTIAL: &str = ".partial";

/// Folder or file that a recorder writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordingTarget {
    /// Files in this folder, named `CAMERA/2026-11-21_10-15-00.123.mcap`.
    Folder(PathBuf),
    /// This file. Further files are named `FILE-1.mcap` and so on.
    File(PathBuf),
}

impl RecordingTarget {
    /// A file if the path ends in `.mcap` and is not a folder, a folder otherwise.
    #[must_use]
    pub fn from_path(path: PathBuf) -> Self {
        if names::has_extension(&path, "mcap") { Self::File(path) } else { Self::Folder(path) }
    }

    /// Returns the folder or file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::File(path) => path,
        }
    }

    /// Returns the folder for the files of these cameras.
    pub(super) fn folder(&self, cameras: &[&str]) -> PathBuf {
        match self {
            Self::File(path) => match path.parent() {
                Some(parent) if parent != Path::new("") => parent.to_owned(),
                _ => PathBuf::from("."),
            },
            Self::Folder(folder) => {
                let names: Vec<String> = cameras.iter().map(|name| names::safe_name(name)).collect();
                let name = names.join("+");
                folder.join(if name.is_empty() { "camera" } else { &name })
            }
        }
    }
}

/// Creates the folder, and checks that this user may create files in it.
pub(super) fn create_writable_folder(folder: &Path) -> Result<(), RecordError> {
    file::create_writable_folder(folder).map_err(|why| RecordError::Io { path: folder.to_owned(), why })
}

/// Paths of a file while it is written and once it is finished.
#[derive(Clone, Debug)]
pub(super) struct FileNames {
    pub(super) partial: PathBuf,
    pub(super) finished: PathBuf,
}

impl FileNames {
    fn new(finished: PathBuf) -> Self {
        let mut partial = finished.clone().into_os_string();
        partial.push(PARTIAL);
        Self { partial: partial.into(), finished }
    }

    /// Returns whether the unfinished file exists. A file in a folder that cannot be searched counts as existing.
    pub(super) fn partial_exists(&self) -> bool {
        self.partial.try_exists().unwrap_or(true)
    }

    /// Renames the file to its final name, or to a numbered one if that is taken. Returns the path.
    pub(super) fn finish(&self) -> io::Result<PathBuf> {
        let mut finished = self.finished.clone();
        for number in 1.. {
            match rename_to_new(&self.partial, &finished) {
                // Another process has created a file with this name.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    finished = numbered(&self.finished, number);
                }
                result => return result.map(|()| finished),
            }
        }
        unreachable!("no folder holds 2^31 files of one name")
    }
}

/// Creates an empty file: [`Disk::create`], except in tests.
pub(super) type CreateDisk = Box<dyn FnMut(&Path, bool) -> io::Result<Disk> + Send>;

/// Creates the next file. With a named file, the `first` one has exactly this name.
pub(super) fn create(
    target: &RecordingTarget,
    folder: &Path,
    first: bool,
    unix_ns: i64,
    sync: bool,
    create_disk: &mut CreateDisk,
) -> Result<(FileNames, Disk), RecordError> {
    let refused = |path: &Path| {
        let path = path.to_owned();
        move |why| RecordError::Io { path, why }
    };
    std::fs::create_dir_all(folder).map_err(refused(folder))?;
    let wanted = match target {
        RecordingTarget::Folder(_) => folder.join(format!("{}.mcap", Utc::from_unix_ns(unix_ns).for_file_name())),
        RecordingTarget::File(path) => path.clone(),
    };
    let exact_name = first && matches!(target, RecordingTarget::File(_));
    for number in 0.. {
        let names = FileNames::new(if number == 0 { wanted.clone() } else { numbered(&wanted, number) });
        if names.finished.symlink_metadata().is_ok() {
            if exact_name {
                return Err(RecordError::Exists(names.finished));
            }
            continue;
        }
        match create_disk(&names.partial, sync) {
            Ok(disk) => return Ok((names, disk)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if exact_name {
                    return Err(partial_exists_error(names.partial));
                }
            }
            Err(error) => return Err(refused(&names.partial)(error)),
        }
    }
    unreachable!("no folder holds 2^31 files of one name")
}

/// Returns whether an existing partial file is locked by its recorder or was left by one that was killed.
fn partial_exists_error(partial: PathBuf) -> RecordError {
    if file::is_locked(&partial) { RecordError::Busy(partial) } else { RecordError::Unfinished(partial) }
}

/// `a.mcap` -> `a-1.mcap`
fn numbered(path: &Path, number: u32) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-{number}.{extension}"))
}

/// Returns whether this is a generated file name: `2026-11-21_10-15-00.123Z.mcap` or `...-1.mcap`. Older names
/// have no `Z`.
pub(super) fn is_recording_name(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".mcap") else { return false };
    let pattern = b"dddd-dd-dd_dd-dd-dd.ddd";
    let Some((moment, number)) = stem.as_bytes().split_at_checked(pattern.len()) else { return false };
    let is_moment = moment.iter().zip(pattern).all(|(c, p)| if *p == b'd' { c.is_ascii_digit() } else { c == p });
    let is_number = match number.strip_prefix(b"Z").unwrap_or(number) {
        [] => true,
        [b'-', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    is_moment && is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create_in(target: &RecordingTarget, first: bool) -> Result<(FileNames, Disk), RecordError> {
        let mut create_disk: CreateDisk = Box::new(Disk::create);
        let folder = target.folder(&["front door", "../b"]);
        create(target, &folder, first, 1_795_259_112_345_678_901, false, &mut create_disk)
    }

    fn name(path: &Path) -> &str {
        path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    #[test]
    fn every_file_gets_a_name_of_its_own() {
        let root = tempfile::tempdir().expect("a folder");
        let target = RecordingTarget::from_path(root.path().join("new"));
        let (first, disk) = create_in(&target, true).expect("a file");
        assert_eq!(first.partial, root.path().join("new/front-door+b/2026-11-21_11-05-12.345Z.mcap.partial"));
        let (second, _) = create_in(&target, true).expect("another");
        assert_eq!(name(&second.finished), "2026-11-21_11-05-12.345Z-1.mcap");
        disk.finish(|| true).expect("written");
        assert_eq!(first.finish().expect("renamed"), first.finished);
        assert_eq!(name(&create_in(&target, true).expect("a third").0.finished), "2026-11-21_11-05-12.345Z-2.mcap");
    }

    #[test]
    fn a_named_file_is_created_or_refused() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("a.mcap");
        let target = RecordingTarget::from_path(path.clone());
        let (names, disk) = create_in(&target, true).expect("a file");
        let busy = create_in(&target, true).expect_err("another recorder writes it");
        assert!(matches!(&busy, RecordError::Busy(path) if *path == names.partial), "{busy}");
        drop(disk);
        let unfinished = create_in(&target, true).expect_err("an unfinished file");
        assert!(matches!(&unfinished, RecordError::Unfinished(path) if *path == names.partial), "{unfinished}");
        assert!(unfinished.help().is_some_and(|help| help.contains("recover")));
        std::fs::rename(&names.partial, &path).unwrap();
        let exists = create_in(&target, true).expect_err("an existing file");
        assert!(matches!(&exists, RecordError::Exists(found) if *found == path), "{exists}");
        assert_eq!(name(&create_in(&target, false).expect("not the first").0.finished), "a-1.mcap");
    }

    #[test]
    fn finishing_never_replaces_a_file() {
        let root = tempfile::tempdir().expect("a folder");
        let target = RecordingTarget::File(root.path().join("a.mcap"));
        let (names, disk) = create_in(&target, true).expect("a file");
        disk.finish(|| true).expect("written");
        std::fs::write(&names.finished, "mine").unwrap();
        assert_eq!(name(&names.finish().expect("another name")), "a-1.mcap");
        assert_eq!(std::fs::read(&names.finished).unwrap(), b"mine");
    }

    #[test]
    fn generated_names_are_recognized() {
        for generated in [
            "2026-11-21_10-15-00.123Z.mcap",
            "2026-11-21_10-15-00.123Z-17.mcap",
            "2026-11-21_10-15-00.123.mcap",
            "2026-11-21_10-15-00.123-17.mcap",
        ] {
            assert!(is_recording_name(generated), "{generated}");
        }
        let others = [
            "",
            "a.mcap",
            "2026-11-21_10-15-00.123",
            "2026-11-21_10-15-00.123.mcap.partial",
            "2026-11-21_10-15-00.123-.mcap",
            "2026-11-21_10-15-00.123ZZ.mcap",
            "2026-11-21_10-15-00.123-best.mcap",
            "2026-11-21_10-15-00.12\u{fc}.mcap",
            "2026-11-21 10-15-00.123.mcap",
            "x2026-11-21_10-15-00.123.mcap",
        ];
        for other in others {
            assert!(!is_recording_name(other), "{other}");
        }
    }
}
