//! Deletes old recordings: finished ones with generated names, in the folder of their camera, and nothing else.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::limits::KeepLimit;
use super::target::is_recording_name;

#[derive(Debug)]
struct FinishedFile {
    name: String,
    bytes: u64,
    ended: SystemTime,
}

/// Bytes of a disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct DiskSpace {
    /// Free for this user.
    pub(super) left: u64,
    pub(super) all: u64,
}

impl DiskSpace {
    /// Returns the space of the folder's disk, or `None` where the system does not report it.
    pub(super) fn of_folder(folder: &Path) -> Option<Self> {
        #[cfg(unix)]
        {
            let disk = rustix::fs::statvfs(folder).ok()?;
            let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
            Some(Self { left: bytes(disk.f_bavail), all: bytes(disk.f_blocks) })
        }
        #[cfg(not(unix))]
        {
            let _ = folder;
            None
        }
    }
}

/// Deletes the oldest finished files in the folder until the rest is within the limit. `writing` is the size of the open
/// file. Returns the deleted files.
///
/// # Errors
/// The folder cannot be read, or a file cannot be deleted.
pub(super) fn delete_old_files(
    keep: KeepLimit,
    folder: &Path,
    writing: u64,
    now: SystemTime,
    mut space: impl FnMut() -> Option<DiskSpace>,
) -> io::Result<Vec<PathBuf>> {
    let mut files = finished(folder)?;
    // Generated names sort by time.
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let mut total = writing + files.iter().map(|file| file.bytes).sum::<u64>();
    let mut deleted = Vec::new();
    for file in files {
        let is_beyond_limit = match keep {
            KeepLimit::Time(time) => now.duration_since(file.ended).is_ok_and(|age| age > time),
            KeepLimit::Bytes(bytes) => total > bytes,
            KeepLimit::Free(share) => space().is_some_and(|space| (space.left as f64) < share * space.all as f64),
        };
        if !is_beyond_limit {
            break;
        }
        let path = folder.join(&file.name);
        match std::fs::remove_file(&path) {
            // Another process deleted it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => {
                result?;
                deleted.push(path);
            }
        }
        total -= file.bytes;
    }
    Ok(deleted)
}

fn finished(folder: &Path) -> io::Result<Vec<FinishedFile>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().filter(|name| is_recording_name(name)).map(str::to_owned) else {
            continue;
        };
        // Does not follow links: the target is not our recording.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() {
            files.push(FinishedFile { name, bytes: metadata.len(), ended: metadata.modified()? });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Four recordings of an hour and 1000 bytes each, of which the last has just ended, and files of other kinds.
    fn folder() -> (tempfile::TempDir, SystemTime) {
        let folder = tempfile::tempdir().expect("a folder");
        let now = SystemTime::now();
        let write = |name: &str, age: Duration| {
            let path = folder.path().join(name);
            std::fs::write(&path, [0; 1000]).unwrap();
            File::options().write(true).open(path).unwrap().set_modified(now - age).unwrap();
        };
        for hour in 0..4_u32 {
            write(&format!("2026-11-21_{:02}-00-00.000.mcap", 10 + hour), (3 - hour) * HOUR);
        }
        for other in
            ["2020-01-01_00-00-00.000.mcap.partial", "2020.mcap", "notes.txt", "2020-01-01_00-00-00.000-best.mcap"]
        {
            write(other, 1000 * HOUR);
        }
        std::fs::create_dir(folder.path().join("2020-01-01_00-00-00.000.mcap")).unwrap();
        (folder, now)
    }

    /// Returns the hours of the deleted recordings.
    fn deleted(keep: KeepLimit, writing: u64, space: impl FnMut() -> Option<DiskSpace>) -> Vec<String> {
        let (folder, now) = folder();
        let before = std::fs::read_dir(folder.path()).unwrap().count();
        let deleted = delete_old_files(keep, folder.path(), writing, now, space).expect("the folder can be read");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), before - deleted.len());
        deleted
            .iter()
            .inspect(|path| assert!(!path.exists()))
            .map(|path| path.file_name().unwrap().to_str().unwrap()[11..13].to_owned())
            .collect()
    }

    #[test]
    fn the_oldest_recordings_are_deleted() {
        let unused = || panic!("these limits do not depend on the space");
        assert_eq!(deleted(KeepLimit::Time(HOUR + HOUR / 2), 0, unused), ["10", "11"]);
        assert_eq!(deleted(KeepLimit::Time(9 * HOUR), 0, unused), [""; 0]);
        assert_eq!(deleted(KeepLimit::Bytes(4000), 0, unused), [""; 0]);
        assert_eq!(deleted(KeepLimit::Bytes(3999), 0, unused), ["10"]);
        assert_eq!(deleted(KeepLimit::Bytes(4000), 1500, unused), ["10", "11"]);
        assert_eq!(deleted(KeepLimit::Bytes(1), 0, unused).len(), 4);
        // Each deleted file frees 5 % of the disk.
        let mut left = 0;
        let space = || {
            left += 5;
            Some(DiskSpace { left, all: 100 })
        };
        assert_eq!(deleted(KeepLimit::Free(0.12), 0, space), ["10", "11"]);
        assert_eq!(deleted(KeepLimit::Free(0.99), 0, || None), [""; 0], "the free space is unknown");
    }

    #[test]
    fn a_missing_folder_is_not_an_error() {
        let (folder, now) = folder();
        let missing = folder.path().join("missing");
        assert!(delete_old_files(KeepLimit::Bytes(1), &missing, 0, now, || None).expect("nothing to do").is_empty());
    }
}
