//! Clocks of cameras as recordings store them: clocks that fit, clocks that drift beyond the limit, and restarts.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use oaktap::frame::Staleness;
use oaktap::recording::inspect::inspect;
use oaktap::recording::{ClockModel, Compression, SegmentWriter};
use serde_json::Value;

use crate::program::run;
use crate::recordings::{MS, START_NS, arriving, camera};

/// 30 s of a camera whose clock is slow by this many parts per million. Its capture times are this much before the arrivals,
/// as recorders wrote them that used every clock. Returns the arrivals.
fn recorded(path: &Path, drift_ppm: i64, early_ns: i64) -> Vec<i64> {
    let config = "size=16x16&records=on".parse().expect("a configuration");
    let step_ns = 25_000_000 + 25 * drift_ppm;
    let frames = arriving(&config, 1200, |n| step_ns * n);
    let file = File::create_new(path).expect("a new file");
    let mut writer = SegmentWriter::new(file, Compression::None, &[camera("cam")], START_NS).expect("a recording");
    let mut clock = ClockModel::default();
    for frame in &frames {
        clock.observe(frame.device_time, frame.received.unix_ns);
        writer.frame(0, frame, frame.received.unix_ns - early_ns).expect("write");
    }
    writer.finish(&[clock.metadata()]).expect("write");
    frames.iter().map(|frame| frame.received.unix_ns).collect()
}

fn line(out: &str, head: &str) -> String {
    let found = out.lines().find_map(|line| line.trim_start().strip_prefix(head));
    found.unwrap_or_else(|| panic!("no line `{head}`: {out}")).trim().to_owned()
}

#[test]
fn inspect_shows_the_drift_of_a_clock_and_why_a_clock_is_not_used() {
    let folder = tempfile::tempdir().expect("a folder");
    for drift_ppm in [0, 100, 4000, -4000] {
        let path = folder.path().join(format!("{drift_ppm}.mcap"));
        recorded(&path, drift_ppm, 0);
        let (code, out, said) = run(&["inspect", path.to_str().expect("a name in UTF-8")]);
        assert_eq!(code, 0, "{said}");
        let clock = inspect(&path).expect("a recording").cameras.remove(0).clock.expect("a clock");
        assert_eq!((clock.is_used(), clock.drift_is_known, clock.frames), (drift_ppm.abs() < 500, true, 1200));
        assert!((clock.drift_ppm - drift_ppm as f64).abs() < 2.0, "{drift_ppm}: {clock:?}");
        let expected = match clock.misfit() {
            None => format!("drift {:+.2} ppm, error at most ", clock.drift_ppm),
            Some(_) => {
                let (found, so) = (clock.drift_ppm, "times are those of the arrivals; 0 restarts");
                format!("cannot be fitted: found a drift of at least {found:+.0} ppm, expected less than 500 ppm; {so}")
            }
        };
        let found = line(&out, "clock");
        assert!(found.starts_with(&expected) && found.ends_with("0 restarts"), "{drift_ppm}: {found}");
    }
}

#[test]
fn an_export_without_a_usable_clock_has_the_times_of_the_arrivals() {
    let folder = tempfile::tempdir().expect("a folder");
    for drift_ppm in [100, 4000] {
        let path = folder.path().join(format!("{drift_ppm}.mcap"));
        let arrivals = recorded(&path, drift_ppm, 7 * MS);
        let table = folder.path().join(format!("{drift_ppm}.jsonl"));
        let (code, _, said) =
            run(&["export", path.to_str().expect("UTF-8"), "-o", table.to_str().expect("UTF-8"), "--json"]);
        assert_eq!(code, 0, "{said}");
        let note = "the clock of cam cannot be fitted: found a drift of at least +4000 ppm, expected less than 500 ppm; \
                    `time_utc_ns` is its arrival";
        assert_eq!(said.contains(note), drift_ppm > 500, "{said}");
        let text = std::fs::read_to_string(&table).expect("a table");
        let times: Vec<(i64, i64)> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
            .map(|row| (row["arrival_unix_ns"].as_i64().expect("a time"), row["time_utc_ns"].as_i64().expect("a time")))
            .collect();
        assert_eq!(times.iter().map(|(arrival, _)| *arrival).collect::<Vec<_>>(), arrivals);
        let early_ns = if drift_ppm > 500 { 0..=0 } else { 0..=MS / 2 };
        let is_right = |(arrival, taken): &(i64, i64)| early_ns.contains(&(arrival - taken));
        assert!(times.iter().all(is_right), "{drift_ppm}: {:?}", &times[..9]);
    }
}

