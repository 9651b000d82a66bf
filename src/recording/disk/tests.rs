use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::block::Block;
use super::faults::{Faults, FaultyMedium, MemoryMedium, TEST_TIMEOUT};
use super::{Disk, DiskCondition, DiskMonitor, QUEUE_BYTES_MAX};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < TEST_TIMEOUT, "waited for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn until_written(monitor: &DiskMonitor, bytes: u64) {
    until("the final bytes to be in the file", || {
        assert_eq!(monitor.condition(), DiskCondition::Writing);
        monitor.written() == bytes
    });
}

fn faulty() -> (Disk, Faults, MemoryMedium) {
    let (memory, faults) = (MemoryMedium::default(), Faults::default());
    let disk = Disk::over(Box::new(FaultyMedium(memory.clone(), faults.clone())), "test", false).expect("a thread");
    (disk, faults, memory)
}

/// Writes, seeks and flushes at random. Returns the expected content of the file.
fn scribble(disk: &mut Disk, seed: u64, steps: u32) -> Vec<u8> {
    let mut random = Random(seed);
    let (mut expected, mut at, mut flushed) = (Vec::<u8>::new(), 0_usize, 0_usize);
    // From single bytes to more than a block.
    let lengths = [1, 100, 5000, 700_000, 9 << 20];
    for _ in 0..steps {
        match random.below(12) {
            0..8 => {
                let kinds = if random.below(8) == 0 { 5 } else { 4 };
                let longest = lengths[random.below(kinds) as usize];
                let len = random.below(longest) as usize + 1;
                let seed = random.below(251);
                let bytes: Vec<u8> = (0..len as u64).map(|i| (i * 7 + seed) as u8 ^ (i >> 8) as u8).collect();
                disk.write_all(&bytes).expect("a write");
                expected.resize(expected.len().max(at + len), 0);
                expected[at..at + len].copy_from_slice(&bytes);
                at += len;
            }
            8 | 9 => {
                at = flushed + random.below((expected.len() - flushed) as u64 + 1) as usize;
                let to = match random.below(3) {
                    0 => SeekFrom::Start(at as u64),
                    1 => SeekFrom::End(at as i64 - expected.len() as i64),
                    _ => SeekFrom::Current(at as i64 - disk.position() as i64),
                };
                assert_eq!(disk.seek(to).expect("a seek"), at as u64);
            }
            _ => {
                at = expected.len();
                disk.seek(SeekFrom::End(0)).expect("the end");
                disk.flush().expect("a flush");
                flushed = at;
                if random.below(3) == 0 {
                    until_written(&disk.monitor(), at as u64);
                }
            }
        }
        assert_eq!(disk.stream_position().expect("a position"), at as u64);
    }
    expected
}

fn assert_same(found: &[u8], expected: &[u8], what: &str) {
    let differ = found.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!((found.len(), differ), (expected.len(), None), "{what}");
}

/// Folders on a memory file system, if there is one, in the temporary folder and in the package.
fn folders() -> Vec<tempfile::TempDir> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    [Path::new("/dev/shm"), &std::env::temp_dir(), here]
        .into_iter()
        .filter_map(|folder| tempfile::tempdir_in(folder).ok())
        .collect()
}

#[test]
fn file_has_what_was_written() {
    for folder in folders() {
        for seed in 0..6 {
            let path = folder.path().join(format!("{seed}"));
            let mut disk = Disk::create(&path, seed % 2 == 0).expect("a file");
            let expected = scribble(&mut disk, seed, 60);
            disk.finish(|| true).expect("a complete file");
            assert_same(&std::fs::read(&path).expect("the file"), &expected, &format!("seed {seed}, {path:?}"));
        }
    }
}

#[test]
fn blocks_are_aligned_to_huge_pages() {
    for block in [Block::new().expect("memory"), Block::new().expect("memory")] {
        assert_eq!(block.bytes().as_ptr().addr() % (2 << 20), 0);
        assert_eq!(block.bytes().len(), Block::SIZE_BYTES);
    }
}

#[test]
fn flushed_bytes_are_in_the_file_before_it_is_finished() {
    for folder in folders() {
        let path = folder.path().join("a");
        let mut disk = Disk::create(&path, false).expect("a file");
        let mut expected = Vec::new();
        for len in [1, 4095, 1, 5000, Block::SIZE_BYTES, Block::SIZE_BYTES + 1, 3] {
            expected.extend((0..len).map(|i| (i * 31 + len) as u8));
            disk.write_all(&expected[expected.len() - len..]).expect("written");
            disk.flush().expect("flushed");
            // As after `kill -9`: readers see all flushed bytes and no padding.
            let mut found = Vec::new();
            until("the exact length", || {
                found = std::fs::read(&path).expect("the file");
                found.len() == expected.len()
            });
            assert_same(&found, &expected, &format!("{path:?}"));
        }
        disk.write_all(&[9; 10_000]).expect("written");
        drop(disk);
        assert_same(&std::fs::read(&path).expect("the file"), &expected, "the window is dropped");
    }
}

