//! Old recordings go: finished ones with names of ours, in the folder of their camera, and nothing else.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::limits::Keep;
use super::place::is_ours;

#[derive(Debug)]
struct Finished {
    name: String,
    bytes: u64,
    ended: SystemTime,
}

/// Bytes of a disk: those that we may still write, and all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    pub(super) left: u64,
    pub(super) all: u64,
}

impl Space {
    /// Of the disk that the folder is on; `None` where the system does not tell.
    pub(super) fn of(folder: &Path) -> Option<Self> {
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

/// Deletes the oldest finished files of the folder until what is kept is within the limit, beside `writing` bytes of
/// the file that is being written. Returns those that are gone.
///
/// # Errors
/// The folder cannot be read, or a file not be deleted.
pub(super) fn enforce(
    keep: Keep,
    folder: &Path,
    writing: u64,
    now: SystemTime,
    mut space: impl FnMut() -> Option<Space>,
) -> io::Result<Vec<PathBuf>> {
    let mut files = finished(folder)?;
    // By name is by time.
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let mut total = writing + files.iter().map(|file| file.bytes).sum::<u64>();
    let mut gone = Vec::new();
    for file in files {
        let too_many = match keep {
            Keep::Time(time) => now.duration_since(file.ended).is_ok_and(|age| age > time),
            Keep::Bytes(bytes) => total > bytes,
            Keep::Free(share) => space().is_some_and(|space| (space.left as f64) < share * space.all as f64),
        };
        if !too_many {
            break;
        }
        let path = folder.join(&file.name);
        match std::fs::remove_file(&path) {
            // Somebody was quicker.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => {
                result?;
                gone.push(path);
            }
        }
        total -= file.bytes;
    }
    Ok(gone)
}

fn finished(folder: &Path) -> io::Result<Vec<Finished>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().filter(|name| is_ours(name)).map(str::to_owned) else { continue };
        // Of the entry itself: a link to elsewhere is nobody's recording.
        let Ok(about) = entry.metadata() else { continue };
        if about.is_file() {
            files.push(Finished { name, bytes: about.len(), ended: about.modified()? });
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

    /// Four recordings of an hour and 1000 bytes each, the last one ended just now; and what is not ours.
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

    fn gone(keep: Keep, writing: u64, space: impl FnMut() -> Option<Space>) -> Vec<String> {
        let (folder, now) = folder();
        let before = std::fs::read_dir(folder.path()).unwrap().count();
        let gone = enforce(keep, folder.path(), writing, now, space).expect("it can be read");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), before - gone.len());
        gone.iter()
            .inspect(|path| assert!(!path.exists()))
            .map(|path| path.file_name().unwrap().to_str().unwrap()[11..13].to_owned())
            .collect()
    }

    #[test]
    fn the_oldest_go() {
        let nobody = || panic!("nobody asks for the space");
        assert_eq!(gone(Keep::Time(HOUR + HOUR / 2), 0, nobody), ["10", "11"]);
        assert_eq!(gone(Keep::Time(9 * HOUR), 0, nobody), [""; 0]);
        assert_eq!(gone(Keep::Bytes(4000), 0, nobody), [""; 0]);
        assert_eq!(gone(Keep::Bytes(3999), 0, nobody), ["10"]);
        assert_eq!(gone(Keep::Bytes(4000), 1500, nobody), ["10", "11"]);
        assert_eq!(gone(Keep::Bytes(1), 0, nobody).len(), 4);
        // Each file that goes makes room for five per cent.
        let mut left = 0;
        let space = || {
            left += 5;
            Some(Space { left, all: 100 })
        };
        assert_eq!(gone(Keep::Free(0.12), 0, space), ["10", "11"]);
        assert_eq!(gone(Keep::Free(0.99), 0, || None), [""; 0], "nobody knows how much is free");
    }

    #[test]
    fn no_folder_is_no_file() {
        let (folder, now) = folder();
        let none = folder.path().join("none");
        assert!(enforce(Keep::Bytes(1), &none, 0, now, || None).expect("nothing to do").is_empty());
    }
}
