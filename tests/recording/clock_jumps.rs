//! Recordings whose host set its clock, and damaged recordings, through the commands.

use std::fs::{self, File};
use std::sync::Arc;
use std::time::{Duration, Instant};

use oaktap::frame::{Frame, Received};
use oaktap::recording::inspect::inspect;
use oaktap::recording::schema::{IncidentKind, RecordedIncident};
use oaktap::recording::{ClockModel, Compression, Reader, RecordingEntry, SegmentWriter};

use crate::program::run;
use crate::recordings::{self, MS, START_NS};

const S: i64 = 1000 * MS;

/// Frames every 100 ms. The host's clock is set by `by_ns` before frame `at`.
fn write(folder: &std::path::Path, at: usize, by_ns: i64) -> std::path::PathBuf {
    write_frames(folder, 20, at, by_ns)
}

fn write_frames(folder: &std::path::Path, count: usize, at: usize, by_ns: i64) -> std::path::PathBuf {
    let path = folder.join("a.mcap");
    let file = File::create_new(&path).unwrap();
    let camera = recordings::camera("cam");
    let mut writer = SegmentWriter::new(file, Compression::None, &[camera], START_NS).unwrap();
    // An older recorder, which compares the camera with the clock as it is.
    let mut clock = ClockModel::default();
    for (number, frame) in (0..).zip(recordings::frames("size=64x48&boxes=1&fps=10", count)) {
        let mut frame: Frame = Arc::into_inner(frame).expect("no other owner");
        let after = 100 * MS * number as i64;
        let wall_ns = START_NS + after + if number < at { -by_ns } else { 0 };
        frame.received = Received { mono_ns: S as u64 + after as u64, unix_ns: wall_ns };
        clock.observe(frame.device_time, wall_ns - MS);
        writer.frame(0, &frame, wall_ns - MS).unwrap();
        if number % 3 == 2 {
            writer.flush().unwrap();
        }
    }
    writer.finish(&[clock.metadata()]).unwrap();
    path
}

#[test]
fn a_clock_that_is_set_leaves_one_time_line() {
    // From 1970 to now, an hour back, a minute forward; between chunks and inside one.
    for (by_ns, at) in [(START_NS - S, 9), (START_NS - S, 10), (-3600 * S, 9), (-3600 * S, 11), (60 * S, 10)] {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), at, by_ns);
        let mut reader = Reader::open(&path).unwrap();
        let read = |reader: &mut Reader| {
            let mut times = Vec::new();
            while let Some(entry) = reader.next_entry().unwrap() {
                if let RecordingEntry::Frame(frame) = entry {
                    times.push((frame.log_ns - START_NS) / MS);
                    // The clock of the simulated camera jitters by some milliseconds. That of the host is set by a minute or
                    // more.
                    let before_ns = frame.log_ns - frame.publish_ns;
                    assert!((0..10 * MS).contains(&before_ns), "frame {}: {before_ns} ns", frame.sequence);
                }
            }
            times
        };
        let expected: Vec<i64> = (0..20).map(|number| 100 * number).collect();
        assert_eq!(read(&mut reader), expected, "{by_ns} {at}");
        assert_eq!(reader.span(), Some((START_NS, START_NS + 1900 * MS)), "{by_ns} {at}");
        for target in [0, 700, 1000, 1500] {
            reader.seek(START_NS + target * MS).unwrap();
            let times = read(&mut reader);
            assert!(times[0] <= target && expected.ends_with(&times), "{by_ns} {at}: {target} {times:?}");
        }
        let [jump] = reader.clock_jumps() else { panic!("{:?}", reader.clock_jumps()) };
        assert_eq!((jump.by_ns, jump.at_unix_ns), (by_ns, START_NS + 100 * MS * at as i64));
        let report = inspect(&path).unwrap();
        assert_eq!((report.clock_jumps.len(), report.cameras[0].seconds), (1, 1.9), "{by_ns} {at}");
        let file = path.to_str().unwrap();
        let (_, text, _) = run(&["inspect", file]);
        assert!(text.contains("clock of the host set"), "{text}");
        let begun = Instant::now();
        let (code, _, errors) = run(&["replay", file, "--no-window"]);
        assert!(code == 0 && begun.elapsed() < Duration::from_secs(40), "{errors}");
        for (range, rows) in [(["--from", "1s"], 10), (["--until", "500ms"], 5)] {
            let table = folder.path().join(format!("{rows}.csv"));
            let (code, _, errors) =
                run(&[&["export", file, "--to", "csv", "-o", table.to_str().unwrap()][..], &range].concat());
            assert_eq!(code, 0, "{errors}");
            assert_eq!(fs::read_to_string(table).unwrap().lines().count(), 1 + rows, "{by_ns} {at} {range:?}");
        }
    }
}