#[test]
fn final_bytes_cannot_be_overwritten() {
    let (mut disk, _, memory) = faulty();
    disk.write_all(b"final").unwrap();
    disk.flush().unwrap();
    disk.write_all(b"open").unwrap();
    for to in [SeekFrom::Start(4), SeekFrom::Start(10), SeekFrom::End(-5), SeekFrom::End(1), SeekFrom::Current(-99)] {
        let error = disk.seek(to).expect_err("a seek outside of the window");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().ends_with("only bytes 5 to 9 are not final"), "{error}");
        assert_eq!(disk.position(), 9, "unchanged position");
    }
    disk.seek(SeekFrom::Start(5)).unwrap();
    disk.flush().unwrap();
    assert_eq!(disk.write(b"x").expect_err("a write into final bytes").kind(), ErrorKind::InvalidInput);
    disk.seek(SeekFrom::End(0)).unwrap();
    disk.write_all(b"!").unwrap();
    disk.finish(|| true).unwrap();
    assert_eq!(*memory.0.lock().unwrap(), b"finalopen!");
}

#[test]
fn existing_file_is_not_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a");
    let mut first = Disk::create(&path, false).expect("a file");
    assert_eq!(Disk::create(&path, false).expect_err("the file exists").kind(), ErrorKind::AlreadyExists);
    first.write_all(b"mine").unwrap();
    first.finish(|| true).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    assert!(Disk::create(&folder.path().join("none/a"), false).is_err());
}

#[test]
fn full_disk_loses_nothing_once_there_is_room() {
    let (mut disk, faults, memory) = faulty();
    let monitor = disk.monitor();
    let bytes: Vec<u8> = (0..2 * QUEUE_BYTES_MAX as usize).map(|i| (i >> 10) as u8).collect();
    let (first, second) = bytes.split_at(QUEUE_BYTES_MAX as usize + (2 << 20));
    faults.room(Some(3 << 20));
    for part in first.chunks(2 << 20) {
        disk.write_all(part).unwrap();
        disk.flush().unwrap();
    }
    until("a full disk", || monitor.condition() == DiskCondition::Full);
    faults.until_tried(3);
    assert!(!disk.monitor().wait_for_room(Duration::ZERO).expect("full is not an error"));
    assert_eq!(monitor.written() + monitor.queued(), first.len() as u64, "all bytes are written or queued");
    assert!(monitor.written() <= 3 << 20);
    faults.room(None);
    assert!(disk.monitor().wait_for_room(TEST_TIMEOUT).expect("no error"), "there is room");
    disk.write_all(second).unwrap();
    disk.finish(|| true).unwrap();
    assert_same(&memory.0.lock().unwrap(), &bytes, "all bytes");
    assert_eq!(monitor.condition(), DiskCondition::Writing);
}

#[test]
fn disk_that_stays_full_ends_with_an_error() {
    let (mut disk, faults, memory) = faulty();
    disk.write_all(&[1; 5000]).unwrap();
    disk.flush().unwrap();
    until_written(&disk.monitor(), 5000);
    faults.room(Some(0));
    disk.write_all(&[2; 5000]).unwrap();
    let monitor = disk.monitor();
    let error = disk.finish(|| monitor.condition() != DiskCondition::Full).expect_err("a full disk");
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::StorageFull, "the disk is full: its queue of 5.0 kB cannot be written")
    );
    assert_same(&memory.0.lock().unwrap(), &[1; 5000], "the bytes before the disk was full");
}

#[test]
fn give_up_ends_the_wait_for_a_full_disk() {
    let (mut disk, faults, _) = faulty();
    let monitor = disk.monitor();
    faults.room(Some(0));
    disk.write_all(&vec![1; QUEUE_BYTES_MAX as usize]).unwrap();
    disk.flush().unwrap();
    until("a full disk", || monitor.condition() == DiskCondition::Full);
    disk.write_all(&[2; 10]).unwrap();
    std::thread::scope(|scope| {
        let flushing = scope.spawn(|| disk.flush());
        faults.until_tried(2);
        monitor.give_up();
        let error = flushing.join().expect("no panic").expect_err("given up");
        assert_eq!(error.to_string(), "the disk is full: its queue of 16.8 MB cannot be written");
    });
    assert_eq!(disk.finish(|| true).expect_err("given up").kind(), ErrorKind::StorageFull);
}