/// The first nine frames waited in the camera, and then all live frames have different delays. The recorder estimates each
/// time from the frames before.
#[test]
fn an_export_has_the_capture_times_of_stale_frames_and_of_those_after_them() {
    const STALE: i64 = 9;
    let folder = tempfile::tempdir().expect("a folder");
    let config = "size=16x16&records=on".parse().expect("a configuration");
    let path = folder.path().join("a.mcap");
    let file = File::create_new(&path).expect("a new file");
    let mut writer = SegmentWriter::new(file, Compression::None, &[camera("cam")], START_NS).expect("a recording");
    let (mut clock, mut captured) = (ClockModel::default(), Vec::new());
    for (n, mut frame) in (0..).zip(arriving(&config, 400, |n| 25 * MS * n)) {
        if (STALE..120).contains(&n) {
            continue; // The camera's queue was full.
        }
        captured.push(frame.received.unix_ns);
        let changed = Arc::get_mut(&mut frame).expect("the only owner");
        changed.staleness = Staleness::Known(n < STALE);
        changed.received.unix_ns =
            if n < STALE { START_NS + 3000 * MS + n } else { START_NS + (25 * n + 5 * ((n + 3) % 5)) * MS };
        let estimated_ns = clock.observe(frame.device_time, frame.received.unix_ns);
        writer.frame(0, &frame, estimated_ns).expect("write");
    }
    writer.finish(&[clock.metadata()]).expect("write");
    let path = path.to_str().expect("UTF-8");
    let table = |name: &str| {
        let table = folder.path().join(name);
        let (code, _, said) = run(&["export", path, "-o", table.to_str().expect("UTF-8")]);
        assert_eq!(code, 0, "{said}");
        std::fs::read_to_string(&table).expect("a table")
    };
    let lines: Vec<Value> =
        table("a.jsonl").lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).collect();
    assert_eq!(lines.len(), captured.len());
    for ((n, line), captured) in (0..).zip(&lines).zip(captured) {
        let error_ns = line["time_utc_ns"].as_i64().expect("a time") - captured;
        assert!(error_ns.abs() < MS, "frame {n}: {error_ns} ns");
        assert_eq!(line["stale"] == true, n < STALE, "frame {n}: {line}");
    }
    let rows = table("a.csv");
    let rows: Vec<Vec<&str>> = rows.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0].last(), Some(&"stale"));
    let is_right = |row: &Vec<&str>| {
        row.last() == Some(if row[1].parse::<i64>().expect("seq") < STALE { &"true" } else { &"false" })
    };
    assert!(rows.len() > lines.len() && rows[1..].iter().all(is_right), "{:?}", &rows[..3]);
}

/// The clocks are at the end of a file.
#[test]
fn an_export_says_that_the_times_of_a_torn_file_are_estimates() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mcap");
    recorded(&path, 40, 7 * MS);
    let intact = std::fs::read(&path).expect("a recording");
    std::fs::write(&path, &intact[..intact.len() * 2 / 3]).expect("write");
    let path = path.to_str().expect("UTF-8");
    let export = |path: &str, name: &str| {
        let table = folder.path().join(name);
        let (code, _, said) = run(&["export", path, "-o", table.to_str().expect("UTF-8")]);
        let text = std::fs::read_to_string(&table).expect("a table");
        let row: Value = serde_json::from_str(text.lines().nth(200).expect("200 rows")).expect("JSON");
        let early = row["arrival_unix_ns"].as_i64().expect("a time") - row["time_utc_ns"].as_i64().expect("a time");
        (code, said, early)
    };
    let (code, said, early_ns) = export(path, "torn.jsonl");
    let note = format!(
        "{path} ends before the clocks of its cameras: until it is recovered, `time_utc_ns` is an estimate made while recording"
    );
    assert!(code == 3 && said.contains(&note) && early_ns == 7 * MS, "{code} {early_ns}: {said}");
    let saved = folder.path().join("saved.mcap");
    let saved = saved.to_str().expect("UTF-8");
    let (code, _, said) = run(&["recover", path, "-o", saved]);
    assert_eq!(code, 3, "{said}");
    let (code, said, early_ns) = export(saved, "saved.jsonl");
    assert!(code == 0 && !said.contains("estimate") && early_ns < MS, "{code} {early_ns}: {said}");
}
