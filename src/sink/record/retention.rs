//! Deletes old recordings: finished ones with generated names, in the folder of their camera, and nothing else.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::limits::KeepLimit;
use super::target::is_recording_name;

#[derive(Debug)]
struct FinishedFile {
    name: String,
    bytes: u64,
    ended: SystemTime,
}

/// A file that ends this long after the present was written while the clock was wrong.
const FUTURE_MIN: Duration = Duration::from_secs(3600);

/// Order and age of files that do not depend on a wall clock that is set while the recorder runs.
#[derive(Debug)]
pub(super) struct History {
    started: (SystemTime, Instant),
    /// Names of the files that this recorder has finished, in order, and when.
    own: Vec<(String, Instant)>,
}

impl History {
    pub(super) fn new(now: SystemTime, at: Instant) -> Self {
        Self { started: (now, at), own: Vec::new() }
    }

    /// Notes a finished file of this recorder.
    pub(super) fn finished(&mut self, path: &Path, at: Instant) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.own.push((name, at));
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.own.iter().position(|(own, _)| own == name)
    }

    /// Returns the time since a file ended. `None`: it ends in the future.
    fn age(&self, file: &FinishedFile, (now, at): (SystemTime, Instant)) -> Option<Duration> {
        if let Some(own) = self.position(&file.name) {
            return Some(at.saturating_duration_since(self.own[own].1));
        }
        let by_clock = now.duration_since(file.ended).ok()?;
        let (started, since) = self.started;
        // A clock that was set forward since the start makes no file older.
        let by_start = started.duration_since(file.ended).map(|age| age + at.saturating_duration_since(since));
        Some(by_start.map_or(by_clock, |age| age.min(by_clock)))
    }

    /// Sorts by age, the oldest first: files of earlier recorders by their names, which contain the time, then those of
    /// this recorder. Files from the future come first, because the clock was wrong when they were written.
    fn sort(&self, files: &mut [FinishedFile], now: SystemTime) {
        let is_plausible = |file: &FinishedFile| file.ended.duration_since(now).is_ok_and(|by| by > FUTURE_MIN);
        files.sort_by_cached_key(|file| (self.position(&file.name), !is_plausible(file), file.name.clone()));
    }
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

/// Deletes the oldest finished files in the folder until the rest is within the limit, but never the last one of this
/// recorder. `writing` is the size of the open file. Returns the deleted files.
///
/// # Errors
/// The folder cannot be read, or a file cannot be deleted.
pub(super) fn delete_old_files(
    keep: KeepLimit,
    folder: &Path,
    writing: u64,
    now: (SystemTime, Instant),
    history: &mut History,
    mut space: impl FnMut() -> Option<DiskSpace>,
) -> io::Result<Vec<PathBuf>> {
    let mut files = finished(folder)?;
    history.sort(&mut files, now.0);
    let mut total = writing + files.iter().map(|file| file.bytes).sum::<u64>();
    let mut deleted = Vec::new();
    let newest = history.own.last().map(|(name, _)| name.clone());
    for file in files.into_iter().filter(|file| newest.as_ref() != Some(&file.name)) {
        let is_beyond_limit = match keep {
            KeepLimit::Time(time) => history.age(&file, now).is_some_and(|age| age > time),
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
        history.own.retain(|(name, _)| *name != file.name);
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
        let (at, mut history) = (Instant::now(), History::new(now, Instant::now()));
        let deleted = delete_old_files(keep, folder.path(), writing, (now, at), &mut history, space);
        let deleted = deleted.expect("the folder can be read");
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

    /// Returns what is deleted while the clock says `clock`, after this recorder has finished the first of the four files.
    fn deleted_after_jump(keep: KeepLimit, clock: impl Fn(SystemTime) -> SystemTime) -> Vec<PathBuf> {
        let (folder, now) = folder();
        let at = Instant::now();
        let mut history = History::new(now, at);
        // By its name it is the oldest.
        history.finished(&folder.path().join("2026-11-21_10-00-00.000.mcap"), at);
        let deleted = delete_old_files(keep, folder.path(), 0, (clock(now), at), &mut history, || None);
        let deleted = deleted.expect("the folder can be read");
        assert!(folder.path().join("2026-11-21_10-00-00.000.mcap").exists(), "it was just written");
        deleted
    }

    #[test]
    fn a_clock_that_jumps_deletes_nothing_that_is_not_old() {
        let years = 20 * 365 * 24 * HOUR;
        assert!(deleted_after_jump(KeepLimit::Time(9 * HOUR), |now| now + years).is_empty());
        assert!(deleted_after_jump(KeepLimit::Time(9 * HOUR), |_| SystemTime::UNIX_EPOCH).is_empty());
        for clock in [SystemTime::UNIX_EPOCH, SystemTime::now() + years] {
            let deleted = deleted_after_jump(KeepLimit::Bytes(1), |_| clock);
            assert_eq!(deleted.len(), 3, "all but the last one of this recorder");
        }
        let one = deleted_after_jump(KeepLimit::Bytes(3000), |now| now);
        assert!(one[0].ends_with("2026-11-21_11-00-00.000.mcap") && one.len() == 1, "{one:?}");
    }

    #[test]
    fn a_file_from_the_future_is_deleted_before_others() {
        let (folder, now) = folder();
        let wrong = folder.path().join("2035-01-01_00-00-00.000.mcap");
        std::fs::write(&wrong, [0; 1000]).unwrap();
        File::options().write(true).open(&wrong).unwrap().set_modified(now + 1000 * HOUR).unwrap();
        let (now, mut history) = ((now, Instant::now()), History::new(now, Instant::now()));
        let deleted = delete_old_files(KeepLimit::Bytes(4000), folder.path(), 0, now, &mut history, || None);
        assert_eq!(deleted.expect("the folder can be read"), [wrong]);
    }

    #[test]
    fn a_missing_folder_is_not_an_error() {
        let (folder, now) = folder();
        let missing = folder.path().join("missing");
        let (now, mut history) = ((now, Instant::now()), History::new(now, Instant::now()));
        let deleted = delete_old_files(KeepLimit::Bytes(1), &missing, 0, now, &mut history, || None);
        assert!(deleted.expect("nothing to do").is_empty());
    }
}