#[test]
fn finish_gives_up_on_a_disk_that_does_not_respond() {
    let (mut disk, faults, _) = faulty();
    faults.stall(true);
    disk.write_all(&[1; 5000]).unwrap();
    let error = disk.finish(|| false).expect_err("a blocked write");
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::TimedOut, "the disk is too slow: its queue of 5.0 kB was not written in time")
    );
}

#[test]
fn disk_failure_is_returned_to_the_writer() {
    let (mut disk, faults, _) = faulty();
    let monitor = disk.monitor();
    disk.write_all(&[1; 5000]).unwrap();
    disk.flush().unwrap();
    until_written(&monitor, 5000);
    faults.error(Some(ErrorKind::Other));
    disk.write_all(&[2; 5000]).unwrap();
    disk.flush().unwrap();
    until("the failure", || monitor.condition() == DiskCondition::Failed("injected fault".into()));
    for error in [disk.write(b"x").map(drop), disk.flush(), disk.monitor().wait_for_room(TEST_TIMEOUT).map(drop)] {
        assert_eq!(error.expect_err("a failed disk").to_string(), "injected fault");
    }
    assert_eq!(monitor.written(), 5000, "bytes before the failure");
    assert_eq!(disk.finish(|| true).expect_err("a failed disk").kind(), ErrorKind::Other);
}

#[test]
fn stalled_disk_blocks_only_flush() {
    let (mut disk, faults, memory) = faulty();
    faults.stall(true);
    disk.write_all(&vec![1; QUEUE_BYTES_MAX as usize]).unwrap();
    disk.flush().unwrap();
    faults.until_stalled();
    assert!(!disk.monitor().wait_for_room(Duration::ZERO).unwrap());
    disk.write_all(&[2; 10]).unwrap();
    let monitor = disk.monitor();
    std::thread::scope(|scope| {
        let flushing = scope.spawn(|| disk.flush());
        assert_eq!(monitor.queued(), QUEUE_BYTES_MAX);
        faults.stall(false);
        flushing.join().expect("no panic").expect("a flush");
    });
    disk.finish(|| true).unwrap();
    assert_eq!(memory.0.lock().unwrap().len(), QUEUE_BYTES_MAX as usize + 10);
}

#[test]
fn removed_or_replaced_file_is_noticed() {
    for idle in [true, false] {
        for how in [remove_file, remove_folder, replace] {
            let folder = tempfile::tempdir().expect("a folder");
            let below = folder.path().join("below");
            std::fs::create_dir(&below).unwrap();
            let path = below.join("a");
            let mut disk = Disk::create(&path, false).expect("a file");
            disk.write_all(&[1; 5000]).unwrap();
            disk.flush().unwrap();
            until_written(&disk.monitor(), 5000);
            how(&path).expect("a change");
            let mut text = None;
            until("an error", || {
                if !idle {
                    text = disk.write_all(&[1; 5000]).and_then(|()| disk.flush()).err().map(|error| error.to_string());
                } else if let DiskCondition::Failed(why) = disk.monitor().condition() {
                    text = Some(why);
                }
                text.is_some()
            });
            let text = text.unwrap_or_default();
            assert!(text.starts_with(path.to_str().unwrap()) && text.ends_with("during the recording"), "{text}");
            assert!(disk.finish(|| true).is_err());
        }
    }
}

fn remove_file(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)
}

fn remove_folder(path: &Path) -> io::Result<()> {
    std::fs::remove_dir_all(path.parent().expect("a folder"))
}

fn replace(path: &Path) -> io::Result<()> {
    let other: PathBuf = path.with_extension("other");
    std::fs::write(&other, "other")?;
    std::fs::rename(other, path)
}

#[test]
fn sync_flushes_to_the_medium_while_writing_and_at_the_end() {
    let faults = Faults::default();
    let mut disk =
        Disk::over(Box::new(FaultyMedium(MemoryMedium::default(), faults.clone())), "sync", true).expect("a thread");
    disk.write_all(&[1; 5000]).unwrap();
    disk.flush().unwrap();
    faults.until_synced(1);
    disk.write_all(&[1; 5000]).unwrap();
    disk.finish(|| true).unwrap();
    faults.until_synced(2);
    assert_eq!(faults.lengths().last(), Some(&10_000));
}
