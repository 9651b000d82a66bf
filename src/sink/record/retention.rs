//! Deletes old recordings: finished ones with generated names, in the folders of the recorded cameras, and nothing else.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use super::limits::KeepLimit;
use super::shared::Shared;
use super::target::is_recording_name;
use crate::sync::locked;

#[derive(Debug)]
struct FinishedFile {
    path: PathBuf,
    name: String,
    bytes: u64,
    ended: SystemTime,
}

/// A file that ends this long after the present was written while the clock was wrong.
const FUTURE_MIN: Duration = Duration::from_secs(3600);

/// Deletes the old files of recorders that run at the same time. They share the disk, so the oldest file may be another
/// recorder's.
#[derive(Debug)]
pub(super) struct Retention {
    group: Mutex<Group>,
}

#[derive(Debug)]
struct Group {
    history: History,
    /// Each recorder's folder, and its list of files.
    recorders: Vec<(PathBuf, Arc<Shared>)>,
}

impl Retention {
    pub(super) fn new(now: SystemTime, at: Instant) -> Self {
        Self { group: Mutex::new(Group { history: History::new(now, at), recorders: Vec::new() }) }
    }

    /// Adds a recorder with its folder.
    pub(super) fn add(&self, folder: &Path, shared: &Arc<Shared>) {
        locked(&self.group).recorders.push((folder.to_owned(), Arc::clone(shared)));
    }

    /// Notes a finished file. It is deleted only once the recorder of its folder has finished another one.
    pub(super) fn finished(&self, path: &Path, at: Instant) {
        locked(&self.group).history.finished(path, at);
    }

    /// Deletes files of the recorder with this folder, or with [`KeepLimit::Free`] the oldest of all recorders, and removes
    /// them from the lists of their recorders. `writing` is the size of the open file. Do not call it with a lock on
    /// [`Shared::progress`].
    ///
    /// # Errors
    /// A folder cannot be read, or a file cannot be deleted.
    pub(super) fn delete_old_files(
        &self,
        keep: KeepLimit,
        folder: &Path,
        writing: u64,
        now: (SystemTime, Instant),
        space: impl FnMut() -> Option<DiskSpace>,
    ) -> io::Result<()> {
        let Group { history, recorders } = &mut *locked(&self.group);
        let mut folders = vec![folder];
        if let KeepLimit::Free(_) = keep {
            folders.extend(recorders.iter().map(|(folder, _)| &**folder));
            folders.sort_unstable();
            folders.dedup();
        }
        let mut deleted = Vec::new();
        let result = delete_old_files(keep, &folders, writing, now, history, space, &mut deleted);
        for path in deleted {
            let of = recorders.iter().find(|(folder, _)| path.parent() == Some(folder));
            if let Some((_, shared)) = of {
                shared.progress().deleted(&[path]);
            }
        }
        result
    }
}

/// Order and age of files that do not depend on a wall clock that is set while the recorders run.
#[derive(Debug)]
struct History {
    started: (SystemTime, Instant),
    /// Files that these recorders have finished, in order, and when.
    own: Vec<(PathBuf, Instant)>,
}

impl History {
    fn new(now: SystemTime, at: Instant) -> Self {
        Self { started: (now, at), own: Vec::new() }
    }

    fn finished(&mut self, path: &Path, at: Instant) {
        self.own.push((path.to_owned(), at));
    }

    fn position(&self, path: &Path) -> Option<usize> {
        self.own.iter().position(|(own, _)| own == path)
    }

    /// Returns the last file in this folder that its recorder has finished.
    fn newest(&self, folder: &Path) -> Option<&PathBuf> {
        self.own.iter().rev().map(|(path, _)| path).find(|path| path.parent() == Some(folder))
    }