/// The recorder writes an incident and continues its times: such files have the same list as those of older versions.
#[test]
fn jumps_that_the_recorder_noticed_are_in_the_list_of_all_jumps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    let mut writer =
        SegmentWriter::new(File::create_new(&path).unwrap(), Compression::None, &[recordings::camera("cam")], START_NS)
            .unwrap();
    let mut at_ns = START_NS;
    for (number, frame) in recordings::frames("size=16x16&boxes=1", 20).into_iter().enumerate() {
        at_ns = frame.received.unix_ns;
        if number == 12 {
            let incident = RecordedIncident {
                kind: IncidentKind::ClockJump.to_string(),
                text: "the clock of this host was set back by 3600.000 s".to_owned(),
                unix_expected_ns: at_ns,
                unix_found_ns: at_ns - 3600 * S,
                ..RecordedIncident::default()
            };
            writer.incident(0, &incident, at_ns).unwrap();
        }
        writer.frame(0, &frame, at_ns - MS).unwrap();
    }
    writer.finish(&[]).unwrap();
    let report = inspect(&path).unwrap();
    let [jump] = &report.clock_jumps[..] else { panic!("{:?}", report.clock_jumps) };
    assert_eq!((jump.by_ns, jump.at_unix_ns < at_ns), (-3600 * S, true));
    assert_eq!((report.cameras[0].gaps.len(), report.cameras[0].missing), (0, 0));
    let (code, text, errors) = run(&["inspect", path.to_str().unwrap()]);
    assert!(code == 0 && text.matches("clock of the host set back by 3600.000 s").count() == 1, "{text} {errors}");
}

/// The camera's clock is compared with the time line, not with both clocks of the host.
#[test]
fn the_clock_model_of_a_recording_with_a_jump_is_that_of_its_time_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = write_frames(folder.path(), 80, 40, -3600 * S);
    let clock = inspect(&path).unwrap().cameras.remove(0).clock.expect("a model");
    let bound_ns = clock.error_bound_ns.expect("a bound");
    assert!(bound_ns < S, "{bound_ns}");
}

#[test]
fn a_recording_without_frames_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    recordings::write::<Arc<Frame>>(&path, Compression::None, &[(recordings::camera("door"), Vec::new())]);
    let (code, text, errors) = run(&["inspect", path.to_str().unwrap()]);
    assert!(code == 3 && errors.contains("a.mcap: no frames of door"), "{code} {text} {errors}");
}

/// Playing a part of a recording is exit code 3, with the place.
#[test]
fn playing_a_damaged_recording_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), 0, 0);
    let chunk = Reader::open(&path).unwrap().chunks()[3];
    let intact = fs::read(&path).unwrap();
    let metadata = intact.windows(5).position(|bytes| bytes == b":5000").expect("an address");
    let flipped = |at: usize| {
        let mut bytes = intact.clone();
        bytes[at] ^= 1;
        bytes
    };
    let cases = [
        ("torn", intact[..(chunk.at + 100) as usize].to_vec()),
        ("chunk", flipped((chunk.at + chunk.len / 2) as usize)),
        ("metadata", flipped(metadata)),
    ];
    for (what, bytes) in cases {
        fs::write(&path, bytes).unwrap();
        let file = path.to_str().unwrap();
        let uri = format!("file:{file}?speed=max");
        for words in [&["replay", file, "--no-window", "--speed", "max"][..], &["detections", &uri], &["inspect", file]]
        {
            let (code, printed, errors) = run(words);
            assert_eq!(code, 3, "{what} {words:?}: {errors}");
            assert!((printed + &errors).contains("oaktap recover") || words[0] == "inspect", "{what}: {errors}");
        }
        let saved = folder.path().join(format!("{what}.mcap"));
        let (code, _, errors) = run(&["recover", file, "-o", saved.to_str().unwrap()]);
        assert!(code == 3, "{what}: {code} {errors}");
    }
}