    /// Returns the time since a file ended. `None`: it ends in the future.
    fn age(&self, file: &FinishedFile, (now, at): (SystemTime, Instant)) -> Option<Duration> {
        if let Some(own) = self.position(&file.path) {
            return Some(at.saturating_duration_since(self.own[own].1));
        }
        let by_clock = now.duration_since(file.ended).ok()?;
        let (started, since) = self.started;
        // A clock that was set forward since the start makes no file older.
        let by_start = started.duration_since(file.ended).map(|age| age + at.saturating_duration_since(since));
        Some(by_start.map_or(by_clock, |age| age.min(by_clock)))
    }

    /// Sorts by age, the oldest first: files of earlier recorders by their names, which contain the time, then those of
    /// these recorders. Files from the future come first, because the clock was wrong when they were written.
    fn sort(&self, files: &mut [FinishedFile], now: SystemTime) {
        let is_plausible = |file: &FinishedFile| file.ended.duration_since(now).is_ok_and(|by| by > FUTURE_MIN);
        files.sort_by_cached_key(|file| {
            (self.position(&file.path), !is_plausible(file), file.name.clone(), file.path.clone())
        });
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

/// Deletes the oldest finished files in these folders until the rest is within the limit, but never the last one that a
/// recorder has finished. Adds the deleted files to `deleted`.
fn delete_old_files(
    keep: KeepLimit,
    folders: &[&Path],
    writing: u64,
    now: (SystemTime, Instant),
    history: &mut History,
    mut space: impl FnMut() -> Option<DiskSpace>,
    deleted: &mut Vec<PathBuf>,
) -> io::Result<()> {
    let mut files = Vec::new();
    for folder in folders {
        add_finished(folder, &mut files)?;
    }
    history.sort(&mut files, now.0);
    let mut total = writing + files.iter().map(|file| file.bytes).sum::<u64>();
    let newest: Vec<PathBuf> = folders.iter().filter_map(|folder| history.newest(folder)).cloned().collect();
    for file in files.into_iter().filter(|file| !newest.contains(&file.path)) {
        let is_beyond_limit = match keep {
            KeepLimit::Time(time) => history.age(&file, now).is_some_and(|age| age > time),
            KeepLimit::Bytes(bytes) => total > bytes,
            KeepLimit::Free(share) => space().is_some_and(|space| (space.left as f64) < share * space.all as f64),
        };
        if !is_beyond_limit {
            break;
        }
        match std::fs::remove_file(&file.path) {
            // Another process deleted it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => {
                result?;
                deleted.push(file.path.clone());
            }
        }
        history.own.retain(|(path, _)| *path != file.path);
        total -= file.bytes;
    }
    Ok(())
}

fn add_finished(folder: &Path, files: &mut Vec<FinishedFile>) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().filter(|name| is_recording_name(name)).map(str::to_owned) else {
            continue;
        };
        // Does not follow links: the target is not our recording.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() {
            let path = folder.join(&name);
            files.push(FinishedFile { path, name, bytes: metadata.len(), ended: metadata.modified()? });
        }
    }
    Ok(())
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

    fn delete(
        keep: KeepLimit,
        folder: &Path,
        writing: u64,
        now: (SystemTime, Instant),
        history: &mut History,
        space: impl FnMut() -> Option<DiskSpace>,
    ) -> Vec<PathBuf> {
        let mut deleted = Vec::new();
        delete_old_files(keep, &[folder], writing, now, history, space, &mut deleted).expect("the folder can be read");
        deleted
    }

    /// Returns the hours of the deleted recordings.
    fn deleted(keep: KeepLimit, writing: u64, space: impl FnMut() -> Option<DiskSpace>) -> Vec<String> {
        let (folder, now) = folder();
        let before = std::fs::read_dir(folder.path()).unwrap().count();
        let (at, mut history) = (Instant::now(), History::new(now, Instant::now()));
        let deleted = delete(keep, folder.path(), writing, (now, at), &mut history, space);
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
        let deleted = delete(keep, folder.path(), 0, (clock(now), at), &mut history, || None);
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
        assert_eq!(delete(KeepLimit::Bytes(4000), folder.path(), 0, now, &mut history, || None), [wrong]);
    }

    #[test]
    fn a_missing_folder_is_not_an_error() {
        let (folder, now) = folder();
        let missing = folder.path().join("missing");
        let (now, mut history) = ((now, Instant::now()), History::new(now, Instant::now()));
        assert!(delete(KeepLimit::Bytes(1), &missing, 0, now, &mut history, || None).is_empty());
    }

    /// Three cameras with a file of each of four hours, and a folder that no recorder writes to. `order` lists the files that
    /// the recorders finish, as camera and hour. Returns the deleted files in the same form, and how many each recorder
    /// counted. Each deleted file frees 5 % of the disk.
    fn deleted_of_three(keep: KeepLimit, order: &[(usize, u32)], own: usize) -> (Vec<(usize, u32)>, Vec<u64>) {
        let root = tempfile::tempdir().expect("a folder");
        let folders: Vec<_> = ["a", "b", "c", "saved"].iter().map(|name| root.path().join(name)).collect();
        let path = |camera: usize, hour: u32| folders[camera].join(format!("2026-11-21_{hour:02}-00-00.000Z.mcap"));
        let now = (SystemTime::now(), Instant::now());
        let retention = Retention::new(now.0, now.1);
        for (camera, folder) in folders.iter().enumerate() {
            std::fs::create_dir(folder).expect("a new folder");
            (0..4).for_each(|hour| std::fs::write(path(camera, hour), [0; 1000]).expect("a file"));
        }
        let shared: Vec<Arc<Shared>> = folders[..3].iter().map(|_| Arc::default()).collect();
        folders.iter().zip(&shared).for_each(|(folder, shared)| retention.add(folder, shared));
        order.iter().for_each(|(camera, hour)| retention.finished(&path(*camera, *hour), now.1));
        let mut left = 0;
        let space = || {
            left += 5;
            Some(DiskSpace { left, all: 100 })
        };
        retention.delete_old_files(keep, &folders[own], 0, now, space).expect("the folders can be read");
        let all = (0..4).flat_map(|camera| (0..4).map(move |hour| (camera, hour)));
        let gone = all.filter(|(camera, hour)| !path(*camera, *hour).exists()).collect();
        (gone, shared.iter().map(|shared| shared.progress().deleted).collect())
    }

    #[test]
    fn free_space_is_made_with_the_oldest_files_of_all_cameras() {
        for own in 0..3 {
            // Files of earlier recordings, by the times in their names.
            let (gone, counted) = deleted_of_three(KeepLimit::Free(0.24), &[], own);
            assert_eq!(gone, [(0, 0), (0, 1), (1, 0), (2, 0)]);
            assert_eq!(counted, [2, 1, 1], "each recorder counts its own");
            // All but the files of the recorders, of which the last of each camera stays.
            let order = [(0, 1), (1, 0), (1, 2), (2, 3), (0, 2), (0, 3)];
            let (gone, _) = deleted_of_three(KeepLimit::Free(0.39), &order, own);
            let mut expected = vec![(0, 0), (1, 1), (1, 3), (2, 0), (2, 1), (2, 2), (0, 1)];
            expected.sort_unstable();
            assert_eq!(gone, expected);
            let (gone, counted) = deleted_of_three(KeepLimit::Free(0.99), &order, own);
            assert_eq!((gone.len(), counted.iter().sum::<u64>()), (9, 9), "the last of each recorder stays");
            assert!([(0, 3), (1, 2), (2, 3)].iter().all(|newest| !gone.contains(newest)), "{gone:?}");
        }
    }

    #[test]
    fn age_and_size_are_limits_of_one_camera() {
        let (gone, counted) = deleted_of_three(KeepLimit::Bytes(2000), &[], 1);
        assert_eq!((gone, counted), (vec![(1, 0), (1, 1)], vec![0, 2, 0]));
    }
}
